from __future__ import annotations

import json
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import classification_report, f1_score, log_loss

from mien.core.errors import DatasetError, OptionError
from mien.core.labels import EXPRESSIONS, EXPRESSIONS_AND_CONTEMPT
from mien.core.model import ModelCard, Score
from mien.core.types import ByteArray, FloatArray, IntArray
from mien.lab.datasets import FaceDataset
from mien.lab.evaluation import (
    bootstrap,
    calibration_bins,
    cross_entropy,
    evaluate,
    expected_calibration_error,
    figures_of_record,
    fit_temperature,
    risk_coverage,
    score_text,
    uncertain_threshold,
)

seeds = st.integers(0, 2**32 - 1)


def softmax(logits: FloatArray) -> FloatArray:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    table: FloatArray = (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)
    return table


def answers(count: int, seed: int = 0, classes: int = 7) -> tuple[FloatArray, IntArray]:
    """Return probabilities and labels that follow them: a net that is perfectly calibrated."""
    generator = np.random.default_rng(seed)
    table = softmax((1.5 * generator.normal(size=(count, classes))).astype(np.float32))
    labels = (table.cumsum(axis=1) < generator.random((count, 1))).sum(axis=1).clip(max=classes - 1)
    return table, labels.astype(np.int64)


# the report


def test_text_is_the_layout_of_scikit_learn() -> None:
    table, labels = answers(500)
    text = evaluate(table, labels, EXPRESSIONS).text()
    reference = classification_report(labels, table.argmax(axis=1), target_names=EXPRESSIONS, zero_division=0)
    assert text.startswith(reference)
    assert text[len(reference) :].splitlines()[1].startswith("accuracy: ")


def test_golden_report() -> None:
    table = [[0.8, 0.2], [0.6, 0.4], [0.3, 0.7], [0.9, 0.1]]
    report = evaluate(table, [0, 0, 1, 1], ("happy", "sad"))
    assert report.accuracy.value == 0.75
    assert report.accuracy.count == 4
    assert report.loss == pytest.approx(-(np.log(0.8) + np.log(0.6) + np.log(0.7) + np.log(0.1)) / 4)
    assert report.confusion == ((2, 0), (1, 1))
    happy, sad = report.classes["happy"], report.classes["sad"]
    assert [happy.precision, happy.recall, happy.f1, happy.support] == pytest.approx([2 / 3, 1, 0.8, 2])
    assert [sad.precision, sad.recall, sad.f1, sad.support] == pytest.approx([1, 0.5, 2 / 3, 2])
    assert report.macro_average.f1 == report.macro_f1.value == pytest.approx((0.8 + 2 / 3) / 2)
    assert report.weighted_average.support == 4


def test_report_as_json_and_markdown() -> None:
    table, labels = answers(60)
    report = evaluate(table, labels, EXPRESSIONS)
    content = json.loads(report.to_json())
    assert content == report.to_dict()
    assert content["accuracy"]["value"] == report.accuracy.value
    assert list(content["classes"]) == list(EXPRESSIONS)
    assert content["confusion"] == [list(row) for row in report.confusion]
    markdown = report.markdown()
    assert "| class | precision | recall | F1 | support |" in markdown
    assert markdown.count("\n| ") == 1 + 7 + 2


def test_a_class_without_faces_is_left_out_of_the_mean() -> None:
    table, labels = answers(40, classes=3)
    padded = np.hstack([table, np.zeros((40, 1), np.float32)])
    padded[0] = (0, 0, 0, 1)  # an answer that no face has is wrong, and is no class of its own
    report = evaluate(padded, labels, ("angry", "disgust", "fear", "happy"))
    assert report.classes["happy"].support == report.classes["happy"].f1 == 0
    expected = f1_score(labels, padded.argmax(axis=1), average="macro", labels=range(3))
    assert report.macro_f1.value == report.macro_average.f1 == pytest.approx(expected)


@given(seed=seeds)
@settings(deadline=None, max_examples=10)
def test_order_of_the_faces_does_not_matter(seed: int) -> None:
    table, labels = answers(50, seed)
    order = np.random.default_rng(seed).permutation(50)
    first, second = evaluate(table, labels, EXPRESSIONS), evaluate(table[order], labels[order], EXPRESSIONS)
    assert first.confusion == second.confusion
    assert first.classes == second.classes
    assert first.loss == pytest.approx(second.loss)
    assert first.calibration_error.value == pytest.approx(second.calibration_error.value)


@pytest.mark.parametrize(
    ("table", "labels", "message"),
    [
        ([[0.5, 0.5]], [0, 1], r"shape \(1, 2\) and labels of shape \(2,\): expected \(N, 2\)"),
        ([], [], "at least one face"),
        ([[0.5, 0.5]], [2], "reach from 2 to 2: expected 0 to 1"),
        ([[0.5, 0.5]], [-1], "reach from -1"),
        ([[3.0, -2.0]], [0], "logits need a softmax first"),
        ([[0.5, 0.6]], [0], "rows sum to 1"),
        ([[np.nan, 0.5]], [0], r"numbers in \[0, 1\]"),
    ],
)
def test_what_cannot_be_measured_is_refused(table: list[list[float]], labels: list[int], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        evaluate(table, labels, ("happy", "sad"))


def test_cross_entropy_agrees_with_scikit_learn() -> None:
    table, labels = answers(300)
    assert cross_entropy(table, labels) == pytest.approx(log_loss(labels, table, labels=range(7)), rel=1e-5)
    assert np.isfinite(cross_entropy(np.array([[0, 1]], np.float32), np.array([0])))


# calibration


def slow_calibration_error(table: FloatArray, labels: IntArray, bins: int) -> float:
    """Follow the words of the definition, bin by bin."""
    total = 0.0
    for index in range(bins):
        low, high = index / bins, (index + 1) / bins
        inside = [i for i, row in enumerate(table.astype(np.float64)) if low < row.max() <= high]
        if inside:
            accuracy = sum(int(table[i].argmax() == labels[i]) for i in inside) / len(inside)
            confidence = sum(float(table[i].max()) for i in inside) / len(inside)
            total += len(inside) / len(table) * abs(accuracy - confidence)
    return total


def test_golden_calibration_error() -> None:
    table = np.array([[0.9, 0.1], [0.94, 0.06], [0.65, 0.35], [0.35, 0.65]], np.float32)
    labels = np.array([0, 1, 0, 1])
    bins = calibration_bins(table, labels, bins=5)
    assert bins.counts.tolist() == [0, 0, 0, 2, 2]
    # Confidence 0.92 with half right, and 0.65 with all right, two faces each.
    assert bins.error == pytest.approx((0.42 + 0.35) / 2)


@given(seed=seeds, count=st.integers(1, 200), bins=st.integers(1, 20))
@settings(deadline=None, max_examples=40)
def test_calibration_error_agrees_with_its_definition(seed: int, count: int, bins: int) -> None:
    table, labels = answers(count, seed)
    error = expected_calibration_error(table, labels, bins)
    assert 0 <= error <= 1
    assert error == pytest.approx(slow_calibration_error(table, labels, bins), abs=1e-6)
    assert calibration_bins(table, labels, bins).counts.sum() == count


def test_extremes_of_calibration() -> None:
    sure = np.tile(np.array([[1, 0]], np.float32), (10, 1))
    assert expected_calibration_error(sure, np.zeros(10, np.int64)) == 0
    assert expected_calibration_error(sure, np.ones(10, np.int64)) == 1


def test_a_calibrated_net_has_a_small_error() -> None:
    table, labels = answers(50_000)
    assert expected_calibration_error(table, labels) < 0.01
    sharper = softmax(3 * np.log(table))
    assert expected_calibration_error(sharper, labels) > 0.1


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_temperature_is_found_again(temperature: float) -> None:
    table, labels = answers(20_000)
    logits = temperature * np.log(table)
    assert fit_temperature(logits, labels) == pytest.approx(temperature, rel=0.03)
    assert fit_temperature(logits, table) == pytest.approx(temperature, rel=1e-3)
    assert fit_temperature(logits + 100, labels) == pytest.approx(fit_temperature(logits, labels), rel=1e-3)


def test_rows_without_a_target_weigh_nothing() -> None:
    table, _ = answers(100)
    logits = 2 * np.log(table)
    more = np.vstack([logits, 50 * logits[:10]])
    assert fit_temperature(more, np.vstack([table, np.zeros((10, 7))])) == pytest.approx(2, rel=1e-3)


def test_temperature_refuses_what_does_not_fit() -> None:
    for logits, targets in (([[1, 2]], [0, 1]), ([[1, 2]], [[1, 2, 3]]), ([], [])):
        with pytest.raises(OptionError, match="expected"):
            fit_temperature(logits, targets)


# uncertain


def test_golden_threshold() -> None:
    top = np.array([0.9, 0.8, 0.7, 0.6, 0.55], np.float32)
    table = np.stack([top, 1 - top], axis=1)
    correct = np.array([True, True, False, True, False])
    # Wrong among those answered, from the surest: 0, 0, 1/3, 1/4, 2/5.
    assert uncertain_threshold(table, correct, 0.0) == pytest.approx((0.8, 0.4))
    assert uncertain_threshold(table, correct, 0.25) == pytest.approx((0.6, 0.8))
    assert uncertain_threshold(table, correct, 0.4) == pytest.approx((0.55, 1.0))


def test_equal_probabilities_share_their_fate() -> None:
    table = np.tile(np.array([[0.75, 0.25]], np.float32), (4, 1))
    assert uncertain_threshold(table, np.array([True, True, True, False]), 0.2)[1] == 0
    threshold, coverage = uncertain_threshold(table, np.array([True, True, True, False]), 0.25)
    assert (threshold, coverage) == (0.75, 1.0)


@given(seed=seeds, max_error=st.floats(0, 1))
@settings(deadline=None, max_examples=40)
def test_what_is_answered_keeps_to_the_error(seed: int, max_error: float) -> None:
    table, labels = answers(80, seed)
    correct = table.argmax(axis=1) == labels
    threshold, coverage = uncertain_threshold(table, correct, max_error)
    answered = table.max(axis=1) >= threshold
    assert answered.mean() == pytest.approx(coverage)
    assert not answered.any() or np.mean(~correct[answered]) <= max_error
    lower = table.max(axis=1) >= np.unique(table.max(axis=1)[~answered])[-1] if not answered.all() else answered
    assert answered.all() or np.mean(~correct[lower]) > max_error


# intervals


def test_interval_of_an_accuracy_is_that_of_the_binomial() -> None:
    right = np.arange(1000) < 700
    score = bootstrap(lambda rows: float(right[rows].mean()), 1000, seed=1)
    half = 1.96 * np.sqrt(0.7 * 0.3 / 1000)
    assert score.value == 0.7
    assert score.low == pytest.approx(0.7 - half, abs=0.004)
    assert score.high == pytest.approx(0.7 + half, abs=0.004)
    assert bootstrap(lambda rows: float(right[rows].mean()), 1000, seed=1) == score
    assert bootstrap(lambda rows: float(right[rows].mean()), 1000, seed=2) != score


def test_a_figure_lies_inside_its_interval() -> None:
    table, labels = answers(400)
    report = evaluate(table, labels, EXPRESSIONS)
    for score in (report.accuracy, report.macro_f1, report.calibration_error):
        assert 0 <= score.low <= score.value <= score.high <= 1


def test_a_perfect_net_has_no_interval() -> None:
    assert bootstrap(lambda rows: float(len(rows) == 10), 10) == Score(1.0, 1.0, 1.0, 10)


def test_nothing_has_no_figure() -> None:
    with pytest.raises(OptionError, match="no faces to measure"):
        bootstrap(lambda rows: float(rows.mean()), 0)


@given(seeds, st.integers(1, 40))
def test_people_of_one_face_each_are_faces(seed: int, count: int) -> None:
    values = np.random.default_rng(seed).random(count)
    alone = np.array([f"{number:03}" for number in range(count)])
    plain = bootstrap(lambda rows: float(values[rows].mean()), count, draws=20)
    for subjects in (alone, np.full(count, "")):
        assert bootstrap(lambda rows: float(values[rows].mean()), count, draws=20, subjects=subjects) == plain


@given(seeds, st.integers(1, 20), st.integers(1, 5))
def test_the_same_face_many_times_tells_no_more(seed: int, count: int, copies: int) -> None:
    values = np.random.default_rng(seed).random(count)
    people = np.array([f"{number:03}" for number in range(count)])
    once = bootstrap(lambda rows: float(values[rows].mean()), count, draws=20)
    many, owners = np.tile(values, copies), np.tile(people, copies)
    score = bootstrap(lambda rows: float(many[rows].mean()), len(many), draws=20, subjects=owners)
    assert (score.value, score.low, score.high) == pytest.approx((once.value, once.low, once.high))
    assert score.count == count * copies


@given(st.lists(st.sampled_from(["", "a", "b", "c"]), min_size=1, max_size=12))
def test_a_person_has_all_their_faces_or_none(names: list[str]) -> None:
    subjects, drawn = np.array(names), list[IntArray]()

    def counted(rows: IntArray) -> float:
        drawn.append(np.bincount(rows, minlength=len(names)))
        return 0.0

    bootstrap(counted, len(names), subjects=subjects)
    for name in {"a", "b", "c"} & set(names):
        counts = np.array(drawn)[:, subjects == name]
        assert (counts == counts[:, :1]).all()


def test_score_text() -> None:
    score = Score(0.6987, 0.684, 0.7139, 3589)
    assert score_text(score, percent=True) == "69.9 % (95 % interval 68.4-71.4, 3,589 faces)"
    assert score_text(score, percent=True, unit="sequences").endswith("3,589 sequences)")
    assert score_text(score) == "0.699 (95 % interval 0.684-0.714, 3,589 faces)"


def test_curves_as_numbers() -> None:
    table, labels = answers(400)
    bins = calibration_bins(table, labels)
    assert sum(row["faces"] for row in bins.rows()) == 400
    apart = sum(row["faces"] * abs(row["confidence"] - row["accuracy"]) for row in bins.rows()) / 400
    assert apart == pytest.approx(bins.error)
    curve = risk_coverage(table, labels)
    rows = curve.rows(10)
    assert (len(rows), rows[-1]["coverage"], rows[-1]["risk"]) == (10, 1.0, curve.risk[-1])
    assert all((row["coverage"], row["risk"]) == curve.at(row["threshold"]) for row in rows)
    assert all(share <= row["coverage"] < share + 0.01 for share, row in zip(np.arange(1, 11) / 10, rows, strict=True))


# figures of record


@dataclass
class Oracle:
    """Answers by the first pixel: its value is the class."""

    labels: tuple[str, ...] = EXPRESSIONS

    @property
    def card(self) -> ModelCard:
        return ModelCard(
            name="oracle",
            version="1",
            labels=self.labels,
            input_size=48,
            temperature=1.0,
            uncertain_below=0.0,
            coverage=1.0,
            architecture="oracle",
            head="fer2013",
            parameters=0,
            mflops=0.0,
            training_data={},
            recipe={},
            seed=0,
            license="",
            limits="",
            code_version="0",
        )

    def probabilities(self, crops: list[ByteArray]) -> FloatArray:
        return np.eye(len(self.labels), dtype=np.float32)[[round(crop.mean() / 10) for crop in crops]]


def small_fer2013() -> FaceDataset:
    """Return 8 faces of PrivateTest and one of Training: answer, label and FER+ majority differ as listed."""
    answer = [0, 1, 2, 3, 4, 5, 6, 6, 0]
    labels = [0, 1, 2, 3, 4, 5, 0, 0, 0]
    majority = [0, 1, 2, 0, 0, 7, 8, 9, 0]  # the sixth contempt, then unknown and not a face
    images = np.full((9, 48, 48), 10 * np.array(answer)[:, None, None], np.uint8)  # flat: no condition changes them
    return FaceDataset(
        images=images,  # the last, in Training, is a copy of the first
        labels=np.array(labels, np.int64),
        label_names=EXPRESSIONS_AND_CONTEMPT,
        split=np.array(["PrivateTest"] * 8 + ["Training"], np.str_),
        source_ids=np.array([f"fer2013:{row}" for row in range(9)], np.str_),
        votes=10 * np.eye(10, dtype=np.int64)[majority],
    )


def test_golden_figures_of_record() -> None:
    scores = figures_of_record(Oracle(), small_fer2013())
    assert {name: (score.value, score.count) for name, score in scores.items()} == {
        "fer2013": (6 / 8, 8),
        "fer2013_without_copies": (5 / 7, 7),
        "calibration_fer2013": (2 / 8, 8),
        "ferplus_7": (3 / 5, 5),
        "calibration_ferplus": (2 / 5, 5),
        **dict.fromkeys(("drop_equalized", "drop_24_px", "drop_jpeg_20", "drop_blur_1.5"), (0.0, 8)),
    }
    eight = figures_of_record(Oracle(EXPRESSIONS_AND_CONTEMPT), small_fer2013())
    assert (eight["ferplus_8"].value, eight["ferplus_8"].count) == (3 / 6, 6)
    six = figures_of_record(Oracle(), small_fer2013(), ck48=small_fer2013()[:6])["ck48_6"]
    assert (six.value, six.count) == (1.0, 6)


def test_figures_of_record_refuse_other_labels_and_data() -> None:
    with pytest.raises(OptionError, match="with contempt or without"):
        figures_of_record(Oracle(("happy", "sad")), small_fer2013())
    with pytest.raises(DatasetError, match=r"put fer2013new\.csv of FER\+ beside it"):
        figures_of_record(Oracle(), replace(small_fer2013(), votes=None))
