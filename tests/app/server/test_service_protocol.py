"""Messages: laws that hold whatever a client sends; the page that describes them."""

from __future__ import annotations

import json
import math
import re
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from running_service import Running

import mien
from mien.app.server import protocol
from mien.app.server.limits import Limits
from mien.app.server.openapi import Reading
from mien.app.server.protocol import Asked, Cut, Options, RefusedError, read_binary, read_text
from mien.app.server.service import CODES
from mien.core.types import ByteArray, Faces, FrameResult
from mien.engine.explain import WHY_NAMES
from mien.engine.results import AnnotatedVideo

LIMITS = Limits(clients=1, frame_bytes=1000)
PAGE = (Path(__file__).resolve().parents[3] / "docs" / "protocol.md").read_text("utf-8")
JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=True) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=10,
)


@given(st.floats(), st.binary(max_size=1100))
def test_a_frame_has_its_time_and_picture_or_is_refused(time_s: float, picture: bytes) -> None:
    message = struct.pack(">d", time_s) + picture
    is_bad = not picture or not math.isfinite(time_s)
    if is_bad or len(picture) > 1000:
        with pytest.raises(RefusedError) as error:
            read_binary(message, LIMITS)
        assert error.value.code == ("bad_message" if is_bad else "too_large")
    else:
        found_s, found = read_binary(message, LIMITS)
        assert (found_s, bytes(found)) == (time_s, picture)


@given(st.binary(max_size=8))
def test_what_is_too_short_for_a_frame_is_refused(content: bytes) -> None:
    with pytest.raises(RefusedError) as error:
        read_binary(content, LIMITS)
    assert error.value.code == "bad_message"


@given(st.text() | JSON.map(json.dumps))
def test_a_text_that_is_no_message_is_refused_in_one_short_line(text: str) -> None:
    with pytest.raises(RefusedError) as error:
        read_text(text)
    assert error.value.code == "bad_message"
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 400
    json.loads(protocol.refusal(error.value, None))


@given(
    st.fixed_dictionaries(
        {"type": st.just("options")},
        optional={"landmarks": st.booleans(), "why": st.booleans(), "smoothing_s": st.floats(0, 60)},
    )
)
def test_options_change_what_they_name_and_nothing_else(told: dict[str, object]) -> None:
    options = read_text(json.dumps(told))
    assert isinstance(options, Options)
    before = Asked(landmarks=True, why=False, smoothing_s=0.7)
    after = before.changed(options)
    for name in ("landmarks", "why", "smoothing_s"):
        assert getattr(after, name) == told.get(name, getattr(before, name))


def test_a_cut_is_known() -> None:
    assert isinstance(read_text('{"type":"cut"}'), Cut)


@given(st.lists(st.floats(0, 1, width=32), min_size=5, max_size=5), st.floats(allow_nan=False, allow_infinity=False))
def test_what_is_missing_is_null(shares: list[float], time_s: float) -> None:
    faces = Faces.detected([[0, 0, 40, 50]], [0.5]).recognized([[1.0]], ("happy",))
    values = [math.nan, *shares[1:]]
    result = FrameResult("stream", 1, time_s, small_picture(), faces.measured(WHY_NAMES, [values]))
    message = json.loads(protocol.answer(result, Asked(why=True), 1.234), parse_constant=pytest.fail)
    (row,) = message["rows"]
    assert row["why_brows"] is None
    assert [row[name] for name in WHY_NAMES[1:]] == shares[1:]
    assert (message["time_s"], message["width"], message["height"]) == (time_s, 4, 3)
    assert row["track_id"] is None


def small_picture() -> ByteArray:
    return np.zeros((3, 4, 3), np.uint8)


# --- the page


def test_the_page_names_every_code() -> None:
    codes: set[int] = {
        protocol.GOING_DOWN,
        protocol.POLICY,
        protocol.FULL,
        protocol.NO_TOKEN,
        protocol.FOREIGN,
        protocol.IDLE,
    }
    for code in {*CODES, *(str(code) for code in codes)}:
        assert re.search(rf"\b{code}\b", PAGE), code


def test_the_page_tells_the_limits() -> None:
    limits = Limits(clients=1)
    shown = [f"{number:,}" for number in (limits.picture_bytes, limits.picture_pixels)]
    shown += [f":{limits.frame_bytes},", f":{limits.frame_pixels},", f":{limits.frames_per_second},"]
    assert [text for text in [*shown, f":{limits.idle_s}}}"] if text not in PAGE] == []
    assert f"{limits.pictures_per_second:g} pictures a second" in PAGE
    assert f"within {limits.body_s:g} s" in PAGE
    assert f"for {limits.send_s:g} s" in PAGE


def test_the_answer_on_the_page_has_the_shape_of_answers() -> None:
    shown = re.search(r'^\{"schema": 1.*?^```', PAGE, re.MULTILINE | re.DOTALL)
    assert shown is not None
    Reading.model_validate(json.loads(shown[0].removesuffix("```")))


def test_the_client_on_the_page_works(running: Running, astronaut: ByteArray, tmp_path: Path) -> None:
    (code,) = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    (tmp_path / "client.py").write_text(code, "utf-8")
    with AnnotatedVideo(tmp_path / "talk.mp4") as video:
        for index in range(4):
            picture = astronaut[0:256, 60 + 4 * index : 380 + 4 * index].copy()
            video.write(FrameResult("talk.mp4", index, index / 25, picture, Faces.empty()))
    command = [sys.executable, "client.py", "talk.mp4", f"ws://127.0.0.1:{running.port}/stream"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True, timeout=120)
    assert done.stderr == ""
    first, *lines = done.stdout.splitlines()
    assert first == f"{mien.load().card.name} on {running.get('/healthz').json()['detector']}"
    assert [re.sub(r"\d\.\d\d$", "", line) for line in lines] == [
        f"{time} s: 1 happy " for time in ("0.00", "0.04", "0.08", "0.12")
    ]
