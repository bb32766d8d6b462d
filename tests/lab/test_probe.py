"""Linear heads on what a net sees: the least loss, whatever the units of the features."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from mien.core.labels import EXPRESSIONS
from mien.lab.datasets import FaceDataset
from mien.lab.probe import Probe, fitted_head, probed


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


@given(seed=st.integers(0, 100))
def test_a_head_has_the_least_loss(seed: int) -> None:
    features, targets = made(seed)
    features = (features - features.mean(dim=0)) / features.std(dim=0)
    decay = 0.05
    head = fitted_head(features, targets, decay)

    def loss(weight: torch.Tensor, bias: torch.Tensor) -> float:
        answers = functional.linear(features, weight, bias)
        return float(functional.cross_entropy(answers, targets) + decay / 2 * weight.square().sum())

    with torch.no_grad():
        least = loss(head.weight, head.bias)
        generator = torch.Generator().manual_seed(seed)
        for _ in range(5):
            step = 0.05 * torch.randn(head.weight.shape, generator=generator)
            assert loss(head.weight + step, head.bias) > least


def test_a_feature_that_never_changes_is_without_effect() -> None:
    features, targets = made(0)
    silent = torch.cat((features, torch.full((len(features), 1), 3.0)), dim=1)
    first, second = (torch.softmax(fitted_head(seen, targets, 0.1)(seen), dim=1) for seen in (features, silent))
    torch.testing.assert_close(first, second, atol=2e-3, rtol=0)


@pytest.fixture(scope="module")
def taught_by_made_faces(made_faces: FaceDataset) -> tuple[FaceDataset, FaceDataset]:
    faces = made_faces.of_labels(EXPRESSIONS)
    return faces[:70], faces[70:]


def test_a_face_and_its_mirror_image_are_answered_alike(
    taught_by_made_faces: tuple[FaceDataset, FaceDataset],
) -> None:
    training, others = taught_by_made_faces
    answers = probed(Probe(), training, others.images)
    assert answers.shape == (len(others), len(EXPRESSIONS))
    np.testing.assert_allclose(answers.sum(axis=1), 1, atol=1e-5)
    mirrored = probed(Probe(), training, np.ascontiguousarray(others.images[:, :, ::-1]))
    np.testing.assert_allclose(answers, mirrored, atol=1e-5)


def test_what_was_learned_is_answered(taught_by_made_faces: tuple[FaceDataset, FaceDataset]) -> None:
    training, _ = taught_by_made_faces
    answers = probed(replace(Probe(), decay=1e-3), training, training.images)
    assert (answers.argmax(axis=1) == training.labels).mean() > 0.9
