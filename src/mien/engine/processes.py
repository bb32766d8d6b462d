"""The same work for several things, in processes side by side that stop together."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context, parent_process
from typing import TypeVar

from mien.core.errors import WorkerError

T = TypeVar("T")

STOPPED = threading.Event()
"""Set in a process of :func:`side_by_side` once it was asked to stop."""


_WORKING = threading.Lock()


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Stopped(Exception):  # noqa: N818 - nothing is wrong
    """Work was asked to stop and has saved where it is."""


def side_by_side(
    function: Callable[[T], None], asked: Sequence[T], processes: int, *, prepare: Callable[[], None] | None = None
) -> Generator[T, None, None]:
    """Call a function once for each of several things, in processes of their own; yield each when it is done.

    If this is stopped, or the caller takes no more, the processes are asked to stop too; a run in them saves where it
    is first.

    Parameters
    ----------
    function : callable
        Can be pickled; raises :class:`Stopped` if its run was stopped.
    asked : sequence
        Its arguments.
    processes : int
        How many at most.
    prepare : callable, optional
        Called in each process first; can be pickled.

    Raises
    ------
    MienError
        As the function raised it.
    WorkerError
        If a process was stopped or killed.
    """
    if not asked:
        return  # a pool of no processes is refused
    context = get_context("spawn")
    others = context.active_children()
    with ProcessPoolExecutor(min(processes, len(asked)), context, initializer=_hear, initargs=(prepare,)) as pool:
        waiting = {pool.submit(_alone, function, one): one for one in asked}
        try:
            for done in as_completed(waiting):
                done.result()
                yield waiting[done]
        except (Stopped, BrokenProcessPool) as error:
            raise WorkerError("one of the processes was stopped: give the same command again, it goes on") from error
        except BaseException:
            for process in set(context.active_children()) - set(others):
                process.terminate()
            raise
        finally:
            pool.shutdown(cancel_futures=True)


def _hear(prepare: Callable[[], None] | None) -> None:
    if prepare is not None:
        prepare()
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: STOPPED.set())


def _leave_with_parent() -> None:
    """Stop this process once the one that started it was killed; else it would go on, then wait for work for ever."""
    parent = parent_process()
    assert parent is not None
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)  # a run that listens itself ends too, where STOPPED alone would not reach it
    with _WORKING:
        os._exit(1)


def _alone(function: Callable[[T], None], one: T) -> None:
    with _WORKING:
        if STOPPED.is_set():
            raise Stopped  # what waits in the queue is not begun
        try:
            function(one)
        except Stopped:
            STOPPED.set()
            raise
