"""Accuracy by yaw."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mien.core import preprocess
from mien.core.types import ByteArray
from mien.face.detectors import detect, load_detector
from mien.face.pose import FARTHEST_YAW
from mien.lab.evaluation import accuracy_by_yaw, yaws_of
from mien.lab.evaluation.turned import UNKNOWN


def test_a_portrait_is_hardly_turned_and_noise_is_not_measured(astronaut: ByteArray) -> None:
    boxes = detect(load_detector("auto"), astronaut).boxes_xyxy
    face = preprocess.crops(astronaut, boxes, 48)[0]
    noise = np.random.default_rng(0).integers(0, 256, (48, 48)).astype(np.uint8)
    yaws = yaws_of(np.stack([face, face[:, ::-1], noise, np.zeros_like(face)]))
    assert yaws[0] < 25
    assert abs(yaws[0] - yaws[1]) < 5
    assert np.isnan(yaws[2:]).all()
    assert yaws_of(np.empty((0, 48, 48), np.uint8)).shape == (0,)


def test_each_band_has_its_own_accuracy() -> None:
    yaws = np.array([0, 9.9, 10, 25, 50, np.nan, FARTHEST_YAW], np.float32)
    labels = np.array([0, 1, 1, 1, 0, 1, 0])
    table = np.tile(np.array([0.3, 0.7], np.float32), (7, 1))
    rows = {row.yaw: (row.accuracy.value, row.accuracy.count) for row in accuracy_by_yaw(table, labels, yaws)}
    assert rows == {
        "0 to 10 degrees": (0.5, 2),
        "10 to 20 degrees": (1.0, 1),
        "20 to 30 degrees": (1.0, 1),
        "45 to 70 degrees": (0.0, 1),
        UNKNOWN: (0.5, 2),
    }


@given(st.lists(st.floats(0, 90, width=32) | st.just(float("nan")), min_size=1, max_size=30), st.booleans())
def test_every_face_is_in_one_band(degrees: list[float], has_people: bool) -> None:
    labels = np.arange(len(degrees)) % 2
    table = np.tile(np.array([0.4, 0.6], np.float32), (len(degrees), 1))
    people = (labels.astype(np.str_)) if has_people else None
    rows = accuracy_by_yaw(table, labels, np.array(degrees, np.float32), subjects=people)
    assert sum(row.accuracy.count for row in rows) == len(degrees)
    right = sum(row.accuracy.value * row.accuracy.count for row in rows)
    assert right == np.float64(labels.sum()) or abs(right - labels.sum()) < 1e-9
