"""Faces at the apex of their events, from the source if it is still there."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from footage import HEAD, write_video
from made_results import HAPPY, RATE, frame, seen_in, write

from mien.app.report.seen import Seen
from mien.app.report.thumbnails import SIDE_PX, thumbnails

APEX = 17


def seen_of(folder: Path, name: str) -> Seen:
    """Return a smile whose apex is frame 17, of a source of this name."""
    results = [frame(index, {1: ("happy", 0.95) if index == APEX else HAPPY}, source=name) for index in range(30)]
    (seen,) = seen_in(write(folder / "smile.jsonl", results))
    return seen


def gray(level: int) -> np.ndarray:
    return np.full_like(HEAD, level)


@pytest.mark.parametrize("name", ["smile.mkv", "smile.avi"])  # one can be entered anywhere, one is read from the start
def test_the_picture_is_that_of_the_apex(tmp_path: Path, name: str) -> None:
    write_video(tmp_path / name, [gray(8 * index) for index in range(30)], rate=RATE)
    seen = seen_of(tmp_path, name)
    pictures, why = thumbnails(seen, [tmp_path])
    ((event, content),) = pictures.items()
    assert (event.apex_s, why) == (APEX / RATE, "")
    shown = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    assert shown is not None
    assert shown.shape == (SIDE_PX, SIDE_PX, 3)
    assert shown.mean() == pytest.approx(8 * APEX, abs=3)


def test_it_shows_the_face_and_not_the_rest(tmp_path: Path) -> None:
    image = gray(0)
    image[10:70, 0:50] = 255  # the box of the face
    write_video(tmp_path / "smile.mkv", [image] * 30, rate=RATE)
    ((_, content),) = thumbnails(seen_of(tmp_path, "smile.mkv"), [tmp_path])[0].items()
    shown = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_GRAYSCALE)
    assert shown is not None
    assert shown[SIDE_PX // 2, SIDE_PX // 2] > 240
    assert shown[4, SIDE_PX // 2] < 15
    assert shown[-4, SIDE_PX // 2] < 15


def test_of_a_source_that_is_gone_or_another_the_page_says_so(tmp_path: Path) -> None:
    seen = seen_of(tmp_path, "smile.mkv")
    assert thumbnails(seen, [tmp_path]) == (
        {},
        "The source is not where it was, so there are no pictures of faces here.",
    )
    write_video(tmp_path / "smile.mkv", [HEAD] * 5, rate=RATE)
    pictures, why = thumbnails(seen, [tmp_path])
    assert (pictures, "has changed" in why) == ({}, True)
    (tmp_path / "smile.mkv").write_text("no video", "utf-8")
    pictures, why = thumbnails(seen, [tmp_path])
    assert (pictures, "has changed" in why) == ({}, True)


def test_nothing_but_files_is_opened(tmp_path: Path) -> None:
    for name in ("http://127.0.0.1:9/smile.mp4", "camera:0", str(tmp_path), 300 * "a"):
        assert thumbnails(seen_of(tmp_path, name), [tmp_path])[0] == {}
