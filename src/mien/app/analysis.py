"""What ``mien analyze`` does: sources in, tables and annotated media out, one failure never stops the rest.

A video longer than one segment is read in segments that are kept beside the first output, in ``.NAME.parts``: the same
command, given again after it was stopped or killed, goes on there. They are removed once all is done.
"""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from math import inf, isinf
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from mien.app.report import Report, is_page
from mien.app.screen import printable
from mien.app.summary import Summary
from mien.core.errors import MediaError, OptionError, OutputError, WorkerError
from mien.core.types import FrameResult, Row
from mien.engine.measuring import NOTHING, Asked
from mien.engine.pipeline import stream
from mien.engine.recognizer import Recognizer
from mien.engine.results import (
    PICTURE_OPTIONS,
    VIDEO_FORMATS,
    AnnotatedFolder,
    EventTable,
    GroupTable,
    Subtitles,
    TrackTable,
    Writer,
    open_annotation,
    table_header,
)
from mien.engine.results import Table as ResultTable
from mien.engine.results.writer import STDOUT
from mien.engine.segments import Reading, Segment, SegmentedVideo, in_segments
from mien.engine.threads import Behind
from mien.engine.video import Source, expand, probe
from mien.engine.video.sources import RECONNECT_S, TIMEOUT_S, without_secrets
from mien.face.detectors import load_detector, resolve

TABLE_KINDS = ("jsonl", "csv", "parquet", "events", "tracks", "group", "subtitles")
EXAMPLES = {"subtitles": "talk.srt", **dict.fromkeys(("events", "tracks", "group"), "results.csv")}


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
    events: Path | None = None
    tracks: Path | None = None
    group: Path | None = None
    subtitles: Path | None = None
    annotate: Path | None = None
    report: Path | None = None

    def __post_init__(self) -> None:
        outputs = [path for path in (*self.tables().values(), self.annotate, self.report) if path is not None]
        places = Counter(output.resolve() for output in outputs)
        for output in outputs:
            if places[output.resolve()] > 1:
                raise OptionError(f"{output}: is named for two outputs: give each its own")
        for option, path in {"--annotate": self.annotate, "--report": self.report}.items():
            if str(path) == STDOUT:
                raise OptionError(f"{option} does not write to standard output: name a file or folder")
        for kind, path in self.tables().items():
            # "--csv photo.jpg", with the name of the table forgotten, would replace the photo.
            if path.suffix.lower() in (*PICTURE_OPTIONS, *VIDEO_FORMATS):
                example = EXAMPLES.get(kind, f"results.{kind}")
                raise OptionError(f"{path}: is no name for a table: expected one like {example}")

    @property
    def take_stdout(self) -> bool:
        """Whether a table goes to standard output, which nothing else may use then."""
        return STDOUT in map(str, self.tables().values())

    @property
    def parts(self) -> Path | None:
        """Where segments of long videos are kept: beside the first output on disk, if there is one."""
        paths = (*self.tables().values(), self.annotate, self.report)
        first = next((path for path in paths if path is not None and str(path) != STDOUT), None)
        return None if first is None else first.resolve().with_name(f".{first.name}.parts")

    def tables(self) -> dict[str, Path]:
        """Return what is written as text or table, by its kind."""
        asked = {name: getattr(self, name) for name in TABLE_KINDS}
        return {kind: path for kind, path in asked.items() if path is not None}


@dataclass(frozen=True)
class Options:
    """How sources are read.

    Parameters
    ----------
    detector : str
        Name, as ``mien models`` lists them.
    smoothing_s, timeout_s, reconnect_s, start_s, end_s, every_s : float
        As :func:`mien.stream` takes them.
    workers : int
        Processes that read one long video.
    blur : bool
        Make the faces in all that is drawn unrecognizable, and leave them out of the report.
    regions : bool
        Draw regions and landmarks too.
    asked : Asked
        What is measured besides expressions, and has columns.
    """

    detector: str = "auto"
    smoothing_s: float = 0.3
    timeout_s: float = TIMEOUT_S
    reconnect_s: float = RECONNECT_S
    start_s: float = 0.0
    end_s: float = inf
    every_s: float = 0.0
    workers: int = 1
    blur: bool = False
    regions: bool = False
    asked: Asked = NOTHING

    @property
    def needed(self) -> Asked:
        """What is measured besides expressions: what was asked for, and what is to be drawn."""
        return replace(self.asked, landmarks=self.asked.landmarks or self.regions)

    @property
    def times(self) -> dict[str, Any]:
        """The seconds that numbers depend on."""
        return {name: getattr(self, name) for name in ("smoothing_s", "start_s", "end_s", "every_s")}

    def told(self) -> dict[str, Any]:
        """Return what a table's header tells of them: all that its numbers depend on."""
        end_s = None if isinf(self.end_s) else self.end_s
        return {"detector": resolve(self.detector)} | self.times | {"end_s": end_s} | asdict(self.asked)

    def reading(self, name: str, recognizer: Recognizer) -> Reading:
        """Return how a video is read."""
        return Reading(name, str(recognizer.model.path), resolve(self.detector), **self.times, asked=self.needed)


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
    sources: Sequence[str], recognizer: Recognizer, options: Options, outputs: Outputs, console: Console
) -> Outcome:
    """Read all sources and write what was asked for.

    Parameters
    ----------
    sources : sequence of str
        Files, folders, URLs, cameras; one that is given twice is read once.
    recognizer : Recognizer
    options : Options
    outputs : Outputs
    console : Console
        Where progress is shown, if it is a terminal.

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
    with ExitStack() as opened:
        run = _Run(names, recognizer, options, outputs, opened, outcome.failures)
        stack = opened.pop_all()
    with _kept_from_failing(outcome), stack:
        bar = stack.enter_context(_bar(console))
        everything = bar.add_task("files", total=len(names), visible=len(names) > 1, now="")
        try:
            for name in names:
                _read(name, run, bar, outcome)
                bar.advance(everything)
            if outputs.parts:
                shutil.rmtree(outputs.parts, ignore_errors=True)
        except KeyboardInterrupt:  # how people end a camera: inside, so that writers close and the table is shown
            outcome.stopped = True
    return outcome


class _Run:
    """What is open while sources are read: the writers of all of them, and where segments are kept."""

    def __init__(
        self,
        names: Sequence[str],
        recognizer: Recognizer,
        options: Options,
        outputs: Outputs,
        stack: ExitStack,
        failures: Sequence[str],
    ) -> None:
        if outputs.subtitles and len(names) > 1:
            raise OptionError(f"{outputs.subtitles}: subtitles are of one video, not of {len(names)} sources: name one")
        if outputs.report and is_page(outputs.report) and len(names) > 1:
            raise OptionError(f"{outputs.report}: is one page, and there are {len(names)} sources: name a folder")
        self._recognizer, self._options, self._outputs = recognizer, options, outputs
        self._detector = load_detector(options.detector)
        tables = _tables(outputs, recognizer, options, failures) if names else ()
        self._tables = [stack.enter_context(table) for table in tables]
        self._annotation: Writer | None = None
        if names and outputs.annotate is not None:
            annotation = open_annotation(
                outputs.annotate, names, blur=options.blur, regions=options.regions, start_s=options.start_s
            )
            self._annotation = stack.enter_context(annotation)
        self._parts = outputs.parts or Path(stack.enter_context(tempfile.TemporaryDirectory()))

    @contextmanager
    def results(self, source: Source) -> Iterator[tuple[Iterator[FrameResult], list[Writer]]]:
        """Give the results of a source, and what they are to be written to."""
        reading = self._options.reading(source.name, self._recognizer)
        segments = reading.segments() if source.kind == "video" else []
        with ExitStack() as stack:
            if segments:
                results, video = self._in_segments(reading, segments)
            else:
                results, video = self._stream(source.name), None
            writers = [*self._tables, stack.enter_context(video) if video else self._annotation]
            yield stack.enter_context(closing(results)), [writer for writer in writers if writer]

    def _in_segments(
        self, reading: Reading, segments: Sequence[Segment]
    ) -> tuple[Generator[FrameResult, None, None], SegmentedVideo | None]:
        folder, video, options = self._parts / reading.key(self._recognizer), None, self._options
        path = self._outputs.annotate
        if path is not None:
            if isinstance(self._annotation, AnnotatedFolder):
                path = self._annotation.place(reading.source, ".mp4")
            video = SegmentedVideo(path, segments, folder, blur=options.blur, regions=options.regions)
        results = in_segments(
            reading,
            segments,
            folder,
            self._recognizer,
            workers=options.workers,
            needs_pictures=lambda segment: video is not None and not video.has(segment),
        )
        return results, video

    def _stream(self, name: str) -> Generator[FrameResult, None, None]:
        options = self._options
        return stream(
            name,
            detector=self._detector,
            model=self._recognizer,
            timeout_s=options.timeout_s,
            reconnect_s=options.reconnect_s,
            **options.times,
            **asdict(options.needed),
        )


def _tables(outputs: Outputs, recognizer: Recognizer, options: Options, failures: Sequence[str]) -> Iterator[Writer]:
    header = table_header(
        recognizer.card.labels,
        model=recognizer.card.name,
        sha256=recognizer.model.sha256,
        options=options.told(),
        landmarks=options.asked.landmarks,
        feature_names=options.asked.feature_names,
    )
    for kind, path in outputs.tables().items():
        yield WRITERS[kind](path, header)
    if outputs.report:
        yield Report(outputs.report, header, recognizer.card, has_faces=not options.blur, failures=failures)


def _summarizing(writer: type[EventTable | TrackTable | GroupTable], path: Path, header: Row) -> Writer:
    return writer(path, header, kind="csv" if str(path) == STDOUT else None)


def _subtitles(path: Path, _header: Row) -> Writer:
    return Subtitles(path, kind="srt" if str(path) == STDOUT else None)


WRITERS: dict[str, Callable[[Path, Row], Writer]] = {
    "jsonl": partial(ResultTable, kind="jsonl"),
    "csv": partial(ResultTable, kind="csv"),
    "parquet": partial(ResultTable, kind="parquet"),
    "events": partial(_summarizing, EventTable),
    "tracks": partial(_summarizing, TrackTable),
    "group": partial(_summarizing, GroupTable),
    "subtitles": _subtitles,
}
"""What writes each kind of output but pictures."""


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


def _read(name: str, run: _Run, bar: Progress, outcome: Outcome) -> None:
    summary = Summary(without_secrets(name))

    def write(result: FrameResult) -> None:
        for writer in writers:
            writer.write(result)

    try:
        source = probe(name)
        with run.results(source) as (results, writers), Behind(write) as output:
            for result in _watched(bar, source, results):
                summary.add(result)
                output.put(result)
    except (MediaError, WorkerError) as error:
        outcome.failures.append(str(error))
    finally:
        if summary.frames:
            outcome.summaries.append(summary)


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


def _watched(bar: Progress, source: Source, results: Iterator[FrameResult]) -> Iterator[FrameResult]:
    """Yield results while a bar shows how far they are and what was seen last."""
    if source.frame_count == 1:
        yield from results
        return
    task = bar.add_task(printable(Path(source.name).name or source.name), total=source.frame_count, now="")
    try:
        for result in results:
            bar.update(task, advance=1, now=" ".join(result.faces.expressions))
            yield result
    finally:
        bar.remove_task(task)
