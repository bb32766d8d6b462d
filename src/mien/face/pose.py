"""How a head is turned, from its landmarks, and where these would lie if it faced the camera."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from mien.core.types import BoolArray, FloatArray
from mien.face.landmarks import COUNT, LEFT_EYE_CORNER, MIRROR, RIGHT_EYE_CORNER

Floats: TypeAlias = npt.NDArray[np.float64]

_RIGHT_HALF = (*range(9), *range(17, 22), *range(27, 34), *range(36, 42), *range(48, 52), *range(57, 63), 66, 67)
_RIGHT_HALF_THOUSANDTHS = (
    (  # x, to the person's left
        *(-776, -770, -760, -721, -650, -535, -434, -252, 0),  # jaw
        *(-641, -573, -470, -331, -169),  # brow
        *(0, 0, 0, 0, -134, -84, 0),  # nose
        *(-500, -426, -313, -198, -298, -410),  # eye
        *(-278, -161, -81, 0, 0, -85, -161, -250, -66, 0, 0, -68),  # lips
    ),
    (  # y, up
        *(10, -145, -310, -533, -752, -945, -1043, -1169, -1229),  # jaw
        *(184, 242, 269, 255, 226),  # brow
        *(-19, -184, -299, -389, -487, -523, -528),  # nose
        *(0, 42, 46, -25, -44, -47),  # eye
        *(-777, -702, -680, -694, -905, -897, -874, -776, -760, -762, -794, -790),  # lips
    ),
    (  # z, to the camera
        *(-536, -595, -611, -584, -498, -337, -246, -103, -37),  # jaw
        *(-1, 90, 167, 229, 261),  # brow
        *(260, 357, 438, 460, 223, 242, 260),  # nose
        *(0, 73, 93, 58, 77, 58),  # eye
        *(38, 198, 239, 247, 170, 166, 145, 58, 166, 174, 169, 162),  # lips
    ),
)


def _mean_head() -> FloatArray:
    points, right = np.empty((COUNT, 3), np.float32), np.array(_RIGHT_HALF)
    points[right] = np.array(_RIGHT_HALF_THOUSANDTHS).T / 1000
    points[np.array(MIRROR)[right]] = points[right] * (-1, 1, 1)
    points.setflags(write=False)
    return points


MEAN_HEAD = _mean_head()
"""The 68 points of a resting face in space, (68, 3) float32: x to the person's left, y up, z to the camera, from the
middle between the outer corners of the eyes, in units of the distance between these.

Mean of what the mesh net of MediaPipe (Kartynnik et al. 2019, https://arxiv.org/abs/1907.06724) finds on 375 faces of
FER2013 that FER+ calls neutral, each turned to the front (Kabsch), symmetric; its pitch is 0 where the median of all
neutral faces of FER2013 has it, since most people look at the camera.
"""

RIGID_POINTS = np.array([0, 1, 15, 16, *range(27, 36), 36, 39, 42, 45])
"""What no expression moves much: temples, nose, corners of the eyes. Without temples angles scatter twice as much."""

FARTHEST_YAW, FARTHEST_PITCH = 70.0, 60.0
"""Degrees beyond which a turn is not told; at a yaw of 80 the pitch is off by 9 where landmarks are off by 3 %."""

FRONTAL_YAW, FRONTAL_PITCH = 45.0, 35.0
"""Degrees beyond which a face is not turned to the front: half of it is hidden."""

LEAST_LIKENESS = 0.95
"""Cosine between the rigid points and those of the mean head, turned alike, below which they are no face: 99.9 % of
33,141 faces of FER2013 have 0.978 or more, of 20,000 sets of random points none has 0.75."""


def eye_axes(landmarks: FloatArray) -> Floats:
    """Return the way from the outer corner of the right eye to that of the left; its length is the unit of geometry.

    Parameters
    ----------
    landmarks : (N, 68, 2) ndarray of float32
        x, y in pixels, in iBUG's order.

    Returns
    -------
    (N, 2) ndarray of float64
        NaN for faces with a missing point, and where both corners are one point.
    """
    known = np.isfinite(landmarks).all(axis=(1, 2), keepdims=True)
    points = np.where(known, landmarks, np.nan).astype(np.float64)
    axes = points[:, LEFT_EYE_CORNER] - points[:, RIGHT_EYE_CORNER]
    return np.where(np.asarray(axes != 0).any(axis=1, keepdims=True), axes, np.nan)


def upright(landmarks: FloatArray) -> Floats:
    """Return landmarks in the frame of their face.

    Parameters
    ----------
    landmarks : (N, 68, 2) ndarray of float32
        x, y in pixels, in iBUG's order.

    Returns
    -------
    (N, 68, 2) ndarray of float64
        x along the line through the outer corners of the eyes, to the person's left, and height above it, in units of
        the distance between these corners, from the middle between them; NaN where :func:`eye_axes` are.
    """
    axes = eye_axes(landmarks)
    points = np.where(np.isnan(axes)[:, None], np.nan, landmarks).astype(np.float64)
    middle = points[:, [RIGHT_EYE_CORNER, LEFT_EYE_CORNER]].mean(axis=1, keepdims=True)
    along = axes / (axes**2).sum(axis=1, keepdims=True)
    up = along[:, ::-1] * (1, -1)  # y of a picture grows downward
    return np.asarray((points - middle) @ np.stack([along, up], axis=-1))


def head_pose(landmarks: FloatArray) -> FloatArray:
    """Return how heads are turned, as seen from the camera.

    The tilt is that of the line through the outer corners of the eyes. Turn and nod are a least-squares fit of
    :data:`MEAN_HEAD` under weak perspective, as if the camera were far away: first heights, which a turn does not
    change, give the nod, then the turn follows. The idea is that of DeMenthon and Davis 1995,
    https://doi.org/10.1007/BF01450852; we need no iteration, since the eyes' line is known.

    Parameters
    ----------
    landmarks : (N, 68, 2) ndarray of float32
        x, y in pixels, in iBUG's order.

    Returns
    -------
    (N, 3) ndarray of float32
        Roll, yaw and pitch in degrees: above 0 where the head tilts to the person's left shoulder, turns to the
        person's left, looks up. NaN where points are missing or are no face, and beyond :data:`FARTHEST_YAW` and
        :data:`FARTHEST_PITCH`.
    """
    axes, points = eye_axes(landmarks), upright(landmarks)[:, RIGID_POINTS]
    points = points - points.mean(axis=1, keepdims=True)
    model = MEAN_HEAD[RIGID_POINTS].astype(np.float64)
    x, y, z = (model - model.mean(axis=0)).T
    height, depth = (points[..., 1] @ np.linalg.pinv(np.stack([y, z]))).T
    pitch = np.arctan2(depth, height)
    cos, sin = np.cos(pitch)[:, None], np.sin(pitch)[:, None]
    raised, forward = cos * y + sin * z, cos * z - sin * y
    width, shift = points[..., 0] @ x / (x @ x), (points[..., 0] * forward).sum(axis=1) / (forward**2).sum(axis=1)
    yaw = np.arctan2(shift, width)
    turned = np.stack([np.cos(yaw)[:, None] * x + np.sin(yaw)[:, None] * forward, raised], axis=-1)
    angles = np.degrees(np.stack([np.arctan2(axes[:, 1], axes[:, 0]), yaw, pitch], axis=1))
    known = (_likeness(points, turned) >= LEAST_LIKENESS) & _within(angles, FARTHEST_YAW, FARTHEST_PITCH)
    return np.where(known[:, None], angles, np.nan).astype(np.float32)


def frontal(landmarks: FloatArray, angles: FloatArray) -> Floats:
    """Return landmarks as they would lie if the head faced the camera.

    Each point is turned back with the depth that it has on :data:`MEAN_HEAD`. Without this a nod of 20 degrees bends
    the lips by more than half of what a smile does.

    Parameters
    ----------
    landmarks : (N, 68, 2) ndarray of float32
        x, y in pixels, in iBUG's order.
    angles : (N, 3) ndarray of float32
        From :func:`head_pose`.

    Returns
    -------
    (N, 68, 2) ndarray of float64
        In the frame of :func:`upright`; NaN where angles are, and beyond :data:`FRONTAL_YAW` and
        :data:`FRONTAL_PITCH`.
    """
    near = np.where(_within(angles, FRONTAL_YAW, FRONTAL_PITCH)[:, None], angles, np.nan)
    yaw, pitch = np.radians(near[:, 1:2], dtype=np.float64), np.radians(near[:, 2:], dtype=np.float64)
    points, depths = upright(landmarks), MEAN_HEAD[:, 2]
    # The unit has shrunk by cos(yaw): what is turned about the vertical has kept its height.
    height = (points[..., 1] * np.cos(yaw) - depths * np.sin(pitch)) / np.cos(pitch)
    x = points[..., 0] - np.tan(yaw) * (depths * np.cos(pitch) - height * np.sin(pitch))
    return np.stack([x, height], axis=-1)


def _within(angles: npt.NDArray[np.floating], yaw: float, pitch: float) -> BoolArray:
    return np.asarray((np.abs(angles[:, 1]) <= yaw) & (np.abs(angles[:, 2]) <= pitch))


def _likeness(first: Floats, second: Floats) -> Floats:
    """Return the cosine between two shapes, (N, K, 2) each: 1 where they differ in size alone."""
    sizes = np.sqrt((first**2).sum(axis=(1, 2)) * (second**2).sum(axis=(1, 2)))
    return np.asarray((first * second).sum(axis=(1, 2)) / sizes)
