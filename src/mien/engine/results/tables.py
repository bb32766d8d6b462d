"""Tables of results: JSON Lines, CSV, Parquet."""

from __future__ import annotations

import csv
import json
import math
import sys
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import IO, Any, Protocol, TypeAlias

import mien
from mien.core.errors import DatasetError, MissingExtraError, OptionError
from mien.core.types import LANDMARK_COLUMNS, FrameResult, Row, columns
from mien.engine.results.writer import STDOUT, PartialFile, Writer, as_output_error

SCHEMA = 1
ROWS_IN_GROUP = 10_000  # of a Parquet file


class Rows(Protocol):
    """What writes rows in one format."""

    def write(self, rows: list[Row]) -> None:
        """Add rows; they are on disk then, where the format allows."""

    def close(self) -> None:
        """Complete the file and leave it open."""


class _JsonRows:
    def __init__(self, file: IO[bytes], header: Row) -> None:
        self._file = file
        self._write_line(header)

    def write(self, rows: list[Row]) -> None:
        for row in rows:
            self._write_line(row)
        self._file.flush()

    def _write_line(self, row: Row) -> None:
        line = json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n"
        # File names may hold bytes that are no text; the escape Python gives them is JSON's own.
        self._file.write(line.encode("utf-8", "backslashreplace"))

    def close(self) -> None:
        self._file.flush()


class _CsvLines:
    """Ends lines in a line feed; told to do so itself, csv would leave a carriage return in a file name unquoted."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def write(self, line: str) -> int:
        return self._file.write((line.removesuffix("\r\n") + "\n").encode("utf-8", "backslashreplace"))


class _CsvRows:
    def __init__(self, file: IO[bytes], header: Row) -> None:
        self._file = file
        self._rows = csv.DictWriter(_CsvLines(file), header["columns"], lineterminator="\r\n")
        self._rows.writeheader()

    def write(self, rows: list[Row]) -> None:
        self._rows.writerows(rows)
        self._file.flush()

    def close(self) -> None:
        self._file.flush()


class _ParquetRows:
    """Parquet in row groups; its footer comes last, so that a killed process leaves nothing readable."""

    TYPES = dict.fromkeys(("source", "expression"), "string") | dict.fromkeys(
        ("frame", "track_id", "face", "frames", "second"), "int64"
    )

    def __init__(self, file: IO[bytes], header: Row) -> None:
        try:
            import pyarrow
            import pyarrow.parquet
        except ImportError as error:
            raise MissingExtraError("pyarrow", "mien[analysis]") from error
        # Nothing is rounded: boxes and probabilities of faces are float32, what is computed over time is not.
        number = "double" if "table" in header else "float"
        kinds = {n: self.TYPES.get(n, "double" if n.endswith("_s") else number) for n in header["columns"]}
        types = [(name, pyarrow.type_for_alias(kind)) for name, kind in kinds.items()]
        self._schema = pyarrow.schema(types, metadata={"mien": json.dumps(header)})
        self._table_of = pyarrow.Table.from_pylist
        self._writer = pyarrow.parquet.ParquetWriter(file, self._schema)
        self._waiting: list[Row] = []

    def write(self, rows: list[Row]) -> None:
        for row in rows:
            self._waiting.append(row | {"source": row["source"].encode("utf-8", "backslashreplace").decode()})
        if len(self._waiting) >= ROWS_IN_GROUP:
            self._flush()

    def _flush(self) -> None:
        self._writer.write_table(self._table_of(self._waiting, schema=self._schema))
        self._waiting = []

    def close(self) -> None:
        try:
            self._flush()
        finally:
            self._writer.close()


Format: TypeAlias = Callable[[IO[bytes], Row], Rows]
"""Begins a file whose header has the names of its ``columns``."""

TABLES: dict[str, Format] = {".jsonl": _JsonRows, ".json": _JsonRows, ".csv": _CsvRows, ".parquet": _ParquetRows}
"""What writes a table, by the extension of its path."""


def table_header(
    labels: Sequence[str],
    *,
    model: str,
    sha256: str,
    options: Mapping[str, Any] | None = None,
    landmarks: bool = False,
    feature_names: Sequence[str] = (),
) -> dict[str, Any]:
    """Return what the first line of a JSON Lines file says about a run.

    Parameters
    ----------
    labels : sequence of str
        The labels on the model's card.
    model, sha256 : str
        Name of the model and hash of its file.
    options : mapping, optional
        The options of the run; values that JSON does not know are written as text.
    landmarks : bool
        Whether the table of faces has their points.
    feature_names : sequence of str
        The features that faces have.
    """
    return {
        "schema": SCHEMA,
        "mien": mien.__version__,
        "model": {"name": model, "sha256": sha256},
        "options": json.loads(json.dumps(dict(options or {}), default=str)),
        "labels": list(labels),
        "columns": list(columns(tuple(labels), landmarks=landmarks, feature_names=tuple(feature_names))),
    }


class RowWriter(Writer):
    """Writes rows to one file as frames come; what the rows are is said by :meth:`rows` and :meth:`last_rows`.

    Lines are flushed after each frame; should the disk be full, they are cut back to the last whole frame. Parquet,
    which cannot be read without its footer, is removed then.

    Parameters
    ----------
    path : path_like
        ``"-"`` is standard output.
    header : dict
        Has the names of the ``columns``, and what else the format can hold.
    formats : mapping of str to callable
        What writes a file, by the extension of its path.
    kind : str or None
        The extension to go by, without its dot, instead of the path's own.

    Raises
    ------
    OptionError
        If the extension is unknown.
    OutputError
        If the path cannot be written.
    MissingExtraError
        If Parquet is asked for and pyarrow is not installed.
    """

    def __init__(self, path: str | Path, header: Row, formats: Mapping[str, Format], *, kind: str | None) -> None:
        suffix = f".{kind}" if kind else Path(path).suffix.lower()
        if suffix not in formats:
            raise OptionError(f"{path}: unknown kind of file {suffix!r}: expected one of {', '.join(formats)}")
        self.path = path
        self._columns: list[str] = header["columns"]
        self._place = None if str(path) == STDOUT else PartialFile(path)
        self._is_lines = suffix != ".parquet"
        self._frames = self._length = 0
        with as_output_error(path):
            self._file: IO[bytes] = self._place.partial.open("wb") if self._place else sys.stdout.buffer
        try:
            with as_output_error(path):
                self._rows = formats[suffix](self._file, header)
        except BaseException:
            self._finish()
            raise

    @abstractmethod
    def rows(self, result: FrameResult) -> list[Row]:
        """Return the rows that are known with this frame."""

    @abstractmethod
    def last_rows(self) -> list[Row]:
        """Return the rows that are known when no frame comes any more."""

    def write(self, result: FrameResult) -> None:  # noqa: D102
        self._add(self.rows(result))
        self._frames += 1

    def close(self) -> None:  # noqa: D102
        try:
            # After a line that may be torn, nothing is written.
            if self._place is None or self._place.is_whole:
                self._add(self.last_rows())
            with self._writing():
                self._rows.close()
        finally:
            self._finish()

    def _add(self, rows: list[Row]) -> None:
        plain = [{name: _plain(value) for name, value in row.items()} for row in rows]
        unknown = [name for row in plain[:1] for name in row if name not in self._columns]
        if unknown:
            raise OptionError(f"{self.path}: has no column {unknown[0]!r}: expected {', '.join(self._columns)}")
        with self._writing():
            self._rows.write(plain)
            if self._place and self._is_lines:
                self._length = self._file.tell()

    def _writing(self) -> AbstractContextManager[None]:
        return self._place.writing() if self._place else as_output_error(self.path)

    def _finish(self) -> None:
        if self._place is None:
            return
        try:
            with self._place.writing():
                self._file.close()
        finally:
            if self._is_lines:
                self._place.cut(self._length)  # a line may be torn
            self._place.finish(keep=self._frames > 0)


class Table(RowWriter):
    """One flat row for each face of each frame, streamed to a JSON Lines, CSV or Parquet file.

    Numbers are written unrounded: read back they are equal to the bit. Text is UTF-8. Landmarks of faces are left out
    where the table has no columns for them. What happens when the disk is full, and what is raised, is told at
    :class:`RowWriter`.

    Parameters
    ----------
    path : path_like
        ``.jsonl``, ``.json`` (JSON Lines too), ``.csv`` or ``.parquet``; ``"-"`` is standard output.
    header : dict
        From :func:`table_header`. Parquet has it in its metadata under ``mien``; CSV has none.
    kind : str, optional
        The extension to go by, without its dot, instead of the path's own: ``"jsonl"``, ``"csv"`` ...
    """

    def __init__(self, path: str | Path, header: Row, *, kind: str | None = None) -> None:
        super().__init__(path, header, TABLES, kind=kind)
        self._has_landmarks = LANDMARK_COLUMNS[0] in header["columns"]

    def rows(self, result: FrameResult) -> list[Row]:  # noqa: D102
        faces = result.faces if self._has_landmarks else replace(result.faces, landmarks=None)
        return replace(result, faces=faces).to_dicts()

    def last_rows(self) -> list[Row]:  # noqa: D102
        return []


def _plain(value: object) -> object:
    return None if isinstance(value, float) and math.isnan(value) else value


def read_jsonl(path: str | Path) -> tuple[Row, list[Row]]:
    """Return header and rows of a JSON Lines file of mien.

    Raises
    ------
    DatasetError
        If the file is missing, has no header of a known schema, or a line is broken; the line is named.
    """
    values: list[Row] = []
    try:
        with Path(path).open(encoding="utf-8", newline="\n") as lines:
            values.extend(json.loads(line) for line in lines)
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({error.strerror}): expected JSON Lines written by mien") from error
    except ValueError as error:
        raise DatasetError(f"{path}: line {len(values) + 1} is no JSON: expected JSON Lines written by mien") from error
    first: object = values[0] if values else None
    if not isinstance(first, dict) or first.get("schema") != SCHEMA:
        raise DatasetError(f"{path}: has no header of schema {SCHEMA}: expected JSON Lines written by mien")
    return first, values[1:]
