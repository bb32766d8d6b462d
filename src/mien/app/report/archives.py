"""What ``mien batch`` leaves beside the rows: events, people, and what could not be read."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from mien.app.report.columns import ParquetRows
from mien.core.errors import DatasetError, MissingExtraError, ModelError
from mien.core.labels import UNCERTAIN
from mien.core.model import ModelCard
from mien.core.types import Row
from mien.engine.events import EVENT_COLUMNS, Event, TrackSummary, track_columns
from mien.engine.events.summaries import STATISTICS


class Archive(ParquetRows):
    """A folder written by ``mien batch``.

    Parameters
    ----------
    folder : Path

    Raises
    ------
    DatasetError
        If it has no rows, or one of its tables cannot be read.
    MissingExtraError
        If pyarrow is not installed.
    """

    def __init__(self, folder: Path) -> None:
        paths = sorted((folder / "rows").rglob("*.parquet"))
        if not paths:
            raise DatasetError(f"{folder}: has no rows/*.parquet: expected a folder written by mien batch, or a file")
        super().__init__(paths)
        self._events = _by_source(_table(folder / "events", EVENT_COLUMNS))
        self._tracks = _by_source(_table(folder / "tracks", track_columns(self.run.labels)))
        self.card = _card(folder / "manifest.json")
        self.errors = [_error_line(row) for row in _all(_table(folder / "errors", ("source", "error")))]

    def found(self, source: str) -> tuple[list[Event], list[TrackSummary]] | None:
        """Return the events and people of a source, if the archive knows those of its sources."""
        if self._events is None or self._tracks is None:
            return None
        events = [Event(**{name: row[name] for name in EVENT_COLUMNS}) for row in _all(self._events.get(source))]
        return events, [_summary(row, self.run.labels) for row in _all(self._tracks.get(source))]


def _card(manifest: Path) -> ModelCard | None:
    try:
        return ModelCard.from_json(json.dumps(json.loads(manifest.read_text("utf-8"))["model"]["card"]))
    except (OSError, ValueError, LookupError, TypeError, ModelError):
        return None  # the page says that it is not at hand


def _table(folder: Path, columns: tuple[str, ...]) -> Any:
    paths = sorted(folder.rglob("*.parquet"))
    if not paths:
        return None
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise MissingExtraError("pyarrow", "mien[analysis]") from error
    try:
        table = pyarrow.concat_tables([pyarrow.parquet.ParquetFile(path).read() for path in paths])
    except (OSError, pyarrow.ArrowException) as error:
        reason = " ".join(str(error).split())[:200]
        raise DatasetError(f"{folder}: cannot be read as Parquet ({reason}): run mien batch again") from error
    missing = [name for name in columns if name not in table.column_names]
    if missing:
        raise DatasetError(f"{folder}: has no column {', '.join(missing)}: expected a table written by mien batch")
    return table


def _all(table: Any) -> list[Row]:
    return [] if table is None else list(table.to_pylist())


def _by_source(table: Any) -> dict[str, Any] | None:
    """Return the rows of each source as a slice of one sorted table; a filter for each would read all of it again."""
    if table is None:
        return None
    ordered = table.sort_by("source").combine_chunks()
    tables, start = {}, 0
    for source, count in Counter(ordered["source"].to_pylist()).items():
        tables[source] = ordered.slice(start, count)
        start += count
    return tables


def _error_line(row: Row) -> str:
    source, reason = str(row["source"]), str(row["error"])
    return reason if reason.startswith(source) else f"{source}: {reason}"


def _summary(row: Row, labels: tuple[str, ...]) -> TrackSummary:
    plain = {name: row[name] for name in ("source", "track_id", "first_s", "last_s", "seen_s", "frames")}
    return TrackSummary(
        **plain,
        shares={label: row[f"share_{label}"] for label in (*labels, UNCERTAIN)},
        changes_per_minute=row["changes_per_minute"],
        statistics={name: {label: row[f"{name}_{label}"] for label in labels} for name in STATISTICS},
    )
