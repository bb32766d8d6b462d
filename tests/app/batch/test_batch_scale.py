"""The simulated cluster does as arithmetic says where nothing goes wrong, and never better where something does."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.append(str(Path(__file__).resolve().parents[3] / "benchmarks"))

from simulated_cluster import WAVE_S, Cluster, finished_s, in_segments, in_waves_s, videos_s

CALM = Cluster(4)


def took_s(tasks_s: list[float], cluster: Cluster) -> float:
    generator = np.random.default_rng(0)
    return finished_s(tasks_s, cluster, cluster.speeds(generator), generator)


def test_equal_tasks_are_shared_evenly() -> None:
    assert took_s([10.0] * 8, CALM) == 20.0
    assert took_s([10.0] * 9, CALM) == 30.0
    assert took_s([], CALM) == 0.0


def test_one_long_task_is_waited_for() -> None:
    assert took_s([1.0] * 4 + [100.0], CALM) == 101.0


def test_deaths_and_stragglers_cost_time() -> None:
    tasks = [100.0] * 40
    assert took_s(tasks, Cluster(4, life_s=500.0)) > took_s(tasks, CALM)
    assert took_s(tasks, Cluster(4, slow=1.0)) == pytest.approx(3 * took_s(tasks, CALM))


def test_videos_are_as_long_as_asked_and_their_segments_with_warm_up_longer() -> None:
    lengths = videos_s(100.0, np.random.default_rng(0))
    assert lengths.sum() >= 100 * 3600
    assert lengths[:-1].sum() < 100 * 3600
    assert in_segments(np.array([30.0])).tolist() == [30.0]
    assert in_segments(np.array([150.0])).tolist() == [65.0, 65.0, 35.0]


def test_waves_are_waited_for() -> None:
    generator = np.random.default_rng(0)
    speeds = CALM.speeds(generator)
    waves = in_waves_s([10.0] * 16, CALM, speeds, generator, tasks_a_worker=2, blocks_a_worker=1)
    assert waves == 2 * (20.0 + WAVE_S)
