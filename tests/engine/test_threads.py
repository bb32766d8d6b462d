"""Capture and output beside analysis: bounded, in order, and never left behind."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mien.core.errors import MediaError, OutputError
from mien.engine.threads import Ahead, Behind


def never(_: object) -> bool:
    return False


def always(_: object) -> bool:
    return True


class Counted:
    """A generator of numbers that says how far it was asked and whether it was closed."""

    def __init__(self, end: int = 1_000_000, *, error: Exception | None = None, pause_s: float = 0.0) -> None:
        self.made = 0
        self.is_closed = threading.Event()
        self._end, self._error, self._pause_s = end, error, pause_s

    def numbers(self) -> Generator[int, None, None]:
        try:
            for number in range(self._end):
                self.made += 1
                time.sleep(self._pause_s)
                yield number
            if self._error:
                raise self._error
        finally:
            self.is_closed.set()


def capture_threads() -> int:
    return sum(thread.name == "mien capture" for thread in threading.enumerate())


@given(count=st.integers(0, 40), room=st.integers(1, 5))
def test_what_may_not_be_dropped_comes_whole_and_in_order(count: int, room: int) -> None:
    with closing(Ahead(Counted(count).numbers(), room=room, may_drop=never)) as ahead:
        assert list(ahead) == list(range(count))
        assert ahead.dropped == 0


def test_a_file_is_read_no_further_ahead_than_there_is_room() -> None:
    source = Counted()
    with closing(Ahead(source.numbers(), room=3, may_drop=never)) as ahead:
        assert next(ahead) == 0
        time.sleep(0.05)
        assert source.made <= 1 + 3 + 1  # taken, waiting, in hand
    assert source.is_closed.is_set()
    assert capture_threads() == 0


def test_of_a_camera_the_newest_come_and_the_dropped_are_counted() -> None:
    source = Counted(200, pause_s=0.001)
    seen = []
    with closing(Ahead(source.numbers(), room=2, may_drop=always)) as ahead:
        for number in ahead:
            seen.append(number)
            time.sleep(0.01)
        assert seen == sorted(set(seen))
        assert seen[-1] == 199
        assert len(seen) + ahead.dropped == 200
        assert ahead.dropped > 100


def test_what_the_source_raises_comes_after_what_came_before() -> None:
    ahead = Ahead(Counted(3, error=MediaError("gone")).numbers(), may_drop=never)
    assert [next(ahead) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(MediaError, match="gone"):
        next(ahead)
    with pytest.raises(StopIteration):
        next(ahead)
    ahead.close()


def test_closing_does_not_wait_for_a_source_that_hangs() -> None:
    release = threading.Event()

    def hanging() -> Generator[int, None, None]:
        yield 0
        release.wait(20)

    ahead = Ahead(hanging(), may_drop=never)
    assert next(ahead) == 0
    began_s = time.monotonic()
    ahead.close()
    assert time.monotonic() - began_s < 2.0
    release.set()


@given(count=st.integers(0, 40), room=st.integers(1, 5))
def test_all_that_is_put_is_handed_over_in_order(count: int, room: int) -> None:
    written: list[int] = []
    with Behind(written.append, room=room) as behind:
        for number in range(count):
            behind.put(number)
    assert written == list(range(count))


def test_who_puts_is_held_up_by_a_slow_output() -> None:
    gate, written = threading.Semaphore(0), list[int]()

    def slow(number: int) -> None:
        gate.acquire()
        written.append(number)

    put = 0

    def give(behind: Behind[int]) -> None:
        nonlocal put
        for number in range(10):
            behind.put(number)
            put += 1

    with Behind(slow, room=2) as behind:
        giver = threading.Thread(target=give, args=(behind,))
        giver.start()
        time.sleep(0.05)
        assert put == 3  # two wait, one is in hand
        gate.release(10)
        giver.join()
    assert written == list(range(10))


def test_what_the_output_raises_is_raised_where_things_are_put() -> None:
    def full(_: int) -> None:
        raise OutputError("disk full")

    def fill() -> None:
        with Behind(full) as behind:
            for number in range(1000):
                behind.put(number)

    with pytest.raises(OutputError, match="disk full"):
        fill()

    def leave() -> None:
        with Behind(full) as behind:
            behind.put(1)

    with pytest.raises(OutputError, match="disk full"):
        leave()


def test_what_ends_the_block_goes_first_and_what_was_put_is_still_handed_over() -> None:
    written: list[int] = []

    def broken() -> None:
        with Behind(written.append) as behind:
            behind.put(1)
            raise MediaError("broken off")

    with pytest.raises(MediaError, match="broken off"):
        broken()
    assert written == [1]
