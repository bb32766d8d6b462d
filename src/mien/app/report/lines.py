"""JSON Lines and CSV of results, read as batches: what is torn off ends the file, and the rows before it count."""

from __future__ import annotations

import csv
import json
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import groupby, islice
from pathlib import Path
from typing import IO, Protocol

from mien.app.report.batches import CHUNK, Batch, Run, as_batch, split_by_source
from mien.core.errors import DatasetError
from mien.core.types import Row

NO_ROW = (ValueError, TypeError, KeyError, OverflowError, csv.Error)
"""What a line that is no row of mien raises."""


class Results(Protocol):
    """Rows of faces of one file or folder.

    Attributes
    ----------
    run : Run
    notices : list of str
        What a reader of the report must know of the rows, filled while they are read.
    """

    run: Run
    notices: list[str]

    def sources(self) -> Iterator[str]:
        """Yield the source of each stretch of rows, without reading what else they hold."""

    def stretches(self) -> Iterator[tuple[str, Batch]]:
        """Yield batches with their source, all of one source one after another."""


@dataclass
class _Lines(ABC):
    """A file of lines; a subclass says how one becomes a row."""

    path: Path
    notices: list[str] = field(default_factory=list)
    run: Run = field(init=False)

    def sources(self) -> Iterator[str]:
        """Yield the source of each stretch of rows, up to the first row that is none."""
        with _opened(self.path) as file, suppress(*NO_ROW):
            for source, _ in groupby(row["source"] for row in self._rows(file)):
                yield str(source)

    def stretches(self) -> Iterator[tuple[str, Batch]]:
        with _opened(self.path) as file:
            rows = self._rows(file)
            count = 0
            while True:
                chunk, problem = _taken(rows)
                batch, good = self._batch(chunk)
                yield from split_by_source([row["source"] for row in chunk[:good]], batch)
                count += good
                if good < len(chunk) or problem:
                    self._break_off(count)
                if good < CHUNK:
                    return

    @abstractmethod
    def _rows(self, file: IO[str]) -> Iterator[Row]:
        """Yield the rows of the open file."""

    def _batch(self, chunk: list[Row]) -> tuple[Batch, int]:
        """Return the rows before the first that is none, and how many."""
        try:
            return as_batch(chunk, self.run.labels), len(chunk)
        except NO_ROW:
            good = next(index for index, row in enumerate(chunk) if not self._is_row(row))
            return as_batch(chunk[:good], self.run.labels), good

    def _is_row(self, row: Row) -> bool:
        try:
            as_batch([row], self.run.labels)
        except NO_ROW:
            return False
        return True

    def _break_off(self, count: int) -> None:
        if not count:
            raise DatasetError(f"{self.path}: its first row is broken: expected rows of faces written by mien")
        self.notices.append(
            f"{self.path.name} breaks off at row {count + 1:,}, which is no whole row of mien: "
            "the rows before it count, what came after is missing here."
        )


class JsonLines(_Lines):
    """JSON Lines; the first line is the header.

    Raises
    ------
    DatasetError
        If it cannot be read, has no header of this schema, or no whole row.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        with _opened(path) as file:
            first = file.readline()
        try:
            header = json.loads(first)
        except ValueError:
            header = None
        self.run = Run.of_header(path, header)

    def _rows(self, file: IO[str]) -> Iterator[Row]:
        file.readline()
        return (_object(line) for line in file)


class CsvLines(_Lines):
    """CSV, whose first line names the columns; what ends without a line feed is torn.

    Raises
    ------
    DatasetError
        If it cannot be read, a column is missing, or there is no whole row.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        with _opened(path) as file:
            try:
                self._columns = next(csv.reader(file), [])
            except csv.Error as error:
                raise DatasetError(f"{path}: is no CSV ({error}): expected results written by mien") from error
        self.run = Run.of_columns(path, self._columns)

    def _rows(self, file: IO[str]) -> Iterator[Row]:
        cells = csv.reader(_whole(file), strict=True)
        next(cells)
        return (dict(zip(self._columns, row, strict=True)) for row in cells)


def _opened(path: Path) -> IO[str]:
    try:
        # Bytes that are no text come back as they were; only what was cut in the middle of a letter has any.
        return path.open(encoding="utf-8-sig", errors="surrogateescape", newline="\n")
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({error.strerror}): expected results written by mien") from error


def _taken(rows: Iterator[Row]) -> tuple[list[Row], bool]:
    """Return the next rows, and whether what follows is no row."""
    chunk: list[Row] = []
    try:
        chunk.extend(islice(rows, CHUNK))
    except NO_ROW:
        return chunk, True
    return chunk, False


def _object(line: str) -> Row:
    row = json.loads(line)
    if not isinstance(row, dict):
        raise ValueError("no object")  # noqa: TRY004 - it is the line that is wrong
    return row


def _whole(file: IO[str]) -> Iterator[str]:
    for line in file:
        if not line.endswith("\n"):
            raise ValueError("a line without its end")
        yield line
