"""Capture, analysis and output side by side: each in its own thread, with little room between them."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from typing import Generic, Self, TypeVar

T = TypeVar("T")

END_WITHIN_S = 1.5  # for a thread to end once it is asked to: one that waits for a network is left to its time-out


class Ahead(Iterator[T], Generic[T]):
    """Takes the items of a generator in a thread of its own, a few ahead of who asks for them.

    To be closed, as by ``contextlib.closing``.

    Parameters
    ----------
    items : generator
        Closed in its thread at the end, however it comes.
    room : int
        How many items may wait.
    may_drop : callable
        Whether, where there is no room for an item, the oldest that waits is dropped for it, as a camera demands;
        else the generator waits, as a file can.

    Attributes
    ----------
    dropped : int
        How many items were dropped.
    """

    def __init__(self, items: Generator[T, None, None], *, room: int = 2, may_drop: Callable[[T], bool]) -> None:
        self.dropped = 0
        self._items, self._room, self._may_drop = items, room, may_drop
        self._waiting: deque[T] = deque()
        self._changed = threading.Condition()
        self._is_over = self._is_closed = False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._take, name="mien capture", daemon=True)
        self._thread.start()

    def __next__(self) -> T:
        """Return the next item; raises what the generator raised, after what came before."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._is_over)
            if self._waiting:
                self._changed.notify_all()
                return self._waiting.popleft()
            error, self._error = self._error, None
        if error is not None:
            raise error
        raise StopIteration

    def close(self) -> None:
        """End the thread and close the generator."""
        with self._changed:
            self._is_closed = True
            self._waiting.clear()
            self._changed.notify_all()
        with suppress(ValueError):  # a generator that is at work can only be asked, if it knows how to be
            self._items.close()
        self._thread.join(END_WITHIN_S)

    def _take(self) -> None:
        try:
            for item in self._items:
                if not self._put(item):
                    break
        except BaseException as error:  # raised where the items are asked for
            self._error = error
        finally:
            self._items.close()
            with self._changed:
                self._is_over = True
                self._changed.notify_all()

    def _put(self, item: T) -> bool:
        """Let an item wait; return whether more are wanted."""
        with self._changed:
            if len(self._waiting) >= self._room and self._may_drop(item):
                self._waiting.popleft()
                self.dropped += 1
            self._changed.wait_for(lambda: len(self._waiting) < self._room or self._is_closed)
            if self._is_closed:
                return False
            self._waiting.append(item)
            self._changed.notify_all()
            return True


class Behind(Generic[T]):
    """Hands items to a function in a thread of its own, a few behind who gives them; used in a ``with`` statement.

    Leaving the block waits until all is handed over, and raises what the function raised.

    Parameters
    ----------
    function : callable
        Called with each item, in order, until it raises.
    room : int
        How many items may wait; who gives more is held up.
    """

    def __init__(self, function: Callable[[T], None], *, room: int = 4) -> None:
        self._function, self._room = function, room
        self._waiting: deque[T] = deque()
        self._changed = threading.Condition()
        self._is_closed = False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._hand, name="mien output", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: object, *exception: object) -> None:
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
        self._thread.join()
        if kind is None and self._error is not None:
            raise self._error

    def put(self, item: T) -> None:
        """Give an item; raises what the function raised before."""
        with self._changed:
            self._changed.wait_for(lambda: len(self._waiting) < self._room or self._error)
            if self._error is not None:
                raise self._error
            self._waiting.append(item)
            self._changed.notify_all()

    def _hand(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._is_closed)
                if not self._waiting:
                    return
                item = self._waiting.popleft()
                self._changed.notify_all()
            try:
                self._function(item)
            except BaseException as error:  # raised where the items are given
                with self._changed:
                    self._error = error
                    self._waiting.clear()
                    self._changed.notify_all()
                return
