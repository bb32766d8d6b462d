"""Answering only when sure: how often the answers are wrong against how many faces are answered."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mien.core.errors import OptionError
from mien.core.types import FloatArray, IntArray

CURVE_ROWS = 20  # of a curve where it is written as numbers


@dataclass(frozen=True, eq=False)
class RiskCoverage:
    """The risk-coverage curve of a net.

    Parameters
    ----------
    thresholds : (M,) ndarray of float64
        Top probabilities, descending; what reaches a threshold is answered.
    coverage : (M,) ndarray of float64
        Share of faces answered at each threshold, ascending to 1.
    risk : (M,) ndarray of float64
        Share of wrong ones among these answers.
    area : float
        Mean risk over all coverages (AURC): 0 is perfect; lower is better.
    """

    thresholds: npt.NDArray[np.float64]
    coverage: npt.NDArray[np.float64]
    risk: npt.NDArray[np.float64]
    area: float

    def at(self, threshold: float) -> tuple[float, float]:
        """Return coverage and risk where only what reaches `threshold` is answered; (0, 0) where nothing does."""
        reached = np.flatnonzero(self.thresholds >= threshold)
        return (float(self.coverage[reached[-1]]), float(self.risk[reached[-1]])) if len(reached) else (0.0, 0.0)

    def rows(self, count: int = CURVE_ROWS) -> list[dict[str, float]]:
        """Return where the curve first covers each of `count` equal steps, as plain numbers."""
        places = np.unique(np.searchsorted(self.coverage, np.arange(1, count + 1) / count - 1e-9))
        names = ("threshold", "coverage", "risk")
        values = np.stack([self.thresholds, self.coverage, self.risk], axis=1)[places]
        return [dict(zip(names, row, strict=True)) for row in values.tolist()]


def risk_coverage(probabilities: FloatArray, labels: IntArray) -> RiskCoverage:
    """Return risk and coverage at every threshold of the top probability.

    Parameters
    ----------
    probabilities : (N, K) ndarray of float32
    labels : (N,) ndarray of int64

    Raises
    ------
    OptionError
        If there are no faces.

    References
    ----------
    Y. Geifman, R. El-Yaniv, "Selective classification for deep neural networks", NeurIPS 2017,
    https://doi.org/10.48550/arXiv.1705.08500. Equal probabilities are answered together.
    """
    if len(labels) == 0:
        raise OptionError("no faces to measure: expected at least one")
    top = probabilities.max(axis=1).astype(np.float64)
    order = np.argsort(-top, kind="stable")
    wrong = (probabilities.argmax(axis=1) != labels)[order]
    answered = np.arange(1, len(top) + 1)
    risk = np.cumsum(wrong) / answered
    last_of_equals = np.append(np.diff(top[order]) != 0, True)
    kept = np.flatnonzero(last_of_equals)
    # Over the faces, not over the thresholds: many faces may share one.
    area = float(np.repeat(risk[kept], np.diff(kept, prepend=-1)).mean())
    return RiskCoverage(top[order][kept], answered[kept] / len(top), risk[kept], area)
