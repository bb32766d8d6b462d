"""Faces of a data set, aligned and measured; what has no face stays as it is and is not measured."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from mien.core.labels import EXPRESSIONS_AND_CONTEMPT
from mien.core.preprocess import crops
from mien.core.types import ByteArray
from mien.engine.features import FEATURE_NAMES
from mien.face.detectors import detect, load_detector
from mien.face.geometry import GEOMETRY_NAMES
from mien.face.motion import MOTION_NAMES
from mien.lab.datasets import SIDE, FaceDataset
from mien.lab.extraction import extract, streams

GEOMETRY = slice(0, len(GEOMETRY_NAMES))
MOTION = slice(len(GEOMETRY_NAMES), len(GEOMETRY_NAMES) + len(MOTION_NAMES))


def dataset(images: list[ByteArray], source_ids: list[str]) -> FaceDataset:
    return FaceDataset(
        images=np.stack(images),
        labels=np.zeros(len(images), np.int64),
        label_names=EXPRESSIONS_AND_CONTEMPT,
        split=np.full(len(images), ""),
        source_ids=np.array(source_ids),
    )


@pytest.fixture(scope="module")
def face(astronaut: ByteArray) -> ByteArray:
    """Return the portrait as FER2013 frames faces."""
    boxes = detect(load_detector("auto"), astronaut).boxes_xyxy[:1]
    return np.asarray(crops(astronaut, boxes, SIDE)[0])


def rolled(face: ByteArray, degrees: float) -> ByteArray:
    turn = cv2.getRotationMatrix2D((SIDE / 2 - 0.5, SIDE / 2 - 0.5), degrees, 1.0)
    return np.asarray(cv2.warpAffine(face, turn, (SIDE, SIDE), borderMode=cv2.BORDER_REPLICATE), np.uint8)


def test_a_tilted_face_is_made_upright_and_measured(face: ByteArray) -> None:
    tilted = rolled(face, 15)
    found = extract(dataset([face, tilted], ["a", "b"]))
    assert found.is_aligned.all()
    assert found.features.shape == (2, len(FEATURE_NAMES))
    # Inside the frame, where no border is repeated, what was tilted looks nearly as what was not.
    inside = (slice(None), slice(10, 38), slice(10, 38))
    before, after = (
        np.abs(np.subtract(*pair[inside].astype(float))).mean() for pair in (np.stack([face, tilted]), found.images)
    )
    assert after < before / 2
    roll = found.features[:, FEATURE_NAMES.index("head_roll")]
    assert abs(roll[0] - roll[1]) == pytest.approx(15, abs=4)
    assert np.isfinite(found.features[:, GEOMETRY]).all()
    assert np.isnan(found.features[:, MOTION]).all()  # each is alone


def test_what_has_no_face_stays_as_it_is_and_is_not_measured(face: ByteArray) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE)).astype(np.uint8)
    faces = dataset([noise, face], ["a", "b"])
    found = extract(faces)
    assert found.is_aligned.tolist() == [False, True]
    assert np.array_equal(found.images[0], noise)
    assert np.isnan(found.features[0]).all()
    assert not np.array_equal(found.images[1], face)
    assert np.array_equal(faces.images[1], face)


def test_a_chin_beyond_the_frame_hides_no_measure(face: ByteArray) -> None:
    lower = np.asarray(np.roll(face, 4, axis=0))
    lower[:4] = face[:1]
    assert np.isfinite(extract(dataset([lower], ["a"])).features[0, GEOMETRY]).all()


def test_frames_of_a_sequence_are_one_stream_in_the_order_of_time() -> None:
    ids = ["ck:S010_004_00000019", "fer2013:1", "ck:S010_004_00000017", "ck:S010_006_00000015", "ck:S010_004_00000018"]
    blank = np.zeros((SIDE, SIDE), np.uint8)
    rows = [stream.tolist() for stream in streams(dataset([blank] * 5, ids))]
    assert sorted(rows) == [[1], [2, 4, 0], [3]]


def test_the_second_frame_of_a_sequence_has_motion(face: ByteArray) -> None:
    ids = [f"ck:S010_004_0000001{number}" for number in (8, 7, 9)]
    found = extract(dataset([face, face, face], ids))
    is_moving = np.isfinite(found.features[:, MOTION]).all(axis=1)
    assert is_moving.tolist() == [True, False, True]
    speeds = found.features[:, FEATURE_NAMES.index("motion_mouth_speed")]
    assert speeds[[0, 2]] == pytest.approx(0, abs=1e-3)
