"""From figures drawn anew to p-values, intervals and the smallest difference."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.stats import norm

from mien.core.model import Score
from mien.lab.evaluation.intervals import INTERVAL_PERCENT

ALPHA = 0.05
POWER = 0.8
ROUNDING = 1e-6  # of the 32-bit sums: what differs by less is equal


def holm(p_values: Sequence[float]) -> npt.NDArray[np.float64]:
    """Correct p-values for their number, so that a false finding among them all has a chance of 5 % at most.

    Parameters
    ----------
    p_values : sequence of float

    Returns
    -------
    (M,) ndarray of float64
        In the same order; those below 0.05 are found.

    Examples
    --------
    >>> holm([0.01, 0.04, 0.03, 0.005]).tolist()
    [0.03, 0.06, 0.06, 0.02]
    """
    given = np.asarray(p_values, np.float64)
    order = np.argsort(given, kind="stable")
    stepped = np.maximum.accumulate(given[order] * np.arange(len(given), 0, -1))
    corrected = np.empty_like(given)
    corrected[order] = np.minimum(stepped, 1)
    return corrected


def two_sided(difference: float, by_chance: npt.NDArray[np.float64]) -> float:
    """Return twice the share of exchanges that are as far to the nearer side, the observed counted in."""
    tails = (by_chance <= difference + ROUNDING).sum(), (by_chance >= difference - ROUNDING).sum()
    return float(min(1.0, 2 * (1 + min(tails)) / (1 + len(by_chance))))


def smallest_difference(laws: Sequence[npt.NDArray[np.float64]], total: int) -> float | None:
    """Return the difference that would be found with the chance :data:`POWER` among `total` comparisons.

    Parameters
    ----------
    laws : sequence of (E,) ndarray of float64
        Exchanged differences, for each way to exchange.
    total : int

    Returns
    -------
    float or None
        At most 1, which says that none would be; None where every exchange gives the same.
    """
    if any(np.ptp(law) <= ROUNDING for law in laws):
        return None
    factor = norm.ppf(1 - ALPHA / (2 * total)) + norm.ppf(POWER)
    return min(1.0, float(factor * max(law.std() for law in laws)))


def scored(
    value: float, drawn: npt.NDArray[np.float64], count: int, *, lowest: float, is_biased: bool = False
) -> Score:
    """Return a figure with its interval: percentiles of the draws, stretched to hold the figure.

    Parameters
    ----------
    value : float
    drawn : (D,) ndarray of float64
        NaN where a draw has no faces.
    count : int
    lowest : float
        The lowest that the figure can be; the highest is 1.
    is_biased : bool
        Whether draws come out higher than faces do, as of the calibration error: they are moved by their mean less the
        figure. Shares are not: moving them would take an interval off 0 where one face is wrong.
    """
    drawn = drawn[np.isfinite(drawn)]
    moved = drawn + (value - drawn.mean()) if is_biased else drawn
    low, high = np.clip(np.percentile(moved, INTERVAL_PERCENT), lowest, 1.0)
    return Score(float(value), float(min(low, value)), float(max(high, value)), count)
