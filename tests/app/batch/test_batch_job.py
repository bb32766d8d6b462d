"""A batch: what is in its data set, what is done again and what is not."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import fsspec
import pandas as pd
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from archives import WHOLE, Here, Rows, rows_of, run_here, tables_of, write_long_video
from footage import DARK, GLIMPSES, HEAD, write_photo, write_video
from rich.console import Console

import mien
from mien.app.analysis import Options, Outputs, analyze_sources
from mien.app.batch import store
from mien.app.batch.inputs import Input
from mien.app.batch.joining import SegmentTask
from mien.app.batch.store import Store
from mien.app.batch.tasks import Plan, Reply, Session, SourceTask, Task, packed
from mien.core.errors import OptionError, OutputError
from mien.core.types import columns
from mien.engine.measuring import Asked


def names(rows: Rows) -> set[str]:
    return {Path(str(row[0])).name for row in rows}


@pytest.fixture
def album(tmp_path: Path) -> Path:
    for number in range(4):
        write_photo(tmp_path / "album" / f"{number}.png", HEAD[: 200 - number])
    return tmp_path / "album"


def test_rows_are_those_of_analyze(archive: Path, unbroken: dict[str, Rows], tmp_path: Path) -> None:
    analyzed = {name: tmp_path / f"{name}.parquet" for name in ("rows", "events", "tracks")}
    outputs = Outputs(parquet=analyzed["rows"], events=analyzed["events"], tracks=analyzed["tracks"])
    outcome = analyze_sources([str(archive)], mien.load(), WHOLE, outputs, Console(quiet=True))
    for name, path in analyzed.items():
        read = pq.read_table(path)
        expected = sorted(zip(*(column.to_pylist() for column in read.columns), strict=True), key=repr)
        assert unbroken[name] == expected, name
    assert sorted(str(row[2]) for row in unbroken["errors"]) == sorted(outcome.failures)


def test_bad_inputs_are_errors_and_the_rest_is_done(unbroken: dict[str, Rows]) -> None:
    stages = {Path(str(source)).name: stage for source, stage, _ in unbroken["errors"]}
    assert stages == {"broken.jpg": "read", "text.mp4": "open", "torn.avi": "read"}
    assert names(unbroken["rows"]) == {"one.jpg", "two.png", "short.mkv", "long.mkv", "torn.avi"}
    assert len(unbroken["inputs"]) == 7


def test_people_of_a_long_video_keep_their_ids_over_seams(unbroken: dict[str, Rows]) -> None:
    long = [row for row in unbroken["rows"] if str(row[0]).endswith("long.mkv")]
    assert sorted(int(str(row[1])) for row in long) == list(range(150))
    assert {row[3] for row in long} == {1}


def test_all_readers_see_one_data_set(archive: Path, tmp_path: Path) -> None:
    run_here([str(archive)], tmp_path / "set")
    rows = ds.dataset(tmp_path / "set" / "rows").to_table()
    assert tuple(rows.column_names) == columns(mien.load().card.labels)
    frame = pd.read_parquet(tmp_path / "set" / "rows")
    assert list(frame.columns) == rows.column_names
    assert len(frame) == rows.num_rows
    header = json.loads(rows.schema.metadata[b"mien"])
    assert header["model"]["sha256"] == mien.load().model.sha256
    for name in ("events", "tracks", "errors", "inputs"):
        assert len(pd.read_parquet(tmp_path / "set" / name)) == len(rows_of(tmp_path / "set", name))


def test_the_manifest_tells_what_made_it(archive: Path, tmp_path: Path) -> None:
    run_here([str(archive / "one.jpg"), str(archive / "missing.jpg")], tmp_path / "set")
    manifest = json.loads((tmp_path / "set" / "manifest.json").read_text("utf-8"))
    assert manifest["mien"] == mien.__version__
    assert manifest["model"]["card"]["labels"] == list(mien.load().card.labels)
    assert manifest["options"]["detector"] == "whole"
    missing, one = manifest["inputs"]
    assert one["bytes"] == (archive / "one.jpg").stat().st_size
    assert len(one["sha256"]) == 64
    assert (missing["sha256"], missing["stage"]) == ("", "open")


def test_what_is_done_is_not_done_again_and_what_is_new_is(album: Path, tmp_path: Path) -> None:
    out = tmp_path / "set"
    _, first = run_here([str(album / "[01].png")], out)
    assert first.asked == ["0.png", "1.png"]
    _, second = run_here([str(album)], out)
    assert second.asked == ["2.png", "3.png"]
    assert len(rows_of(out)) == 4
    _, third = run_here([str(album)], out)
    assert third.asked == []


def test_a_changed_input_replaces_its_rows(album: Path, tmp_path: Path) -> None:
    out = tmp_path / "set"
    run_here([str(album)], out)
    write_photo(album / "1.png", DARK[:90])
    write_photo(album / "2.png", DARK[:80])
    _, again = run_here([str(album)], out)
    assert again.asked == ["1.png", "2.png"]
    heights = {Path(str(row[0])).name: round(float(str(row[8]))) for row in rows_of(out)}
    assert set(heights) == {"0.png", "1.png", "2.png", "3.png"}
    assert heights["2.png"] < heights["1.png"] < heights["3.png"]
    assert len(rows_of(out)) == len(rows_of(out, "inputs")) == 4


def test_a_file_that_is_only_touched_is_not_read_again(album: Path, tmp_path: Path) -> None:
    run_here([str(album)], tmp_path / "set")
    os.utime(album / "1.png", (1, 1))
    outcome, again = run_here([str(album)], tmp_path / "set")
    assert (again.asked, again.frames) == (["1.png"], 0)
    assert (outcome.sources, outcome.frames) == (4, 4)
    before = tables_of(tmp_path / "set")
    _, third = run_here([str(album)], tmp_path / "set")
    assert third.asked == []  # nor looked at again
    assert tables_of(tmp_path / "set") == before


def test_what_was_missing_is_tried_again(album: Path, tmp_path: Path) -> None:
    late, other, out = album / "late.png", album / "other.png", tmp_path / "set"
    outcome, _ = run_here([str(late), str(other)], out)
    assert len(outcome.failures) == len(rows_of(out, "errors")) == 2
    write_photo(late)
    outcome, _ = run_here([str(late)], out)
    assert [row[0] for row in rows_of(out, "errors")] == [str(other)]  # which this run was not asked for
    assert len(outcome.failures) == 1
    write_photo(other)
    outcome, _ = run_here([str(late), str(other)], out)
    assert (outcome.failures, rows_of(out, "errors")) == ([], [])


def test_what_could_not_be_listed_is_no_error_any_more_once_it_can_be(album: Path, tmp_path: Path) -> None:
    out, pattern, later, listed = tmp_path / "set", album / "*.jpg", tmp_path / "later", tmp_path / "list.txt"
    later.mkdir()
    listed.write_text("later\n", "utf-8")
    asked = [str(pattern), str(listed), f"file://{later}"]
    run_here(asked, out)
    assert {row[0] for row in rows_of(out, "errors")} == {str(pattern), str(later)}
    write_photo(album / "4.jpg")
    run_here(asked[:1], out)
    assert [row[0] for row in rows_of(out, "errors")] == [str(later)]
    write_photo(later / "5.jpg")
    outcome, _ = run_here(asked[1:], out)
    assert (outcome.failures, rows_of(out, "errors"), outcome.sources) == ([], [], 2)


def test_a_video_that_cannot_be_fetched_to_its_end_is_tried_again(tmp_path: Path) -> None:
    """Its first minute is read, then its server is gone."""
    video, system, out = write_long_video(tmp_path / "long.mkv"), fsspec.filesystem("memory"), tmp_path / "set"

    class Broken(Here):
        def _read(self, task: Task) -> Reply:
            assert self.session is not None
            if isinstance(task, SegmentTask) and task.segment.number == 1:
                self.session.fetcher.forget()
                system.rm("/long.mkv")
            return super()._read(task)

    source = "memory:///long.mkv"
    system.put(str(video), "/long.mkv")
    outcome, _ = run_here([source], out, Broken())
    assert ("cannot be fetched" in outcome.failures[0], outcome.frames, rows_of(out)) == (True, 0, [])
    assert [row[:2] for row in rows_of(out, "errors")] == [(source, "open")]
    system.put(str(video), "/long.mkv")
    outcome, again = run_here([source], out)
    assert (outcome.failures, outcome.frames, again.frames) == ([], 150, 90)
    assert len(rows_of(out)) == 150
    assert not list((out / ".tasks").iterdir())
    system.rm("/long.mkv")


def test_what_was_read_stays_when_it_is_not_there_any_more(album: Path, tmp_path: Path) -> None:
    out, system = tmp_path / "set", fsspec.filesystem("memory")
    system.put(str(album / "0.png"), "/album/0.png")
    sources = ["memory:///album/0.png", str(album / "1.png")]
    run_here(sources, out)
    before = tables_of(out)
    system.rm("/album/0.png")
    (album / "1.png").unlink()
    outcome, _ = run_here(sources, out)
    assert ["0.png" in line for line in outcome.failures] == [True, False]
    assert (len(outcome.failures), tables_of(out)) == (2, before)


def test_errors_are_read_again_only_when_asked(archive: Path, tmp_path: Path) -> None:
    sources = [str(archive / "broken.jpg"), str(archive / "one.jpg")]
    run_here(sources, tmp_path / "set")
    _, again = run_here(sources, tmp_path / "set")
    assert again.asked == []
    _, retried = run_here(sources, tmp_path / "set", retry=True)
    assert retried.asked == ["broken.jpg"]
    assert len(rows_of(tmp_path / "set", "errors")) == 1


def test_small_files_share_parts(album: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_here([str(album)], tmp_path / "one")
    assert len(list((tmp_path / "one" / "rows").iterdir())) == 1
    monkeypatch.setattr(store, "PART_SOURCES", 3)
    run_here([str(album)], tmp_path / "two")
    assert len(list((tmp_path / "two" / "rows").iterdir())) == 2
    assert tables_of(tmp_path / "one") == tables_of(tmp_path / "two")


def test_what_is_asked_for_besides_has_columns(archive: Path, tmp_path: Path) -> None:
    asked = Asked(landmarks=True, features=True, why=True, baseline_s=0.2)
    run_here([str(archive / "short.mkv")], tmp_path / "set", options=replace(WHOLE, asked=asked))
    expected = columns(mien.load().card.labels, landmarks=True, feature_names=asked.feature_names)
    assert tuple(ds.dataset(tmp_path / "set" / "rows").schema.names) == expected


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (replace(WHOLE, every_s=0.5), "every_s 0.0, not 0.5"),
        (replace(WHOLE, detector="haar"), 'detector "whole", not "haar"'),
        (replace(WHOLE, asked=Asked(landmarks=True)), "landmarks false, not true"),
    ],
)
def test_other_options_are_refused(options: Options, said: str, album: Path, tmp_path: Path) -> None:
    run_here([str(album)], tmp_path / "set")
    with pytest.raises(OptionError, match=said):
        run_here([str(album)], tmp_path / "set", options=options)


def test_another_model_is_refused(album: Path, tmp_path: Path) -> None:
    run_here([str(album)], tmp_path / "set")
    path = tmp_path / "set" / "manifest.json"
    path.write_text(path.read_text("utf-8").replace(mien.load().model.sha256, "0" * 64), "utf-8")
    with pytest.raises(OptionError, match=r"model default \(00000000\), not default .*name another folder"):
        run_here([str(album)], tmp_path / "set")


def test_a_folder_of_something_else_is_refused(album: Path, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="is no data set"):
        run_here([str(album)], album)
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "manifest.json").write_text("[]")
    with pytest.raises(OptionError, match="is no manifest"):
        run_here([str(album)], tmp_path / "set")


def test_a_second_writer_is_refused(tmp_path: Path) -> None:
    recognizer = mien.load()
    header = Plan("default", recognizer.model.sha256, WHOLE).header(recognizer)
    with Store(tmp_path / "set", header), pytest.raises(OutputError, match="another mien batch"):  # noqa: SIM117
        with Store(tmp_path / "set", header):
            pass


def test_other_files_in_the_data_set_stay(album: Path, tmp_path: Path) -> None:
    run_here([str(album)], tmp_path / "set")
    (tmp_path / "set" / "rows" / "notes.txt").write_text("mine")
    (tmp_path / "set" / "rows" / ".part-000007.parquet.partial").write_text("of a run that was killed")
    run_here([str(album)], tmp_path / "set")
    assert {path.name for path in (tmp_path / "set" / "rows").iterdir()} == {"notes.txt", "part-000000.parquet"}


def test_without_room_for_files_in_the_making_it_says_where(
    album: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = Session(Plan("default", mien.load().model.sha256, WHOLE), tmp_path / "missing")
    task = SourceTask(Input(str(album / "1.png")))
    with pytest.raises(OutputError, match="missing: cannot be written"):
        session(task)
    (tmp_path / "missing").mkdir()
    monkeypatch.setattr(SourceTask, "done", full)
    with pytest.raises(OutputError, match="missing: cannot be written"):
        session(task)


def full(*_arguments: object) -> Reply:
    raise OSError(errno.ENOSPC, "No space left on device")


class Killed(BaseException):
    """The process is no more."""


Kill = Callable[[int | None, type[BaseException]], None]


@pytest.fixture
def kill(monkeypatch: pytest.MonkeyPatch) -> Iterator[Kill]:
    """Return what ends this process before its n-th change to files from now; None lets it live.

    One that is killed changes no file any more; one that is interrupted, by Ctrl-C, goes on to its end.
    """
    left: int | None = None
    way: type[BaseException] = Killed

    def at(changes: int | None, by: type[BaseException]) -> None:
        nonlocal left, way
        left, way = changes, by

    def mortal(change: Callable[..., object]) -> Callable[..., object]:
        def changed(*arguments: object, **options: object) -> object:
            nonlocal left
            if left is not None:
                left -= 1
                if left == -1 or (left < 0 and way is Killed):
                    raise way
            return change(*arguments, **options)

        return changed

    for name in ("replace", "unlink"):
        monkeypatch.setattr(Path, name, mortal(getattr(Path, name)))
    yield at
    at(None, Killed)


@pytest.mark.parametrize("way", [Killed, KeyboardInterrupt])
def test_ended_at_any_change_it_goes_on_as_an_unbroken_run(
    way: type[BaseException], album: Path, tmp_path: Path, kill: Kill, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The data set has three parts; three of its inputs change, among them all of one part."""
    monkeypatch.setattr(store, "PART_SOURCES", 2)
    monkeypatch.setattr("mien.app.batch.job.load", cache(mien.load))
    write_video(album / "video.mkv", GLIMPSES)
    before, out, here = tmp_path / "before", tmp_path / "set", Here()
    run_here([str(album)], before, here)
    write_photo(album / "1.png", DARK)
    write_photo(album / "2.png", DARK)
    write_photo(album / "3.png", DARK)
    write_photo(album / "new.png")
    os.utime(album / "0.png", (1, 1))
    run_here([str(album)], tmp_path / "fresh", here)
    expected, changes, is_ended = tables_of(tmp_path / "fresh"), 0, True
    while is_ended:
        shutil.rmtree(out, ignore_errors=True)
        shutil.copytree(before, out)
        kill(changes, way)
        try:
            outcome, _ = run_here([str(album)], out, here)
            is_ended = outcome.stopped
        except way:
            pass
        kill(None, way)
        run_here([str(album)], out, here)
        assert tables_of(out) == expected, changes
        assert not list((out / ".tasks").iterdir()), changes
        changes += 1
    assert changes > 30


class Torn(Here):
    """Does not read a video to its end."""

    def _read(self, task: Task) -> Reply:
        if isinstance(task, SegmentTask) and task.segment.number == 1:
            told = task.told.failed("read", f"{task.told.source}: breaks off")
            return Reply(task.key, told, packed(told))
        return super()._read(task)


def test_a_killed_retry_keeps_what_it_has_read(tmp_path: Path, kill: Kill, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mien.app.batch.job.load", cache(mien.load))
    source, before, out, here = (
        str(write_long_video(tmp_path / "long.mkv")),
        tmp_path / "before",
        tmp_path / "set",
        Here(),
    )
    run_here([source], before, Torn())
    run_here([source], tmp_path / "fresh", here)
    old, new, found, changes, is_killed = tables_of(before), tables_of(tmp_path / "fresh"), [], 0, True
    while is_killed:
        shutil.rmtree(out, ignore_errors=True)
        shutil.copytree(before, out)
        here.frames, is_killed = 0, False
        kill(changes, Killed)
        try:
            run_here([source], out, here, retry=True)
        except Killed:
            is_killed = True
        kill(None, Killed)
        run_here([source], out, here)  # and whoever does not ask for more has what is whole
        found.append(tables_of(out))
        run_here([source], out, here, retry=True)
        assert tables_of(out) == new, changes
        assert here.frames <= 150 + 60, changes  # a minute may be lost
        assert not list((out / ".tasks").iterdir()), changes
        changes += 1
    first = found.index(new)
    assert found == [old] * first + [new] * (changes - first)
    assert 0 < first < changes - 5
