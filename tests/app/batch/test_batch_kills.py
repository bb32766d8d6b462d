"""A batch of which driver or workers are killed ends as an unbroken one; an input that kills workers is left out."""

from __future__ import annotations

import errno
import os
import pickle
import signal
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from archives import (
    PATIENCE_S,
    WHOLE,
    Deadly,
    Rows,
    children,
    ended,
    kept,
    rows_of,
    run_here,
    started,
    tables_of,
    until,
)
from footage import write_photo
from rich.console import Console

from mien.app.batch.inputs import Input
from mien.app.batch.job import run_batch
from mien.app.batch.local import Pool
from mien.app.batch.ray_engine import _Actor
from mien.app.batch.tasks import Reply, SourceTask, Task
from mien.core.errors import MienError, OutputError
from mien.engine.results.writer import as_output_error


def test_a_killed_driver_goes_on(archive: Path, unbroken: dict[str, Rows], tmp_path: Path) -> None:
    out = tmp_path / "set"
    process = started(archive, out, "--workers", "4")
    until(lambda: len(kept(out)) >= 3, process)
    below = children(process.pid, "spawn_main")
    assert below
    process.send_signal(signal.SIGKILL)
    process.communicate()
    before = kept(out)
    ends_s = time.monotonic() + PATIENCE_S
    while any(Path(f"/proc/{worker}").exists() for worker in below):  # nobody is left behind
        assert time.monotonic() < ends_s
        time.sleep(0.02)
    again = started(archive, out, "--workers", "1")
    until(lambda: (out / ".tasks" / "scratch").exists() and len(kept(out)) > len(before), again)
    assert before.items() <= kept(out).items()  # nothing is read again
    ended(again)
    assert tables_of(out) == unbroken


def test_killed_workers_are_replaced(archive: Path, unbroken: dict[str, Rows], tmp_path: Path) -> None:
    out = tmp_path / "set"
    process = started(archive, out, "--workers", "4")
    for count in (1, 4):
        until(lambda count=count: len(kept(out)) >= count, process)  # type: ignore[misc]
        os.kill(children(process.pid, "spawn_main")[0], signal.SIGKILL)
    ended(process)
    assert tables_of(out) == unbroken


def test_ctrl_c_keeps_what_was_read(archive: Path, unbroken: dict[str, Rows], tmp_path: Path) -> None:
    out = tmp_path / "set"
    process = started(archive, out, "--workers", "1")
    until(lambda: len(kept(out)) >= 2, process)
    process.send_signal(signal.SIGTERM)  # SIGINT is ignored behind nohup
    _, notes = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 143
    assert "the same command goes on" in notes.decode()
    assert set(rows_of(out, "inputs")) < set(unbroken["inputs"])
    run_here([str(archive)], out)
    assert tables_of(out) == unbroken


def test_an_input_that_kills_its_readers_is_an_error(tmp_path: Path) -> None:
    for name in ("a", "b", "deadly", "z"):
        write_photo(tmp_path / "album" / f"{name}.png")
    out = tmp_path / "set"
    outcome = run_batch(
        [str(tmp_path / "album")],
        out,
        "default",
        WHOLE,
        lambda plan, _scratch: Pool(partial(Deadly, plan), 2),
        Console(quiet=True),
    )
    assert (outcome.sources, outcome.frames) == (4, 3)
    assert outcome.failures == [f"{tmp_path}/album/deadly.png: left out, 2 workers died reading it (SIGSEGV)"]
    _, again = run_here([str(tmp_path / "album")], out)
    assert again.asked == []  # it does not kill another day
    _, retried = run_here([str(tmp_path / "album")], out, retry=True)
    assert retried.asked == ["deadly.png"]
    assert rows_of(out, "errors") == []


def refused() -> Callable[[Task], Reply]:
    raise OutputError("no room")


def test_a_worker_that_cannot_begin_stops_the_run(tmp_path: Path) -> None:
    tasks: deque[Task] = deque([SourceTask(Input(str(tmp_path / "a.jpg")))])
    with pytest.raises(MienError, match="no room"):
        list(Pool(refused, 1).replies(tasks))


def full() -> Callable[[Task], Reply]:
    with as_output_error("scratch"):
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_of_a_worker_is_known_as_such(tmp_path: Path) -> None:
    """By it the command tells what is no misuse."""
    task = SourceTask(Input(str(tmp_path / "a.jpg")))
    with pytest.raises(MienError, match="scratch: cannot be written") as here:
        list(Pool(full, 1).replies(deque([task])))
    (refusal,) = _Actor(full)({"task": [pickle.dumps(task)]})["reply"]
    with pytest.raises(MienError, match="scratch: cannot be written") as in_ray:
        pickle.loads(refusal).raised()
    for error in (here.value, in_ray.value):
        assert isinstance(error.__cause__, OSError)
        assert error.__cause__.errno == errno.ENOSPC
