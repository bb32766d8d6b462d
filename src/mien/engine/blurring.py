"""Makes faces unrecognizable, for pictures of people who are not to be shown."""

from __future__ import annotations

import math

import cv2
import numpy as np

from mien.core.preprocess import as_rgb
from mien.core.types import ByteArray, Faces, FloatArray
from mien.engine.tracking import LOST_AFTER_S

CELLS = 4  # our detector finds 1 of 52 blurred faces again, 6 with 5 cells, 15 with 6
LEAST_CELL_PX = 2.0  # of faces of a few pixels
GROWTH = 1.5  # the ellipse holds the whole box, and forehead, ears and chin around it


def blurred(picture: ByteArray, boxes_xyxy: FloatArray) -> ByteArray:
    """Blur faces beyond recognition on a copy of a picture.

    An ellipse around each box is averaged to at most :data:`CELLS` cells a side, which flow into each other. What was
    averaged is lost, where a plain blur can be undone. Only faces that were detected are blurred; in videos also where
    somebody was who is not found for a moment (:class:`LastSeen`). This is no anonymization: voice, body, clothes and
    place stay as they are.

    Parameters
    ----------
    picture : (H, W, 3) or (H, W) ndarray of uint8
        RGB if it has channels.
    boxes_xyxy : (N, 4) ndarray of float32
        Faces in pixels of `picture`; they may overlap and lie outside.

    Returns
    -------
    (H, W, 3) ndarray of uint8
        A new RGB picture; pixels outside the ellipses are as they were.
    """
    canvas = as_rgb(picture)
    for left, top, right, bottom in boxes_xyxy.tolist():
        if left < right and top < bottom:
            _blur(canvas, left, top, right, bottom)
    return canvas


class LastSeen:
    """Where people who are not found for a moment were last: a detector that misses a face must not show it."""

    def __init__(self) -> None:
        self._boxes: dict[int, tuple[float, FloatArray]] = {}

    def update(self, faces: Faces, time_s: float) -> FloatArray:
        """Return the boxes of those who were seen at most a second ago, and are not seen now.

        Parameters
        ----------
        faces : Faces
            Of the next frame; without ids nobody is known again.
        time_s : float
            Time of the frame in seconds.

        Returns
        -------
        (N, 4) ndarray of float32
        """
        ids = [] if faces.track_ids is None else faces.track_ids.tolist()
        for track_id, box in zip(ids, faces.boxes_xyxy, strict=bool(ids)):
            self._boxes[track_id] = (time_s, box)
        self._boxes = {name: seen for name, seen in self._boxes.items() if 0 <= time_s - seen[0] <= LOST_AFTER_S}
        missing = [box for name, (_, box) in self._boxes.items() if name not in ids]
        return np.array(missing, np.float32).reshape(-1, 4)


def _blur(canvas: ByteArray, left: float, top: float, right: float, bottom: float) -> None:
    center_x, center_y = (left + right) / 2, (top + bottom) / 2
    radius_x, radius_y = GROWTH / 2 * (right - left), GROWTH / 2 * (bottom - top)
    x0, x1 = _pixels(center_x - radius_x, center_x + radius_x, canvas.shape[1])
    y0, y1 = _pixels(center_y - radius_y, center_y + radius_y, canvas.shape[0])
    if x0 >= x1 or y0 >= y1:
        return
    window = canvas[y0:y1, x0:x1]
    x, y = np.arange(x0, x1) + 0.5, np.arange(y0, y1)[:, None] + 0.5
    is_face = ((x - center_x) / radius_x) ** 2 + ((y - center_y) / radius_y) ** 2 <= 1
    # Cells of the whole face, also where the picture ends in it: the part would keep more detail by cells of its own.
    averaged = _averaged(window, max(LEAST_CELL_PX, 2 * max(radius_x, radius_y) / CELLS))
    np.copyto(window, averaged, where=is_face[:, :, None])


def _pixels(start: float, end: float, length: int) -> tuple[int, int]:
    """Return the first pixel that an interval touches and the one after the last; as many as there are."""
    return math.floor(max(start, 0)), math.ceil(min(end, length))


def _averaged(window: ByteArray, cell_px: float) -> ByteArray:
    height, width = window.shape[:2]
    cells = (math.ceil(width / cell_px), math.ceil(height / cell_px))
    averages = cv2.resize(window, cells, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(averages, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)
