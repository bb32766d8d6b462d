"""What a run of ``mien analyze`` counts, shows and leaves behind."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from footage import GLIMPSES, HEAD, write_photo, write_video
from rich.console import Console

from mien.app.analysis import Options, Outputs, analyze_sources
from mien.app.summary import FEW_ROWS, MOST_ROWS, Summary, summary_table
from mien.core.errors import OptionError, OutputError
from mien.core.types import ByteArray, Faces, FloatArray, FrameResult
from mien.engine.explain import WHY_NAMES
from mien.engine.recognizer import Recognizer, load

LABELS = ("happy", "sad")
WHOLE = Options(detector="whole")


def console(*, is_terminal: bool = False) -> Console:
    return Console(file=io.StringIO(), force_terminal=is_terminal, width=100, markup=False, emoji=False)


def printed(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def table_lines(summaries: Sequence[Summary]) -> list[str]:
    screen = console()
    screen.print(summary_table(summaries))
    return [line.rstrip() for line in printed(screen).splitlines()]


def result(frame: int, *happy: float, ids: Sequence[int] | None = None, source: str = "a/talk.mp4") -> FrameResult:
    """Return a frame at 2 a second with a face for each share of ``happy``."""
    probabilities = np.array([[share, 1 - share] for share in happy], np.float32).reshape(-1, 2)
    faces = Faces(
        boxes_xyxy=np.zeros((len(happy), 4), np.float32),
        scores=np.ones(len(happy), np.float32),
        probabilities=np.empty((len(happy), 0), np.float32),
        labels=(),
        expressions=("",) * len(happy),
        confidences=np.ones(len(happy), np.float32),
        track_ids=None if ids is None else np.array(ids, np.int64),
    )
    return FrameResult(source, frame, frame / 2, None, faces.recognized(probabilities, LABELS))


def summary(*results: FrameResult) -> Summary:
    counted = Summary(results[0].source)
    for one in results:
        counted.add(one)
    return counted


class Interrupting(Recognizer):
    """A recognizer at whose third frame the user presses Ctrl-C."""

    def __init__(self) -> None:
        super().__init__(load().model)
        self._left = 2

    def probabilities(self, crops: Sequence[ByteArray] | ByteArray) -> FloatArray:
        if not self._left:
            raise KeyboardInterrupt
        self._left -= 1
        return super().probabilities(crops)


# --- the printed table


def test_a_row_for_each_person_of_a_video() -> None:
    video = summary(
        result(0, ids=[]),
        result(1, 0.9, ids=[2]),
        result(2, 0.8, 0.3, ids=[2, 1]),
        result(3, 0.4, ids=[2]),
    )
    assert table_lines([video]) == [
        "source    face  expression          confidence  frames  seen",
        "talk.mp4     1  sad 100%                  0.70     1/4  1.0-1.0 s",
        "             2  happy 67%, sad 33%        0.77     3/4  0.5-1.5 s",
    ]


def test_a_row_for_each_face_of_a_picture() -> None:
    photo, empty = summary(result(0, 0.9, 0.2, source="photo.jpg")), summary(result(0, source="empty.jpg"))
    assert table_lines([photo, empty]) == [
        "source     face  expression  confidence  frames  seen",
        "photo.jpg     0  happy             0.90     1/1",
        "              1  sad               0.80     1/1",
        "empty.jpg        no face                    0/1",
    ]


def test_reasons_are_told_over_all_frames_and_only_where_somebody_asked() -> None:
    seen = [result(frame, 0.9, 0.2, ids=[3, 8]) for frame in range(4)]
    shares = [[0.6, 0.0, 0.0, 0.4, 0.0], [np.nan] * 5]
    told = [replace(r, faces=r.faces.measured(WHY_NAMES, shares if r.frame else [[0.0] * 5] * 2)) for r in seen]
    title, *rows = table_lines([summary(*told)])
    assert title.split()[-1] == "why"
    assert rows[0].endswith("brows 60 %, mouth 40 %")  # the first frame gave no reason
    assert rows[1].endswith(" s")
    assert "why" not in table_lines([summary(*seen)])[0]


def test_what_has_one_name_is_told_apart_by_its_folder() -> None:
    lines = table_lines([summary(result(0, 0.9, source=source)) for source in ("a/x.jpg", "b/x.jpg", "b/y.jpg")])
    assert [line.split()[0] for line in lines[1:]] == ["a/x.jpg", "b/x.jpg", "y.jpg"]


def test_a_long_table_says_what_it_leaves_out() -> None:
    summaries = [summary(result(0, 0.9, source=f"{number}.jpg")) for number in range(MOST_ROWS + FEW_ROWS + 1)]
    lines = table_lines(summaries)
    assert "and 6 more rows: write them with --csv FILE" in lines[-1]
    assert len(lines) == MOST_ROWS + 2
    assert "and 6 more rows: everything is in a.csv" in str(summary_table(summaries, written=Path("a.csv")).caption)


def test_a_few_rows_more_are_shown() -> None:
    summaries = [summary(result(0, 0.9, source=f"{number}.jpg")) for number in range(MOST_ROWS + FEW_ROWS)]
    assert len(table_lines(summaries)) == MOST_ROWS + FEW_ROWS + 1
    assert summary_table(summaries).caption is None


# --- a run


def test_progress_is_for_terminals_only(tmp_path: Path) -> None:
    (tmp_path / "[").mkdir()
    sources = [str(write_video(tmp_path / "[" / "red].mkv")), str(write_video(tmp_path / "[bold].mkv"))]
    for is_terminal in (True, False):
        notes = console(is_terminal=is_terminal)
        outcome = analyze_sources(sources, load(), WHOLE, Outputs(), notes)
        assert [counted.frames for counted in outcome.summaries] == [len(GLIMPSES)] * 2
        assert ("red].mkv" in printed(notes)) == ("[bold].mkv" in printed(notes)) == is_terminal
    assert printed(notes) == ""


def test_ctrl_c_ends_a_run_with_what_was_read(tmp_path: Path) -> None:
    sources = [str(write_video(tmp_path / "a.mkv")), str(tmp_path / "missing.mkv")]
    outputs = Outputs(csv=tmp_path / "out.csv", annotate=tmp_path / "out")
    outcome = analyze_sources(sources, Interrupting(), WHOLE, outputs, console())
    assert outcome.stopped
    assert outcome.failures == []
    assert [counted.frames for counted in outcome.summaries] == [2]
    assert (tmp_path / "out.csv").read_text("utf-8").count("\n") == 3
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a.annotated.mp4"]


def test_an_output_that_cannot_be_opened_leaves_nothing_of_the_others(tmp_path: Path) -> None:
    photo = str(write_photo(tmp_path / "photo.png"))
    (tmp_path / "out.csv").write_text("of an earlier run", "utf-8")
    outputs = Outputs(jsonl=tmp_path / "out.jsonl", csv=tmp_path / "out.csv", annotate=tmp_path / "none" / "out.png")
    with pytest.raises(OutputError, match="cannot be written"):
        analyze_sources([photo], load(), WHOLE, outputs, console())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.csv", "photo.png"]
    assert (tmp_path / "out.csv").read_text("utf-8") == "of an earlier run"


def test_pages_and_pictures_have_no_ids(tmp_path: Path) -> None:
    photo = str(write_photo(tmp_path / "photo.tiff", HEAD))
    (counted,) = analyze_sources([photo], load(), WHOLE, Outputs(), console()).summaries
    assert list(counted.people) == [0]


# --- where results go


def test_outputs_are_checked_when_they_are_named() -> None:
    assert Outputs(csv=Path("a.csv"), jsonl=Path("-")).take_stdout
    assert not Outputs(csv=Path("a.csv"), annotate=Path("a.mp4")).take_stdout
    assert Outputs(csv=Path("a.csv"), parquet=Path("b")).tables() == {"csv": Path("a.csv"), "parquet": Path("b")}
    for wrong in (
        {"csv": Path("-"), "jsonl": Path("-")},
        {"csv": Path("a"), "annotate": Path("a")},
        {"annotate": Path("-")},
        {"jsonl": Path("photo.JPG")},
        {"parquet": Path("talk.mp4")},
    ):
        with pytest.raises(OptionError):
            Outputs(**wrong)
