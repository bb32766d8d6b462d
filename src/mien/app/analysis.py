"""What ``mien analyze`` does: sources in, tables and annotated media out, one failure never stops the rest."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from mien.core.errors import MediaError
from mien.core.types import FrameResult
from mien.engine.pipeline import stream
from mien.engine.recognizer import Recognizer
from mien.engine.results import Table as ResultTable
from mien.engine.results import Writer, open_annotation, table_header
from mien.engine.video import expand, probe
from mien.face.detectors import Detector, resolve

MOST_ROWS = 40  # of the printed table; files always hold everything


@dataclass
class Person:
    """What was seen of one face: of a track in a video, of a row in a still."""

    frames: int = 0
    first_s: float = 0.0
    last_s: float = 0.0
    confidence_sum: float = 0.0
    expressions: Counter[str] = field(default_factory=Counter)

    def add(self, time_s: float, expression: str, confidence: float) -> None:
        """Count one more frame."""
        if not self.frames:
            self.first_s = time_s
        self.frames, self.last_s = self.frames + 1, time_s
        self.confidence_sum += confidence
        self.expressions[expression] += 1


@dataclass
class Summary:
    """What was seen in one source; a few numbers for each person, however long it is."""

    source: str
    frames: int = 0
    people: dict[int, Person] = field(default_factory=lambda: defaultdict(Person))

    def add(self, result: FrameResult) -> None:
        """Count one more frame."""
        self.frames += 1
        faces = result.faces
        names = range(len(faces)) if faces.track_ids is None else faces.track_ids.tolist()
        for name, expression, confidence in zip(names, faces.expressions, faces.confidences.tolist(), strict=True):
            self.people[name].add(result.time_s, expression, confidence)


@dataclass(frozen=True)
class Outputs:
    """Where results go; None where they were not asked for, ``-`` is standard output for tables."""

    jsonl: Path | None = None
    csv: Path | None = None
    parquet: Path | None = None
    annotate: Path | None = None

    def tables(self) -> dict[str, Path]:
        """Return the tables asked for, by their kind."""
        asked = {"jsonl": self.jsonl, "csv": self.csv, "parquet": self.parquet}
        return {kind: path for kind, path in asked.items() if path is not None}


def analyze_sources(
    sources: Sequence[str], recognizer: Recognizer, detector: str | Detector, outputs: Outputs, console: Console
) -> tuple[list[Summary], list[str]]:
    """Read all sources and write what was asked for.

    Parameters
    ----------
    sources : sequence of str
        Files, folders, URLs, cameras.
    recognizer : Recognizer
    detector : str or Detector
    outputs : Outputs
    console : Console
        Where progress is shown, if it is a terminal.

    Returns
    -------
    summaries : list of Summary
        One for each source of which at least one frame was read.
    failures : list of str
        One line for each source that could not be read, or not to its end.

    Raises
    ------
    OutputError, OptionError, MissingExtraError
        If an output cannot be opened or written; before any work where that can be known.
    """
    failures: list[str] = []
    names = list(_expanded(sources, failures))
    summaries: list[Summary] = []
    with ExitStack() as stack:
        writers = [stack.enter_context(writer) for writer in _writers(outputs, names, recognizer, detector)]
        bar = stack.enter_context(_bar(console))
        everything = bar.add_task("files", total=len(names), visible=len(names) > 1, now="")
        for name in names:
            summary = Summary(name)
            try:
                for result in _watched(bar, name, stream(name, detector=detector, model=recognizer)):
                    summary.add(result)
                    for writer in writers:
                        writer.write(result)
            except MediaError as error:
                failures.append(str(error))
            finally:
                if summary.frames:
                    summaries.append(summary)
            bar.advance(everything)
    return summaries, failures


def _expanded(sources: Sequence[str], failures: list[str]) -> Iterator[str]:
    for source in sources:
        try:
            yield from expand(source)
        except MediaError as error:
            failures.append(str(error))


def _writers(outputs: Outputs, names: list[str], recognizer: Recognizer, detector: str | Detector) -> Iterator[Writer]:
    if not names:
        return
    options = {"detector": resolve(detector) if isinstance(detector, str) else type(detector).__name__}
    card = recognizer.card
    header = table_header(card.labels, model=card.name, sha256=recognizer.model.sha256, options=options)
    for kind, path in outputs.tables().items():
        yield ResultTable(path, header, kind=kind)
    if outputs.annotate is not None:
        yield open_annotation(outputs.annotate, names)


@contextmanager
def _bar(console: Console) -> Iterator[Progress]:
    columns = (
        TextColumn("{task.description}", table_column=None),
        BarColumn(),
        TaskProgressColumn(show_speed=True),
        TimeRemainingColumn(),
        TextColumn("{task.fields[now]}"),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as bar:
        yield bar


def _watched(bar: Progress, name: str, results: Iterator[FrameResult]) -> Iterator[FrameResult]:
    """Yield results while a bar shows how far they are and what was seen last."""
    known = probe(name)
    if known.frame_count == 1:
        yield from results
        return
    task = bar.add_task(Path(name).name or name, total=known.frame_count, now="")
    try:
        for result in results:
            bar.update(task, advance=1, now=" ".join(result.faces.expressions))
            yield result
    finally:
        bar.remove_task(task)


def summary_table(summaries: Sequence[Summary]) -> Table:
    """Return what was seen as a table for people: a row for each face of a picture and each person of a video."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for title in ("source", "face", "expression", "confidence", "frames", "seen"):
        table.add_column(
            title, justify="right" if title in ("face", "confidence", "frames") else "left", overflow="fold"
        )
    rows = [row for summary in summaries for row in _rows(summary)]
    for row in rows[:MOST_ROWS]:
        table.add_row(*row)
    if len(rows) > MOST_ROWS:
        table.caption = f"and {len(rows) - MOST_ROWS} more rows: write them with --csv FILE"
    return table


def _rows(summary: Summary) -> Iterator[tuple[str, ...]]:
    name = Path(summary.source).name or summary.source
    if not summary.people:
        yield name, "", "no face", "", str(summary.frames), ""
    for face, person in sorted(summary.people.items()):
        shares = [f"{label} {count / person.frames:.0%}" for label, count in person.expressions.most_common(2)]
        is_still = summary.frames == 1
        yield (
            name,
            str(face),
            next(iter(person.expressions)) if is_still else ", ".join(shares),
            f"{person.confidence_sum / person.frames:.2f}",
            f"{person.frames}/{summary.frames}",
            "" if is_still else f"{person.first_s:.1f}-{person.last_s:.1f} s",
        )
