"""Risk against coverage."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from mien.core.errors import OptionError
from mien.lab.evaluation import risk_coverage, uncertain_threshold


def table(confidences: list[float]) -> np.ndarray:
    top = np.array(confidences, np.float32)
    return np.stack([top, 1 - top], axis=1)


def test_the_sure_are_answered_first() -> None:
    curve = risk_coverage(table([0.9, 0.6, 0.8, 0.7]), np.array([0, 1, 0, 1]))
    np.testing.assert_allclose(curve.thresholds, [0.9, 0.8, 0.7, 0.6], rtol=1e-6)
    np.testing.assert_allclose(curve.coverage, [0.25, 0.5, 0.75, 1])
    np.testing.assert_allclose(curve.risk, [0, 0, 1 / 3, 1 / 2])
    assert curve.area == pytest.approx((1 / 3 + 1 / 2) / 4)
    assert curve.at(0.75) == (0.5, 0.0)
    assert curve.at(0.0) == (1.0, 0.5)
    assert curve.at(0.95) == (0.0, 0.0)


def test_equals_are_answered_together() -> None:
    curve = risk_coverage(table([0.8, 0.8, 0.6]), np.array([1, 0, 0]))
    np.testing.assert_allclose(curve.coverage, [2 / 3, 1])
    np.testing.assert_allclose(curve.risk, [1 / 2, 1 / 3])


TABLES = arrays.arrays(np.float32, st.integers(1, 40), elements=st.floats(0.5, 1, width=32))


@given(TABLES)
def test_laws_of_the_curve(top: np.ndarray) -> None:
    labels = np.random.default_rng(len(top)).integers(0, 2, len(top))
    probabilities = np.stack([top, 1 - top], axis=1)
    curve = risk_coverage(probabilities, labels)
    assert curve.coverage[-1] == 1
    assert curve.risk[-1] == pytest.approx((probabilities.argmax(axis=1) != labels).mean())
    assert (np.diff(curve.coverage) > 0).all()
    assert (np.diff(curve.thresholds) < 0).all()
    assert 0 <= curve.area <= 1


@given(st.integers(1, 30), st.integers(0, 30))
def test_no_order_is_better_than_all_right_answers_first(right: int, wrong: int) -> None:
    labels = np.repeat([0, 1], [right, wrong])
    best = risk_coverage(table(np.linspace(1, 0.6, right + wrong).tolist()), labels).area
    worst = risk_coverage(table(np.linspace(0.6, 1, right + wrong).tolist()), labels).area
    assert best <= worst


def test_the_threshold_of_the_card_keeps_to_its_word() -> None:
    generator = np.random.default_rng(0)
    top = generator.uniform(0.5, 1, 2000)
    labels = (generator.uniform(size=2000) > top).astype(np.int64)  # calibrated
    probabilities = table(top.tolist())
    threshold, coverage = uncertain_threshold(probabilities, probabilities.argmax(axis=1) == labels)
    answered, risk = risk_coverage(probabilities, labels).at(threshold)
    assert answered == pytest.approx(coverage)
    assert 0.08 < risk <= 0.1
    assert 0.1 < coverage < 0.9


def test_no_faces() -> None:
    with pytest.raises(OptionError, match="no faces to measure"):
        risk_coverage(np.empty((0, 7), np.float32), np.empty(0, np.int64))
