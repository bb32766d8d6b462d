"""What keeps a measurement honest: duplicates found, splits by person, hashes of what was used."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mien.core.errors import DatasetError, OptionError
from mien.core.types import IntArray
from mien.lab.datasets.faces import FaceDataset

FOLDS = 10


def duplicate_groups(dataset: FaceDataset) -> IntArray:
    """Return a number for each picture; exact copies, pixel for pixel, share it.

    Returns
    -------
    (N,) ndarray of int64
        Numbers from 0 in the order of first appearance.
    """
    numbers: dict[bytes, int] = {}
    digests = (hashlib.sha256(image.tobytes()).digest() for image in dataset.images)
    return np.array([numbers.setdefault(digest, len(numbers)) for digest in digests], np.int64)


def duplicates(dataset: FaceDataset) -> list[IntArray]:
    """Return the groups of two or more exact copies, within and across splits.

    Returns
    -------
    list of (M,) ndarray of int64
        Indices into `dataset`, ascending; groups in the order of their first picture.
    """
    groups = duplicate_groups(dataset)
    order = np.argsort(groups, kind="stable")
    parts = np.split(order, np.flatnonzero(np.diff(groups[order])) + 1)
    return [part for part in parts if len(part) > 1]


def copied_elsewhere(dataset: FaceDataset, split: str) -> npt.NDArray[np.bool_]:
    """Return which pictures of one split have an exact copy in another.

    Parameters
    ----------
    dataset : FaceDataset
        With all its splits.
    split : str
        For example ``PrivateTest``.

    Returns
    -------
    (N,) ndarray of bool
        Over all of `dataset`; true only in `split`. On FER2013's `PrivateTest` it is true for 314.
    """
    groups = duplicate_groups(dataset)
    inside: npt.NDArray[np.bool_] = dataset.split == split
    return inside & np.isin(groups, groups[~inside])


def duplicate_report(dataset: FaceDataset) -> dict[str, int]:
    """Count what :func:`duplicates` finds.

    Returns
    -------
    dict of str to int
        ``groups`` of copies, ``pictures`` in them, ``across_splits``: groups that reach over more than one split,
        ``contradictory``: groups whose copies have different labels, and for each split ``copied_elsewhere:NAME``.
    """
    groups = duplicates(dataset)
    report = {
        "groups": len(groups),
        "pictures": sum(len(group) for group in groups),
        "across_splits": sum(len(set(dataset.split[group].tolist())) > 1 for group in groups),
        "contradictory": sum(len(set(dataset.labels[group].tolist())) > 1 for group in groups),
    }
    for split in sorted(set(dataset.split.tolist())):
        report[f"copied_elsewhere:{split}"] = int(copied_elsewhere(dataset, split).sum())
    return report


def split_by_subject(dataset: FaceDataset, fractions: Sequence[float], seed: int) -> tuple[FaceDataset, ...]:
    """Split at random so that no person is in two parts.

    Where the person is unknown, exact copies of a picture stay together.

    Parameters
    ----------
    dataset : FaceDataset
    fractions : sequence of float
        Share of the faces that each part gets, as nearly as whole subjects allow; ``[0.2] * 5`` gives five folds.
    seed : int
        Seed of the draw.

    Returns
    -------
    tuple of FaceDataset
        One for each fraction, in the order of `dataset`; together all of it.

    Raises
    ------
    OptionError
        If the fractions are not positive or do not sum to 1.
    """
    if not len(fractions) or min(fractions) <= 0 or abs(sum(fractions) - 1) > 1e-9:
        raise OptionError(f"fractions {list(fractions)}: expected positive numbers that sum to 1")
    groups, counts = np.unique(_persons(dataset), return_inverse=True, return_counts=True)[1:]
    order = np.random.default_rng(seed).permutation(len(counts))
    # A subject belongs to the part in which the middle of its faces falls, when all stand in a row.
    middles = (np.cumsum(counts[order]) - counts[order] / 2) / max(len(dataset), 1)
    part_of_group = np.empty(len(counts), np.int64)
    part_of_group[order] = np.searchsorted(np.cumsum(fractions)[:-1], middles, side="right")
    return tuple(dataset[part_of_group[groups] == part] for part in range(len(fractions)))


def ten_folds(dataset: FaceDataset) -> tuple[FaceDataset, ...]:
    """Return the ten folds by person of all our figures: :func:`split_by_subject` with one seed."""
    return split_by_subject(dataset, [1 / FOLDS] * FOLDS, seed=0)


def with_splits(dataset: FaceDataset, shares: Mapping[str, float], seed: int = 0) -> FaceDataset:
    """Draw the splits that a data set lacks from its first, so that each class gives its share.

    The faces of a person stay together, exact copies of a picture where the person is unknown.

    Parameters
    ----------
    dataset : FaceDataset
        With some of the splits, or with none (``""``).
    shares : mapping of str to float
        Names of the splits, of which the first is drawn from, and shares of what is drawn; what is there already stays
        as it is, and the shares of the others hold among themselves.
    seed : int
        Seed of the draw.

    Returns
    -------
    FaceDataset
        The same faces in the same order.

    Raises
    ------
    DatasetError
        If there is nothing to draw from, or too little to give each split a face.
    """
    present = set(dataset.split.tolist())
    drawn = [name for place, name in enumerate(shares) if place == 0 or name not in present]
    pool = np.flatnonzero(np.isin(dataset.split, ("", drawn[0])))
    if not len(pool):
        raise DatasetError(f"no faces of {drawn[0]!r}, only of {', '.join(sorted(present))}: expected some to train on")
    split = dataset.split.astype(object)
    split[pool] = np.array(drawn, object)[_parts(dataset[pool], [shares[name] for name in drawn], seed)]
    empty = [name for name in shares if name not in split]
    if empty:
        raise DatasetError(
            f"{len(pool)} faces: too few to draw {' and '.join(drawn)} from: add more to each expression"
        )
    return replace(dataset, split=split.astype(np.str_))


def _parts(dataset: FaceDataset, shares: Sequence[float], seed: int) -> IntArray:
    """Return the part of each face: persons go, class by class, to the part that is shortest of its share."""
    firsts, persons, sizes = np.unique(_persons(dataset), return_index=True, return_inverse=True, return_counts=True)[
        1:
    ]
    order = np.random.default_rng(seed).permutation(len(sizes))
    part_of_person = np.empty(len(sizes), np.int64)
    goal, filled = np.array(shares) / sum(shares), np.zeros(len(shares))
    for person in order[np.argsort(dataset.labels[firsts[order]], kind="stable")]:
        part = np.argmax(goal * (filled.sum() + sizes[person]) - filled)
        part_of_person[person] = part
        filled[part] += sizes[person]
    return part_of_person[persons]


def _persons(dataset: FaceDataset) -> npt.NDArray[np.str_]:
    """Return a key for each face: its subject, or its group of copies where the subject is unknown."""
    copies = np.char.add("copies:", duplicate_groups(dataset).astype(np.str_))
    if dataset.subjects is None:
        return copies
    return np.where(dataset.subjects == "", copies, np.char.add("subject:", dataset.subjects))


def fingerprint(dataset: FaceDataset) -> str:
    """Return the SHA-256 of what a net learns from: class names, pixels, labels, distributions, measures, in order."""
    digest = hashlib.sha256(",".join(dataset.label_names).encode())
    digest.update(np.ascontiguousarray(dataset.images).tobytes())
    digest.update(dataset.labels.astype("<i8").tobytes())
    if dataset.distributions is not None:
        digest.update(dataset.distributions.astype("<f4").tobytes())
    if dataset.measures is not None:
        digest.update(dataset.measures.astype("<f4").tobytes())
    return digest.hexdigest()


def manifest(sources: Iterable[Path], selections: Mapping[str, FaceDataset]) -> dict[str, Any]:
    """Describe what was used so that others can tell whether they have the same; fit for JSON.

    Parameters
    ----------
    sources : iterable of Path
        Files, and folders of which all files count.
    selections : mapping of str to FaceDataset
        What was drawn from them, by name, for example ``{"train": ..., "test": ...}``.

    Returns
    -------
    dict
        ``sources``: name to ``bytes`` and ``sha256``; ``selections``: name to ``faces``, ``classes``, ``splits`` (both
        counts) and ``sha256`` of :func:`fingerprint`.
    """
    return {
        "sources": {path.name: _source_entry(path) for path in sources},
        "selections": {name: _selection_entry(dataset) for name, dataset in selections.items()},
    }


def _source_entry(path: Path) -> dict[str, Any]:
    """Hash a file's content; for a folder the names and hashes of its files, in the order of their names."""
    if not path.is_dir():
        with path.open("rb") as file:
            return {"bytes": path.stat().st_size, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}
    files = sorted((file.relative_to(path).as_posix(), file) for file in path.rglob("*") if file.is_file())
    entries = [(name, _source_entry(file)) for name, file in files]
    listing = "".join(f"{entry['sha256']}  {name}\n" for name, entry in entries)
    total = sum(entry["bytes"] for _, entry in entries)
    return {"files": len(entries), "bytes": total, "sha256": hashlib.sha256(listing.encode()).hexdigest()}


def _selection_entry(dataset: FaceDataset) -> dict[str, Any]:
    names, counts = np.unique(dataset.split, return_counts=True)
    return {
        "faces": len(dataset),
        "classes": dataset.class_counts(),
        "splits": dict(zip(names.tolist(), counts.tolist(), strict=True)),
        "sha256": fingerprint(dataset),
    }
