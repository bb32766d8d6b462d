"""Makers of test media, all from one NASA portrait."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from av.video.stream import VideoStream
from PIL import Image
from skimage import data

from mien.core.errors import MediaError
from mien.core.types import ByteArray
from mien.engine.video import Frame, frames

MATRICES = {
    1: (1, 0, 0, 1),
    2: (-1, 0, 0, 1),
    3: (-1, 0, 0, -1),
    4: (1, 0, 0, -1),
    5: (0, 1, 1, 0),
    6: (0, 1, -1, 0),
    7: (0, -1, -1, 0),
    8: (0, -1, 1, 0),
}
"""Exif orientation -> the same turn as the display matrix of an MP4 (a, b, c, d)."""


@cache
def portrait(height: int = 96, width: int = 64) -> ByteArray:
    """Return the head of the astronaut, (height, width, 3) uint8 RGB: no symmetry, not square."""
    head = np.asarray(data.astronaut(), np.uint8)[0:300, 90:290]  # type: ignore[no-untyped-call]
    picture = np.asarray(cv2.resize(head, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
    picture.setflags(write=False)
    return picture


def upright(picture: ByteArray, orientation: int) -> ByteArray:
    """Turn pixels as Exif orientation 1 to 8 asks, by its definition: where row 0 and column 0 belong."""
    turned = picture.transpose(1, 0, 2) if orientation >= 5 else picture
    flips = {1: (), 2: (1,), 3: (0, 1), 4: (0,), 5: (), 6: (1,), 7: (0, 1), 8: (0,)}[orientation]
    return np.flip(turned, flips) if flips else turned


def shades(count: int, height: int = 48, width: int = 64) -> list[ByteArray]:
    """Return plain gray pictures, each of its own shade, so that a frame that comes back can be told."""
    return [np.full((height, width, 3), round(20 + 200 * i / max(count - 1, 1)), np.uint8) for i in range(count)]


def write_video(
    path: Path,
    pictures: Sequence[ByteArray],
    *,
    codec: str = "mpeg4",
    pixels: str = "yuv420p",
    rate: Fraction | int = 25,
    times_ms: Sequence[int] | None = None,
    aspect: Fraction | None = None,
    sound_s: float = 0.0,
    container_options: dict[str, str] | None = None,
    codec_options: dict[str, str] | None = None,
) -> Path:
    """Write a clip at a constant rate, or with the given time of each frame; no pictures make a clip without frames.

    Parameters
    ----------
    sound_s : float
        Seconds of silence beside the pictures, from 0.
    """
    with av.open(str(path), "w", options=container_options or {}) as container:
        stream = container.add_stream(codec, rate=rate, options=codec_options or {})
        assert isinstance(stream, VideoStream)
        stream.height, stream.width = pictures[0].shape[:2] if pictures else (48, 64)
        stream.pix_fmt = pixels
        stream.codec_context.thread_count = 1
        stream.bit_rate = 8_000_000
        if aspect is not None:
            stream.codec_context.sample_aspect_ratio = aspect
        if times_ms is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        if sound_s:
            _write_silence(container, sound_s)
        container.start_encoding()
        for index, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            if times_ms is not None:
                frame.pts, frame.time_base = times_ms[index], Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def _write_silence(container: av.container.OutputContainer, sound_s: float) -> None:
    stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
    frame = av.AudioFrame.from_ndarray(np.zeros((1, int(8000 * sound_s)), np.int16), format="s16", layout="mono")
    frame.sample_rate, frame.pts, frame.time_base = 8000, 0, Fraction(1, 8000)
    container.mux(stream.encode(frame))


def turn_by_metadata(path: Path, orientation: int) -> Path:
    """Write a display matrix into an MP4; the pixels stay as they are."""
    content = bytearray(path.read_bytes())
    start = content.index(b"tkhd") + 44  # type, version and flags, five fields, 16 bytes of layer and volume
    a, b, c, d = (value * 65536 for value in MATRICES[orientation])
    struct.pack_into(">9i", content, start, a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(content)
    return path


def cut(path: Path, share: float) -> Path:
    """Keep this share of a file's bytes, at least one and never all."""
    content = path.read_bytes()
    path.write_bytes(content[: min(max(1, round(len(content) * share)), len(content) - 1)])
    return path


def write_still(path: Path, picture: ByteArray, *, mode: str = "RGB", orientation: int = 1, **options: Any) -> Path:
    """Write a still by Pillow, the format by its suffix, in a Pillow mode or in 16-bit gray (``"I;16"``)."""
    if mode == "I;16":
        image = Image.fromarray(picture[..., 1].astype(np.uint16) * 257)
    else:
        image = Image.fromarray(picture).convert(mode)
    exif = Image.Exif()
    exif[0x112] = orientation
    image.save(path, exif=exif, **options)
    return path


def write_animation(path: Path, pictures: Sequence[ByteArray], durations_ms: Sequence[int] | None = None) -> Path:
    """Write an animated GIF, PNG, WebP or AVIF, or the pages of a TIFF, by Pillow."""
    first, *others = [Image.fromarray(picture) for picture in pictures]
    options: dict[str, Any] = {} if durations_ms is None else {"duration": list(durations_ms)}
    first.save(path, save_all=True, append_images=others, **options)
    return path


def by_pillow(path: Path) -> ByteArray:
    """Read a still as Pillow does, an implementation independent of ours."""
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def difference(first: ByteArray, second: ByteArray) -> float:
    """Return the mean absolute difference of two pictures of one shape, in levels of 0 to 255."""
    assert first.shape == second.shape
    return float(np.abs(first.astype(int) - second.astype(int)).mean())


def read_until_broken(path: Path) -> tuple[list[Frame], str]:
    """Return the frames that come before a source breaks off, and the one line that says so."""
    read: list[Frame] = []
    try:
        for frame in frames(path):
            read.append(frame)
    except MediaError as error:
        message = str(error)
        assert message.startswith(f"{path}: ")
        assert "\n" not in message
        return read, message
    raise AssertionError(f"{path} was read to its end, {len(read)} frames")


@contextmanager
def mute_server() -> Iterator[str]:
    """Listen on this machine, accept, and never answer; gives ``host:port``."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield "{}:{}".format(*server.getsockname())
