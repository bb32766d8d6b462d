"""Cameras and live URLs that break off: tried again with growing waits; numbers and times go on."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from threading import Event
from typing import Any, TypeVar

from mien.core.errors import MediaError

T = TypeVar("T")

FIRST_WAIT_S, LONGEST_WAIT_S = 1.0, 15.0

logger = logging.getLogger("mien")


class Course:
    """Numbers and times the frames of a source over all its connections; a file has one.

    Parameters
    ----------
    source : str
        Path, URL or camera name as it was given.
    time_s : float
        Time of the frame before the first; negative where there is none.
    clock : callable
        Gives seconds that never turn back.

    Attributes
    ----------
    source : str
    is_live : bool
        Whether the source has no end of its own; told by who opens it.
    count : int
        Frames so far.
    time_s : float
        Time of the latest frame.
    """

    def __init__(self, source: str, time_s: float = -1.0, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.is_live = False
        self.count, self.time_s = 0, time_s
        self.source, self._clock = source, clock
        self._seen_s = 0.0
        self._shift: tuple[int, float] | None = (0, 0.0)

    @property
    def is_lost(self) -> bool:
        """Whether no frame has come since the source broke off."""
        return self._shift is None

    def lose(self) -> None:
        """Tell that the source has broken off."""
        self._shift = None

    def place(self, index: int, time_s: float) -> tuple[int, float]:
        """Return number and time of a frame that has just come.

        Parameters
        ----------
        index, time_s
            The same within its connection.
        """
        now_s = self._clock()
        if self._shift is None:
            gap_s = now_s - self._seen_s
            logger.warning("%s: is back after %.1f s", self.source, gap_s)
            self._shift = self.count - index, self.time_s + gap_s - time_s
        index, time_s = index + self._shift[0], time_s + self._shift[1]
        self.count, self.time_s, self._seen_s = index + 1, time_s, now_s
        return index, time_s

    def given_up(self, reconnect_s: float, error: MediaError) -> MediaError:
        """Return the error of a source that does not come back."""
        since = datetime.now() - timedelta(seconds=self._clock() - self._seen_s)
        reason = str(error).removeprefix(f"{self.source}: ")
        return MediaError(
            f"{self.source}: is gone since {since:%H:%M:%S}, after {self.count} frames, and was not back within "
            f"{reconnect_s:g} s: {reason}"
        )


def retried(
    source: str, connect: Callable[[Course], Iterator[T]], *, reconnect_s: float, closed: Event
) -> Generator[T, None, None]:
    """Yield what a source gives; one that is live is opened again where it breaks off after its first frame.

    Parameters
    ----------
    source : str
        Path, URL or camera name as it was given.
    connect : callable
        Opens the source and yields what it gives, each placed in the course. It returns when no more is wanted, or a
        file ends, and raises MediaError for all else.
    reconnect_s : float
        Seconds to try again, after 1, 2, 4 ... and at most 15 s; the last try is at their end. 0 for never.
    closed : Event
        Ends the waits.

    Raises
    ------
    MediaError
        What `connect` raised, where the source is no live one or has given nothing yet; else if it is not back in time.
    """
    course, waits = Course(source), growing_waits(reconnect_s)
    while True:
        try:
            yield from connect(course)
        except MediaError as error:
            if not (course.is_live and course.count and reconnect_s):
                raise
            if not course.is_lost:
                course.lose()
                waits = growing_waits(reconnect_s)
            wait_s = next(waits, None)
            if wait_s is None:
                raise course.given_up(reconnect_s, error) from error
            logger.warning("%s; trying again in %.3g s", error, wait_s)
        else:
            return
        if closed.wait(wait_s):
            return


def growing_waits(total_s: float) -> Iterator[float]:
    """Yield how many seconds to wait before each try: 1, 2, 4 ... at most 15, until this many seconds are over."""
    wait_s, end_s = FIRST_WAIT_S, time.monotonic() + total_s
    while (left_s := end_s - time.monotonic()) > 0:
        yield min(wait_s, left_s)
        wait_s = min(2 * wait_s, LONGEST_WAIT_S)


def in_time(packets: Iterable[T], timeout_s: float) -> Iterator[T]:
    """Yield the packets of a stream; raise TimeoutError where one comes late.

    When its time is up, libav first hands out what it holds, perhaps part of a frame, and then waits as long again.
    """
    asked_s = time.monotonic()
    for packet in packets:
        if time.monotonic() - asked_s >= timeout_s:
            raise TimeoutError
        yield packet
        asked_s = time.monotonic()


class Closable(Generator[T, None, None]):
    """A generator that any thread may close, even while another waits for its next item.

    Parameters
    ----------
    items : generator
    closed : Event
        Set by the first `close`: ends what the generator waits for.
    """

    def __init__(self, items: Generator[T, None, None], closed: Event) -> None:
        self._items, self._closed = items, closed

    def send(self, value: None) -> T:
        """Return the next item."""
        if self._closed.is_set():
            self.close()
            raise StopIteration
        return self._items.send(value)

    def throw(self, *exception: Any) -> T:
        """Raise an exception where the generator stands."""
        item: T = self._items.throw(*exception)
        return item

    def close(self) -> None:
        """End the generator, or let it end where it runs in another thread."""
        self._closed.set()
        with suppress(ValueError):  # it runs
            self._items.close()
