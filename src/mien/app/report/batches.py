"""Rows of results as aligned arrays, some thousand at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from mien.core.errors import DatasetError
from mien.core.labels import UNCERTAIN
from mien.core.types import FACE_COLUMNS, FRAME_COLUMNS, LANDMARK_COLUMNS, Faces, FloatArray, FrameResult, IntArray, Row
from mien.engine.measuring import Asked
from mien.engine.results import SCHEMA

DoubleArray: TypeAlias = npt.NDArray[np.float64]

CHUNK = 4096  # rows of a batch: half a megabyte
MOST_IDS = 2**40  # far more than any video has
NO_ID = -1
NO_FACE = -1
BOX_COLUMNS = ("x1", "y1", "x2", "y2")
NEEDED = ("source", "frame", "time_s", "track_id", *BOX_COLUMNS, "expression")
"""The columns that a report is made of, before those of the labels."""

BESIDES = frozenset((*LANDMARK_COLUMNS, *Asked(True, True, True, 1.0).feature_names))
"""What a table may have after the columns of its labels."""


@dataclass(frozen=True)
class Run:
    """What is known of the run that wrote some rows.

    Parameters
    ----------
    labels : tuple of str
        The labels of the model.
    model, sha256, version : str
        Name of the model, hash of its file, version of mien; empty where the file does not say (CSV).
    options : dict
        What the numbers depend on.
    """

    labels: tuple[str, ...]
    model: str = ""
    sha256: str = ""
    version: str = ""
    options: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of_header(cls, path: object, header: object) -> Run:
        """Read a header, as JSON Lines and Parquet have it.

        Raises
        ------
        DatasetError
            If it is none, of another schema, or of a table that holds no faces.
        """
        if not isinstance(header, dict) or "schema" not in header:
            raise DatasetError(f"{path}: has no header of mien: expected results written by mien analyze or mien batch")
        if header["schema"] != SCHEMA:
            raise DatasetError(f"{path}: has schema {header['schema']}, this mien knows {SCHEMA}: pip install -U mien")
        if "table" in header:
            raise DatasetError(
                f"{path}: is a table of {header['table']}: expected rows of faces (--json, --csv, --parquet)"
            )
        try:
            model, told = header["model"], header["options"]
            options = tuple((str(name), "" if value is None else str(value)) for name, value in told.items())
            names = str(model["name"]), str(model["sha256"]), str(header["mien"])
            return cls(tuple(map(str, header["labels"])), *names, options)
        except (KeyError, TypeError, AttributeError) as error:
            raise DatasetError(f"{path}: has a header without {error}: expected results written by mien") from error

    @classmethod
    def of_columns(cls, path: object, columns: Sequence[str]) -> Run:
        """Tell the labels by the columns of a table without header: what stands after ``confidence``.

        Raises
        ------
        DatasetError
            If a column is missing, or there are no labels.
        """
        known = (*FRAME_COLUMNS, *FACE_COLUMNS)
        missing = [name for name in known if name not in columns]
        if missing:
            raise DatasetError(f"{path}: has no column {', '.join(missing)}: expected rows of faces written by mien")
        labels = tuple(name for name in columns if name not in known and name not in BESIDES)
        if not labels:
            raise DatasetError(f"{path}: has no column of probabilities after confidence: expected happy, sad ...")
        return cls(labels)


@dataclass(frozen=True, eq=False)
class Batch:
    """Consecutive rows of one source: a row for each face, or one for a frame without.

    Parameters
    ----------
    frames : (N,) ndarray of int64
    times_s : (N,) ndarray of float64
    track_ids : (N,) ndarray of int64
        ``NO_ID`` for pictures and where there is no face.
    boxes_xyxy : (N, 4) ndarray of float32
        NaN where there is no face.
    answers : (N,) ndarray of int64
        Index of the answer among labels and, after them, ``uncertain``; ``NO_FACE`` where there is none.
    probabilities : (N, K) ndarray of float32
    """

    frames: IntArray
    times_s: DoubleArray
    track_ids: IntArray
    boxes_xyxy: FloatArray
    answers: IntArray
    probabilities: FloatArray

    @property
    def has_face(self) -> npt.NDArray[np.bool_]:
        """Whether a row is of a face, (N,)."""
        return np.asarray(self.answers != NO_FACE)

    def __getitem__(self, chosen: slice | npt.NDArray[Any]) -> Batch:
        return Batch(
            self.frames[chosen],
            self.times_s[chosen],
            self.track_ids[chosen],
            self.boxes_xyxy[chosen],
            self.answers[chosen],
            self.probabilities[chosen],
        )

    def __len__(self) -> int:
        return len(self.frames)

    def results(self, source: str, labels: tuple[str, ...]) -> Iterator[FrameResult]:
        """Yield the frames; faces that lie in other batches are other frames."""
        names = (*labels, UNCERTAIN)
        empty = Faces.empty(labels)
        edges = [0, *(np.flatnonzero(np.diff(self.frames)) + 1).tolist(), len(self)]
        for start, stop in pairwise(edges):
            faces = empty if self.answers[start] == NO_FACE else self._faces(slice(start, stop), labels, names)
            yield FrameResult(source, int(self.frames[start]), float(self.times_s[start]), None, faces)

    def _faces(self, rows: slice, labels: tuple[str, ...], names: tuple[str, ...]) -> Faces:
        probabilities, ids = self.probabilities[rows], self.track_ids[rows]
        return _Read(
            boxes_xyxy=self.boxes_xyxy[rows],
            scores=np.ones(len(ids), np.float32),
            probabilities=probabilities,
            labels=labels,
            expressions=tuple(names[answer] for answer in self.answers[rows].tolist()),
            confidences=probabilities.max(axis=1),
            track_ids=None if ids[0] == NO_ID else ids,
        )


class _Read(Faces):
    """Faces of a batch, which was checked as a whole: a check of each frame would take most of the time."""

    def __post_init__(self) -> None:
        pass


def as_batch(rows: Sequence[Row], labels: tuple[str, ...]) -> Batch:
    """Return rows, with the columns that are needed, as arrays.

    Raises
    ------
    ValueError, TypeError, KeyError, OverflowError
        If a row is none of mien.
    """
    if not all(isinstance(row["source"], str) for row in rows):
        raise ValueError("a row without source")
    codes = {name: code for code, name in enumerate((*labels, UNCERTAIN))} | {"": NO_FACE}
    answers = np.array([codes[row["expression"] or ""] for row in rows], np.int64)
    numbers = [[row[name] for name in (*BOX_COLUMNS, *labels)] for row in rows]
    values = np.array([[np.nan if value in (None, "") else float(value) for value in line] for line in numbers])
    values = values.reshape(len(rows), len(BOX_COLUMNS) + len(labels))
    times_s = np.array([float(row["time_s"]) for row in rows], np.float64)
    ids = np.array([NO_ID if row["track_id"] in (None, "") else int(row["track_id"]) for row in rows], np.int64)
    frames = np.array([int(row["frame"]) for row in rows], np.int64)
    boxes, probabilities = np.split(values.astype(np.float32), [len(BOX_COLUMNS)], axis=1)
    return checked(Batch(frames, times_s, ids, boxes, answers, probabilities))


def checked(batch: Batch) -> Batch:
    """Return a batch whose faces have all that faces have.

    Raises
    ------
    ValueError
        If one has not.
    """
    found = batch[batch.has_face]
    probabilities = found.probabilities
    if not ((probabilities >= 0) & (probabilities <= 1 + 1e-3)).all() or not np.isfinite(found.boxes_xyxy).all():
        raise ValueError("a face without box or probabilities")
    if not (np.isfinite(batch.times_s) & (batch.times_s >= 0)).all():
        raise ValueError("a frame without time")
    if not (np.abs(batch.track_ids) < MOST_IDS).all():
        raise ValueError("an id that is none")
    return batch


def split_by_source(sources: Sequence[str], batch: Batch) -> Iterable[tuple[str, Batch]]:
    """Yield each stretch of rows of one source."""
    start = 0
    for stop in range(1, len(sources) + 1):
        if stop == len(sources) or sources[stop] != sources[start]:
            yield sources[start], batch[start:stop]
            start = stop
