"""What is measured of a group, from sums over its faces: thousands of groups drawn anew are one matrix product."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mien.core.types import FloatArray, IntArray
from mien.lab.evaluation.calibration import BINS

OVERALL = ("accuracy", "macro F1", "calibration error", "uncertain")
"""What is measured over all classes; the recall of each class follows."""


def measure_names(label_names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names of the measures in the order of :func:`figures`.

    Examples
    --------
    >>> measure_names(("happy", "sad"))[-2:]
    ('recall of happy', 'recall of sad')
    """
    return (*OVERALL, *(f"recall of {name}" for name in label_names))


def tally(probabilities: FloatArray, labels: IntArray, uncertain_below: float) -> FloatArray:
    """Return what each face adds to the sums that :func:`figures` takes.

    Parameters
    ----------
    probabilities : (N, K) ndarray of float32
    labels : (N,) ndarray of int64
    uncertain_below : float
        A face whose top probability is lower answers ``"uncertain"``.

    Returns
    -------
    (N, K * K + 1 + BINS) ndarray of float32
        Its cell of the confusion matrix; whether it is uncertain; confidence less rightness, in the bin of its
        confidence.
    """
    count, classes = probabilities.shape
    answers, top = probabilities.argmax(axis=1), probabilities.max(axis=1)
    bins = np.searchsorted(np.linspace(0, 1, BINS + 1), top.astype(np.float64), side="left") - 1
    table = np.zeros((count, classes**2 + 1 + BINS), np.float32)
    rows = np.arange(count)
    table[rows, labels * classes + answers] = 1
    table[rows, classes**2] = top < uncertain_below
    table[rows, classes**2 + 1 + np.clip(bins, 0, BINS - 1)] = top - (answers == labels)
    return table


def figures(sums: npt.NDArray[np.float64], classes: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """Return the measures of groups of faces.

    Parameters
    ----------
    sums : (..., K * K + 1 + BINS) ndarray of float64
        Of :func:`tally`, over the faces of each group.
    classes : (K,) ndarray of bool
        Over which F1 is averaged, where the group has faces of them; faces of other classes do not count in it.

    Returns
    -------
    (..., 4 + K) ndarray of float64
        As :func:`measure_names` says, in [0, 1]; NaN where there are no faces.
    """
    count = len(classes)
    confusion = sums[..., : count**2].reshape(*sums.shape[:-1], count, count)
    hits, support = np.diagonal(confusion, axis1=-2, axis2=-1), confusion.sum(axis=-1)
    faces = support.sum(axis=-1)
    answered = confusion[..., classes, :].sum(axis=-2)
    present = classes & (support > 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        overall = (
            hits.sum(axis=-1) / faces,
            np.where(present, 2 * hits / (support + answered), 0).sum(axis=-1) / present.sum(axis=-1),
            np.abs(sums[..., count**2 + 1 :]).sum(axis=-1) / faces,
            sums[..., count**2] / faces,
        )
        return np.concatenate([np.stack(overall, axis=-1), hits / support], axis=-1)


def supports(sums: npt.NDArray[np.float64], classes: int) -> npt.NDArray[np.float64]:
    """Return how many faces of each class are in sums of :func:`tally`."""
    return np.asarray(sums[..., : classes**2].reshape(*sums.shape[:-1], classes, classes).sum(axis=-1))
