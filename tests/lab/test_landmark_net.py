"""How the landmark net is made: labels, views, loss, a run that goes on, the file."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mien.core.errors import DatasetError, ModelError, OptionError
from mien.core.preprocess import MEAN_SHAPE
from mien.core.types import ByteArray, FloatArray
from mien.face.landmarks import FRAME_SHARE, GROUPS, Landmarker
from mien.lab.datasets import FaceDataset
from mien.lab.landmarks import teacher, training
from mien.lab.landmarks.data import PointedFaces, no_faces, pointed
from mien.lab.landmarks.export import export_landmarks
from mien.lab.landmarks.measuring import contact_sheet, errors, points_of
from mien.lab.landmarks.net import INPUT_SIZE, LandmarkNet
from mien.lab.landmarks.teacher import VERTICES, MeshTeacher
from mien.lab.landmarks.training import Batch, LandmarkRecipe, landmark_loss, train_landmarks
from mien.lab.landmarks.views import random_views, straight_views


@pytest.fixture(scope="module")
def dotted() -> PointedFaces:
    """Return 64 "faces", each with a bright dot at every point."""
    generator = np.random.default_rng(0)
    points = (MEAN_SHAPE + generator.normal(0, 0.01, (64, 68, 2)) + generator.normal(0, 0.03, (64, 1, 2))).astype(
        np.float32
    )
    images = generator.integers(0, 60, (64, 48, 48)).astype(np.uint8)
    for image, face in zip(images, points, strict=True):
        for x, y in (48 * face).astype(int).clip(0, 47):
            image[y, x] = 255
    return PointedFaces(images, points, np.ones(64, np.float32))


def test_each_point_has_its_own_vertices() -> None:
    assert len(VERTICES) == 68
    assert len({vertex for vertices in VERTICES for vertex in vertices}) == 68 + 5 - 1  # five middles, 58 in two


def test_what_the_teacher_misses_often_counts_more(made_faces: FaceDataset) -> None:
    points = np.zeros((96, 68, 2), np.float32)
    found = made_faces.labels != 0
    found[np.flatnonzero(made_faces.labels == 0)[::2]] = True
    faces = pointed(made_faces, points, found)
    weights = {label: faces.weights[made_faces.labels[found] == label].mean() for label in range(7)}
    assert weights[0] == pytest.approx(2 * weights[1], rel=0.15)
    assert len(faces) == found.sum()
    with pytest.raises(DatasetError, match="found none of 96 faces"):
        pointed(made_faces, points, np.zeros(96, np.bool_))


def test_no_faces_are_the_same_for_a_seed() -> None:
    faces = np.random.default_rng(0).integers(0, 256, (5, 48, 48)).astype(np.uint8)
    first, second = no_faces(faces, 64, 1, count=24), no_faces(faces, 64, 1, count=24)
    assert first.shape == (24, 64, 64)
    np.testing.assert_array_equal(first, second)
    assert len(np.unique(first.reshape(24, -1), axis=0)) == 24


@given(seed=st.integers(0, 10_000))
def test_points_stay_on_the_dots_in_every_view(seed: int) -> None:
    torch.manual_seed(seed)
    faces = torch.zeros(8, 1, 48, 48)
    points = torch.rand(8, 68, 2) * 0.6 + 0.2
    points[:, 1:] = points[:, :1]  # one dot a face, since mirroring exchanges points
    for face, (x, y) in zip(faces, (48 * points[:, 0]).floor().long(), strict=True):
        face[0, y, x] = 255
    points = ((48 * points).floor() + 0.5) / 48
    views = random_views(faces, points, 96)
    for crop, point, is_measurable in zip(views.crops, views.points, views.are_measurable, strict=True):
        if not is_measurable or not bool(((point[0] > 0.05) & (point[0] < 0.95)).all()):
            continue
        x, y = (96 * point[0]).floor().int().tolist()
        assert crop[0, y - 1 : y + 2, x - 1 : x + 2].max() > 100


def test_a_straight_view_is_the_frame_with_a_border() -> None:
    points = torch.from_numpy(MEAN_SHAPE.copy())[None]
    views = straight_views(torch.rand(1, 1, 48, 48), points, INPUT_SIZE)
    torch.testing.assert_close(views.points, 0.5 + (points - 0.5) / FRAME_SHARE)


def test_the_loss_knows_what_is_right_and_what_is_no_face() -> None:
    points = torch.from_numpy(MEAN_SHAPE.copy())[None].repeat(2, 1, 1)
    batch = Batch(torch.zeros(3, 1, 64, 64), points, torch.ones(2))
    answers = torch.cat([points, points[:1]])
    sure, unsure = torch.tensor([8.0, 8.0, -8.0]), torch.tensor([-8.0, -8.0, 8.0])
    assert landmark_loss(answers, sure, batch) < 0.01
    assert landmark_loss(answers, unsure, batch) > 7
    wrong = answers + 0.3  # of the crop: more than a tenth of the distance between the eyes
    assert landmark_loss(wrong, sure, batch) > landmark_loss(wrong, -sure.abs(), batch)


def test_points_that_are_only_to_be_doubted_teach_no_place() -> None:
    points = torch.from_numpy(MEAN_SHAPE.copy())[None]
    logits = torch.zeros(1)
    silent = Batch(torch.zeros(1, 1, 64, 64), points, torch.zeros(1))
    assert landmark_loss(points + 0.3, logits, silent) == pytest.approx(math.log(2))


@pytest.fixture(scope="module")
def trained(dotted: PointedFaces, tmp_path_factory: pytest.TempPathFactory) -> tuple[LandmarkNet, Path]:
    out = tmp_path_factory.mktemp("run")
    recipe = LandmarkRecipe(epochs=2, batch_size=16, precision="32-true")
    net = train_landmarks(recipe, dotted, dotted, no_faces(dotted.images, 64, 0, 8), out, data="made")
    assert net is not None
    return net, out


def test_a_stopped_run_ends_as_an_unbroken_one(
    trained: tuple[LandmarkNet, Path], dotted: PointedFaces, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = LandmarkRecipe(epochs=2, batch_size=16, precision="32-true")
    asked = iter([False, False, True, *[False] * 99])
    monkeypatch.setattr(training, "stop_asked", lambda *_: next(asked))
    negatives = no_faces(dotted.images, 64, 0, 8)
    assert train_landmarks(recipe, dotted, dotted, negatives, tmp_path, data="made") is None
    net = train_landmarks(recipe, dotted, dotted, negatives, tmp_path, data="made")
    assert net is not None
    for ours, theirs in zip(net.state_dict().values(), trained[0].state_dict().values(), strict=True):
        torch.testing.assert_close(ours, theirs)
    with pytest.raises(OptionError, match="epochs 2, now 3"):
        train_landmarks(replace(recipe, epochs=3), dotted, dotted, negatives, tmp_path, data="made")


def test_the_file_answers_as_the_net_and_says_how_well(
    trained: tuple[LandmarkNet, Path], dotted: PointedFaces, tmp_path: Path
) -> None:
    path = tmp_path / "landmarks.onnx"
    card = export_landmarks(trained[0], LandmarkRecipe(), path, measured_on={"made": dotted}, training_data={"a": "b"})
    landmarker = Landmarker(path)
    assert landmarker.card == card
    points, confidences = points_of(landmarker, dotted.images)
    assert card.scores["error_made"].value == pytest.approx(errors(points, dotted.points).mean(), rel=1e-5)
    assert confidences.shape == (64,)
    assert list(tmp_path.iterdir()) == [path]


def test_the_picture_shows_both_kinds_of_points(dotted: PointedFaces) -> None:
    sheet = contact_sheet(dotted, dotted.points + 0.1, count=5)
    assert sheet.shape == (288, 8 * 288, 3)
    for color in ((255, 70, 70), (80, 255, 80)):
        assert (np.abs(sheet.astype(int) - color).sum(axis=2) < 30).any()


def test_an_error_of_a_tenth_is_a_tenth() -> None:
    eyes = np.linalg.norm(MEAN_SHAPE[36] - MEAN_SHAPE[45])
    moved = MEAN_SHAPE + np.array([0.1 * eyes, 0], np.float32)
    np.testing.assert_allclose(errors(moved[None], MEAN_SHAPE[None]), [0.1], rtol=1e-5)
    assert GROUPS["right_eye"].start == 36


def test_labels_are_of_one_teacher_and_of_these_faces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Teacher:
        def __init__(self, path: Path) -> None:
            self.sha256 = path.name

        def label(self, _face: ByteArray) -> tuple[FloatArray, bool]:
            return MEAN_SHAPE, True

    def in_this_process(work: Callable[[int], None], parts: list[int], _processes: int) -> Iterator[int]:
        for part in parts:
            work(part)
            yield part

    monkeypatch.setattr(teacher, "MeshTeacher", Teacher)
    faces = np.zeros((3, 48, 48), np.uint8)
    with monkeypatch.context() as patched:
        patched.setattr(teacher, "side_by_side", in_this_process)
        assert list(teacher.label_faces(faces, Path("a"), tmp_path)) == [3]
    assert list(teacher.label_faces(faces, Path("a"), tmp_path)) == []  # all is done
    assert teacher.read_labels(tmp_path)[0].shape == (3, 68, 2)
    for other, path, what in ((faces, Path("b"), "teacher"), (faces[:2], Path("a"), "faces")):
        with pytest.raises(OptionError, match=f"holds labels of other {what}: choose another folder"):
            list(teacher.label_faces(other, path, tmp_path))


def test_a_file_that_is_no_teacher_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"none\.task: cannot be read"):
        MeshTeacher(tmp_path / "none.task")
    (tmp_path / "wrong.tflite").write_bytes(b"nothing of the kind")
    with pytest.raises(ModelError, match="no net that OpenCV reads"):
        MeshTeacher(tmp_path / "wrong.tflite")
