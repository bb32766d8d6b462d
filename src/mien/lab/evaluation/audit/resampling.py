"""Groups drawn anew: with replacement for intervals, with faces exchanged between groups for p-values."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mien.core.types import FloatArray, IntArray
from mien.lab.evaluation.intervals import people_of

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
        Blocks of one stratum change sides with each other.
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
        strata = list(_alike(self.strata, self.is_group))
        total = self.tally.astype(np.float64).sum(axis=0)
        parts = []
        for size in _portions(draws, len(self.tally)):
            weights = np.empty((size, len(self.tally)), np.float32)
            for blocks, chosen in strata:
                weights[:, blocks.ravel()] = _dealt((size, *blocks.shape), chosen, generator).reshape(size, -1)
            parts.append((weights @ self.tally).astype(np.float64))
        group = np.concatenate(parts)
        return group, total - group


def sides_of(
    tally: FloatArray,
    labels: IntArray,
    subjects: npt.NDArray[np.str_] | None,
    is_group: npt.NDArray[np.bool_],
    *,
    keep_whole: bool = True,
) -> Sides:
    """Return the blocks of faces that change sides together, and the strata within which they do.

    Where people are not known, a face changes sides with faces of its label. Where they are:

    * A person's pictures of one label that are on both sides change sides among themselves, one by one.
    * The other pictures of who is on both sides: those of one label are a block, which changes sides with such blocks
      of the same label of others.
    * Who is on one side only is a block, which changes sides with others of whom this is so.

    Parameters
    ----------
    tally : (N, F) ndarray of float32
        What each face adds.
    labels : (N,) ndarray of int64
    subjects : (N,) ndarray of str or None
        The person on each picture, ``""`` where it is unknown: then that picture is a person of its own.
    is_group : (N,) ndarray of bool
    keep_whole : bool
        If not, the faces of the second and third kind change sides one by one with faces of the same label, as where
        people are not known, so that each side keeps its number of faces of each label.
    """
    faces = np.arange(len(labels))
    if subjects is None:
        return Sides(tally, is_group, faces, labels)
    units, classes = _units(subjects), int(labels.max(initial=0)) + 1
    cells = units * classes + labels
    alone, on_both = _is_on_both(cells, is_group), _is_on_both(units, is_group)
    of_label = on_both | (not keep_whole)
    strata = np.select([alone, of_label], [1 + classes + cells, 1 + labels], 0)
    first_cell, first_unit = len(faces), len(faces) + int(cells.max(initial=0)) + 1
    names = np.select([alone | (not keep_whole), on_both], [faces, first_cell + cells], first_unit + units)
    _, firsts, places = np.unique(names, return_index=True, return_inverse=True)
    blocks = np.zeros((len(firsts), tally.shape[1]), np.float32)
    np.add.at(blocks, places, tally)
    return Sides(blocks, is_group[firsts], units[firsts], strata[firsts])


def _units(subjects: npt.NDArray[np.str_]) -> IntArray:
    """Return the number of each face's person, in the order of the faces: names must not matter."""
    _, first, units = np.unique(people_of(subjects), return_index=True, return_inverse=True)
    return np.asarray(np.argsort(np.argsort(first))[units])


def _is_on_both(owners: IntArray, is_group: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    sides = np.zeros((owners.max(initial=-1) + 1, 2), np.bool_)
    sides[owners, is_group.astype(np.int64)] = True
    return (sides[:, 0] & sides[:, 1])[owners]


def _alike(strata: IntArray, is_group: npt.NDArray[np.bool_]) -> Iterator[tuple[IntArray, int]]:
    """Yield the (strata, size) blocks of all strata of one size and number in the group, with that number."""
    order = np.argsort(strata, kind="stable")
    _, starts, sizes = np.unique(strata[order], return_index=True, return_counts=True)
    chosen = np.add.reduceat(is_group[order].astype(np.int64), starts)
    for size, many in np.unique(np.stack([sizes, chosen], axis=1), axis=0).tolist():
        places = starts[(sizes == size) & (chosen == many)]
        yield order[places[:, None] + np.arange(size)], many


def _dealt(shape: tuple[int, ...], chosen: int, generator: np.random.Generator) -> npt.NDArray[np.bool_]:
    """Choose so many along the last axis at random: those with the smallest keys, at half the time of shuffling."""
    if chosen in (0, shape[-1]):
        return np.full(shape, chosen > 0)
    keys = generator.random(shape)
    return np.asarray(keys <= np.partition(keys, chosen - 1, axis=-1)[..., chosen - 1 : chosen])


def _portions(draws: int, blocks: int) -> Iterator[int]:
    most = max(MOST_AT_ONCE // max(blocks, 1), 1)
    yield from (min(most, draws - start) for start in range(0, draws, most))
