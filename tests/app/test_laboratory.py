"""train and export from the command: the whole way on a handful of faces."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from footage import write_fer2013, write_photo

import mien
from mien.app import laboratory
from mien.core.errors import DatasetError, MissingExtraError, ModelError

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
