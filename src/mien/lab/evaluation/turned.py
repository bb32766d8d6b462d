"""How well a net reads faces that are turned to a side: accuracy by yaw, as the landmarks tell it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from mien.core.model import Score
from mien.core.types import ByteArray, FloatArray, IntArray
from mien.face.landmarks import MEASURABLE, load_landmarker
from mien.face.pose import FARTHEST_YAW, head_pose
from mien.lab.datasets import whole_frame
from mien.lab.evaluation.intervals import Subjects, accuracy_score

EDGES = (0.0, 10.0, 20.0, 30.0, 45.0, FARTHEST_YAW)
"""Degrees between the bands of yaw, to either side."""

UNKNOWN = "not measured"


@dataclass(frozen=True)
class TurnedAccuracy:
    """The accuracy on faces that are turned alike.

    Parameters
    ----------
    yaw : str
        From where to where, ``"10 to 20 degrees"``, or :data:`UNKNOWN`: points that are not sure, or beyond all bands.
    accuracy : Score
    """

    yaw: str
    accuracy: Score


def yaws_of(images: ByteArray) -> FloatArray:
    """Return how far faces are turned to a side.

    Parameters
    ----------
    images : (N, 48, 48) ndarray of uint8
        Gray, framed as FER2013 frames them.

    Returns
    -------
    (N,) ndarray of float32
        Degrees, 0 to :data:`~mien.face.pose.FARTHEST_YAW`; NaN where it is not known.
    """
    landmarker, frame = load_landmarker(), whole_frame()
    yaws = np.full(len(images), np.nan, np.float32)
    for row, image in enumerate(images):
        face = landmarker.locate(image, frame)
        assert face.landmarks is not None
        assert face.landmark_confidences is not None
        if face.landmark_confidences[0] >= MEASURABLE:
            yaws[row] = np.abs(head_pose(face.landmarks)[0, 1])
    return yaws


def accuracy_by_yaw(
    probabilities: FloatArray, labels: IntArray, yaws: FloatArray, *, seed: int = 0, subjects: Subjects | None = None
) -> list[TurnedAccuracy]:
    """Measure the accuracy within each band of yaw that has a face.

    Parameters
    ----------
    probabilities : (N, K) ndarray of float32
    labels : (N,) ndarray of int64
    yaws : (N,) ndarray of float32
        As :func:`yaws_of` returns them.
    seed : int
        Of the bootstrap.
    subjects : (N,) ndarray of str, optional
        As :func:`mien.lab.evaluation.bootstrap` takes them.
    """
    bands = {f"{low:g} to {high:g} degrees": (low <= yaws) & (yaws < high) for low, high in pairwise(EDGES)}
    unknown = ~np.logical_or.reduce(list(bands.values()))
    found = []
    for yaw, rows in (bands | {UNKNOWN: unknown}).items():
        if rows.any():
            people = None if subjects is None else subjects[rows]
            accuracy = accuracy_score(probabilities[rows], labels[rows], seed=seed, subjects=people)
            found.append(TurnedAccuracy(yaw, accuracy))
    return found
