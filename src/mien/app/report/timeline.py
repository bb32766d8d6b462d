"""Probabilities over time in bins that are few however long a video is."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from mien.app.report.batches import NO_ID, Batch, DoubleArray
from mien.core.types import FloatArray, IntArray
from mien.engine.events.finder import LEAST_S
from mien.engine.tracking import LOST_AFTER_S

BINS = 1000  # of a video at most: as many as a figure has columns of pixels
LEVELS = 50  # of a probability in a bin's histogram: its percentiles are right to 0.02
EDGE = 1e-6  # what rounding may make of a bin's edge
LOW, HIGH = 0.1, 0.9
"""The percentiles between which the band lies."""


@dataclass(eq=False)
class Cell:
    """The frames of one person in one bin.

    Parameters
    ----------
    histogram : (K, LEVELS) ndarray of uint32
        How often each probability was.
    sums : (K,) ndarray of float64
        Sums of the probabilities.
    answers : (K + 1,) ndarray of int64
        How often each label, and after them ``uncertain``, was the answer.
    """

    histogram: npt.NDArray[np.uint32]
    sums: DoubleArray
    answers: IntArray

    def __iadd__(self, other: Cell) -> Cell:
        self.histogram += other.histogram
        self.sums += other.sums
        self.answers += other.answers
        return self

    def copy(self) -> Cell:
        """Return the same numbers in arrays of their own."""
        return Cell(self.histogram.copy(), self.sums.copy(), self.answers.copy())


@dataclass(frozen=True, eq=False)
class Strip:
    """Answers over time, of one person or of all; bins without a face are left out.

    Parameters
    ----------
    starts_s : (B,) ndarray of float64
        Where each bin begins, in seconds.
    width_s : float
    answers : (B, K + 1) ndarray of int64
        How often each label, and after them ``uncertain``, was the answer.
    """

    starts_s: DoubleArray
    width_s: float
    answers: IntArray

    def __len__(self) -> int:
        return len(self.starts_s)

    def coarser(self, most: int) -> Strip:
        """Return the same answers in at most so many bins over the time from the first to the last."""
        if not len(self):
            return self
        start_s = self.starts_s[0]
        width_s = max(self.width_s, (self.starts_s[-1] + self.width_s - start_s) / most)
        places, group = np.unique(((self.starts_s - start_s) / width_s + EDGE).astype(np.int64), return_inverse=True)
        answers = np.zeros((len(places), self.answers.shape[1]), np.int64)
        np.add.at(answers, group, self.answers)
        return Strip(start_s + places * width_s, width_s, answers)


@dataclass(frozen=True, eq=False)
class Course(Strip):
    """Probabilities and answers over time.

    Parameters
    ----------
    mean, low, high : (B, K) ndarray of float32
        Mean, and 10th and 90th percentile, over the faces and frames of a bin, which weigh alike.
    """

    mean: FloatArray
    low: FloatArray
    high: FloatArray

    @property
    def runs(self) -> Iterator[slice]:
        """Stretches of bins without a gap in which a track is lost."""
        breaks = np.flatnonzero(np.diff(self.starts_s) > max(1.5 * self.width_s, LOST_AFTER_S)) + 1
        edges = [0, *breaks.tolist(), len(self)]
        return (slice(start, stop) for start, stop in pairwise(edges) if stop > start)


class Timeline:
    """Sorts frames into bins, which double their width whenever they become more than `BINS`.

    Memory is bounded by the people who are in view at the same time: 1.5 MB each.

    Parameters
    ----------
    labels : int
        Number of labels, K.
    step_s : float
        Time from frame to frame, in seconds.
    """

    def __init__(self, labels: int, step_s: float) -> None:
        self._labels = labels
        self.width_s = max(LEAST_S, step_s)  # what is shorter is no event
        self.origin_s = math.nan
        self._cells: dict[int, dict[int, Cell]] = {}

    def add(self, batch: Batch) -> None:
        """Count rows that are faces."""
        if not len(batch):
            return
        if math.isnan(self.origin_s):
            self.origin_s = float(batch.times_s.min())
        while self._places(batch.times_s).max() >= BINS:
            self._widen()
        bins = self._places(batch.times_s)
        keys, group = np.unique(batch.track_ids * BINS + bins, return_inverse=True)
        levels = np.minimum((batch.probabilities * LEVELS).astype(np.int64), LEVELS - 1)
        columns = group[:, None] * self._labels + np.arange(self._labels)
        histograms = _counted(columns * LEVELS + levels, (len(keys), self._labels, LEVELS)).astype(np.uint32)
        sums = _counted(columns, (len(keys), self._labels), weights=batch.probabilities)
        places = group * (self._labels + 1) + batch.answers
        answers = _counted(places, (len(keys), self._labels + 1)).astype(np.int64)
        for index, key in enumerate(keys.tolist()):
            track_id, place = divmod(key, BINS)
            cell = Cell(histograms[index], sums[index], answers[index])
            _put(self._cells.setdefault(track_id, {}), place, cell.copy())  # not a view: the batch is to be let go

    def _places(self, times_s: DoubleArray) -> IntArray:
        return np.maximum((times_s - self.origin_s) / self.width_s + EDGE, 0).astype(np.int64)

    def _widen(self) -> None:
        self.width_s *= 2
        for track_id, cells in self._cells.items():
            wider: dict[int, Cell] = {}
            for place, cell in cells.items():
                _put(wider, place // 2, cell)
            self._cells[track_id] = wider

    def course(self, track_id: int | None = None) -> Course:
        """Return the bins of one person, or of all together."""
        cells: dict[int, Cell] = {}
        for one in [self._cells.get(track_id, {})] if track_id is not None else self._cells.values():
            for place, cell in one.items():
                _put(cells, place, cell.copy())
        return self._course(sorted(cells.items()))

    @property
    def track_ids(self) -> set[int]:
        """The people who were seen, without those of pictures."""
        return self._cells.keys() - {NO_ID}

    def _course(self, cells: list[tuple[int, Cell]]) -> Course:
        starts_s = self.origin_s + self.width_s * np.array([place for place, _ in cells], np.float64)
        shape = (len(cells), self._labels)
        histograms = np.array([cell.histogram for _, cell in cells], np.float64).reshape(*shape, LEVELS)
        sums = np.array([cell.sums for _, cell in cells], np.float64).reshape(shape)
        answers = np.array([cell.answers for _, cell in cells], np.int64).reshape(len(cells), self._labels + 1)
        mean = (sums / answers.sum(axis=1, keepdims=True)).astype(np.float32)
        return Course(
            starts_s, self.width_s, answers, mean, _percentile(histograms, LOW), _percentile(histograms, HIGH)
        )


def _put(cells: dict[int, Cell], place: int, cell: Cell) -> None:
    if place in cells:
        cells[place] += cell
    else:
        cells[place] = cell


def _counted(
    places: IntArray, shape: tuple[int, ...], weights: FloatArray | None = None
) -> npt.NDArray[np.float64] | IntArray:
    """Return how often each place of an array is named, or the sum of its weights; `add.at` takes ten times as long."""
    flat = None if weights is None else weights.ravel()
    return np.bincount(places.ravel(), weights=flat, minlength=math.prod(shape)).reshape(shape)


def _percentile(histograms: npt.NDArray[np.float64], share: float) -> FloatArray:
    """Return where a share of what histograms count lies, as if it lay evenly in each level, (B, K)."""
    below = np.cumsum(histograms, axis=2)
    wanted = share * below[..., -1:]
    level = (below >= wanted).argmax(axis=2)[..., None]
    count = np.take_along_axis(histograms, level, axis=2)
    before = np.take_along_axis(below, level, axis=2) - count
    inside = (wanted - before) / np.maximum(count, 1)
    return np.asarray(((level + inside) / LEVELS)[..., 0], np.float32)
