"""train and export from the command: the whole way on a handful of faces."""

from __future__ import annotations

import json
import logging
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from footage import write_fer2013, write_photo
from rich.console import Console

import mien
from mien.app import laboratory
from mien.app.evaluation import evaluate_model
from mien.core.errors import DatasetError, MissingExtraError, ModelError, OptionError
from mien.core.labels import EXPRESSIONS, EXPRESSIONS_AND_CONTEMPT
from mien.engine.recognizer import model_path
from mien.lab.checkpoints import Checkpoint
from mien.lab.graph import read_weights

RECIPE = """
architecture = "paper"
heads = ["fer2013"]
epochs = 1
batch_size = 7
augmentation = "none"
mixup = 0.0
precision = "32-true"
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_fer2013(tmp_path_factory.mktemp("data"))


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    (tmp_path / "tiny.toml").write_text(RECIPE, "utf-8")
    return tmp_path / "tiny.toml"


def test_from_faces_to_a_model_that_answers(data: Path, recipe: Path, tmp_path: Path) -> None:
    checkpoint = laboratory.train(recipe, tmp_path / "run", data, None)
    assert checkpoint.finished
    names = sorted(path.name for path in (tmp_path / "run").iterdir())
    assert names == ["checkpoint.pt", "curves.csv", "curves.png", "manifest.json"]
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text("utf-8"))
    assert sorted(manifest["sources"]) == ["fer2013.csv", "fer2013new.csv"]
    card = laboratory.export(tmp_path / "run" / "checkpoint.pt", tmp_path / "tiny.onnx", "fer2013", data, None)
    assert (card.name, card.architecture, card.head) == ("tiny", "paper", "fer2013")
    assert card.training_data["FER2013 Training"] == checkpoint.data
    assert card.training_data["fer2013.csv"] == manifest["sources"]["fer2013.csv"]["sha256"]
    recognizer = mien.load(tmp_path / "tiny.onnx")
    assert recognizer.card == card
    faces = mien.analyze(write_photo(tmp_path / "photo.png"), detector="whole", model=recognizer)
    assert faces.probabilities.shape == (1, 7)


def test_refusals_come_before_work(data: Path, recipe: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="is not a directory"):
        laboratory.train(recipe, tmp_path / "run", data / "fer2013.csv", None)
    with pytest.raises(ModelError, match="no model 'nothing'"):
        laboratory.train(recipe, tmp_path / "run", data, "nothing")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("package", ["torch", "kornia", "onnxscript"])
def test_what_training_needs(package: str, recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtraError, match=rf"{package} is not installed: pip install 'mien\[train\]'"):
        laboratory.train(recipe, tmp_path / "run", tmp_path, None)
    with pytest.raises(MissingExtraError, match=package):
        laboratory.export(tmp_path / "checkpoint.pt", tmp_path / "out.onnx", "fer2013", tmp_path, None)


# a user's own faces


def write_faces(
    folder: Path, faces: int, *, parts: Sequence[str] = ("",), expressions: Sequence[str] = EXPRESSIONS
) -> Path:
    """Write that many faces of each expression into each part; each expression is bright in another place."""
    generator = np.random.default_rng(0)
    for part in parts:
        for expression in expressions:
            row, column = divmod(EXPRESSIONS_AND_CONTEMPT.index(expression), 3)
            for number in range(faces):
                picture = generator.integers(0, 100, (48, 48)).astype(np.uint8)
                picture[16 * row : 16 * row + 16, 16 * column : 16 * column + 16] += 150
                write_photo(folder / part / expression / f"{number}.png", picture)
    return folder


def notices(caplog: pytest.LogCaptureFixture) -> str:
    """Return what was logged since the last call."""
    lines = "\n".join(record.getMessage() for record in caplog.records if record.levelno == logging.WARNING)
    caplog.clear()
    return lines


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_faces(tmp_path_factory.mktemp("secret") / "family", 6)


@pytest.fixture(scope="module")
def run(own: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Checkpoint]:
    """Return the folder of a run on these faces, and its checkpoint."""
    folder = tmp_path_factory.mktemp("run")
    (folder / "tiny.toml").write_text(RECIPE, "utf-8")
    return folder / "run", laboratory.train(folder / "tiny.toml", folder / "run", own, None)


def test_a_folder_becomes_a_model_that_answers(own: Path, run: tuple[Path, Checkpoint], tmp_path: Path) -> None:
    folder, checkpoint = run
    assert checkpoint.finished
    card = laboratory.export(folder / "checkpoint.pt", tmp_path / "own.onnx", None, own, None)
    assert (card.name, card.head, card.labels) == ("own", "fer2013", EXPRESSIONS)
    assert card.training_data == {"folder train": checkpoint.data}
    assert {name for name in card.scores if not name.startswith("drop_")} == {"test", "calibration_test"}
    assert len(card.scores) == 6
    assert not [word for word in ("FER2013", "family", "secret") if word in card.to_json()]
    selections = json.loads((folder / "manifest.json").read_text("utf-8"))["selections"]
    counts = [selections[name]["faces"] for name in ("training", "validation", "test")]
    assert (sum(counts), counts[2]) == (42, card.scores["test"].count)
    recognizer = mien.load(tmp_path / "own.onnx")
    assert recognizer.card == card
    (evaluation,) = evaluate_model(str(tmp_path / "own.onnx"), own, "", None, Console(quiet=True)).values()
    assert sum(score.support for score in evaluation.classes.values()) == 42
    faces = mien.analyze(write_photo(tmp_path / "photo.png"), detector="whole", model=recognizer)
    assert faces.probabilities.shape == (1, 7)


def test_the_card_of_a_run_that_was_stopped_says_so(
    own: Path, run: tuple[Path, Checkpoint], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "checkpoint.pt"
    content = torch.load(run[0] / "checkpoint.pt", weights_only=True)
    torch.save(content | {"step": content["steps"] - 1}, path)
    shutil.copy(run[0] / "manifest.json", tmp_path)
    card = laboratory.export(path, tmp_path / "own.onnx", None, own, None)
    assert (card.recipe["steps_done"], card.recipe["steps"]) == (content["steps"] - 1, content["steps"])
    assert f"is of a run stopped at step {content['steps'] - 1} of {content['steps']}: the card says so" in notices(
        caplog
    )


@pytest.mark.parametrize("parts", [("train",), ("train", "test"), ("train", "val"), ("train", "validation", "test")])
def test_the_parts_that_are_there_are_used(
    parts: tuple[str, ...], recipe: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    own = write_faces(tmp_path / "own", 3, parts=parts)
    laboratory.train(recipe, tmp_path / "run", own, None)
    drawn = {"train", "validation", "test"} - {part.replace("val", "validation", part == "val") for part in parts}
    content = json.loads((tmp_path / "run" / "manifest.json").read_text("utf-8"))
    assert set(content["sources"]) == set(parts)
    counts = {name: selection["faces"] for name, selection in content["selections"].items()}
    assert sum(counts.values()) == 21 * len(parts)
    for name, split in (("validation", "validation"), ("test", "test")):
        assert (counts[name] == 21) == (split not in drawn)
    said = notices(caplog)
    assert ("no folder" in said) == bool(drawn)
    assert all(split in said for split in drawn)


def test_votes_are_not_asked_of_a_folder(
    own: Path, recipe: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    recipe.write_text(RECIPE.replace('["fer2013"]', '["fer2013", "ferplus"]'), "utf-8")
    assert laboratory.train(recipe, tmp_path / "run", own, None).recipe.heads == ("fer2013",)
    assert "only the head fer2013 is taught: a folder has no votes of FER+" in notices(caplog)
    recipe.write_text(RECIPE.replace('["fer2013"]', '["ferplus"]'), "utf-8")
    with pytest.raises(OptionError, match=r"heads are ferplus: a folder teaches only fer2013: name that in heads"):
        laboratory.train(recipe, tmp_path / "other", own, None)


def test_expressions_that_are_more_or_fewer_than_seven(
    recipe: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    own = write_faces(tmp_path / "own", 8, expressions=("happy", "sad", "contempt"))
    assert laboratory.train(recipe, tmp_path / "run", own, None).finished
    said = notices(caplog)
    assert "8 faces of contempt are left out: nets answer with seven expressions" in said
    assert "no face of angry, disgust, fear, surprise, neutral to train on" in said
    with pytest.raises(DatasetError, match="has no faces but of contempt: expected angry"):
        laboratory.train(recipe, tmp_path / "other", write_faces(tmp_path / "c", 3, expressions=("contempt",)), None)


def test_too_few_faces(recipe: Path, tmp_path: Path) -> None:
    few = write_faces(tmp_path / "few", 4, expressions=("happy", "sad"))
    with pytest.raises(DatasetError, match=r"6 faces to train on: expected at least one batch of 7: lower batch_size"):
        laboratory.train(recipe, tmp_path / "run", few, None)
    with pytest.raises(DatasetError, match=r"two: 2 faces: too few to draw train and validation and test from"):
        laboratory.train(recipe, tmp_path / "run", write_faces(tmp_path / "two", 1, expressions=("happy", "sad")), None)
    with pytest.raises(DatasetError, match=r"no faces of 'train', only of test: expected some to train on"):
        laboratory.train(recipe, tmp_path / "run", write_faces(tmp_path / "test", 2, parts=["test"]), None)
    with pytest.raises(DatasetError, match=r"holds no pictures like .*: expected labeled faces, or fer2013.csv"):
        laboratory.train(recipe, tmp_path / "run", tmp_path / "few" / "happy", None)
    assert not (tmp_path / "run").exists()


def test_a_folder_that_has_changed_is_refused(own: Path, run: tuple[Path, Checkpoint], tmp_path: Path) -> None:
    shutil.copytree(own, tmp_path / "own")
    write_photo(tmp_path / "own" / "happy" / "new.png")
    with pytest.raises(OptionError, match=r"checkpoint\.pt: was trained on other faces than the data holds"):
        laboratory.export(run[0] / "checkpoint.pt", tmp_path / "own.onnx", None, tmp_path / "own", None)


def test_a_checkpoint_without_its_manifest_is_refused(own: Path, run: tuple[Path, Checkpoint], tmp_path: Path) -> None:
    shutil.copy(run[0] / "checkpoint.pt", tmp_path)
    with pytest.raises(OptionError, match=r"manifest\.json: cannot be read: expected the folder of a run"):
        laboratory.export(tmp_path / "checkpoint.pt", tmp_path / "own.onnx", None, own, None)


def test_the_card_names_the_net_that_a_run_started_from(own: Path, recipe: Path, tmp_path: Path) -> None:
    laboratory.train(recipe, tmp_path / "run", own, "paper")
    before = (tmp_path / "run" / "manifest.json").read_bytes()
    laboratory.train(recipe, tmp_path / "run", own, None)  # is finished, and did not start anew
    assert (tmp_path / "run" / "manifest.json").read_bytes() == before
    card = laboratory.export(tmp_path / "run" / "checkpoint.pt", tmp_path / "own.onnx", None, own, None)
    assert card.training_data["start paper"] == mien.load("paper").model.sha256
    assert card.license.endswith(f"It started from paper: {mien.load('paper').card.license}")


def test_a_run_does_not_go_on_with_another_net_than_it_began_with(own: Path, recipe: Path, tmp_path: Path) -> None:
    laboratory.train(recipe, tmp_path / "run", own, "paper")
    manifest = tmp_path / "run" / "manifest.json"
    sha256 = mien.load("paper").model.sha256
    manifest.write_text(manifest.read_text("utf-8").replace(sha256, "0" * 64), "utf-8")
    with pytest.raises(
        OptionError, match=rf"the start of this run is paper \(0+\), now paper \({sha256[:8]}\): choose"
    ):
        laboratory.train(recipe, tmp_path / "run", own, "paper")


def test_the_card_names_the_net_that_taught(own: Path, recipe: Path, tmp_path: Path) -> None:
    recipe.write_text(f'{RECIPE}teacher = "fer2013"\nteacher_share = 0.5\n', "utf-8")
    laboratory.train(recipe, tmp_path / "run", own, None)
    card = laboratory.export(tmp_path / "run" / "checkpoint.pt", tmp_path / "own.onnx", None, own, None)
    assert card.training_data["teacher fer2013"] == mien.load("fer2013").model.sha256
    assert card.license.endswith(f"It was taught by fer2013: {mien.load('fer2013').card.license}")


def test_without_a_head_of_its_own_labels_that_of_the_votes_is_the_start(
    own: Path, recipe: Path, tmp_path: Path
) -> None:
    text = RECIPE.replace('"paper"', '"default"').replace("batch_size = 7", "batch_size = 28")
    recipe.write_text(f"{text}learning_rate = 1e-9\n", "utf-8")
    net = laboratory.train(recipe, tmp_path / "run", own, "default").net
    wanted = read_weights(model_path("default"))
    assert torch.allclose(net.state_dict()["heads.fer2013.weight"], wanted["heads.ferplus.weight"][:7], atol=1e-5)


def test_faces_of_ck48_are_split_by_person(recipe: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = write_faces(tmp_path / "CK+48", 15, expressions=("happy", "sad"))
    for path in folder.rglob("*.png"):
        path.rename(path.with_name(f"S{int(path.stem) // 3:03}_001_{path.stem:0>8}.png"))
    recipe.write_text(RECIPE.replace("batch_size = 7", "batch_size = 6"), "utf-8")
    laboratory.train(recipe, tmp_path / "run", folder, None)
    content = json.loads((tmp_path / "run" / "manifest.json").read_text("utf-8"))
    assert [selection["faces"] for selection in content["selections"].values()] == [18, 6, 6]
    assert "a person may be in several" not in notices(caplog)
