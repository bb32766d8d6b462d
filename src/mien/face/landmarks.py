"""Sixty-eight points of a face, and how sure they are, by a small net of our own."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from mien.core import preprocess
from mien.core.errors import ModelError
from mien.core.model import CARD_KEY, INPUT_NAME, Score, open_graph
from mien.core.types import LANDMARKS, BoolArray, ByteArray, Faces, FloatArray

COUNT = LANDMARKS
GROUPS = {
    "jaw": slice(0, 17),
    "right_brow": slice(17, 22),
    "left_brow": slice(22, 27),
    "nose_bridge": slice(27, 31),
    "nose_base": slice(31, 36),
    "right_eye": slice(36, 42),
    "left_eye": slice(42, 48),
    "outer_lips": slice(48, 60),
    "inner_lips": slice(60, 68),
}
"""Points by name in iBUG's order (Sagonas et al. 2013, https://doi.org/10.1109/ICCVW.2013.59); "right" is the person's
right, left in the picture."""

RIGHT_EYE_CORNER, LEFT_EYE_CORNER = 36, 45
"""The outer corners of the eyes, whose distance is the unit of errors and of geometry."""

MIRROR = (
    *reversed(range(17)),
    *reversed(range(17, 27)),
    *range(27, 31),
    *reversed(range(31, 36)),
    *(45, 44, 43, 42, 47, 46),
    *(39, 38, 37, 36, 41, 40),
    *reversed(range(48, 55)),
    *reversed(range(55, 60)),
    *reversed(range(60, 65)),
    *reversed(range(65, 68)),
)
"""Which point each point becomes in the mirror image."""

FRAME_SHARE = 1.2  # side of the crop, in sides of FER2013's frame: that frame cuts off chins
MEASURABLE = 0.5
"""Confidence below which nothing is measured on a face."""

POINTS_NAME, CONFIDENCES_NAME = "points", "confidences"
CARD_SCHEMA = 1
BATCH = 64


@dataclass(frozen=True)
class LandmarkCard:
    """What travels inside the file of the landmark net.

    Parameters
    ----------
    name, version : str
    input_size : int
        Side of the square gray crop in pixels.
    parameters : int
        Number of weights.
    mflops : float
        Millions of floating-point operations for one face; a multiply-add counts as two.
    teacher : str
        The net whose points it was taught.
    training_data : dict of str to str
        Data set and split, with the SHA-256 of what was used.
    recipe : dict
        The options of the training run.
    seed : int
    license, limits : str
    code_version : str
    scores : dict of str to Score
        Mean errors against the teacher as shares of the distance between the outer corners of the eyes, measured on the
        very file that holds this card.
    schema : int
    """

    name: str
    version: str
    input_size: int
    parameters: int
    mflops: float
    teacher: str
    training_data: dict[str, str]
    recipe: dict[str, Any]
    seed: int
    license: str
    limits: str
    code_version: str
    scores: dict[str, Score]
    schema: int = CARD_SCHEMA

    def to_json(self) -> str:
        """Return the card as JSON text, as it stands in the file."""
        return json.dumps(asdict(self), ensure_ascii=False, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> LandmarkCard:
        """Read a card.

        Raises
        ------
        ModelError
            If the text is no card of a landmark net.
        """
        try:
            content = json.loads(text)
            content["scores"] = {name: Score(**score) for name, score in content["scores"].items()}
            return cls(**content)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ModelError(
                f"the card is not that of a landmark net ({error}): export it with mien landmarks"
            ) from error


class Landmarker:
    """The landmark net, opened; may be shared by threads.

    Parameters
    ----------
    path : path_like, optional
        An ``.onnx`` file written by ``mien landmarks``; by default the net that ships.

    Attributes
    ----------
    card : LandmarkCard

    Raises
    ------
    ModelError
        If the file is missing, or is no landmark net of mien.
    """

    def __init__(self, path: str | Path | None = None) -> None:
        self.path = Path(str(resources.files("mien.weights").joinpath("landmarks.onnx")) if path is None else path)
        self._session, metadata, self.sha256 = open_graph(self.path)
        try:
            self.card = LandmarkCard.from_json(metadata.get(CARD_KEY, ""))
        except ModelError as error:
            raise ModelError(f"{self.path}: {error}") from error

    def __repr__(self) -> str:
        return f"<Landmarker {self.card.name!r}, version {self.card.version}>"

    def locate(self, picture: ByteArray, faces: Faces) -> Faces:
        """Return faces with their landmarks, and how sure these are.

        Parameters
        ----------
        picture : (H, W, 3) or (H, W) ndarray of uint8
            RGB if it has channels.
        faces : Faces
            Faces of it, boxes of mien's convention.

        Returns
        -------
        Faces
            `landmarks` (N, 68, 2) float32 in pixels of the picture; `landmark_confidences` (N,) float32, the
            probability that the points are off by less than a tenth of the distance between the outer corners of the
            eyes on average, times the share of the points that lie in the picture.
        """
        squares = preprocess.crop_squares(faces.boxes_xyxy)
        squares[:, 2] *= FRAME_SHARE
        crops = preprocess.crops(picture, preprocess.boxes_around(squares), self.card.input_size)
        shares, confidences = self.run(crops)
        corners = squares[:, :2] - squares[:, 2:] / 2
        points = corners[:, None] + shares * squares[:, None, 2:]
        confidences = confidences * _share_inside(points, picture.shape[1], picture.shape[0])
        return replace(faces, landmarks=points, landmark_confidences=confidences)

    def run(self, crops: ByteArray) -> tuple[FloatArray, FloatArray]:
        """Return points and confidences of crops.

        Parameters
        ----------
        crops : (N, S, S) ndarray of uint8
            Gray, of the card's input size, `FRAME_SHARE` times as wide as FER2013's frame.

        Returns
        -------
        points : (N, 68, 2) ndarray of float32
            In shares of the crop.
        confidences : (N,) ndarray of float32
        """
        points, confidences = np.empty((len(crops), COUNT, 2), np.float32), np.empty(len(crops), np.float32)
        for start in range(0, len(crops), BATCH):
            part = slice(start, start + BATCH)
            outputs = self._session.run([POINTS_NAME, CONFIDENCES_NAME], {INPUT_NAME: crops[part, None]})
            points[part], confidences[part] = outputs
        return points, confidences


@lru_cache(maxsize=1)
def load_landmarker() -> Landmarker:
    """Return the landmark net that ships, opened once."""
    return Landmarker()


def are_sure(faces: Faces) -> BoolArray:
    """Return which faces have landmarks that are sure enough to measure by, (N,) bool.

    All points are there, a face can be aligned by them, and their confidence, where one is given, is
    :data:`MEASURABLE` or more.
    """
    if faces.landmarks is None:
        return np.zeros(len(faces), np.bool_)
    is_sure = np.isfinite(faces.landmarks).all(axis=(1, 2))
    is_sure &= np.isfinite(preprocess.alignment(faces.landmarks)).all(axis=(1, 2))
    if faces.landmark_confidences is not None:
        is_sure &= faces.landmark_confidences >= MEASURABLE
    return np.asarray(is_sure)


def _share_inside(points: FloatArray, width: int, height: int) -> FloatArray:
    inside = (points >= 0).all(axis=2) & (points <= (width, height)).all(axis=2)
    share: FloatArray = inside.mean(axis=1, dtype=np.float32)
    return share
