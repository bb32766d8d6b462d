from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import pyarrow.parquet
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from read_back import files_in, read_table
from scenes import LABELS, film, result_of, showing

from mien.core.errors import MienError, OptionError, OutputError
from mien.core.types import FrameResult
from mien.engine.events import (
    EVENT_COLUMNS,
    Event,
    EventFinder,
    GroupSummarizer,
    TrackSummarizer,
    group_columns,
    track_columns,
)
from mien.engine.results import (
    SUBTITLES,
    TABLES,
    EventTable,
    GroupTable,
    Subtitles,
    TrackTable,
    Writer,
    read_jsonl,
    table_header,
)

HEADER = table_header(LABELS, model="m", sha256="00")
KINDS: list[Callable[..., Writer]] = [EventTable, TrackTable, GroupTable]
FINDERS: list[Callable[[], Any]] = [EventFinder, TrackSummarizer, GroupSummarizer]
SCENE = film(
    {
        1: [("neutral", 0.9, 1.0), ("happy", 0.8, 1.0), ("sad", 0.7, 0.8), ("neutral", 0.9, 1.0)],
        2: [("", 0, 0.5), ("surprise", 0.9, 1.1)],
    }
)


def feed(writer: Writer, results: Sequence[FrameResult]) -> None:
    for result in results:
        writer.write(result)


def write(writer: Writer, results: Sequence[FrameResult]) -> None:
    with writer:
        feed(writer, results)


def write_until_error(writer: Writer, results: Sequence[FrameResult]) -> None:
    with writer:
        feed(writer, results)
        raise MienError


def found_by(finder: Any, results: Sequence[FrameResult]) -> list[Any]:
    return [found for result in results for found in finder.update(result)] + list(finder.close())


# ---------------------------------------------------------------------------------------------------------- tables


@pytest.mark.parametrize("suffix", TABLES)
@pytest.mark.parametrize(("kind", "finder"), [*zip(KINDS, FINDERS, strict=True)])
def test_a_table_gives_back_what_was_found_to_the_bit(
    tmp_path: Path, kind: Callable[..., Writer], finder: Callable[[], Any], suffix: str
) -> None:
    results = [*SCENE, result_of(9.0, {}), result_of(0.0, {4: showing("sad", 0.7)}, source="é.mp4")]
    write(kind(tmp_path / f"a{suffix}", HEADER), results)
    rows = [found.to_dict() for found in found_by(finder(), results)]
    assert read_table(tmp_path / f"a{suffix}") == rows
    assert len(rows) >= 3
    assert files_in(tmp_path) == [f"a{suffix}"]


@pytest.mark.parametrize(
    ("kind", "name", "columns"),
    [
        (EventTable, "events", EVENT_COLUMNS),
        (TrackTable, "tracks", track_columns(LABELS)),
        (GroupTable, "group", group_columns(LABELS)),
    ],
)
def test_the_header_is_that_of_the_run_with_name_and_columns_of_the_table(
    tmp_path: Path, kind: Callable[..., Writer], name: str, columns: tuple[str, ...]
) -> None:
    write(kind(tmp_path / "a.jsonl", HEADER), SCENE)
    write(kind(tmp_path / "a.parquet", HEADER), SCENE)
    header, _ = read_jsonl(tmp_path / "a.jsonl")
    assert header == HEADER | {"table": name, "columns": list(columns)}
    schema = pyarrow.parquet.read_schema(tmp_path / "a.parquet")
    assert json.loads(schema.metadata[b"mien"]) == header
    assert tuple(schema.names) == columns


@pytest.mark.parametrize("suffix", TABLES)
@pytest.mark.parametrize("kind", [EventTable, TrackTable])
def test_a_table_without_a_row_is_there_with_its_header(
    tmp_path: Path, kind: Callable[..., Writer], suffix: str
) -> None:
    still = result_of(0.0, {1: showing("happy", 0.9)})
    still = replace(still, faces=replace(still.faces, track_ids=None))
    write(kind(tmp_path / f"a{suffix}", HEADER), [still])
    assert read_table(tmp_path / f"a{suffix}") == []
    if suffix == ".csv":
        columns = EVENT_COLUMNS if kind is EventTable else track_columns(LABELS)
        assert (tmp_path / "a.csv").read_text() == ",".join(columns) + "\n"


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_an_event_is_on_disk_when_it_is_over(tmp_path: Path, suffix: str) -> None:
    with EventTable(tmp_path / f"a{suffix}", HEADER) as table:
        for result in SCENE:
            table.write(result)
            lines = len((tmp_path / f".a{suffix}.partial").read_text("utf-8").splitlines())
            # Happy is over at 2.0 s, known at 2.2 s; but person 2, who left at 1.5 s, must be known to be gone.
            assert lines == 1 + (2 if result.time_s >= 2.6 else 0) + (result.time_s >= 3.0)


@pytest.mark.parametrize("suffix", TABLES)
def test_what_is_open_when_the_run_breaks_off_is_kept(tmp_path: Path, suffix: str) -> None:
    with pytest.raises(MienError):
        write_until_error(EventTable(tmp_path / f"a{suffix}", HEADER), SCENE[:16])
    rows = read_table(tmp_path / f"a{suffix}")
    assert [(row["expression"], row["offset_s"]) for row in rows] == [("happy", 1.5), ("surprise", 1.5)]


@pytest.mark.parametrize("name", [*(f"a{suffix}" for suffix in TABLES), *(f"b{suffix}" for suffix in SUBTITLES)])
def test_a_run_without_a_frame_leaves_the_older_file(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("older")
    writers = [Subtitles(tmp_path / name)] if name[0] == "b" else [kind(tmp_path / name, HEADER) for kind in KINDS]
    for writer in writers:
        with pytest.raises(MienError):
            write_until_error(writer, [])
        assert (tmp_path / name).read_text() == "older"
        assert files_in(tmp_path) == [name]


def test_other_labels_than_those_of_the_header_are_refused(tmp_path: Path) -> None:
    results = [result_of(i / 1, {1: [1.0]}, labels=("bored",)) for i in range(3)]
    for kind in (TrackTable, GroupTable):
        with pytest.raises(OptionError, match=r"no column '(share_)?bored'"):
            write(kind(tmp_path / "a.csv", HEADER), results)


@contextmanager
def room(size: int) -> Iterator[None]:
    """Let no file of this process grow beyond a size."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_a_disk_that_fills_up_leaves_whole_lines(tmp_path: Path, suffix: str) -> None:
    results = film({1: [("happy", 0.9, 0.5), ("sad", 0.9, 0.5)] * 20})
    write(EventTable(tmp_path / f"whole{suffix}", HEADER), results)
    with room(1500), pytest.raises(OutputError, match="cannot be written"):
        write(EventTable(tmp_path / f"a{suffix}", HEADER), results)
    rows = read_table(tmp_path / f"a{suffix}")
    assert 0 < len(rows) < 39
    assert rows == read_table(tmp_path / f"whole{suffix}")[: len(rows)]
    assert files_in(tmp_path) == [f"a{suffix}", f"whole{suffix}"]


def test_after_a_line_that_is_torn_nothing_is_written(tmp_path: Path) -> None:
    results = film({1: [("happy", 0.9, 0.5), ("sad", 0.9, 0.5)] * 20})
    table = EventTable(tmp_path / "a.csv", HEADER)
    with room(1500), pytest.raises(OutputError, match="cannot be written"):
        feed(table, results)
    table.close()  # there is room again, and an event is open
    rows = read_table(tmp_path / "a.csv")
    assert [row["offset_s"] for row in rows] == [0.5 * count for count in range(1, len(rows) + 1)]
    assert len(rows) < 39


def test_a_disk_that_is_full_at_the_end_is_told_and_cut_too(tmp_path: Path) -> None:
    results = film({1: [("happy", 0.9, 0.5), ("sad", 0.9, 0.5)]})
    write(Subtitles(tmp_path / "whole.srt"), results)
    whole = (tmp_path / "whole.srt").read_text()
    with room(len(whole) - 1), pytest.raises(OutputError, match="cannot be written"):
        write(Subtitles(tmp_path / "a.srt"), results)
    assert (tmp_path / "a.srt").read_text() == whole[: whole.index("2\n")]
    assert files_in(tmp_path) == ["a.srt", "whole.srt"]


# ------------------------------------------------------------------------------------------------------- subtitles


def read_cues(path: Path) -> list[tuple[int, int, str]]:
    """Return start and end in milliseconds and the text of each cue, by the letter of the formats."""
    text, head, point = path.read_text("utf-8"), "", ","
    if path.suffix == ".vtt":
        head, point = "WEBVTT\n\n", "."
    assert text.startswith(head)
    blocks = text.removeprefix(head).split("\n\n")
    assert blocks.pop() == ""
    cues = []
    for number, block in enumerate(blocks, 1):
        count, times, *lines = block.split("\n")
        assert count == str(number)
        start, end = (milliseconds(time, point) for time in times.split(" --> "))
        cues.append((start, end, "\n".join(lines)))
    return cues


def milliseconds(time: str, point: str) -> int:
    match = re.fullmatch(rf"(\d\d+):([0-5]\d):([0-5]\d){re.escape(point)}(\d{{3}})", time)
    assert match is not None
    hours, minutes, seconds, rest_ms = map(int, match.groups())
    return ((hours * 60 + minutes) * 60 + seconds) * 1000 + rest_ms


def test_golden_subtitles(tmp_path: Path) -> None:
    for name in ("a.srt", "a.vtt"):
        write(Subtitles(tmp_path / name), SCENE)
    assert (tmp_path / "a.srt").read_bytes().decode() == (
        "1\n00:00:00,500 --> 00:00:01,000\n2: surprise\n\n"
        "2\n00:00:01,000 --> 00:00:01,500\n1: happy\n2: surprise\n\n"
        "3\n00:00:01,500 --> 00:00:02,000\n1: happy\n\n"
        "4\n00:00:02,000 --> 00:00:02,800\n1: sad\n\n"
    )
    vtt = (tmp_path / "a.srt").read_text().replace(",", ".")
    assert (tmp_path / "a.vtt").read_bytes().decode() == f"WEBVTT\n\n{vtt}"


def test_subtitles_are_read_by_ffmpeg(tmp_path: Path) -> None:
    for name in ("a.srt", "a.vtt"):
        write(Subtitles(tmp_path / name), SCENE)
        with av.open(tmp_path / name) as container:
            packets = [(p.pts, p.duration, p.time_base, bytes(p).decode()) for p in container.demux() if p.size]
        cues = [(float((pts or 0) * tick), float((length or 0) * tick), text) for pts, length, tick, text in packets]
        assert cues == [
            (0.5, 0.5, "2: surprise"),
            (1.0, 0.5, "1: happy\n2: surprise"),
            (1.5, 0.5, "1: happy"),
            (2.0, 0.8, "1: sad"),
        ]


def test_hours_are_written(tmp_path: Path) -> None:
    late_s = 100 * 3600 + 59 * 60 + 58.5
    results = [replace(result, time_s=result.time_s + late_s) for result in film({1: [("happy", 0.9, 2.0)]})[:20]]
    for suffix, mark in ((".srt", ","), (".vtt", ".")):
        write(Subtitles(tmp_path / f"a{suffix}"), results)
        assert f"100:59:58{mark}500 --> 101:00:00{mark}400\n" in (tmp_path / f"a{suffix}").read_text()


def test_signs_of_webvtt_are_escaped(tmp_path: Path) -> None:
    labels = ("<b> & -->", "neutral")
    results = [result_of(i / 10, {1: [0.9, 0.1]}, labels=labels) for i in range(5)]
    for name in ("a.srt", "a.vtt"):
        write(Subtitles(tmp_path / name), results)
    assert read_cues(tmp_path / "a.srt")[0][2] == "1: <b> & -->"
    assert read_cues(tmp_path / "a.vtt")[0][2] == "1: &lt;b&gt; &amp; --&gt;"


@pytest.mark.parametrize(("name", "content"), [("a.srt", ""), ("a.vtt", "WEBVTT\n\n")])
def test_subtitles_without_an_event_are_there(tmp_path: Path, name: str, content: str) -> None:
    write(Subtitles(tmp_path / name), [result_of(0.0, {})])
    assert (tmp_path / name).read_text() == content


def test_subtitles_take_one_video(tmp_path: Path) -> None:
    other = [replace(result, source="other.mp4") for result in SCENE]
    with pytest.raises(OptionError, match=r"is of talk\.mp4: other\.mp4 needs subtitles of its own"):
        write(Subtitles(tmp_path / "a.srt"), [*SCENE, *other])
    assert len(read_cues(tmp_path / "a.srt")) == 4  # what was computed is kept
    with pytest.raises(OptionError, match=r"unknown kind of file '\.txt': expected one of \.srt, \.vtt"):
        Subtitles(tmp_path / "a.txt")


def test_a_cue_is_on_disk_when_nothing_can_change_it(tmp_path: Path) -> None:
    with Subtitles(tmp_path / "a.srt") as subtitles:
        for result in film({1: [("happy", 0.9, 1.0), ("sad", 0.9, 1.0), ("neutral", 0.9, 1.0)]}):
            subtitles.write(result)
            cues = (tmp_path / ".a.srt.partial").read_text().count("\n\n")
            assert cues == (result.time_s >= 1.2) + (result.time_s >= 2.2)


PARTS = st.lists(
    st.tuples(st.sampled_from(["", *LABELS]), st.just(0.9), st.sampled_from([0.1, 0.3, 0.7, 1.3])),
    min_size=1,
    max_size=6,
)


@pytest.mark.parametrize("suffix", SUBTITLES)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(people=st.dictionaries(st.integers(1, 5), PARTS, min_size=1, max_size=3), goes_back=st.booleans())
def test_laws_of_subtitles(
    tmp_path: Path, suffix: str, people: dict[int, list[tuple[str, float, float]]], goes_back: bool
) -> None:
    results = film(people, rate=12) * (1 + goes_back)
    write(Subtitles(tmp_path / f"a{suffix}"), results)
    cues = read_cues(tmp_path / f"a{suffix}")
    assert all(start < end for start, end, _ in cues)
    for (_, end, text), (start, _, later) in pairwise(cues):
        assert end <= start
        assert end < start or text != later
    if not goes_back:
        events: list[Event] = found_by(EventFinder(), results)
        for time_ms in range(0, round(1000 * results[-1].time_s), 37):
            shown = [text for start, end, text in cues if start <= time_ms < end]
            assert shown == _shown(events, time_ms)


def _shown(events: list[Event], time_ms: int) -> list[str]:
    open_then = [e for e in events if round(1000 * e.onset_s) <= time_ms < round(1000 * e.offset_s)]
    lines = [f"{event.track_id}: {event.expression}" for event in sorted(open_then, key=lambda event: event.track_id)]
    return ["\n".join(lines)] if lines else []


# ------------------------------------------------------------------------------------------------------------ docs


def schema_page() -> dict[str, str]:
    """Return the sections of docs/schema.md by their titles."""
    text = (Path(__file__).resolve().parents[2] / "docs" / "schema.md").read_text("utf-8")
    return {section.split("\n")[0]: section for section in text.split("\n## ")}


@pytest.mark.parametrize(
    ("title", "columns"),
    [("Events", EVENT_COLUMNS), ("People", track_columns(LABELS)), ("The group", group_columns(LABELS))],
)
def test_the_schema_page_has_every_column_in_order(title: str, columns: tuple[str, ...]) -> None:
    shown = re.findall(r"^\| `([\w<>]+)` \(", schema_page()[title], re.MULTILINE)
    expanded = [[n.replace("<label>", label) for label in LABELS] if "<label>" in n else [n] for n in shown]
    assert tuple(name for names in expanded for name in names) == columns


def test_the_schema_page_shows_what_is_written(tmp_path: Path) -> None:
    labels = ("happy", "neutral")
    happy = [0.125] * 8 + [0.75] * 4 + [0.875] * 4 + [0.125] * 17
    results = [result_of(i / 8, {1: [p, 1 - p]}, labels=labels) for i, p in enumerate(happy)]
    results.append(result_of(5.5, {}, labels=labels))
    header = table_header(labels, model="m", sha256="00")
    for title, kind in zip(("Events", "People", "The group"), KINDS, strict=True):
        write(kind(tmp_path / "a.csv", header), results)
        assert f"```text\n{(tmp_path / 'a.csv').read_text()}```" in schema_page()[title]
    write(Subtitles(tmp_path / "a.vtt"), results)
    assert f"```text\n{(tmp_path / 'a.vtt').read_text().strip()}\n```" in schema_page()["Subtitles"]
