"""What was seen in one source: a few arrays and lists, however long it is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from mien.app.report.batches import Batch, DoubleArray, Run
from mien.app.report.timeline import Timeline
from mien.core.types import FloatArray, IntArray
from mien.engine.events import Event, EventFinder, TrackSummarizer, TrackSummary
from mien.engine.events.finder import NEUTRAL, ON
from mien.engine.tracking import LOST_AFTER_S

SMALL_PX = 48  # side of the pictures that the nets are trained on


@dataclass(frozen=True)
class Gap:
    """Time without any face.

    Parameters
    ----------
    start_s, end_s : float
        When the first frame without a face begins, and the next with one, or the last one ends, in seconds.
    """

    start_s: float
    end_s: float

    @property
    def length_s(self) -> float:
        """Seconds between them."""
        return self.end_s - self.start_s


class Boxes:
    """Where the faces are that may be the apex of an event: 36 bytes for each.

    Parameters
    ----------
    labels : tuple of str
    """

    def __init__(self, labels: tuple[str, ...]) -> None:
        self._columns = [index for index, label in enumerate(labels) if label != NEUTRAL]
        self._parts: list[tuple[DoubleArray, IntArray, FloatArray]] = []

    def add(self, faces: Batch) -> None:
        """Keep what may be an apex."""
        kept = faces[faces.probabilities[:, self._columns].max(axis=1, initial=0.0) >= ON]
        if len(kept):
            self._parts.append((kept.times_s, kept.track_ids, kept.boxes_xyxy))

    def of(self, events: Sequence[Event]) -> dict[Event, FloatArray]:
        """Return the box of the face at the apex of each event, (4,) float32 in pixels, as far as they are known."""
        if not self._parts:
            return {}
        times_s, ids, boxes = (np.concatenate(arrays) for arrays in zip(*self._parts, strict=True))
        found = {event: np.flatnonzero((times_s == event.apex_s) & (ids == event.track_id)) for event in events}
        return {event: boxes[places[0]] for event, places in found.items() if len(places)}


@dataclass(eq=False)
class Seen:
    """What was seen in one source.

    Parameters
    ----------
    source : str
    run : Run
    timeline : Timeline
    boxes : Boxes
    answers : (K + 1,) ndarray of int64
        How often each label, and after them ``uncertain``, was the answer.
    undecided : (K, K) ndarray of int64
        How often the answer was uncertain between two labels, the likelier first.
    notices : list of str
        What a reader must know: where rows break off, why there are no thumbnails ...
    frames, faces, small_faces : int
        Counts of frames, of faces, and of faces narrower than `SMALL_PX`.
    first_s, end_s, with_face_s : float
        When the first frame begins and the last one ends, which lasts as long as most do (their median), and the
        seconds in which a face was in view.
    gaps : list of Gap
        Those of a second or more.
    people : list of TrackSummary
    events : list of Event
    """

    source: str
    run: Run
    timeline: Timeline
    boxes: Boxes
    answers: IntArray
    undecided: IntArray
    notices: list[str] = field(default_factory=list)
    frames: int = 0
    faces: int = 0
    small_faces: int = 0
    first_s: float = 0.0
    end_s: float = 0.0
    with_face_s: float = 0.0
    gaps: list[Gap] = field(default_factory=list)
    people: list[TrackSummary] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)

    @property
    def is_still(self) -> bool:
        """Whether it is a picture, which has no time and nobody to follow."""
        return self.frames == 1 and not self.timeline.track_ids

    @property
    def length_s(self) -> float:
        """Seconds from the beginning of the first frame to the end of the last."""
        return max(0.0, self.end_s - self.first_s)

    @property
    def with_face(self) -> float:
        """Share of the time in which a face was in view; of a picture, whether one is."""
        return self.with_face_s / self.length_s if self.length_s else float(self.faces > 0)

    @property
    def shares(self) -> DoubleArray:
        """Share of the answers of each label, and after them ``uncertain``, (K + 1,); 0 where there is no face."""
        return np.asarray(self.answers / max(self.faces, 1), np.float64)


def see(
    source: str,
    run: Run,
    batches: Iterable[Batch],
    *,
    found: tuple[list[Event], list[TrackSummary]] | None = None,
) -> Seen:
    """Sum up the rows of one source.

    Parameters
    ----------
    source : str
    run : Run
    batches : iterable of Batch
        In the order of time.
    found : tuple of list of Event and list of TrackSummary, optional
        Where they are known already; else they are found here.
    """
    labels, watch = run.labels, _Watch()
    finder, summarizer = EventFinder(), TrackSummarizer()
    seen: Seen | None = None
    for batch in batches:
        if not seen:
            step_s = float(np.median(np.diff(np.unique(batch.times_s)))) if np.ptp(batch.times_s) else 0.0
            seen = _nothing(source, run, step_s)
        watch.see(batch)
        _count(seen, batch[batch.has_face])
        for result in batch.results(source, labels) if found is None else ():
            seen.events += finder.update(result)
            seen.people += summarizer.update(result)
    seen = seen or _nothing(source, run, 0.0)
    if found is None:
        seen.events += finder.close()
        seen.people += summarizer.close()
    else:
        seen.events, seen.people = found
    watch.tell(seen)
    return seen


def _nothing(source: str, run: Run, step_s: float) -> Seen:
    count = len(run.labels)
    seen = Seen(
        source,
        run,
        Timeline(count, step_s),
        Boxes(run.labels),
        np.zeros(count + 1, np.int64),
        np.zeros((count, count), np.int64),
    )
    if step_s > LOST_AFTER_S:
        seen.notices.append(
            f"A frame was read every {step_s:g} s. Nobody can be followed over more than a second, so each frame "
            "counts its people anew, and there are no events."
        )
    return seen


def _count(seen: Seen, faces: Batch) -> None:
    seen.faces += len(faces)
    seen.small_faces += int((faces.boxes_xyxy[:, 2] - faces.boxes_xyxy[:, 0] < SMALL_PX).sum())
    seen.answers += np.bincount(faces.answers, minlength=len(seen.answers))
    unsure = faces.probabilities[faces.answers == len(seen.run.labels)]
    if unsure.shape[1] > 1:
        order = np.argsort(unsure, axis=1)
        np.add.at(seen.undecided, (order[:, -1], order[:, -2]), 1)
    seen.timeline.add(faces)
    seen.boxes.add(faces)


class _Watch:
    """Follows whether any face is in view, from frame to frame; rows of one frame may lie in two batches."""

    def __init__(self) -> None:
        self._frames, self._with_face_s = 0, 0.0
        self._first_s = self._time_s = 0.0
        self._frame, self._has_face = -1, False
        self._gone_s: float | None = None
        self._gaps: list[Gap] = []
        self._steps_s: list[DoubleArray] = []

    def see(self, batch: Batch) -> None:
        starts = np.flatnonzero(np.diff(batch.frames, prepend=self._frame))
        if not len(starts):
            return
        times_s, has_face = batch.times_s[starts], batch.has_face[starts]
        if not self._frames:
            self._first_s = self._time_s = float(times_s[0])
        steps = np.diff(times_s, prepend=self._time_s)
        self._steps_s.append(steps if self._frames else steps[1:])
        self._frames += len(starts)
        showing = np.append(self._has_face, has_face[:-1])
        self._with_face_s += float(steps[showing].clip(0).sum())
        self._note_gaps(times_s, has_face)
        self._frame, self._time_s, self._has_face = int(batch.frames[-1]), float(times_s[-1]), bool(has_face[-1])

    def _note_gaps(self, times_s: DoubleArray, has_face: npt.NDArray[np.bool_]) -> None:
        turns = np.flatnonzero(np.append(self._gone_s is None, has_face[:-1]) != has_face)
        for time_s, shows in zip(times_s[turns].tolist(), has_face[turns].tolist(), strict=True):
            if shows:
                self._end_gap(time_s)
            else:
                self._gone_s = time_s

    def _end_gap(self, time_s: float) -> None:
        if self._gone_s is not None and time_s - self._gone_s >= LOST_AFTER_S:
            self._gaps.append(Gap(self._gone_s, time_s))
        self._gone_s = None

    def tell(self, seen: Seen) -> None:
        """Put what was watched into what was seen, when no frame comes any more."""
        steps_s = np.concatenate(self._steps_s) if self._frames > 1 else np.zeros(1)
        last_step_s = float(np.median(steps_s))
        seen.first_s, seen.end_s = self._first_s, self._time_s + last_step_s
        self._end_gap(seen.end_s)
        seen.frames, seen.gaps = self._frames, self._gaps
        seen.with_face_s = self._with_face_s + self._has_face * last_step_s
