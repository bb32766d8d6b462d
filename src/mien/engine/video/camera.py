"""Cameras, read by OpenCV; their clock is the computer's."""

from __future__ import annotations

import errno
import os
import platform
import time
from collections.abc import Callable, Generator
from contextlib import closing
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
import numpy.typing as npt

from mien.core.errors import MediaError
from mien.core.preprocess import as_rgb
from mien.engine.video.live import Course
from mien.engine.video.pictures import quiet_opencv
from mien.engine.video.streams import Frame

_UNKNOWN_REASON = "cannot be opened: check that it is connected, allowed and not in use elsewhere"


class Capture(Protocol):
    """What is used of ``cv2.VideoCapture``."""

    def read(self) -> tuple[bool, npt.NDArray[np.generic] | None]:
        """Return whether there is a frame, and it, BGR."""

    def release(self) -> None:
        """Give the camera back."""


def open_by_opencv(number: int) -> Capture | None:
    """Open a camera of this computer; None where that fails."""
    with quiet_opencv:
        capture = cv2.VideoCapture(number)
    return capture if capture.isOpened() else None


def camera_frames(
    source: str, course: Course, *, open_camera: Callable[[int], Capture | None] = open_by_opencv
) -> Generator[Frame, None, None]:
    """Yield the frames of a camera until it stops.

    Parameters
    ----------
    source : str
        ``"camera:0"`` for the first camera of the computer, and so on.
    course : Course
        What numbers and times the frames.
    open_camera : callable
        Opens a camera by its number, or returns None.

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
    capture = open_camera(int(number))
    if capture is None:
        reason = why_closed(int(number)) if platform.system() == "Linux" else _UNKNOWN_REASON
        raise MediaError(f"{source}: {reason}")
    course.is_live = True
    with closing(captured(capture, source)) as stream:
        for frame in stream:
            index, time_s = course.place(frame.index, frame.time_s)
            yield Frame(index, time_s, frame.image, is_live=True)


def captured(
    capture: Capture, source: str, *, clock: Callable[[], float] = time.monotonic
) -> Generator[Frame, None, None]:
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


def why_closed(number: int, *, root: Path = Path("/"), open_device: Callable[[Path, int], int] = os.open) -> str:
    """Tell why Linux has not opened a camera, and which there are.

    Parameters
    ----------
    number : int
        That of the camera.
    root : path_like
        Folder that holds ``dev`` and ``sys``.
    open_device : callable
        Opens a device as ``os.open`` does.
    """
    try:
        os.close(open_device(root / f"dev/video{number}", os.O_RDWR))
    except OSError as error:
        if error.errno == errno.EBUSY:
            return "is in use elsewhere: close what uses it"
        if error.errno == errno.EACCES:
            return "may not be opened by this user: join the group that owns the device, often video"
        there = ", ".join(_cameras(root))
        known = f"there are {there}" if there else "no camera was found"
        return f"cannot be opened: {known}; check that it is connected"
    return "gives no picture: close what else uses it, or try another number"  # many drivers tell no sooner


def _cameras(root: Path) -> list[str]:
    """Return the cameras of Linux, each with its name where that is known."""
    found = []
    for device in sorted(root.glob("dev/video[0-9]*"), key=lambda path: (len(path.name), path.name)):
        about = root / "sys/class/video4linux" / device.name
        # The second node of a webcam gives no pictures but facts about them.
        if _line(about / "index") in ("", "0"):
            name = _line(about / "name")
            found.append(f"camera:{device.name.removeprefix('video')}" + (f" ({name})" if name else ""))
    return found


def _line(path: Path) -> str:
    return path.read_text("utf-8", "replace").strip() if path.is_file() else ""
