"""Still pictures, pages of a TIFF, animated WebP: decoded by OpenCV, upright, whole or refused."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import av
import cv2
import numpy as np
import numpy.typing as npt
from cv2.utils import logging as cv2_logging

from mien.core.errors import MediaError, OptionError
from mien.core.preprocess import as_rgb
from mien.core.types import ByteArray
from mien.engine.video.headers import (
    MAX_PIXELS,
    SIGNATURE_BYTES,
    BrokenHeaderError,
    Header,
    avif_orientation,
    check_pixels,
    jpeg_essence,
    picture_format,
    png_essence,
    read_header,
)
from mien.engine.video.streams import is_still, open_stream, stream_frames

MAX_FILE_BYTES = 2**30
"""Largest picture file that is read into memory."""

PAGE_S = 1.0
"""Pages have no time: they follow each other as one in a second, so that nothing smooths one into the next."""

_BROKEN = "is truncated or damaged: expected a whole picture; copy or export it again"
# COLOR turns gray, palette, alpha and CMYK into three channels, ANYDEPTH keeps 16 bits, and both keep Exif upright.
_FLAGS = cv2.IMREAD_ANYDEPTH | cv2.IMREAD_COLOR_RGB


class _QuietOpenCV:
    """Keeps OpenCV's complaints about broken files off stderr, from any number of threads at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._level = 0

    def __enter__(self) -> None:
        with self._lock:
            if self._inside == 0:
                self._level = cv2_logging.setLogLevel(cv2_logging.LOG_LEVEL_SILENT)
            self._inside += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                cv2_logging.setLogLevel(self._level)


quiet_opencv = _QuietOpenCV()


def read_picture(path: str | Path) -> ByteArray:
    """Read one still picture, upright.

    Reads JPEG, PNG, GIF, WebP, BMP, TIFF and AVIF by content, whatever the name: gray, palette, alpha (ignored),
    CMYK, 1 to 16 bits, any Exif orientation. A 16-bit picture is stretched from its own darkest to its own
    brightest value. Of an animation or of pages, the first. Besides, what libav knows (PGM, JPEG 2000, TGA ...).

    Parameters
    ----------
    path : path_like

    Returns
    -------
    (H, W, 3) ndarray of uint8
        RGB, contiguous.

    Raises
    ------
    MediaError
        If the file is missing, is no picture, is truncated or damaged, or claims more than 100 megapixels (which
        is checked before anything is decoded).
    """
    if sniff(path) is None:
        return _read_by_libav(str(path))
    return decode_picture(path, *open_picture(path))


def open_picture(path: str | Path) -> tuple[bytes, Header]:
    """Return the bytes of a picture file and what its header claims, checked but not decoded.

    Parameters
    ----------
    path : path_like
        A file of a format that :func:`sniff` knows.

    Raises
    ------
    MediaError
        As :func:`read_picture`.
    """
    if (size := Path(path).stat().st_size) > MAX_FILE_BYTES:
        raise MediaError(f"{path}: is a picture file of {size / 1e9:.1f} GB: expected at most 1 GB; export it smaller")
    content = Path(path).read_bytes()
    return content, check_content(path, content)


def check_content(path: str | Path, content: bytes) -> Header:
    """Return what the bytes of a picture claim to be.

    Raises
    ------
    MediaError
        As :func:`read_picture`; `path` is what it names.
    """
    try:
        header = read_header(content)
    except BrokenHeaderError as error:
        raise MediaError(f"{path}: {_BROKEN} ({error})") from error
    if header is None or header.format == "HEIC":
        raise MediaError(f"{path}: is HEIC, which no library of mien can read: convert it to JPEG")
    for width, height in header.sizes:
        check_pixels(path, width, height)
    return header


def sniff(path: str | Path) -> str | None:
    """Return the format of a picture file by its first bytes, None where it is no picture.

    Raises
    ------
    MediaError
        If the file is missing, empty or cannot be read.
    """
    try:
        with Path(path).open("rb") as file:
            start = file.read(SIGNATURE_BYTES)
    except OSError as error:
        raise MediaError(f"{path}: cannot be read ({error.strerror}): expected a picture or a video") from error
    if not start:
        raise MediaError(f"{path}: is empty (0 bytes): expected a picture or a video")
    return picture_format(start)


def read_pages(path: str | Path, content: bytes, header: Header) -> Iterator[ByteArray]:
    """Yield the pages of a TIFF, one in memory at a time.

    Yields
    ------
    (H, W, 3) ndarray of uint8
        RGB. The range of each 16-bit page is stretched by itself.

    Raises
    ------
    MediaError
        After the last good page, if the file breaks off.
    """
    buffer = np.frombuffer(content, np.uint8)
    count = 0
    while count < len(header.sizes):
        with quiet_opencv:
            done, images = cv2.imdecodemulti(buffer, _FLAGS, None, (count, count + 1))
        if not done:
            break
        yield _rgb(images[0], path)
        count += 1
    if count < len(header.sizes) or not header.is_whole:
        raise MediaError(f"{path}: breaks off after {count} pages: what came before is kept; copy or export it again")


def read_animation(
    path: str | Path, content: bytes, header: Header, *, pixels_at_once: int = MAX_PIXELS
) -> Iterator[tuple[float, ByteArray]]:
    """Yield the frames of an animated WebP, which libav cannot decode.

    Parameters
    ----------
    path, content, header
        As :func:`open_picture` has them.
    pixels_at_once : int
        Frames are decoded in groups of at most this size; each group decodes again from the start.

    Yields
    ------
    time_s : float
        Seconds from the start.
    image : (H, W, 3) ndarray of uint8
        RGB.
    """
    buffer = np.frombuffer(content, np.uint8).reshape(1, -1)  # the WebP reader wants a row
    width, height = header.sizes[0]
    group = max(1, pixels_at_once // (width * height))
    start, time_s = 0, 0.0
    while True:
        with quiet_opencv:
            _, animation = cv2.imdecodeanimation(buffer, start=start, count=group)
        for image, duration_ms in zip(animation.frames, animation.durations, strict=True):
            yield time_s, as_rgb(image, color="bgr")
            time_s += (duration_ms if duration_ms > 10 else 100) / 1000  # as browsers do
        if len(animation.frames) < group:
            break
        start += group
    if start == 0 and not animation.frames:
        raise MediaError(f"{path}: {_BROKEN}")


def decode_picture(path: str | Path, content: bytes, header: Header) -> ByteArray:
    """Decode what :func:`open_picture` returned; see :func:`read_picture`."""
    flags = _FLAGS
    if header.format == "JPEG":
        _check_jpeg(content, path)
    elif header.format == "PNG":
        try:
            content = png_essence(content)
        except BrokenHeaderError as error:
            raise MediaError(f"{path}: {_BROKEN} ({error})") from error
    elif header.format == "AVIF":
        flags |= cv2.IMREAD_IGNORE_ORIENTATION  # an AVIF is turned by its own boxes, never by Exif
    # From memory: imread fills up a truncated file with gray and says nothing, imdecode refuses it.
    with quiet_opencv:
        image = cv2.imdecode(np.frombuffer(content, np.uint8), flags)
    if image is None:
        raise MediaError(f"{path}: {_BROKEN}")
    rgb = _rgb(image, path)
    return _turned(rgb, *avif_orientation(content)) if header.format == "AVIF" else rgb


def _read_by_libav(name: str) -> ByteArray:
    with open_stream(name) as (container, _):
        if not is_still(container):
            raise MediaError(f"{name}: is a video: expected a picture; mien.stream reads videos")
    return next(stream_frames(name)).image


def _rgb(image: npt.NDArray[np.generic], path: str | Path) -> ByteArray:
    try:
        return as_rgb(image)
    except OptionError as error:
        raise MediaError(f"{path}: {error}") from error


def _turned(image: ByteArray, quarters: int, mirror: int | None) -> ByteArray:
    turned = np.rot90(image, quarters)
    return np.ascontiguousarray(turned if mirror is None else np.flip(turned, mirror))


def _check_jpeg(content: bytes, path: str | Path) -> None:
    """Refuse damaged JPEG data, which OpenCV decodes to garbage; 15 ms for 16 megapixels, of 140 for decoding."""
    decoder = av.CodecContext.create("mjpeg", "r")
    decoder.options = {"err_detect": "explode", "lowres": "3"}
    try:
        decoder.decode(av.Packet(jpeg_essence(content)))
    except (av.error.InvalidDataError, BrokenHeaderError) as error:
        raise MediaError(f"{path}: {_BROKEN}") from error
    except av.error.FFmpegError:
        return  # of a kind that only OpenCV knows, such as arithmetic coding
