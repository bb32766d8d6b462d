"""The page of the paper, from results that are made."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from mien.core.labels import EXPRESSIONS
from mien.core.types import ByteArray
from mien.engine.pipeline import analyze
from mien.lab.datasets import FaceDataset
from mien.lab.models import FaceNet
from mien.lab.paper import Book, write_book
from mien.lab.paper.pictures import architecture, convolved
from mien.lab.protocol import Outcome, Trial


def made(plan: str, by: str, seed: int, right: int) -> Outcome:
    labels = np.arange(14) % 7
    answers = np.where(np.arange(14) < right, labels, (labels + 1) % 7)
    names = np.array([f"ck:S{number:03}_001_00000001" for number in range(14)])
    draw = "" if plan == "ck48" else "random"
    return Outcome(
        Trial(plan, draw, by, seed), names, labels, np.eye(8 if plan == "ck48" else 7, dtype=np.float32)[answers]
    )


@pytest.fixture(scope="module")
def written(made_faces: FaceDataset, astronaut: ByteArray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("paper")
    outcomes = [made(plan, "random", seed, right) for plan in ("paper", "ours") for seed, right in ((0, 7), (1, 14))]
    outcomes += [made("ck48", "subject", 0, 7)]
    (out / "trials").mkdir()
    curves = ["epoch,train_loss,train_accuracy,val_loss,val_accuracy", "1,2,0.2,2,0.2", "2,1,0.5,1,0.4"]
    for outcome in outcomes:
        (out / "trials" / f"{outcome.trial.name}.json").write_text(json.dumps({"curves": curves}), "utf-8")
    seven = made_faces.of_labels(EXPRESSIONS)
    chosen = (replace(seven[:60], distributions=None, votes=None), replace(seven[60:], distributions=None, votes=None))
    compared = {"paper-wide": "63.1 (61 to 65)"}
    book = Book(astronaut, analyze(astronaut), chosen, seven, outcomes, per_class=1, compared=compared, is_quick=True)
    assert write_book(book, out) == out / "paper.html"
    return out


def test_every_figure_stands_on_the_page(written: Path) -> None:
    page = (written / "paper.html").read_text("utf-8")
    for figure in (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11):
        assert f"Fig. {figure}" in page or f"Figs. {figure}" in page or f", {figure})" in page
    assert "Tables 1 and 2" in page
    assert "THIS IS A QUICK LOOK" in page
    assert page.count("data:image/png") == 10


def test_the_paper_s_figures_stand_beside_ours(written: Path) -> None:
    page = (written / "paper.html").read_text("utf-8")
    assert "75.0 (35.4)" in page  # of 50 and 100 %
    for stated in ("92.14", "0.332", "72.49", "63.08", "IJB-A", "63.1 (61 to 65)", "mien compare makes it"):
        assert stated in page
    results = json.loads((written / "paper.json").read_text("utf-8"))["results"]
    assert {row["plan"]: row["accuracies"] for row in results} == {
        "paper": [0.5, 1.0],
        "ours": [0.5, 1.0],
        "ck48": [0.5],
    }


def test_the_maps_are_those_of_the_net(astronaut: ByteArray) -> None:
    net = FaceNet("paper", {"fer2013": 7}).eval()
    maps = convolved(net, astronaut[100:148, 200:248, 0].copy())
    assert {name: layer.shape for name, layer in maps.items()} == {
        "conv 1": (16, 44, 44),
        "conv 2": (32, 18, 18),
        "conv 3": (64, 7, 7),
    }
    assert all((layer >= 0).all() for layer in maps.values())
    rows = architecture(net)
    assert [shape for name, shape, _ in rows if name.startswith("Flatten")] == ["576"]
    assert rows[-1] == ("in all", "", f"{sum(p.numel() for p in net.parameters()):,}")
    assert torch.is_grad_enabled()
