"""Geometry, motion and texture of the faces of a stream, as columns of numbers."""

from __future__ import annotations

import numpy as np

from mien.core.errors import OptionError
from mien.core.preprocess import aligned_crops, points_in_crops
from mien.core.types import BoolArray, ByteArray, Faces, FloatArray
from mien.face.geometry import GEOMETRY_NAMES, geometry
from mien.face.landmarks import are_sure
from mien.face.motion import MOTION_NAMES, MotionMeter
from mien.face.texture import CROP_PX, TEXTURE_NAMES, lbp, texture

FEATURE_NAMES = (*GEOMETRY_NAMES, *MOTION_NAMES, *TEXTURE_NAMES)
"""Names of all features, in the order of the columns."""

LEAST_WIDTH_PX = 24.0  # of a face's box; an eye is 4 px wide there
LEAST_INSIDE = 0.9  # share of the points that must lie in the picture


def measurable(faces: Faces, picture: ByteArray) -> BoolArray:
    """Return which faces of a picture can be measured, (N,) bool.

    Their landmarks are sure (:data:`mien.face.landmarks.MEASURABLE`), enough of these lie in the picture, and the face
    is at least :data:`LEAST_WIDTH_PX` wide.

    Raises
    ------
    OptionError
        If the faces have no landmarks.
    """
    if faces.landmarks is None or faces.landmark_confidences is None:
        raise OptionError("faces have no landmarks: expected what Landmarker().locate(picture, faces) returns")
    height, width = picture.shape[:2]
    is_inside = ((faces.landmarks >= 0) & (faces.landmarks <= (width, height))).all(axis=2)
    widths_px = faces.boxes_xyxy[:, 2] - faces.boxes_xyxy[:, 0]
    return np.asarray(are_sure(faces) & (is_inside.mean(axis=1) >= LEAST_INSIDE) & (widths_px >= LEAST_WIDTH_PX))


class FeatureExtractor:
    """Measures the faces of one stream; needs scikit-image.

    Raises
    ------
    MissingExtraError
        If scikit-image is not installed.
    """

    def __init__(self) -> None:
        lbp(np.zeros((4, 4), np.uint8))  # says at once, and not at the first face, that scikit-image is missing
        self._motion = MotionMeter()

    def cut(self) -> None:
        """Forget the frame before: another scene begins."""
        self._motion.cut()

    def update(self, picture: ByteArray, faces: Faces, time_s: float) -> Faces:
        """Return the faces of the next frame with the features :data:`FEATURE_NAMES`.

        Parameters
        ----------
        picture : (H, W, 3) ndarray of uint8
            RGB.
        faces : Faces
            Faces of it, with `landmarks` and `landmark_confidences`.
        time_s : float
            Time of the frame in seconds.

        Returns
        -------
        Faces
            All features of a face that is not :func:`measurable` are NaN, as is the motion of one that has no id or was
            not measured in the frame before.

        Raises
        ------
        OptionError
            If the faces have no landmarks.
        """
        known = measurable(faces, picture)
        values = np.full((len(faces), len(FEATURE_NAMES)), np.nan, np.float32)
        values[known] = self._measured(picture, faces[known], time_s)
        return faces.measured(FEATURE_NAMES, values)

    def _measured(self, picture: ByteArray, faces: Faces, time_s: float) -> FloatArray:
        """Return the features of faces that can be measured, (N, F)."""
        assert faces.landmarks is not None
        crops = aligned_crops(picture, faces.landmarks, CROP_PX)
        points = points_in_crops(faces.landmarks, CROP_PX)
        textures = [texture(crop, marks) for crop, marks in zip(crops, points, strict=True)]
        families = (
            geometry(faces.landmarks),
            self._motion.update(picture, faces, time_s),
            np.reshape(textures, (len(faces), len(TEXTURE_NAMES))),
        )
        return np.concatenate(families, axis=1)
