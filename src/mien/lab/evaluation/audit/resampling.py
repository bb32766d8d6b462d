"""Groups drawn anew: with replacement for intervals, with faces exchanged between groups for p-values."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mien.core.types import FloatArray, IntArray

MOST_AT_ONCE = 4_000_000  # weights in memory at a time

Sums = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Sides:
    """A group and what it is compared with, as blocks of faces that are drawn whole.

    Parameters
    ----------
    tally : (B, F) ndarray of float32
        Sums over the faces of each block.
    is_group : (B,) ndarray of bool
        Whether the block is on the side of the group.
    units : (B,) ndarray of int64
        Who is on the pictures, from 0; where that is unknown, every face is one.
    strata : (B,) ndarray of int64
        Blocks of one stratum may change sides.
    """

    tally: FloatArray
    is_group: npt.NDArray[np.bool_]
    units: IntArray
    strata: IntArray

    @property
    def observed(self) -> tuple[Sums, Sums]:
        """Sums over the faces of the group, and over the others, (F,) each."""
        table = self.tally.astype(np.float64)
        return table[self.is_group].sum(axis=0), table[~self.is_group].sum(axis=0)

    def bootstrapped(self, draws: int, seed: int) -> tuple[Sums, Sums]:
        """Draw people, or faces, with replacement.

        Those who are in the group only, in the other only and in both are drawn apart, so that sizes stay as they are.

        Returns
        -------
        group, others : (draws, F) ndarray of float64
        """
        generator = np.random.default_rng(seed)
        sides = np.zeros((self.units.max(initial=-1) + 1, 2), np.bool_)
        sides[self.units, self.is_group.astype(np.int64)] = True
        kinds = sides @ (1, 2)
        parts = []
        for size in _portions(draws, len(sides)):
            weights = np.zeros((size, len(sides)), np.float32)
            for kind in (1, 2, 3):
                drawn = np.flatnonzero(kinds == kind)
                if len(drawn):
                    weights[:, drawn] = generator.multinomial(len(drawn), np.full(len(drawn), 1 / len(drawn)), size)
            on = [weights[:, self.units[side]] @ self.tally[side] for side in (self.is_group, ~self.is_group)]
            parts.append(np.stack(on).astype(np.float64))
        group, others = np.concatenate(parts, axis=1)
        return group, others

    def exchanged(self, draws: int, seed: int) -> tuple[Sums, Sums]:
        """Deal the blocks of each stratum to both sides at random, as many to each as there are.

        Returns
        -------
        group, others : (draws, F) ndarray of float64
        """
        generator = np.random.default_rng(seed)
        strata = [np.flatnonzero(self.strata == stratum) for stratum in np.unique(self.strata)]
        total = self.tally.astype(np.float64).sum(axis=0)
        parts = []
        for size in _portions(draws, len(self.tally)):
            weights = np.empty((size, len(self.tally)), np.float32)
            for blocks in strata:
                weights[:, blocks] = _dealt(size, len(blocks), int(self.is_group[blocks].sum()), generator)
            parts.append((weights @ self.tally).astype(np.float64))
        group = np.concatenate(parts)
        return group, total - group


def sides_of(
    tally: FloatArray, labels: IntArray, subjects: npt.NDArray[np.str_] | None, is_group: npt.NDArray[np.bool_]
) -> Sides:
    """Return the blocks of faces that are drawn whole.

    Parameters
    ----------
    tally : (N, F) ndarray of float32
        What each face adds.
    labels : (N,) ndarray of int64
        Faces of one label are exchanged where people are not known.
    subjects : (N,) ndarray of str or None
        The person on each picture, ``""`` where it is unknown. All faces of a person on one side are a block. Who is
        on both sides exchanges the own blocks, who is on one is exchanged with others.
    is_group : (N,) ndarray of bool
    """
    if subjects is None:
        return Sides(tally, is_group, np.arange(len(tally)), labels)
    nobody = subjects == ""
    _, people = np.unique(subjects, return_inverse=True)
    people = np.where(nobody, people.max(initial=0) + 1 + np.arange(len(people)), people)
    _, first, units = np.unique(people, return_index=True, return_inverse=True)
    units = np.argsort(np.argsort(first))[units]  # in the order of the faces: names of people must not matter
    kinds, places = np.unique(units * 2 + is_group, return_inverse=True)
    blocks = np.zeros((len(kinds), tally.shape[1]), np.float32)
    np.add.at(blocks, places, tally)
    owners = kinds // 2
    on_both = np.bincount(owners)[owners] > 1
    return Sides(blocks, kinds % 2 == 1, owners, np.where(on_both, owners, -1))


def _dealt(rows: int, count: int, chosen: int, generator: np.random.Generator) -> npt.NDArray[np.bool_]:
    """Choose so many of each row at random: those with the smallest keys, at half the time of shuffling."""
    if chosen in (0, count):
        return np.full((rows, count), chosen > 0)
    keys = generator.random((rows, count))
    return np.asarray(keys <= np.partition(keys, chosen - 1, axis=1)[:, chosen - 1 : chosen])


def _portions(draws: int, blocks: int) -> Iterator[int]:
    most = max(MOST_AT_ONCE // max(blocks, 1), 1)
    yield from (min(most, draws - start) for start in range(0, draws, most))
