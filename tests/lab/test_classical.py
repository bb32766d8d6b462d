"""Classic readers of features: they learn, they bear what is missing, and a tree can be read."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.pipeline import Pipeline

from mien.core.types import FloatArray, IntArray
from mien.lab.classical import DEPTH, rules, shallow_tree, size_of, support_vector_machine

LABELS = ("angry", "disgust", "happy")


def examples(count: int = 300, seed: int = 0) -> tuple[FloatArray, IntArray]:
    """Return faces of four features; the first two tell the three labels apart, and are missing in every tenth face."""
    generator = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    features = generator.normal(0, 0.3, (count, 4)).astype(np.float32)
    features[:, 0] += labels == 1
    features[:, 1] += labels == 2
    features[::10, :2] = np.nan
    return features, labels


@pytest.mark.parametrize("reader", [support_vector_machine(4), shallow_tree()], ids=["machine", "tree"])
def test_readers_learn_where_something_is_missing(reader: Pipeline) -> None:
    features, labels = examples()
    asked, truth = examples(seed=1)
    is_right = reader.fit(features, labels).predict(asked) == truth
    is_whole = np.isfinite(asked).all(axis=1)
    assert is_right[is_whole].mean() > 0.85
    assert is_right[~is_whole].mean() < 0.7  # nothing is left to tell them by


@pytest.mark.parametrize("reader", [support_vector_machine(4), shallow_tree()], ids=["machine", "tree"])
def test_units_do_not_matter(reader: Pipeline) -> None:
    features, labels = examples()
    units = np.array([1000, 0.001, 1, 8], np.float32)
    asked, _ = examples(seed=1)
    before = reader.fit(features, labels).predict(asked)
    after = reader.fit(features * units, labels).predict(asked * units)
    assert (before == after).mean() > 0.99


def test_what_nobody_measured_does_no_harm() -> None:
    features, labels = examples()
    features[:, 3] = np.nan
    for reader in (support_vector_machine(4), shallow_tree()):
        assert (reader.fit(features, labels).predict(features) == labels).mean() > 0.8


def test_missing_is_a_sign_of_its_own() -> None:
    labels = np.arange(100) % 2
    features = np.where(labels, np.nan, 1.0).astype(np.float32)[:, None]
    for reader in (support_vector_machine(1), shallow_tree()):
        assert (reader.fit(features, labels).predict(features) == labels).all()


def test_a_tree_can_be_read() -> None:
    features, labels = examples()
    names = ("brow_raise", "mouth_width", "jaw_drop", "head_roll")
    tree = shallow_tree().fit(features, labels)
    text = rules(tree, names, LABELS, depth=2)
    assert "brow_raise <=" in text
    assert "mouth_width >" in text
    assert max(line.count("|") for line in text.splitlines()) == 3  # two questions, and what follows
    whole = rules(tree, names, LABELS, depth=DEPTH)
    assert "truncated" not in whole
    assert {line.rpartition(": ")[2] for line in whole.splitlines() if "class" in line} == set(LABELS)


def test_the_size_of_a_reader() -> None:
    features, labels = examples()
    # A weight for each of four features and two flags, and a bias, for each of three labels.
    assert size_of(support_vector_machine(4).fit(features, labels)) == 3 * (4 + 2 + 1)
    tree = shallow_tree().fit(features, labels)
    assert size_of(tree) <= 2 ** (DEPTH + 1) - 1
    assert size_of(tree) % 2 == 1  # each question has two answers
