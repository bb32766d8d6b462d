"""What both packages do alike: take a picture in any form, find its faces, read them."""

from __future__ import annotations

import base64
import binascii
import logging
from contextlib import closing
from functools import cache
from os import PathLike, fspath
from typing import IO, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from mien.core.errors import MediaError, OptionError
from mien.core.preprocess import as_rgb, crops
from mien.core.types import ByteArray, Faces, FloatArray
from mien.engine.recognizer import Recognizer, load
from mien.engine.video import frames, read_picture
from mien.engine.video.headers import picture_format
from mien.engine.video.pictures import check_content, decode_picture
from mien.face.detectors import Detector, detect, load_detector

log = logging.getLogger("mien")

Picture: TypeAlias = str | PathLike[str] | npt.NDArray[Any] | IO[bytes]


class PictureError(MediaError, ValueError):
    """A picture cannot be read, or has no face where one is asked for; deepface raises a ValueError for both."""


def read_any(img: Picture, *, color: str = "bgr") -> ByteArray:
    """Return a picture as RGB.

    Parameters
    ----------
    img : path, http URL, ``data:image/...;base64,...``, open file, or ndarray
        An array is (H, W) or (H, W, 3) uint8.
    color : {"rgb", "bgr"}
        Order of the channels of an array.

    Returns
    -------
    (H, W, 3) ndarray of uint8
        RGB.

    Raises
    ------
    PictureError
        If it cannot be read.
    OptionError
        If it is none of these.
    """
    name = picture_name(img)
    try:
        if isinstance(img, np.ndarray):
            return as_rgb(img, color=color)
        if isinstance(img, str) and img.startswith("data:"):
            return _decoded(name, base64.b64decode(img.partition(",")[2]))
        if isinstance(img, str) and img.lower().startswith(("http://", "https://")):
            with closing(frames(img)) as stream:
                return next(stream).image
        if isinstance(img, (str, PathLike)):
            return read_picture(fspath(img))
        if callable(getattr(img, "read", None)):
            if img.seekable():  # who looked at its type has read some of it
                img.seek(0)
            return _decoded(name, img.read())
    except MediaError as error:
        raise PictureError(str(error)) from error
    except binascii.Error as error:
        raise PictureError(f"{name}: is no base64 ({error}): expected 'data:image/...;base64,...'") from error
    raise OptionError(f"picture is a {type(img).__name__}: expected a path, a URL, a base64 string, a file or an array")


def picture_name(img: Picture) -> str:
    """Return what an error calls a picture: its path or URL, where it has one."""
    return str(img) if isinstance(img, (str, PathLike)) and not str(img).startswith("data:") else "picture"


def _decoded(name: str, content: object) -> ByteArray:
    if not isinstance(content, bytes) or picture_format(content) is None:
        raise MediaError(f"{name}: holds no picture that can be read: expected the bytes of an image file")
    return decode_picture(name, content, check_content(name, content))


@cache
def _detector() -> Detector:
    return load_detector("auto")


@cache
def _recognizer() -> Recognizer:
    return load("default")


def find(picture: ByteArray) -> Faces:
    """Return the faces of a picture by the detector ``auto``, the largest first."""
    faces = detect(_detector(), picture)
    return faces[np.argsort(-faces.boxes_xywh[:, 2:].prod(axis=1), kind="stable")]


def expressions(picture: ByteArray, boxes_xyxy: FloatArray) -> list[dict[str, float]]:
    """Return label -> probability of each face by the net ``default``; together 1 in double precision."""
    recognizer = _recognizer()
    probabilities = recognizer.probabilities(crops(picture, boxes_xyxy, recognizer.card.input_size)).astype(float)
    shares = probabilities / probabilities.sum(axis=1, keepdims=True)
    return [dict(zip(recognizer.card.labels, row, strict=True)) for row in shares.tolist()]


def top(scores: dict[str, float]) -> str:
    """Return the label with the highest score."""
    return max(scores, key=scores.__getitem__)


def rectangles(boxes_xyxy: FloatArray, picture: ByteArray) -> list[list[int]]:
    """Return the part of each box that is inside the picture: x, y, width, height in whole pixels, never empty."""
    end_xy = picture.shape[1::-1]
    start_xy = np.floor(boxes_xyxy[:, :2]).clip(0, end_xy)
    sides = np.ceil(boxes_xyxy[:, 2:]).clip(0, end_xy) - start_xy
    whole: list[list[int]] = np.concatenate([start_xy, sides], axis=1).astype(int).tolist()
    return whole


def warn_of_ignored(call: str, **arguments: object) -> None:
    """Say once which of these arguments were given and change nothing."""
    given = ", ".join(name for name, value in arguments.items() if value)
    if given:
        _warn_once(f"{call} ignores {given}: docs/migrate.md says what mien does instead")


@cache
def _warn_once(message: str) -> None:
    log.warning(message)
