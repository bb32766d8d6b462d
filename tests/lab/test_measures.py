"""What nets are told of faces: nothing that tells a face from its mirror image."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mien.core.preprocess import MEAN_SHAPE
from mien.core.types import FloatArray
from mien.face.geometry import GEOMETRY_NAMES, geometry
from mien.face.landmarks import GROUPS, MIRROR
from mien.face.motion import MOTION_NAMES
from mien.lab.measures import COUNT, FAMILIES, MEASURES, family_measures, measures_of

WIDTH = 400


def shape(seed: int) -> FloatArray:
    """Return the mean face in a picture 400 px wide, each point a little elsewhere, (1, 68, 2)."""
    noise = np.random.default_rng(seed).normal(0, 3, MEAN_SHAPE.shape)
    return (100 + 200 * MEAN_SHAPE + noise).astype(np.float32)[None]


def mirrored(points: FloatArray) -> FloatArray:
    return ((WIDTH, 0) + points * (-1, 1)).astype(np.float32)[:, MIRROR]


def told(points: FloatArray) -> dict[str, float]:
    values = family_measures(geometry(points), GEOMETRY_NAMES, "geometry")[0]
    return dict(zip(MEASURES["geometry"], values.tolist(), strict=True))


@given(seed=st.integers(0, 10**6))
def test_a_face_and_its_mirror_image_are_told_alike(seed: int) -> None:
    one, other = told(shape(seed)), told(mirrored(shape(seed)))
    for name, value in one.items():
        # Angles are found step by step: a hundredth of a degree is no side.
        assert other[name] == pytest.approx(value, abs=0.05 if name.startswith("head") else 1e-3), name


def test_motion_to_either_side_is_told_alike() -> None:
    moving = np.random.default_rng(0).normal(size=(1, len(MOTION_NAMES))).astype(np.float32)
    is_sideways = np.array([name.endswith("_x") for name in MOTION_NAMES])
    assert is_sideways.sum() == 4
    reverse = np.where(is_sideways, -moving, moving)
    one, other = (family_measures(table, MOTION_NAMES, "motion") for table in (moving, reverse))
    np.testing.assert_array_equal(one, other)
    assert (one[:, is_sideways] >= 0).all()
    np.testing.assert_array_equal(one[:, ~is_sideways], moving[:, ~is_sideways])


def test_one_raised_brow_is_a_difference() -> None:
    level = shape(0)
    for side in ("right_brow", "left_brow"):
        raised = level.copy()
        raised[:, GROUPS[side], 1] -= 15
        assert told(raised)["brow_raise_difference"] > told(level)["brow_raise_difference"] + 0.05
        assert told(raised)["brow_raise"] > told(level)["brow_raise"] + 0.02


def test_no_measure_has_a_side() -> None:
    names = [name for family in MEASURES.values() for name in family]
    assert len(names) == len(set(names)) == COUNT
    assert not [name for name in names if name.endswith(("_left", "_right"))]
    assert set(names) - {name for family in FAMILIES.values() for name in family} == {
        "brow_raise_difference",
        "eye_openness_difference",
    }


def test_families_that_are_left_out_are_missing() -> None:
    names = (*MOTION_NAMES, "lbp_face_0", *GEOMETRY_NAMES)  # in whatever order they come
    features = np.random.default_rng(0).normal(size=(3, len(names))).astype(np.float32)
    table = measures_of(features, names, ("geometry",))
    count = len(MEASURES["geometry"])
    assert table.dtype == np.float32
    assert table.shape == (3, COUNT)
    np.testing.assert_array_equal(table[:, :count], family_measures(features, names, "geometry"))
    assert np.isnan(table[:, count:]).all()
    assert np.isnan(measures_of(features, names, ())).all()
    assert np.isfinite(measures_of(features, names, ("motion", "geometry"))).all()


def test_what_is_missing_stays_missing() -> None:
    features = np.full((1, len(GEOMETRY_NAMES)), np.nan, np.float32)
    assert np.isnan(family_measures(features, GEOMETRY_NAMES, "geometry")).all()
