"""What tests of archives share: archives to read, runs here and in processes of their own, what came of them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import pyarrow.dataset as ds
from footage import GLIMPSES, HEAD, cut, write_photo, write_video
from rich.console import Console

from mien.app.analysis import Options
from mien.app.batch.job import Outcome, run_batch
from mien.app.batch.tasks import Plan, Reply, Session, Task

PATIENCE_S = 120.0

WHOLE = Options(detector="whole")

Rows = list[tuple[object, ...]]


def rows_of(out: Path, table: str = "rows") -> Rows:
    """Return a table of a data set, sorted, without the columns that may differ from run to run."""
    read = ds.dataset(out / table, format="parquet").to_table()
    names = [name for name in read.column_names if name != "stamp"]
    return sorted(zip(*(read[name].to_pylist() for name in names), strict=True), key=repr)


def tables_of(out: Path) -> dict[str, Rows]:
    return {name: rows_of(out, name) for name in ("rows", "events", "tracks", "errors", "inputs")}


@dataclass
class Here:
    """Does tasks in this process; counts what it is asked. What `memory` holds is not read again."""

    memory: dict[tuple[object, ...], Reply] = field(default_factory=dict)
    frames: int = 0
    asked: list[str] = field(default_factory=list)

    session: Session | None = None

    def opened(self, plan: Plan, _scratch: Path) -> Here:
        self.session = self.session or Session(plan)
        return self

    def replies(self, tasks: deque[Task]) -> Generator[Reply, None, None]:
        while tasks:
            task = tasks.popleft()
            self.asked.append(Path(task.told.source).name)
            case = (task, task.told.stamp)
            reply = self.memory[case] = self.memory.get(case) or self._read(task)
            self.frames += reply.frames
            yield reply

    def _read(self, task: Task) -> Reply:
        assert self.session is not None
        return self.session(task)


def run_here(
    sources: list[str], out: Path, here: Here | None = None, *, options: Options = WHOLE, retry: bool = False
) -> tuple[Outcome, Here]:
    here = here or Here()
    outcome = run_batch(sources, out, "default", options, here.opened, Console(quiet=True), retry=retry)
    return outcome, here


def write_long_video(path: Path) -> Path:
    """Write two and a half minutes, a frame a second, in which the light wanders: three segments."""
    small = cv2.resize(HEAD, (96, 100))
    pictures = [np.asarray(small * (0.6 + 0.4 * np.sin(n / 12) ** 2), np.uint8) for n in range(150)]
    return write_video(path, pictures, rate=1)


def write_archive(folder: Path) -> Path:
    """Write photos, a short and a long video, and what is broken."""
    write_photo(folder / "one.jpg")
    write_photo(folder / "deeper" / "two.png", HEAD[:, ::-1])
    write_video(folder / "short.mkv", GLIMPSES)
    cut(write_video(folder / "torn.avi", GLIMPSES * 5), 0.6)
    write_long_video(folder / "long.mkv")
    cut(write_photo(folder / "broken.jpg"), 0.5)
    (folder / "text.mp4").write_text("no video")
    return folder


def started(archive: Path, out: Path, *options: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "mien", "batch", str(archive), "--out", str(out), "--detector", "whole"]
    return subprocess.Popen([*command, *options], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def until(holds: Callable[[], object], process: subprocess.Popen[bytes]) -> None:
    ends_s = time.monotonic() + PATIENCE_S
    while not holds():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < ends_s
        time.sleep(0.02)


def kept(out: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in (out / ".tasks").rglob("*.zip")}


def children(pid: int, name: str) -> list[int]:
    """Return the processes below another, all the way down, whose command line has this name; on Linux."""
    found = []
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        try:
            command = Path(f"/proc/{child}/cmdline").read_text()
            found += [int(child)] if name in command else []
            found += children(int(child), name)
        except OSError:  # it has ended
            continue
    return found


def ended(process: subprocess.Popen[bytes]) -> str:
    _, notes = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 1, notes.decode()  # three inputs are broken
    return notes.decode()


class Deadly:
    """Reads, but dies by sources that are named so."""

    def __init__(self, plan: Plan) -> None:
        self._session = Session(plan)

    def __call__(self, task: Task) -> Reply:
        if "deadly" in task.told.source:
            os.kill(os.getpid(), signal.SIGSEGV)
        return self._session(task)
