from __future__ import annotations

from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.transform import SimilarityTransform

from mien.core import preprocess
from mien.core.errors import OptionError
from mien.core.preprocess import (
    MEAN_SHAPE,
    STABLE_POINTS,
    aligned_crops,
    alignment,
    as_rgb,
    boxes_around,
    crops,
    gray,
    points_in_crops,
)
from mien.core.types import ByteArray, FloatArray, IntArray
from mien.face.landmarks import GROUPS, MIRROR

Matrix: TypeAlias = npt.NDArray[np.float64]  # (2, 3), from points to points

FACE = (165.0, 55.0, 110.0)  # left, top and side of the astronaut's frame
angles = st.floats(-180, 180)


def similarity(degrees: float, scale: float, shift: tuple[float, float] = (0, 0)) -> Matrix:
    radians = np.radians(degrees)
    cosine, sine = scale * np.cos(radians), scale * np.sin(radians)
    return np.array([[cosine, -sine, shift[0]], [sine, cosine, shift[1]]])


def turn_about(degrees: float, x: float, y: float) -> Matrix:
    turn = similarity(degrees, 1)
    turn[:, 2] = np.array([x, y]) - turn[:, :2] @ [x, y]
    return turn


def moved(points: FloatArray, matrix: Matrix) -> FloatArray:
    return (points @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32)


def mean_face(left: float, top: float, side: float) -> FloatArray:
    """Return the points of a face that lies in this frame as the mean face does, (1, 68, 2)."""
    return (MEAN_SHAPE * side + [left, top]).astype(np.float32)[None]


def square(left: float, top: float, side: float) -> FloatArray:
    """Return the box that ``crops`` cuts this frame for, (1, 4)."""
    return boxes_around(np.array([[left + side / 2, top + side / 2, side]], np.float32))


def odd_face(seed: int, side: float = 100) -> FloatArray:
    """Return points that are no similarity of the mean face, (1, 68, 2)."""
    return mean_face(30, 20, side) + np.random.default_rng(seed).normal(0, 0.03 * side, (68, 2)).astype(np.float32)


def noise(height: int, width: int) -> ByteArray:
    return np.random.default_rng(0).integers(0, 256, (height, width), dtype=np.uint8)


def difference(first: ByteArray, second: ByteArray) -> IntArray:
    off: IntArray = np.abs(first.astype(np.int64) - second)
    return off


# ------------------------------------------------------------------------------------------------------- mean shape


def test_the_mean_face_is_its_own_mirror_image() -> None:
    assert MEAN_SHAPE.shape == (68, 2)
    assert MEAN_SHAPE.dtype == np.float32
    assert np.allclose(MEAN_SHAPE[list(MIRROR)] * [-1, 1] + [1, 0], MEAN_SHAPE, atol=1e-6)


def test_the_mean_face_has_its_parts_where_a_face_has_them() -> None:
    x, y = ({name: MEAN_SHAPE[group, axis].mean() for name, group in GROUPS.items()} for axis in (0, 1))
    down = ("right_brow", "right_eye", "nose_bridge", "nose_base", "inner_lips")
    assert sorted(down, key=y.__getitem__) == list(down)
    assert x["right_eye"] < 0.5 < x["left_eye"]
    assert MEAN_SHAPE[8, 1] == MEAN_SHAPE[:, 1].max()


# -------------------------------------------------------------------------------------------------------- alignment


@given(angles, st.floats(5, 3000), st.floats(-500, 4000), st.floats(-500, 4000))
def test_a_turned_mean_face_comes_back_to_the_mean(degrees: float, side: float, x: float, y: float) -> None:
    face = moved(MEAN_SHAPE, similarity(degrees, side, (x, y)))
    back = moved(face, alignment(face[None])[0].astype(np.float64))
    # Coordinates of some thousand pixels are known to 0.0002 px.
    assert np.abs(back - MEAN_SHAPE).max() < 1e-5 + 1e-3 / side


@given(st.integers(0, 10_000), st.floats(10, 500))
def test_the_fit_is_that_of_another_implementation(seed: int, side: float) -> None:
    face = odd_face(seed, side)
    points, means = face[0, STABLE_POINTS].astype(np.float64), MEAN_SHAPE[STABLE_POINTS].astype(np.float64)
    expected = SimilarityTransform.from_estimate(points, means)
    assert np.allclose(alignment(face)[0], expected.params[:2], rtol=1e-4, atol=1e-5)


@given(st.integers(0, 10_000), angles, st.floats(0.2, 5), st.floats(-300, 300))
def test_what_is_done_to_a_face_is_undone(seed: int, degrees: float, scale: float, shift: float) -> None:
    face = odd_face(seed)
    changed = moved(face, similarity(degrees, scale, (shift, -shift)))
    assert np.allclose(points_in_crops(changed, 48), points_in_crops(face, 48), atol=0.01)


def test_points_that_an_expression_moves_count_nothing() -> None:
    face = odd_face(0)
    changed, unknown = face.copy(), face.copy()
    moving = [group for name, group in GROUPS.items() if name not in ("nose_base", "right_eye", "left_eye")]
    for group in moving:
        changed[:, group] += 10
        unknown[:, group] = np.nan
    assert np.array_equal(alignment(changed), alignment(face))
    assert np.array_equal(alignment(unknown), alignment(face))


@pytest.mark.parametrize(
    "points",
    [
        np.full((68, 2), np.nan),
        np.where(np.arange(68)[:, None] == 40, np.nan, MEAN_SHAPE * 50),
        np.where(np.arange(68)[:, None] == 40, np.inf, MEAN_SHAPE * 50),
        np.full((68, 2), 7.0),
        MEAN_SHAPE * 0.5,
        MEAN_SHAPE * 1e6 + 9e5,
        MEAN_SHAPE[::-1] * 0,
    ],
    ids=["none", "one missing", "infinite", "one place", "under a pixel", "far away", "origin"],
)
def test_a_face_without_a_frame_has_no_transform(points: npt.NDArray[np.float64]) -> None:
    faces = np.stack([MEAN_SHAPE * 50, points.astype(np.float32), MEAN_SHAPE * 70])
    transforms = alignment(faces)
    assert transforms.shape == (3, 2, 3)
    assert transforms.dtype == np.float32
    assert np.isnan(transforms[1]).all()
    assert np.isfinite(transforms[[0, 2]]).all()
    with pytest.raises(OptionError, match="face 1 has no points"):
        aligned_crops(np.zeros((60, 60), np.uint8), faces, 48)


def test_no_face_has_no_transform_and_no_crop() -> None:
    nobody = np.empty((0, 68, 2), np.float32)
    assert alignment(nobody).shape == (0, 2, 3)
    assert aligned_crops(np.zeros((9, 9, 3), np.uint8), nobody, 48).shape == (0, 48, 48)
    assert points_in_crops(nobody, 48).shape == (0, 68, 2)


# ------------------------------------------------------------------------------------------------------------ crops


@pytest.mark.parametrize("size", [48, 96])
def test_a_mean_face_that_fills_its_picture_stays_as_it_is(size: int) -> None:
    picture = np.stack([noise(size, size)] * 3, axis=2)
    assert np.array_equal(aligned_crops(picture, mean_face(0, 0, size), size)[0], gray(picture))


@given(st.floats(-40, 500), st.floats(-40, 500), st.floats(20, 300))
@settings(max_examples=30)
def test_an_upright_mean_face_is_cut_as_its_box_is(left: float, top: float, side: float) -> None:
    picture = cv2.GaussianBlur(noise(512, 512), (0, 0), 1.5).astype(np.uint8)
    straight, by_points = (
        crops(picture, square(left, top, side), 48),
        aligned_crops(picture, mean_face(left, top, side), 48),
    )
    assert difference(straight, by_points).mean() < 1.5


@given(angles, st.floats(0, 300), st.floats(0, 300))
@settings(max_examples=20)
def test_a_picture_turned_about_any_point_gives_the_upright_crop(
    astronaut: ByteArray, degrees: float, x: float, y: float
) -> None:
    border = 400
    upright = np.pad(gray(astronaut), border, mode="edge")
    turn = turn_about(degrees, x + border, y + border)
    # OpenCV counts from the center of the first pixel, points from its corner.
    centers = turn.copy()
    centers[:, 2] += turn[:, :2].sum(axis=1) / 2 - 0.5
    turned = np.asarray(cv2.warpAffine(upright, centers, upright.shape[::-1], flags=cv2.INTER_CUBIC), np.uint8)
    face = mean_face(FACE[0] + border, FACE[1] + border, FACE[2])
    off = difference(aligned_crops(turned, moved(face, turn), 48), aligned_crops(upright, face, 48))
    # Half a pixel amiss would be 4.4 on average; two interpolations are 0.5.
    assert off.mean() < 1
    assert off.max() < 16


@given(st.integers(1, 3), st.floats(20, 150))
@settings(max_examples=20)
def test_a_quarter_turn_changes_nothing(turns: int, side: float) -> None:
    picture = cv2.GaussianBlur(noise(200, 200), (0, 0), 1.0).astype(np.uint8)
    face = mean_face(12.5, 20.25, side)
    turned = moved(face, turn_about(-90 * turns, 100, 100))  # rot90 turns counterclockwise
    off = difference(aligned_crops(np.rot90(picture, turns), turned, 24), aligned_crops(picture, face, 24))
    assert off.max() <= 3


@pytest.mark.parametrize("degrees", [0, 17, 45, -100])
def test_what_is_finer_than_the_crop_is_averaged(degrees: float) -> None:
    checkerboard = (np.indices((400, 400)).sum(axis=0) % 2 * 255).astype(np.uint8)
    (crop,) = aligned_crops(checkerboard, moved(mean_face(100, 100, 200), turn_about(degrees, 200, 200)), 48)
    assert difference(crop, np.full_like(crop, 127)).max() < 40
    assert abs(crop.mean() - 127.5) < 2


@given(st.integers(0, 255), angles, st.floats(2, 1000), st.floats(-1e5, 1e5), st.sampled_from([(20, 30), (1, 50, 3)]))
def test_a_constant_picture_gives_constant_crops_wherever_the_faces_are(
    value: int, degrees: float, side: float, shift: float, shape: tuple[int, ...]
) -> None:
    face = moved(MEAN_SHAPE, similarity(degrees, side, (shift, shift)))[None]
    assert (aligned_crops(np.full(shape, value, np.uint8), face, 12) == value).all()


def test_a_frame_wider_than_any_picture_is_cut_with_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preprocess, "MOST_GRID_PX", 960)
    face = moved(MEAN_SHAPE, similarity(30, 9e5, (-4e5, -6e5)))[None]
    assert (aligned_crops(np.full((20, 30), 7, np.uint8), face, 48) == 7).all()


def test_beyond_the_picture_its_border_is_repeated() -> None:
    picture = np.tile(np.arange(48, dtype=np.uint8) * 5, (48, 1))
    (crop,) = aligned_crops(picture, mean_face(-24, 0, 48), 48)
    assert (crop[:, :24] == 0).all()
    assert np.array_equal(crop[:, 24:], picture[:, :24])


def test_each_face_is_cut_as_if_it_were_alone(astronaut: ByteArray) -> None:
    before = astronaut.copy()
    faces = np.concatenate([moved(mean_face(*FACE), turn_about(20, 220, 110)), mean_face(-30, 400, 130)])
    together = aligned_crops(astronaut, faces, 48)
    for index in range(len(faces)):
        assert np.array_equal(together[index], aligned_crops(gray(astronaut), faces[[index]], 48)[0])
    assert np.array_equal(astronaut, before)


# ----------------------------------------------------------------------------------------------------------- points


def test_the_points_of_a_mean_face_lie_in_its_crop_as_the_mean_has_them() -> None:
    faces = np.concatenate([mean_face(3, 4, 50), moved(mean_face(100, 20, 300), turn_about(40, 7, 8))])
    assert np.allclose(points_in_crops(faces, 96), MEAN_SHAPE * 96, atol=0.01)


def test_missing_points_stay_missing() -> None:
    faces = np.repeat(odd_face(0), 2, axis=0)
    faces[0, 60], faces[1, 40] = np.nan, np.nan
    points = points_in_crops(faces, 48)
    assert np.isnan(points[0, 60]).all()
    assert np.isfinite(points[0, :60]).all()
    assert np.isnan(points[1]).all()


@pytest.mark.parametrize("point", [19, 30, 36, 54])
@pytest.mark.parametrize("degrees", [0, 25, -70])
def test_a_point_of_the_picture_is_found_in_the_crop(point: int, degrees: float) -> None:
    face = moved(odd_face(1, side=150), turn_about(degrees, 120, 110))
    y, x = np.indices((300, 300)) + 0.5
    spot = np.exp(-((x - face[0, point, 0]) ** 2 + (y - face[0, point, 1]) ** 2) / (2 * 5**2))
    (crop,) = aligned_crops(as_rgb((200 * spot).astype(np.uint8)), face, 96)
    rows, columns = np.indices(crop.shape) + 0.5
    weights = crop.astype(np.float64)
    found = np.array([(weights * columns).sum(), (weights * rows).sum()]) / weights.sum()
    assert np.abs(found - points_in_crops(face, 96)[0, point]).max() < 0.2
