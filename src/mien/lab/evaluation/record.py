"""The figures on a card: those of record of DESIGN section 7, the same everywhere, and those of a user's own faces."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np

from mien.core.errors import DatasetError, OptionError
from mien.core.labels import EXPRESSIONS, EXPRESSIONS_AND_CONTEMPT
from mien.core.model import ModelCard, Score
from mien.core.types import ByteArray, FloatArray, IntArray
from mien.lab.datasets import FaceDataset, copied_elsewhere, ferplus_majority, load_fer2013
from mien.lab.evaluation.calibration import calibration_score
from mien.lab.evaluation.intervals import accuracy_score
from mien.lab.evaluation.robustness import ON_THE_CARD, drop_score, worsened

BATCH = 256  # faces at a time: all 3,589 at once would take gigabytes inside the net


class Probable(Protocol):
    """What can be measured: a :class:`mien.engine.recognizer.Recognizer`, or anything that answers like one."""

    @property
    def card(self) -> ModelCard:
        """The model's card, of which only labels and head are read."""

    def probabilities(self, crops: list[ByteArray], /) -> FloatArray:
        """Return (N, K) probabilities of the crops."""


def figures_of_record(
    recognizer: Probable,
    data: str | Path | FaceDataset | None = None,
    *,
    ck48: FaceDataset | None = None,
    split: str = "PrivateTest",
    seed: int = 0,
) -> dict[str, Score]:
    """Measure the figures that stand on a model's card (DESIGN section 7).

    Parameters
    ----------
    recognizer : Probable
        Whose labels are the seven expressions, or these and contempt.
    data : path_like or FaceDataset, optional
        Directory of the data sets, by default ``MIEN_DATA``; or FER2013 joined with FER+, already loaded.
    ck48 : FaceDataset, optional
        CK+48, on which the net was never trained.
    split : str
        Look at ``PrivateTest`` once for each model that ships; choose by ``PublicTest``.
    seed : int
        Seed of the bootstrap.

    Returns
    -------
    dict of str to Score
        ``fer2013``: accuracy on the original labels; ``fer2013_without_copies``: without what has an exact copy in
        another split; ``calibration_fer2013``: calibration error on the original labels; ``ferplus_7``: accuracy where
        the FER+ majority is one of seven; ``calibration_ferplus``: calibration error there; for eight labels also
        ``ferplus_8``; ``ck48_6``: accuracy on the six expressions that CK+48 shares, neutral being a wrong answer;
        ``drop_...``: what is lost under the conditions :data:`ON_THE_CARD`, on the labels of the head that the card
        names. Intervals are 95 % bootstrap, for CK+48 of people drawn anew.

    Raises
    ------
    DatasetError
        If the data sets are not there, or FER+ is not joined.
    OptionError
        If the labels are neither set.
    """
    dataset = data if isinstance(data, FaceDataset) else load_fer2013(data)
    names = recognizer.card.labels
    if names not in (EXPRESSIONS, EXPRESSIONS_AND_CONTEMPT):
        raise OptionError(f"labels {names}: expected {EXPRESSIONS}, with contempt or without")
    if dataset.votes is None:
        raise DatasetError("FER2013 was loaded without votes: put fer2013new.csv of FER+ beside it")
    chosen = dataset.of_split(split)
    fresh = ~copied_elsewhere(dataset, split)[dataset.split == split]
    table = in_batches(recognizer, chosen.images)
    majority = ferplus_majority(dataset.votes[dataset.split == split])
    seven = (majority >= 0) & (majority < len(EXPRESSIONS))
    scores = {
        "fer2013": accuracy_score(table, chosen.labels, seed=seed),
        "fer2013_without_copies": accuracy_score(table[fresh], chosen.labels[fresh], seed=seed),
        "calibration_fer2013": calibration_score(table, chosen.labels, seed=seed),
        "ferplus_7": accuracy_score(table[seven], majority[seven], seed=seed),
        "calibration_ferplus": calibration_score(table[seven], majority[seven], seed=seed),
    }
    if names == EXPRESSIONS_AND_CONTEMPT:
        scores["ferplus_8"] = accuracy_score(table[majority >= 0], majority[majority >= 0], seed=seed)
    if ck48 is not None:
        shared = ck48.of_labels(EXPRESSIONS)
        table_ck48 = in_batches(recognizer, shared.images)
        scores["ck48_6"] = accuracy_score(table_ck48, shared.labels, seed=seed, subjects=shared.subjects)
    known, labels = (seven, majority) if recognizer.card.head == "ferplus" else (slice(None), chosen.labels)
    return scores | _drops(recognizer, chosen.images[known], table[known], labels[known], seed=seed)


def figures_of_folder(
    recognizer: Probable, faces: FaceDataset, *, split: str = "test", seed: int = 0
) -> dict[str, Score]:
    """Measure the figures that stand on the card of a net that was trained on a user's own faces.

    Parameters
    ----------
    recognizer : Probable
        Whose labels are the classes of `faces`.
    faces : FaceDataset
        With all its splits.
    split : str
        What none of the net's making has seen.
    seed : int
        Seed of the bootstrap.

    Returns
    -------
    dict of str to Score
        ``test``: accuracy; ``test_without_copies``: without what has an exact copy in another split, if anything has;
        ``calibration_test``: calibration error; ``drop_...`` as in :func:`figures_of_record`.

    Raises
    ------
    OptionError
        If the labels differ, or there is no such split.
    """
    names = recognizer.card.labels
    if names != faces.label_names:
        raise OptionError(f"labels {names}: expected those of the faces, {faces.label_names}")
    chosen = faces.of_split(split)
    fresh = ~copied_elsewhere(faces, split)[faces.split == split]
    table = in_batches(recognizer, chosen.images)
    scores = {"test": accuracy_score(table, chosen.labels, seed=seed)}
    if fresh.any() and not fresh.all():
        scores["test_without_copies"] = accuracy_score(table[fresh], chosen.labels[fresh], seed=seed)
    scores["calibration_test"] = calibration_score(table, chosen.labels, seed=seed)
    return scores | _drops(recognizer, chosen.images, table, chosen.labels, seed=seed)


def _drops(
    recognizer: Probable, images: ByteArray, table: FloatArray, labels: IntArray, *, seed: int
) -> dict[str, Score]:
    right = table.argmax(axis=1) == labels
    drops = {}
    for name, condition in ON_THE_CARD.items():
        changed = in_batches(recognizer, worsened(images, condition, seed=seed))
        drops[name] = drop_score(right, changed, labels, seed=seed)
    return drops


def in_batches(recognizer: Probable, images: ByteArray) -> FloatArray:
    """Return the answers to any number of faces, a few hundred at a time.

    Parameters
    ----------
    recognizer : Probable
    images : (N, S, S) ndarray of uint8

    Returns
    -------
    (N, K) ndarray of float32
    """
    starts = range(0, max(len(images), 1), BATCH)
    return np.concatenate([recognizer.probabilities(list(images[start : start + BATCH])) for start in starts])
