"""Parquet of results, one file or a folder of ``mien batch``, read as batches, source by source."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from json import JSONDecodeError, loads
from pathlib import Path
from typing import Any

import numpy as np

from mien.app.report.batches import BOX_COLUMNS, CHUNK, NEEDED, NO_FACE, NO_ID, Batch, Run, checked
from mien.core.errors import DatasetError, MissingExtraError
from mien.core.labels import UNCERTAIN


@dataclass(frozen=True, order=True)
class _Part:
    """A row group that holds rows of a source; parts are in the order of time."""

    first_frame: int
    path: Path
    group: int


class ParquetRows:
    """Rows of Parquet files, of which each may hold parts of several sources.

    Parameters
    ----------
    paths : list of Path

    Raises
    ------
    DatasetError
        If a file cannot be read, has another schema, or lacks a column.
    MissingExtraError
        If pyarrow is not installed.
    """

    def __init__(self, paths: list[Path]) -> None:
        self.notices: list[str] = []
        self._parts: dict[str, list[_Part]] = {}
        self.run = Run(())
        self._kept: tuple[Path, int, Any] | None = None
        for path in paths:
            with _opened(path) as file:
                run = _run(path, file)
                if self._parts and run.labels != self.run.labels:
                    raise DatasetError(f"{path}: has labels {', '.join(run.labels)}: expected those of the other files")
                self.run = run
                self._note(path, file)

    def _note(self, path: Path, file: Any) -> None:
        for group in range(file.num_row_groups):
            table = file.read_row_group(group, columns=["source", "frame"])
            firsts = table.group_by("source", use_threads=False).aggregate([("frame", "min")])
            for source, frame in zip(firsts["source"].to_pylist(), firsts["frame_min"].to_pylist(), strict=True):
                if source is None:
                    raise DatasetError(f"{path}: has a row without source: expected rows of faces written by mien")
                self._parts.setdefault(source, []).append(_Part(frame, path, group))

    def sources(self) -> Iterator[str]:
        """Yield the sources, in the order of their rows."""
        return iter(self._parts)

    def stretches(self) -> Iterator[tuple[str, Batch]]:
        """Yield batches with their source, all of one source one after another."""
        import pyarrow.compute

        for source, parts in self._parts.items():
            for part in sorted(parts):
                table = self._read(part.path, part.group)
                mine = table.filter(pyarrow.compute.equal(table["source"], source))
                for start in range(0, len(mine), CHUNK):
                    yield source, _batch(part.path, mine.slice(start, CHUNK), self.run.labels)

    def _read(self, path: Path, group: int) -> Any:
        """Return a row group; the last one is kept, since a thousand short videos may lie in it."""
        if self._kept is None or self._kept[:2] != (path, group):
            with _opened(path) as file:
                self._kept = path, group, file.read_row_group(group, columns=[*NEEDED, *self.run.labels])
        return self._kept[2]


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise MissingExtraError("pyarrow", "mien[analysis]") from error
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            yield file
    except (OSError, pyarrow.ArrowException) as error:
        reason = " ".join(str(error).split())[:200]
        raise DatasetError(f"{path}: cannot be read as Parquet ({reason}): expected results written by mien") from error


def _run(path: Path, file: Any) -> Run:
    names = file.schema_arrow.names
    content = (file.schema_arrow.metadata or {}).get(b"mien")
    if content is None:
        return Run.of_columns(path, names)
    try:
        run = Run.of_header(path, loads(content))
    except JSONDecodeError as error:
        raise DatasetError(f"{path}: has a broken header: expected results written by mien") from error
    missing = [name for name in (*NEEDED, *run.labels) if name not in names]
    if missing:
        raise DatasetError(f"{path}: has no column {', '.join(missing)}: expected rows of faces written by mien")
    return run


def _batch(path: Path, table: Any, labels: tuple[str, ...]) -> Batch:
    def numbers(name: str, dtype: type) -> np.ndarray[Any, Any]:
        return np.asarray(table[name].to_numpy(zero_copy_only=False), dtype)

    codes = {name: code for code, name in enumerate((*labels, UNCERTAIN))} | {None: NO_FACE}
    try:
        ids = numbers("track_id", np.float64)
        answers = np.array([codes[name] for name in table["expression"].to_pylist()], np.int64)
        return checked(
            Batch(
                numbers("frame", np.int64),
                numbers("time_s", np.float64),
                np.where(np.isnan(ids), NO_ID, ids).astype(np.int64),
                np.stack([numbers(name, np.float32) for name in BOX_COLUMNS], axis=1),
                answers,
                np.stack([numbers(name, np.float32) for name in labels], axis=1),
            )
        )
    except (ValueError, TypeError, KeyError) as error:
        raise DatasetError(f"{path}: has a row that is none of mien ({error}): write it again") from error
