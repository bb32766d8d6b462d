"""What is done to faces, and what it costs a net."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mien.core.errors import OptionError
from mien.core.types import ByteArray, FloatArray
from mien.face.regions import FRAME_REGIONS
from mien.lab.evaluation import CONDITIONS, robustness, worsened
from mien.lab.evaluation.robustness import ON_THE_CARD


def faces(count: int = 6) -> ByteArray:
    return np.random.default_rng(0).integers(30, 220, (count, 48, 48)).astype(np.uint8)


def brightness(images: ByteArray) -> FloatArray:
    """Answer 1 for bright faces and 0 for dark ones."""
    share = images.mean(axis=(1, 2)) / 255
    return np.stack([1 - share, share], axis=1).astype(np.float32)


@pytest.mark.parametrize("condition", CONDITIONS)
def test_a_condition_changes_faces_and_nothing_else(condition: str) -> None:
    images, before = faces(), faces()
    changed = worsened(images, condition)
    assert changed.shape == images.shape
    assert changed.dtype == np.uint8
    assert (changed != images).any(axis=(1, 2)).all()
    assert np.array_equal(images, before)


@pytest.mark.parametrize("condition", CONDITIONS)
def test_a_part_of_the_faces_changes_as_in_the_whole(condition: str) -> None:
    images = faces()
    assert np.array_equal(worsened(images, condition)[:3], worsened(images[:3], condition))


def test_the_seed_says_what_is_random() -> None:
    images = faces()
    assert np.array_equal(worsened(images, "noise, sigma 16", seed=1), worsened(images, "noise, sigma 16", seed=1))
    assert not np.array_equal(worsened(images, "noise, sigma 16", seed=1), worsened(images, "noise, sigma 16", seed=2))


def test_the_worse_the_condition_the_more_is_changed() -> None:
    smooth = np.cumsum(np.cumsum(faces(2).astype(np.int64) - 125, axis=1), axis=2)
    images = (255 * (smooth - smooth.min()) / np.ptp(smooth)).astype(np.uint8)
    rising: list[tuple[str, ...]] = [
        ("face of 32 px", "face of 24 px", "face of 16 px"),
        ("JPEG quality 50", "JPEG quality 20", "JPEG quality 10"),
        ("blur, sigma 0.5", "blur, sigma 1", "blur, sigma 1.5"),
        ("noise, sigma 8", "noise, sigma 16"),
    ]
    for conditions in rising:
        changes = [np.abs(worsened(images, name).astype(float) - images).mean() for name in conditions]
        assert changes == sorted(changes)


def test_what_is_covered_is_hidden_and_the_rest_is_seen() -> None:
    images = faces(1)
    changed = worsened(images, "mouth covered")[0] != images[0]
    left, top, right, bottom = (round(48 * share) for share in FRAME_REGIONS["mouth"])
    assert changed[top:bottom, left:right].mean() > 0.95
    changed[top:bottom, left:right] = False
    assert not changed.any()


def test_accuracy_is_lost_point_by_point() -> None:
    images = np.full((10, 48, 48), 100, np.uint8)
    images[5:] = 180  # of the bright ones, 0.6 times as bright, none is bright any more
    labels = np.repeat([0, 1], 5)
    (row,) = robustness(brightness, images, labels, ["brightness x0.6"])
    assert (row.condition, row.accuracy.value, row.drop.value) == ("brightness x0.6", 0.5, 0.5)
    assert 0 < row.drop.low <= row.drop.value <= row.drop.high < 1


def test_a_gain_is_a_negative_drop() -> None:
    images = np.full((4, 48, 48), 110, np.uint8)
    (row,) = robustness(brightness, images, np.ones(4, np.int64), ["brightness x1.4"])
    assert (row.accuracy.value, row.drop.value, row.drop.low) == (1.0, -1.0, -1.0)


@given(st.integers(0, 5), st.sampled_from(sorted(CONDITIONS)))
def test_a_net_that_sees_nothing_loses_nothing(label: int, condition: str) -> None:
    def blind(images: ByteArray) -> FloatArray:
        return np.tile(np.array([0.6, 0.4], np.float32), (len(images), 1))

    (row,) = robustness(blind, faces(3), np.array([label % 2, 0, 1]), [condition])
    assert (row.drop.value, row.drop.low, row.drop.high) == (0, 0, 0)


def test_what_the_card_states_is_measured() -> None:
    assert set(ON_THE_CARD.values()) <= set(CONDITIONS)


def test_refusals() -> None:
    with pytest.raises(OptionError, match="no condition 'fog': expected one of blur"):
        worsened(faces(), "fog")
    with pytest.raises(OptionError, match="no faces to measure"):
        list(robustness(brightness, faces(0), np.empty(0, np.int64)))
    assert worsened(faces(0), "equalized").shape == (0, 48, 48)
