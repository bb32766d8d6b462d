"""Regions divide a map without loss or overlap, and lie where their landmarks do."""

from __future__ import annotations

from itertools import combinations

import cv2
import numpy as np
import pytest
from heads import turned
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from mien.core.preprocess import MEAN_SHAPE
from mien.core.types import FloatArray
from mien.face.landmarks import GROUPS, MIRROR
from mien.face.pose import MEAN_HEAD
from mien.face.regions import (
    ELSEWHERE,
    FRAME_REGIONS,
    REGIONS,
    frame_masks,
    polygons,
    region_boxes,
    region_masks,
    region_sums,
)

SHAPE = (480, 640)
POINTS = {
    "brows": [*range(17, 27)],
    "eyes": [*range(36, 48)],
    "nose": [*range(27, 36)],
    "mouth": [*range(48, 68)],
}
rolls, yaws, pitches = st.floats(-180, 180), st.floats(-60, 60), st.floats(-40, 40)


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


def inside(outlines: tuple[FloatArray, ...], point: FloatArray) -> bool:
    return any(cv2.pointPolygonTest(outline, point.tolist(), False) >= 0 for outline in outlines)


@given(roll=rolls, yaw=yaws, pitch=pitches)
def test_a_region_holds_its_landmarks(roll: float, yaw: float, pitch: float) -> None:
    landmarks = turned(roll, yaw, pitch)
    outlines = polygons(landmarks)
    assert {name: len(parts) for name, parts in outlines.items()} == {"brows": 2, "eyes": 2, "nose": 1, "mouth": 1}
    assert all(inside(outlines[name], landmarks[point]) for name in REGIONS for point in POINTS[name])


def test_brows_and_eyes_begin_with_the_right_one() -> None:
    landmarks = turned()
    for name, right, left in (("brows", "right_brow", "left_brow"), ("eyes", "right_eye", "left_eye")):
        parts = polygons(landmarks)[name]
        assert [inside(parts[:1], landmarks[GROUPS[group]][0]) for group in (right, left)] == [True, False]


def test_a_frown_is_between_the_brows() -> None:
    landmarks = turned()
    brows = polygons(landmarks)["brows"]
    assert inside(brows, landmarks[[21, 22]].mean(axis=0))
    assert brows[0][:, 0].max() == pytest.approx(brows[1][:, 0].min())  # they meet and do not overlap
    head = MEAN_HEAD.copy()
    head[21, 0], head[22, 0] = -0.02, 0.02  # brows that touch
    assert inside(polygons(turned(head=head))["brows"], landmarks[[21, 22]].mean(axis=0))


@given(roll=rolls, scale=st.floats(0.1, 10), x=st.floats(-500, 500))
def test_regions_turn_and_grow_with_the_face(roll: float, scale: float, x: float) -> None:
    upright, moved = turned(0, 20, 5), turned(roll, 20, 5) * np.float32(scale) + np.float32(x)
    for name, parts in polygons(upright).items():
        areas = [cv2.contourArea(part) * scale**2 for part in parts]
        assert [cv2.contourArea(part) for part in polygons(moved)[name]] == pytest.approx(areas, rel=0.01)


def test_mirrored_faces_have_mirrored_boxes() -> None:
    landmarks = np.stack([turned(10, 20, 5), turned(-30, 0, 20)])
    mirrored = (landmarks * np.array([-1, 1], np.float32))[:, list(MIRROR)]
    for name, boxes in region_boxes(mirrored).items():
        assert boxes[:, [2, 1, 0, 3]] * (-1, 1, -1, 1) == pytest.approx(region_boxes(landmarks)[name], abs=1e-3)


def test_regions_reach_beyond_their_points_by_margins() -> None:
    landmarks = turned()  # an eye distance is 100 px
    for name, margin in {"brows": 10, "eyes": 8, "nose": 8, "mouth": 10}.items():
        points = landmarks[POINTS[name]]
        around = [*points.min(axis=0) - margin, *points.max(axis=0) + margin]
        assert region_boxes(landmarks[None])[name][0] == pytest.approx(around, abs=0.01)


def test_boxes_are_around_the_polygons() -> None:
    landmarks = np.stack([turned(10, 20, 5), turned(170), turned(0, -50)])
    boxes = region_boxes(landmarks)
    assert list(boxes) == list(REGIONS)
    for row, face in enumerate(landmarks):
        for name, parts in polygons(face).items():
            points = np.concatenate(parts)
            assert boxes[name][row] == pytest.approx([*points.min(axis=0), *points.max(axis=0)])


@given(roll=rolls, yaw=yaws, pitch=pitches, scale=st.floats(0.2, 2))
def test_no_pixel_is_in_two_regions(roll: float, yaw: float, pitch: float, scale: float) -> None:
    landmarks = (turned(roll, yaw, pitch) - (320, 240)) * scale + (320, 240)
    masks = region_masks(landmarks.astype(np.float32), SHAPE)
    assert list(masks) == list(REGIONS)
    assert all(mask.any() and mask.shape == SHAPE for mask in masks.values())
    assert not any((first & second).any() for first, second in combinations(masks.values(), 2))


def test_a_mask_is_as_large_as_its_polygon() -> None:
    landmarks = turned(15)
    for name in ("eyes", "mouth"):  # the others give way where margins overlap
        parts = polygons(landmarks)[name]
        area, rim = (
            sum(measure(part) for part in parts) for measure in (cv2.contourArea, lambda p: cv2.arcLength(p, True))
        )
        assert abs(region_masks(landmarks, SHAPE)[name].sum() - area) < 0.6 * rim


def test_the_first_pixel_reaches_from_0_to_1() -> None:
    landmarks = turned()
    columns = np.flatnonzero(region_masks(landmarks, SHAPE)["mouth"].any(axis=0))
    left, _, right, _ = region_boxes(landmarks[None])["mouth"][0]
    assert (columns[0] + 0.5, columns[-1] + 0.5) == pytest.approx((left, right), abs=1)
    assert (columns[0] + columns[-1] + 1) / 2 == pytest.approx(320, abs=0.1)  # the middle of the mouth


def test_regions_of_the_mean_face_are_where_the_frame_has_them() -> None:
    masks, frame = region_masks(MEAN_SHAPE * 100, (100, 100)), frame_masks(100)
    for name in REGIONS:
        shared = (masks[name] & frame[name]).sum() / min(masks[name].sum(), frame[name].sum())
        assert shared > 0.5, name


def test_a_face_that_reaches_out_of_the_picture_has_the_part_that_is_in_it() -> None:
    landmarks = turned() - np.array([320, 0], np.float32)
    masks = region_masks(landmarks, SHAPE)
    assert masks["mouth"][:, 0].any()
    assert masks["mouth"].sum() < region_masks(turned(), SHAPE)["mouth"].sum()
    assert not any(mask.any() for mask in region_masks(turned() + np.float32(1e5), SHAPE).values())


@pytest.mark.parametrize("points", [np.full((68, 2), np.nan), np.full((68, 2), 9), np.r_[turned()[:67], [[np.inf, 0]]]])
def test_without_landmarks_there_are_no_regions(points: FloatArray) -> None:
    landmarks = points.astype(np.float32)
    assert polygons(landmarks) == {"brows": (), "eyes": (), "nose": (), "mouth": ()}
    assert not any(mask.any() for mask in region_masks(landmarks, (20, 30)).values())
    assert all(np.isnan(boxes).all() for boxes in region_boxes(landmarks[None]).values())


@given(points=arrays.arrays(np.float32, (68, 2), elements=st.floats(-1e9, 1e9, width=32), fill=st.just(np.float32(3))))
@example(points=turned() * np.float32(1e7))
@example(points=turned() * np.float32(1e-7))
def test_any_points_give_masks(points: FloatArray) -> None:
    masks = region_masks(points, (20, 30))
    assert sum(mask.astype(int) for mask in masks.values()).max() <= 1  # type: ignore[union-attr]


def test_no_faces_have_no_boxes() -> None:
    assert {boxes.shape for boxes in region_boxes(np.empty((0, 68, 2), np.float32)).values()} == {(0, 4)}


def test_sums_over_masks_and_elsewhere_are_all() -> None:
    values = np.random.default_rng(0).random(SHAPE, np.float32)
    masks = region_masks(turned(5), SHAPE)
    sums = region_sums(values, masks)
    assert list(sums) == [*REGIONS, ELSEWHERE]
    assert sums["nose"] == pytest.approx(values[masks["nose"]].sum(), rel=1e-5)
    assert sum(sums.values()) == pytest.approx(values.sum(dtype=np.float64), rel=1e-5)
    assert region_sums(values[:400, :400], frame_masks(400)) == region_sums(values[:400, :400])
