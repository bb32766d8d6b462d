"""The 1,400 faces that the paper describes, as far as it describes them (DESIGN section 9)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mien.core.errors import DatasetError, OptionError
from mien.core.labels import EXPRESSIONS
from mien.core.types import BoolArray, IntArray
from mien.lab.datasets.faces import FaceDataset, concatenate
from mien.lab.datasets.ferplus import ferplus_majority
from mien.lab.datasets.splits import copied_elsewhere, duplicate_groups, split_by_subject

PER_CLASS = 200
TEST_SHARE = 0.1


def draw_paper_set(
    ck48: FaceDataset, fer2013: FaceDataset, seed: int, *, draw: str = "random", by: str = "random"
) -> tuple[FaceDataset, FaceDataset]:
    """Draw 200 faces of each of the seven expressions, CK+48 first, filled up from FER2013; split them 90 % to 10 %.

    Which images the paper drew is not stated; this is our reading. CK+48 has no neutral face, and more than 200 of
    surprise (249) and happy (207), of which 200 are drawn; contempt is left out. A place in the training part is filled
    from FER2013's `Training`, one in the test part from pictures of `PrivateTest` without an exact copy elsewhere (both
    are random parts of one collection): so a net that was trained on `Training` has seen no test picture, and every
    draw may start from the nets that ship. Training pictures with an exact copy among the test pictures are left out.

    Parameters
    ----------
    ck48, fer2013 : FaceDataset
        As :func:`load_ck48` and :func:`load_fer2013` return them.
    seed : int
        Seed of the draw and of the split.
    draw : {"random", "agree"}
        From all of FER2013, or only from faces whose label is the FER+ majority.
    by : {"random", "subject"}
        Which places are for the test: any, as the paper says, which puts the same moment of a person into both parts;
        or so that no person of CK+48 is in both, 10 % of the persons.

    Returns
    -------
    training, test : FaceDataset
        At random 1,260, less the copies, and 140 faces; by subject as nearly as whole subjects allow. `subjects` are
        ``""`` for faces of FER2013.

    Raises
    ------
    OptionError
        If `draw` or `by` is none of these.
    DatasetError
        If there are too few faces, or no votes for ``"agree"``.
    """
    if by not in ("random", "subject"):
        raise OptionError(f"by is {by!r}: expected 'random' or 'subject'")
    generator = np.random.default_rng(seed)
    known = _first_of_each(generator, replace(ck48.of_labels(EXPRESSIONS), distributions=None, votes=None))
    missing = PER_CLASS - np.array(list(known.class_counts().values()))
    places = np.repeat(np.arange(len(EXPRESSIONS)), missing)
    of_known, of_places = _tested(generator, known, len(places), by, seed)
    pools = _pools(fer2013, draw)
    filled = [
        _filled(generator, pool, np.bincount(places[chosen], minlength=len(EXPRESSIONS)))
        for pool, chosen in zip(pools, (~of_places, of_places), strict=True)
    ]
    training, test = concatenate([known[~of_known], filled[0]]), concatenate([known[of_known], filled[1]])
    groups = duplicate_groups(concatenate([training, test]))
    return training[~np.isin(groups[: len(training)], groups[len(training) :])], test


def _first_of_each(generator: np.random.Generator, faces: FaceDataset) -> FaceDataset:
    rows = [_draw(generator, np.flatnonzero(faces.labels == label), PER_CLASS) for label in range(len(EXPRESSIONS))]
    return faces[np.concatenate(rows)]


def _tested(
    generator: np.random.Generator, known: FaceDataset, places: int, by: str, seed: int
) -> tuple[BoolArray, BoolArray]:
    """Return which faces of CK+48 and which places for FER2013 are for the test."""
    if by == "random":
        tested = _chosen(generator, len(known) + places)
        return tested[: len(known)], tested[len(known) :]
    _, test = split_by_subject(known, (1 - TEST_SHARE, TEST_SHARE), seed)
    return np.isin(known.source_ids, test.source_ids), _chosen(generator, places)


def _chosen(generator: np.random.Generator, count: int) -> BoolArray:
    return np.isin(np.arange(count), generator.permutation(count)[: round(TEST_SHARE * count)])


def _pools(fer2013: FaceDataset, draw: str) -> tuple[FaceDataset, FaceDataset]:
    """Return the faces of FER2013 for training and those for the test."""
    if draw not in ("random", "agree"):
        raise OptionError(f"draw is {draw!r}: expected 'random' or 'agree'")
    unseen = (fer2013.split == "PrivateTest") & ~copied_elsewhere(fer2013, "PrivateTest")
    right = np.ones(len(fer2013), bool)
    if draw == "agree":
        if fer2013.votes is None:
            raise DatasetError("draw 'agree' needs the votes of FER+: load FER2013 together with fer2013new.csv")
        right = fer2013.labels == ferplus_majority(fer2013.votes)
    pools = (fer2013[rows & right].of_labels(EXPRESSIONS) for rows in (fer2013.split == "Training", unseen))
    training, test = (replace(pool, distributions=None, votes=None) for pool in pools)
    return training, test


def _filled(generator: np.random.Generator, pool: FaceDataset, counts: IntArray) -> FaceDataset:
    rows = []
    for label, count in enumerate(counts.tolist()):
        others = np.flatnonzero(pool.labels == label)
        if len(others) < count:
            raise DatasetError(f"{len(others)} faces of {EXPRESSIONS[label]} in FER2013 to draw {count} from")
        rows.append(_draw(generator, others, count))
    return pool[np.concatenate(rows)]


def _draw(generator: np.random.Generator, pool: IntArray, count: int) -> IntArray:
    return np.sort(generator.permutation(pool)[:count])
