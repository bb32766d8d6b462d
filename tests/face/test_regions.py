"""Regions of the frame divide a map without loss or overlap."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mien.face.regions import ELSEWHERE, FRAME_REGIONS, region_sums


@given(side=st.integers(8, 300), seed=st.integers(0, 99))
def test_the_sums_add_up_at_any_size(side: int, seed: int) -> None:
    values = np.random.default_rng(seed).random((side, side), np.float32)
    sums = region_sums(values)
    assert list(sums) == [*FRAME_REGIONS, ELSEWHERE]
    assert min(sums.values()) >= 0
    assert sum(sums.values()) == pytest.approx(values.sum(dtype=np.float64), rel=1e-5)


@given(x=st.integers(0, 99), y=st.integers(0, 99))
def test_a_point_is_in_one_region(x: int, y: int) -> None:
    values = np.zeros((100, 100), np.float32)
    values[y, x] = 1
    assert sorted(region_sums(values).values()) == [0, 0, 0, 0, 1]


@pytest.mark.parametrize("name", FRAME_REGIONS)
def test_each_region_is_where_it_says(name: str) -> None:
    left, top, right, bottom = (round(48 * share) for share in FRAME_REGIONS[name])
    values = np.zeros((48, 48), np.float32)
    values[top:bottom, left:right] = 1
    assert region_sums(values) == {**dict.fromkeys([*FRAME_REGIONS, ELSEWHERE], 0), name: values.sum()}


def test_a_face_reads_from_brows_to_mouth() -> None:
    assert list(FRAME_REGIONS) == ["brows", "eyes", "nose", "mouth"]
    tops = [top for _, top, _, _ in FRAME_REGIONS.values()]
    assert tops == sorted(tops)
