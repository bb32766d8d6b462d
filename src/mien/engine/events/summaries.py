"""Summaries: one for each person, one for each second of the whole group."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from mien.core.labels import UNCERTAIN
from mien.core.types import FloatArray, FrameResult, Row
from mien.engine.events.finder import Watch
from mien.engine.events.people import People

DoubleArray: TypeAlias = npt.NDArray[np.float64]

STATISTICS = ("mean", "std", "min", "max")


@dataclass(frozen=True)
class TrackSummary:
    """One person from the first frame to the last, each frame weighing as long as it lasts: to the person's next.

    Mean, spread, minimum and maximum of the probabilities are the descriptor that Bargal et al. 2016 make of a video,
    https://doi.org/10.1145/2993148.2997627; we differ in weighing by time, and take probabilities for their features.

    Parameters
    ----------
    source : str
        As in :class:`~mien.core.types.FrameResult`.
    track_id : int
        Id of the person in this source.
    first_s, last_s : float
        Times of the first and the last frame with the person, in seconds.
    seen_s : float
        Seconds between them; gaps that the track survives are counted.
    frames : int
        Frames with the person.
    shares : dict of str to float
        Share of the time for each label and ``"uncertain"``, by the answers of the frames; they sum to 1.
    changes_per_minute : float or None
        How often an event begins or ends, of those that last; from one straight to another is one change. None for a
        person of a single frame.
    statistics : dict of str to dict of str to float
        ``mean``, ``std``, ``min`` and ``max`` of the probability of each label.
    """

    source: str
    track_id: int
    first_s: float
    last_s: float
    seen_s: float
    frames: int
    shares: dict[str, float]
    changes_per_minute: float | None
    statistics: dict[str, dict[str, float]]

    def to_dict(self) -> Row:
        """Return the row of a table of tracks."""
        values = [self.source, self.track_id, self.first_s, self.last_s, self.seen_s, self.frames]
        values += [*self.shares.values(), self.changes_per_minute]
        values += [value for statistic in self.statistics.values() for value in statistic.values()]
        labels = tuple(self.statistics["mean"])
        return dict(zip(track_columns(labels), values, strict=True))


def track_columns(labels: tuple[str, ...]) -> tuple[str, ...]:
    """Return the columns of a table of tracks.

    Examples
    --------
    >>> track_columns(("happy",))[6:]
    ('share_happy', 'share_uncertain', 'changes_per_minute', 'mean_happy', 'std_happy', 'min_happy', 'max_happy')
    """
    shares = [f"share_{label}" for label in (*labels, UNCERTAIN)]
    statistics = [f"{name}_{label}" for name in STATISTICS for label in labels]
    return ("source", "track_id", "first_s", "last_s", "seen_s", "frames", *shares, "changes_per_minute", *statistics)


@dataclass(frozen=True)
class GroupSecond:
    """All faces of one second of a source together.

    Parameters
    ----------
    source : str
        As in :class:`~mien.core.types.FrameResult`.
    second : int
        Where it begins, in seconds.
    people : float
        Mean number of faces in its frames.
    probabilities : dict of str to float or None
        Mean probability of each label over its faces and frames; None where there is no face.
    """

    source: str
    second: int
    people: float
    probabilities: dict[str, float | None]

    def to_dict(self) -> Row:
        """Return the row of a table of a group."""
        return {"source": self.source, "second": self.second, "people": self.people, **self.probabilities}


def group_columns(labels: tuple[str, ...]) -> tuple[str, ...]:
    """Return the columns of a table of a group."""
    return ("source", "second", "people", *labels)


class TrackSummarizer:
    """Sums up each person of a stream; faces without ids, as those of still pictures, are left out."""

    def __init__(self) -> None:
        self._people = People(_Track)

    def update(self, result: FrameResult) -> list[TrackSummary]:
        """Return the summaries of those whose track is over by the time of this frame."""
        over = [track.end() for track in self._people.gone(result)]
        for track, probabilities, expression in self._people.present(result):
            track.see(result.time_s, probabilities, expression)
        return over

    def close(self) -> list[TrackSummary]:
        """Return the summaries of those whose track was still open."""
        return [track.end() for track in self._people.all_gone()]


class GroupSummarizer:
    """Sums up all faces of each second of a source, with ids or without; a second without a frame is left out."""

    def __init__(self) -> None:
        self._source, self._second = "", 0
        self._labels: tuple[str, ...] = ()
        self._frames = self._faces = 0
        self._sums: DoubleArray = np.zeros(())

    def update(self, result: FrameResult) -> list[GroupSecond]:
        """Return the second that is over with this frame, if one is."""
        second = math.floor(result.time_s)
        is_other = (result.source, second) != (self._source, self._second)
        over = self.close() if is_other else []
        self._source, self._second, self._labels = result.source, second, result.faces.labels or self._labels
        self._frames += 1
        self._faces += len(result.faces)
        if len(result.faces):
            self._sums = self._sums + result.faces.probabilities.sum(axis=0, dtype=np.float64)
        return over

    def close(self) -> list[GroupSecond]:
        """Return the second that was still open, if one was."""
        if not self._frames:
            return []
        probabilities: dict[str, float | None] = dict.fromkeys(self._labels)
        if self._faces:
            probabilities |= zip(self._labels, (self._sums / self._faces).tolist(), strict=True)
        second = GroupSecond(self._source, self._second, self._faces / self._frames, probabilities)
        self._frames = self._faces = 0
        self._sums = np.zeros(())
        return [second]


class _Track:
    """Sums up one person."""

    def __init__(self, result: FrameResult, track_id: int) -> None:
        labels = result.faces.labels
        self._source, self._track_id, self._labels = result.source, track_id, labels
        self._watch = Watch(result, track_id)
        self._first_s = self.seen_s = self._changed_s = result.time_s
        self._frames = self._changes = 0
        self._shares = dict.fromkeys((*labels, UNCERTAIN), 0.0)
        self._moments = _Moments(len(labels))
        self._shown = np.zeros(len(labels)), UNCERTAIN

    def see(self, time_s: float, probabilities: FloatArray, expression: str) -> None:
        if event := self._watch.see(time_s, probabilities):
            self._count(event.onset_s, event.offset_s)
        self._weigh(time_s - self.seen_s)
        self.seen_s, self._shown = time_s, (probabilities.astype(np.float64), expression)
        self._moments.reach(self._shown[0])
        self._frames += 1

    def end(self) -> TrackSummary:
        if event := self._watch.end():
            self._count(event.onset_s)  # its end is not a change of the face
        seen_s = self.seen_s - self._first_s
        if not seen_s:
            self._weigh(1.0)
        shares = {label: share / self._moments.weight for label, share in self._shares.items()}
        pace = 60 * self._changes / seen_s if seen_s else None
        statistics = {name: dict(zip(self._labels, v, strict=True)) for name, v in self._moments.statistics().items()}
        times = (self._first_s, self.seen_s, seen_s)
        return TrackSummary(self._source, self._track_id, *times, self._frames, shares, pace, statistics)

    def _weigh(self, seconds: float) -> None:
        """Let the last frame count for the time that it lasted."""
        if seconds > 0:
            probabilities, expression = self._shown
            self._moments.add(probabilities, seconds)
            self._shares[expression] += seconds

    def _count(self, *times_s: float) -> None:
        for time_s in times_s:
            if time_s > self._changed_s:
                self._changes += 1
                self._changed_s = time_s


class _Moments:
    """Mean, spread, minimum and maximum of weighted vectors.

    West 1979, https://doi.org/10.1145/359146.359153: sums of squares would leave a spread where there is none.
    """

    def __init__(self, length: int) -> None:
        self.weight = 0.0
        self._mean, self._squares = np.zeros(length), np.zeros(length)
        self._min, self._max = np.full(length, np.inf), np.full(length, -np.inf)

    def reach(self, values: DoubleArray) -> None:
        self._min, self._max = np.minimum(self._min, values), np.maximum(self._max, values)

    def add(self, values: DoubleArray, weight: float) -> None:
        self.weight += weight
        away = values - self._mean
        self._mean = self._mean + away * (weight / self.weight)
        self._squares = self._squares + weight * away * (values - self._mean)

    def statistics(self) -> dict[str, list[float]]:
        std = np.sqrt(self._squares / self.weight)
        return {name: v.tolist() for name, v in zip(STATISTICS, (self._mean, std, self._min, self._max), strict=True)}
