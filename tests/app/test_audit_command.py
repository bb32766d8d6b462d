"""``mien audit``: labeled faces, a table of groups, a report; and every table that is wrong."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import pytest

from mien.app.cli import MISUSE, main
from mien.core.types import ByteArray, FloatArray
from mien.engine.recognizer import Recognizer
from mien.lab.datasets import SIDE

CLASSES = ("angry", "happy", "sad")
EACH = 40  # faces of a class


class Ended(NamedTuple):
    """How a run of the command ended."""

    code: object
    out: str
    notes: list[str]


Run = Callable[..., Ended]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    monkeypatch.setenv("COLUMNS", "160")

    def run_audit(*arguments: object) -> Ended:
        monkeypatch.setattr(sys, "argv", ["mien", "audit", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            main()
        out, notes = capfd.readouterr()
        return Ended(end.value.code, out, notes.splitlines())

    return run_audit


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return faces whose first pixels say what the net below answers: half of the dark ones are misread."""
    root = tmp_path_factory.mktemp("faces")
    for label, name in enumerate(CLASSES):
        for number in range(EACH):
            answer = label if number % 2 or number % 4 == 0 else (label + 1) % len(CLASSES)
            write_face(root / name / f"{number}.png", answer)
    return root


def write_face(path: Path, answer: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(".png", np.full((SIDE, SIDE), 20 * answer, np.uint8))[1].tobytes())


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the net answer what stands in the pictures, and few exchanges be enough."""

    def told(self: Recognizer, crops: list[ByteArray]) -> FloatArray:
        places = [self.card.labels.index(CLASSES[crop[0, 0] // 20]) for crop in crops]
        return np.eye(len(self.card.labels), dtype=np.float32)[places] * 0.93 + np.float32(0.01)

    monkeypatch.setattr(Recognizer, "probabilities", told)
    monkeypatch.setattr("mien.lab.evaluation.audit.comparing.DRAWS", 100)


def rows(**columns: Callable[[int], str]) -> str:
    """Return a table of groups by the number of the face."""
    lines = [",".join(("file", *columns))]
    for name in CLASSES:
        for number in range(EACH):
            lines.append(",".join((f"{name}/{number}.png", *(group(number) for group in columns.values()))))
    return "\n".join(lines) + "\n"


def light(number: int) -> str:
    return "bright" if number % 2 else "dark"


def coin(number: int) -> str:
    return "heads" if number // 2 % 4 < 2 else "tails"


def test_what_is_planted_is_told_on_screen_and_page(run: Run, folder: Path, tmp_path: Path) -> None:
    groups = tmp_path / "groups.csv"
    groups.write_text(rows(light=light, coin=coin), "utf-8-sig")
    ended = run(folder, "--groups", groups, "--out", tmp_path / "out")
    assert (ended.code, ended.notes) == (0, [])
    assert "* light, dark against bright: accuracy 50.0 % and 100.0 %, -50.0 points" in ended.out
    assert "coin, " not in ended.out.split("Smallest differences")[0]
    assert "coin, tails against heads" in ended.out
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "audit.html",
        "audit.md",
        "audit.json",
        "forest_1_light.png",
        "forest_2_coin.png",
    }
    report = json.loads((tmp_path / "out" / "audit.json").read_text("utf-8"))
    found = {(one["column"], one["measure"]) for one in report["comparisons"] if one["found"]}
    assert ("light", "accuracy") in found
    assert {column for column, _ in found} == {"light"}
    assert (report["schema"], report["faces"], report["resampled_by"]) == (1, 120, "faces")
    assert report["model"]["name"] == "default"
    assert [column["reference"] for column in report["columns"]] == ["bright", "heads"]
    for name in ("audit.html", "audit.md"):
        text = (tmp_path / "out" / name).read_text("utf-8")
        for said in ("2024/1689", "people gave the labels", "Expressions are mixed", "could have seen", "-50.0"):
            assert said in text
    assert (tmp_path / "out" / "audit.html").read_text("utf-8").count("data:image/png") == 2


def test_people_references_and_what_is_unknown(run: Run, folder: Path, tmp_path: Path) -> None:
    groups = tmp_path / "groups.csv"
    text = rows(
        Subject=lambda number: "NA" if number == 1 else f"p{number}",
        age=lambda number: ("NaN", "young", "old", "middle")[number % 4] if number < 39 else "",
    )
    text = text.replace("sad/39.png,p39,\n", "").replace("happy/", "./happy\\")
    groups.write_text(text, "utf-8")
    ended = run(folder, "--groups", groups, "--reference", "age=old", "--out", tmp_path / "out")
    assert ended.code == 0
    assert ended.notes == [
        "mien: 1 of 120 faces have no row in groups.csv: their groups are unknown",
        "mien: of 4 faces it is unknown whose they are: each counts as a person of its own",
    ]
    report = json.loads((tmp_path / "out" / "audit.json").read_text("utf-8"))
    (age,) = report["columns"]
    counts = {group["name"]: (group["faces"], group["people"]) for group in age["groups"]}
    assert counts == {"middle": (27, 9), "old": (30, 10), "young": (30, 12), "": (33, 12)}
    assert {(one["group"], one["against"]) for one in report["comparisons"]} == {("young", "old")}
    assert report["resampled_by"] == "people"
    assert "age, middle: fewer than 30 faces, told but not judged" in ended.out
    assert "change groups among themselves" in (tmp_path / "out" / "audit.md").read_text("utf-8")


def test_names_of_groups_are_shown_as_they_are(
    run: Run, folder: Path, tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    """What HTML, Markdown, a terminal, a formula or a file's name would take for something else."""
    names = {"bright": "<b>$x^$ | *_[red]\x1b", "dark": "_明るい顔 /" + "long " * 20}
    groups = tmp_path / "groups.csv"
    groups.write_text(rows(light=light).replace("light", "a/b $", 1).replace("bright", names["bright"]), "utf-8")
    text = groups.read_text("utf-8").replace("dark", names["dark"])
    groups.write_text(text, "utf-8")
    ended = run(folder, "--groups", groups, "--out", tmp_path / "out")
    assert ended.code == 0
    assert not [warning for warning in recwarn if "Glyph" in str(warning.message) or "_" in str(warning.message)]
    assert "[red]\\x1b" in ended.out
    assert (tmp_path / "out" / "forest_1_a_b_.png").is_file()
    assert "&lt;b&gt;$x^$ | *_[red]" in (tmp_path / "out" / "audit.html").read_text("utf-8")
    assert "\\<b\\>$x^$ \\| \\*\\_\\[red\\]" in (tmp_path / "out" / "audit.md").read_text("utf-8")


def test_nothing_large_enough_is_told(run: Run, folder: Path, tmp_path: Path) -> None:
    groups = tmp_path / "groups.csv"
    groups.write_text(rows(age=str), "utf-8")
    ended = run(folder, "--groups", groups, "--out", tmp_path / "out")
    assert ended.code == 0
    assert "Nothing could be compared" in ended.out
    assert "age: nothing to compare; put groups together" in ended.out
    assert json.loads((tmp_path / "out" / "audit.json").read_text("utf-8"))["comparisons"] == []
    assert not list((tmp_path / "out").glob("*.png"))


def test_of_train_and_test_only_test_is_read(run: Run, tmp_path: Path) -> None:
    for split in ("train", "test"):
        for name in (*CLASSES, "contempt"):
            for number in range(20):
                write_face(tmp_path / "faces" / split / name / f"{number}.png", 0)
    lines = ["file,light"]
    for path in sorted((tmp_path / "faces").rglob("*.png")):
        lines.append(f"{path.relative_to(tmp_path / 'faces').as_posix()},{light(int(path.stem))}")
    groups = tmp_path / "groups.csv"
    groups.write_text("\n".join(lines), "utf-8")
    ended = run(tmp_path / "faces", "--groups", groups)
    assert ended.code == 0
    left_out = "100 rows of groups.csv are left out: of another split, or an expression the net does not know"
    assert ended.notes == [f"mien: {left_out}"]
    assert "against bright" in ended.out


GOOD = "file,light\nangry/0.png,dark\nangry/1.png,bright\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "its first line, which is empty, has no column 'file'"),
        (b"angry/0.png,dark\nangry/1.png,bright\n", "its first line, 'angry/0.png', 'dark', has no column 'file'"),
        (
            b"file;light\nangry/0.png;dark\n",
            "its first line, 'file;light', has no column 'file': expected UTF-8, commas",
        ),
        (b"file,light,light\n", "names a column twice or not at all"),
        (b"file,light,\n", "names a column twice or not at all"),
        (b"file,subject\nangry/0.png,p1\n", "has no column of groups"),
        (b"file,light\nangry/0.png\n", "line 2: has 1 values: expected 2"),
        (b'file,light\n"angry/0.png,dark\n', "cannot be read (unexpected end of data)"),
        (GOOD.encode() + b"angry/0.png,dark\n", "line 4: names 'angry/0.png' as line 2 does: expected one row a file"),
        (
            GOOD.encode() + b"angry/900.png,dark\n",
            "1 of its files are no labeled faces of the folder ('angry/900.png')",
        ),
        (GOOD.encode().replace(b"angry", b"/data/angry"), "2 of its files are no labeled faces of the folder"),
        (GOOD.encode().replace(b"bright", b"dark"), "column 'light': has the group 'dark' only: expected two or more"),
        (b"file,light\n", "column 'light': has no group: expected two or more"),
        (GOOD.encode("utf-16"), "cannot be read ('utf-8' codec can't decode"),
        ("file,light\nangry/0.png,müde\n".encode("latin-1"), "cannot be read ('utf-8' codec can't decode"),
        (bytes(range(256)) * 8, "cannot be read"),
    ],
)
def test_a_table_that_is_wrong_is_one_line(run: Run, folder: Path, tmp_path: Path, text: bytes, message: str) -> None:
    groups = tmp_path / "groups.csv"
    groups.write_bytes(text)
    ended = run(folder, "--groups", groups)
    assert (ended.code, ended.out) == (MISUSE, "")
    (line,) = ended.notes
    assert message in line


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--reference", "dark"), "--reference dark: expected COLUMN=GROUP, the column one of light"),
        (("--reference", "sex=f"), "--reference sex=f: expected COLUMN=GROUP, the column one of light"),
        (("--reference", "light=blue"), "reference 'blue': is no group of 'light': expected bright, dark"),
        (("--model", "nothing"), "no model 'nothing'"),
        (("--out", "groups.csv"), "groups.csv: is a file: expected a folder"),
    ],
)
def test_an_option_that_is_wrong_is_one_line(
    run: Run, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("groups.csv").write_text(rows(light=light), "utf-8")
    ended = run(folder, "--groups", "groups.csv", *arguments)
    assert ended.code == MISUSE
    (line,) = ended.notes
    assert message in line


def test_a_folder_that_is_wrong_is_one_line(run: Run, folder: Path, tmp_path: Path) -> None:
    groups = tmp_path / "groups.csv"
    groups.write_text(rows(light=light), "utf-8")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "fer2013.csv").write_text("emotion,pixels,Usage\n", "utf-8")
    write_face(tmp_path / "unknown" / "contempt" / "1.png", 0)
    for place, message in {
        "nothing": "nothing: no such folder: expected one of labeled faces, happy/1.jpg",
        "data": "holds data sets: expected one folder of labeled faces",
        ".": "unknown expression 'data'",
        "unknown": "no face has a label of default: expected angry",
    }.items():
        ended = run(tmp_path / place, "--groups", groups)
        assert ended.code == MISUSE
        assert message in ended.notes[-1]
    ended = run(folder, "--groups", tmp_path / "none.csv")
    assert ended.code == MISUSE
    assert "none.csv: no such file: expected a CSV file with a first line such as file,subject" in ended.notes[-1]
    ended = run(groups, "--groups", groups)
    assert ended.code == MISUSE
    assert "groups.csv: is no folder: expected one of labeled faces" in ended.notes[-1]
    ended = run(folder, "--groups", folder)
    assert ended.code == MISUSE
    assert "is no file: expected a CSV file" in ended.notes[-1]


@pytest.mark.data
def test_ck48_is_a_folder_of_labeled_faces(run: Run, data_dir: Path, tmp_path: Path) -> None:
    files = sorted((data_dir / "CK+48").rglob("*.png"))
    names = [path.relative_to(data_dir / "CK+48").as_posix() for path in files]
    lines = [f"{name},{name.split('/')[1][:4]},{int(name.split('/')[1][1:4]) % 2}" for name in names]
    groups = tmp_path / "groups.csv"
    groups.write_text("\n".join(["file,subject,half", *lines]), "utf-8")
    generator = np.random.default_rng(0)  # the net answers anything here; what counts is who is in which group
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Recognizer, "probabilities", lambda _, crops: generator.dirichlet(np.ones(7), len(crops)))
        ended = run(data_dir / "CK+48", "--groups", groups)
    assert ended.code == 0
    assert ended.notes == [
        "mien: 54 rows of groups.csv are left out: of another split, or an expression the net does not know"
    ]
    assert "half, " in ended.out
