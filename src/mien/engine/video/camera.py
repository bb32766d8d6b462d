"""Cameras, read by OpenCV; their clock is the computer's."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Protocol

import cv2
import numpy as np
import numpy.typing as npt

from mien.core.errors import MediaError
from mien.core.preprocess import as_rgb
from mien.engine.video.pictures import quiet_opencv
from mien.engine.video.streams import Frame


class Capture(Protocol):
    """What is used of ``cv2.VideoCapture``."""

    def read(self) -> tuple[bool, npt.NDArray[np.generic] | None]:
        """Return whether there is a frame, and it, BGR."""

    def release(self) -> None:
        """Give the camera back."""


def camera_frames(source: str) -> Iterator[Frame]:
    """Yield the frames of a camera until it stops.

    Parameters
    ----------
    source : str
        ``"camera:0"`` for the first camera of the computer, and so on.

    Yields
    ------
    Frame
        Its time is in seconds of wall clock from the first frame.

    Raises
    ------
    MediaError
        If there is no such camera, or it stops.
    """
    number = source.removeprefix("camera:")
    if not number.isdecimal():
        raise MediaError(f"{source}: is no camera: expected camera:0, camera:1 and so on")
    with quiet_opencv:
        capture = cv2.VideoCapture(int(number))
    if not capture.isOpened():
        raise MediaError(f"{source}: cannot be opened: check that it is connected, allowed and not in use elsewhere")
    yield from captured(capture, source)


def captured(capture: Capture, source: str, *, clock: Callable[[], float] = time.monotonic) -> Iterator[Frame]:
    """Yield what a capture device delivers, and release it at the end, however it comes."""
    count, start_s = 0, 0.0
    try:
        while True:
            done, image = capture.read()
            if not done or image is None:
                raise MediaError(f"{source}: stopped after {count} frames: check its cable or its other users")
            now_s = clock()
            start_s = start_s if count else now_s
            yield Frame(count, now_s - start_s, as_rgb(image, color="bgr"))
            count += 1
    finally:
        capture.release()
