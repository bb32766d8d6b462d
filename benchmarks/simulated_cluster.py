"""What stragglers and failures cost a cluster that reads an archive: a simulation, from the measured time of an hour.

Cores take tasks in order, whoever is free first. Lengths of videos, speeds of cores and failures are drawn from a seed.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mien.app.batch.ray_engine import BLOCKS_A_WORKER, TASKS_A_WORKER
from mien.engine.segments.reading import SEGMENT_S, WARM_UP_S

MEDIAN_S = 1200.0  # of a video; sigma 1: one in a hundred is longer than 3.4 hours
RESTART_S = 15.0  # until a worker that died has a successor
WAVE_S = 5.0  # until actors of a wave are there, and its end is seen

Seconds = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Cluster:
    """Cores and what befalls them.

    Parameters
    ----------
    cores : int
    spread : float
        Of the logarithm of their speeds.
    slow : float
        Share of them that take three times as long.
    life_s : float
        Mean seconds from one death of a worker to the next; infinity for none.
    """

    cores: int
    spread: float = 0.0
    slow: float = 0.0
    life_s: float = np.inf

    def speeds(self, generator: np.random.Generator) -> Seconds:
        """Draw the speed of each core."""
        speeds = np.exp(self.spread * generator.standard_normal(self.cores))
        return np.where(generator.random(self.cores) < self.slow, speeds / 3, speeds)


def videos_s(hours: float, generator: np.random.Generator) -> Seconds:
    """Draw the lengths of videos that are so many hours together."""
    mean_s = MEDIAN_S * np.exp(0.5)
    lengths = MEDIAN_S * np.exp(generator.standard_normal(int(2 * hours * 3600 / mean_s) + 10))
    return np.asarray(lengths[: int(np.searchsorted(np.cumsum(lengths), hours * 3600)) + 1])


def in_segments(lengths_s: Seconds) -> Seconds:
    """Return the seconds of video of each task where long ones are split: warm-ups are read twice."""
    tasks: list[float] = []
    for length in lengths_s:
        count = int(np.ceil(length / SEGMENT_S))
        tasks += [SEGMENT_S + WARM_UP_S] * (count - 1) + [length - (count - 1) * SEGMENT_S + WARM_UP_S * (count > 1)]
    return np.array(tasks)


def finished_s(tasks_s: Iterable[float], cluster: Cluster, speeds: Seconds, generator: np.random.Generator) -> float:
    """Return when the last of these tasks is done; a task whose worker dies is done again from its start."""
    free = [(0.0, core) for core in range(cluster.cores)]
    waiting, last_s = list(tasks_s)[::-1], 0.0
    while waiting:
        task_s = waiting.pop()
        now_s, core = heapq.heappop(free)
        needed_s = task_s / speeds[core]
        dies_s = generator.exponential(cluster.life_s) if np.isfinite(cluster.life_s) else np.inf
        if dies_s < needed_s:
            waiting.append(task_s)
            heapq.heappush(free, (now_s + dies_s + RESTART_S, core))
            continue
        last_s = max(last_s, now_s + needed_s)
        heapq.heappush(free, (now_s + needed_s, core))
    return last_s


def in_waves_s(
    tasks_s: Sequence[float],
    cluster: Cluster,
    speeds: Seconds,
    generator: np.random.Generator,
    *,
    tasks_a_worker: int = TASKS_A_WORKER,
    blocks_a_worker: int = BLOCKS_A_WORKER,
) -> float:
    """Return when all is done where tasks are given out in waves of blocks, as to Ray."""
    wave, whole_s = tasks_a_worker * cluster.cores, 0.0
    for begin in range(0, len(tasks_s), wave):
        part = np.asarray(tasks_s[begin : begin + wave])
        blocks = np.array_split(part, min(len(part), blocks_a_worker * cluster.cores))
        whole_s += WAVE_S + finished_s([float(block.sum()) for block in blocks], cluster, speeds, generator)
    return whole_s
