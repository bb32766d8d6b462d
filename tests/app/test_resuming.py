"""A long video that was killed goes on where it was, and ends with what an unbroken run gives."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from footage import HEAD, write_video

from mien.engine.video import frames


@pytest.fixture(scope="module")
def long_video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return three and a half minutes, two frames a second, in which the light wanders."""
    small = cv2.resize(HEAD, (96, 100))
    pictures = [np.asarray(small * (0.6 + 0.4 * np.sin(n / 25) ** 2), np.uint8) for n in range(420)]
    return write_video(tmp_path_factory.mktemp("long") / "long.mkv", pictures, rate=2)


def started(long_video: Path, folder: Path, *options: str) -> subprocess.Popen[bytes]:
    folder.mkdir(exist_ok=True)
    names = {"--csv": "rows.csv", "--events": "events.csv", "--annotate": "drawn.mp4"}
    outputs = [part for option, name in names.items() for part in (option, str(folder / name))]
    command = [sys.executable, "-m", "mien", "analyze", str(long_video), "--detector", "whole", *outputs]
    return subprocess.Popen([*command, *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def killed_after(process: subprocess.Popen[bytes], parts: int, folder: Path, number: int) -> None:
    """Send a signal once so many segments are kept."""
    ends_s = time.monotonic() + 60
    while len(list(folder.glob(".rows.csv.parts/*/*.npz"))) < parts:
        assert process.poll() is None
        assert time.monotonic() < ends_s
        time.sleep(0.02)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")  # on Linux
    workers = [Path("/proc") / child for child in children.read_text().split()] if children.exists() else []
    os.kill(process.pid, number)
    process.wait(30)
    while any(worker.exists() for worker in workers):  # killed or not, nobody is left behind
        assert time.monotonic() < ends_s
        time.sleep(0.02)


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "rows.csv").open(newline="", encoding="utf-8") as file:
        return sorted(csv.DictReader(file), key=lambda row: (row["source"], int(row["frame"]), row["face"]))


def drawn_times_s(folder: Path) -> list[float]:
    return [frame.time_s for frame in frames(folder / "drawn.mp4")]


@pytest.fixture(scope="module")
def unbroken(long_video: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("unbroken")
    process = started(long_video, folder)
    assert process.wait(120) == 0
    assert [row["frame"] for row in rows(folder)] == [str(n) for n in range(420)]
    assert {row["track_id"] for row in rows(folder)} == {"1"}
    return folder


@pytest.mark.parametrize("workers", ["1", "2"])
def test_after_a_kill_the_same_command_ends_as_an_unbroken_run(
    workers: str, long_video: Path, unbroken: Path, tmp_path: Path
) -> None:
    killed_after(started(long_video, tmp_path, "--workers", workers), 1, tmp_path, signal.SIGKILL)
    assert not (tmp_path / "rows.csv").exists()
    kept = {path: path.stat().st_mtime_ns for path in tmp_path.glob(".rows.csv.parts/*/*.npz")}
    assert kept
    killed_after(started(long_video, tmp_path, "--workers", workers), 2, tmp_path, signal.SIGKILL)
    assert all(path.stat().st_mtime_ns == before for path, before in kept.items())  # nothing is read again
    assert started(long_video, tmp_path, "--workers", workers).wait(120) == 0
    assert rows(tmp_path) == rows(unbroken)
    assert (tmp_path / "events.csv").read_bytes() == (unbroken / "events.csv").read_bytes()
    assert drawn_times_s(tmp_path) == pytest.approx(drawn_times_s(unbroken))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["drawn.mp4", "events.csv", "rows.csv"]


def test_a_stop_writes_what_was_read_and_the_same_command_goes_on(
    long_video: Path, unbroken: Path, tmp_path: Path
) -> None:
    killed_after(started(long_video, tmp_path), 1, tmp_path, signal.SIGTERM)  # SIGINT is ignored behind nohup
    whole, part = rows(unbroken), rows(tmp_path)
    assert 100 < len(part) < len(whole)
    assert part == whole[: len(part)]
    assert len(drawn_times_s(tmp_path)) == len(part)
    assert started(long_video, tmp_path).wait(120) == 0
    assert rows(tmp_path) == whole
    assert drawn_times_s(tmp_path) == pytest.approx(drawn_times_s(unbroken))


def test_other_options_begin_anew(long_video: Path, tmp_path: Path) -> None:
    killed_after(started(long_video, tmp_path), 1, tmp_path, signal.SIGKILL)
    assert started(long_video, tmp_path, "--every", "5s", "--to", "2:30").wait(120) == 0
    assert [float(row["time_s"]) for row in rows(tmp_path)] == [5.0 * n for n in range(30)]
