"""The page of the paper, from results that are made."""

from __future__ import annotations

import csv
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.patches import Polygon, Rectangle

from mien.core.labels import EXPRESSIONS
from mien.core.preprocess import MEAN_SHAPE, crop_squares, crops
from mien.core.types import ByteArray, Faces, FloatArray
from mien.engine.pipeline import analyze
from mien.engine.recognizer import load
from mien.face.geometry import GEOMETRY_NAMES, geometry
from mien.face.regions import FRAME_REGIONS, polygons
from mien.lab.datasets import FaceDataset, load_folders
from mien.lab.models import FaceNet
from mien.lab.paper import Book, write_book, write_set
from mien.lab.paper.areas import Area, area_of_interest
from mien.lab.paper.pictures import MEASURED, architecture, areas_of_interest, convolved, system
from mien.lab.paper.published import REPRODUCED
from mien.lab.protocol import Outcome, Trial


def made(plan: str, by: str, seed: int, right: int) -> Outcome:
    labels = np.arange(14) % 7
    answers = np.where(np.arange(14) < right, labels, (labels + 1) % 7)
    known = 14 if plan == "ck48" else 10
    names = np.array([f"ck:S{n:03}_001_00000001" if n < known else f"fer2013:{n}" for n in range(14)])
    draw = "" if plan == "ck48" else "random"
    return Outcome(
        Trial(plan, draw, by, seed), names, labels, np.eye(8 if plan == "ck48" else 7, dtype=np.float32)[answers]
    )


@pytest.fixture(scope="module")
def faces(astronaut: ByteArray) -> Faces:
    return analyze(astronaut, landmarks=True)


@pytest.fixture(scope="module")
def written(
    made_faces: FaceDataset, astronaut: ByteArray, faces: Faces, tmp_path_factory: pytest.TempPathFactory
) -> Path:
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
    book = Book(astronaut, faces, chosen, seven, outcomes, per_class=1, compared=compared, is_quick=True)
    assert write_book(book, out) == out / "paper.html"
    return out


def test_every_figure_stands_on_the_page(written: Path) -> None:
    page = (written / "paper.html").read_text("utf-8")
    for figure in (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11):
        assert f"Fig. {figure}" in page or f"Figs. {figure}" in page or f", {figure})" in page
    assert "Tables 1 and 2" in page
    assert "THIS IS A QUICK LOOK" in page
    assert page.count("data:image/png") == 9


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
    assert [row["seeds"] for row in results] == [[0, 1], [0, 1], [0]]


def test_the_file_tells_each_data_set_s_part(written: Path) -> None:
    rows = {row["plan"]: row for row in json.loads((written / "paper.json").read_text("utf-8"))["results"]}
    assert rows["ours"]["parts"] == [
        {"ck": {"right": 7, "faces": 10}, "fer2013": {"right": 0, "faces": 4}},
        {"ck": {"right": 10, "faces": 10}, "fer2013": {"right": 4, "faces": 4}},
    ]
    assert "sequences" not in rows["ours"]
    assert rows["ck48"]["parts"] == [{"ck": {"right": 7, "faces": 14}}]
    assert rows["ck48"]["sequences"] == {"right": 7, "sequences": 14}


def test_the_page_says_what_could_be_reproduced_and_what_was_seen(written: Path) -> None:
    page = (written / "paper.html").read_text("utf-8")
    could, could_not = page.index(">What could be reproduced"), page.index(">What could not be reproduced")
    assert could < could_not
    told = " ".join(REPRODUCED)
    for figure in range(1, 12):
        assert re.search(rf"Figs?\. (\d+, )?{figure}\b", told)
    for name in ("Table 1", "RNN/CNN", "DCNN", "Transfer learning", "Proposed"):
        assert name in told
    assert "no stage has seen" not in page
    assert page.count("no training has seen") == page.count("part had been looked at") == 2
    assert "faces as independent, though draws overlap" in page


def test_the_set_is_a_folder_that_can_be_trained_on(made_faces: FaceDataset, tmp_path: Path) -> None:
    seven = replace(made_faces.of_labels(EXPRESSIONS), distributions=None, votes=None)
    (tmp_path / "CK+48").mkdir()
    (tmp_path / "CK+48" / "one.png").write_bytes(b"1")
    write_set((seven[:50], seven[50:]), [tmp_path / "CK+48"], tmp_path)
    write_set((seven[:60], seven[60:]), [tmp_path / "CK+48"], tmp_path)  # others moved to the training part
    first = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    write_set((seven[:60], seven[60:]), [tmp_path / "CK+48"], tmp_path)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == first
    rows = list(csv.DictReader((tmp_path / "set.csv").read_text("utf-8").splitlines()))
    assert [row["source_id"] for row in rows] == seven.source_ids.tolist()
    assert [row["expression"] for row in rows] == [EXPRESSIONS[label] for label in seven.labels]
    assert [row["split"] for row in rows] == ["train"] * 60 + ["test"] * (len(seven) - 60)
    read = load_folders(tmp_path / "set")
    places = {f"set/{name.removeprefix('folder:')}": place for place, name in enumerate(read.source_ids.tolist())}
    again = read[[places[row["file"]] for row in rows]]
    assert len(read) == len(seven)
    np.testing.assert_array_equal(again.images, seven.images)
    np.testing.assert_array_equal(again.labels, seven.labels)
    assert again.split.tolist() == [row["split"] for row in rows]
    content = json.loads((tmp_path / "manifest.json").read_text("utf-8"))
    assert content["sources"]["CK+48"]["files"] == 1
    assert {name: part["faces"] for name, part in content["selections"].items()} == {
        "training": 60,
        "test": len(seven) - 60,
    }


def test_the_page_says_where_regions_do_not_come_from_landmarks(written: Path) -> None:
    page = (written / "paper.html").read_text("utf-8")
    assert f"No such face has sure landmarks for {', '.join(EXPRESSIONS)}" in page  # noise is no face


def outlines(axes: Axes) -> list[FloatArray]:
    return [np.asarray(patch.get_xy())[:-1] for patch in axes.patches if isinstance(patch, Polygon)]


def points(axes: Axes) -> FloatArray:
    (dots,) = axes.collections
    return np.asarray(dots.get_offsets())


def test_one_face_is_drawn_through_every_stage(astronaut: ByteArray, faces: Faces) -> None:
    assert faces.landmarks is not None
    panels = sorted(system(astronaut, faces, 48).axes, key=lambda axes: axes.get_title("left"))
    assert [axes.get_title("left")[:2] for axes in panels] == [f"{stage}." for stage in range(1, 8)]
    *_, located, regions, features, _, answer = panels
    np.testing.assert_allclose(points(located), faces.landmarks[0])
    assert [text.get_text() for text in regions.texts] == list(FRAME_REGIONS)
    for drawn, told in zip(outlines(regions), sum(polygons(faces.landmarks[0]).values(), ()), strict=True):
        np.testing.assert_allclose(drawn, told)
    values = dict(zip(GEOMETRY_NAMES, geometry(faces.landmarks)[0], strict=True))
    for axes, expected in ((features, [values[name] for name in MEASURED]), (answer, faces.probabilities[0])):
        widths = [bar.get_width() for bar in axes.patches if isinstance(bar, Rectangle)]
        np.testing.assert_allclose(widths, expected)


@pytest.fixture(scope="module")
def noise() -> ByteArray:
    return np.random.default_rng(0).integers(0, 256, (48, 48)).astype(np.uint8)


@pytest.mark.parametrize("size", [48, 96])
def test_landmarks_lie_on_the_crop_where_they_lie_in_the_picture(size: int, astronaut: ByteArray, faces: Faces) -> None:
    assert faces.landmarks is not None
    area = area_of_interest("happy", crops(astronaut, faces.boxes_xyxy, size), load("default"))
    assert (area.faces, area.right, area.crop.shape) == (1, 1, (48, 48))
    center_x, center_y, side = crop_squares(faces.boxes_xyxy)[0]
    told = (faces.landmarks[0] - (center_x - side / 2, center_y - side / 2)) * (48 / side)
    assert area.landmarks is not None
    assert np.linalg.norm(area.landmarks - told, axis=1).mean() < 1
    assert max(area.shares, key=lambda part: area.shares[part]) == "mouth"


def test_a_face_whose_landmarks_are_not_sure_is_left_out(astronaut: ByteArray, faces: Faces, noise: ByteArray) -> None:
    face = crops(astronaut, faces.boxes_xyxy, 48)
    alone, with_noise = (
        area_of_interest("sad", images, load("default")) for images in (face, np.concatenate([face, noise[None]]))
    )
    assert (with_noise.faces, with_noise.right) == (1, 0)
    assert with_noise.shares == alone.shares
    np.testing.assert_array_equal(with_noise.saliency, alone.saliency)


def test_without_sure_landmarks_regions_are_those_of_the_frame(noise: ByteArray) -> None:
    area = area_of_interest("happy", np.stack([noise, noise]), load("default"))
    assert (area.faces, area.landmarks) == (2, None)
    assert list(area.shares) == [*FRAME_REGIONS, "elsewhere"]


def test_regions_are_drawn_around_the_mean_landmarks_or_where_the_mean_face_has_them() -> None:
    gray = np.full((48, 48), 128, np.float32)
    area = Area(faces=3, right=3, saliency=gray, crop=gray, landmarks=48 * MEAN_SHAPE, shares={})
    areas = dict.fromkeys(EXPRESSIONS, area) | {"sad": replace(area, faces=1, landmarks=None)}
    figure = areas_of_interest(areas)
    panels = dict(zip(EXPRESSIONS, figure.axes, strict=False))
    assert [panels[name].get_title("left") for name in ("happy", "sad")] == ["happy, 3 faces", "sad, 1 face"]
    np.testing.assert_allclose(points(panels["happy"]), 48 * MEAN_SHAPE)
    for drawn, told in zip(outlines(panels["happy"]), sum(polygons(48 * MEAN_SHAPE).values(), ()), strict=True):
        np.testing.assert_allclose(drawn, told)
    boxes = [[*outline.min(axis=0), *outline.max(axis=0)] for outline in outlines(panels["sad"])]
    np.testing.assert_allclose(boxes, 48 * np.array(list(FRAME_REGIONS.values())), rtol=1e-6)
    assert not panels["sad"].collections
    for axes in panels.values():
        assert (axes.get_xlim(), axes.get_ylim()) == ((0, 48), (48, 0))  # the chin lies below
    legend = figure.axes[-1].get_legend()
    assert legend is not None
    names = [text.get_text() for text in legend.get_texts()]
    assert names == ["landmarks", "regions around them", "regions of the mean face"]


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
