"""What a net loses when the picture gets worse: blur, noise, compression, small faces, other light, what is hidden."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

import cv2
import numpy as np

from mien.core import preprocess
from mien.core.errors import OptionError
from mien.core.model import Score
from mien.core.types import ByteArray, FloatArray, IntArray
from mien.face.regions import FRAME_REGIONS
from mien.lab.evaluation.intervals import Subjects, accuracy_score, bootstrap

Condition: TypeAlias = Callable[[ByteArray, np.random.Generator], ByteArray]
Answers: TypeAlias = Callable[[ByteArray], FloatArray]


def blurred(face: ByteArray, _: np.random.Generator, *, sigma: float) -> ByteArray:
    """Blur with a Gaussian of `sigma` pixels."""
    return np.asarray(cv2.GaussianBlur(face, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE), np.uint8)


def noisy(face: ByteArray, generator: np.random.Generator, *, sigma: float) -> ByteArray:
    """Add Gaussian noise of `sigma` gray levels."""
    return _as_bytes(face + generator.normal(0, sigma, face.shape))


def compressed(face: ByteArray, _: np.random.Generator, *, quality: int) -> ByteArray:
    """Compress as JPEG does."""
    encoded = cv2.imencode(".jpg", face, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.asarray(cv2.imdecode(encoded, cv2.IMREAD_GRAYSCALE), np.uint8)


def shrunk(face: ByteArray, _: np.random.Generator, *, side: int) -> ByteArray:
    """Shrink to `side` pixels by area, and enlarge again as the front end does."""
    small = np.asarray(cv2.resize(face, (side, side), interpolation=cv2.INTER_AREA), np.uint8)
    return preprocess.resize(small, len(face))


def scaled(face: ByteArray, _: np.random.Generator, *, brightness: float = 1.0, contrast: float = 1.0) -> ByteArray:
    """Multiply brightness, and contrast around the mean; what leaves the range is cut off."""
    mean = face.mean()
    return _as_bytes(((face - mean) * contrast + mean) * brightness)


def equalized(face: ByteArray, generator: np.random.Generator, *, contrast: float = 1.0) -> ByteArray:
    """Equalize the histogram, after a change of contrast."""
    return np.asarray(cv2.equalizeHist(scaled(face, generator, contrast=contrast)), np.uint8)


def rotated(face: ByteArray, generator: np.random.Generator, *, degrees: float) -> ByteArray:
    """Turn to the left or to the right around the center; the border is repeated."""
    side = len(face)
    angle = degrees * generator.choice((-1, 1))
    transform = cv2.getRotationMatrix2D(((side - 1) / 2, (side - 1) / 2), angle, 1.0)
    return np.asarray(cv2.warpAffine(face, transform, (side, side), borderMode=cv2.BORDER_REPLICATE), np.uint8)


def covered(face: ByteArray, _: np.random.Generator, *, regions: tuple[str, ...]) -> ByteArray:
    """Hide regions of the frame (:data:`mien.face.regions.FRAME_REGIONS`) behind the mean gray of the face."""
    hidden = face.copy()
    for name in regions:
        left, top, right, bottom = (round(share * len(face)) for share in FRAME_REGIONS[name])
        hidden[top:bottom, left:right] = round(float(face.mean()))
    return hidden


def _as_bytes(values: np.ndarray) -> ByteArray:
    return np.asarray(np.clip(np.rint(values), 0, 255), np.uint8)


CONDITIONS: Mapping[str, Condition] = {
    "blur, sigma 0.5": partial(blurred, sigma=0.5),
    "blur, sigma 1": partial(blurred, sigma=1.0),
    "blur, sigma 1.5": partial(blurred, sigma=1.5),
    "noise, sigma 8": partial(noisy, sigma=8.0),
    "noise, sigma 16": partial(noisy, sigma=16.0),
    "JPEG quality 50": partial(compressed, quality=50),
    "JPEG quality 20": partial(compressed, quality=20),
    "JPEG quality 10": partial(compressed, quality=10),
    "face of 32 px": partial(shrunk, side=32),
    "face of 24 px": partial(shrunk, side=24),
    "face of 16 px": partial(shrunk, side=16),
    "brightness x0.6": partial(scaled, brightness=0.6),
    "brightness x1.4": partial(scaled, brightness=1.4),
    "contrast x0.8": partial(scaled, contrast=0.8),
    "contrast x1.2": partial(scaled, contrast=1.2),
    "equalized": equalized,
    "contrast x1.2, equalized": partial(equalized, contrast=1.2),
    "turned 15 degrees": partial(rotated, degrees=15.0),
    "turned 30 degrees": partial(rotated, degrees=30.0),
    "eyes and brows covered": partial(covered, regions=("brows", "eyes")),
    "mouth covered": partial(covered, regions=("mouth",)),
}
"""What is done to (S, S) uint8 gray faces, by name. Pixels are those of the net's 48x48 crop."""

ON_THE_CARD = {
    "drop_equalized": "contrast x1.2, equalized",
    "drop_24_px": "face of 24 px",
    "drop_jpeg_20": "JPEG quality 20",
    "drop_blur_1.5": "blur, sigma 1.5",
}
"""The drops that a model's card states, and their conditions."""


@dataclass(frozen=True)
class Robustness:
    """What became of the accuracy under one condition.

    Parameters
    ----------
    condition : str
        Name in :data:`CONDITIONS`.
    accuracy : Score
    drop : Score
        Accuracy of the untouched faces less that of the changed ones, as a share; its interval is of the paired
        difference.
    """

    condition: str
    accuracy: Score
    drop: Score


def worsened(images: ByteArray, condition: str, *, seed: int = 0) -> ByteArray:
    """Return faces under a condition.

    Parameters
    ----------
    images : (N, S, S) ndarray of uint8
    condition : str
        Name in :data:`CONDITIONS`.
    seed : int
        Seed of noise and directions; each face has its own, so a part of the faces changes as in the whole.

    Raises
    ------
    OptionError
        If there is no such condition.
    """
    if condition not in CONDITIONS:
        raise OptionError(f"no condition {condition!r}: expected one of {', '.join(CONDITIONS)}")
    change = CONDITIONS[condition]
    faces = [change(image, np.random.default_rng((seed, row))) for row, image in enumerate(images)]
    return np.stack(faces) if faces else images.copy()


def robustness(
    answers: Answers,
    images: ByteArray,
    labels: IntArray,
    conditions: Iterable[str] = tuple(CONDITIONS),
    *,
    seed: int = 0,
    subjects: Subjects | None = None,
) -> Iterator[Robustness]:
    """Measure a net on faces that were made worse, condition by condition.

    Parameters
    ----------
    answers : callable
        Takes (N, S, S) uint8 faces, returns (N, K) probabilities.
    images : (N, S, S) ndarray of uint8
    labels : (N,) ndarray of int64
    conditions : iterable of str
        Names in :data:`CONDITIONS`.
    seed : int
        Of noise, directions and bootstrap.
    subjects : (N,) ndarray of str, optional
        As :func:`mien.lab.evaluation.bootstrap` takes them.

    Yields
    ------
    Robustness
        One for each condition, as soon as it is measured.

    Raises
    ------
    OptionError
        If there are no faces, or no such condition.
    """
    right = answers(images).argmax(axis=1) == labels
    for condition in conditions:
        table = answers(worsened(images, condition, seed=seed))
        accuracy = accuracy_score(table, labels, seed=seed, subjects=subjects)
        yield Robustness(condition, accuracy, drop_score(right, table, labels, seed=seed, subjects=subjects))


def drop_score(
    right: np.ndarray, table: FloatArray, labels: IntArray, *, seed: int = 0, subjects: Subjects | None = None
) -> Score:
    """Return how much accuracy fell, with the interval of the paired difference; negative where it rose."""
    lost = right.astype(np.int64) - (table.argmax(axis=1) == labels)
    return bootstrap(lambda rows: float(lost[rows].mean()), len(lost), seed=seed, limits=(-1.0, 1.0), subjects=subjects)
