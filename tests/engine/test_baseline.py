"""A person's own baseline: laws of the correction, and what is learned of whom, when, and from which frames."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mien.core.errors import OptionError
from mien.core.labels import EXPRESSIONS
from mien.core.model import ModelCard
from mien.core.preprocess import MEAN_SHAPE
from mien.core.types import Faces, FloatArray
from mien.engine.baseline import (
    HAS_BASELINE,
    RELATIVE_NAMES,
    SURE,
    TYPICAL_REST,
    Baseline,
    baseline_names,
    corrected,
)
from mien.engine.recognizer import load
from mien.engine.tracking import LOST_AFTER_S
from mien.face.geometry import GEOMETRY_NAMES, POSE_NAMES

LABELS = len(EXPRESSIONS)
NEUTRAL = EXPRESSIONS.index("neutral")
BOX_XYXY = (0.0, 0.0, 40.0, 50.0)
NAMES = ("brow_raise", "mouth_width", "head_yaw")
RATE = 10


def answer(**shares: float) -> FloatArray:
    """Return one row of probabilities, (K,), whatever is not named being 0."""
    return np.array([shares.get(name, 0.0) for name in EXPRESSIONS], np.float32)


SADLY = answer(sad=0.6, neutral=0.4)  # a resting face that looks sad
CALM = np.array(TYPICAL_REST["default"], np.float32)
SMILING = answer(happy=0.9, neutral=0.1)


def in_place(index: int) -> tuple[float, ...]:
    return BOX_XYXY


def running(index: int) -> tuple[float, ...]:
    """Return a box that moves by its own size in half a second."""
    return tuple(value + 9.0 * index for value in BOX_XYXY)


@pytest.fixture(scope="module")
def card() -> ModelCard:
    return load("default").card


def seen(
    card: ModelCard,
    answers: Iterable[npt.ArrayLike],
    *,
    ids: Iterable[int] | None = (1,),
    box_xyxy: tuple[float, ...] = BOX_XYXY,
    values: npt.ArrayLike | None = None,
) -> Faces:
    """Return faces with these answers, (N, K), and values of `NAMES`, (N, 3) or (3,) for all."""
    table = np.array(list(answers), np.float32)
    faces = Faces.detected([box_xyxy] * len(table), np.ones(len(table)))
    faces = faces.recognized(table, EXPRESSIONS, uncertain_below=card.uncertain_below)
    if values is not None:
        faces = faces.measured(NAMES, np.broadcast_to(np.asarray(values, np.float32), (len(table), len(NAMES))))
    return replace(faces, track_ids=None if ids is None else np.array(list(ids), np.int64))


def watched(
    baseline: Baseline,
    card: ModelCard,
    answers: Iterable[FloatArray],
    *,
    start_s: float = 0.0,
    box: Callable[[int], tuple[float, ...]] = in_place,
    track_id: int = 1,
) -> list[Faces]:
    """Return what a baseline makes of one person at `RATE` frames a second."""
    return [
        baseline.update(seen(card, [row], ids=[track_id], box_xyxy=box(index)), start_s + index / RATE)
        for index, row in enumerate(answers)
    ]


def column(faces: Faces, name: str = HAS_BASELINE) -> list[float]:
    return [row[name] for row in faces.to_dicts()]


def has_baseline(frames: Iterable[Faces]) -> list[float]:
    return [column(faces)[0] for faces in frames]


# --- laws of the correction


def tables(rows: int) -> st.SearchStrategy[npt.NDArray[np.float64]]:
    """Return a strategy for rows of probabilities, zeros among them."""
    weights = arrays(np.float64, (rows, LABELS), elements=st.just(0.0) | st.floats(1e-6, 1))
    return weights.filter(lambda table: bool(table.any(axis=1).all())).map(
        lambda table: table / table.sum(axis=1, keepdims=True)
    )


shares, strengths = tables(1).map(lambda table: table[0]), st.floats(0, 1)


@given(tables(4), shares, shares, strengths)
def test_corrected_rows_are_probabilities(told: Any, rest: Any, typical: Any, strength: float) -> None:
    rows = corrected(told, rest, typical, strength=strength)
    assert rows.dtype == np.float32
    assert (rows >= 0).all()
    assert rows.sum(axis=1) == pytest.approx([1] * 4, abs=1e-6)
    assert not rows[told == 0].any()


@given(tables(4), shares, strengths)
def test_who_rests_as_people_do_is_read_as_before(told: Any, rest: Any, strength: float) -> None:
    assert corrected(told, rest, rest, strength=strength) == pytest.approx(told, abs=1e-6)


@given(tables(4), shares, shares)
def test_no_strength_is_no_correction(told: Any, rest: Any, typical: Any) -> None:
    assert corrected(told, rest, typical, strength=0) == pytest.approx(told, abs=1e-6)


@given(shares, shares, shares, strengths, st.integers(0, LABELS - 1), st.floats(SURE, 1))
def test_a_sure_label_stays_on_top_whatever_was_rest(
    others: Any, rest: Any, typical: Any, strength: float, label: int, sure: float
) -> None:
    told = others.copy()
    told[label] = 0
    assume(told.any())
    told *= (1 - sure) / told.sum()
    told[label] = sure
    row = corrected(told[None], rest, typical, strength=strength)[0]
    # At SURE against one other label both may come out alike.
    assert row[label] >= row.max() - 1e-6


def test_a_label_less_sure_may_lose_to_another() -> None:
    told = np.array([[SURE - 0.01, 0.21]], np.float32)
    assert corrected(told, [1, 0], [0, 1])[0].argmax() == 1


@given(shares, shares, shares, strengths)
def test_odds_change_no_more_than_the_bound(told: Any, rest: Any, typical: Any, strength: float) -> None:
    told = told * 0.9 + 0.1 / LABELS
    gains = corrected(told[None], rest, typical, strength=strength)[0] / told
    assert gains.max() / gains.min() <= SURE / (1 - SURE) * (1 + 1e-4)


@given(tables(2), shares, shares, strengths, st.integers(0, LABELS - 1))
def test_more_of_a_label_before_is_no_less_of_it_after(
    told: Any, rest: Any, typical: Any, strength: float, label: int
) -> None:
    # Of the two rows the second has more of one label, and less of all others in equal shares.
    told[1] = 0.5 * told[0] + 0.5 * np.eye(LABELS)[label]
    less, more = corrected(told, rest, typical, strength=strength)[:, label]
    assert more >= less - 1e-6


@given(shares, shares, shares, st.integers(0, LABELS - 1), strengths)
def test_a_label_that_rest_shows_more_is_read_no_more(
    told: Any, rest: Any, typical: Any, label: int, strength: float
) -> None:
    more = rest.copy()
    more[label] = 1
    before, after = (corrected(told[None], row, typical, strength=strength)[0, label] for row in (rest, more))
    assert after <= before + 1e-6


@pytest.mark.parametrize("strength", [-0.1, 1.1, float("nan")])
def test_a_strength_beyond_0_to_1_is_refused(strength: float) -> None:
    with pytest.raises(OptionError, match=r"strength is .*: expected 0 \(no correction\) to 1"):
        corrected(SADLY[None], SADLY, CALM, strength=strength)


def test_typical_rest_of_each_net_is_an_answer() -> None:
    for name, shares_of_labels in TYPICAL_REST.items():
        assert load(name).card.labels == EXPRESSIONS
        assert sum(shares_of_labels) == pytest.approx(1, abs=1e-3)
        assert min(shares_of_labels) > 0
        assert np.argmax(shares_of_labels) == NEUTRAL


# --- answers of a person


def test_who_looks_sad_at_rest_is_read_as_neutral_once_rest_is_known(card: ModelCard) -> None:
    frames = watched(Baseline(1.0, card), card, [SADLY] * 12)
    assert has_baseline(frames) == [0.0] * 10 + [1.0] * 2
    assert [faces.expressions[0] for faces in frames] == ["sad"] * 10 + ["neutral"] * 2
    assert frames[9].probabilities[0] == pytest.approx(SADLY)
    assert frames[-1].probabilities[0] == pytest.approx(corrected(SADLY[None], SADLY, CALM)[0])
    assert frames[-1].confidences[0] == frames[-1].probabilities[0].max()


def test_a_smile_after_rest_stays_a_smile(card: ModelCard) -> None:
    frames = watched(Baseline(1.0, card), card, [*[SADLY] * 11, SMILING])
    assert frames[-1].expressions == ("happy",)


def test_a_corrected_answer_below_the_threshold_is_uncertain(card: ModelCard) -> None:
    even = np.full(LABELS, 1 / LABELS, np.float32)
    frames = watched(Baseline(0.2, card), card, [CALM, CALM, CALM, even])
    assert has_baseline(frames)[-1] == 1
    assert frames[-1].expressions == ("uncertain",)


def test_a_few_wrong_frames_do_not_count_as_rest(card: ModelCard) -> None:
    rest = [*[SADLY] * 4, answer(angry=0.7, neutral=0.3), *[SADLY] * 4, answer(fear=1.0)]
    last = watched(Baseline(1.0, card), card, [*rest, SADLY])[-1]
    assert last.probabilities[0] == pytest.approx(corrected(SADLY[None], SADLY, CALM)[0])


def test_who_smiles_instead_of_resting_has_no_baseline_and_is_warned_of(
    card: ModelCard, caplog: pytest.LogCaptureFixture
) -> None:
    rows = [*[SMILING] * 6, *[SADLY] * 4, *[SADLY] * 20]
    frames = watched(Baseline(1.0, card), card, rows)
    assert has_baseline(frames) == [0.0] * 30
    assert [faces.expressions[0] for faces in frames[10:]] == ["sad"] * 20
    (message,) = caplog.messages
    assert message.startswith("track 1 has no baseline: 4 of 10 frames from 0.0 to 1.0 s show a resting face")


def test_half_of_the_frames_at_rest_are_enough(card: ModelCard, caplog: pytest.LogCaptureFixture) -> None:
    frames = watched(Baseline(1.0, card), card, [*[SMILING] * 5, *[SADLY] * 6])
    assert frames[-1].probabilities[0] == pytest.approx(corrected(SADLY[None], SADLY, CALM)[0])
    assert not caplog.messages


def test_who_moves_fast_does_not_rest(card: ModelCard, caplog: pytest.LogCaptureFixture) -> None:
    assert has_baseline(watched(Baseline(1.0, card), card, [SADLY] * 12, box=running)) == [0.0] * 12
    assert "track 1 has no baseline: 1 of 10 frames" in caplog.text


def test_frames_in_motion_are_left_out(card: ModelCard) -> None:
    def coming(index: int) -> tuple[float, ...]:
        return running(min(index, 4))

    # With the eight frames that follow a move of the last half second, calm ones would be in the majority.
    rows = [*[CALM] * 9, *[SADLY] * 7, *[CALM] * 4, SADLY]
    last = watched(Baseline(2.0, card), card, rows, box=coming)[-1]
    assert last.probabilities[0] == pytest.approx(corrected(SADLY[None], SADLY, CALM)[0])


# --- people and time


def test_people_have_their_own_baselines(card: ModelCard) -> None:
    angry = answer(angry=0.5, neutral=0.5)
    together, alone = Baseline(1.0, card), {1: Baseline(1.0, card), 2: Baseline(1.0, card)}
    for index in range(12):
        time_s, rows = index / RATE, {1: SADLY, 2: angry}
        ids = (1, 2) if index % 2 else (2, 1)
        both = together.update(seen(card, [rows[k] for k in ids], ids=ids), time_s)
        for place, k in enumerate(ids):
            assert both[place] == alone[k].update(seen(card, [rows[k]], ids=[k]), time_s)
    assert column(both) == [1.0, 1.0]


def test_who_comes_later_has_the_own_seconds(card: ModelCard) -> None:
    baseline = Baseline(1.0, card)
    for index in range(20):
        ids = [1] if index < 5 else [1, 2]
        faces = baseline.update(seen(card, [SADLY] * len(ids), ids=ids), index / RATE)
        assert column(faces) == [float(index >= 10), float(index >= 15)][: len(ids)]


def test_a_frame_at_the_end_of_rest_is_after_it_whatever_is_rounded(card: ModelCard) -> None:
    assert 0.3 < 0.1 + 0.2
    baseline = Baseline(0.2, card)
    frames = [baseline.update(seen(card, [SADLY]), time_s) for time_s in (0.1, 0.2, 0.3)]
    assert has_baseline(frames) == [0.0, 0.0, 1.0]


@pytest.mark.parametrize(("gap_s", "known"), [(LOST_AFTER_S - 0.1, 1.0), (LOST_AFTER_S + 0.1, 0.0)])
def test_who_is_unseen_for_long_is_forgotten(card: ModelCard, gap_s: float, known: float) -> None:
    baseline = Baseline(0.5, card)
    watched(baseline, card, [SADLY] * 6)
    baseline.update(seen(card, [], ids=[]).recognized(np.empty((0, LABELS)), EXPRESSIONS), 0.7)
    back = watched(baseline, card, [SADLY] * 6, start_s=0.5 + gap_s)
    assert has_baseline(back) == [known] * 5 + [1.0]


def test_at_a_cut_everyone_is_forgotten(card: ModelCard) -> None:
    baseline = Baseline(0.5, card)
    assert has_baseline(watched(baseline, card, [SADLY] * 6))[-1] == 1
    baseline.cut()
    assert has_baseline(watched(baseline, card, [SADLY] * 6, start_s=0.6)) == [0.0] * 5 + [1.0]


def test_where_time_goes_back_everyone_is_forgotten(card: ModelCard) -> None:
    baseline = Baseline(0.5, card)
    assert has_baseline(watched(baseline, card, [SADLY] * 6, start_s=3.0))[-1] == 1
    assert has_baseline(watched(baseline, card, [SADLY] * 6, start_s=2.9)) == [0.0] * 5 + [1.0]


def test_without_ids_nobody_has_a_baseline(card: ModelCard) -> None:
    baseline = Baseline(0.1, card)
    for index in range(5):
        faces = baseline.update(seen(card, [SADLY, CALM], ids=None, values=[1, 2, 3]), index / RATE)
        assert column(faces) == [0.0, 0.0]
        assert np.isnan(column(faces, "brow_raise_from_rest")).all()
        assert faces.probabilities == pytest.approx(np.stack([SADLY, CALM]))


def test_a_frame_of_nobody_has_the_columns(card: ModelCard) -> None:
    nobody = Faces.empty(EXPRESSIONS).measured(NAMES, np.empty((0, len(NAMES))))
    faces = Baseline(1.0, card).update(nobody, 0.0)
    assert len(faces) == 0
    assert faces.feature_names == (*NAMES, *baseline_names(NAMES))


# --- geometry


def measured(card: ModelCard, values: npt.ArrayLike, rest_s: float = 0.5) -> list[Faces]:
    """Return what becomes of rows of `NAMES`, (T, 3), of a person who looks calm."""
    baseline, table = Baseline(rest_s, card), np.asarray(values, np.float32)
    return [baseline.update(seen(card, [CALM], values=row), index / RATE) for index, row in enumerate(table)]


@given(arrays(np.float32, (7, 3), elements=st.floats(-2, 2, width=16)))
def test_relative_geometry_is_the_difference_from_the_median(card: ModelCard, values: FloatArray) -> None:
    frames = measured(card, values)
    for name in NAMES[:2]:
        place = NAMES.index(name)
        relative = [column(faces, f"{name}_from_rest")[0] for faces in frames]
        assert np.isnan(relative[:5]).all()
        assert relative[5:] == pytest.approx(values[5:, place] - np.median(values[:5, place]), abs=1e-5)
    assert [column(faces, "brow_raise")[0] for faces in frames] == pytest.approx(values[:, 0])


def test_missing_geometry_stays_missing_and_spoils_no_median(card: ModelCard) -> None:
    hole = np.nan
    values = [[hole, 1, 0], [0.2, hole, 0], [0.4, hole, 0], [0.3, hole, 0], [hole, 1, 0], [0.5, 2, 0], [hole, 2, 0]]
    *_, seen_again, missing = measured(card, values)
    assert column(seen_again, "brow_raise_from_rest") == pytest.approx([0.2])
    assert np.isnan(column(seen_again, "mouth_width_from_rest")).all()  # known in 2 of 5 frames
    assert np.isnan(column(missing, "brow_raise_from_rest")).all()
    assert column(missing) == [1.0]


def test_angles_of_the_head_are_not_told_relative() -> None:
    assert set(RELATIVE_NAMES) == set(GEOMETRY_NAMES) - set(POSE_NAMES)
    assert baseline_names(NAMES) == ("brow_raise_from_rest", "mouth_width_from_rest", "has_baseline")
    assert baseline_names(("why_mouth",)) == ("has_baseline",)


# --- what is refused


@pytest.mark.parametrize("rest_s", [0, 1e-7, -1.0, float("nan"), float("inf"), "3", None])
def test_a_rest_of_no_time_is_refused(card: ModelCard, rest_s: Any) -> None:
    with pytest.raises(OptionError, match=r"baseline_s is .*: expected seconds of rest, above 0"):
        Baseline(rest_s, card)


def test_labels_of_another_net_are_refused(card: ModelCard) -> None:
    faces = Faces.detected([BOX_XYXY], [1]).recognized([[0.5, 0.5]], ("calm", "tense"))
    with pytest.raises(OptionError, match="expected those of the net"):
        Baseline(1.0, card).update(faces, 0.0)


def test_of_an_unknown_net_answers_stay_and_geometry_is_relative(
    card: ModelCard, caplog: pytest.LogCaptureFixture
) -> None:
    baseline = Baseline(0.2, replace(card, name="mine"))
    assert "what the net 'mine' answers for resting faces is not known" in caplog.text
    for index in range(4):
        faces = baseline.update(seen(card, [SADLY], values=[0.1 * index, 0, 0]), index / RATE)
    assert faces.probabilities[0] == pytest.approx(SADLY)
    assert column(faces) == [1.0]
    assert column(faces, "brow_raise_from_rest") == pytest.approx([0.25])


def test_frames_without_sure_landmarks_are_no_rest(card: ModelCard) -> None:
    baseline = Baseline(1.0, card)
    for index in range(12):
        face = Faces.detected([BOX_XYXY], [1.0]).recognized(CALM[None], EXPRESSIONS)
        points, sureness = 100 * MEAN_SHAPE[None], np.array([0.1], np.float32)
        face = replace(face, track_ids=np.array([1]), landmarks=points, landmark_confidences=sureness)
        face = baseline.update(face, index / RATE)
    assert face.features is not None
    assert face.features[0, face.feature_names.index(HAS_BASELINE)] == 0
