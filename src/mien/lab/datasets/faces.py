"""One value for every data set: faces, labels, votes, splits, subjects, as aligned arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from mien.core.errors import DatasetError, OptionError
from mien.core.preprocess import boxes_around
from mien.core.types import ByteArray, Faces, FloatArray, IntArray

SIDE = 48
"""Height and width of every face in pixels, as in FER2013."""

Index = int | slice | list[int] | npt.NDArray[np.bool_] | npt.NDArray[np.integer[Any]]


@dataclass(frozen=True, eq=False)
class FaceDataset:
    """Faces with what is known of them; face ``i`` is row ``i`` of each array.

    Parameters
    ----------
    images : (N, 48, 48) ndarray of uint8
        Gray faces.
    labels : (N,) ndarray of int64
        Hard label of each face, an index into `label_names`; -1 where there is none.
    label_names : tuple of str
        The K classes, in the order of :mod:`mien.core.labels`.
    split : (N,) ndarray of str
        ``Training``, ``PublicTest`` or ``PrivateTest`` as FER2013 names them, ``train`` or ``test`` in image folders,
        ``""`` where a data set has no official split.
    source_ids : (N,) ndarray of str
        Where each face comes from: ``fer2013:123``, ``ck:S010_004_00000017``, ``folder:train/angry/12.jpg``.
    distributions : (N, K) ndarray of float32 or None
        Label distribution of each face; rows sum to 1, or to 0 where nothing is known (weight 0 in training).
    votes : (N, 10) ndarray of int64 or None
        Raw votes of FER+, columns as in :data:`mien.lab.datasets.VOTES`.
    subjects : (N,) ndarray of str or None
        The person on each picture; ``""`` where it is unknown.
    measures : (N, M) ndarray of float32 or None
        What was measured on each face besides (:mod:`mien.lab.measures`); NaN is missing.

    Raises
    ------
    DatasetError
        If the arrays do not agree on the number of faces or classes, or a label is none of the classes.
    """

    images: ByteArray
    labels: IntArray
    label_names: tuple[str, ...]
    split: npt.NDArray[np.str_]
    source_ids: npt.NDArray[np.str_]
    distributions: FloatArray | None = None
    votes: IntArray | None = None
    subjects: npt.NDArray[np.str_] | None = None
    measures: FloatArray | None = None

    def __post_init__(self) -> None:
        count, classes = len(self.images), len(self.label_names)
        measures = 0 if self.measures is None else self.measures.shape[-1]
        expected: dict[str, tuple[tuple[int, ...], str]] = {
            "images": ((count, SIDE, SIDE), "u1"),
            "labels": ((count,), "i8"),
            "split": ((count,), "U"),
            "source_ids": ((count,), "U"),
            "distributions": ((count, classes), "f4"),
            "votes": ((count, 10), "i8"),
            "subjects": ((count,), "U"),
            "measures": ((count, measures), "f4"),
        }
        for name, (shape, dtype) in expected.items():
            array = getattr(self, name)
            if array is not None and (array.shape != shape or not array.dtype.str[1:].startswith(dtype)):
                kind = np.dtype(dtype).name
                raise DatasetError(
                    f"FaceDataset.{name} is {array.dtype} of shape {array.shape}: expected {kind} of shape {shape}"
                )
        if count and not (self.labels.min() >= -1 and self.labels.max() < classes):
            raise DatasetError(
                f"FaceDataset.labels reach from {self.labels.min()} to {self.labels.max()}: "
                f"expected -1 (none) to {classes - 1}"
            )

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: Index) -> FaceDataset:
        """Return the faces that a mask, slice, array or list of indices chooses; an int gives one face."""
        chosen = np.atleast_1d(np.arange(len(self))[index])
        rows = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "label_names"}
        return replace(self, **{name: rows[name][chosen] for name in rows if rows[name] is not None})

    def tested(self) -> FaceDataset:
        """Return the faces of the split ``test``, all of them where there is none."""
        return self.of_split("test") if "test" in self.split else self

    def of_split(self, *names: str) -> FaceDataset:
        """Return the faces of the named official splits.

        Raises
        ------
        OptionError
            If this data set has no such split.
        """
        known = sorted(set(self.split.tolist()))
        for name in names:
            if name not in known:
                raise OptionError(f"no split {name!r} in this data set: it has {', '.join(map(repr, known))}")
        return self[np.isin(self.split, names)]

    def of_labels(self, label_names: tuple[str, ...]) -> FaceDataset:
        """Return the faces whose hard label is one of `label_names`, which become the classes.

        The columns of a label distribution are chosen alike and sum to 1 again (to 0 where nothing is left).
        """
        position = {name: index for index, name in enumerate(label_names)}
        mapping = np.array([position.get(name, -1) for name in self.label_names])
        kept = self[(mapping[self.labels] >= 0) & (self.labels >= 0)]
        distributions = None
        if kept.distributions is not None:
            distributions = np.zeros((len(kept), len(label_names)), np.float32)
            present = mapping >= 0
            distributions[:, mapping[present]] = kept.distributions[:, present]
            totals = distributions.sum(axis=1, keepdims=True)
            distributions /= np.where(totals > 0, totals, 1)
        return replace(kept, labels=mapping[kept.labels], label_names=label_names, distributions=distributions)

    def class_counts(self) -> dict[str, int]:
        """Return the number of faces of each class by hard label."""
        counts = np.bincount(self.labels[self.labels >= 0], minlength=len(self.label_names))
        return dict(zip(self.label_names, counts.tolist(), strict=True))


def concatenate(datasets: Sequence[FaceDataset]) -> FaceDataset:
    """Join data sets of the same classes, in the order given.

    What only some of them have is filled in: subjects by ``""``, distributions and votes by zeros (nothing known),
    measures by NaN.

    Raises
    ------
    DatasetError
        If there is none, or their classes differ.
    """
    if len({dataset.label_names for dataset in datasets}) != 1:
        classes = " and ".join(str(dataset.label_names) for dataset in datasets) or "nothing"
        raise DatasetError(f"cannot join data sets of {classes}: expected the same classes; choose them with of_labels")

    def joined(name: str) -> Any:
        arrays = [getattr(dataset, name) for dataset in datasets]
        present = [array for array in arrays if array is not None]
        if not present:
            return None
        pairs = zip(arrays, datasets, strict=True)
        unknown = np.zeros((1, *present[0].shape[1:]), present[0].dtype)
        if name == "measures":
            unknown[:] = np.nan
        return np.concatenate([unknown.repeat(len(d), axis=0) if a is None else a for a, d in pairs])

    names = [f.name for f in fields(FaceDataset) if f.name != "label_names"]
    return FaceDataset(label_names=datasets[0].label_names, **{name: joined(name) for name in names})


def whole_frame() -> Faces:
    """Return one face that fills the frame as FER2013 frames it, with an id that lasts."""
    box = boxes_around(np.array([[SIDE / 2, SIDE / 2, SIDE]], np.float32))
    return replace(Faces.detected(box, [1.0]), track_ids=np.zeros(1, np.int64))
