"""The 1,400 faces that the paper describes, as far as it describes them (DESIGN section 9)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from mien.core.errors import DatasetError, OptionError
from mien.core.labels import EXPRESSIONS
from mien.core.types import IntArray
from mien.lab.datasets.faces import FaceDataset, concatenate
from mien.lab.datasets.fer2013 import load_fer2013
from mien.lab.datasets.ferplus import ferplus_majority
from mien.lab.datasets.files import find_data
from mien.lab.datasets.folders import load_ck48
from mien.lab.datasets.splits import split_by_subject

PER_CLASS = 200
TEST_SHARE = 0.1


def paper_set(data_dir: str | Path | None, seed: int, draw: str = "random") -> FaceDataset:
    """Load CK+48 and FER2013 and draw the paper's set from them: see :func:`draw_paper_set`."""
    files = find_data(data_dir)
    ferplus = files.need("ferplus") if draw == "agree" else None
    return draw_paper_set(load_ck48(files.need("ck48")), load_fer2013(files.need("fer2013"), ferplus), seed, draw)


def draw_paper_set(ck48: FaceDataset, fer2013: FaceDataset, seed: int, draw: str = "random") -> FaceDataset:
    """Draw 200 faces of each of the seven expressions: CK+48 first, filled up from `Training` of FER2013.

    Which images the paper drew is not stated; this is our reading. CK+48 has no neutral face, and more than 200 of
    surprise (249) and happy (207), of which 200 are drawn; contempt is left out.

    Parameters
    ----------
    ck48, fer2013 : FaceDataset
        As :func:`load_ck48` and :func:`load_fer2013` return them.
    seed : int
        Seed of the draw.
    draw : {"random", "agree"}
        From all of FER2013's `Training`, or only from faces whose label is the FER+ majority.

    Returns
    -------
    FaceDataset
        1,400 faces ordered by class, CK+48 first in each; `subjects` are ``""`` for those of FER2013.

    Raises
    ------
    OptionError
        If `draw` is neither.
    DatasetError
        If there are too few faces, or no votes for ``"agree"``.
    """
    generator = np.random.default_rng(seed)
    first = replace(ck48.of_labels(EXPRESSIONS), distributions=None, votes=None)
    rest = replace(_pool(fer2013, draw).of_labels(EXPRESSIONS), distributions=None, votes=None)
    parts = []
    for label, name in enumerate(EXPRESSIONS):
        known = _draw(generator, np.flatnonzero(first.labels == label), PER_CLASS)
        others = np.flatnonzero(rest.labels == label)
        missing = PER_CLASS - len(known)
        if len(others) < missing:
            raise DatasetError(
                f"{len(known)} faces of {name} in CK+48 and {len(others)} in FER2013: expected {PER_CLASS} in all"
            )
        parts += [first[known], rest[_draw(generator, others, missing)]]
    return concatenate(parts)


def _pool(fer2013: FaceDataset, draw: str) -> FaceDataset:
    if draw not in ("random", "agree"):
        raise OptionError(f"draw is {draw!r}: expected 'random' or 'agree'")
    training = fer2013.of_split("Training")
    if draw == "random":
        return training
    if training.votes is None:
        raise DatasetError("draw 'agree' needs the votes of FER+: load FER2013 together with fer2013new.csv")
    return training[training.labels == ferplus_majority(training.votes)]


def _draw(generator: np.random.Generator, pool: IntArray, count: int) -> IntArray:
    return np.sort(generator.permutation(pool)[:count])


def paper_split(dataset: FaceDataset, seed: int, by: str = "random") -> tuple[FaceDataset, FaceDataset]:
    """Split the paper's set 90 % to 10 % into training and test.

    Parameters
    ----------
    dataset : FaceDataset
        Of :func:`paper_set`.
    seed : int
        Seed of the split.
    by : {"random", "subject"}
        At random as the paper says, which puts the same moment of a person into both parts; or so that no person of
        CK+48 and no group of exact copies of FER2013 is in both.

    Returns
    -------
    training, test : FaceDataset
        1,260 and 140 faces at random; by subject as nearly as whole subjects allow.

    Raises
    ------
    OptionError
        If `by` is neither.
    """
    if by == "subject":
        training, test = split_by_subject(dataset, (1 - TEST_SHARE, TEST_SHARE), seed)
        return training, test
    if by != "random":
        raise OptionError(f"by is {by!r}: expected 'random' or 'subject'")
    order = np.random.default_rng(seed).permutation(len(dataset))
    count = round(len(dataset) * TEST_SHARE)
    return dataset[np.sort(order[count:])], dataset[np.sort(order[:count])]
