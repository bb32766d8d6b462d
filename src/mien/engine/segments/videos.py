"""An annotated video that is written in segments."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mien.core.types import FrameResult
from mien.engine.results import AnnotatedVideo, Writer, join_videos
from mien.engine.results.writer import make_folder
from mien.engine.segments.reading import Segment
from mien.engine.video.streams import open_stream


def _size_of(result: FrameResult, part: Path) -> tuple[int, int]:
    """Return width and height of a frame, or where it has no picture, of the part that shows it."""
    if result.image is not None:
        height, width = result.image.shape[:2]
        return width, height
    with open_stream(str(part)) as (_, stream):
        return stream.width, stream.height


class SegmentedVideo(Writer):
    """An annotated video that is written in segments, each kept once it is whole, and joined at the end.

    Parameters
    ----------
    path : path_like
        One of :data:`mien.engine.results.VIDEO_FORMATS`.
    segments : sequence of Segment
    folder : Path
        Where segments are kept.
    blur, regions : bool
        As :class:`mien.engine.results.AnnotatedVideo` takes them.
    """

    def __init__(
        self, path: str | Path, segments: Sequence[Segment], folder: Path, *, blur: bool = False, regions: bool = False
    ) -> None:
        self.path, self._segments, self._folder = Path(path), segments, folder
        self._drawn: dict[str, Any] = {"blur": blur, "regions": regions}
        self._starts = [segment.start_s for segment in segments]
        self._parts: list[Path] = []
        self._part: AnnotatedVideo | None = None
        self._size: tuple[int, int] | None = None  # that of the first frame: all parts need the same
        self._source = ""
        make_folder(folder)

    def has(self, segment: Segment) -> bool:
        """Return whether a segment was written by an earlier run."""
        return self._place(segment).exists()

    def write(self, result: FrameResult) -> None:  # noqa: D102
        place = self._place(self._segments[bisect_right(self._starts, result.time_s) - 1])
        if not self._parts or place != self._parts[-1]:
            self._end()
            self._parts.append(place)
            self._size = self._size or _size_of(result, place)
            if not place.exists():
                self._part = AnnotatedVideo(place, **self._drawn, sound=False, start_s=self._starts[0], size=self._size)
        if self._part is not None:
            self._part.write(result)
        self._source = result.source

    def close(self) -> None:  # noqa: D102
        is_cut = self._part is not None  # the last part may lack what a later run will see
        self._end()
        parts = [part for part in self._parts if part.exists()]
        if not parts:
            return
        try:
            join_videos(parts, self.path, sound=self._source, start_s=self._starts[0])
        finally:
            if is_cut:
                parts[-1].unlink()

    def _end(self) -> None:
        part, self._part = self._part, None
        if part is not None:
            part.close()

    def _place(self, segment: Segment) -> Path:
        # A part of another kind must not show who is to be hidden.
        kind = "-".join(name for name, is_drawn in self._drawn.items() if is_drawn) or "plain"
        return self._folder / f"{segment.number:05}.{kind}{self.path.suffix.lower()}"
