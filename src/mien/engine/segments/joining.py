"""The results of all segments as those of one video: read where they are missing, with the ids of the whole."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from mien.core.errors import MediaError
from mien.core.types import Faces, FrameResult, IntArray
from mien.engine.baseline import Baseline
from mien.engine.measuring import load_baseline
from mien.engine.processes import STOPPED, Stopped, side_by_side
from mien.engine.recognizer import Recognizer, load
from mien.engine.results.writer import make_folder
from mien.engine.segments.reading import Reading, Record, Segment
from mien.face.boxes import centers_and_sizes

SAME_PLACE = 0.5  # of a face's size: nearer centers in one frame are one person's


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
    joint, rest = _Joint(), load_baseline(reading.asked, recognizer)
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
                for result in joint.joined(segment, results):
                    yield _from_rest(result, rest)


def _from_rest(result: FrameResult, rest: Baseline | None) -> FrameResult:
    if rest is None:
        return result
    return replace(result, faces=rest.update(result.faces, result.time_s, source=result.source))


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
