"""What ``mien analyze`` does: sources in, tables and annotated media out, one failure never stops the rest."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from mien.app.screen import printable
from mien.core.errors import MediaError, OptionError, OutputError
from mien.core.types import FrameResult
from mien.engine.pipeline import stream
from mien.engine.recognizer import Recognizer
from mien.engine.results import PICTURE_OPTIONS, VIDEO_FORMATS, Writer, open_annotation, table_header
from mien.engine.results import Table as ResultTable
from mien.engine.results.writer import STDOUT
from mien.engine.video import expand, probe
from mien.engine.video.sources import TIMEOUT_S
from mien.face.detectors import load_detector, resolve

MOST_ROWS = 40  # of the printed table; files always hold everything
FEW_ROWS = 5  # so few more are shown: a line that says what is left out saves nothing


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
    """Where results go; None where they were not asked for, ``-`` is standard output for one table.

    Raises
    ------
    OptionError
        If two outputs have one place, or one cannot hold what it is to hold.
    """

    jsonl: Path | None = None
    csv: Path | None = None
    parquet: Path | None = None
    annotate: Path | None = None

    def __post_init__(self) -> None:
        places = [str(path) for path in (*self.tables().values(), self.annotate) if path is not None]
        for place in places:
            if places.count(place) > 1:
                raise OptionError(f"{place}: is named for two outputs: give each its own")
        if str(self.annotate) == STDOUT:
            raise OptionError("--annotate does not write to standard output: name a file or folder")
        for kind, path in self.tables().items():
            # "--csv photo.jpg", with the name of the table forgotten, would replace the photo.
            if path.suffix.lower() in (*PICTURE_OPTIONS, *VIDEO_FORMATS):
                raise OptionError(f"{path}: is no name for a table: expected one like results.{kind}")

    @property
    def take_stdout(self) -> bool:
        """Whether a table goes to standard output, which nothing else may use then."""
        return STDOUT in map(str, self.tables().values())

    def tables(self) -> dict[str, Path]:
        """Return the tables asked for, by their kind."""
        asked = {"jsonl": self.jsonl, "csv": self.csv, "parquet": self.parquet}
        return {kind: path for kind, path in asked.items() if path is not None}


@dataclass
class Outcome:
    """What became of a run.

    Parameters
    ----------
    summaries : list of Summary
        One for each source of which at least one frame was read.
    failures : list of str
        One line for each source that could not be read, or not to its end, and for an output that ended the run.
    stopped : bool
        Whether Ctrl-C ended it.
    """

    summaries: list[Summary] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    stopped: bool = False


def analyze_sources(
    sources: Sequence[str],
    recognizer: Recognizer,
    detector: str,
    outputs: Outputs,
    console: Console,
    *,
    timeout_s: float = TIMEOUT_S,
) -> Outcome:
    """Read all sources and write what was asked for.

    Parameters
    ----------
    sources : sequence of str
        Files, folders, URLs, cameras; one that is given twice is read once.
    recognizer : Recognizer
    detector : str
        Name, as ``mien models`` lists them.
    outputs : Outputs
    console : Console
        Where progress is shown, if it is a terminal.
    timeout_s : float
        How long a URL may take to answer, in seconds.

    Returns
    -------
    Outcome
        Also after Ctrl-C, and when the disk is full: what was read by then is written.

    Raises
    ------
    OutputError, OptionError, MissingExtraError
        If an output cannot be opened, before any work.
    OptionError
        In the middle, if a URL that is to become a picture turns out to be a video.
    """
    outcome = Outcome()
    names = list(dict.fromkeys(_expanded(sources, outcome.failures)))
    finder = load_detector(detector)
    with ExitStack() as opened:
        writers = [opened.enter_context(writer) for writer in _writers(outputs, names, recognizer, detector)]
        stack = opened.pop_all()
    with _kept_from_failing(outcome), stack:
        bar = stack.enter_context(_bar(console))
        everything = bar.add_task("files", total=len(names), visible=len(names) > 1, now="")
        try:
            for name in names:
                results = stream(name, detector=finder, model=recognizer, timeout_s=timeout_s)
                _read(_watched(bar, name, results), Summary(name), writers, outcome)
                bar.advance(everything)
        except KeyboardInterrupt:  # how people end a camera: inside, so that writers close and the table is shown
            outcome.stopped = True
    return outcome


@contextmanager
def _kept_from_failing(outcome: Outcome) -> Iterator[None]:
    """Count an output that fails in the middle, as when the disk is full, among the failures."""
    try:
        yield
    except OutputError as error:
        if isinstance(error.__cause__, BrokenPipeError):  # no failure: whoever read us has enough
            raise
        outcome.failures.append(str(error))


def _expanded(sources: Sequence[str], failures: list[str]) -> Iterator[str]:
    for source in sources:
        if not source:  # to pathlib it is the current folder
            failures.append("'': is an empty name: expected a picture, a video, a folder, a URL or camera:0")
            continue
        try:
            yield from expand(source)
        except MediaError as error:
            failures.append(str(error))


def _read(results: Iterable[FrameResult], summary: Summary, writers: Sequence[Writer], outcome: Outcome) -> None:
    try:
        for result in results:
            summary.add(result)
            for writer in writers:
                writer.write(result)
    except MediaError as error:
        outcome.failures.append(str(error))
    finally:
        if summary.frames:
            outcome.summaries.append(summary)


def _writers(outputs: Outputs, names: list[str], recognizer: Recognizer, detector: str) -> Iterator[Writer]:
    if not names:
        return
    options = {"detector": resolve(detector)}
    card = recognizer.card
    header = table_header(card.labels, model=card.name, sha256=recognizer.model.sha256, options=options)
    for kind, path in outputs.tables().items():
        yield ResultTable(path, header, kind=kind)
    if outputs.annotate is not None:
        yield open_annotation(outputs.annotate, names)


@contextmanager
def _bar(console: Console) -> Iterator[Progress]:
    columns = (
        TextColumn("{task.description}", markup=False),
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
    task = bar.add_task(printable(Path(name).name or name), total=known.frame_count, now="")
    try:
        for result in results:
            bar.update(task, advance=1, now=" ".join(result.faces.expressions))
            yield result
    finally:
        bar.remove_task(task)


def summary_table(summaries: Sequence[Summary], *, written: Path | None = None) -> Table:
    """Return what was seen as a table for people: a row for each face of a picture and each person of a video.

    Parameters
    ----------
    summaries : sequence of Summary
    written : Path, optional
        File that holds everything, to be named where this table leaves something out.
    """
    table = Table(box=None, header_style="bold", pad_edge=False)
    for title in ("source", "face", "expression", "confidence", "frames", "seen"):
        table.add_column(
            title, justify="right" if title in ("face", "confidence", "frames") else "left", overflow="fold"
        )
    shared = Counter(Path(summary.source).name for summary in summaries)
    rows = [row for summary in summaries for row in _rows(summary, shared)]
    shown = rows if len(rows) <= MOST_ROWS + FEW_ROWS else rows[:MOST_ROWS]
    for row in shown:
        table.add_row(*row)
    if len(shown) < len(rows):
        place = f"everything is in {printable(str(written))}" if written else "write them with --csv FILE"
        table.caption = f"and {len(rows) - len(shown)} more rows: {place}"
    return table


def _rows(summary: Summary, shared: Counter[str]) -> Iterator[tuple[str, ...]]:
    last = Path(summary.source).name
    name = printable(last if shared[last] == 1 else summary.source)
    if not summary.people:
        yield name, "", "no face", "", f"0/{summary.frames}", ""
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
        name = ""  # a long name on every row hides who is who
