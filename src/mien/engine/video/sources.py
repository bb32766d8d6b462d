"""What a source is: a picture, pages, an animation, a video, a camera, a URL, or a folder of them."""

from __future__ import annotations

import math
import re
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from threading import Event
from typing import Literal, TypeAlias

from mien.core.errors import MediaError
from mien.engine.video.camera import camera_frames
from mien.engine.video.downloads import download_picture, is_picture_url
from mien.engine.video.headers import Header, gif_frames
from mien.engine.video.live import Closable, Course, retried
from mien.engine.video.pictures import (
    PAGE_S,
    check_content,
    decode_picture,
    open_picture,
    read_animation,
    read_pages,
    sniff,
)
from mien.engine.video.seeking import Entry, Selection, Timeline, beyond
from mien.engine.video.streams import Frame, is_still, open_stream, stream_frames, video_timeline

Kind: TypeAlias = Literal["picture", "pages", "animation", "video", "camera", "url"]

TIMEOUT_S = 10.0
"""How long a URL may take to answer."""

RECONNECT_S = 60.0
"""How long a camera or live URL that has broken off is tried again."""

SCAN_SHARE = 0.02
"""Decoding the first fiftieth of a file takes as long as scanning the whole for where to enter it."""

PICTURE_SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".gif", ".webp", ".bmp", ".dib", ".tif", ".tiff")
MODERN_SUFFIXES = (".avif", ".heic", ".heif")
VIDEO_SUFFIXES = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".mts", ".m2ts", ".wmv", ".flv")
SUFFIXES = frozenset((*PICTURE_SUFFIXES, *MODERN_SUFFIXES, *VIDEO_SUFFIXES, ".pgm", ".ppm", ".jp2", ".3gp", ".ogv"))
"""What is taken from a folder by name; pictures of any name are found by their first bytes."""

_SIGNED = re.compile(
    r"(?<=[?&])(?:x-(?:amz|goog)-[\w-]+|awsaccesskeyid|googleaccessid|key-pair-id|policy|expires|signature|sig|"
    r"(?:access_?|auth_?)?token|api_?key|password|passwd|pwd)=[^&#\s'\"]*&?",
    re.IGNORECASE,
)
"""What URLs of object stores, content networks and cameras carry in place of a password."""

_NO_QUERY = re.compile(r"(?<=[^\s])[?&](?=$|[#\s'\"])")

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


def frames(
    source: str | Path,
    *,
    timeout_s: float = TIMEOUT_S,
    reconnect_s: float = RECONNECT_S,
    start_s: float = 0.0,
    end_s: float = math.inf,
    every_s: float = 0.0,
) -> Generator[Frame, None, None]:
    """Return an iterator over the frames of one source; it is opened at the first and closed with the iterator.

    Any thread may close the iterator: a source that has broken off is then waited for no longer.

    Parameters
    ----------
    source : path_like or str
        A picture, a TIFF of pages, an animated picture, a video; ``"camera:0"``; or a URL (http, rtsp ...). For a
        folder see :func:`expand`.
    timeout_s : float
        For a URL: seconds to wait for an answer, at the opening and at each frame.
    reconnect_s : float
        For a camera or live URL that breaks off: seconds to try again, with growing waits; 0 for never. The times of
        its frames go on by the clock.
    start_s, end_s : float
        Only frames with ``start_s <= time_s < end_s``; a single picture is read whatever they say. Video files are
        entered there, without decoding what comes before, where that gives the same frames (see :func:`timeline`).
    every_s : float
        Of these only the first at or after each ``start_s + k * every_s``; 0 for all.

    Yields
    ------
    Frame
        A picture is one frame at 0.0 s. Pages have no time and follow one in a second. The times of the frames of a
        video are true, whether its rate is constant or not, and always advance. Indices count all frames of the
        source: those left out too, and in MP4, MOV, Matroska and WebM those that are damaged.

    Raises
    ------
    MediaError
        Before the first frame, if there is none or the source ends before ``start_s``. *After* the last good frame,
        if the source breaks off: what was yielded is right, so keep it.
    OptionError
        If a time is negative or no number, or the end is not after the start.
    """
    closed = Event()
    return Closable(_frames(str(source), Selection(start_s, end_s, every_s), timeout_s, reconnect_s, closed), closed)


def _frames(
    name: str, selection: Selection, timeout_s: float, reconnect_s: float, closed: Event
) -> Generator[Frame, None, None]:
    kind = _live_kind(name)
    if kind == "camera":
        stream = retried(name, lambda course: camera_frames(name, course), reconnect_s=reconnect_s, closed=closed)
        yield from _selected(name, stream, selection)
    elif is_picture_url(name):
        content = download_picture(name, timeout_s=timeout_s)
        yield Frame(0, 0.0, decode_picture(name, content, check_content(name, content)))
    elif kind == "url":

        def connected(course: Course) -> Generator[Frame, None, None]:
            stream = stream_frames(name, timeout_s=timeout_s, selection=selection, course=course)
            return _discreet(name, stream)

        yield from retried(without_secrets(name), connected, reconnect_s=reconnect_s, closed=closed)
    elif _is_picture(name):
        yield from _picture_frames(name, selection)
    else:
        yield from stream_frames(name, selection=selection, entry=_entry(name, selection.start_s))


def without_secrets(name: str) -> str:
    """Return a source as it may be shown and written: a URL without user, password and what signs it.

    Examples
    --------
    >>> without_secrets("rtsp://admin:secret@door.local/stream1")
    'rtsp://door.local/stream1'
    >>> without_secrets("https://host/a.mp4?id=3&X-Amz-Expires=60&X-Amz-Signature=9f3c")
    'https://host/a.mp4?id=3'
    """
    if "://" not in name:
        return name
    return _NO_QUERY.sub("", _SIGNED.sub("", re.sub(r"(?<=://)[^/@]*@", "", name)))


def _discreet(name: str, stream: Generator[Frame, None, None]) -> Generator[Frame, None, None]:
    try:
        yield from stream
    except MediaError as error:
        raise MediaError(str(error).replace(name, without_secrets(name))) from error


def _entry(name: str, start_s: float) -> Entry | None:
    if start_s == 0 or start_s < SCAN_SHARE * (probe(name).length_s or 0):
        return None
    known = video_timeline(name)
    return None if known is None else known.entry(start_s)


def timeline(source: str | Path) -> Timeline | None:
    """Return the times of all frames of a video file that can be entered anywhere.

    Entered means that :func:`frames` with a ``start_s`` gives the same frames, indices and times as if it had read the
    file from its start. This holds for MP4, MOV, Matroska and WebM files whose stamps are in order.

    Returns
    -------
    Timeline or None
        None for all other files, pictures, cameras and URLs: ranges of these are read from the start.

    Raises
    ------
    MediaError
        If a file is missing, a folder, or nothing that can be read.
    """
    name = str(source)
    return None if _live_kind(name) or _is_picture(name) else video_timeline(name)


def _selected(name: str, stream: Iterator[Frame], selection: Selection) -> Iterator[Frame]:
    last_s = -1.0
    for frame in stream:
        if frame.time_s >= selection.end_s:
            return
        if selection.takes(frame.time_s, last_s):
            yield frame
        last_s = frame.time_s
    if last_s < selection.start_s:
        raise beyond(name, selection.start_s, last_s)


def _picture_frames(name: str, selection: Selection) -> Iterator[Frame]:
    content, header = open_picture(name)
    kind = _picture_kind(header)
    if kind == "picture":
        yield Frame(0, 0.0, decode_picture(name, content, header))
    elif kind == "pages":
        pages = (Frame(i, i * PAGE_S, image) for i, image in enumerate(read_pages(name, content, header)))
        yield from _selected(name, pages, selection)
    elif header.format == "WebP":
        animation = enumerate(read_animation(name, content, header))
        yield from _selected(name, (Frame(i, time_s, image) for i, (time_s, image) in animation), selection)
    elif header.format == "GIF":
        yield from _selected(name, _gif_frames(name, *gif_frames(content)), selection)
    else:
        yield from stream_frames(name, selection=selection)


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
