"""Where the pages of a report go: one file for one source, a folder for several."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path

from mien.app.report.batches import Run
from mien.app.report.index import Entry, index_page
from mien.app.report.parts import card_of
from mien.app.report.places import INDEX, check_place, is_page
from mien.app.report.reading import Reading
from mien.app.report.seen import Seen
from mien.app.report.thumbnails import thumbnails
from mien.app.report.video import video_page
from mien.app.screen import counted
from mien.core.errors import DatasetError, OptionError
from mien.core.model import ModelCard
from mien.engine.events import Event
from mien.engine.results.writer import write_whole

PAGE, FOLDER = Path("report.html"), Path("report")
STEM = 60  # letters of a page's name


@dataclass
class Written:
    """What became of a report.

    Parameters
    ----------
    page : Path
        What to open.
    pages : int
        How many there are.
    failures : list of str
        A line for each file that could not be read, or not in full.
    """

    page: Path
    pages: int = 1
    failures: list[str] = field(default_factory=list)


def write_report(
    results: Sequence[Path],
    out: Path | None = None,
    *,
    has_faces: bool = True,
    card: ModelCard | None = None,
    unread: Sequence[str] = (),
) -> Written:
    """Write the report of results.

    Parameters
    ----------
    results : sequence of Path
        Files written by ``mien analyze``, folders written by ``mien batch``.
    out : Path, optional
        A page (``.html``) for one source, or a folder, which gets ``index.html`` and a page for each video; by default
        ``report.html`` for one source, ``report`` for several.
    has_faces : bool
        Whether faces are shown at the apexes of events, read from the sources where these still are.
    card : ModelCard, optional
        Of the model that read the sources; by default that of the shipped model of the same name and hash.
    unread : sequence of str
        A line for each source that could not be read, or not to its end.

    Raises
    ------
    DatasetError
        If no file of results could be read.
    OptionError
        If a page is named, and there are several sources.
    OutputError
        If the place cannot be written.
    MissingExtraError
        If plotly or pyarrow is not installed.
    """
    if out is not None:
        check_place(out)
    reading = Reading(results, errors=list(unread))
    sources = reading.sources()
    first = list(islice(sources, 2))
    if not first:
        raise DatasetError(reading.failures[0])
    makers = _Makers(reading, has_faces, card)
    if out is None:
        out = PAGE if len(first) == 1 else FOLDER
        check_place(out)
    if not is_page(out):
        return _folder(chain(first, sources), out, makers, reading.names())
    if len(first) > 1:
        raise OptionError(f"{out}: is one page, and there are several sources: name a folder")
    seen = first[0]
    seen.notices += reading.errors
    write_whole(out, makers.page(seen))
    return Written(out, failures=reading.failures)


@dataclass
class _Makers:
    """Makes the pages of sources, and remembers the cards of their models."""

    reading: Reading
    has_faces: bool
    card: ModelCard | None
    cards: dict[Run, ModelCard | None] = field(default_factory=dict)

    def card_of(self, run: Run) -> ModelCard | None:
        if run not in self.cards:
            self.cards[run] = self.card or self.reading.cards.get(run) or card_of(run)
        return self.cards[run]

    def page(self, seen: Seen, name: str = "", *, back: str = "") -> str:
        pictures: dict[Event, bytes] = {}
        if self.has_faces:
            folders = dict.fromkeys((Path(), *(path.parent for path in self.reading.paths)))
            pictures, why = thumbnails(seen, list(folders))
            seen.notices += [why] if why else []
        return video_page(seen, self.card_of(seen.run), pictures, name=name, back=back)


def _folder(sources: Iterable[Seen], out: Path, makers: _Makers, names: Mapping[str, str]) -> Written:
    entries: list[Entry] = []
    reading = makers.reading
    files = {INDEX}
    for seen in sources:
        name, file = names[seen.source], ""
        makers.card_of(seen.run)
        if not seen.is_still:
            file = _free_file(name, files)
            write_whole(out / file, makers.page(seen, name, back=INDEX))
        entries.append(Entry.of(seen, name, file))
    unread = [*reading.errors, *reading.failures]
    title = f"Report of {counted(len(entries), 'source', 'sources')}"
    write_whole(out / INDEX, index_page(entries, list(makers.cards.items()), unread, title))
    return Written(out / INDEX, len(files), reading.failures)


def _free_file(name: str, taken: set[str]) -> str:
    """Return a file name for the page of a source that no page has yet, and take it."""
    stem = re.sub(r"[^\w.-]+", "-", name).strip("-.")[:STEM] or "source"
    number = 1
    while (file := f"{stem}.html" if number == 1 else f"{stem}-{number}.html").lower() in taken:
        number += 1
    taken.add(file.lower())
    return file
