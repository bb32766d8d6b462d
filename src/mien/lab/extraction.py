"""What is extracted from the faces of a data set: aligned crops, and the features of :mod:`mien.engine.features`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from mien.core.preprocess import aligned_crops, as_rgb
from mien.core.types import BoolArray, ByteArray, Faces, FloatArray, IntArray
from mien.engine.features import FEATURE_NAMES, FeatureExtractor
from mien.face.landmarks import MEASURABLE, Landmarker, load_landmarker
from mien.lab.datasets import SIDE, FaceDataset, whole_frame
from mien.lab.datasets.folders import CK48

FRAME_S = 1 / 30
"""Time between the frames of CK+ (Lucey et al. 2010)."""

BORDER_PX = 24  # around a face where it is measured: FER2013's frame cuts off chins, which a photo shows


@dataclass(frozen=True, eq=False)
class Extraction:
    """What was extracted from faces; face ``i`` is row ``i`` of each array.

    Parameters
    ----------
    images : (N, 48, 48) ndarray of uint8
        Aligned, or as they were where the points are not sure.
    is_aligned : (N,) ndarray of bool
    features : (N, F) ndarray of float32
        Columns :data:`mien.engine.features.FEATURE_NAMES`; NaN is missing.
    """

    images: ByteArray
    is_aligned: BoolArray
    features: FloatArray


def extract(faces: FaceDataset, *, landmarker: Landmarker | None = None) -> Extraction:
    """Find the points of faces, align these, and measure them.

    Parameters
    ----------
    faces : FaceDataset
        Frames of one sequence of CK+48 follow one another in time, and have motion; other faces are alone.
    landmarker : Landmarker, optional
        By default the net that ships.
    """
    landmarker = landmarker or load_landmarker()
    found = Extraction(
        faces.images.copy(),
        np.zeros(len(faces), np.bool_),
        np.full((len(faces), len(FEATURE_NAMES)), np.nan, np.float32),
    )
    for rows in streams(faces):
        extractor = FeatureExtractor()
        for number, row in enumerate(rows):
            picture = as_rgb(faces.images[row])
            face = landmarker.locate(picture, whole_frame())
            assert face.landmarks is not None
            assert face.landmark_confidences is not None
            if face.landmark_confidences[0] >= MEASURABLE:
                found.images[row] = aligned_crops(picture, face.landmarks, SIDE)[0]
                found.is_aligned[row] = True
            features = extractor.update(*_bordered(picture, face), number * FRAME_S).features
            assert features is not None
            found.features[row] = features[0]
    return found


def _bordered(picture: ByteArray, face: Faces) -> tuple[ByteArray, Faces]:
    """Return a picture within its repeated border, and its face there."""
    assert face.landmarks is not None
    wide = np.pad(picture, ((BORDER_PX, BORDER_PX), (BORDER_PX, BORDER_PX), (0, 0)), mode="edge")
    return wide, replace(face, boxes_xyxy=face.boxes_xyxy + BORDER_PX, landmarks=face.landmarks + BORDER_PX)


def streams(faces: FaceDataset) -> Sequence[IntArray]:
    """Return the rows of each sequence of CK+48 in the order of time; each other face is a sequence of its own."""
    order = np.argsort(faces.source_ids, kind="stable")
    names = np.array([_sequence(name) for name in faces.source_ids[order].tolist()])
    starts = np.flatnonzero(names[1:] != names[:-1]) + 1
    return np.split(order, starts)


def _sequence(source_id: str) -> str:
    return source_id.rpartition("_")[0] if source_id.startswith(CK48) else source_id
