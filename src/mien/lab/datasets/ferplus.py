"""FER+: what ten people saw on each face of FER2013, and the labels made of it.

E. Barsoum, C. Zhang, C. Canton Ferrer, Z. Zhang, "Training deep networks for facial expression recognition with
crowd-sourced label distribution", ICMI 2016, https://doi.org/10.1145/2993148.2993165
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from mien.core.errors import DatasetError
from mien.core.labels import EXPRESSIONS_AND_CONTEMPT
from mien.core.types import FloatArray, IntArray
from mien.lab.datasets.files import read_csv

VOTES = (*EXPRESSIONS_AND_CONTEMPT, "unknown", "not_a_face")
"""Columns of an array of votes."""

# Its header's names, in the order of VOTES.
_COLUMNS = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral", "contempt", "unknown", "NF")


def read_ferplus(path: Path, split: npt.NDArray[np.str_]) -> IntArray:
    """Read the votes of FER+, which stand in the row order of FER2013.

    Its ``Image name`` numbers only the faces (the 173 rows that are none have no name), so it is no key to the rows
    of FER2013; that ``Usage`` agrees in each row proves the order.

    Parameters
    ----------
    path : Path
        ``fer2013new.csv``.
    split : (N,) ndarray of str
        Official split of each row of FER2013.

    Returns
    -------
    (N, 10) ndarray of int64
        Votes, columns as in :data:`VOTES`.

    Raises
    ------
    DatasetError
        If the file is malformed or does not belong to these rows.
    """
    usage, votes = [], []
    for line, (row_usage, *values) in read_csv(path, ("Usage", *_COLUMNS)):
        if not all(value.strip().isdecimal() for value in values):
            raise DatasetError(f"{path}, line {line}: votes {','.join(values)}: expected {len(VOTES)} whole numbers")
        usage.append(row_usage.strip())
        votes.append([int(value) for value in values])
    if len(usage) != len(split):
        raise DatasetError(f"{path}: has {len(usage)} rows, FER2013 has {len(split)}: expected the same rows in both")
    wrong = np.flatnonzero(np.array(usage, np.str_) != split)
    if len(wrong):
        raise DatasetError(
            f"{path}: row {wrong[0]} is of {usage[wrong[0]]}, in FER2013 of {split[wrong[0]]}: "
            "expected both files in their published order"
        )
    return np.array(votes, np.int64).reshape(-1, len(VOTES))


def ferplus_majority(votes: IntArray) -> IntArray:
    """Return the label that most taggers saw, by Barsoum's rule.

    Single votes are dropped as outliers; the winner has more than half of what remains, over all ten columns.

    Parameters
    ----------
    votes : (N, 10) ndarray of int64
        Columns as in :data:`VOTES`.

    Returns
    -------
    (N,) ndarray of int64
        Index into ``EXPRESSIONS_AND_CONTEMPT``; -1 where nothing wins, or *unknown* or *not a face* does.
    """
    winners = _winners(votes)
    return np.where(winners < len(EXPRESSIONS_AND_CONTEMPT), winners, -1)


def not_a_face(votes: IntArray) -> npt.NDArray[np.bool_]:
    """Return where the majority saw no face: (N,) ndarray of bool, by the rule of :func:`ferplus_majority`."""
    return np.equal(_winners(votes), VOTES.index("not_a_face"))


def _winners(votes: IntArray) -> IntArray:
    """Return the column that wins in each row, -1 for none."""
    kept = np.where(votes > 1, votes, 0)
    return np.where(2 * kept.max(axis=1) > kept.sum(axis=1), kept.argmax(axis=1), -1)


def ferplus_distribution(votes: IntArray, *, drop_single: bool = True) -> FloatArray:
    """Return the share of votes that each expression has: the target of training on label distributions.

    Parameters
    ----------
    votes : (N, 10) ndarray of int64
        Columns as in :data:`VOTES`.
    drop_single : bool
        Whether an expression with a single vote counts as an outlier, as in Barsoum's own preparation.

    Returns
    -------
    (N, 8) ndarray of float32
        Columns ``EXPRESSIONS_AND_CONTEMPT``. Rows sum to 1; where no expression has a vote left they are zeros,
        so that such a row weighs nothing in a loss.

    Notes
    -----
    Barsoum et al. keep *unknown* as a ninth class in training; here it is left out, and so is *not a face*.
    """
    expressions = votes[:, : len(EXPRESSIONS_AND_CONTEMPT)].astype(np.float32)
    kept: FloatArray = np.where(expressions > 1, expressions, np.float32(0)) if drop_single else expressions
    totals = kept.sum(axis=1, keepdims=True)
    kept /= np.where(totals > 0, totals, 1)
    return kept
