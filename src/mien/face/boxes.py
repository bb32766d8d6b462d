"""Boxes and pictures at the size that a detector works on."""

from __future__ import annotations

from typing import Any, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from mien.core.types import ByteArray, FloatArray

Floats: TypeAlias = npt.NDArray[np.float64]


def working_picture(image_rgb: ByteArray, long_side_px: int) -> ByteArray:
    """Return the picture scaled up or down to the long side that a detector works on, each side at least 1 px."""
    height, width = image_rgb.shape[:2]
    scale = long_side_px / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image_rgb, size, interpolation=interpolation), np.uint8)


def source_boxes(boxes_xywh: npt.ArrayLike, working: ByteArray, image_rgb: ByteArray) -> FloatArray:
    """Return boxes of the working picture as xyxy in pixels of the source."""
    boxes = np.asarray(boxes_xywh, np.float32).reshape(-1, 4)
    scale = np.array(image_rgb.shape[1::-1], np.float32) / np.array(working.shape[1::-1], np.float32)
    corners = np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)
    return np.asarray(corners * np.tile(scale, 2), np.float32)


def centers_and_sizes(boxes_xyxy: FloatArray) -> tuple[Floats, Any]:
    """Return the centers, (..., 2), of boxes, and their sizes (...,): the square roots of their areas, above 0."""
    boxes = np.asarray(boxes_xyxy, np.float64)
    sides = np.maximum(boxes[..., 2:] - boxes[..., :2], 1e-3)
    return (boxes[..., :2] + boxes[..., 2:]) / 2, np.sqrt(sides.prod(axis=-1))


def without_overlaps(boxes_xyxy: FloatArray, weights: FloatArray) -> list[int]:
    """Return the boxes, heaviest first, that do not share half of the smaller one's area with a heavier one.

    Parameters
    ----------
    boxes_xyxy : (N, 4) ndarray of float32
    weights : (N,) ndarray

    Returns
    -------
    list of int
        Rows of `boxes_xyxy`.
    """
    areas = np.prod(boxes_xyxy[:, 2:] - boxes_xyxy[:, :2], axis=1)
    chosen: list[int] = []
    for index in np.argsort(-weights, kind="stable").tolist():
        box, others = boxes_xyxy[index], boxes_xyxy[chosen]
        shared = np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2])
        covered = np.prod(shared.clip(min=0), axis=1) / np.minimum(areas[index], areas[chosen])
        if (covered < 0.5).all():
            chosen.append(index)
    return chosen
