"""Nets on regions and measures: what each part sees, and that nothing else reaches it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from mien.core.errors import DatasetError
from mien.core.preprocess import MEAN_SHAPE
from mien.face.landmarks import GROUPS
from mien.lab.datasets import SIDE, FaceDataset, concatenate, fingerprint
from mien.lab.models import ARCHITECTURES, HEADS, Architecture, FaceNet, per_image
from mien.lab.models.extracted import MEASURED_FEATURES, WINDOWS, Measured, regions, whole_and_regions
from mien.lab.models.paper import paper
from mien.lab.recipes import Recipe
from mien.lab.training import train

PARTS = {
    "brows": ("right_brow", "left_brow"),
    "eyes": ("right_eye", "left_eye"),
    "mouth": ("outer_lips", "inner_lips"),
}
SPARE_PX = 3


def faces(count: int) -> Tensor:
    return torch.rand(count, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(0))


def in_window(name: str) -> Tensor:
    left, top, right, bottom = WINDOWS[name]
    mask = torch.zeros(SIDE, SIDE, dtype=torch.bool)
    mask[top:bottom, left:right] = True
    return mask


# regions


@pytest.mark.parametrize("name", WINDOWS)
def test_a_region_of_the_mean_face_lies_in_its_window_with_room_around(name: str) -> None:
    left, top, right, bottom = WINDOWS[name]
    points = SIDE * np.concatenate([MEAN_SHAPE[GROUPS[group]] for group in PARTS[name]])
    assert (points.min(axis=0) >= (left + SPARE_PX, top + SPARE_PX)).all()
    assert (points.max(axis=0) <= (right - SPARE_PX, bottom - SPARE_PX)).all()


def test_each_branch_sees_its_window_and_nothing_else() -> None:
    trunk, pictures = regions().eval(), faces(2).requires_grad_()
    for features, name in zip(trunk(pictures).split(128, dim=1), WINDOWS, strict=True):
        (gradient,) = torch.autograd.grad(features.sum(), pictures, retain_graph=True)
        is_seen = (gradient != 0).any(dim=0)[0]
        assert is_seen[in_window(name)].float().mean() > 0.9, name
        assert not is_seen[~in_window(name)].any(), name


def test_fusion_sees_the_whole_face_and_its_regions() -> None:
    torch.manual_seed(0)
    trunk, pictures = whole_and_regions().eval(), faces(2)
    seen = trunk(pictures)
    pictures[:, :, 44:, :4] = 0  # a corner that no window reaches
    changed = (trunk(pictures) != seen).all(dim=0)
    assert seen.shape == (2, 640)
    assert changed[:256].float().mean() > 0.9
    assert not changed[256:].any()


# measures


def shown(measures: int, batches: int = 60) -> Measured:
    """Return the layer after it has seen faces whose first measure has mean 100 and deviation 20."""
    torch.manual_seed(0)
    layer = Measured(measures)
    for _ in range(batches):
        table = torch.randn(64, measures)
        table[:, 0] = 100 + 20 * table[:, 0]
        layer(table)
    return layer.eval()


def test_measures_are_standardized() -> None:
    layer = shown(2)
    known = layer.norm(torch.tensor([[100.0, 0.0], [120.0, 1.0]]))
    torch.testing.assert_close(known, torch.tensor([[0.0, 0.0], [1.0, 1.0]]), atol=0.2, rtol=0)


def test_a_missing_measure_is_the_mean_and_a_flag() -> None:
    layer = shown(2)
    assert layer.norm.running_mean is not None
    missing = torch.tensor([[torch.nan, 0.5]])
    filled = torch.tensor([[float(layer.norm.running_mean[0]), 0.5]])
    assert layer(missing).isfinite().all()
    assert not torch.equal(layer(missing), layer(filled))
    dense = layer.dense[0]
    assert isinstance(dense, torch.nn.Linear)
    dense.weight.data[:, 2:] = 0  # without the flags
    torch.testing.assert_close(layer(missing), layer(filled))


def test_what_nobody_ever_measured_does_no_harm() -> None:
    torch.manual_seed(0)
    layer = Measured(2)
    for _ in range(60):
        layer(torch.stack([torch.full((64,), torch.nan), torch.randn(64)], dim=1))
    assert layer.eval()(torch.tensor([[torch.nan, 0.5]])).isfinite().all()


def test_measures_that_are_not_given_are_missing() -> None:
    torch.manual_seed(0)
    net = FaceNet("fusion", HEADS).eval()
    pictures, count = 255 * faces(2), ARCHITECTURES["fusion"].measures
    with torch.inference_mode():
        without, missing = net(pictures), net(pictures, torch.full((2, count), torch.nan))
        given = net(pictures, torch.ones(2, count))
    assert torch.equal(without["fer2013"], missing["fer2013"])
    assert not torch.equal(given["fer2013"], missing["fer2013"])


def test_most_nets_take_no_measures() -> None:
    assert [name for name, entry in ARCHITECTURES.items() if entry.measures] == ["fusion"]
    net = FaceNet("paper", HEADS).eval()
    assert torch.equal(net(faces(2), torch.ones(2, 5))["fer2013"], net(faces(2))["fer2013"])


# data sets with measures


def with_measures(dataset: FaceDataset) -> FaceDataset:
    """Return faces whose label is told by their measures, each missing in one face of eight, and not by pictures."""
    generator = np.random.default_rng(0)
    measures = 50 + 10 * np.eye(7, dtype=np.float32)[dataset.labels]
    measures[generator.random(measures.shape) < 1 / 8] = np.nan
    return replace(dataset, images=np.full_like(dataset.images, 100), measures=measures)


def test_measures_follow_their_faces(made_faces: FaceDataset) -> None:
    measured = with_measures(made_faces)
    assert measured.measures is not None
    np.testing.assert_array_equal(measured[[5, 2]].measures, measured.measures[[5, 2]])
    joined = concatenate([measured[:2], made_faces[:3]]).measures
    assert joined is not None
    np.testing.assert_array_equal(joined[:2], measured.measures[:2])
    assert np.isnan(joined[2:]).all()
    assert joined.shape == (5, 7)
    wrongs: list[Any] = [measured.measures[:5], measured.measures[:, 0], measured.measures.astype(np.float64)]
    for wrong in wrongs:
        with pytest.raises(DatasetError, match=r"FaceDataset\.measures is .*: expected float32 of shape \(96, "):
            replace(made_faces, measures=wrong)


def test_other_measures_are_other_data(made_faces: FaceDataset) -> None:
    measured = with_measures(made_faces)
    assert measured.measures is not None
    others = replace(measured, measures=measured.measures[::-1].copy())
    assert len({fingerprint(one) for one in (replace(measured, measures=None), measured, others)}) == 3


# training with measures

TINY = Recipe(
    architecture="tiny",
    heads=("fer2013",),
    epochs=30,
    batch_size=16,
    optimizer="adam",
    learning_rate=0.003,
    augmentation="none",
    mixup=0.0,
    average_decay=0.9,
    precision="32-true",
)


@pytest.fixture
def _tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """Add a net to the registry that is small, and takes seven measures."""
    entry = Architecture(paper, 128 + MEASURED_FEATURES, per_image, "ours, for tests", measures=7)
    monkeypatch.setitem(ARCHITECTURES, "tiny", entry)


@pytest.mark.usefixtures("_tiny")
@pytest.mark.parametrize("mixup", [0.0, 0.5])
def test_a_net_learns_from_measures(mixup: float, made_faces: FaceDataset, tmp_path: Path) -> None:
    measured = with_measures(made_faces)
    training, validation = measured.of_split("Training"), measured.of_split("PublicTest")
    told = train(replace(TINY, mixup=mixup), training, validation, tmp_path / "told")
    assert told.curves[-1]["val_accuracy"] > 0.8
    assert told.net.measured is not None
    untold = replace(training, measures=None), replace(validation, measures=None)
    guessed = train(replace(TINY, epochs=2), *untold, tmp_path / "untold")
    assert guessed.curves[-1]["val_accuracy"] < 0.5


@pytest.mark.usefixtures("_tiny")
def test_faces_with_other_measures_are_refused(made_faces: FaceDataset, tmp_path: Path) -> None:
    measured = with_measures(made_faces)
    assert measured.measures is not None
    few = replace(measured, measures=measured.measures[:, :3])
    for training, validation in ((few, measured), (measured, few)):
        with pytest.raises(DatasetError, match="the faces have 3 measures: 'tiny' takes 7"):
            train(TINY, training, validation, tmp_path / "run")
    assert not (tmp_path / "run").exists()
