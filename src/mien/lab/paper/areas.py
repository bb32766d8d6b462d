"""Where in a face an expression is seen (Fig. 5), mean over faces."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mien.core import preprocess
from mien.core.types import ByteArray, Faces, FloatArray
from mien.engine.explain import explain_face
from mien.engine.recognizer import Recognizer
from mien.face.landmarks import load_landmarker


@dataclass(frozen=True, eq=False)
class Area:
    """Area of interest of one expression.

    Parameters
    ----------
    faces : int
        What it is the mean of.
    right : int
        Faces that the net reads right.
    saliency, crop : (S, S) ndarray of float32
        Of :class:`mien.engine.explain.Explanation`.
    landmarks : (68, 2) ndarray of float32 or None
        x, y in pixels of the crop; None where no face has sure ones: regions are those of the frame then.
    shares : dict of str to float
        Part of each region in the answer.
    """

    faces: int
    right: int
    saliency: FloatArray
    crop: FloatArray
    landmarks: FloatArray | None
    shares: dict[str, float]


def area_of_interest(expression: str, images: ByteArray, recognizer: Recognizer) -> Area:
    """Average why faces are read as an expression.

    Faces count that are read right, or all if none is; of these, those whose landmarks are sure, or all if none has
    such.

    Parameters
    ----------
    expression : str
        What the faces show.
    images : (N, H, H) ndarray of uint8
        At least one gray face, framed as FER2013 frames it.
    recognizer : Recognizer
    """
    side = images.shape[1]
    frame = preprocess.boxes_around(np.array([[side / 2, side / 2, side]], np.float32))
    located = [load_landmarker().locate(image, Faces.detected(frame, [1.0])) for image in images]
    pairs = [(explain_face(image, face, recognizer), face) for image, face in zip(images, located, strict=True)]
    right = [pair for pair in pairs if pair[0].expression == expression]
    sure = [pair for pair in right or pairs if pair[0].regions_from == "landmarks"]
    explanations, faces = zip(*(sure or right or pairs), strict=True)
    size = recognizer.card.input_size
    return Area(
        faces=len(explanations),
        right=len(right),
        saliency=np.mean([one.saliency for one in explanations], axis=0),
        crop=np.mean([one.crop for one in explanations], axis=0, dtype=np.float32),
        landmarks=np.mean([face.landmarks[0] for face in faces], axis=0) * (size / side) if sure else None,
        shares={part: float(np.mean([one.shares[part] for one in explanations])) for part in explanations[0].shares},
    )
