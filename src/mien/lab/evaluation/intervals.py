"""Figures with their confidence intervals."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from mien.core.errors import OptionError
from mien.core.model import Score
from mien.core.types import FloatArray, IntArray

Subjects: TypeAlias = npt.NDArray[np.str_]
"""The person on each face, (N,); where it is ``""`` the face is a person of its own."""

DRAWS = 1000
INTERVAL_PERCENT = (2.5, 97.5)


def bootstrap(
    figure: Callable[[IntArray], float],
    count: int,
    *,
    seed: int = 0,
    draws: int = DRAWS,
    limits: tuple[float, float] = (0.0, 1.0),
    subjects: Subjects | None = None,
) -> Score:
    """Measure a figure with its 95 % interval by drawing the faces anew, with replacement.

    Parameters
    ----------
    figure : callable
        Takes (M,) indices of faces, returns the figure on them.
    count : int
        Number of faces.
    seed : int
        Seed of the draws.
    draws : int
        Number of draws.
    limits : tuple of float
        The lowest and highest that the figure can be.
    subjects : (N,) ndarray of str, optional
        The person on each face: people are drawn then, each with all their faces, since frames of one person are nearly
        the same picture.

    Returns
    -------
    Score
        The figure on all faces, and the interval.

    Raises
    ------
    OptionError
        If there are no faces.

    Notes
    -----
    The interval is that of the percentiles, moved so that the median of the draws falls on the figure. For accuracy
    this changes nothing; the calibration error is biased upward on resampled faces and would lie outside otherwise.
    """
    if count == 0:
        raise OptionError("no faces to measure: expected at least one")
    generator = np.random.default_rng(seed)
    values = [figure(rows) for rows in _drawn(count, subjects, draws, generator)]
    value = figure(np.arange(count))
    low, high = np.clip(np.percentile(values, INTERVAL_PERCENT) + value - np.median(values), *limits)
    return Score(value, float(low), float(high), count)


def _drawn(count: int, subjects: Subjects | None, draws: int, generator: np.random.Generator) -> Iterator[IntArray]:
    """Yield the rows of each draw."""
    if subjects is None:
        yield from (generator.integers(count, size=count) for _ in range(draws))
        return
    people = people_of(subjects)
    order, sizes = np.argsort(people, kind="stable"), np.bincount(people)
    starts = np.cumsum(sizes) - sizes
    for _ in range(draws):
        drawn = generator.integers(len(sizes), size=len(sizes))
        ends = np.cumsum(sizes[drawn])
        yield order[np.repeat(starts[drawn] + sizes[drawn] - ends, sizes[drawn]) + np.arange(ends[-1])]


def people_of(subjects: Subjects) -> IntArray:
    """Return the number of each face's person, (N,) from 0 without gaps."""
    people = np.unique(subjects, return_inverse=True)[1]
    people = np.where(subjects == "", len(people) + np.arange(len(people)), people)
    return np.asarray(np.unique(people, return_inverse=True)[1], np.int64)


def accuracy_score(
    probabilities: FloatArray, labels: IntArray, *, seed: int = 0, subjects: Subjects | None = None
) -> Score:
    """Return the share of right top answers with its 95 % interval: see :func:`bootstrap`."""
    right = probabilities.argmax(axis=1) == labels
    return bootstrap(lambda rows: float(right[rows].mean()), len(right), seed=seed, subjects=subjects)


def score_text(score: Score, *, percent: bool = False, unit: str = "faces") -> str:
    """Return a figure with its interval, for example ``69.9 % (95 % interval 68.4-71.4, 3,589 faces)``."""
    if percent:
        value, low, high = (f"{100 * number:.1f}" for number in (score.value, score.low, score.high))
        return f"{value} % (95 % interval {low}-{high}, {score.count:,} {unit})"
    return f"{score.value:.3f} (95 % interval {score.low:.3f}-{score.high:.3f}, {score.count:,} {unit})"


def range_text(score: Score) -> str:
    """Return the interval of a share in percent, for tables: ``68.4 to 71.4``."""
    return f"{100 * score.low:.1f} to {100 * score.high:.1f}"
