"""Makers of what a camera shows and what one drops on the page, all from the NASA portrait."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import cache
from pathlib import Path

import av
import cv2
import numpy as np
from av.video.stream import VideoStream
from skimage import data

from mien.core.types import ByteArray

WIDTH, HEIGHT, RATE = 640, 360, 10
PERIOD_S = 6  # of the movement: the clip begins again without a jump
TOP = 30
SWING_PX = 30  # slow: on a busy machine an answer is of a frame long before the one that is shown
MARKER_PX = 24
MARKER = (0, 255, 0)
FACE = (104.0, 64.0, 195.0, 174.0)
"""Where her face is in the portrait, and so from the marker's corner: x1, y1, x2, y2."""

Scene = Callable[[float], ByteArray]


def one_face(turn: float) -> ByteArray:
    """Return a frame, (360, 640, 3) uint8 RGB: the portrait, with a green square at its corner; turn is 0 to 1."""
    picture = _room()
    _hang(picture, _portrait(), round(120 + SWING_PX * math.sin(2 * math.pi * turn)))
    return picture


def two_faces(turn: float) -> ByteArray:
    """Return a frame as `one_face` does, with her and her mirror image side by side."""
    picture, swing = _room(), round(SWING_PX / 2 * math.sin(2 * math.pi * turn))
    _hang(picture, _portrait(), 20 + swing)
    _hang(picture, np.ascontiguousarray(_portrait()[:, ::-1]), 325 - swing)
    return picture


def nobody(turn: float) -> ByteArray:
    """Return a frame in which there is no face."""
    return _room()


def write_clip(path: Path, scene: Scene) -> Path:
    """Write the y4m file that Chromium plays as its camera, over and over."""
    with path.open("wb") as file:
        file.write(f"YUV4MPEG2 W{WIDTH} H{HEIGHT} F{RATE}:1 Ip A1:1 C420jpeg\n".encode())
        for picture in _frames(scene, PERIOD_S):
            file.write(b"FRAME\n" + cv2.cvtColor(picture, cv2.COLOR_RGB2YUV_I420).tobytes())
    return path


def write_webm(path: Path, scene: Scene, seconds: int) -> Path:
    """Write a video file that every Chromium plays."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libvpx", rate=RATE, options={"deadline": "realtime", "cpu-used": "8"})
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = WIDTH, HEIGHT, "yuv420p", 2_000_000
        for index, picture in enumerate(_frames(scene, seconds)):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, RATE)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def write_photo(path: Path, scene: Scene) -> Path:
    """Write a still, the format by its suffix."""
    cv2.imwrite(str(path), cv2.cvtColor(scene(0.0), cv2.COLOR_RGB2BGR))
    return path


def _frames(scene: Scene, seconds: int) -> Iterator[ByteArray]:
    return (scene(index / (PERIOD_S * RATE)) for index in range(seconds * RATE))


@cache
def _portrait() -> ByteArray:
    return np.asarray(data.astronaut(), np.uint8)[:300, 75:375]  # type: ignore[no-untyped-call]


def _room() -> ByteArray:
    shades = np.linspace(70, 120, HEIGHT).astype(np.uint8)
    return np.broadcast_to(shades[:, None, None], (HEIGHT, WIDTH, 3)).copy()


def _hang(picture: ByteArray, portrait: ByteArray, left: int) -> None:
    height, width = portrait.shape[:2]
    picture[TOP : TOP + height, left : left + width] = portrait
    picture[TOP : TOP + MARKER_PX, left : left + MARKER_PX] = MARKER


SCENES: tuple[Scene, ...] = (one_face, two_faces, nobody)


class Camera:
    """What the browser's camera shows; a file that it opens when somebody starts the camera."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "camera.y4m"
        self._clips = {scene: write_clip(folder / f"{scene.__name__}.y4m", scene) for scene in SCENES}

    def show(self, scene: Scene) -> None:
        self.unplug()
        self.path.symlink_to(self._clips[scene])

    def unplug(self) -> None:
        self.path.unlink(missing_ok=True)
