"""Rectangles, lines, polygons and text, drawn evenly at any size on an RGB picture in place."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from mien.core.preprocess import FARTHEST_PX
from mien.core.types import ByteArray, FloatArray
from mien.engine.drawing.colors import Color

SUBPIXEL_BITS = 4
OVERSAMPLING = 4
HERSHEY_CAPITALS_PX = 21.0  # at font scale 1


class Area(NamedTuple):
    """A rectangle in pixels; right and bottom are exclusive."""

    left: float
    top: float
    right: float
    bottom: float

    @property
    def width(self) -> float:
        """Pixels from left to right."""
        return self.right - self.left

    @property
    def height(self) -> float:
        """Pixels from top to bottom."""
        return self.bottom - self.top

    @property
    def size(self) -> float:
        """Area in pixels, 0 where nothing is inside."""
        return max(self.width, 0.0) * max(self.height, 0.0)

    def common(self, other: Area) -> Area:
        """Return what both have in common, of size 0 if nothing."""
        return Area(
            max(self.left, other.left),
            max(self.top, other.top),
            min(self.right, other.right),
            min(self.bottom, other.bottom),
        )

    def grown(self, margin: float) -> Area:
        """Return the rectangle that is larger by a margin on every side."""
        return Area(self.left - margin, self.top - margin, self.right + margin, self.bottom + margin)


def outline(canvas: ByteArray, area: Area, radius: float, color: Color, thickness: int) -> None:
    """Draw the border of a rectangle with round corners."""
    # A line of one pixel between two rows of pixels would be half as bright and twice as wide.
    centered = Area(*(round(value) + 0.5 for value in area))
    cv2.polylines(canvas, [_rounded(centered, radius)], True, color, thickness, cv2.LINE_AA, SUBPIXEL_BITS)


def fill(canvas: ByteArray, area: Area, radius: float, color: Color) -> None:
    """Fill a rectangle with round corners."""
    if area.size:
        cv2.fillPoly(canvas, [_rounded(area, radius)], color, cv2.LINE_AA, SUBPIXEL_BITS)


def _rounded(area: Area, radius: float) -> npt.NDArray[np.int32]:
    """Return the outline of a rectangle with round corners as fixed-point coordinates of OpenCV, (32, 2) int32."""
    radius = max(0.0, min(radius, area.width / 2, area.height / 2))
    angles = np.linspace(0, np.pi / 2, 8) + np.arange(4)[:, None] * np.pi / 2
    centers_x = np.array([area.right, area.left, area.left, area.right]) + np.array([-1, 1, 1, -1]) * radius
    centers_y = np.array([area.bottom, area.bottom, area.top, area.top]) + np.array([-1, -1, 1, 1]) * radius
    x = centers_x[:, None] + radius * np.cos(angles)
    y = centers_y[:, None] + radius * np.sin(angles)
    return _fixed_point(np.stack([x.ravel(), y.ravel()], axis=1))


def _fixed_point(points: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.int32]:
    """Return points, (..., 2) pixels, as fixed-point coordinates of OpenCV."""
    # OpenCV puts the center of pixel 0 at 0, boxes have its left edge there.
    return np.asarray(((points.clip(-FARTHEST_PX, FARTHEST_PX) - 0.5) * 2**SUBPIXEL_BITS).round(), np.int32)


def line_around(canvas: ByteArray, polygon: FloatArray, color: Color, thickness: int) -> None:
    """Draw the outline of a polygon, (K, 2) pixels."""
    cv2.polylines(canvas, [_fixed_point(polygon)], True, color, thickness, cv2.LINE_AA, SUBPIXEL_BITS)


def tint(canvas: ByteArray, polygons: Sequence[FloatArray], color: Color, opacity: float) -> None:
    """Lay a color over convex polygons, (K, 2) pixels each; what is below shines through."""
    for polygon in polygons:
        # Only around the polygon: the whole of a 1080p frame takes longer than all else that is drawn.
        ends = np.array([np.floor(polygon.min(axis=0)), np.ceil(polygon.max(axis=0))])
        (left, top), (right, bottom) = ends.clip(0, canvas.shape[1::-1]).astype(int)
        window = canvas[top:bottom, left:right]
        if window.size:
            shade = window.copy()
            cv2.fillConvexPoly(shade, _fixed_point(polygon - (left, top)), color, cv2.LINE_AA, SUBPIXEL_BITS)
            window[:] = cv2.addWeighted(window, 1 - opacity, shade, opacity, 0)


def dot(canvas: ByteArray, x: float, y: float, radius: float, color: Color) -> None:
    """Fill a small circle."""
    center, one = _fixed_point(np.array([x, y])), 2**SUBPIXEL_BITS
    cv2.circle(canvas, (int(center[0]), int(center[1])), round(radius * one), color, -1, cv2.LINE_AA, SUBPIXEL_BITS)


def write(canvas: ByteArray, text: str, left: float, baseline: float, capitals_px: float, color: Color) -> None:
    """Write a line of text."""
    mask, rise = _text_mask(text, capitals_px)
    x, y = round(left), round(baseline - rise)
    x0, y0 = max(x, 0), max(y, 0)
    window = canvas[y0 : y + mask.shape[0], x0 : x + mask.shape[1]]
    if window.size == 0:
        return
    opacity = mask[y0 - y :, x0 - x :][: window.shape[0], : window.shape[1], None]
    window[:] = (window + opacity * (np.array(color, np.float32) - window)).round()


@lru_cache(maxsize=512)
def _text_mask(text: str, capitals_px: float) -> tuple[FloatArray, float]:
    """Return the opacity of a line of text, (h, w) float32 in [0, 1], and how far its top lies above the baseline.

    OpenCV draws Hershey fonts in whole pixels of thickness; drawn larger and averaged they become even.
    """
    capitals = OVERSAMPLING * capitals_px
    scale = capitals / HERSHEY_CAPITALS_PX
    width = OVERSAMPLING * (int(text_width(text) * capitals_px) + 2)
    rise = OVERSAMPLING * (int(1.2 * capitals_px) + 1)
    height = rise + OVERSAMPLING * (int(0.5 * capitals_px) + 1)
    large = np.zeros((height, width), np.uint8)
    thickness = max(1, round(0.135 * capitals))
    cv2.putText(large, text, (0, rise), cv2.FONT_HERSHEY_SIMPLEX, scale, 255, thickness, cv2.LINE_AA)
    size = (width // OVERSAMPLING, height // OVERSAMPLING)
    mask = np.asarray(cv2.resize(large, size, interpolation=cv2.INTER_AREA), np.float32) / np.float32(255)
    mask.setflags(write=False)
    return mask, rise / OVERSAMPLING


@lru_cache(maxsize=512)
def text_width(text: str) -> float:
    """Return the width of a line of text in heights of its capitals."""
    (width, _), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, 4.0, 1)
    return width / (4.0 * HERSHEY_CAPITALS_PX)
