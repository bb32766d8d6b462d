"""The landmark net that ships: right on faces, steady, and doubtful where there is nothing to measure."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from mien.core.errors import ModelError
from mien.core.preprocess import MEAN_SHAPE
from mien.core.types import ByteArray, Faces, FloatArray
from mien.face.detectors import Detector, detect, load_detector
from mien.face.landmarks import (
    COUNT,
    GROUPS,
    LEFT_EYE_CORNER,
    MEASURABLE,
    MIRROR,
    RIGHT_EYE_CORNER,
    LandmarkCard,
    Landmarker,
    load_landmarker,
)


def located(picture: ByteArray, faces: Faces | None = None) -> tuple[FloatArray, float]:
    """Return the points of the first face and their confidence."""
    faces = detect(load_detector("auto"), picture) if faces is None else faces
    faces = load_landmarker().locate(picture, faces)
    assert faces.landmarks is not None
    assert faces.landmark_confidences is not None
    return faces.landmarks[0], float(faces.landmark_confidences[0])


def error(points: FloatArray, wanted: FloatArray) -> float:
    eyes = np.linalg.norm(wanted[RIGHT_EYE_CORNER] - wanted[LEFT_EYE_CORNER])
    return float(np.linalg.norm(points - wanted, axis=1).mean() / eyes)


def turned(picture: ByteArray, degrees: float, scale: float = 1.0) -> tuple[ByteArray, FloatArray]:
    """Return a picture turned about its middle, and the transform of its points."""
    size = picture.shape[1], picture.shape[0]
    transform = cv2.getRotationMatrix2D((size[0] / 2 - 0.5, size[1] / 2 - 0.5), degrees, scale)
    result = cv2.warpAffine(picture, transform, size, flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(result, np.uint8), np.asarray(transform, np.float32)


@pytest.fixture(scope="module")
def face(astronaut: ByteArray) -> Faces:
    return detect(load_detector("auto"), astronaut)


def test_groups_hold_each_point_once() -> None:
    indices = np.concatenate([np.arange(COUNT)[group] for group in GROUPS.values()])
    np.testing.assert_array_equal(np.sort(indices), np.arange(COUNT))


def test_the_mirror_image_of_the_mirror_image_is_the_face() -> None:
    mirror = np.array(MIRROR)
    np.testing.assert_array_equal(mirror[mirror], np.arange(COUNT))
    mirrored = MEAN_SHAPE[mirror] * (-1, 1) + (1, 0)
    np.testing.assert_allclose(mirrored, MEAN_SHAPE, atol=0.002)  # the mean face is the same on both sides


def test_points_lie_where_the_parts_of_the_astronaut_are(astronaut: ByteArray, face: Faces) -> None:
    points, confidence = located(astronaut, face)
    assert confidence > 0.8
    middles = {name: points[group].mean(axis=0) for name, group in GROUPS.items()}
    # Read off the picture by eye, in pixels.
    seen = {"right_eye": (206, 100), "left_eye": (246, 103), "outer_lips": (223, 143), "nose_base": (224, 129)}
    for name, place in seen.items():
        assert np.linalg.norm(middles[name] - place) < 5, name
    assert middles["right_brow"][1] < middles["right_eye"][1] < middles["nose_base"][1] < middles["inner_lips"][1]


@pytest.mark.parametrize("degrees", [-30, -15, 15, 30])
def test_points_turn_with_the_face(astronaut: ByteArray, face: Faces, degrees: float) -> None:
    upright, _ = located(astronaut, face)
    picture, transform = turned(astronaut, degrees)
    middle = face.boxes_xyxy.reshape(2, 2).mean(axis=0)
    half = (face.boxes_xyxy[0, 2:] - face.boxes_xyxy[0, :2]) / 2
    moved = transform[:, :2] @ middle + transform[:, 2]
    points, confidence = located(picture, Faces.detected([[*(moved - half), *(moved + half)]], [1.0]))
    assert confidence > MEASURABLE
    assert error(points, upright @ transform[:, :2].T + transform[:, 2]) < 0.08


def test_a_box_that_is_a_little_off_changes_little(astronaut: ByteArray, face: Faces) -> None:
    points, _ = located(astronaut, face)
    shifts = np.array([[6, 0, 6, 0], [0, -6, 0, -6], [-5, -5, 5, 5]], np.float32)
    boxes = face.boxes_xyxy[0] + shifts
    moved = load_landmarker().locate(astronaut, Faces.detected(boxes, np.ones(3)))
    assert moved.landmarks is not None
    for other in moved.landmarks:
        assert error(other, points) < 0.05


class TestDoubt:
    """Where there is nothing to measure, confidence falls below the threshold of all features."""

    def test_no_face(self, astronaut: ByteArray) -> None:
        for box in ([300, 300, 420, 430], [20, 360, 120, 480], [380, 60, 500, 220]):
            assert located(astronaut, Faces.detected([box], [1.0]))[1] < MEASURABLE, box

    def test_noise_and_flat(self) -> None:
        noise = np.random.default_rng(0).integers(0, 256, (200, 200, 3)).astype(np.uint8)
        for picture in (noise, np.full((200, 200, 3), 128, np.uint8)):
            assert located(picture, detect(load_detector("whole"), picture))[1] < MEASURABLE

    def test_upside_down(self, astronaut: ByteArray, face: Faces) -> None:
        x1, y1, x2, y2 = face.boxes_xyxy[0]
        boxes = [[512 - x2, 512 - y2, 512 - x1, 512 - y1]]
        assert located(np.ascontiguousarray(astronaut[::-1, ::-1]), Faces.detected(boxes, [1.0]))[1] < MEASURABLE

    def test_half_out_of_the_picture(self, astronaut: ByteArray, face: Faces) -> None:
        x1, y1, x2, y2 = face.boxes_xyxy[0]
        cut = round(float(x1 + x2) / 2)
        boxes = [[x1 - cut, y1, x2 - cut, y2]]
        assert located(np.ascontiguousarray(astronaut[:, cut:]), Faces.detected(boxes, [1.0]))[1] < MEASURABLE

    def test_tiny(self, astronaut: ByteArray, face: Faces) -> None:
        confidences = []
        for width_px in (80, 12, 6):
            scale = width_px / float(face.boxes_xyxy[0, 2] - face.boxes_xyxy[0, 0])
            small = cv2.resize(astronaut, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
            confidences.append(located(np.asarray(small), Faces.detected(face.boxes_xyxy * scale, [1.0]))[1])
        assert confidences[0] > MEASURABLE > confidences[2]
        assert confidences[0] > confidences[1] > confidences[2]

    def test_a_cartoon(self) -> None:
        picture = np.full((200, 200, 3), 255, np.uint8)
        cv2.circle(picture, (100, 100), 90, (250, 220, 60), -1)
        for x in (70, 130):
            cv2.ellipse(picture, (x, 75), (9, 16), 0, 0, 360, (40, 30, 20), -1)
        cv2.ellipse(picture, (100, 115), (50, 40), 0, 15, 165, (40, 30, 20), 6)
        assert located(picture, detect(load_detector("whole"), picture))[1] < MEASURABLE


def test_a_picture_without_faces_has_no_points(astronaut: ByteArray) -> None:
    faces = load_landmarker().locate(astronaut, Faces.empty())
    assert faces.landmarks is not None
    assert faces.landmarks.shape == (0, 68, 2)


def test_many_faces_are_located_as_each_alone(astronaut: ByteArray, face: Faces) -> None:
    boxes = face.boxes_xyxy[0] + np.random.default_rng(0).normal(0, 3, (70, 4)).astype(np.float32)
    together = load_landmarker().locate(astronaut, Faces.detected(boxes, np.ones(70)))
    alone = load_landmarker().locate(astronaut, Faces.detected(boxes[69:], [1.0]))
    assert together.landmarks is not None
    assert alone.landmarks is not None
    np.testing.assert_allclose(together.landmarks[69], alone.landmarks[0], atol=1e-2)


def test_the_card_says_what_it_is_and_how_good() -> None:
    card = load_landmarker().card
    assert card.scores["error_private"].value <= 0.05
    assert "MediaPipe" in card.teacher
    assert load_landmarker().path.stat().st_size <= 3_000_000
    assert LandmarkCard.from_json(card.to_json()) == card


@pytest.mark.parametrize("name", ["default.onnx", "nothing.onnx"])
def test_another_file_is_refused(name: str) -> None:
    path = load_landmarker().path.with_name(name)
    with pytest.raises(ModelError, match=r"not that of a landmark net|cannot be read"):
        Landmarker(path)


def test_no_onnx_is_refused(tmp_path: Path) -> None:
    (tmp_path / "no.onnx").write_bytes(b"no graph")
    with pytest.raises(ModelError, match=r"no\.onnx: is not a readable ONNX model"):
        Landmarker(tmp_path / "no.onnx")


def test_detectors_agree_on_where_the_points_are(astronaut: ByteArray, face: Faces) -> None:
    points, _ = located(astronaut, face)
    haar: Detector = load_detector("haar")
    others = detect(haar, astronaut)
    nearest = int(np.abs(others.boxes_xyxy - face.boxes_xyxy).sum(axis=1).argmin())
    assert error(located(astronaut, others[nearest])[0], points) < 0.06
