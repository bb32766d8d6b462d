"""A few threads for many clients: who has used least of them is next."""

from __future__ import annotations

import asyncio
import heapq
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import TypeVar

T = TypeVar("T")


class Share:
    """What one client has used of the threads."""

    def __init__(self) -> None:
        self.used_s = 0.0  # on the clock of the pool, which goes on by what its clients use


class FairPool:
    """Runs functions in threads, in the order of start-time fair queuing.

    P. Goyal, H. Vin and H. Cheng, "Start-time fair queuing", SIGCOMM 1996, https://doi.org/10.1145/248156.248171: who
    sends frames that take ten times as long gets a tenth as many answered, and who was away has saved nothing up. We
    differ in that how long a function takes is charged after it.

    Parameters
    ----------
    threads : int
    """

    def __init__(self, threads: int) -> None:
        self._threads = ThreadPoolExecutor(threads, "mien reader")
        self._idle = threads
        self._clock_s = 0.0
        self._order = count()
        self._waiting: list[tuple[float, int, asyncio.Future[None]]] = []

    async def run(self, share: Share, function: Callable[[], T]) -> T:
        """Return what a function returns, called in a thread when it is this client's turn.

        A client has one function at a time here. If this is cancelled meanwhile, the thread finishes all the same.
        """
        loop = asyncio.get_running_loop()
        start_s = max(self._clock_s, share.used_s)
        turn: asyncio.Future[None] = loop.create_future()
        heapq.heappush(self._waiting, (start_s, next(self._order), turn))
        self._call_next()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._release()
            raise
        begun_s = time.perf_counter()
        running = loop.run_in_executor(self._threads, function)

        def charge(_: object) -> None:
            share.used_s = start_s + time.perf_counter() - begun_s
            self._release()

        running.add_done_callback(charge)
        return await asyncio.shield(running)

    def close(self) -> None:
        """Let the threads end once they are done."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _release(self) -> None:
        self._idle += 1
        self._call_next()

    def _call_next(self) -> None:
        while self._idle and self._waiting:
            start_s, _, turn = heapq.heappop(self._waiting)
            if not turn.cancelled():
                self._clock_s = max(self._clock_s, start_s)
                self._idle -= 1
                turn.set_result(None)
