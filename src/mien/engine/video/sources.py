"""What a source is: a picture, pages, an animation, a video, a camera, a URL, or a folder of them."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal, TypeAlias

from mien.core.errors import MediaError
from mien.engine.video.camera import camera_frames
from mien.engine.video.downloads import download_picture, is_picture_url
from mien.engine.video.headers import Header, gif_frames
from mien.engine.video.pictures import (
    PAGE_S,
    check_content,
    decode_picture,
    open_picture,
    read_animation,
    read_pages,
    sniff,
)
from mien.engine.video.streams import Frame, is_still, open_stream, stream_frames

Kind: TypeAlias = Literal["picture", "pages", "animation", "video", "camera", "url"]

TIMEOUT_S = 10.0
"""How long a URL may take to answer."""

PICTURE_SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".gif", ".webp", ".bmp", ".dib", ".tif", ".tiff")
MODERN_SUFFIXES = (".avif", ".heic", ".heif")
VIDEO_SUFFIXES = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".mts", ".m2ts", ".wmv", ".flv")
SUFFIXES = frozenset((*PICTURE_SUFFIXES, *MODERN_SUFFIXES, *VIDEO_SUFFIXES, ".pgm", ".ppm", ".jp2", ".3gp", ".ogv"))
"""What is taken from a folder by name; pictures of any name are found by their first bytes."""

SCHEMES = ("http", "https", "rtsp", "rtsps", "rtmp", "rtmps", "udp", "rtp", "srt", "tcp")


@dataclass(frozen=True)
class Source:
    """What is known of a source before its first frame is decoded.

    Parameters
    ----------
    name : str
        Path, URL or camera name as it was given.
    kind : {"picture", "pages", "animation", "video", "camera", "url"}
        Decided by content, not by name.
    length_s : float or None
        Seconds, 0.0 for a picture; None where unknown: live, or not stated in the file.
    frame_count : int or None
        Number of frames, for progress: exact for pictures and pages, an estimate for videos, None where unknown.
    """

    name: str
    kind: Kind
    length_s: float | None = None
    frame_count: int | None = None


def probe(source: str | Path) -> Source:
    """Tell what a source is and how long, without decoding it; cameras and URLs are not contacted.

    Raises
    ------
    MediaError
        If it is missing, empty, a folder, or nothing that can be read.
    """
    name = str(source)
    if kind := _live_kind(name):
        return Source(name, "picture", 0.0, 1) if is_picture_url(name) else Source(name, kind)
    if not _is_picture(name):
        return _probe_stream(name, "video")
    _, header = open_picture(name)
    kind = _picture_kind(header)
    if kind == "animation":
        return Source(name, kind) if header.format == "WebP" else _probe_stream(name, kind)
    count = len(header.sizes)
    return Source(name, kind, 0.0 if kind == "picture" else count * PAGE_S, count)


def _live_kind(name: str) -> Kind | None:
    if name.startswith("camera:"):
        return "camera"
    scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]+)://", name)
    if scheme is None:
        return None
    if scheme[1].lower() not in SCHEMES:
        raise MediaError(f"{name}: {scheme[1]} is not offered: expected one of {', '.join(SCHEMES)}, or a path")
    return "url"


def _is_picture(name: str) -> bool:
    if Path(name).is_dir():
        raise MediaError(f"{name}: is a folder: expected one file; mien.engine.video.expand lists what is in it")
    return sniff(name) is not None


def _picture_kind(header: Header) -> Kind:
    if len(header.sizes) > 1 or not header.is_whole:
        return "pages"
    return "animation" if header.moves else "picture"


def _probe_stream(name: str, kind: Kind) -> Source:
    with open_stream(name) as (container, stream):
        if is_still(container):
            return Source(name, "picture", 0.0, 1)
        length_s = container.duration / 1_000_000 if container.duration else None
        rate = stream.average_rate
        estimate = round(length_s * rate) if length_s is not None and rate else None
        return Source(name, kind, length_s, stream.frames or estimate)


def frames(source: str | Path, *, timeout_s: float = TIMEOUT_S) -> Generator[Frame, None, None]:
    """Yield the frames of one source; it is opened at the first and closed with the iterator.

    Parameters
    ----------
    source : path_like or str
        A picture, a TIFF of pages, an animated picture, a video; ``"camera:0"``; or a URL (http, rtsp ...). For a
        folder see :func:`expand`.
    timeout_s : float
        For a URL: seconds to wait for an answer, at the opening and at each frame.

    Yields
    ------
    Frame
        A picture is one frame at 0.0 s. Pages have no time and follow one in a second. The times of the frames of a
        video are true, whether its rate is constant or not, and always advance.

    Raises
    ------
    MediaError
        Before the first frame, if there is none. *After* the last good frame, if the source breaks off: what was
        yielded is right, so keep it.
    """
    name = str(source)
    kind = _live_kind(name)
    if kind == "camera":
        yield from camera_frames(name)
    elif is_picture_url(name):
        content = download_picture(name, timeout_s=timeout_s)
        yield Frame(0, 0.0, decode_picture(name, content, check_content(name, content)))
    elif kind == "url":
        yield from stream_frames(name, timeout_s=timeout_s)
    elif _is_picture(name):
        yield from _picture_frames(name)
    else:
        yield from stream_frames(name)


def _picture_frames(name: str) -> Iterator[Frame]:
    content, header = open_picture(name)
    kind = _picture_kind(header)
    if kind == "picture":
        yield Frame(0, 0.0, decode_picture(name, content, header))
    elif kind == "pages":
        for index, image in enumerate(read_pages(name, content, header)):
            yield Frame(index, index * PAGE_S, image)
    elif header.format == "WebP":
        for index, (time_s, image) in enumerate(read_animation(name, content, header)):
            yield Frame(index, time_s, image)
    elif header.format == "GIF":
        yield from _gif_frames(name, *gif_frames(content))
    else:
        yield from stream_frames(name)


def _gif_frames(name: str, count: int, is_whole: bool) -> Iterator[Frame]:
    with closing(stream_frames(name)) as stream:
        yield from islice(stream, count)
    if not is_whole:
        raise MediaError(f"{name}: breaks off after {count} frames: what came before is kept; copy it again")


def expand(source: str | Path) -> list[str]:
    """Return the sources that a source stands for: the media files of a folder, or itself.

    Parameters
    ----------
    source : path_like or str
        Folders are searched with all that is in them, in order of their names; what is hidden is left out, and so
        is what is no picture or video by name or content. Nothing but a folder is touched: a missing file is
        refused where it is read, so that the others are done.

    Returns
    -------
    list of str

    Raises
    ------
    MediaError
        If a folder has no media, or the system refuses the path.
    """
    folder = Path(source)
    try:
        if not folder.is_dir():
            return [str(source)]
    except OSError as error:
        raise MediaError(
            f"{source}: cannot be read ({error.strerror}): expected the path of a file or folder"
        ) from error
    found = [path for path in sorted(folder.rglob("*")) if _is_media(path, folder)]
    if not found:
        raise MediaError(f"{source}: is a folder without pictures or videos: expected at least one")
    return [str(path) for path in found]


def _is_media(path: Path, folder: Path) -> bool:
    if any(part.startswith(".") for part in path.relative_to(folder).parts) or not path.is_file():
        return False
    if path.suffix.lower() in SUFFIXES:
        return True
    try:
        return sniff(path) is not None
    except MediaError:
        return False
