"""Results into what was seen in each source, whatever the format; and files that are no results, or torn."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_results import RATE, cells, frame, picture, seen_in, video, write, write_archive

from mien.app.report import lines
from mien.app.report.batches import Run, as_batch
from mien.app.report.reading import Reading
from mien.app.report.seen import Gap, see
from mien.core.labels import EXPRESSIONS
from mien.core.types import FACE_COLUMNS, FRAME_COLUMNS
from mien.engine.events import EventFinder, TrackSummarizer
from mien.engine.results import EventTable

FORMATS = ("jsonl", "csv", "parquet")
CODES = (*EXPRESSIONS, "uncertain")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the scene in every format, and as an archive."""
    folder = tmp_path_factory.mktemp("results")
    for suffix in FORMATS:
        write(folder / f"scene.{suffix}", video())
    write_archive(folder / "archive", video())
    return folder


def failure(path: Path) -> str:
    reading = Reading([path])
    assert list(reading.sources()) == []
    (line,) = reading.failures
    return line


@pytest.mark.parametrize("name", [*(f"scene.{suffix}" for suffix in FORMATS), "archive"])
def test_every_format_tells_the_same(folder: Path, name: str) -> None:
    (seen,) = seen_in(folder / name)
    assert (seen.source, seen.frames, seen.faces, seen.small_faces) == ("talk.mp4", 60, 50, 0)
    assert (seen.first_s, seen.end_s) == pytest.approx((0.0, 6.0))
    assert seen.gaps == [Gap(3.0, 4.5)]
    assert seen.with_face_s == pytest.approx(4.0)
    assert dict(zip(CODES, seen.answers.tolist(), strict=True)) == {
        **dict.fromkeys(CODES, 0),
        "neutral": 10,
        "happy": 20,
        "surprise": 10,
        "uncertain": 10,
    }
    finder, summarizer = EventFinder(), TrackSummarizer()
    assert seen.events == [event for result in video() for event in finder.update(result)] + finder.close()
    people = [one for result in video() for one in summarizer.update(result)] + summarizer.close()
    assert [person.to_dict() for person in seen.people] == [person.to_dict() for person in people]
    assert not seen.is_still


def test_a_batch_is_read_in_any_pieces(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (whole,) = seen_in(folder / "scene.jsonl")
    monkeypatch.setattr(lines, "CHUNK", 7)
    (pieces,) = seen_in(folder / "scene.jsonl")
    assert list(cells(pieces)) == list(cells(whole))
    assert (pieces.frames, pieces.gaps, pieces.events) == (whole.frames, whole.gaps, whole.events)
    assert pieces.with_face_s == pytest.approx(whole.with_face_s)


def test_what_an_archive_has_is_not_computed_again(tmp_path: Path) -> None:
    archive = write_archive(tmp_path / "set", video())
    other = [frame(index, {9: ("fear", 0.95)}) for index in range(9)]
    write(archive / "events" / "part-0.parquet", other, EventTable)
    (seen,) = seen_in(archive)
    assert [(event.track_id, event.expression) for event in seen.events] == [(9, "fear")]
    (archive / "events" / "part-0.parquet").unlink()
    (seen,) = seen_in(archive)
    assert [event.expression for event in seen.events] == ["happy", "surprise"]


def test_an_archive_tells_what_could_not_be_read(tmp_path: Path) -> None:
    archive = write_archive(tmp_path / "set", video())
    row = {"source": "bad.mp4", "stage": "open", "error": "bad.mp4: is empty"}
    (archive / "errors").mkdir()
    pq.write_table(pa.Table.from_pylist([row]), archive / "errors" / "part-0.parquet")
    reading = Reading([archive])
    assert len(list(reading.sources())) == 1
    assert (reading.errors, reading.failures) == (["bad.mp4: is empty"], [])


def test_sources_come_one_after_another_in_order(tmp_path: Path) -> None:
    results = [*video(source="b.mp4"), picture("a.jpg", "happy", "sad"), *video(source="a.mp4")]
    for suffix in FORMATS:
        seen = seen_in(write(tmp_path / f"all.{suffix}", results))
        assert [(one.source, one.is_still, one.frames) for one in seen] == [
            ("b.mp4", False, 60),
            ("a.jpg", True, 1),
            ("a.mp4", False, 60),
        ]


def test_a_source_in_two_files_counts_once(folder: Path) -> None:
    reading = Reading([folder / "scene.csv", folder / "scene.jsonl", folder / "scene.csv"])
    assert len(list(reading.sources())) == 1
    assert reading.failures == [
        f"{folder}/scene.jsonl: has talk.mp4 too, which is in {folder}/scene.csv: the first counts"
    ]


def test_two_paths_of_one_file_are_one_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    absolute = str(tmp_path / "talk.mp4")
    one, two = write(tmp_path / "one.jsonl", video()), write(tmp_path / "two.csv", video(source=absolute))
    both = write(tmp_path / "both.parquet", [*video(), *video(source=absolute)])
    assert len(list(Reading([one, two]).sources())) == 2  # the video is not there: nobody knows
    (tmp_path / "talk.mp4").touch()
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    for paths, line in (
        ([one, two], f"{two}: has {absolute} too, which is in {one} as talk.mp4: the first counts"),
        ([both], f"{absolute}: is talk.mp4, which was given before: the first counts"),
    ):
        reading = Reading(paths)
        assert [seen.source for seen in reading.sources()] == ["talk.mp4"]
        assert reading.failures == [line]
        assert reading.names() == {"talk.mp4": "talk.mp4"}
    assert len(seen_in(one, Path("../one.jsonl"))) == 1


def test_the_columns_of_what_was_asked_for_besides_are_no_labels(tmp_path: Path) -> None:
    path = tmp_path / "more.csv"
    names = (*FRAME_COLUMNS, *FACE_COLUMNS, "calm", "cross", "landmark_confidence", "landmark_0_x", "why_mouth")
    path.write_text(f"{','.join(names)}\na.mp4,0,0.0,1,0,1,2,60,90,0.9,cross,0.75,0.25,0.75,1,2,3\n", "utf-8")
    (seen,) = seen_in(path)
    assert seen.run.labels == ("calm", "cross")
    assert seen.answers.tolist() == [0, 1, 0]


def test_frames_far_apart_are_told_of(tmp_path: Path) -> None:
    results = [frame(index, {index: ("happy", 0.9)}, time_s=5.0 * index) for index in range(4)]
    (seen,) = seen_in(write(tmp_path / "slow.jsonl", results))
    assert "every 5 s" in seen.notices[0]


@settings(max_examples=25)
@given(share=st.floats(0.0, 1.0))
def test_what_is_torn_off_ends_the_file_and_the_rows_before_count(folder: Path, share: float) -> None:
    for suffix in ("jsonl", "csv"):
        content = (folder / f"scene.{suffix}").read_bytes()
        start = content.index(b"\n") + 1
        end = start + round(share * (len(content) - start))
        torn = folder / f"torn.{suffix}"
        torn.write_bytes(content[:end])
        rows = content[start:end].count(b"\n")
        is_torn = not content[:end].endswith(b"\n")
        # The last brace makes a row of JSON whole, with its line feed or without.
        rows, is_torn = (rows + 1, False) if content[:end].endswith(b"}") else (rows, is_torn)
        reading = Reading([torn])
        seen = list(reading.sources())
        if not rows:
            assert "broken" in reading.failures[0] or "no rows" in reading.failures[0]
            continue
        written = [row for result in video() for row in result.to_dicts()][:rows]
        assert seen[0].faces == sum(row["expression"] is not None for row in written)
        assert sum(len(one.notices) for one in seen) == is_torn
        if is_torn:
            assert f"at row {rows + 1}," in seen[0].notices[0]


def test_a_broken_row_in_the_middle_ends_the_file(folder: Path, tmp_path: Path) -> None:
    whole = (folder / "scene.jsonl").read_text("utf-8").splitlines(keepends=True)
    for wrong in (
        "[1]\n",
        whole[1].replace("source", "sauce"),
        '{"source": "talk.mp4"}\n',
        whole[1].replace('"frame": 0', '"frame": "x"'),
        "}\n",
    ):
        path = tmp_path / "wrong.jsonl"
        path.write_text("".join([*whole[:6], wrong, *whole[6:]]), "utf-8")
        reading = Reading([path])
        (seen,) = reading.sources()
        assert seen.frames == 5
        assert "breaks off at row 6" in seen.notices[0]
        assert reading.failures == seen.notices  # the command says it too, and ends with 1


def test_rows_in_another_order_are_refused(tmp_path: Path) -> None:
    """As a spreadsheet or pandas leaves them after sorting by a probability; or a table twice in one file."""
    lines = write(tmp_path / "scene.jsonl", video()).read_text("utf-8").splitlines(keepends=True)
    header, rows = lines[0], lines[1:]
    one, two = ([line.replace('"talk.mp4"', f'"{name}.mp4"') for line in rows] for name in ("one", "two"))
    path = tmp_path / "mixed.jsonl"
    for mixed, said in (
        ([*one, *two, *one], "has rows of one.mp4 in several places: expected them in the order that mien writes"),
        (rows[::-1], "whose times go back: expected them in the order that mien writes: sort them by source, time_s"),
    ):
        path.write_text("".join([header, *mixed]), "utf-8")
        reading = Reading([path])
        list(reading.sources())
        assert said in reading.failures[0]


def test_a_face_without_box_or_probabilities_is_no_row() -> None:
    row = video()[0].to_dicts()[0]
    for wrong in (
        {"x1": None},
        {"happy": 7.0},
        {"expression": "merry"},
        {"time_s": float("nan")},
        {"time_s": -5},
        {"track_id": 2**60},
    ):
        with pytest.raises((ValueError, KeyError)):
            as_batch([row | wrong], EXPRESSIONS)


def test_a_future_schema_is_refused(folder: Path, tmp_path: Path) -> None:
    newer = tmp_path / "newer.jsonl"
    newer.write_text((folder / "scene.jsonl").read_text("utf-8").replace('"schema": 1', '"schema": 2', 1), "utf-8")
    assert failure(newer) == f"{newer}: has schema 2, this mien knows 1: pip install -U mien"
    table = pq.read_table(folder / "scene.parquet")
    header = json.loads(table.schema.metadata[b"mien"]) | {"schema": 2}
    pq.write_table(table.replace_schema_metadata({"mien": json.dumps(header)}), tmp_path / "newer.parquet")
    assert "has schema 2" in failure(tmp_path / "newer.parquet")


def test_a_table_that_a_spreadsheet_wrote_again_is_read(folder: Path, tmp_path: Path) -> None:
    content = (folder / "scene.csv").read_text("utf-8")
    (tmp_path / "again.csv").write_bytes(content.replace("\n", "\r\n").encode("utf-8-sig"))
    (again,) = seen_in(tmp_path / "again.csv")
    (seen,) = seen_in(folder / "scene.csv")
    assert (again.answers.tolist(), again.notices) == (seen.answers.tolist(), [])


def test_missing_columns_are_named(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "few.csv"
    path.write_text("source,frame,happy\na.mp4,0,1\n", "utf-8")
    assert "has no column time_s, track_id" in failure(path)
    path.write_text(",".join((*FRAME_COLUMNS, *FACE_COLUMNS)) + "\n", "utf-8")
    assert "no column of probabilities" in failure(path)
    table = pq.read_table(folder / "scene.parquet").drop_columns(["x1"])
    pq.write_table(table, tmp_path / "few.parquet")
    assert "has no column x1" in failure(tmp_path / "few.parquet")


def test_what_is_no_results_is_refused_in_one_line(folder: Path, tmp_path: Path) -> None:
    contents = {"empty.jsonl": "", "empty.csv": "", "text.jsonl": "hello\n", "list.jsonl": "[]\n", "fake.parquet": "x"}
    contents["wide.csv"] = 200_000 * "x"
    for name, content in contents.items():
        (tmp_path / name).write_text(content, "utf-8")
    write(tmp_path / "events.csv", video(), EventTable)
    write(tmp_path / "events.jsonl", video(), EventTable)
    (tmp_path / "empty").mkdir()
    names = [*contents, "events.csv", "events.jsonl", "empty", "missing.csv", "notes.txt"]
    for name in names:
        line = failure(tmp_path / name)
        assert line.startswith(str(tmp_path / name))
        assert "expected" in line
        assert "\n" not in line
    header = (folder / "scene.jsonl").read_text("utf-8").splitlines(keepends=True)[0]
    (tmp_path / "header.jsonl").write_text(header, "utf-8")
    assert "has no rows" in failure(tmp_path / "header.jsonl")


def test_a_bad_file_does_not_stop_the_others(folder: Path) -> None:
    reading = Reading([folder / "missing.csv", folder / "scene.csv"])
    assert len(list(reading.sources())) == 1
    assert len(reading.failures) == 1


@given(flags=st.lists(st.booleans(), min_size=1, max_size=60), split=st.integers(0, 60))
def test_gaps_are_what_is_between_faces(flags: list[bool], split: int) -> None:
    rows = [
        row for index, flag in enumerate(flags) for row in frame(index, {1: ("sad", 0.9)} if flag else {}).to_dicts()
    ]
    batch = as_batch(rows, EXPRESSIONS)
    parts = [part for part in (batch[:split], batch[split:]) if len(part)]
    seen = see("a.mp4", Run(EXPRESSIONS), parts, found=([], []))
    expected: list[Gap] = []
    start: int | None = None
    for index, flag in enumerate([*flags, True]):
        if flag and start is not None:
            expected += [Gap(start / RATE, index / RATE)] if index - start >= RATE else []
            start = None
        elif not flag and start is None:
            start = index
    if len(flags) > 1:  # a picture has no length
        assert [(gap.start_s, gap.end_s) for gap in seen.gaps] == [
            pytest.approx((gap.start_s, gap.end_s)) for gap in expected
        ]
        assert (seen.with_face_s, seen.length_s) == pytest.approx((sum(flags) / RATE, len(flags) / RATE))
    assert seen.frames == len(flags)


def test_what_was_undecided_is_counted_in_pairs() -> None:
    results = [frame(index, {1: ("sad", 0.45)}) for index in range(5)]
    rows = [row for result in results for row in result.to_dicts()]
    for row in rows:
        row["neutral"] = 0.3
    seen = see("a.mp4", Run(EXPRESSIONS), [as_batch(rows, EXPRESSIONS)])
    first, second = np.unravel_index(int(seen.undecided.argmax()), seen.undecided.shape)
    assert (EXPRESSIONS[first], EXPRESSIONS[second], seen.undecided.sum()) == ("sad", "neutral", 5)
