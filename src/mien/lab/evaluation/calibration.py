"""Whether a probability means what it says; temperature; when to answer ``"uncertain"``."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar

from mien.core.errors import OptionError
from mien.core.model import Score
from mien.core.types import FloatArray, IntArray
from mien.lab.evaluation.intervals import Subjects, bootstrap

BINS = 15
MOST_WRONG = 0.1
"""Share of wrong answers that is allowed among those given. DESIGN says 0.15, which a net that is right on 88 % of
`PublicTest` keeps to without ever being uncertain."""
TEMPERATURES = (0.05, 20.0)


@dataclass(frozen=True, eq=False)
class CalibrationBins:
    """Faces sorted into equal-width bins by their top probability.

    Parameters
    ----------
    edges : (B + 1,) ndarray of float64
        Bin ``i`` holds what is above edge ``i`` and not above edge ``i + 1``.
    counts : (B,) ndarray of int64
        Faces in each bin.
    confidence, accuracy : (B,) ndarray of float64
        Mean top probability and share of right answers; 0 in empty bins.
    """

    edges: npt.NDArray[np.float64]
    counts: IntArray
    confidence: npt.NDArray[np.float64]
    accuracy: npt.NDArray[np.float64]

    def rows(self) -> list[dict[str, float]]:
        """Return the bins that have faces, the lowest first, as plain numbers."""
        names = ("above", "to", "faces", "confidence", "accuracy")
        columns = (self.edges[:-1], self.edges[1:], self.counts, self.confidence, self.accuracy)
        bins = zip(*(column.tolist() for column in columns), strict=True)
        return [row for row in (dict(zip(names, values, strict=True)) for values in bins) if row["faces"]]

    @property
    def error(self) -> float:
        """Mean distance of confidence and accuracy, weighted by the counts: the expected calibration error."""
        return float(np.sum(self.counts * np.abs(self.confidence - self.accuracy)) / max(self.counts.sum(), 1))


def calibration_bins(probabilities: FloatArray, labels: IntArray, bins: int = BINS) -> CalibrationBins:
    """Sort answers into equal-width bins of their top probability.

    Parameters
    ----------
    probabilities : (N, K) ndarray of float32
    labels : (N,) ndarray of int64
    bins : int

    Returns
    -------
    CalibrationBins

    References
    ----------
    M. P. Naeini, G. F. Cooper, M. Hauskrecht, "Obtaining well calibrated probabilities using Bayesian binning", AAAI
    2015, https://doi.org/10.1609/aaai.v29i1.9602; C. Guo, G. Pleiss, Y. Sun, K. Q. Weinberger, "On calibration of
    modern neural networks", ICML 2017, https://doi.org/10.48550/arXiv.1706.04599
    """
    edges = np.linspace(0, 1, bins + 1)
    top = probabilities.max(axis=1).astype(np.float64)
    right = (probabilities.argmax(axis=1) == labels).astype(np.float64)
    places = np.clip(np.searchsorted(edges, top, side="left") - 1, 0, bins - 1)
    counts = np.bincount(places, minlength=bins)
    divisor = np.maximum(counts, 1)
    confidence = np.bincount(places, weights=top, minlength=bins) / divisor
    return CalibrationBins(edges, counts, confidence, np.bincount(places, weights=right, minlength=bins) / divisor)


def expected_calibration_error(probabilities: FloatArray, labels: IntArray, bins: int = BINS) -> float:
    """Return how far confidence and accuracy are apart on average, in [0, 1]: see :func:`calibration_bins`."""
    return calibration_bins(probabilities, labels, bins).error


def calibration_score(
    probabilities: FloatArray, labels: IntArray, *, seed: int = 0, subjects: Subjects | None = None
) -> Score:
    """Return the expected calibration error with its 95 % interval: see :func:`bootstrap`."""

    def error(rows: IntArray) -> float:
        return expected_calibration_error(probabilities[rows], labels[rows])

    return bootstrap(error, len(labels), seed=seed, subjects=subjects)


def uncertain_threshold(
    probabilities: FloatArray, correct: npt.NDArray[np.bool_], max_error: float = MOST_WRONG
) -> tuple[float, float]:
    """Choose below which top probability the answer is *uncertain*.

    Parameters
    ----------
    probabilities : (N, K) ndarray of float32
        Answers on `PublicTest`.
    correct : (N,) ndarray of bool
        Whether each top answer is right by the FER+ majority.
    max_error : float
        Share of wrong answers that is allowed among those given.

    Returns
    -------
    threshold : float
        The lowest that keeps to `max_error`; what reaches it is answered. Above 1 where none does.
    coverage : float
        Share of faces that are answered.
    """
    top = probabilities.max(axis=1)
    order = np.argsort(-top, kind="stable")
    answered = np.arange(1, len(top) + 1)
    errors = np.cumsum(~correct[order]) / answered
    # Equal probabilities are answered together or not at all.
    last_of_equals = np.append(np.diff(top[order]) != 0, True)[: len(top)]
    allowed = np.flatnonzero((errors <= max_error) & last_of_equals)
    if not len(allowed):
        return float(np.nextafter(np.float32(1), np.float32(2))), 0.0
    return float(top[order][allowed[-1]]), float(answered[allowed[-1]] / len(top))


def fit_temperature(logits: npt.ArrayLike, targets: npt.ArrayLike) -> float:
    """Return the temperature that makes ``softmax(logits / temperature)`` fit the targets best.

    Parameters
    ----------
    logits : (N, K) array_like of float
    targets : (N,) array_like of int, or (N, K) array_like of float
        True classes, or label distributions; rows of zeros weigh nothing.

    Returns
    -------
    float
        Within ``TEMPERATURES``; it minimizes the cross-entropy (Guo et al. 2017).

    Raises
    ------
    OptionError
        If the arrays do not agree.
    """
    table, goal = np.asarray(logits, np.float64), np.asarray(targets)
    if goal.ndim == 1 and table.ndim == 2 and len(goal) == len(table):
        goal = np.eye(table.shape[1])[goal]
    if table.ndim != 2 or goal.shape != table.shape or len(table) == 0:
        raise OptionError(
            f"logits of shape {table.shape}, targets of shape {goal.shape}: expected (N, K), (N,) or (N, K)"
        )
    centered = table - table.max(axis=1, keepdims=True)

    def loss(log_temperature: float) -> float:
        scaled = centered / np.exp(log_temperature)
        log_probabilities = scaled - np.log(np.exp(scaled).sum(axis=1, keepdims=True))
        return float(-np.sum(goal * log_probabilities) / max(goal.sum(), 1))

    found = minimize_scalar(loss, bounds=np.log(TEMPERATURES), method="bounded", options={"xatol": 1e-6})
    return float(np.exp(found.x))
