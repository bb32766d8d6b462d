"""Linear heads on what a net sees: the least loss, whatever the units of the features."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from mien.core.errors import OptionError
from mien.core.labels import EXPRESSIONS
from mien.engine.recognizer import load, model_path
from mien.lab.datasets import FaceDataset
from mien.lab.graph import read_weights
from mien.lab.models import FaceNet, load_weights
from mien.lab.probe import Probe, fitted_head, probed, seen


def made(seed: int, count: int = 60) -> tuple[torch.Tensor, torch.Tensor]:
    """Return features and label distributions that follow from them, with noise."""
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(count, 5, generator=generator)
    targets = torch.softmax(features @ torch.randn(5, 3, generator=generator), dim=1)
    return features, targets


@given(seed=st.integers(0, 100), scale=st.floats(0.01, 100), shift=st.floats(-10, 10))
def test_units_of_the_features_do_not_matter(seed: int, scale: float, shift: float) -> None:
    features, targets = made(seed)
    other = features * scale + shift
    first, second = (torch.softmax(fitted_head(seen, targets, 0.1)(seen), dim=1) for seen in (features, other))
    torch.testing.assert_close(first, second, atol=2e-3, rtol=0)


@given(seed=st.integers(0, 100), decay=st.floats(0.01, 1))
def test_a_head_has_the_least_loss(seed: int, decay: float) -> None:
    features, targets = made(seed)
    features = (features - features.mean(dim=0)) / features.std(dim=0)
    head = fitted_head(features, targets, decay)
    loss = functional.cross_entropy(head(features), targets) + decay / 2 * head.weight.square().sum()
    for slope in torch.autograd.grad(loss, [head.weight, head.bias]):  # it is convex: flat is least
        torch.testing.assert_close(slope, torch.zeros_like(slope), atol=1e-3, rtol=0)


def test_a_feature_that_never_changes_is_without_effect() -> None:
    features, targets = made(0)
    silent = torch.cat((features, torch.full((len(features), 1), 3.0)), dim=1)
    first, second = (torch.softmax(fitted_head(seen, targets, 0.1)(seen), dim=1) for seen in (features, silent))
    torch.testing.assert_close(first, second, atol=2e-3, rtol=0)


@pytest.fixture(scope="module")
def weights() -> Mapping[str, torch.Tensor]:
    return read_weights(model_path("default"))


def test_the_features_of_the_net_come_first(made_faces: FaceDataset, weights: Mapping[str, torch.Tensor]) -> None:
    net = FaceNet("default", {}).eval()
    load_weights(net, weights)
    faces = torch.from_numpy(made_faces.images[:4]).unsqueeze(1).float()
    with torch.inference_mode():
        both, features = seen(net, faces), net.features(faces)
    assert both.shape == (4, 256 + 9 * 128)
    torch.testing.assert_close(both[:, :256], features)


def test_a_face_and_its_mirror_image_are_answered_alike(
    made_faces: FaceDataset, weights: Mapping[str, torch.Tensor]
) -> None:
    faces = made_faces.of_labels(EXPRESSIONS)
    training, others = faces[:30], faces[30:50]
    answers = probed(Probe(), weights, training, others.images)
    assert answers.shape == (20, len(EXPRESSIONS))
    np.testing.assert_allclose(answers.sum(axis=1), 1, atol=1e-5)
    mirrored = probed(Probe(), weights, training, np.ascontiguousarray(others.images[:, :, ::-1]))
    np.testing.assert_allclose(answers, mirrored, atol=1e-4)


def test_a_teacher_without_labels_beside_it_is_imitated(
    made_faces: FaceDataset, weights: Mapping[str, torch.Tensor]
) -> None:
    faces = made_faces.of_labels(EXPRESSIONS)[:30]
    teacher = load("fer2013")
    told = (teacher.probabilities(faces.images) + teacher.probabilities(faces.images[:, :, ::-1])) / 2
    alone, unheard = (
        probed(Probe(teacher_share=share, decay=1e-4), weights, faces, faces.images) for share in (1.0, 0.0)
    )
    assert np.abs(alone - told).mean() < 0.02
    assert (unheard.argmax(axis=1) == faces.labels).all()
    assert np.abs(unheard - told).mean() > 0.1


@pytest.mark.parametrize(("option", "value"), [("teacher_share", 1.5), ("decay", 0.0), ("decay", float("nan"))])
def test_a_probe_that_makes_no_sense_is_refused(option: str, value: float) -> None:
    with pytest.raises(OptionError, match=f"{option} is {value}: expected"):
        Probe(**{option: value})  # type: ignore[arg-type]
