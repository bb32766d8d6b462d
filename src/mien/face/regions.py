"""Where brows, eyes, nose and mouth are on a face."""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np

from mien.core.preprocess import FARTHEST_PX
from mien.core.types import BoolArray, FloatArray
from mien.face.landmarks import GROUPS
from mien.face.pose import eye_axes

FRAME_REGIONS = {
    "brows": (0.12, 0.20, 0.88, 0.32),
    "eyes": (0.12, 0.32, 0.88, 0.46),
    "nose": (0.34, 0.46, 0.66, 0.67),
    "mouth": (0.23, 0.67, 0.77, 0.93),
}
"""Left, top, right, bottom of each region as shares of FER2013's frame, read off the mean face of its 28,709
training images: where a region lies in a crop whose landmarks are not known. Regions do not overlap."""

REGIONS = tuple(FRAME_REGIONS)

ELSEWHERE = "elsewhere"
"""What lies in none of the regions: forehead, cheeks, chin, hair, background."""

MARGINS = {"brows": 0.10, "eyes": 0.08, "nose": 0.08, "mouth": 0.10}
"""How far a region reaches beyond its points to every side, in units of the distance between the eyes' outer corners:
brows have the hair below their points, eyes the lids, the nose its wings, the mouth the skin that its corners fold."""

_PRECEDENCE = ("eyes", "brows", "mouth", "nose")  # whose pixel it is where margins overlap
_SUBPIXEL_BITS = 4  # of OpenCV's polygons


def polygons(landmarks: FloatArray) -> dict[str, tuple[FloatArray, ...]]:
    """Return the outlines of the regions of one face.

    A region is the convex hull of its landmarks, widened by its margin along and across the line through the eyes'
    outer corners, so that it turns and grows with the face. Brows reach to the middle between them, where frowns are.

    Parameters
    ----------
    landmarks : (68, 2) ndarray of float32
        x, y in pixels, in iBUG order.

    Returns
    -------
    dict of str to tuple of (K, 2) ndarray of float32
        For each of :data:`REGIONS` its corners: brows and eyes two polygons, the person's right one first, nose and
        mouth one; none at all where a landmark is missing.
    """
    known = bool(np.isfinite(eye_axes(landmarks[None])).all())
    return {
        name: tuple(cv2.convexHull(part[0]).reshape(-1, 2).astype(np.float32) for part in parts if known)
        for name, parts in _parts(landmarks[None]).items()
    }


def region_boxes(landmarks: FloatArray) -> dict[str, FloatArray]:
    """Return the upright boxes around the polygons of the regions.

    Parameters
    ----------
    landmarks : (N, 68, 2) ndarray of float32
        x, y in pixels, in iBUG order.

    Returns
    -------
    dict of str to (N, 4) ndarray of float32
        Left, top, right, bottom in pixels for each of :data:`REGIONS`; NaN where a landmark is missing.
    """
    boxes = {}
    for name, parts in _parts(landmarks).items():
        points = np.concatenate(parts, axis=1)
        boxes[name] = np.concatenate([points.min(axis=1), points.max(axis=1)], axis=1)
    return boxes


def _parts(landmarks: FloatArray) -> dict[str, tuple[FloatArray, ...]]:
    """Return points whose convex hulls are the regions, (N, K, 2) for each polygon."""
    axes = eye_axes(landmarks)[:, None].astype(np.float32)
    groups = {name: landmarks[:, group] for name, group in GROUPS.items()}
    right, left = groups["right_brow"], groups["left_brow"]
    between = (right[:, -1:] + left[:, :1]) / 2
    margin = MARGINS["brows"] * axes
    parts = {
        "brows": (np.concatenate([right, between - margin], axis=1), np.concatenate([left, between + margin], axis=1)),
        "eyes": (groups["right_eye"], groups["left_eye"]),
        "nose": (np.concatenate([groups["nose_bridge"], groups["nose_base"]], axis=1),),
        "mouth": (groups["outer_lips"],),
    }
    return {name: tuple(_widened(part, MARGINS[name] * axes) for part in parts[name]) for name in REGIONS}


def _widened(points: FloatArray, along: FloatArray) -> FloatArray:
    """Return the four corners of a square around each point; `along`, (N, 1, 2), is half a side of it."""
    across = np.stack([-along[..., 1], along[..., 0]], axis=-1)
    shifts = (along + across, along - across, -along - across, -along + across)
    return np.concatenate([points + shift for shift in shifts], axis=1).astype(np.float32)


def region_masks(landmarks: FloatArray, shape: tuple[int, int]) -> dict[str, BoolArray]:
    """Return which pixels belong to each region; no pixel belongs to two.

    Where regions overlap, the eyes come before the brows, the brows before the mouth, the mouth before the nose.

    Parameters
    ----------
    landmarks : (68, 2) ndarray of float32
        x, y in pixels, in iBUG order; the first pixel reaches from 0 to 1.
    shape : tuple of int
        Height and width of the picture or crop that the landmarks refer to.

    Returns
    -------
    dict of str to (H, W) ndarray of bool
        For each of :data:`REGIONS`; nothing but False where a landmark is missing.
    """
    outlines = polygons(landmarks)
    numbers = np.zeros(shape, np.uint8)
    for number in reversed(range(len(_PRECEDENCE))):
        for outline in outlines[_PRECEDENCE[number]]:
            # OpenCV counts from the center of the first pixel; beyond FARTHEST_PX its whole numbers overflow.
            corners = (outline.clip(-FARTHEST_PX, FARTHEST_PX) - 0.5) * 2**_SUBPIXEL_BITS
            cv2.fillConvexPoly(numbers, corners.round().astype(np.int32), number + 1, shift=_SUBPIXEL_BITS)
    return {name: numbers == _PRECEDENCE.index(name) + 1 for name in REGIONS}


def frame_masks(size: int) -> dict[str, BoolArray]:
    """Return which pixels of a face crop belong to each of :data:`FRAME_REGIONS`.

    Parameters
    ----------
    size : int
        Side of the crop in pixels.

    Returns
    -------
    dict of str to (size, size) ndarray of bool
    """
    masks = {}
    for name, shares in FRAME_REGIONS.items():
        left, top, right, bottom = (round(share * size) for share in shares)
        masks[name] = np.zeros((size, size), np.bool_)
        masks[name][top:bottom, left:right] = True
    return masks


def region_sums(values: FloatArray, masks: Mapping[str, BoolArray] | None = None) -> dict[str, float]:
    """Return the sum of a map over each region of a face crop, and over what is elsewhere.

    Parameters
    ----------
    values : (S, S) ndarray of float32
        A map over the crop.
    masks : dict of str to (S, S) ndarray of bool, optional
        From :func:`region_masks`; by default :func:`frame_masks`.

    Returns
    -------
    dict of str to float
        The sums add up to the sum of the map.

    Examples
    --------
    >>> sums = region_sums(np.ones((100, 100), np.float32))
    >>> sums["eyes"], round(sum(sums.values()))
    (1064.0, 10000)
    """
    masks = frame_masks(len(values)) if masks is None else masks
    sums = {name: float(values[mask].sum()) for name, mask in masks.items()}
    return sums | {ELSEWHERE: float(values.sum()) - sum(sums.values())}
