"""Faces of a stream: the whole picture on a schedule and when a face is lost, a window around each face between."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np

from mien.core.types import ByteArray, Faces, FloatArray
from mien.face.boxes import Floats, centers_and_sizes, without_overlaps
from mien.face.detectors import Detector, ScalableDetector, detect

LOOK_EVERY_S = 2.0  # at the whole picture, for who is far away
GLANCE_EVERY_S = 0.5  # at the whole picture, smaller, for who has come
SEARCH_EVERY_S, SEARCH_FOR_S = 0.1, 1.0  # once a face is gone: whoever was hidden comes back before the id is forgotten
WINDOW_PX = 160  # long side in which a window is searched: 2.6 ms, where the whole picture costs 35 (one thread)
GLANCE_PX = 320  # long side of the picture at a glance: 7 ms
MARGIN = 2.4  # of a window, in units of the longer side of its face
DRIFT = 0.08  # of a window's side: a face that moves less keeps its window, so that a still face has a still box
RESIZE = 1.2


@dataclass(frozen=True)
class _Window:
    """Part of the picture that is searched for one face.

    Parameters
    ----------
    middle : (2,) ndarray
        Of the window, in pixels.
    side_px : float
    center : (2,) ndarray
        Of the face when it was seen last.
    """

    middle: Floats
    side_px: float
    center: Floats

    @classmethod
    def around(cls, box_xyxy: FloatArray) -> _Window:
        center, _ = centers_and_sizes(box_xyxy)
        return cls(center, MARGIN * float((box_xyxy[2:] - box_xyxy[:2]).max()), center)

    def followed(self, box_xyxy: FloatArray) -> _Window:
        """Return the window for the next frame: this one, unless the face has left its middle or changed its size."""
        moved = _Window.around(box_xyxy)
        is_near = np.abs(moved.center - self.middle).max() < DRIFT * self.side_px
        is_alike = 1 / RESIZE < moved.side_px / self.side_px < RESIZE
        return replace(self, center=moved.center) if is_near and is_alike else moved

    def holds(self, box_xyxy: FloatArray) -> bool:
        """Return whether a box is that of its face."""
        center, _ = centers_and_sizes(box_xyxy)
        return bool(np.abs(center - self.center).max() < self.side_px / MARGIN / 2)

    def find(self, detector: Detector, image_rgb: ByteArray) -> Faces | None:
        """Return the face in the window that is nearest to where it was, None where it is lost."""
        end = np.array(image_rgb.shape[1::-1])
        left, top = np.clip(np.floor(self.middle - self.side_px / 2), 0, end).astype(int)
        right, bottom = np.clip(np.ceil(self.middle + self.side_px / 2), 0, end).astype(int)
        if right <= left or bottom <= top:
            return None
        seen = detect(detector, np.ascontiguousarray(image_rgb[top:bottom, left:right]))
        if not len(seen):
            return None
        boxes = seen.boxes_xyxy + np.array([left, top, left, top], np.float32)
        farness = np.linalg.norm(centers_and_sizes(boxes)[0] - self.center, axis=1)
        return replace(seen, boxes_xyxy=boxes)[int(farness.argmin())]


class Finder:
    """Finds the faces of each frame of one stream.

    The whole picture is searched every two seconds, at a cut, and as soon as a face is lost; at a glance, which misses
    faces below a twentieth of the picture's long side, every half second, and in every frame while nobody is there. The
    boxes come from a window around each face, searched at one scale: they stay still where the face does. Where windows
    would cost more than the picture, and by a detector that cannot look closer (it has no ``at``), each frame is
    searched whole.

    Parameters
    ----------
    detector : Detector
    """

    def __init__(self, detector: Detector) -> None:
        self._whole = detector
        self._windows: list[_Window] = []
        self._looked_s, self._glanced_s, self._missed_s = np.inf, np.inf, -np.inf
        if callable(getattr(detector, "at", None)):
            scalable = cast("ScalableDetector", detector)
            self._near, self._glance = scalable.at(WINDOW_PX), scalable.at(GLANCE_PX)
            self._whole_px = scalable.long_side_px
        else:
            self._whole_px = 0

    def cut(self) -> None:
        """Forget where faces were."""
        self._windows, self._looked_s, self._missed_s = [], np.inf, -np.inf

    def find(self, image_rgb: ByteArray, time_s: float) -> Faces:
        """Return the faces of the next frame.

        Parameters
        ----------
        image_rgb : (H, W, 3) ndarray of uint8
            RGB.
        time_s : float
            Time of the frame in seconds.

        Returns
        -------
        Faces
            Boxes and scores.
        """
        is_searching = time_s - self._missed_s < SEARCH_FOR_S
        is_due = not 0 <= time_s - self._looked_s < (SEARCH_EVERY_S if is_searching else LOOK_EVERY_S)
        found = None if is_due or not self._whole_px else self._followed(image_rgb, time_s)
        if found is None:
            before = len(self._windows)
            found = self._looked(image_rgb)
            self._looked_s = self._glanced_s = time_s
            if len(found) < before:
                self._missed_s = time_s
        return found

    def _looked(self, image_rgb: ByteArray) -> Faces:
        """Search the whole picture, then each face closer."""
        whole = detect(self._whole, image_rgb)
        self._windows = [self._window_of(box) for box in whole.boxes_xyxy]
        if not self._are_cheap(image_rgb):
            return whole
        closer = [window.find(self._near, image_rgb) or face for window, face in zip(self._windows, whole, strict=True)]
        return self._kept(_together(closer)) or self._kept(whole) or whole

    def _followed(self, image_rgb: ByteArray, time_s: float) -> Faces | None:
        """Return the faces that were there a frame ago; None if one of them is lost, or one has come."""
        if not self._are_cheap(image_rgb):
            return None
        if not self._windows or time_s - self._glanced_s >= GLANCE_EVERY_S:
            self._glanced_s = time_s
            if len(detect(self._glance, image_rgb)) > len(self._windows):
                return None
        seen = [window.find(self._near, image_rgb) for window in self._windows]
        return None if None in seen else self._kept(_together(seen))

    def _kept(self, faces: Faces) -> Faces | None:
        """Return faces after their windows have moved with them; None if two windows found the same face."""
        if len(without_overlaps(faces.boxes_xyxy, faces.scores)) < len(faces):
            return None
        self._windows = [w.followed(box) for w, box in zip(self._windows, faces.boxes_xyxy, strict=True)]
        return faces

    def _window_of(self, box_xyxy: FloatArray) -> _Window:
        known = next((window for window in self._windows if window.holds(box_xyxy)), None)
        return known.followed(box_xyxy) if known else _Window.around(box_xyxy)

    def _are_cheap(self, image_rgb: ByteArray) -> bool:
        """Return whether all windows together have fewer pixels than the whole picture as the detector sees it."""
        height, width = image_rgb.shape[:2]
        whole = self._whole_px**2 * min(height, width) / max(height, width)
        return bool(len(self._windows) * WINDOW_PX**2 < whole)


def _together(faces: Sequence[Faces | None]) -> Faces:
    found = [one for one in faces if one is not None]
    boxes = [one.boxes_xyxy for one in found] or [np.empty((0, 4), np.float32)]
    return Faces.detected(np.concatenate(boxes), [score for one in found for score in one.scores.tolist()])
