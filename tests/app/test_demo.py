"""The demo goes the whole way on what it makes itself."""

from __future__ import annotations

import io
import sys
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from rich.console import Console

from mien.app import demo
from mien.core.errors import MissingExtraError, OutputError
from mien.core.types import ByteArray
from mien.engine.results import read_jsonl
from mien.engine.video import probe


def test_the_demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, astronaut: ByteArray) -> None:
    monkeypatch.setattr(demo, "FRAMES", 12)  # of 75, along the same way
    screen, notes = (Console(file=io.StringIO(), width=100) for _ in range(2))
    out = tmp_path / "a" / "demo"
    demo.run_demo(out, screen, notes)
    names = ["annotated", "photo.png", "results.jsonl", "video.mp4"]
    assert sorted(path.name for path in out.iterdir()) == names
    annotated = ["photo.annotated.png", "video.annotated.mp4"]
    assert sorted(path.name for path in (out / "annotated").iterdir()) == annotated
    assert probe(out / "annotated" / "video.annotated.mp4").frame_count == 12
    assert np.array_equal(np.asarray(cv2.imread(str(out / "photo.png")))[..., ::-1], astronaut)
    _, rows = read_jsonl(out / "results.jsonl")
    photo, *video = rows
    assert (photo["expression"], len(video)) == ("happy", 12)
    faces = [row["face"] for row in video]
    assert faces == [0] * 10 + [None] * 2  # the camera looks away at the end
    assert {row["track_id"] for row in video[:10]} == {1}
    assert isinstance(screen.file, io.StringIO)
    lines = screen.file.getvalue().splitlines()
    assert [line.split()[0] for line in lines[1:3]] == ["photo.png", "video.mp4"]
    assert lines[-1] == f"annotated: {out / 'annotated'}"
    assert isinstance(notes.file, io.StringIO)
    assert notes.file.getvalue() == ""


def test_the_clip_is_three_seconds_of_video(astronaut: ByteArray) -> None:
    frames = list(demo.clip(astronaut))
    assert len(frames) == 3 * demo.RATE
    assert {frame.shape for frame in frames} == {(demo.HEIGHT, demo.WIDTH, 3)}
    assert all(not np.array_equal(first, second) for first, second in pairwise(frames))


def test_without_scikit_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "skimage.data", None)
    with pytest.raises(MissingExtraError, match="pip install 'scikit-image'"):
        demo.run_demo(tmp_path / "demo", Console(), Console())
    assert not (tmp_path / "demo").exists()


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder", "utf-8")
    with pytest.raises(OutputError, match="cannot be written"):
        demo.run_demo(tmp_path / "file" / "demo", Console(), Console())
