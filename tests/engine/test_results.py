from __future__ import annotations

import errno
import io
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pyarrow.parquet
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from read_back import files_in, read_table

import mien
from mien.core.errors import DatasetError, MienError, MissingExtraError, OptionError, OutputError
from mien.core.labels import EXPRESSIONS
from mien.core.types import ByteArray, Faces, FrameResult, Row, columns
from mien.engine.drawing import draw
from mien.engine.results import (
    PICTURE_OPTIONS,
    TABLES,
    VIDEO_FORMATS,
    AnnotatedFolder,
    AnnotatedPicture,
    AnnotatedVideo,
    Table,
    Writer,
    open_annotation,
    read_jsonl,
    table_header,
    tables,
)

HEADER = table_header(EXPRESSIONS, model="default", sha256="ab12", options={"detector": "auto", "path": Path("a")})


def make_result(
    frame: int = 0, *, faces: int = 1, source: str = "talk.mp4", image: ByteArray | None = None
) -> FrameResult:
    rng = np.random.default_rng(frame)
    found = Faces.detected(rng.uniform(0, 99, (faces, 4)), rng.uniform(0, 1, faces))
    found = found.recognized(rng.dirichlet(np.ones(7), faces), EXPRESSIONS, uncertain_below=0.3)
    if frame % 2:
        found = replace(found, track_ids=rng.integers(0, 9, faces))
    return FrameResult(source, frame, frame / 3, image, found)


def rows_of(results: list[FrameResult]) -> list[Row]:
    return [row for result in results for row in result.to_dicts()]


def write_table(path: Path, results: list[FrameResult]) -> None:
    with Table(path, HEADER) as table:
        for result in results:
            table.write(result)


def write_until(error: type[BaseException], writer: Writer, results: list[FrameResult]) -> None:
    with writer:
        for result in results:
            writer.write(result)
        raise error


# ---------------------------------------------------------------------------------------------------------- tables


@pytest.mark.parametrize("suffix", TABLES)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(st.lists(st.integers(0, 3), min_size=1, max_size=6), st.text(min_size=1))
def test_a_table_gives_back_every_number_to_the_bit(
    tmp_path: Path, suffix: str, counts: list[int], source: str
) -> None:
    source = source.encode("utf-8", "replace").decode()
    results = [make_result(frame, faces=count, source=source) for frame, count in enumerate(counts)]
    write_table(tmp_path / f"out{suffix}", results)
    assert read_table(tmp_path / f"out{suffix}") == rows_of(results)
    assert files_in(tmp_path) == [f"out{suffix}"]


def test_golden_csv_and_json_lines(tmp_path: Path) -> None:
    faces = Faces.detected([[1, 2, 3.5, 4]], [0.5]).recognized([[0.25, 0.75]], ("happy", "sad"))
    header = table_header(("happy", "sad"), model="m", sha256="00")
    results = [
        FrameResult("é.mp4", 0, 0.0, None, Faces.empty(("happy", "sad"))),
        FrameResult("é.mp4", 1, 0.1, None, faces),
    ]
    for name in ("a.csv", "a.jsonl"):
        with Table(tmp_path / name, header) as table:
            for result in results:
                table.write(result)
    assert (tmp_path / "a.csv").read_bytes().decode() == (
        "source,frame,time_s,track_id,face,x1,y1,x2,y2,score,expression,confidence,happy,sad\n"
        "é.mp4,0,0.0,,,,,,,,,,,\n"
        "é.mp4,1,0.1,,0,1.0,2.0,3.5,4.0,0.5,sad,0.75,0.25,0.75\n"
    )
    lines = (tmp_path / "a.jsonl").read_bytes().decode().splitlines()
    assert lines[0].startswith('{"schema": 1, ')
    assert json.loads(lines[0]) == {
        "schema": 1,
        "mien": mien.__version__,
        "model": {"name": "m", "sha256": "00"},
        "options": {},
        "labels": ["happy", "sad"],
        "columns": list(columns(("happy", "sad"))),
    }
    assert lines[1] == (
        '{"source": "é.mp4", "frame": 0, "time_s": 0.0, "track_id": null, "face": null, "x1": null, "y1": null, '
        '"x2": null, "y2": null, "score": null, "expression": null, "confidence": null, "happy": null, "sad": null}'
    )


def test_the_header_is_in_json_lines_and_in_parquet(tmp_path: Path) -> None:
    write_table(tmp_path / "a.jsonl", [make_result()])
    write_table(tmp_path / "a.parquet", [make_result()])
    assert read_jsonl(tmp_path / "a.jsonl")[0] == HEADER
    assert HEADER["options"] == {"detector": "auto", "path": "a"}
    metadata = pyarrow.parquet.read_schema(tmp_path / "a.parquet").metadata
    assert json.loads(metadata[b"mien"]) == HEADER


@pytest.mark.parametrize("suffix", TABLES)
def test_faces_that_are_not_recognized_have_empty_cells(tmp_path: Path, suffix: str) -> None:
    faces = Faces.detected([[0, 0, 9, 9]], [0.5])
    write_table(tmp_path / f"a{suffix}", [FrameResult("a.jpg", 0, 0.0, None, faces)])
    (row,) = read_table(tmp_path / f"a{suffix}")
    assert row["score"] == 0.5
    assert row["confidence"] is None


@pytest.mark.parametrize("suffix", TABLES)
def test_a_file_name_that_is_no_text_is_written(tmp_path: Path, suffix: str) -> None:
    write_table(tmp_path / f"a{suffix}", [make_result(source="caf\udce9.jpg")])
    (row,) = read_table(tmp_path / f"a{suffix}")
    assert row["source"] in ("caf\udce9.jpg", "caf\\udce9.jpg")


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_rows_are_on_disk_before_the_end(tmp_path: Path, suffix: str) -> None:
    with Table(tmp_path / f"a{suffix}", HEADER) as table:
        table.write(make_result())
        assert files_in(tmp_path) == [f".a{suffix}.partial"]
        assert len((tmp_path / f".a{suffix}.partial").read_text("utf-8").splitlines()) == 2


def test_parquet_comes_in_row_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "ROWS_IN_GROUP", 4)
    write_table(tmp_path / "a.parquet", [make_result(frame) for frame in range(10)])
    metadata = pyarrow.parquet.read_metadata(tmp_path / "a.parquet")
    assert [metadata.row_group(index).num_rows for index in range(metadata.num_row_groups)] == [4, 4, 2]


@pytest.mark.parametrize("suffix", TABLES)
@pytest.mark.parametrize("error", [MienError, KeyboardInterrupt])
def test_what_was_computed_is_kept_when_the_run_breaks_off(
    tmp_path: Path, suffix: str, error: type[BaseException]
) -> None:
    results = [make_result(frame) for frame in range(3)]
    with pytest.raises(error):
        write_until(error, Table(tmp_path / f"a{suffix}", HEADER), results)
    assert read_table(tmp_path / f"a{suffix}") == rows_of(results)
    assert files_in(tmp_path) == [f"a{suffix}"]


@pytest.mark.parametrize("suffix", TABLES)
def test_a_run_without_a_frame_leaves_the_older_file(tmp_path: Path, suffix: str) -> None:
    (tmp_path / f"a{suffix}").write_text("older")
    with pytest.raises(MienError), Table(tmp_path / f"a{suffix}", HEADER):
        raise MienError
    assert (tmp_path / f"a{suffix}").read_text() == "older"
    assert files_in(tmp_path) == [f"a{suffix}"]


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_a_disk_that_fills_up_is_one_line_and_keeps_what_is_there(tmp_path: Path, suffix: str) -> None:
    class FullDisk(io.BytesIO):
        def write(self, data: Any) -> int:
            if self.tell() > 3000:
                raise OSError(errno.ENOSPC, "No space left on device")
            return super().write(data)

    table = Table(tmp_path / f"a{suffix}", HEADER)
    table.write(make_result(0))
    table._rows = TABLES[suffix](FullDisk(), HEADER)
    with pytest.raises(OutputError, match="No space left on device"):
        write_until(MienError, table, [make_result(frame) for frame in range(1, 50)])
    assert read_table(tmp_path / f"a{suffix}") == make_result(0).to_dicts()
    assert files_in(tmp_path) == [f"a{suffix}"]


def test_standard_output(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    with Table("-", HEADER, kind="jsonl") as table:
        table.write(make_result(source="é"))
    lines = stream.buffer.getvalue().decode("utf-8").splitlines()
    assert [json.loads(line) for line in lines] == [HEADER, *make_result(source="é").to_dicts()]


@pytest.mark.parametrize("name", ["a.xlsx", "a", "-", "a.csv.gz"])
def test_an_unknown_kind_of_table_is_refused_with_the_known_ones(tmp_path: Path, name: str) -> None:
    with pytest.raises(OptionError, match=r"expected one of \.jsonl, \.json, \.csv, \.parquet"):
        Table(name if name == "-" else tmp_path / name, HEADER)


def writers(folder: Path) -> list[tuple[type[Writer], tuple[Any, ...]]]:
    kinds = [(Table, (folder / name, HEADER)) for name in ("a.csv", "a.jsonl", "a.parquet")]
    return [*kinds, (AnnotatedPicture, (folder / "a.png",)), (AnnotatedVideo, (folder / "a.mp4",))]


@pytest.mark.parametrize("index", range(5))
def test_a_place_that_cannot_be_written_is_refused_before_the_work(tmp_path: Path, index: int) -> None:
    kind, arguments = writers(tmp_path / "missing")[index]
    with pytest.raises(OutputError, match="cannot be written") as caught:
        kind(*arguments)
    assert "\n" not in str(caught.value)
    kind, arguments = writers(tmp_path)[index]
    Path(arguments[0]).mkdir()
    with pytest.raises(OutputError, match="no plain file"):
        kind(*arguments)


def test_a_column_that_the_table_does_not_have_is_refused(tmp_path: Path) -> None:
    faces = Faces.detected([[0, 0, 9, 9]], [1]).recognized([[1.0]], ("bored",))
    with Table(tmp_path / "a.csv", HEADER) as table, pytest.raises(OptionError, match="no column 'bored'"):
        table.write(FrameResult("a", 0, 0.0, None, faces))


def test_without_pyarrow_parquet_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'mien\[analysis\]'"):
        Table(tmp_path / "a.parquet", HEADER)
    assert files_in(tmp_path) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no header"),
        ('{"a": 1}\n', "no header"),
        ('{"schema": 9}\n', "schema 1"),
        ('{"schema": 1}\n{"a"\n', "line 2"),
    ],
)
def test_json_lines_that_are_not_ours_are_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "a.jsonl").write_text(text)
    with pytest.raises(DatasetError, match=message):
        read_jsonl(tmp_path / "a.jsonl")
    with pytest.raises(DatasetError, match="cannot be read"):
        read_jsonl(tmp_path / "b.jsonl")


# ------------------------------------------------------------------------------------------------------ annotation


def picture_of(height: int, width: int, value: int = 120) -> ByteArray:
    return np.full((height, width, 3), (value, 90, 40), np.uint8)


def faceless(frame: int, time_s: float, image: ByteArray | None, source: str = "talk.mp4") -> FrameResult:
    return FrameResult(source, frame, time_s, image, Faces.empty(EXPRESSIONS))


def read_video(path: Path) -> tuple[list[float], list[ByteArray]]:
    with av.open(path) as container:
        frames = list(container.decode(video=0))
    return [float(frame.time or 0) for frame in frames], [
        np.asarray(frame.to_ndarray(format="rgb24"), np.uint8) for frame in frames
    ]


@pytest.mark.parametrize("suffix", VIDEO_FORMATS)
@pytest.mark.parametrize("start_s", [0.0, 5.25])
def test_a_video_keeps_irregular_times(tmp_path: Path, suffix: str, start_s: float) -> None:
    times = [start_s + time for time in (0, 0.04, 0.1, 0.111111, 0.5, 0.533333, 2.0)]
    with AnnotatedVideo(tmp_path / f"a{suffix}") as video:
        for frame, time_s in enumerate(times):
            video.write(faceless(frame, time_s, picture_of(48, 64, 20 * frame)))
    read, pictures = read_video(tmp_path / f"a{suffix}")
    assert read == pytest.approx(times, abs=0.0006 if suffix == ".mkv" else 1 / 90_000)
    for frame, picture in enumerate(pictures):
        assert np.abs(picture.astype(int) - picture_of(48, 64, 20 * frame)).max() <= 4
    with av.open(tmp_path / f"a{suffix}") as container:
        assert container.duration is not None
        assert container.duration / 1e6 >= times[-1] - start_s
    assert files_in(tmp_path) == [f"a{suffix}"]


def test_two_frames_of_one_time_are_both_kept(tmp_path: Path) -> None:
    with AnnotatedVideo(tmp_path / "a.mp4") as video:
        for frame, time_s in enumerate([0.0, 0.0, 0.1]):
            video.write(faceless(frame, time_s, picture_of(48, 64)))
    assert read_video(tmp_path / "a.mp4")[0] == pytest.approx([0, 1 / 90_000, 0.1], abs=1e-5)


@pytest.mark.parametrize("size", [(49, 64), (48, 65), (49, 65), (1, 1)])
def test_odd_sizes_grow_by_one_pixel(tmp_path: Path, size: tuple[int, int]) -> None:
    with AnnotatedVideo(tmp_path / "a.mp4") as video:
        video.write(faceless(0, 0.0, picture_of(*size)))
        video.write(faceless(1, 0.1, picture_of(*size)))
    _, pictures = read_video(tmp_path / "a.mp4")
    assert [picture.shape for picture in pictures] == [(size[0] + size[0] % 2, size[1] + size[1] % 2, 3)] * 2
    assert np.abs(pictures[0].astype(int) - (120, 90, 40)).max() <= 4


def test_a_frame_of_another_size_is_fitted_between_black_bars(tmp_path: Path) -> None:
    with AnnotatedVideo(tmp_path / "a.mp4") as video:
        video.write(faceless(0, 0.0, picture_of(64, 64)))
        video.write(faceless(1, 0.1, picture_of(32, 128)))
    second = read_video(tmp_path / "a.mp4")[1][1].astype(int)
    assert second.shape == (64, 64, 3)
    assert second[:22].max() <= 8
    assert second[42:].max() <= 8
    assert np.abs(second[28:36] - (120, 90, 40)).max() <= 8


def test_a_video_that_breaks_off_is_kept_and_can_be_played(tmp_path: Path) -> None:
    frames = [faceless(frame, frame / 25, picture_of(48, 64)) for frame in range(5)]
    with pytest.raises(MienError):
        write_until(MienError, AnnotatedVideo(tmp_path / "a.mp4"), frames)
    assert len(read_video(tmp_path / "a.mp4")[0]) == 5


def test_faces_are_drawn(tmp_path: Path, astronaut: ByteArray) -> None:
    faces = Faces.detected([[170, 60, 265, 180]], [1]).recognized([np.eye(7)[3]], EXPRESSIONS)
    result = FrameResult("a.jpg", 0, 0.0, astronaut, faces)
    with AnnotatedPicture(tmp_path / "a.png") as picture:
        picture.write(result)
    read = cv2.imread(str(tmp_path / "a.png"))
    assert read is not None
    assert np.array_equal(read[:, :, ::-1], draw(astronaut, faces))


@pytest.mark.parametrize("suffix", PICTURE_OPTIONS)
def test_every_kind_of_picture_is_written(tmp_path: Path, suffix: str) -> None:
    with AnnotatedPicture(tmp_path / f"é{suffix}") as picture:
        picture.write(faceless(0, 0.0, picture_of(48, 64)))
    encoded = np.frombuffer((tmp_path / f"é{suffix}").read_bytes(), np.uint8)
    read = cv2.imdecode(encoded, cv2.IMREAD_COLOR_RGB)
    assert read is not None
    assert np.abs(read.astype(int) - (120, 90, 40)).max() <= 3
    assert files_in(tmp_path) == [f"é{suffix}"]


def test_a_picture_takes_one_frame_that_has_a_picture(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("older")
    with AnnotatedPicture(tmp_path / "a.png") as picture:
        with pytest.raises(OptionError, match="no picture to draw on"):
            picture.write(faceless(0, 0.0, None))
        picture.write(faceless(0, 0.0, picture_of(4, 4)))
        with pytest.raises(OptionError, match=r"more than one frame.*folder"):
            picture.write(faceless(1, 0.1, picture_of(4, 4)))
    assert files_in(tmp_path) == ["a.png"]
    assert (tmp_path / "a.png").read_text() == "older"


@pytest.mark.parametrize("kind", [AnnotatedVideo, Table])
def test_what_cannot_be_written_to_its_end_leaves_the_older_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: type[Writer]
) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    path = tmp_path / ("a.parquet" if kind is Table else "a.mp4")
    path.write_text("older")
    monkeypatch.setattr(tables._ParquetRows, "_flush", fail)
    monkeypatch.setattr(AnnotatedVideo, "_mux", fail)
    writer = Table(path, HEADER) if kind is Table else AnnotatedVideo(path)
    with pytest.raises(OutputError, match=r"a\.\w+: cannot be written \(No space left"), writer:
        writer.write(replace(make_result(), image=picture_of(48, 64)))
    assert path.read_text() == "older"
    assert files_in(tmp_path) == [path.name]


def test_a_picture_too_large_for_its_format_names_the_cure(tmp_path: Path) -> None:
    with AnnotatedPicture(tmp_path / "a.jpg") as picture, pytest.raises(OutputError, match=r"66000x1 .*name a \.png"):
        picture.write(faceless(0, 0.0, picture_of(1, 66_000)))


@pytest.mark.parametrize("kind", [AnnotatedPicture, AnnotatedVideo])
def test_an_annotation_without_a_frame_leaves_the_older_file(tmp_path: Path, kind: type[Writer]) -> None:
    path = tmp_path / ("a.png" if kind is AnnotatedPicture else "a.mp4")
    path.write_text("older")
    with kind(path):  # type: ignore[call-arg]
        pass
    assert path.read_text() == "older"
    assert files_in(tmp_path) == [path.name]


def test_a_folder_gets_one_file_for_each_source(tmp_path: Path) -> None:
    image = picture_of(48, 64)
    sources = [("x/a.jpg", 1), ("x/talk.mkv", 3), ("y/a.jpg", 1), ("y/A.JPG", 1), ("camera:0", 2), ("odd.gif", 1)]
    sources += [("https://host/b.mp4?x=1", 2), ("talk.mp4", 2)]
    with AnnotatedFolder(tmp_path / "new" / "out") as folder:
        for source, count in sources:
            for frame in range(count):
                folder.write(faceless(frame, frame / 25, image, source))
    written = files_in(tmp_path / "new" / "out")
    assert written == sorted(
        [
            *("a.annotated.jpg", "talk.annotated.mp4", "a.annotated-2.jpg", "A.annotated-3.jpg"),
            *("camera_0.annotated.mp4", "odd.annotated.png", "b.annotated.mp4", "talk.annotated-2.mp4"),
        ]
    )
    assert len(read_video(tmp_path / "new" / "out" / "talk.annotated.mp4")[0]) == 3


def test_a_folder_never_overwrites_what_it_reads(tmp_path: Path) -> None:
    source = tmp_path / "a.annotated.png"
    source.write_bytes(b"original")
    (tmp_path / "a.annotated.annotated.png").hardlink_to(source)
    with AnnotatedFolder(tmp_path) as folder:
        folder.write(faceless(0, 0.0, picture_of(4, 4), str(source)))
    assert source.read_bytes() == b"original"
    assert (tmp_path / "a.annotated.annotated-2.png").is_file()


def test_open_annotation_goes_by_path_and_sources(tmp_path: Path) -> None:
    (tmp_path / "photos.old").mkdir()
    chosen = [
        (open_annotation(tmp_path / "a.PNG", ["a.jpg"]), AnnotatedPicture),
        (open_annotation(tmp_path / "a.mp4", ["camera:0"]), AnnotatedVideo),
        (open_annotation(tmp_path / "out", ["a.jpg"]), AnnotatedFolder),
        (open_annotation(tmp_path / "photos.old", ["a.jpg", "b.mp4"]), AnnotatedFolder),
    ]
    for writer, kind in chosen:
        writer.close()
        assert type(writer) is kind


def test_what_moves_is_no_picture(tmp_path: Path) -> None:
    with AnnotatedVideo(tmp_path / "talk.mp4") as video:
        for frame in range(3):
            video.write(faceless(frame, frame / 25, picture_of(48, 64)))
    for source in (str(tmp_path / "talk.mp4"), "camera:0"):
        with pytest.raises(OptionError, match="more than one frame: name a video"):
            open_annotation(tmp_path / "a.png", [source])
    open_annotation(tmp_path / "a.png", ["http://host/unknown"]).close()  # told at its second frame
    assert files_in(tmp_path) == ["talk.mp4"]


@pytest.mark.parametrize(
    ("name", "sources", "message"),
    [
        ("a.xyz", ["b.jpg"], r"unknown kind of media '\.xyz'.*\.mp4"),
        ("a.png", ["b.jpg", "c.jpg"], "several sources: name a folder"),
        ("a.mp4", ["."], "several sources: name a folder"),
        ("a.png", ["a.png"], "the source itself"),
    ],
)
def test_open_annotation_refuses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, sources: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.png").write_bytes(b"original")
    with pytest.raises(OptionError, match=message):
        open_annotation(name, sources)
    assert files_in(tmp_path) == ["a.png"]


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        open_annotation(tmp_path / "file" / "out", ["a.jpg", "b.jpg"])
