"""What lasts longer than a frame, written: tables of events, people and the group, and subtitles."""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import IO, Protocol

from mien.core.errors import OptionError
from mien.core.types import FrameResult, Row
from mien.engine.events import (
    EVENT_COLUMNS,
    Event,
    EventFinder,
    GroupSummarizer,
    TrackSummarizer,
    group_columns,
    track_columns,
)
from mien.engine.results.tables import TABLES, Format, RowWriter


class _Found(Protocol):
    def to_dict(self) -> Row: ...


class _Finder(Protocol):
    def update(self, result: FrameResult) -> Sequence[_Found]: ...
    def close(self) -> Sequence[_Found]: ...


class _FoundTable(RowWriter):
    """A table whose rows are what a finder finds; its name stands in the header under ``table``."""

    def __init__(
        self, path: str | Path, header: Row, kind: str | None, *, name: str, columns: tuple[str, ...], finder: _Finder
    ) -> None:
        super().__init__(path, header | {"table": name, "columns": list(columns)}, TABLES, kind=kind)
        self._finder = finder

    def rows(self, result: FrameResult) -> list[Row]:
        return [found.to_dict() for found in self._finder.update(result)]

    def last_rows(self) -> list[Row]:
        return [found.to_dict() for found in self._finder.close()]


class EventTable(_FoundTable):
    """One row for each event of each person, written when it is known to be over; a picture has none.

    The rows of a source are in the order in which its events end. Where there is no event, the table has no row. All
    else is as in :class:`Table`.

    Parameters
    ----------
    path : path_like
        As :class:`Table` takes it.
    header : dict
        That of the run, from :func:`table_header`; this table's name and columns are put in.
    kind : str, optional
        As :class:`Table` takes it.
    """

    def __init__(self, path: str | Path, header: Row, *, kind: str | None = None) -> None:
        super().__init__(path, header, kind, name="events", columns=EVENT_COLUMNS, finder=EventFinder())


class TrackTable(_FoundTable):
    """One row for each person of each video, written when the track is over; parameters as of :class:`EventTable`."""

    def __init__(self, path: str | Path, header: Row, *, kind: str | None = None) -> None:
        columns = track_columns(tuple(header["labels"]))
        super().__init__(path, header, kind, name="tracks", columns=columns, finder=TrackSummarizer())


class GroupTable(_FoundTable):
    """One row for each second of each source that has a frame; parameters as of :class:`EventTable`."""

    def __init__(self, path: str | Path, header: Row, *, kind: str | None = None) -> None:
        columns = group_columns(tuple(header["labels"]))
        super().__init__(path, header, kind, name="group", columns=columns, finder=GroupSummarizer())


class _CueRows:
    """Subtitles, numbered from 1; SubRip and WebVTT differ in a few signs."""

    def __init__(self, file: IO[bytes], _header: Row, *, head: str, point: str, escaped: Callable[[str], str]) -> None:
        self._file, self._point, self._escaped = file, point, escaped
        self._count = 0
        self._file.write(head.encode())

    def write(self, rows: list[Row]) -> None:
        for row in rows:
            self._count += 1
            times = f"{self._clock(row['start_ms'])} --> {self._clock(row['end_ms'])}"
            self._file.write(f"{self._count}\n{times}\n{self._escaped(row['text'])}\n\n".encode())
        self._file.flush()

    def _clock(self, time_ms: int) -> str:
        minutes, rest_ms = divmod(time_ms, 60_000)
        return f"{minutes // 60:02}:{minutes % 60:02}:{rest_ms // 1000:02}{self._point}{rest_ms % 1000:03}"

    def close(self) -> None:
        self._file.flush()


SUBTITLES: dict[str, Format] = {
    ".srt": partial(_CueRows, head="", point=",", escaped=str),
    ".vtt": partial(_CueRows, head="WEBVTT\n\n", point=".", escaped=partial(html.escape, quote=False)),
}
"""What writes subtitles, by the extension of their path."""


class Subtitles(RowWriter):
    """Who shows what, as subtitles of one video: ``1: happy``, one line for each person with an event.

    A cue lasts as long as its lines do not change; it is written when no later event can change it.

    Parameters
    ----------
    path : path_like
        ``.srt`` or ``.vtt``; ``"-"`` is standard output.
    kind : str, optional
        ``"srt"`` or ``"vtt"``, to go by instead of the path's extension.

    Raises
    ------
    OptionError
        If the extension is unknown; by :meth:`write` where a second source comes.
    OutputError
        If the path cannot be written.
    """

    def __init__(self, path: str | Path, *, kind: str | None = None) -> None:
        super().__init__(path, {"columns": ["start_ms", "end_ms", "text"]}, SUBTITLES, kind=kind)
        self._finder = EventFinder()
        self._events: list[Event] = []
        self._source: str | None = None
        self._told_ms = 0

    def rows(self, result: FrameResult) -> list[Row]:  # noqa: D102
        if self._source not in (None, result.source):
            raise OptionError(f"{self.path}: is of {self._source}: {result.source} needs subtitles of its own")
        self._source = result.source
        self._events += self._finder.update(result)
        return self._cues(self._finder.open_since_s)

    def last_rows(self) -> list[Row]:  # noqa: D102
        self._events += self._finder.close()
        return self._cues(math.inf)

    def _cues(self, settled_s: float) -> list[Row]:
        """Return the cues that end by a time, and forget the events that no later one shows."""
        lines = [
            (max(_milliseconds(event.onset_s), self._told_ms), _milliseconds(event.offset_s), event)
            for event in sorted(self._events, key=lambda event: event.track_id)
        ]
        lines = [(start, end, event) for start, end, event in lines if start < end]
        cues = []
        for start, end in pairwise(sorted({time for line in lines for time in line[:2]})):
            if end > 1000 * settled_s:
                break
            shown = [f"{event.track_id}: {event.expression}" for first, last, event in lines if first <= start < last]
            if shown:
                cues.append({"start_ms": start, "end_ms": end, "text": "\n".join(shown)})
            self._told_ms = end
        self._events = [event for _, end, event in lines if end > self._told_ms]
        return cues


def _milliseconds(time_s: float) -> int:
    return round(1000 * time_s)
