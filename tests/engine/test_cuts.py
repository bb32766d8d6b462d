"""A cut is another scene: not light that changes, not people who move."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from mien.core.types import ByteArray
from mien.engine.cuts import LEAST_LIKENESS, CutFinder


def scene(seed: int) -> ByteArray:
    """Return a room of large plain areas, (180, 320, 3)."""
    areas = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return np.ascontiguousarray(areas.repeat(30, axis=0).repeat(40, axis=1))


def are_cuts(*pictures: ByteArray) -> list[bool]:
    finder = CutFinder()
    return [finder.is_cut(picture) for picture in pictures]


@given(first=st.integers(0, 500), second=st.integers(501, 1000))
def test_another_scene_is_a_cut_and_the_same_is_none(first: int, second: int) -> None:
    grays = [cv2.cvtColor(scene(seed), cv2.COLOR_RGB2GRAY).ravel() for seed in (first, second)]
    assume(np.asarray(np.corrcoef(grays))[0, 1] < LEAST_LIKENESS - 0.1)  # one pair in a thousand is alike by chance
    assert are_cuts(scene(first), scene(first), scene(second), scene(second)) == [False, False, True, False]


@given(seed=st.integers(0, 1000), gain=st.floats(0.3, 1), offset=st.integers(0, 60))
def test_light_that_changes_cuts_nothing(seed: int, gain: float, offset: int) -> None:
    changed = (scene(seed) * gain * 0.75 + offset).astype(np.uint8)
    assert are_cuts(scene(seed), changed, scene(seed)) == [False, False, False]


def test_someone_who_walks_through_the_picture_cuts_nothing() -> None:
    pictures = []
    for left in range(0, 220, 20):
        picture = scene(3).copy()
        picture[30:, left : left + 100] = 200
        pictures.append(picture)
    assert not any(are_cuts(*pictures))


def test_a_camera_that_pans_cuts_nothing(astronaut: ByteArray) -> None:
    assert not any(are_cuts(*(astronaut[100:370, left : left + 480 - 160] for left in range(0, 190, 10))))


def test_what_comes_after_black_is_compared_with_what_was_before() -> None:
    black = np.zeros_like(scene(0))
    assert are_cuts(scene(0), black, black, scene(1), scene(1)) == [False, False, False, True, False]
    assert not any(are_cuts(black, scene(0), black, scene(0), black, black))


@pytest.mark.parametrize("size", [(90, 160), (180, 318), (360, 640)])
def test_a_frame_of_another_size_is_another_scene(size: tuple[int, int]) -> None:
    other = np.zeros((*size, 3), np.uint8)
    other[:, ::7] = 90
    assert are_cuts(scene(0), other, other) == [False, True, False]
