"""Landmarks of a stream: steady on a face that keeps still, prompt on a mouth that moves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

import mouths
import numpy as np
import numpy.typing as npt
import pytest

from mien.core.types import ByteArray
from mien.engine.pipeline import Pipeline
from mien.face.landmarks import MEASURABLE

Floats: TypeAlias = npt.NDArray[np.float64]

SETTLED_S = 1.0
UPPER_LIP, LOWER_LIP = 62, 66  # inside, in the middle


def points_through(clip: Iterator[tuple[ByteArray, float]]) -> Floats:
    """Return the points of the one face in each frame, (T, 68, 2)."""
    pipeline, points = Pipeline(landmarks=True), []
    for picture, time_s in clip:
        faces = pipeline(picture, time_s).faces
        assert len(faces) == 1
        assert faces.landmarks is not None
        assert faces.landmark_confidences is not None
        assert faces.landmark_confidences[0] > MEASURABLE
        points.append(faces.landmarks[0])
    return np.array(points, np.float64)


def trembling(points: Floats) -> float:
    """Return how far the worst of the points is from its mean in 95 % of the frames, in pixels."""
    away = np.linalg.norm(points - points.mean(axis=0), axis=2)
    return float(np.percentile(away, 95, axis=0).max())


def lip_gap(points: Floats) -> Floats:
    """Return how far the lips are apart in each frame, in pixels."""
    return points[:, LOWER_LIP, 1] - points[:, UPPER_LIP, 1]


def delay_frames(moved: Floats, true: Floats) -> float:
    """Return by how many frames one wave of `OPENINGS_HZ` comes after another."""
    turns = np.exp(-2j * np.pi * mouths.OPENINGS_HZ * np.arange(len(true)) / mouths.RATE)
    angles = [np.angle(((wave - wave.mean()) * turns).sum()) for wave in (true, moved)]
    late = (angles[0] - angles[1] + np.pi) % (2 * np.pi) - np.pi
    return float(late / (2 * np.pi * mouths.OPENINGS_HZ) * mouths.RATE)


def test_delay_is_measured_in_frames() -> None:
    times_s = np.arange(60) / mouths.RATE
    true = mouths.opening(times_s)
    assert delay_frames(true, true) == pytest.approx(0, abs=1e-3)
    assert delay_frames(mouths.opening(times_s - 2.5 / mouths.RATE), true) == pytest.approx(2.5, abs=0.01)


def test_a_still_face_of_200_px_trembles_by_two_pixels_at_most() -> None:
    points = points_through(mouths.still(2.5))
    assert trembling(points[round(SETTLED_S * mouths.RATE) :]) <= 2.0


def test_a_mouth_that_opens_twice_a_second_is_seen_within_a_frame() -> None:
    gap = lip_gap(points_through(mouths.talking(2.5)))
    true = mouths.opening(np.arange(len(gap)) / mouths.RATE)
    settled = slice(round(SETTLED_S * mouths.RATE), None)
    assert np.ptp(gap[settled]) > 5.0
    assert np.corrcoef(gap[settled], true[settled])[0, 1] > 0.8
    assert delay_frames(gap[settled], true[settled]) <= 1.0
