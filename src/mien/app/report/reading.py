"""Files and folders of results into what was seen, one source after another."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter
from pathlib import Path

import numpy as np

from mien.app.report.archives import Archive
from mien.app.report.batches import Batch, Run
from mien.app.report.columns import ParquetRows
from mien.app.report.lines import CsvLines, JsonLines, Results
from mien.app.report.seen import Seen, see
from mien.app.report.words import short_names
from mien.core.errors import DatasetError
from mien.core.model import ModelCard

SORTED = "expected them in the order that mien writes: sort them by source, time_s and face"


@dataclass
class Reading:
    """Reads results; each source is let go before the next one is read.

    Parameters
    ----------
    paths : sequence of Path
        Files written by ``mien analyze``, folders written by ``mien batch``.

    Attributes
    ----------
    failures : list of str
        A line for each file that could not be read, or not to its end, and each source that is in two files.
    errors : list of str
        A line for each source that ``mien batch`` could not read.
    cards : dict of Run to ModelCard
        Those that ``mien batch`` keeps with its results.
    """

    paths: Sequence[Path]
    failures: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    cards: dict[Run, ModelCard] = field(default_factory=dict)
    _opened: dict[Path, Results] = field(default_factory=dict, init=False, repr=False)

    def sources(self) -> Iterator[Seen]:
        """Yield what was seen in each source, in the order of the files and of their rows."""
        known: dict[str, tuple[Path, str]] = {}
        for path in self._files():
            try:
                yield from self._of_file(path, known)
            except DatasetError as error:
                self.failures.append(str(error))

    def names(self) -> dict[str, str]:
        """Return a short name of each source, which tells it from the others; all files are read once for it."""
        firsts: dict[str, str] = {}
        for path in self._files():
            with suppress(DatasetError):  # it is told of when its rows are read
                for source in self._results(path).sources():
                    firsts.setdefault(_identity(source, path), source)
        return short_names(firsts.values())

    def _files(self) -> list[Path]:
        """Return the paths, each file once."""
        firsts: dict[str, Path] = {}
        for path in self.paths:
            firsts.setdefault(os.path.realpath(path), path)
        return list(firsts.values())

    def _results(self, path: Path) -> Results:
        if path not in self._opened:
            self._opened[path] = open_results(path)
        return self._opened[path]

    def _of_file(self, path: Path, known: dict[str, tuple[Path, str]]) -> Iterator[Seen]:
        results = self._results(path)
        if isinstance(results, Archive):
            self.errors += results.errors
            self.cards |= {results.run: results.card} if results.card else {}
        here: set[str] = set()
        for source, stretches in groupby(results.stretches(), key=itemgetter(0)):
            if source in here:
                raise DatasetError(f"{path}: has rows of {source} in several places: {SORTED}")
            here.add(source)
            before = known.setdefault(_identity(source, path), (path, source))
            if before != (path, source):
                self.failures.append(_told_twice(source, path, *before))
                continue
            found = results.found(source) if isinstance(results, Archive) else None
            seen = see(source, results.run, _in_order((batch for _, batch in stretches), path, source), found=found)
            seen.notices += results.notices
            yield seen
        self.failures += results.notices
        if not here:
            raise DatasetError(f"{path}: has no rows: nothing was read, so there is nothing to report")


def _in_order(batches: Iterable[Batch], path: Path, source: str) -> Iterator[Batch]:
    """Yield batches whose times never go back.

    Raises
    ------
    DatasetError
    """
    before = 0.0
    for batch in batches:
        times_s = np.concatenate([[before], batch.times_s])
        if (np.diff(times_s) < 0).any():
            raise DatasetError(f"{path}: has rows of {source} whose times go back: {SORTED}")
        before = times_s[-1]
        yield batch


def _identity(source: str, results: Path) -> str:
    """Return what two paths of one file have in common: where it is, if it is still there."""
    places = (folder / source for folder in (Path(), results.parent))
    place = next((place for place in places if os.path.isfile(place)), None)  # noqa: PTH113 - Path's refuses long names
    return source if place is None else os.path.realpath(place)


def _told_twice(source: str, path: Path, first_path: Path, first: str) -> str:
    if path == first_path:
        return f"{source}: is {first}, which was given before: the first counts"
    same = "" if source == first else f" as {first}"
    return f"{path}: has {source} too, which is in {first_path}{same}: the first counts"


def open_results(path: Path) -> Results:
    """Return what reads a file or folder of results.

    Raises
    ------
    DatasetError
        If it is none, or of a schema that is not known.
    MissingExtraError
        If it is Parquet and pyarrow is not installed.
    """
    if path.is_dir():
        return Archive(path)
    match path.suffix.lower():
        case ".jsonl" | ".json":
            return JsonLines(path)
        case ".csv":
            return CsvLines(path)
        case ".parquet":
            return ParquetRows([path])
    raise DatasetError(f"{path}: is no file of results: expected .jsonl, .csv or .parquet, or a folder of mien batch")
