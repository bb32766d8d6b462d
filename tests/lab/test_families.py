"""Rows of the table of families: what each is given, that they are made once and resumed, what the page says."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from mien.engine.features import FEATURE_NAMES
from mien.engine.recognizer import model_path
from mien.lab import families
from mien.lab.compare import COMMON
from mien.lab.datasets import FaceDataset, ten_folds
from mien.lab.families import (
    FINE,
    FUSION,
    ROWS,
    WHOLE,
    Row,
    Setting,
    Work,
    answers_of,
    chunks,
    extracted,
    first_weights,
    frozen_parts,
    given,
    phases,
    renamed,
    run_families,
    run_work,
    shipped_trunk,
    write_chunk,
)
from mien.lab.graph import read_weights
from mien.lab.measures import COUNT, MEASURES
from mien.lab.models import ARCHITECTURES, HEADS, FaceNet, load_weights
from mien.lab.recipes import Recipe

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
FEW_ROWS = (Row("geometry, SVM", "svm", ("geometry",)), Row(WHOLE, "paper"), Row("moving", "paper", ("motion",), WHOLE))
TINY: dict[str, Any] = {"batch_size": 4, "augmentation": "none", "precision": "32-true"}


@pytest.fixture(scope="module")
def program() -> ModuleType:
    """Return the program as a module."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(BENCHMARKS)
        import families as program

        return program


@pytest.fixture
def setting(made_faces: FaceDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Setting]:
    """Return where three small rows are made of faces that were made."""
    subjects = np.array([f"S{number % 12:03d}" for number in range(len(made_faces))])
    ids = np.array([f"ck:{subject}_{row:03d}_00000001" for row, subject in enumerate(subjects)])
    ck48 = replace(made_faces, subjects=subjects, source_ids=ids, votes=None, distributions=None)
    monkeypatch.setattr(families, "faces_of", lambda name, _: {"fer2013": made_faces, "ck48": ck48}[name])
    monkeypatch.setattr(families, "ROWS", {row.name: row for row in FEW_ROWS})
    monkeypatch.setattr(families, "COMMON", replace(COMMON, **TINY))
    monkeypatch.setattr(families, "FINE", replace(FINE, epochs=1, **TINY))
    (tmp_path / "features").mkdir()
    yield Setting(None, tmp_path, 0.005, is_quick=True)
    extracted.cache_clear()


def do_all(setting: Setting) -> list[str]:
    """Do what is missing in this process; return what was done."""
    for chunk in chunks(setting):
        write_chunk(chunk, setting)
    missing = [work for phase in phases(setting) for work in phase if not work.path(setting).exists()]
    for work in missing:
        run_work(work, setting)
    return [work.path(setting).name for work in missing]


# rows


def test_rows_are_of_readers_that_there_are() -> None:
    assert len({row.slug for row in ROWS.values()}) == len(ROWS)
    for name, row in ROWS.items():
        assert name == row.name
        assert row.reader in ("tree", "svm", *ARCHITECTURES)
        assert row.is_net == (row.reader in ARCHITECTURES)
        assert row.families or row.is_net
        if row.is_net and not row.is_still:
            start = ROWS[row.start]
            assert start.is_still
            assert start.reader == row.reader
            assert set(start.families) < set(row.families)
        if row.is_net and row.families:
            assert ARCHITECTURES[row.reader].measures == COUNT
            assert set(row.families) <= set(MEASURES)


def test_the_recipe_of_ck48_leaves_regions_in_their_windows() -> None:
    assert isinstance(FINE, Recipe)
    assert FINE.crop_size == COMMON.crop_size == 0


def test_each_row_is_given_what_it_says() -> None:
    features = np.arange(2 * len(FEATURE_NAMES), dtype=np.float32).reshape(2, -1)
    table, names = given(Row("", "svm", ("hog", "geometry")), features)
    assert table.shape == (2, len(names))
    assert names[-len(MEASURES["geometry"]) :] == MEASURES["geometry"]
    edges = names[: -len(MEASURES["geometry"])]
    assert edges == tuple(name for name in FEATURE_NAMES if name.startswith("hog_"))
    np.testing.assert_array_equal(table[:, 0], features[:, FEATURE_NAMES.index(edges[0])])
    counts = [len(given(Row("", "svm", (family,)), features)[1]) for family in ("geometry", "motion", "lbp", "hog")]
    assert counts[:2] == [len(MEASURES["geometry"]), len(MEASURES["motion"])]
    assert sum(counts[2:]) == sum(name.startswith(("lbp_", "hog_")) for name in FEATURE_NAMES)


def test_answers_are_those_of_the_net_with_its_measures(
    made_faces: FaceDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(families, "BATCH", 5)
    torch.manual_seed(0)
    net = FaceNet("fusion", HEADS).eval()
    measures = np.random.default_rng(0).normal(0, 5, (12, COUNT)).astype(np.float32)
    measured = replace(made_faces[:12], measures=measures)
    with torch.inference_mode():
        images = torch.from_numpy(measured.images).unsqueeze(1).float()
        logits = net(images, torch.from_numpy(measures))["ferplus"]
    assert answers_of(net, "ferplus", measured).tolist() == logits.argmax(dim=1).tolist()


# runs


def test_all_is_done_once_and_what_is_missing_again(setting: Setting, program: ModuleType) -> None:
    done = do_all(setting)
    assert done == [
        *("fer2013-geometry-SVM.json", "ck48-geometry-SVM-0.json", "ck48-geometry-SVM-1.json"),
        "fer2013-whole-face.json",
        *(f"ck48-{row.slug}-{fold}.json" for row in FEW_ROWS[1:] for fold in (0, 1)),
    ]
    assert list(run_families(setting)) == []
    work = Work("moving", 1)
    before = work.path(setting).read_text("utf-8")
    work.path(setting).unlink()
    assert do_all(setting) == ["ck48-moving-1.json"]
    again, first = (program.json.loads(text) for text in (work.path(setting).read_text("utf-8"), before))
    assert again["answers"] == first["answers"]


def test_answers_are_of_faces_that_were_not_learned_from(setting: Setting, program: ModuleType) -> None:
    do_all(setting)
    faces, extraction = extracted("ck48", setting)
    assert not extraction.is_aligned.any()  # noise is no face
    for fold in (0, 1):
        tested = ten_folds(faces)[fold].source_ids.tolist()
        assert program.read(Work(WHOLE, fold), setting)["source_ids"] == tested
    fer2013, _ = extracted("fer2013", setting)
    tested = fer2013.source_ids[fer2013.split != "Training"].tolist()
    assert program.read(Work(WHOLE), setting)["source_ids"] == tested


@pytest.mark.parametrize("architecture", ["default", FUSION])
def test_nets_of_the_whole_face_begin_with_the_trunk_that_ships(architecture: str) -> None:
    recipe = replace(COMMON, architecture=architecture, seed=3)
    net, shipped = FaceNet(architecture, {"fer2013": 7}), FaceNet("default", {"ferplus": 8})
    net.load_state_dict(first_weights(recipe, shipped_trunk(architecture)))
    load_weights(shipped, read_weights(model_path("default")))
    trunk = net.get_submodule(*frozen_parts(architecture))
    faces = torch.rand(2, 1, 48, 48)
    with torch.inference_mode():
        torch.testing.assert_close(trunk.eval()(faces), shipped.trunk.eval()(faces))


def test_fusion_sees_regions_as_the_net_that_was_taught_them_alone() -> None:
    torch.manual_seed(5)
    alone, fused = FaceNet("regions-cnn", {"fer2013": 7}), FaceNet(FUSION, {"fer2013": 7})
    parts = renamed(alone.state_dict(), "trunk", "trunk.branches.regions")
    fused.load_state_dict(first_weights(replace(COMMON, architecture=FUSION), parts))
    faces = torch.rand(2, 1, 48, 48)
    with torch.inference_mode():
        expected = alone.trunk.eval()(faces)
        torch.testing.assert_close(fused.get_submodule("trunk.branches.regions").eval()(faces), expected)


def test_nets_of_regions_alone_are_drawn_by_the_seed() -> None:
    recipe = replace(COMMON, architecture="regions-cnn")
    assert shipped_trunk(recipe.architecture) == {}
    first, second, other = (first_weights(one, {}) for one in (recipe, recipe, replace(recipe, seed=1)))
    assert all(torch.equal(value, second[name]) for name, value in first.items())
    assert not torch.equal(first["heads.fer2013.weight"], other["heads.fer2013.weight"])


# the page


def test_the_page_says_what_was_answered(
    setting: Setting, program: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    do_all(setting)
    monkeypatch.setattr(program, "ROWS", families.ROWS)
    monkeypatch.setattr(program, "GAINS", (("moving", WHOLE),))
    stages = {"points and alignment": 1.0, "geometry": 10.0, "texture": 100.0, "motion": 1000.0}
    monkeypatch.setattr(program, "stage_ms", lambda _: stages)
    monkeypatch.setattr(program, "ck48_rules", lambda _: "|--- mouth_width <= 0.5\n")
    content = program.measured(setting)
    still, whole, moving = content["rows"]
    fer2013, _ = extracted("fer2013", setting)
    private = fer2013.of_split("PrivateTest")
    answers = program.answers_by_id([Work(WHOLE)], setting)
    right = np.mean([answers[name] == label for name, label in zip(private.source_ids, private.labels, strict=True)])
    assert whole["PrivateTest"]["accuracy"]["value"] == pytest.approx(right)
    assert whole["PrivateTest"]["accuracy"]["count"] == 24
    tested = ten_folds(extracted("ck48", setting)[0])[:2]
    assert still["CK+48"]["accuracy"]["count"] == sum(map(len, tested))
    assert "PrivateTest" not in moving
    assert 11 < still["ms"] < 100
    assert moving["ms"] == pytest.approx(whole["ms"] + 1000)
    (gain,) = content["gains"]
    assert gain["CK+48"]["value"] == pytest.approx(
        moving["CK+48"]["accuracy"]["value"] - whole["CK+48"]["accuracy"]["value"]
    )
    text = program.page(content)
    assert f"| {WHOLE} | {100 * right:.1f} (" in text
    assert "| moving |  |  |  | " in text
    assert f"| {WHOLE} | {whole['epochs']} |" in text
    assert "mouth_width <= 0.5" in text
    Work("moving", 1).path(setting).unlink()
    partial = program.measured(setting)
    assert [row["row"] for row in partial["rows"]] == [row["row"] for row in content["rows"][:2]]
    assert program.page(partial).count("moving") == 1  # among the gains, without a figure


def test_gains_are_of_rows_that_there_are(program: ModuleType) -> None:
    assert {name for gain in program.GAINS for name in gain} <= set(ROWS)


def test_persons_are_drawn_whole(program: ModuleType) -> None:
    values = np.repeat([1, 0, 1, 0, 1, 0, 1, 0, 1, 0], 40)
    alone = program.mean_score(values, np.arange(400))
    persons = program.mean_score(values, np.repeat(np.arange(10), 40))
    assert alone.value == persons.value == 0.5
    assert alone.count == persons.count == 400
    assert persons.high - persons.low > 4 * (alone.high - alone.low)  # ten faces that count, not 400


def test_a_persons_share_is_by_its_faces(program: ModuleType) -> None:
    assert program.mean_score(np.array([1, 0, 0, 0]), np.array(["a", "b", "b", "b"])).value == 0.25
