"""The call ``DeepFace.analyze`` of the package ``deepface``, for expressions."""
# ruff: noqa: ARG004  # arguments without a meaning here are taken, since the calls that exist give them

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypedDict

import numpy as np

from mien.compat.reading import (
    Picture,
    PictureError,
    expressions,
    find,
    picture_name,
    read_any,
    rectangles,
    top,
    warn_of_ignored,
)
from mien.core.errors import OptionError
from mien.face.detectors import Whole


class Region(TypedDict):
    """Where a face is, in whole pixels; the eyes are None, as in deepface where they are not found."""

    x: int
    y: int
    w: int
    h: int
    left_eye: None
    right_eye: None


class AnalyzedFace(TypedDict):
    """A face: label -> 0 to 100, together 100 and not rounded; how sure the detector is, from 0 to 1."""

    emotion: dict[str, float]
    dominant_emotion: str
    region: Region
    face_confidence: float


class DeepFace:
    """Stands for the module ``deepface.DeepFace``, of which it has :meth:`analyze`."""

    @staticmethod
    def analyze(
        img_path: Picture | list[Picture],
        actions: str | Sequence[str] = ("emotion",),
        enforce_detection: bool = True,
        detector_backend: str = "opencv",
        align: bool = True,
        expand_percentage: int = 0,
        silent: bool = False,
        anti_spoofing: bool = False,
    ) -> list[Any]:
        """Return emotion, region and confidence of each face, the largest first.

        Parameters
        ----------
        img_path : path, URL, base64 string, file or ndarray; a list of them; or (N, H, W, 3) ndarray
            Arrays are BGR.
        actions : {"emotion"}
            Alone or in a sequence; deepface's default is all of its four.
        enforce_detection : bool
            Whether a picture without a face is an error; where not, the whole picture is the face.
        detector_backend : str
            ``"skip"``: the whole picture is the face. Every other is mien's detector ``auto``.
        expand_percentage
            Ignored, with one warning: faces are framed as the net was taught.
        align, silent
            Ignored.
        anti_spoofing : bool
            Refused where it is true.

        Returns
        -------
        list of AnalyzedFace, or list of those
            For several pictures a list for each. Where the whole picture is the face, ``face_confidence`` is 0.

        Raises
        ------
        PictureError
            If a picture cannot be read or has no face; it is a ValueError.
        OptionError
            If an option is refused; it is a ValueError too.

        Examples
        --------
        >>> from skimage.data import astronaut
        >>> faces = DeepFace.analyze(astronaut()[..., ::-1], actions=["emotion"])
        >>> faces[0]["dominant_emotion"]
        'happy'
        """
        if actions != "emotion" and list(actions or ()) != ["emotion"]:
            raise OptionError(f"actions is {actions!r}: mien reads expressions only; give actions=['emotion']")
        if anti_spoofing:
            raise OptionError("anti_spoofing is not offered: mien cannot tell a face from a photo of one; leave it out")
        warn_of_ignored("DeepFace.analyze", expand_percentage=expand_percentage)
        is_face = detector_backend == "skip"
        if isinstance(img_path, list) or (isinstance(img_path, np.ndarray) and img_path.ndim == 4):
            return [_analyzed(img, is_face=is_face, enforce_detection=enforce_detection) for img in img_path]
        return _analyzed(img_path, is_face=is_face, enforce_detection=enforce_detection)


def _analyzed(img: Picture, *, is_face: bool, enforce_detection: bool) -> list[AnalyzedFace]:
    picture = read_any(img)
    if not is_face:
        faces = find(picture)
        if len(faces):
            places = rectangles(faces.boxes_xyxy, picture)
            emotions = expressions(picture, faces.boxes_xyxy)
            return [_answer(*found) for found in zip(places, emotions, faces.scores.tolist(), strict=True)]
        if enforce_detection:
            raise PictureError(
                f"{picture_name(img)}: no face is found: give a picture of a face, or enforce_detection=False to "
                "take the whole picture for one"
            )
    height, width = picture.shape[:2]
    (emotion,) = expressions(picture, Whole().detect(picture)[0])
    return [_answer([0, 0, width, height], emotion, 0.0)]


def _answer(rectangle: list[int], probabilities: dict[str, float], confidence: float) -> AnalyzedFace:
    x, y, width, height = rectangle
    return {
        "emotion": {label: 100 * probability for label, probability in probabilities.items()},
        "dominant_emotion": top(probabilities),
        "region": {"x": x, "y": y, "w": width, "h": height, "left_eye": None, "right_eye": None},
        "face_confidence": round(confidence, 2),
    }
