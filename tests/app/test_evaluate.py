"""``mien evaluate``: any net, any labeled faces, three kinds of report."""

from __future__ import annotations

import json
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from footage import write_fer2013
from rich.console import Console

from mien.app.evaluation import evaluate_model, labeled_sets
from mien.core.errors import DatasetError, ModelError, OptionError, OutputError
from mien.engine.recognizer import load
from mien.lab.evaluation import CONDITIONS

QUIET = Console(quiet=True)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_fer2013(tmp_path_factory.mktemp("data"))


def write_faces(folder: Path, **counts: int) -> Path:
    generator = np.random.default_rng(0)
    for name, count in counts.items():
        (folder / name).mkdir(parents=True)
        for number in range(count):
            picture = generator.integers(0, 256, (60, 50, 3)).astype(np.uint8)
            (folder / name / f"{number}.jpg").write_bytes(cv2.imencode(".jpg", picture)[1].tobytes())
    return folder


def test_a_report_of_everything(data: Path, tmp_path: Path) -> None:
    evaluations = evaluate_model("paper", data, "PublicTest", tmp_path / "out", QUIET)
    titles = ["PublicTest, original labels", "PublicTest, FER+ majority"]
    assert list(evaluations) == titles
    kinds = ("confusion", "coverage", "reliability", "robustness")
    drawn = [f"{kind}_{name}.png" for kind in kinds for name in ("fer2013", "ferplus")]
    written = {path.name for path in (tmp_path / "out").iterdir()}
    assert written == {*drawn, "report.html", "report.json", "report.md"}
    report = json.loads((tmp_path / "out" / "report.json").read_text("utf-8"))
    assert list(report) == titles
    for title in titles:
        assert report[title]["accuracy"] == evaluations[title].to_dict()["accuracy"]
        assert [row["condition"] for row in report[title]["robustness"]] == list(CONDITIONS)
        assert 0 <= report[title]["risk_coverage_area"] <= 1
        assert report[title]["risk_coverage"][-1]["coverage"] == 1
        count = report[title]["accuracy"]["count"]
        assert sum(row["faces"] for row in report[title]["reliability"]) == count
        assert sum(row["accuracy"]["count"] for row in report[title]["turned"]) == count
        assert report[title]["accuracy_without_copies"]["count"] <= report[title]["accuracy"]["count"]
    markdown = (tmp_path / "out" / "report.md").read_text("utf-8")
    assert [line.removeprefix("## ") for line in markdown.splitlines() if line.startswith("## ")] == titles
    assert sorted(re.findall(r"!\[[^]]+\]\((.+?)\)", markdown)) == sorted(drawn)
    assert markdown.count("| yaw, either side |") == markdown.count("| label / answer |") == 2
    page = (tmp_path / "out" / "report.html").read_text("utf-8")
    assert "When heads are turned to a side" in page
    assert page.count("data:image/png") == 8
    assert all(f">{title}</h2>" in page for title in titles)


def test_without_a_folder_only_the_figures(data: Path) -> None:
    evaluations = evaluate_model("paper", data / "fer2013.csv", "PrivateTest", None, QUIET)
    assert list(evaluations) == ["PrivateTest, original labels"]  # a file alone has no votes beside it


@pytest.mark.parametrize("parts", [(), ("test",)])
def test_a_folder_of_labeled_faces(parts: tuple[str, ...], tmp_path: Path) -> None:
    write_faces(tmp_path.joinpath(*parts), Happiness=3, anger=2)
    (evaluation,) = evaluate_model("paper", tmp_path, "PrivateTest", None, QUIET).values()
    assert {name: score.support for name, score in evaluation.classes.items() if score.support} == {
        "angry": 2,
        "happy": 3,
    }


def test_what_the_net_does_not_know_is_left_out(tmp_path: Path) -> None:
    write_faces(tmp_path / "mixed", happy=2, contempt=5)
    (faces,) = labeled_sets(load("paper").card, tmp_path / "mixed", "PrivateTest")
    assert (len(faces.images), faces.labels.tolist()) == (2, [3, 3])
    with pytest.raises(OptionError, match="no face has a label of paper: expected angry"):
        evaluate_model("paper", write_faces(tmp_path / "unknown", contempt=1), "PrivateTest", None, QUIET)


def test_ck48_lies_beside_fer2013(data: Path, tmp_path: Path) -> None:
    both = tmp_path / "both"
    both.mkdir()
    for path in data.iterdir():
        (both / path.name).write_bytes(path.read_bytes())
    (both / "CK+48" / "happy").mkdir(parents=True)
    picture = cv2.imencode(".png", np.full((48, 48), 90, np.uint8))[1].tobytes()
    (both / "CK+48" / "happy" / "S010_004_00000017.png").write_bytes(picture)
    sets = {faces.name: faces for faces in labeled_sets(load("paper").card, both, "PublicTest")}
    assert list(sets) == ["fer2013", "ferplus", "ck48"]
    assert sets["ck48"].labels.tolist() == [3]
    assert sets["ck48"].fresh is None
    assert sets["ck48"].subjects is not None
    assert sets["ck48"].subjects.tolist() == ["S010"]


def test_bad_input_is_refused_before_work(data: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder", "utf-8")
    with pytest.raises(OutputError, match="cannot be written"):
        evaluate_model("paper", data, "PrivateTest", tmp_path / "file" / "out", QUIET)
    with pytest.raises(OptionError, match="no split 'Test'"):
        evaluate_model("paper", data, "Test", None, QUIET)
    with pytest.raises(DatasetError, match="is not a directory"):
        evaluate_model("paper", tmp_path / "nothing", "PrivateTest", None, QUIET)
    with pytest.raises(DatasetError, match=r"holds no pictures like train/angry/1.jpg or angry/1.jpg"):
        evaluate_model("paper", tmp_path, "PrivateTest", None, QUIET)
    with pytest.raises(ModelError, match="no model 'nothing'"):
        evaluate_model("nothing", data, "PrivateTest", None, QUIET)


def test_bad_folders(tmp_path: Path) -> None:
    write_faces(tmp_path / "classes", bored=1)
    with pytest.raises(DatasetError, match="unknown expression 'bored': expected one of angry"):
        evaluate_model("paper", tmp_path / "classes", "PrivateTest", None, QUIET)
    write_faces(tmp_path / "broken", happy=1, sad=0)
    (tmp_path / "broken" / "happy" / "x.jpg").write_bytes(b"no picture")
    with pytest.raises(DatasetError, match=r"x\.jpg: is no readable picture"):
        evaluate_model("paper", tmp_path / "broken", "PrivateTest", None, QUIET)


@pytest.mark.data
def test_the_six_of_ck48(data_dir: Path) -> None:
    *_, faces = labeled_sets(load("paper").card, data_dir, "PublicTest")
    assert (faces.name, len(faces.images)) == ("ck48", 927)
    assert set(faces.labels.tolist()) == {0, 1, 2, 3, 4, 5}
