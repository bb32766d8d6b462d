"""Landmarks of whole data sets, how far they are from the teacher's, and a picture of some of them."""

from __future__ import annotations

import cv2
import numpy as np

from mien.core.types import ByteArray, Faces, FloatArray
from mien.face.detectors import load_detector
from mien.face.landmarks import LEFT_EYE_CORNER, RIGHT_EYE_CORNER, Landmarker
from mien.lab.landmarks.data import PointedFaces

DOT_PX = 6  # pixels of the picture for each of the face's
COLUMNS = 8


def points_of(landmarker: Landmarker, images: ByteArray) -> tuple[FloatArray, FloatArray]:
    """Return the landmarks of pictures that each are one face, framed as FER2013 frames faces.

    Parameters
    ----------
    landmarker : Landmarker
    images : (N, S, S) ndarray of uint8
        Gray.

    Returns
    -------
    points : (N, 68, 2) ndarray of float32
        In shares of the picture.
    confidences : (N,) ndarray of float32
    """
    whole = load_detector("whole")
    points, confidences = np.empty((len(images), 68, 2), np.float32), np.empty(len(images), np.float32)
    for index, image in enumerate(images):
        faces = landmarker.locate(image, Faces.detected(*whole.detect(np.repeat(image[:, :, None], 3, axis=2))))
        assert faces.landmarks is not None
        assert faces.landmark_confidences is not None
        points[index], confidences[index] = faces.landmarks[0] / len(image), faces.landmark_confidences[0]
    return points, confidences


def errors(points: FloatArray, wanted: FloatArray) -> FloatArray:
    """Return the mean distance of the points of each face in distances between the outer corners of its eyes, (N,)."""
    eyes = np.linalg.norm(wanted[:, RIGHT_EYE_CORNER] - wanted[:, LEFT_EYE_CORNER], axis=1)
    distances: FloatArray = np.linalg.norm(points - wanted, axis=2).mean(axis=1) / eyes
    return distances


def contact_sheet(faces: PointedFaces, points: FloatArray, *, count: int = 40, seed: int = 0) -> ByteArray:
    """Return a picture of some faces, each with these points in green and the teacher's in red, (H, W, 3) RGB."""
    rows = np.random.default_rng(seed).choice(len(faces), size=min(count, len(faces)), replace=False)
    side = faces.images.shape[1] * DOT_PX
    tiles = []
    for row in rows:
        tile = cv2.cvtColor(cv2.resize(faces.images[row], (side, side)), cv2.COLOR_GRAY2RGB)
        for chosen, color in ((faces.points[row], (255, 70, 70)), (points[row], (80, 255, 80))):
            for x, y in chosen * side:
                cv2.circle(tile, (round(float(x)), round(float(y))), 2, color, -1, cv2.LINE_AA)
        tiles.append(tile)
    tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % COLUMNS)
    lines = [np.hstack(tiles[start : start + COLUMNS]) for start in range(0, len(tiles), COLUMNS)]
    return np.asarray(np.vstack(lines), np.uint8)
