"""Which part of a face made the answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import cv2
import numpy as np

from mien.core import preprocess
from mien.core.errors import OptionError
from mien.core.types import BoolArray, ByteArray, Faces, FloatArray
from mien.engine.recognizer import Recognizer
from mien.face.landmarks import are_sure, load_landmarker
from mien.face.regions import ELSEWHERE, REGIONS, frame_masks, region_masks

Origin: TypeAlias = Literal["landmarks", "frame"]

PARTS = (*REGIONS, ELSEWHERE)
"""What is hidden in turn: each region, and the rest of the crop."""

WHY_PREFIX = "why_"
WHY_NAMES = tuple(WHY_PREFIX + part for part in PARTS)
"""Columns of the shares among the features of a face."""

WINDOW_SHARE = 0.25  # of the crop's side: an eye or half a mouth
STEPS = 10  # windows along each side; 100 answers of the net, about 0.4 s on one thread
EVERY_S = 0.5  # a person's reason takes 25 ms, five times as long as the answer itself
LEAST_WORDED = 0.05
LEAST_ELSEWHERE = 0.25  # it is most of the crop and no place that one could point at


@dataclass(frozen=True, eq=False)
class Explanation:
    """Why a face was read as it was.

    Parameters
    ----------
    expression : str
        The label that is explained: the one with the highest probability.
    shares : dict of str to float
        Part of brows, eyes, nose, mouth and what is elsewhere in the answer, 0 to 1; together 1. All are 0 where none
        of them, hidden, made the answer less sure: then there is no reason to name.
    saliency : (S, S) ndarray of float32
        How much the probability of `expression` falls, on average, while a point of the crop is hidden; 0 or more.
    crop : (S, S) ndarray of uint8
        The gray crop that the net saw.
    regions_from : {"landmarks", "frame"}
        Where the regions lie: on the landmarks of this face or, where these are not sure, where they lie on the mean
        face (:data:`mien.face.regions.FRAME_REGIONS`).
    """

    expression: str
    shares: dict[str, float]
    saliency: FloatArray
    crop: ByteArray
    regions_from: Origin


def explain_face(picture: ByteArray, face: Faces, recognizer: Recognizer) -> Explanation:
    """Hide one part of a face after the other and watch the answer fall.

    M. Zeiler and R. Fergus, "Visualizing and understanding convolutional networks", ECCV 2014,
    https://doi.org/10.1007/978-3-319-10590-1_53. We differ in what hides: the face's own strong blur, since a gray
    square has edges that a net reads as wrinkles. And only the saliency map comes from a window that is moved over the
    face: shares come from hiding each region whole. Summed over regions, the map names one that matters less, for the
    window is larger than an eye (``docs/why.md`` has the figures).

    Parameters
    ----------
    picture : (H, W, 3) ndarray of uint8
        RGB.
    face : Faces
        Exactly one face of it; its landmarks are located where it has none that are sure.
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
    parts, origin = parts_of(picture, face, size)
    windows = _windows(size)
    probabilities = _probabilities(recognizer, crop, np.concatenate([parts, windows]))
    best = int(probabilities[0].argmax())
    falls = probabilities[0, best] - probabilities[1:, best]
    saliency = np.tensordot(falls[len(PARTS) :], windows, axes=1) / np.maximum(windows.sum(axis=0), 1e-6)
    return Explanation(
        expression=recognizer.card.labels[best],
        shares=_shares(falls[: len(PARTS)]),
        saliency=np.maximum(saliency, 0).astype(np.float32),
        crop=crop,
        regions_from=origin,
    )


class Explainer:
    """Tells for each face of a stream which part of it made the answer; one object follows one stream.

    Parameters
    ----------
    recognizer : Recognizer
        What gave the faces their probabilities.
    """

    def __init__(self, recognizer: Recognizer) -> None:
        self._recognizer = recognizer
        self._known: dict[tuple[int, int], tuple[float, list[float]]] = {}  # by id and label

    def update(self, picture: ByteArray, faces: Faces, time_s: float) -> FloatArray:
        """Return the shares of the parts in the answers of the next frame.

        Those of a person with an id stay as they are for :data:`EVERY_S` seconds, if the label does. A face takes six
        answers of the net.

        Parameters
        ----------
        picture : (H, W, 3) ndarray of uint8
            RGB.
        faces : Faces
            Recognized faces of it; landmarks are located where there are none that are sure.
        time_s : float
            Time of the frame in seconds; where it goes back, all is computed anew.

        Returns
        -------
        (N, 5) ndarray of float32
            Columns :data:`WHY_NAMES`; rows as :attr:`Explanation.shares`, of the top label of each face, which
            smoothing may keep while the net answers otherwise; NaN where no landmarks are sure, since nobody knows
            what lies where then.

        Raises
        ------
        OptionError
            If the faces are not recognized, or by a net of other labels.
        """
        labels = self._recognizer.card.labels
        if len(faces) and faces.labels != labels:
            raise OptionError(
                f"faces have the labels {faces.labels}: expected those that the recognizer gives, {labels}"
            )
        self._known = {name: known for name, known in self._known.items() if 0 <= time_s - known[0] < EVERY_S}
        ids = [None] * len(faces) if faces.track_ids is None else faces.track_ids.tolist()
        rows = []
        for track_id, face in zip(ids, faces, strict=True):
            best = int(face.probabilities[0].argmax())
            if (track_id, best) in self._known:
                rows.append(self._known[track_id, best][1])
                continue
            rows.append(self._explained(picture, face, best))
            if track_id is not None:
                self._known[track_id, best] = (time_s, rows[-1])
        return np.array(rows, np.float32).reshape(-1, len(PARTS))

    def _explained(self, picture: ByteArray, face: Faces, best: int) -> list[float]:
        size = self._recognizer.card.input_size
        parts, origin = parts_of(picture, face, size)
        if origin == "frame":
            return [np.nan] * len(PARTS)
        crop = preprocess.crops(picture, face.boxes_xyxy, size)[0]
        probabilities = _probabilities(self._recognizer, crop, parts)
        return list(_shares(probabilities[0, best] - probabilities[1:, best]).values())


def parts_of(picture: ByteArray, face: Faces, size: int) -> tuple[BoolArray, Origin]:
    """Return which pixels of a face's crop belong to each of :data:`PARTS`.

    Parameters
    ----------
    picture : (H, W, 3) or (H, W) ndarray of uint8
        RGB if it has channels.
    face : Faces
        Exactly one face of it; its landmarks are located where it has none that are sure.
    size : int
        Side of the crop in pixels.

    Returns
    -------
    parts : (5, size, size) ndarray of bool
        Each pixel is in one part.
    origin : {"landmarks", "frame"}
        What told the regions; see :class:`Explanation`.
    """
    located = face if are_sure(face)[0] else load_landmarker().locate(picture, face)
    origin: Origin = "frame"
    masks = frame_masks(size)
    if located.landmarks is not None and are_sure(located)[0]:
        center_x, center_y, side = preprocess.crop_squares(face.boxes_xyxy)[0].tolist()
        points = (located.landmarks[0] - (center_x - side / 2, center_y - side / 2)) * (size / side)
        origin, masks = "landmarks", region_masks(points, (size, size))
    regions = np.stack([masks[name] for name in REGIONS])
    return np.concatenate([regions, ~regions.any(axis=0, keepdims=True)]), origin


def hidden(crop: ByteArray, masks: FloatArray | BoolArray) -> ByteArray:
    """Hide parts of a crop behind its own strong blur.

    Parameters
    ----------
    crop : (S, S) ndarray of uint8
        Gray.
    masks : (M, S, S) ndarray of float32 or bool
        What each copy hides: 1 all, 0 nothing.

    Returns
    -------
    (M, S, S) ndarray of uint8
    """
    blurred = cv2.GaussianBlur(crop, (0, 0), sigmaX=len(crop) / 8).astype(np.float32)
    return np.asarray((crop + masks * (blurred - crop)).round(), np.uint8)


def _probabilities(recognizer: Recognizer, crop: ByteArray, masks: FloatArray | BoolArray) -> FloatArray:
    """Return what the net answers to a crop, and to it with each of M parts hidden, (1 + M, K)."""
    return recognizer.probabilities(np.concatenate([crop[None], hidden(crop, masks)]))


def _shares(falls: FloatArray) -> dict[str, float]:
    """Return the share of each part in how far the answer falls when they are hidden in turn."""
    rises: list[float] = np.maximum(falls, 0).tolist()
    total = sum(rises)
    return {part: fall / total if total > 0 else 0.0 for part, fall in zip(PARTS, rises, strict=True)}


def _windows(size: int) -> FloatArray:
    """Return (STEPS * STEPS, size, size) soft windows, 1 where a window hides all."""
    centers = (np.arange(STEPS) + 0.5) / STEPS * size
    places = np.arange(size) + 0.5
    spread = WINDOW_SHARE * size / 2
    along: np.ndarray[Any, Any] = np.exp(-(((places[None, :] - centers[:, None]) / spread) ** 2))
    windows: FloatArray = np.einsum("ay,bx->abyx", along, along).reshape(-1, size, size).astype(np.float32)
    return windows


def shares_of(face: Faces) -> dict[str, float]:
    """Return the shares of the parts in the answer, as they stand in the features of one face.

    Parameters
    ----------
    face : Faces
        Exactly one face.

    Returns
    -------
    dict of str to float
        As :attr:`Explanation.shares`; empty where they were not asked for or are missing.
    """
    if face.features is None or not set(WHY_NAMES) <= set(face.feature_names):
        return {}
    columns = dict(zip(face.feature_names, face.features[0].tolist(), strict=True))
    shares = {name.removeprefix(WHY_PREFIX): columns[name] for name in WHY_NAMES}
    return {} if np.isnan(list(shares.values())).any() else shares


def worded(shares: Mapping[str, float]) -> str:
    """Say shares in words, the largest first, without those below 5 %, and below 25 % of what is elsewhere.

    Parameters
    ----------
    shares : dict of str to float
        As :attr:`Explanation.shares`.

    Examples
    --------
    >>> worded({"brows": 0.2, "eyes": 0.13, "nose": 0.0, "mouth": 0.57, "elsewhere": 0.1})
    'mouth 57 %, brows 20 %, eyes 13 %'
    """
    named = (part for part in shares if shares[part] >= (LEAST_ELSEWHERE if part == ELSEWHERE else LEAST_WORDED))
    return ", ".join(f"{part} {100 * shares[part]:.0f} %" for part in sorted(named, key=lambda part: -shares[part]))
