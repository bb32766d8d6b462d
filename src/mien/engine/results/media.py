"""Annotated media: a picture, a video, or a folder of both."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from fractions import Fraction
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import cv2
import numpy as np

from mien.core.errors import MediaError, OptionError, OutputError
from mien.core.types import ByteArray, FrameResult
from mien.engine.drawing import draw
from mien.engine.results.writer import PartialFile, Writer, as_output_error, make_folder
from mien.engine.video import probe

if TYPE_CHECKING:
    from av.container import OutputContainer
    from av.video.stream import VideoStream

PICTURE_OPTIONS: dict[str, list[int]] = {
    ".jpg": [cv2.IMWRITE_JPEG_QUALITY, 95],
    ".jpeg": [cv2.IMWRITE_JPEG_QUALITY, 95],
    ".png": [],
    ".webp": [cv2.IMWRITE_WEBP_QUALITY, 95],
    ".bmp": [],
    ".tif": [],
    ".tiff": [],
}
VIDEO_FORMATS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska"}
BT709, LIMITED_RANGE = 1, 1  # in ITU-T H.273, of matrix, primaries and transfer; in FFmpeg
TICKS_PER_S = 90_000  # MPEG's clock: a frame of 24, 25, 30 or 30000/1001 a second is a whole number of ticks


def _annotated(result: FrameResult, *, bars: bool) -> ByteArray:
    if result.image is None:
        raise OptionError(f"{result.source}: frame {result.frame} has no picture to draw on: ask for pictures")
    return draw(result.image, result.faces, bars=bars)


class AnnotatedPicture(Writer):
    """One picture with its faces drawn on it, in the format that the extension of its path names.

    A second frame is refused, and the first one not kept: an older picture stays.

    Parameters
    ----------
    path : path_like
        One of :data:`PICTURE_OPTIONS`.
    bars : bool
        Draw probabilities.
    """

    def __init__(self, path: str | Path, *, bars: bool = True) -> None:
        self.path, self._bars = Path(path), bars
        self._place = PartialFile(path)
        self._frames = 0

    def write(self, result: FrameResult) -> None:  # noqa: D102
        if self._frames:
            self._place.is_whole = False
            raise _more_than_one_frame(self.path, result.source)
        picture = cv2.cvtColor(_annotated(result, bars=self._bars), cv2.COLOR_RGB2BGR)
        suffix = self.path.suffix.lower()
        # Not imwrite: on Windows it cannot open a path that is not ASCII.
        fits, encoded = cv2.imencode(suffix, picture, PICTURE_OPTIONS[suffix])
        if not fits:
            size = f"{picture.shape[1]}x{picture.shape[0]}"
            raise OutputError(f"{self.path}: a picture of {size} is too large for {suffix}: name a .png")
        with self._place.writing():
            self._place.partial.write_bytes(encoded.tobytes())
        self._frames += 1

    def close(self) -> None:  # noqa: D102
        self._place.finish(keep=self._frames > 0)


class AnnotatedVideo(Writer):
    """A video (H.264) of the frames with their faces drawn on them, each at its true time.

    The first frame sets the size; odd sizes grow by one pixel, frames of another size are fitted in between black bars.
    A video that could not be written to its end, as when the disk is full, is removed: an older one stays.

    Parameters
    ----------
    path : path_like
        One of :data:`VIDEO_FORMATS`. Times are kept to 1/90000 s, in ``.mkv`` to 1/1000 s.
    bars : bool
        Draw probabilities.
    """

    def __init__(self, path: str | Path, *, bars: bool = True) -> None:
        self.path, self._bars = Path(path), bars
        self._place = PartialFile(path)
        self._container: OutputContainer | None = None
        self._stream: VideoStream | None = None
        self._last_tick = -(2**62)
        self._frames = 0

    def write(self, result: FrameResult) -> None:  # noqa: D102
        import av

        picture = _annotated(result, bars=self._bars)
        with self._place.writing(av.FFmpegError):
            if self._stream is None:
                self._stream = self._open(picture)
            fitted = _fitted(picture, self._stream.width, self._stream.height)
            frame = av.VideoFrame.from_ndarray(fitted, format="rgb24")
            frame = frame.reformat(format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG")
            # Two frames of the same time, as cameras give them, would be refused.
            frame.pts = self._last_tick = max(round(result.time_s * TICKS_PER_S), self._last_tick + 1)
            frame.time_base = Fraction(1, TICKS_PER_S)
            self._mux(frame)
        self._frames += 1

    def close(self) -> None:  # noqa: D102
        import av

        try:
            if self._container:
                with self._place.writing(av.FFmpegError), self._container:
                    if self._frames:
                        self._mux(None)
        finally:
            self._place.finish(keep=self._frames > 0)

    def _open(self, picture: ByteArray) -> VideoStream:
        import av

        self._container = av.open(self._place.partial, "w", format=VIDEO_FORMATS[self.path.suffix.lower()])
        # Without B-frames: with them the length of a video of variable frame rate comes out wrong.
        stream = self._container.add_stream("libx264", options={"crf": "20", "preset": "veryfast", "bf": "0"})
        stream.height, stream.width = (length + length % 2 for length in picture.shape[:2])
        stream.pix_fmt = "yuv420p"
        codec = stream.codec_context
        stream.time_base = codec.time_base = Fraction(1, TICKS_PER_S)
        # Untagged, players guess BT.601 or BT.709 by the size of the picture, and colors shift.
        codec.colorspace = codec.color_primaries = codec.color_trc = BT709
        codec.color_range = LIMITED_RANGE
        return stream

    def _mux(self, frame: Any) -> None:
        assert self._container is not None
        assert self._stream is not None
        self._container.mux(self._stream.encode(frame))


def _fitted(picture: ByteArray, width: int, height: int) -> ByteArray:
    """Return a picture of the given even size: one pixel is repeated, any other difference becomes black bars."""
    missing = (height - picture.shape[0], width - picture.shape[1])
    if all(count in (0, 1) for count in missing):
        return np.pad(picture, ((0, missing[0]), (0, missing[1]), (0, 0)), mode="edge")
    scale = min(height / picture.shape[0], width / picture.shape[1])
    size = tuple(max(1, round(length * scale)) for length in picture.shape[1::-1])
    canvas = np.zeros((height, width, 3), np.uint8)
    left, top = (width - size[0]) // 2, (height - size[1]) // 2
    canvas[top : top + size[1], left : left + size[0]] = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    return canvas


class AnnotatedFolder(Writer):
    """A folder with one annotated file for each source: ``talk.annotated.mp4``, ``photo.annotated.jpg``.

    A source of one frame becomes a picture, of more a video. No file that a source of the run is read from, and no
    other file of the run, is overwritten: names get a number where they need one.

    Parameters
    ----------
    path : path_like
        Made if it is not there.
    bars : bool
        Draw probabilities.
    """

    def __init__(self, path: str | Path, *, bars: bool = True) -> None:
        self.path, self._bars = Path(path), bars
        self._names: set[str] = set()
        self._first: FrameResult | None = None
        self._video: AnnotatedVideo | None = None
        self._source: str | None = None
        make_folder(self.path)
        with as_output_error(path):
            tempfile.TemporaryFile(dir=self.path).close()

    def write(self, result: FrameResult) -> None:  # noqa: D102
        if result.source != self._source:
            self.close()
            self._source, self._first = result.source, result
            return
        if self._first:
            self._video = AnnotatedVideo(self._place(result.source, ".mp4"), bars=self._bars)
            first, self._first = self._first, None
            self._video.write(first)
        assert self._video is not None
        self._video.write(result)

    def close(self) -> None:  # noqa: D102
        first, video = self._first, self._video
        self._first = self._video = self._source = None
        if video:
            video.close()
        if first:
            suffix = Path(_name(first.source)).suffix.lower()
            place = self._place(first.source, suffix if suffix in PICTURE_OPTIONS else ".png")
            with AnnotatedPicture(place, bars=self._bars) as picture:
                picture.write(first)

    def _place(self, source: str, suffix: str) -> Path:
        stem = re.sub(r"[^\w.-]+", "_", Path(_name(source)).stem) or "source"
        names = (f"{stem}.annotated{f'-{n}' if n > 1 else ''}{suffix}" for n in count(1))
        # Windows and macOS take a.jpg and A.jpg for the same file.
        free = (n for n in names if n.lower() not in self._names and not _same_file(self.path / n, source))
        name = next(free)
        self._names.add(name.lower())
        return self.path / name


def _name(source: str) -> str:
    """Return the last part of a path or URL."""
    return Path(urlsplit(source).path if "://" in source else source).name


def _same_file(path: Path, source: str) -> bool:
    with suppress(OSError):
        return path.samefile(source)
    return False


def open_annotation(path: str | Path, sources: Sequence[str | Path], *, bars: bool = True) -> Writer:
    """Return what writes the annotated form of sources: a picture, a video, or a folder with one file for each.

    Parameters
    ----------
    path : path_like
        With the extension of a picture or video: a file, which takes one source. Without an extension, or a folder
        that is there: a folder.
    sources : sequence of path_like
        What will be read: paths, URLs, cameras.
    bars : bool
        Draw probabilities.

    Raises
    ------
    OptionError
        If the extension is unknown, a file is named for several sources or for the source itself, or a picture for a
        source that is known to have more than one frame.
    OutputError
        If the path cannot be written.
    """
    suffix = Path(path).suffix.lower()
    if Path(path).is_dir() or not suffix:
        return AnnotatedFolder(path, bars=bars)
    if suffix not in PICTURE_OPTIONS and suffix not in VIDEO_FORMATS:
        known = ", ".join((*PICTURE_OPTIONS, *VIDEO_FORMATS))
        raise OptionError(f"{path}: unknown kind of media {suffix!r}: expected a folder or one of {known}")
    if len(sources) != 1 or Path(sources[0]).is_dir():
        raise OptionError(f"{path}: is one file for several sources: name a folder")
    if _same_file(Path(path), str(sources[0])):
        raise OptionError(f"{path}: is the source itself: name another file")
    if suffix in VIDEO_FORMATS:
        return AnnotatedVideo(path, bars=bars)
    if _moves(str(sources[0])):
        raise _more_than_one_frame(path, sources[0])
    return AnnotatedPicture(path, bars=bars)


def _moves(source: str) -> bool:
    """Return whether a source is known to have more than one frame, which of a URL is not known."""
    try:
        known = probe(source)
    except MediaError:  # told where it is read
        return False
    return known.kind != "url" and known.frame_count != 1


def _more_than_one_frame(path: str | Path, source: str | Path) -> OptionError:
    return OptionError(f"{path}: {source} has more than one frame: name a video (.mp4) or a folder")
