"""Rows of the comparison: what they are trained with, that they are resumed, what they say."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from mien.core.errors import OptionError
from mien.lab import compare
from mien.lab.compare import COLUMNS, COMMON, VARIED, Entry, entries, entries_named, milliseconds, run_entries, table
from mien.lab.datasets import FaceDataset
from mien.lab.models import ARCHITECTURES, FaceNet
from mien.lab.recipes import Recipe

TINY = replace(COMMON, architecture="paper", batch_size=4, augmentation="none", precision="32-true")


def test_every_net_of_the_registry_is_a_row_under_one_recipe() -> None:
    rows = {entry.name: entry for entry in entries()}
    assert len({entry.slug for entry in rows.values()}) == len(rows)
    for name in ARCHITECTURES:
        assert rows[name].is_budgeted
        assert rows[name].recipe == replace(COMMON, architecture=name)
    tried = [entry.recipe for name, entry in rows.items() if name.startswith(f"{VARIED},")]
    assert {recipe.schedule for recipe in tried} | {COMMON.schedule} == {"constant", "step", "cosine"}
    assert [recipe.loss for recipe in tried].count("robust") == 1
    assert sum(recipe.center_weight > 0 for recipe in tried) == 1
    assert [name for name, entry in rows.items() if not entry.is_budgeted] == [
        "paper, to convergence",
        "paper-wide, to convergence",
    ]


def test_rows_are_named() -> None:
    assert entries_named([]) == entries()
    assert [entry.name for entry in entries_named(["vgg", "paper"])] == ["paper", "vgg"]
    with pytest.raises(OptionError, match="no row 'alexnet': expected one of default; paper"):
        entries_named(["paper", "alexnet"])


@pytest.fixture
def _made_data(made_faces: FaceDataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compare, "_faces", lambda _: made_faces)


@pytest.mark.usefixtures("_made_data")
def test_a_row_is_made_once_and_says_what_it_is(tmp_path: Path, made_faces: FaceDataset) -> None:
    entry = Entry("paper", TINY)
    compare.run_entry(entry, None, tmp_path, minutes=0.01)
    row = json.loads((tmp_path / "paper.json").read_text("utf-8"))
    assert row["recipe"]["epochs"] >= 1
    assert row["recipe"] == json.loads((tmp_path / "paper" / "plan.json").read_text("utf-8"))["recipe"]
    assert row["parameters"] == 106_503
    assert row["accuracy"]["count"] == int((made_faces.split == "PrivateTest").sum())
    assert 0 <= row["accuracy"]["low"] <= row["accuracy"]["value"] <= row["accuracy"]["high"] <= 1
    assert row["milliseconds"] > 0
    assert row["seconds"] == pytest.approx(sum(curve["cpu_seconds"] for curve in row["curves"]))
    (line,) = table([row])
    assert len(line) == len(COLUMNS)
    assert line[0] == "paper"
    before = (tmp_path / "paper.json").stat().st_mtime_ns
    assert list(run_entries([entry], None, tmp_path, minutes=0.01)) == [row]
    assert (tmp_path / "paper.json").stat().st_mtime_ns == before
    other = Entry("paper-wide", TINY)
    for asked in (entry, other):  # all rows of a folder stand on one page
        with pytest.raises(OptionError, match=r"is of 0\.01 minutes, asked are 20: give another --out"):
            list(run_entries([asked], None, tmp_path, minutes=20))


@pytest.mark.usefixtures("_made_data")
def test_epochs_follow_the_budget_and_a_run_keeps_its_own(tmp_path: Path, made_faces: FaceDataset) -> None:
    training = made_faces.of_split("Training")
    short = compare.planned(Entry("paper", TINY), training, tmp_path / "short", 0.01)
    long = compare.planned(Entry("paper", TINY), training, tmp_path / "long", 1.0)
    assert 1 <= short.epochs < long.epochs
    assert compare.planned(Entry("paper", TINY), training, tmp_path / "long", 1.0) == long
    with pytest.raises(OptionError, match=r"plan.json: is of 1 minutes, asked are 9: give another --out"):
        compare.planned(Entry("paper", TINY), training, tmp_path / "long", 9.0)
    fixed = Entry("paper, to convergence", replace(TINY, epochs=3), is_budgeted=False)
    assert compare.planned(fixed, training, tmp_path / "fixed", 0.01).epochs == 3


def test_a_larger_net_takes_longer() -> None:
    assert 0 < milliseconds(FaceNet("paper", {"fer2013": 7})) < milliseconds(FaceNet("default", {"fer2013": 7}))


def test_the_common_recipe_fits_every_net() -> None:
    assert isinstance(COMMON, Recipe)
    assert COMMON.crop_size == 0  # some nets flatten their maps: they need the whole face
    assert COMMON.processes == 1
