from __future__ import annotations

import cv2
import numpy as np
import pytest
from heads import turned
from hypothesis import given
from hypothesis import strategies as st

from mien.core.types import FloatArray
from mien.face.landmarks import MIRROR
from mien.face.pose import (
    FRONTAL_PITCH,
    FRONTAL_YAW,
    MEAN_HEAD,
    RIGID_POINTS,
    eye_axes,
    frontal,
    head_pose,
    upright,
)

rolls, yaws, pitches = st.floats(-179, 179), st.floats(-65, 65), st.floats(-55, 55)


@given(roll=rolls, yaw=yaws, pitch=pitches, scale=st.floats(0.05, 20), x=st.floats(-1000, 4000))
def test_the_angles_of_a_turned_head_are_found(roll: float, yaw: float, pitch: float, scale: float, x: float) -> None:
    landmarks = turned(roll, yaw, pitch) * np.float32(scale) + np.array([x, 50], np.float32)
    assert head_pose(landmarks[None])[0] == pytest.approx([roll, yaw, pitch], abs=0.3)


def test_the_nose_shows_the_way() -> None:
    tips = {way: turned(*angles)[30] - turned()[30] for way, angles in {"left": (0, 20, 0), "up": (0, 0, 20)}.items()}
    assert tips["left"] == pytest.approx([15.7, 0], abs=0.1)  # the person's left is right in the picture
    assert tips["up"] == pytest.approx([0, -18.1], abs=0.1)


@given(roll=rolls, yaw=yaws, pitch=pitches)
def test_the_mirror_swaps_left_and_right(roll: float, yaw: float, pitch: float) -> None:
    mirrored = (turned(roll, yaw, pitch) * np.array([-1, 1], np.float32))[list(MIRROR)]
    assert head_pose(mirrored[None])[0] == pytest.approx([-roll, -yaw, pitch], abs=0.05)


@pytest.mark.parametrize(("yaw", "pitch_error"), [(0, 1.0), (20, 1.2), (40, 1.6), (60, 2.8)])
def test_points_that_are_off_by_three_percent_turn_the_head_by_little(yaw: float, pitch_error: float) -> None:
    noise = np.random.default_rng(0).normal(0, 3 / 1.2533, (500, 68, 2))  # 3 px off, on average, of 100
    off = np.abs(head_pose((turned(5, yaw, -10) + noise).astype(np.float32)) - (5, yaw, -10))
    assert off.mean(axis=0)[1:] == pytest.approx([0.9, pitch_error], abs=0.3)
    assert np.percentile(off[:, 1], 99) < 4.5


@pytest.mark.parametrize("angles", [(0, 0), (30, 0), (-45, 15), (20, -25)])
def test_opencv_finds_the_same_angles(angles: tuple[float, float]) -> None:
    noise = np.random.default_rng(1).normal(0, 1, (68, 2))
    landmarks = (turned(0, *angles, distance=20) + noise).astype(np.float32)
    model = MEAN_HEAD[RIGID_POINTS].astype(np.float64) * (1, -1, -1)  # OpenCV: y down, z away
    camera = np.array([[2000, 0, 320], [0, 2000, 240], [0, 0, 1]], np.float64)
    _, turn, _ = cv2.solvePnP(model, landmarks[RIGID_POINTS].astype(np.float64), camera, None, flags=cv2.SOLVEPNP_SQPNP)
    rotation = cv2.Rodrigues(turn)[0]
    yaw, pitch = np.degrees([np.arcsin(rotation[2, 0]), np.arctan2(-rotation[2, 1], rotation[2, 2])])
    assert head_pose(landmarks[None])[0, 1:] == pytest.approx([yaw, pitch], abs=2)


def test_a_camera_at_arms_length_costs_a_few_degrees() -> None:
    poses = [(yaw, pitch) for yaw in (0, 15, 30, 45) for pitch in (-20, 0, 20)]
    near = np.stack([turned(0, *pose, distance=5) for pose in poses])  # 45 cm
    assert np.abs(head_pose(near)[:, 1:] - poses).max() < 4


@given(roll=rolls, yaw=st.floats(-44, 44), pitch=st.floats(-34, 34))
def test_a_turned_head_is_turned_to_the_front(roll: float, yaw: float, pitch: float) -> None:
    landmarks = turned(roll, yaw, pitch)[None]
    assert frontal(landmarks, head_pose(landmarks))[0] == pytest.approx(MEAN_HEAD[:, :2], abs=2e-3)


def test_a_head_turned_too_far_has_angles_but_no_front() -> None:
    far = np.stack([turned(0, FRONTAL_YAW + 1, 0), turned(0, 0, FRONTAL_PITCH + 1)])
    assert np.isfinite(head_pose(far)).all()
    assert np.isnan(frontal(far, head_pose(far))).all()


def rearranged() -> FloatArray:
    return np.random.default_rng(2).permuted(turned(), axis=0)


NO_FACES = {
    "a profile": turned(0, 78, 0),
    "a face from below": turned(0, 0, 68),
    "one point": np.full((68, 2), 7, np.float32),
    "eyes in one place": np.where(np.isin(np.arange(68), [36, 45])[:, None], np.float32(5), turned()),
    "a line": turned() * np.array([1, 0], np.float32),
    "a missing point": np.where(np.arange(68)[:, None] == 8, np.float32(np.nan), turned()),
    "an infinite point": np.where(np.arange(68)[:, None] == 8, np.float32(np.inf), turned()),
    "points in another order": rearranged(),
    "a mirror image with the old names": turned() * np.array([-1, 1], np.float32),
    "noise": np.random.default_rng(3).uniform(0, 100, (68, 2)).astype(np.float32),
}


@pytest.mark.parametrize("points", NO_FACES.values(), ids=NO_FACES.keys())
def test_what_is_no_face_has_no_angles(points: FloatArray) -> None:
    assert np.isnan(head_pose(np.stack([points, turned()]))).all(axis=1).tolist() == [True, False]


def test_a_face_upside_down_is_a_face() -> None:
    assert abs(head_pose(turned(180, 10, 5)[None])[0]) == pytest.approx([180, 10, 5], abs=0.05)


def test_the_frame_of_a_face_has_the_eyes_at_either_side() -> None:
    points = upright(turned(35)[None])[0]
    assert points[[36, 45]] == pytest.approx(np.array([[-0.5, 0], [0.5, 0]]))
    assert points[19, 1] > 0 > points[8, 1]


def test_the_mean_head_is_symmetric() -> None:
    assert np.array_equal(MEAN_HEAD[list(MIRROR)] * (-1, 1, 1), MEAN_HEAD)
    assert eye_axes(MEAN_HEAD[None, :, :2]).tolist() == [[1, 0]]


def test_no_faces_have_no_angles() -> None:
    assert head_pose(np.empty((0, 68, 2), np.float32)).shape == (0, 3)
