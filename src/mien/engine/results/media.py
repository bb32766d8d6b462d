"""Annotated media: a picture, a video, or a folder of both."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import cv2

from mien.core.errors import MediaError, OptionError, OutputError
from mien.core.types import FrameResult
from mien.engine.drawing import annotated
from mien.engine.results.videos import VIDEO_FORMATS, AnnotatedVideo
from mien.engine.results.writer import PartialFile, Writer, as_output_error, make_folder
from mien.engine.video import probe

PICTURE_OPTIONS: dict[str, list[int]] = {
    ".jpg": [cv2.IMWRITE_JPEG_QUALITY, 95],
    ".jpeg": [cv2.IMWRITE_JPEG_QUALITY, 95],
    ".png": [],
    ".webp": [cv2.IMWRITE_WEBP_QUALITY, 95],
    ".bmp": [],
    ".tif": [],
    ".tiff": [],
}


class AnnotatedPicture(Writer):
    """One picture with its faces drawn on it, in the format that the extension of its path names.

    A second frame is refused, and the first one not kept: an older picture stays.

    Parameters
    ----------
    path : path_like
        One of :data:`PICTURE_OPTIONS`.
    bars : bool
        Draw probabilities.
    blur : bool
        Make the faces unrecognizable; see :func:`mien.engine.blurring.blurred` for what that does not hide.
    regions : bool
        Draw the regions and landmarks of each face, where these are sure.
    """

    def __init__(self, path: str | Path, *, bars: bool = True, blur: bool = False, regions: bool = False) -> None:
        self.path, self._bars, self._blur, self._regions = Path(path), bars, blur, regions
        self._place = PartialFile(path)
        self._frames = 0

    def write(self, result: FrameResult) -> None:  # noqa: D102
        if self._frames:
            self._place.is_whole = False
            raise _more_than_one_frame(self.path, result.source)
        drawn = annotated(result, bars=self._bars, blur=self._blur, regions=self._regions)
        picture = cv2.cvtColor(drawn, cv2.COLOR_RGB2BGR)
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
    blur : bool
        Make the faces unrecognizable; see :func:`mien.engine.blurring.blurred` for what that does not hide.
    regions : bool
        Draw the regions and landmarks of each face, where these are sure.
    start_s : float
        Time in each source that is 0 in its video: where a range starts.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        bars: bool = True,
        blur: bool = False,
        regions: bool = False,
        start_s: float = 0.0,
    ) -> None:
        self.path, self._start_s = Path(path), start_s
        self._drawn: dict[str, Any] = {"bars": bars, "blur": blur, "regions": regions}
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
            place = self.place(result.source, ".mp4")
            self._video = AnnotatedVideo(place, **self._drawn, start_s=self._start_s)
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
            place = self.place(first.source, suffix if suffix in PICTURE_OPTIONS else ".png")
            with AnnotatedPicture(place, **self._drawn) as picture:
                picture.write(first)

    def place(self, source: str, suffix: str) -> Path:
        """Return a free place for the annotated form of a source; it is not given again."""
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


def open_annotation(
    path: str | Path,
    sources: Sequence[str | Path],
    *,
    bars: bool = True,
    blur: bool = False,
    regions: bool = False,
    start_s: float = 0.0,
) -> Writer:
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
    blur : bool
        Make the faces unrecognizable; see :func:`mien.engine.blurring.blurred` for what that does not hide.
    regions : bool
        Draw the regions and landmarks of each face, where these are sure.
    start_s : float
        Time in each source that is 0 in its video: where a range starts.

    Raises
    ------
    OptionError
        If the extension is unknown, a file is named for several sources or for the source itself, or a picture for a
        source that is known to have more than one frame.
    OutputError
        If the path cannot be written.
    """
    drawn: dict[str, Any] = {"bars": bars, "blur": blur, "regions": regions}
    suffix = Path(path).suffix.lower()
    if Path(path).is_dir() or not suffix:
        return AnnotatedFolder(path, **drawn, start_s=start_s)
    if suffix not in PICTURE_OPTIONS and suffix not in VIDEO_FORMATS:
        known = ", ".join((*PICTURE_OPTIONS, *VIDEO_FORMATS))
        raise OptionError(f"{path}: unknown kind of media {suffix!r}: expected a folder or one of {known}")
    if len(sources) != 1 or Path(sources[0]).is_dir():
        raise OptionError(f"{path}: is one file for several sources: name a folder")
    if _same_file(Path(path), str(sources[0])):
        raise OptionError(f"{path}: is the source itself: name another file")
    if suffix in VIDEO_FORMATS:
        return AnnotatedVideo(path, **drawn, start_s=start_s)
    if _moves(str(sources[0])):
        raise _more_than_one_frame(path, sources[0])
    return AnnotatedPicture(path, **drawn)


def _moves(source: str) -> bool:
    """Return whether a source is known to have more than one frame, which of a URL is not known."""
    try:
        known = probe(source)
    except MediaError:  # told where it is read
        return False
    return known.kind != "url" and known.frame_count != 1


def _more_than_one_frame(path: str | Path, source: str | Path) -> OptionError:
    return OptionError(f"{path}: {source} has more than one frame: name a video (.mp4) or a folder")
