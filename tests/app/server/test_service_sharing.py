"""Threads and net shared by clients: fair, batched, and whole after a failure."""

from __future__ import annotations

import asyncio
import threading
import time
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mien.app.server.batching import MAX_FACES, BatchingRecognizer
from mien.app.server.limits import Bucket
from mien.app.server.sharing import FairPool, Share
from mien.core.types import ByteArray, FloatArray
from mien.engine.recognizer import Recognizer, load


class Slow(Recognizer):
    """A net that waits until it may go on, and remembers how many faces it was given."""

    def __init__(self) -> None:
        super().__init__(load().model)
        self.may_go, self.runs = threading.Event(), list[int]()
        self.begun = threading.Semaphore(0)
        self.model = self  # type: ignore[assignment]

    @property
    def card(self):  # type: ignore[no-untyped-def]
        return load().card

    def run(self, faces: ByteArray) -> FloatArray:
        self.runs.append(len(faces))
        self.begun.release()
        assert self.may_go.wait(10)
        if faces.max(initial=0) == 255:
            raise RuntimeError("no face is that bright")
        return np.repeat(faces.mean(axis=(1, 2, 3), dtype=np.float32)[:, None], 7, axis=1)


def crops(*shades: int) -> ByteArray:
    size = load().card.input_size
    return np.stack([np.full((size, size), shade, np.uint8) for shade in shades])


def test_answers_are_those_of_the_net_alone(astronaut: ByteArray) -> None:
    faces = [astronaut[:200, 100:300], astronaut[50:150, 150:250], astronaut[::2, ::2]] * 5
    sizes: list[int] = []
    batching = BatchingRecognizer(load(), on_batch=sizes.append)
    assert np.allclose(batching.probabilities(faces), load().probabilities(faces), atol=1e-6)
    assert sum(sizes) == len(faces)
    assert max(sizes) <= MAX_FACES
    assert batching.probabilities([]).shape == (0, 7)


def test_who_comes_while_the_net_runs_goes_through_it_together() -> None:
    slow = Slow()
    batching = BatchingRecognizer(slow)
    answers: dict[int, float] = {}

    def ask(shade: int) -> None:
        answers[shade] = float(batching.probabilities(crops(shade))[0, 0])

    threads = [threading.Thread(target=ask, args=(shade,)) for shade in (10, 20, 30, 40)]
    threads[0].start()
    assert slow.begun.acquire(timeout=10)
    for thread in threads[1:]:
        thread.start()
    while len(batching._waiting) < 3:
        time.sleep(0.001)
    slow.may_go.set()
    for thread in threads:
        thread.join(10)
    assert slow.runs == [1, 3]
    assert answers == {10: 10.0, 20: 20.0, 30: 30.0, 40: 40.0}


def test_a_failure_of_the_net_reaches_everybody_in_the_batch_and_nobody_else() -> None:
    slow = Slow()
    slow.may_go.set()
    batching = BatchingRecognizer(slow)
    with pytest.raises(RuntimeError, match="bright"):
        batching.probabilities(crops(255))
    assert batching.probabilities(crops(7))[0, 0] == 7


def test_a_crowd_lets_others_in_between() -> None:
    slow = Slow()
    slow.may_go.set()
    BatchingRecognizer(slow).probabilities(crops(*range(20)))
    assert slow.runs == [8, 8, 4]


def used(costs_s: list[float], seconds: float) -> tuple[list[float], list[int], float]:
    """Return the time and the turns of several clients that ask all the time, and the longest turn."""
    shares, turns, longest_s = [Share() for _ in costs_s], [0] * len(costs_s), 0.0

    async def client(pool: FairPool, name: int, end_s: float) -> None:
        nonlocal longest_s
        while time.monotonic() < end_s:
            before_s = shares[name].used_s
            await pool.run(shares[name], partial(time.sleep, costs_s[name]))
            longest_s = max(longest_s, shares[name].used_s - before_s)
            turns[name] += 1

    async def main() -> None:
        pool, end_s = FairPool(1), time.monotonic() + seconds
        await asyncio.gather(*(client(pool, name, end_s) for name in range(len(costs_s))))
        pool.close()

    asyncio.run(main())
    return [share.used_s for share in shares], turns, longest_s


@pytest.mark.parametrize("costs_s", [[0.005] * 4, [0.004, 0.004, 0.04]])
def test_clients_get_the_same_time_whatever_their_frames_cost(costs_s: list[float]) -> None:
    times_s, turns, longest_s = used(costs_s, 0.8)
    assert max(times_s) - min(times_s) <= 2 * longest_s
    assert min(turns) > 0
    assert costs_s[0] == costs_s[-1] or turns[-1] < turns[0]


def test_who_was_away_has_saved_nothing_up() -> None:
    async def main() -> list[str]:
        pool, order = FairPool(1), list[str]()
        busy, late = Share(), Share()
        for _ in range(20):
            await pool.run(busy, partial(time.sleep, 0.005))

        async def ask(name: str, share: Share, times: int) -> None:
            for _ in range(times):
                await pool.run(share, partial(time.sleep, 0.005))
                order.append(name)

        await asyncio.gather(ask("busy", busy, 6), ask("late", late, 6))
        pool.close()
        return order

    assert "busy" in asyncio.run(main())[:5]


def test_a_client_that_leaves_gives_its_thread_back() -> None:
    async def main() -> None:
        pool, share = FairPool(1), Share()
        may_go = threading.Event()
        at_work = asyncio.create_task(pool.run(share, lambda: may_go.wait(10)))
        waiting = asyncio.create_task(pool.run(Share(), lambda: None))
        await asyncio.sleep(0.02)
        for task in (at_work, waiting):
            task.cancel()
        await asyncio.gather(at_work, waiting, return_exceptions=True)
        may_go.set()
        async with asyncio.timeout(10):
            assert await pool.run(Share(), lambda: 7) == 7
        pool.close()

    asyncio.run(main())


def test_what_a_function_raises_comes_back_and_the_thread_goes_on() -> None:
    async def main() -> None:
        pool = FairPool(1)
        with pytest.raises(ZeroDivisionError):
            await pool.run(Share(), lambda: 1 / 0)
        assert await pool.run(Share(), lambda: 7) == 7
        pool.close()

    asyncio.run(main())


@given(st.floats(0.5, 100), st.lists(st.floats(0, 5), max_size=50))
def test_a_bucket_lets_through_no_more_than_its_rate(per_second: float, gaps_s: list[float]) -> None:
    bucket, now_s, passed = Bucket(per_second, room=max(per_second, 1)), 0.0, 0
    for gap_s in gaps_s:
        now_s += gap_s
        passed += bucket.takes(now_s)
        assert passed <= max(per_second, 1) + now_s * per_second + 1e-6
    assert not gaps_s or passed
