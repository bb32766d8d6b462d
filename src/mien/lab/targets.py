"""What a net is given beside pictures, what each of its heads is taught, and what its answers are measured by."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from mien.core.errors import DatasetError, OptionError
from mien.core.labels import EXPRESSIONS, EXPRESSIONS_AND_CONTEMPT
from mien.core.types import FloatArray, IntArray
from mien.engine.recognizer import load
from mien.lab.datasets import FaceDataset, ferplus_majority
from mien.lab.models import ARCHITECTURES, HEADS


def head_targets(dataset: FaceDataset, heads: Sequence[str]) -> dict[str, Tensor]:
    """Return the label distribution of each face for each head, (N, K) float32; rows of zeros where nothing is known.

    Raises
    ------
    OptionError
        If there is no such head.
    DatasetError
        If a head has no labels in this data set, or its classes are not mien's.
    """
    _check_classes(dataset)
    targets: dict[str, Tensor] = {}
    for head in heads:
        if head not in HEADS:
            raise OptionError(f"no head {head!r}: expected {' or '.join(HEADS)}")
        table: FloatArray = np.zeros((len(dataset), HEADS[head]), np.float32)
        if head == "fer2013":
            known = np.flatnonzero((dataset.labels >= 0) & (dataset.labels < len(EXPRESSIONS)))
            table[known, dataset.labels[known]] = 1.0
        elif dataset.distributions is not None:
            table[:, : dataset.distributions.shape[1]] = dataset.distributions
        if not table.any():
            raise DatasetError(f"no labels for the head {head!r}: for ferplus put fer2013new.csv beside fer2013.csv")
        targets[head] = torch.from_numpy(table)
    return targets


def head_labels(dataset: FaceDataset, head: str) -> IntArray:
    """Return the hard label of each face for a head, (N,) int64: original, or majority of FER+; -1 is none.

    Contempt is none: the nets that ship answer with seven labels.

    Raises
    ------
    OptionError
        If there is no such head.
    DatasetError
        If ``ferplus`` is asked of faces without votes, or the classes are not mien's.
    """
    _check_classes(dataset)
    if head not in HEADS:
        raise OptionError(f"no head {head!r}: expected {' or '.join(HEADS)}")
    if head == "fer2013":
        labels = dataset.labels
    elif dataset.votes is not None:
        labels = ferplus_majority(dataset.votes)
    else:
        raise DatasetError("no votes for the head 'ferplus': put fer2013new.csv beside fer2013.csv")
    return np.where(labels < len(EXPRESSIONS), labels, -1)


def given_measures(dataset: FaceDataset, architecture: str) -> Tensor:
    """Return what a net is given beside the pictures, (N, M) float32, NaN where it is missing; most nets take none.

    Raises
    ------
    DatasetError
        If the data set has another number of measures than the net takes.
    """
    count = ARCHITECTURES[architecture].measures
    if count == 0 or dataset.measures is None:
        return torch.full((len(dataset), count), torch.nan)
    if dataset.measures.shape[1] != count:
        raise DatasetError(
            f"the faces have {dataset.measures.shape[1]} measures: {architecture!r} takes {count}; make them with "
            "mien.lab.measures"
        )
    return torch.from_numpy(dataset.measures)


def smoothed(targets: dict[str, Tensor], smoothing: float) -> dict[str, Tensor]:
    """Smooth the hard labels only: votes are soft of themselves."""
    if "fer2013" not in targets:
        return targets
    hard = targets["fer2013"]
    known = hard.sum(dim=1, keepdim=True)
    return targets | {"fer2013": hard * (1 - smoothing) + known * smoothing / hard.shape[1]}


def taught(targets: dict[str, Tensor], faces: FaceDataset, teacher: str, share: float) -> dict[str, Tensor]:
    """Mix the answers of a teacher into the targets of the head that the teacher has.

    Parameters
    ----------
    targets : dict of str to (N, K) Tensor of float32
        As :func:`head_targets` returns them; where nothing is known, the teacher is not asked either.
    faces : FaceDataset
        The faces of the targets.
    teacher : str
        Name or path of a model with mien's seven labels.
    share : float
        Weight of the teacher, 0 to 1.

    Raises
    ------
    OptionError
        If no head is the teacher's.
    """
    recognizer = load(teacher)
    head = recognizer.card.head
    if head not in targets or recognizer.card.labels != EXPRESSIONS:
        raise OptionError(f"teacher {teacher!r} has the head {head!r}: expected one of {', '.join(targets)}")
    answers = recognizer.probabilities(faces.images) + recognizer.probabilities(faces.images[:, :, ::-1])
    table = functional.pad(torch.from_numpy(answers / 2), (0, HEADS[head] - len(EXPRESSIONS)))
    known = targets[head].sum(dim=1, keepdim=True)
    return targets | {head: torch.lerp(targets[head], table * known, share)}


def _check_classes(dataset: FaceDataset) -> None:
    if dataset.label_names not in (EXPRESSIONS, EXPRESSIONS_AND_CONTEMPT):
        raise DatasetError(
            f"the classes are {', '.join(dataset.label_names)}: expected {', '.join(EXPRESSIONS)}, with contempt or "
            "without; choose them with of_labels"
        )
