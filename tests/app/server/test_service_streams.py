"""Streams: what is answered to frames, options, cuts, and to what is no frame."""

from __future__ import annotations

import struct
from contextlib import ExitStack
from typing import NoReturn

import numpy as np
import pytest
from running_service import SOON_S, Running, asked, frame, jpeg, plain, running_service, said, wait_until
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection

import mien
from mien.core.types import LANDMARK_COLUMNS, ByteArray, columns
from mien.engine.explain import WHY_NAMES


def closed(stream: ClientConnection) -> tuple[int, str]:
    """Return code and reason with which the service closes a stream, whatever it says before."""

    def listen() -> NoReturn:
        while True:
            stream.recv(SOON_S)

    with pytest.raises(ConnectionClosed) as ends:
        listen()
    assert ends.value.rcvd is not None
    return ends.value.rcvd.code, ends.value.rcvd.reason


def test_the_service_says_what_it_is(running: Running) -> None:
    with running.stream() as stream:
        hello = said(stream)
    card = mien.load().card
    assert stream.subprotocol == "mien.v1"
    assert hello["type"] == "hello"
    assert (hello["schema"], hello["mien"]) == (1, mien.__version__)
    assert hello["model"]["labels"] == list(card.labels)
    assert hello["model"]["uncertain_below"] == card.uncertain_below
    assert hello["columns"] == list(columns(card.labels))
    limits = {"max_bytes": 2_000_000, "max_pixels": 4_000_000, "frames_per_second": 60.0, "idle_s": 60.0}
    assert hello["limits"] == limits
    assert hello["notices"]


def test_a_client_without_subprotocol_is_served(running: Running) -> None:
    with running.stream(subprotocols=None) as stream:
        assert said(stream)["type"] == "hello"
        assert stream.subprotocol is None


def test_a_frame_is_answered_as_the_library_reads_it(running: Running, astronaut: ByteArray) -> None:
    picture = np.ascontiguousarray(astronaut[0:256, 60:380])
    with running.stream() as stream:
        said(stream)
        answer = asked(stream, 12.5, jpeg(picture, 100))
    (row,) = answer["rows"]
    assert (answer["type"], answer["frame"], answer["time_s"]) == ("result", 0, 12.5)
    assert (answer["width"], answer["height"]) == (320, 256)
    assert answer["server_ms"] > 0
    assert tuple(row) == columns(mien.load().card.labels)
    assert (row["source"], row["frame"], row["time_s"], row["track_id"]) == ("stream", 0, 12.5, 1)
    ours = mien.analyze(picture)
    assert row["expression"] == "happy" == ours.expressions[0]
    assert [row[side] for side in ("x1", "y1", "x2", "y2")] == pytest.approx(ours.boxes_xyxy[0].tolist(), abs=6)


def test_a_frame_without_a_face_is_one_empty_row(running: Running) -> None:
    with running.stream() as stream:
        said(stream)
        (row,) = asked(stream, 0.0, plain())["rows"]
    assert row["track_id"] is row["x1"] is row["happy"] is row["expression"] is None


def test_ids_stay_through_options_and_end_with_a_cut(running: Running, person: bytes) -> None:
    with running.stream() as stream:
        said(stream)
        ids = [asked(stream, index / 10, person)["rows"][0]["track_id"] for index in range(3)]
        stream.send('{"type":"options","smoothing_s":0}')
        ids.append(asked(stream, 0.3, person)["rows"][0]["track_id"])
        stream.send('{"type":"cut"}')
        ids.append(asked(stream, 0.4, person)["rows"][0]["track_id"])
        ids.append(asked(stream, 0.1, person)["rows"][0]["track_id"])
    assert ids == [1, 1, 1, 1, 2, 3]


def test_what_is_asked_for_comes_with_the_next_frame(running: Running, person: bytes) -> None:
    with running.stream() as stream:
        said(stream)
        known = set(asked(stream, 0.0, person)["rows"][0])
        stream.send('{"type":"options","landmarks":true}')
        (row,) = asked(stream, 0.1, person)["rows"]
        assert set(row) - known == set(LANDMARK_COLUMNS)
        assert row["x1"] < row["landmark_30_x"] < row["x2"]
        stream.send('{"type":"options","landmarks":false,"why":true}')
        (row,) = asked(stream, 0.2, person)["rows"]
        assert set(row) - known == set(WHY_NAMES)
        assert sum(row[name] for name in WHY_NAMES) == pytest.approx(1, abs=1e-5)
        stream.send('{"type":"options","why":false}')
        assert set(asked(stream, 0.3, person)["rows"][0]) == known


def test_each_client_has_ids_and_options_of_its_own(running: Running, person: bytes) -> None:
    with running.stream() as first, running.stream() as second:
        said(first), said(second)
        first.send('{"type":"options","why":true}')
        for index in range(2):
            rows = [asked(stream, index / 10, person)["rows"][0] for stream in (first, second)]
            assert [row["track_id"] for row in rows] == [1, 1]
            assert ["why_mouth" in row for row in rows] == [True, False]


def test_a_frame_that_waits_is_overtaken_by_a_newer_one(running: Running, astronaut: ByteArray) -> None:
    large = jpeg(np.tile(astronaut, (2, 3, 1)))
    dropped = running.counts()["mien_dropped_frames_total"]
    with running.stream() as stream:
        said(stream)
        for index in range(6):
            stream.send(frame(float(index), large))
        answers = [said(stream) for _ in range(6)]
    times = {kind: [answer["time_s"] for answer in answers if answer["type"] == kind] for kind in ("result", "dropped")}
    assert sorted(times["result"] + times["dropped"]) == [0, 1, 2, 3, 4, 5]
    assert times["result"] == sorted(times["result"])
    assert times["result"][-1] == 5
    assert len(times["dropped"]) >= 3
    assert running.counts()["mien_dropped_frames_total"] == dropped + len(times["dropped"])
    assert [answer["frame"] for answer in answers if answer["type"] == "result"] == times["result"]


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (b"", "bad_message"),
        (b"1234567", "bad_message"),
        (struct.pack(">d", float("nan")) + plain(), "bad_message"),
        (struct.pack(">d", float("inf")) + plain(), "bad_message"),
        (frame(1.0, b"x"), "bad_frame"),
        (frame(1.0, b"\xff\xd8\xff"), "bad_frame"),
        (frame(1.0, plain()[:-40]), "bad_frame"),
        (frame(1.0, b"GIF89a" + bytes(50)), "bad_frame"),
        (frame(1.0, bytes(2_000_001)), "too_large"),
        (frame(1.0, plain(2001, 2000)), "too_many_pixels"),
        ("", "bad_message"),
        ("{", "bad_message"),
        ("[" * 900, "bad_message"),
        ("1", "bad_message"),
        ('{"type":"hello"}', "bad_message"),
        ('{"type":"options","landmarks":1}', "bad_message"),
        ('{"type":"options","smoothing_s":NaN}', "bad_message"),
        ('{"type":"options","smoothing_s":-1}', "bad_message"),
        ('{"type":"options","color":"bgr"}', "bad_message"),
        (f'{{"type":"cut"{" " * 1000}}}', "bad_message"),
    ],
    ids=lambda value: value if isinstance(value, str) and value.isidentifier() else "",
)
def test_what_is_no_frame_is_refused_and_the_next_one_read(
    running: Running, person: bytes, message: bytes | str, code: str
) -> None:
    with running.stream() as stream:
        said(stream)
        stream.send(message)
        refusal = said(stream)
        assert refusal.keys() == {"type", "code", "message", "time_s"}
        assert (refusal["type"], refusal["code"]) == ("error", code)
        assert "\n" not in refusal["message"]
        assert "/" not in refusal["message"].replace("image/", "")  # no path of ours
        is_timed = isinstance(message, bytes) and len(message) > 8 and struct.unpack_from(">d", message)[0] == 1.0
        assert refusal["time_s"] == (1.0 if is_timed else None)
        assert asked(stream, 2.0, person)["rows"][0]["expression"] == "happy"


def test_a_client_that_sends_only_garbage_is_sent_away(running: Running) -> None:
    with running.stream() as stream:
        for _ in range(20):
            stream.send("garbage")
        code, reason = closed(stream)
    assert code == 1008
    assert "20" in reason


def test_a_message_beyond_all_limits_ends_the_stream(running: Running) -> None:
    with running.stream() as stream:
        stream.send(bytes(4_100_000))
        assert closed(stream)[0] == 1009


def test_a_silent_client_is_sent_away() -> None:
    with running_service(detector="whole", idle_s=0.2) as running, running.stream() as stream:
        assert closed(stream)[0] == 4408


def test_a_client_that_sends_too_fast_is_told_so_and_sent_away_in_the_end() -> None:
    with running_service(detector="whole", frames_per_second=5.0) as running, running.stream() as stream:
        said(stream)
        for _ in range(6):
            stream.send('{"type":"cut"}')
        refusal = said(stream)
        assert (refusal["code"], refusal["time_s"]) == ("too_fast", None)
        for _ in range(1000):
            stream.send('{"type":"cut"}')
        assert closed(stream)[0] == 1008


def test_one_client_too_many_is_told_so_and_may_come_later() -> None:
    with running_service(detector="whole", clients=2) as running:
        with running.stream() as first, running.stream() as second:
            said(first), said(second)
            with running.stream() as third:
                code, reason = closed(third)
            assert code == 1013
            assert "2" in reason
            assert running.get("/healthz").json()["clients"] == 2
            assert asked(first, 0.0, plain())["type"] == "result"
        wait_until(lambda: running.get("/healthz").json()["clients"] == 0)
        with running.stream() as again:
            assert said(again)["type"] == "hello"


def test_when_the_service_goes_down_clients_are_told() -> None:
    with ExitStack() as life:
        running = life.enter_context(running_service(detector="whole"))
        with running.stream() as stream:
            said(stream)
            life.close()
            assert closed(stream)[0] == 1012


def test_a_failure_of_ours_is_told_without_internals(
    running: Running, person: bytes, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> ByteArray:
        raise RuntimeError("/home/us/secret.py")

    with running.stream() as stream:
        said(stream)
        with monkeypatch.context() as patch:
            patch.setattr("mien.app.server.streams.decode", fail)
            refusal = asked(stream, 3.0, person)
        assert asked(stream, 4.0, person)["type"] == "result"
    assert (refusal["type"], refusal["code"], refusal["time_s"]) == ("error", "failed", 3.0)
    assert "secret" not in str(refusal)
    assert "secret" in caplog.text
