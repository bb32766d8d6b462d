"""Which part of a face made the answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from mien.core import preprocess
from mien.core.errors import OptionError
from mien.core.types import ByteArray, Faces, FloatArray
from mien.engine.recognizer import Recognizer
from mien.face.regions import region_sums

WINDOW_SHARE = 0.25  # of the crop's side: an eye or half a mouth
STEPS = 10  # windows along each side; 100 answers of the net, about 0.4 s on one thread


@dataclass(frozen=True, eq=False)
class Explanation:
    """Why a face was read as it was.

    Parameters
    ----------
    expression : str
        The label that is explained: the one with the highest probability.
    shares : dict of str to float
        Part of each region in the answer, 0 to 1; together 1. All are 0, and so is `saliency`, where nothing that was
        hidden made the answer less sure: then there is no reason to name.
    saliency : (S, S) ndarray of float32
        How much the probability of `expression` falls, on average, while a point of the crop is hidden; 0 or more.
    crop : (S, S) ndarray of uint8
        The gray crop that the net saw.
    """

    expression: str
    shares: dict[str, float]
    saliency: FloatArray
    crop: ByteArray


def explain_face(picture: ByteArray, face: Faces, recognizer: Recognizer) -> Explanation:
    """Hide one part of a face after the other and watch the answer fall.

    M. Zeiler and R. Fergus, "Visualizing and understanding convolutional networks", ECCV 2014,
    https://doi.org/10.1007/978-3-319-10590-1_53. We differ in what hides: the face's own strong blur, softly faded in,
    since a gray square has edges that a net reads as wrinkles.

    Parameters
    ----------
    picture : (H, W, 3) ndarray of uint8
        RGB.
    face : Faces
        Exactly one face of it.
    recognizer : Recognizer

    Returns
    -------
    Explanation

    Raises
    ------
    OptionError
        If `face` is not one face.
    """
    if not isinstance(face, Faces):
        raise OptionError(f"face is a {type(face).__name__}: expected Faces that hold exactly one, as faces[index]")
    if len(face) != 1:
        raise OptionError(f"{len(face)} faces: expected exactly one; choose one with faces[index]")
    size = recognizer.card.input_size
    crop = preprocess.crops(picture, face.boxes_xyxy, size)[0]
    masks = _masks(size)
    blurred = cv2.GaussianBlur(crop, (0, 0), sigmaX=size / 8).astype(np.float32)
    hidden = (crop + masks * (blurred - crop)).round().astype(np.uint8)
    answer = recognizer.probabilities([crop])[0]
    best = int(answer.argmax())
    falls = answer[best] - recognizer.probabilities(hidden)[:, best]
    saliency = np.tensordot(falls, masks, axes=1) / np.maximum(masks.sum(axis=0), 1e-6)
    saliency = np.maximum(saliency, 0).astype(np.float32)
    total = float(saliency.sum())
    shares = {name: max(value, 0.0) / total if total > 0 else 0.0 for name, value in region_sums(saliency).items()}
    return Explanation(recognizer.card.labels[best], shares, saliency, crop)


def _masks(size: int) -> FloatArray:
    """Return (STEPS * STEPS, size, size) soft windows, 1 where a window hides all."""
    centers = (np.arange(STEPS) + 0.5) / STEPS * size
    places = np.arange(size) + 0.5
    spread = WINDOW_SHARE * size / 2
    along: np.ndarray[Any, Any] = np.exp(-(((places[None, :] - centers[:, None]) / spread) ** 2))
    masks: FloatArray = np.einsum("ay,bx->abyx", along, along).reshape(-1, size, size).astype(np.float32)
    return masks
