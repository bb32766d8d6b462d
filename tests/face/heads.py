"""Heads that are turned by known angles."""

from __future__ import annotations

import numpy as np

from mien.core.types import FloatArray
from mien.face.pose import MEAN_HEAD


def turned(
    roll: float = 0.0,
    yaw: float = 0.0,
    pitch: float = 0.0,
    *,
    head: FloatArray = MEAN_HEAD,
    distance: float = np.inf,
) -> FloatArray:
    """Return the landmarks, (68, 2), of a head whose eyes' outer corners are 100 px apart, seen from the front.

    `distance` is that of the camera, in units of the distance between these corners.
    """
    nodded = head @ _rotation(1, 2, pitch)
    points = nodded @ _rotation(0, 2, yaw) @ _rotation(0, 1, roll)
    nearness = 1 - points[:, 2:] / distance
    return np.asarray(points[:, :2] * (100, -100) / nearness + (320, 240), np.float32)


def _rotation(first: int, second: int, degrees: float) -> FloatArray:
    """Return the matrix that turns rows from axis `second` to axis `first`."""
    matrix, angle = np.eye(3, dtype=np.float32), np.radians(degrees)
    matrix[first, first] = matrix[second, second] = np.cos(angle)
    matrix[second, first], matrix[first, second] = np.sin(angle), -np.sin(angle)
    return matrix
