"""Several runs side by side: what is done comes as it is done, and stopping stops all."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path

import pytest
import torch

from mien.core.errors import DatasetError, MienError
from mien.engine.processes import STOPPED, Stopped, side_by_side
from mien.lab.processes import one_thread


def write_down(number: int, folder: Path) -> None:
    (folder / f"{number}").write_text(f"{os.getpid()} {torch.get_num_threads()}", "utf-8")


def refuse(number: int) -> None:
    raise DatasetError(f"no {number}")


def stop(number: int) -> None:
    raise Stopped


def run_until_stopped(number: int, folder: Path) -> None:
    if number == 0:
        return
    (folder / f"{number} began").touch()
    while not STOPPED.is_set():
        time.sleep(0.02)
    (folder / f"{number} saved").touch()
    raise Stopped


def test_nothing_asked_is_nothing_done(tmp_path: Path) -> None:
    assert list(side_by_side(partial(write_down, folder=tmp_path), [], 2)) == []


def test_each_is_called_once_in_other_processes_of_one_thread(tmp_path: Path) -> None:
    assert sorted(side_by_side(partial(write_down, folder=tmp_path), [1, 2, 3], processes=2, prepare=one_thread)) == [
        1,
        2,
        3,
    ]
    written = [path.read_text("utf-8").split() for path in tmp_path.iterdir()]
    assert len(written) == 3
    assert {threads for _, threads in written} == {"1"}
    assert str(os.getpid()) not in {process for process, _ in written}


def test_an_error_is_the_one_that_was_raised() -> None:
    with pytest.raises(DatasetError, match="no 7"):
        list(side_by_side(refuse, [7], processes=1))


def test_a_run_that_was_stopped_is_told_in_one_line() -> None:
    with pytest.raises(MienError, match="one of the processes was stopped: give the same command again, it goes on"):
        list(side_by_side(stop, [1, 2, 3], processes=1))


def test_who_takes_no_more_stops_what_still_runs(tmp_path: Path) -> None:
    running = side_by_side(partial(run_until_stopped, folder=tmp_path), [0, 1, 2, 3, 4], processes=2)
    assert next(running) == 0
    while len(list(tmp_path.iterdir())) < 2:
        time.sleep(0.02)
    running.close()
    # Both saved where they were, and what waited in the queue was not begun.
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1 began", "1 saved", "2 began", "2 saved"]


KILLED = """
import sys
from functools import partial
from pathlib import Path
from test_side_by_side import listen
from mien.engine.processes import side_by_side
if __name__ == "__main__":
    list(side_by_side(partial(listen, folder=Path(sys.argv[1])), [0], processes=1))
"""


def listen(number: int, folder: Path) -> None:
    """Run until the process itself is told to stop, as a training is."""
    told = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: told.set())
    (folder / "began").touch()
    if told.wait(60):
        (folder / "saved").touch()
    raise Stopped


def test_a_run_whose_starter_is_killed_saves_and_ends(tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent)}
    with subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path)], env=environment) as process:
        while not (tmp_path / "began").exists():
            time.sleep(0.02)
        process.kill()
    started = time.monotonic()
    while not (tmp_path / "saved").exists():
        assert time.monotonic() - started < 30
        time.sleep(0.02)
