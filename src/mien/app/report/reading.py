"""Files and folders of results into what was seen, one source after another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter
from pathlib import Path

from mien.app.report.archives import Archive
from mien.app.report.batches import Run
from mien.app.report.columns import ParquetRows
from mien.app.report.lines import CsvLines, JsonLines, Results
from mien.app.report.seen import Seen, see
from mien.core.errors import DatasetError
from mien.core.model import ModelCard


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
        A line for each file that could not be read, and each source that is in two files.
    errors : list of str
        A line for each source that ``mien batch`` could not read.
    cards : dict of Run to ModelCard
        Those that ``mien batch`` keeps with its results.
    """

    paths: Sequence[Path]
    failures: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    cards: dict[Run, ModelCard] = field(default_factory=dict)

    def sources(self) -> Iterator[Seen]:
        """Yield what was seen in each source, in the order of the files and of their rows."""
        known: dict[str, Path] = {}
        for path in dict.fromkeys(self.paths):
            try:
                yield from self._of_file(path, known)
            except DatasetError as error:
                self.failures.append(str(error))

    def _of_file(self, path: Path, known: dict[str, Path]) -> Iterator[Seen]:
        results = open_results(path)
        if isinstance(results, Archive):
            self.errors += results.errors
            self.cards |= {results.run: results.card} if results.card else {}
        is_empty = True
        for source, stretches in groupby(results.stretches(), key=itemgetter(0)):
            is_empty = False
            if source in known:
                self.failures.append(f"{path}: has {source} too, which is in {known[source]}: the first counts")
                continue
            known[source] = path
            found = results.found(source) if isinstance(results, Archive) else None
            seen = see(source, results.run, (batch for _, batch in stretches), found=found)
            seen.notices += results.notices
            yield seen
        if is_empty:
            raise DatasetError(f"{path}: has no rows: nothing was read, so there is nothing to report")


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
