"""Long videos in segments: each is kept once it is read, so that a run that was killed goes on.

A segment does not depend on who reads it, or when: it is always entered :data:`WARM_UP_S` before its start, by when
ids, smoothing and schedule have settled. Over that time the people of two neighbors are compared, and their ids joined.
"""

from __future__ import annotations

import hashlib
import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import astuple, dataclass, replace
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np

import mien
from mien.core.errors import MediaError
from mien.core.types import Faces, FrameResult, IntArray
from mien.engine.pipeline import stream
from mien.engine.processes import STOPPED, Stopped, side_by_side
from mien.engine.recognizer import Recognizer, load
from mien.engine.results import AnnotatedVideo, Writer, join_videos
from mien.engine.results.writer import make_folder, whole_file
from mien.engine.video import Frame, frames, timeline
from mien.engine.video.streams import open_stream
from mien.face.boxes import centers_and_sizes

SEGMENT_S = 60.0
WARM_UP_S = 5.0
SAME_PLACE = 0.5  # of a face's size: nearer centers in one frame are one person's


@dataclass(frozen=True)
class Segment:
    """A part of a video, in seconds; its end is left out.

    Parameters
    ----------
    number : int
        From 0.
    start_s, end_s : float
    enter_s : float
        Where reading begins.
    seam_s : float
        Where that of the next one begins.
    """

    number: int
    start_s: float
    end_s: float
    enter_s: float
    seam_s: float


@dataclass(frozen=True)
class Reading:
    """What is read of a video, and by what: all that its results depend on.

    Parameters
    ----------
    source : str
        Path of a video file.
    model, detector : str
        As :func:`mien.stream` takes them.
    smoothing_s, start_s, end_s, every_s : float
        Likewise.
    """

    source: str
    model: str
    detector: str
    smoothing_s: float
    start_s: float
    end_s: float
    every_s: float

    def key(self, recognizer: Recognizer) -> str:
        """Return a name for this very reading: of this file as it is now, with these options and weights."""
        state = Path(self.source).stat()
        file = (str(Path(self.source).resolve()), state.st_size, state.st_mtime_ns)
        parts = (*astuple(self), *file, recognizer.model.sha256, mien.__version__)
        return hashlib.sha256(repr(parts).encode("utf-8", "backslashreplace")).hexdigest()[:16]

    def segments(self) -> list[Segment]:
        """Return the parts in which it is read; none where it is short, or cannot be entered in the middle."""
        line = timeline(self.source)
        if line is None:
            return []
        end_s = min(self.end_s, line.length_s)
        count = math.ceil((end_s - self.start_s) / SEGMENT_S)
        if count < 2:
            return []
        edges = [self.start_s + number * SEGMENT_S for number in range(count)] + [self.end_s]
        return [
            Segment(number, start, end, self._entry(start), self._entry(end))
            for number, (start, end) in enumerate(pairwise(edges))
        ]

    def _entry(self, start_s: float) -> float:
        """Return where to enter for a segment: on the grid on which frames are chosen."""
        enter_s = max(self.start_s, start_s - WARM_UP_S)
        if not self.every_s or math.isinf(start_s):
            return enter_s
        return self.start_s + self.every_s * math.floor((enter_s - self.start_s) / self.every_s)

    def results(self, segment: Segment, recognizer: Recognizer) -> Generator[FrameResult, None, None]:
        """Read a segment."""
        return stream(
            self.source,
            detector=self.detector,
            model=recognizer,
            smoothing_s=self.smoothing_s,
            start_s=segment.enter_s,
            end_s=segment.end_s,
            every_s=self.every_s,
        )

    def pictures(self, segment: Segment) -> Generator[Frame, None, None]:
        """Read the pictures of a segment alone."""
        return frames(self.source, start_s=segment.enter_s, end_s=segment.end_s, every_s=self.every_s)


class Record:
    """The results of the frames of a segment, as arrays in one file; pictures are left out.

    Parameters
    ----------
    path : Path
        ``.npz``; there once the segment is whole.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def kept(self, results: Generator[FrameResult, None, None]) -> Generator[FrameResult, None, None]:
        """Yield results as they come, and keep them when all have come."""
        frame, time_s, faces = [], [], []
        with closing(results):
            for result in results:
                frame.append(result.frame)
                time_s.append(result.time_s)
                faces.append(result.faces)
                yield result
        none = Faces.empty(faces[0].labels if faces else ())  # what an empty list cannot be joined without
        with whole_file(self.path) as partial, partial.open("wb") as file:
            np.savez_compressed(
                file,
                frame=np.array(frame, np.int64),
                time_s=np.array(time_s, np.float64),
                end=np.cumsum([len(one) for one in faces], dtype=np.int64),
                boxes_xyxy=np.concatenate([one.boxes_xyxy for one in (none, *faces)]),
                scores=np.concatenate([one.scores for one in (none, *faces)]),
                probabilities=np.concatenate([one.probabilities for one in (none, *faces)]),
                track_ids=np.concatenate([_ids(one) for one in (none, *faces)]),
            )

    def results(self, source: str, recognizer: Recognizer) -> Iterator[FrameResult]:
        """Yield what was kept."""
        with np.load(self.path) as kept:
            arrays = dict(kept)
        for row, (start, end) in enumerate(pairwise([0, *arrays["end"].tolist()])):
            part = slice(start, end)
            found = Faces.detected(arrays["boxes_xyxy"][part], arrays["scores"][part])
            found = replace(found, track_ids=arrays["track_ids"][part])
            faces = recognizer.answer(found, arrays["probabilities"][part])
            yield FrameResult(source, int(arrays["frame"][row]), float(arrays["time_s"][row]), None, faces)


class _Joint:
    """Ids of one segment after another, as those of the whole video."""

    def __init__(self) -> None:
        self._next_id = 1
        self._last: dict[int, Faces] = {}  # the frames of the end of the segment before, with the ids of the whole

    def joined(self, segment: Segment, results: Iterable[FrameResult]) -> Iterator[FrameResult]:
        """Yield the frames of a segment without its warm-up, with the ids of the whole video."""
        votes: Counter[tuple[int, int]] = Counter()
        known: dict[int, int] | None = None
        recent: dict[int, Faces] = {}
        for result in results:
            if result.time_s < segment.start_s:
                votes.update(_same_people(result.faces, self._last.get(result.frame)))
                continue
            known = _agreed(votes) if known is None else known
            faces = self._renamed(result.faces, known)
            if result.time_s >= segment.seam_s:
                recent[result.frame] = faces
            yield replace(result, faces=faces)
        self._last = recent

    def _renamed(self, faces: Faces, known: dict[int, int]) -> Faces:
        ids = _ids(faces).tolist()
        for track_id in ids:
            if track_id not in known:
                known[track_id] = self._next_id
            self._next_id = max(self._next_id, known[track_id] + 1)
        return replace(faces, track_ids=np.array([known[track_id] for track_id in ids], np.int64))


def _ids(faces: Faces) -> IntArray:
    return np.empty(0, np.int64) if faces.track_ids is None else faces.track_ids


def _same_people(here: Faces, there: Faces | None) -> Iterator[tuple[int, int]]:
    """Yield pairs of ids, of this segment and of the whole, whose faces are at one place in one frame."""
    if there is None or not len(there):
        return
    centers, _ = centers_and_sizes(there.boxes_xyxy)
    for track_id, center, size in zip(_ids(here).tolist(), *centers_and_sizes(here.boxes_xyxy), strict=True):
        farness = np.linalg.norm(centers - center, axis=1)
        nearest = int(farness.argmin())
        if farness[nearest] < SAME_PLACE * size:
            yield track_id, int(_ids(there)[nearest])


def _agreed(votes: Counter[tuple[int, int]]) -> dict[int, int]:
    """Return ids of a segment -> ids of the whole, each once, those seen together most often first."""
    known: dict[int, int] = {}
    for (here, there), _ in sorted(votes.items(), key=lambda vote: (-vote[1], vote[0])):
        if here not in known and there not in known.values():
            known[here] = there
    return known


def in_segments(
    reading: Reading,
    segments: Sequence[Segment],
    folder: Path,
    recognizer: Recognizer,
    *,
    workers: int = 1,
    needs_pictures: Callable[[Segment], bool],
) -> Generator[FrameResult, None, None]:
    """Yield the results of a long video, frame after frame; what an earlier run read is not read again.

    Parameters
    ----------
    reading : Reading
    segments : sequence of Segment
        Those of `reading`.
    folder : Path
        Where segments are kept.
    recognizer : Recognizer
        That of `reading`.
    workers : int
        Processes that read; 1 reads here.
    needs_pictures : callable
        Whether the results of a segment need their pictures: those of a segment that an earlier run or another
        process read are decoded again for it.

    Raises
    ------
    MediaError
        If the video breaks off, after what came before.
    MienError
        If a process was killed: the same call goes on.
    """
    make_folder(folder)
    missing = [segment for segment in segments if not _record(folder, segment).path.exists()]
    joint = _Joint()
    with ExitStack() as stack:
        arrivals: Iterator[Segment] = iter(())
        if workers > 1 and missing:
            task = partial(read_segment, reading=reading, folder=folder)
            arrivals = stack.enter_context(closing(side_by_side(task, missing, workers)))
        arrived = set[Segment]()
        for segment in segments:
            record = _record(folder, segment)
            while workers > 1 and segment not in arrived and not record.path.exists():
                arrived.add(next(arrivals))
            if not record.path.exists():  # or not to be read to its end: here it ends where the video breaks off
                results = record.kept(reading.results(segment, recognizer))
            else:
                results = _kept_results(reading, segment, record, recognizer, with_pictures=needs_pictures(segment))
            with closing(results):
                yield from joint.joined(segment, results)


def read_segment(segment: Segment, reading: Reading, folder: Path) -> None:
    """Read and keep a segment: what a worker does; nothing is kept where the video breaks off.

    Raises
    ------
    Stopped
        If it was asked to stop: nothing is kept.
    """
    results = _record(folder, segment).kept(reading.results(segment, load(reading.model)))
    with closing(results), suppress(MediaError):
        for _ in results:
            if STOPPED.is_set():
                raise Stopped


def _record(folder: Path, segment: Segment) -> Record:
    return Record(folder / f"{segment.number:05}.npz")


def _kept_results(
    reading: Reading, segment: Segment, record: Record, recognizer: Recognizer, *, with_pictures: bool
) -> Generator[FrameResult, None, None]:
    results = record.results(reading.source, recognizer)
    if not with_pictures:
        yield from results
        return
    with closing(reading.pictures(segment)) as pictures:
        for result, picture in zip(results, pictures, strict=True):
            yield replace(result, image=picture.image)


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
    blur : bool
        As :class:`mien.engine.results.AnnotatedVideo` takes it.
    """

    def __init__(self, path: str | Path, segments: Sequence[Segment], folder: Path, *, blur: bool = False) -> None:
        self.path, self._segments, self._folder, self._blur = Path(path), segments, folder, blur
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
                self._part = AnnotatedVideo(
                    place, blur=self._blur, sound=False, start_s=self._starts[0], size=self._size
                )
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
        kind = "blurred" if self._blur else "plain"  # a part of the other kind must not show who is to be hidden
        return self._folder / f"{segment.number:05}.{kind}{self.path.suffix.lower()}"
