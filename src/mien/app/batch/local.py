"""Workers on this machine: processes that each do one task after another."""

from __future__ import annotations

import os
import signal
import threading
from collections import Counter, deque
from collections.abc import Callable, Generator
from contextlib import suppress
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection, wait
from typing import TypeAlias, cast

from mien.app.batch.tasks import Refusal, Reply, Task, packed
from mien.core.errors import MienError

DEATHS = 2
"""Of workers with one task; it is not given to a third."""

GRACE_S = 5.0
"""How long a process may take to end that has closed its pipe."""

Opener: TypeAlias = Callable[[], Callable[[Task], Reply]]
"""Opens what does tasks, in a worker; can be pickled."""


class Pool:
    """Does tasks in processes; one that dies, by its input or by a signal, is replaced and its task done again.

    Parameters
    ----------
    opened : callable
        Opens a session in each process.
    workers : int
    """

    def __init__(self, opened: Opener, workers: int) -> None:
        self._opened = opened
        self.workers = workers

    def replies(self, tasks: deque[Task]) -> Generator[Reply, None, None]:
        """Do tasks until none is left; more may be added meanwhile.

        Parameters
        ----------
        tasks : deque of Task
            They are taken from its left.

        Yields
        ------
        Reply
            One for each task, as they are done. A task by which a worker died twice is told as an error.

        Raises
        ------
        MienError
            If a worker cannot be opened, or has no room.
        """
        deaths: Counter[str] = Counter()
        idle: list[_Worker] = []
        busy: dict[Connection, _Worker] = {}
        try:
            while tasks or busy:
                while tasks and len(busy) < self.workers:
                    worker = idle.pop() if idle else _Worker(self._opened)
                    worker.give(tasks.popleft())
                    busy[worker.connection] = worker
                for ready in wait(list(busy)):
                    worker = busy.pop(cast("Connection", ready))
                    reply = worker.reply()
                    if reply is not None:
                        idle.append(worker)
                        yield reply
                        continue
                    how, task = worker.end(), worker.task
                    deaths[task.key] += 1
                    if deaths[task.key] < DEATHS:
                        tasks.appendleft(task)
                    else:
                        yield died(task, deaths[task.key], how)
        finally:
            for worker in (*idle, *busy.values()):
                worker.kill()


def died(task: Task, deaths: int, how: str) -> Reply:
    """Return the reply to a task by which workers died."""
    told = task.told.failed("worker", f"{task.told.source}: left out, {deaths} workers died reading it ({how})")
    return Reply(task.key, told, packed(told))


class _Worker:
    """A process and the task that it does."""

    task: Task

    def __init__(self, opened: Opener) -> None:
        context = get_context("spawn")
        self.connection, there = context.Pipe()
        self._process = context.Process(target=_work, args=(there, opened), daemon=True)
        self._process.start()
        there.close()  # or its end would not be seen here

    def give(self, task: Task) -> None:
        self.task = task
        with suppress(OSError):  # it died: that is seen when its reply is asked for
            self.connection.send(task)

    def reply(self) -> Reply | None:
        """Return the reply, None where the process died.

        Raises
        ------
        MienError
            What it said instead.
        """
        try:
            answer: Reply | Refusal = self.connection.recv()
        except (EOFError, OSError):
            return None
        if isinstance(answer, Refusal):
            answer.raised()
        return answer

    def end(self) -> str:
        """Return how the process ended that gives no reply."""
        self._process.join(GRACE_S)
        code = self._process.exitcode
        self.kill()
        if code is None or code >= 0:
            return f"exit code {code}"
        return signal.Signals(-code).name

    def kill(self) -> None:
        self._process.kill()
        self._process.join()
        self.connection.close()


def _work(connection: Connection, opened: Opener) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all: who gave the tasks decides
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    try:
        session = opened()
        while True:
            connection.send(session(connection.recv()))
    except EOFError:
        pass
    except MienError as error:
        connection.send(Refusal.of(error))


def _leave_with_parent() -> None:
    """End this process once the one that started it was killed: nothing of it is kept then."""
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
