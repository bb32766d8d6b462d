"""Ids stay with people, and smoothing counts seconds."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from mien.core.errors import OptionError
from mien.core.types import Faces, FloatArray
from mien.engine.tracking import (
    LOST_AFTER_S,
    MotionTracker,
    Smoother,
    load_tracker,
)

PLACES = 5  # so far apart that none can be taken for another
AWAY_S = LOST_AFTER_S + 0.5


def at(*boxes_xyxy: Any) -> Faces:
    return Faces.detected(np.array(boxes_xyxy, np.float32).reshape(-1, 4), np.ones(len(boxes_xyxy)))


def ids(faces: Faces) -> list[int]:
    assert faces.track_ids is not None
    return list(faces.track_ids.tolist())


def known(*track_ids: int) -> Faces:
    return replace(at(*[(0, 0, 40, 50)] * len(track_ids)), track_ids=np.array(track_ids, np.int64))


def rows(*values: Any) -> FloatArray:
    return np.array(values, np.float32)


# --- ids

corners = st.tuples(*[st.integers(0, 12)] * 4).map(
    lambda c: (min(c[0], c[2]), min(c[1], c[3]), max(c[0], c[2]) + 1, max(c[1], c[3]) + 1)
)
boxes = st.lists(corners, min_size=1, max_size=4).map(lambda b: np.array(b, np.float32))


@st.composite
def people_who_come_and_go(draw: st.DrawFn) -> list[tuple[float, list[int], list[int]]]:
    """Draw frames: seconds since the last one, who is in it in what order, and how far each has moved."""
    frame = st.tuples(
        st.sampled_from([0.02, 0.04, 0.5, AWAY_S]),
        st.permutations(range(PLACES)).flatmap(lambda order: st.integers(0, PLACES).map(lambda n: order[:n])),
        st.lists(st.integers(-2, 2), min_size=PLACES, max_size=PLACES),
    )
    return draw(st.lists(frame, min_size=2, max_size=12))


@given(frames=people_who_come_and_go())
def test_an_id_stays_with_a_person_and_is_never_given_again(frames: list[tuple[float, list[int], list[int]]]) -> None:
    tracker, now_s, used = MotionTracker(), 0.0, set[int]()
    last: dict[int, tuple[int, float]] = {}  # of each person: id, and when seen
    for passed_s, present, moved in frames:
        now_s += passed_s
        faces = at(*[(200 * p + moved[p], moved[p], 200 * p + 40 + moved[p], 50 + moved[p]) for p in present])
        for person, track_id in zip(present, ids(tracker.update(faces, now_s)), strict=True):
            before, seen_s = last.get(person, (None, -AWAY_S))
            if now_s - seen_s <= LOST_AFTER_S:
                assert track_id == before
            else:
                assert track_id not in used
            used.add(track_id)
            last[person] = (track_id, now_s)


@given(before=boxes, now=boxes, order=st.randoms(use_true_random=False))
def test_the_order_of_detections_does_not_matter(before: FloatArray, now: FloatArray, order: Any) -> None:
    assume(len(np.unique(before, axis=0)) == len(before) and len(np.unique(now, axis=0)) == len(now))
    places = now + np.arange(len(now), dtype=np.float32)[:, None] / 64  # either way is right for two that are as near
    shuffled = order.sample(range(len(now)), len(now))
    answers = []
    for arrangement in (list(range(len(now))), shuffled):
        tracker = MotionTracker()
        first = set(ids(tracker.update(at(*before), 0.0)))
        later = ids(tracker.update(at(*places[arrangement]), 0.1))
        owner = dict(zip(arrangement, later, strict=True))
        answers.append({face: track for face, track in owner.items() if track in first})
        assert len(set(later)) == len(later)
    assert answers[0] == answers[1]


@given(
    speed=st.floats(100, 300),
    rate=st.sampled_from([10, 25, 60]),
    hidden_s=st.floats(0.0, 0.5),
    seed=st.integers(0, 1000),
)
def test_people_who_pass_behind_each_other_keep_their_ids(speed: float, rate: int, hidden_s: float, seed: int) -> None:
    tracker, half_s, noise = MotionTracker(), 1.5, np.random.default_rng(seed)
    for frame in range(round(2 * half_s * rate)):
        time_s = frame / rate
        way = speed * (time_s - half_s)
        persons = np.array([(x - 40, 0, x + 40, 100) for x in (way, -way)]) + noise.normal(0, 1, (2, 4))
        is_hidden = abs(way) < 30 or abs(time_s - half_s) < hidden_s / 2
        track_ids = ids(tracker.update(at(*persons[: 1 if is_hidden else 2]), time_s))
    assert track_ids == [1, 2]


@given(speed=st.floats(-200, 200), gap_s=st.floats(0.1, 0.7))
def test_who_is_hidden_for_a_moment_is_expected_where_the_way_led(speed: float, gap_s: float) -> None:
    tracker = MotionTracker()
    times_s = [*np.arange(0, 1, 0.04).tolist(), 1 + gap_s]
    found = [ids(tracker.update(at((speed * t, 0, speed * t + 80, 100)), t)) for t in times_s]
    assert found == [[1]] * len(times_s)


def test_a_cut_starts_new_ids() -> None:
    tracker = MotionTracker()
    assert ids(tracker.update(at((0, 0, 40, 50)), 0.0)) == [1]
    tracker.cut()
    assert ids(tracker.update(at((0, 0, 40, 50)), 0.04)) == [2]


def test_a_face_of_another_size_is_another_person() -> None:
    tracker = MotionTracker()
    tracker.update(at((0, 0, 40, 50)), 0.0)
    assert ids(tracker.update(at((-30, -35, 70, 85)), 0.04)) == [2]


def test_two_people_side_by_side_keep_their_ids() -> None:
    tracker = MotionTracker()
    for step in range(20):
        left, right = (step, 0, step + 40, 50), (step + 25, 5, step + 65, 55)
        faces = at(left, right) if step % 2 else at(right, left)
        track_ids = ids(tracker.update(faces, step / 25))
        assert (track_ids if step % 2 else track_ids[::-1]) == [2, 1]  # the right one came first


def test_a_face_is_lost_after_a_second_and_not_before() -> None:
    box = (0, 0, 40, 50)
    tracker = MotionTracker()
    times_s = (0.0, LOST_AFTER_S, 2 * LOST_AFTER_S + 0.01)
    assert [ids(tracker.update(at(box), time_s)) for time_s in times_s] == [[1], [1], [2]]
    assert ids(tracker.update(at(), times_s[-1])) == []


def test_where_time_goes_back_another_stream_begins() -> None:
    tracker = MotionTracker()
    assert [ids(tracker.update(at((0, 0, 40, 50)), time_s)) for time_s in (5.0, 0.0, 0.1)] == [[1], [2], [2]]


def test_a_jump_is_another_person() -> None:
    tracker = MotionTracker()
    tracker.update(at((0, 0, 40, 50)), 0.0)
    assert ids(tracker.update(at((35, 0, 75, 50)), 0.04)) == [2]


def test_the_rest_of_the_faces_stays() -> None:
    faces = Faces.detected([[0, 0, 40, 50]], [0.7]).recognized([[0.2, 0.8]], ("sad", "happy"))
    tracked = MotionTracker().update(faces, 0.0)
    assert faces.track_ids is None
    assert replace(tracked, track_ids=None) == faces


def test_trackers_by_name_and_as_objects() -> None:
    tracker = MotionTracker()
    assert load_tracker(tracker) is tracker
    assert load_tracker(None) is None
    assert isinstance(load_tracker("default"), MotionTracker)
    for wrong in ("bytetrack", "", 3, object(), SimpleNamespace(update=len)):
        with pytest.raises(
            OptionError, match=r"no tracker .*expected 'default', None or an object with update.* and cut"
        ):
            load_tracker(wrong)  # type: ignore[arg-type]


# --- smoothing

HAPPY, SAD = (1.0, 0.0), (0.0, 1.0)
shares = st.floats(0, 1, width=32)


def test_what_was_seen_a_half_life_ago_weighs_half() -> None:
    smoother = Smoother(0.3)
    assert smoother.update(known(1), rows(HAPPY), 0.0).tolist() == [[1, 0]]
    assert smoother.update(known(1), rows(SAD), 0.3) == pytest.approx(rows((0.5, 0.5)))
    assert smoother.update(known(1), rows(SAD), 0.6) == pytest.approx(rows((0.25, 0.75)))


@given(half_life_s=st.floats(0.05, 5), steps_s=st.lists(st.floats(0.001, 1), min_size=1, max_size=20))
def test_smoothing_is_the_same_at_any_frame_rate(half_life_s: float, steps_s: list[float]) -> None:
    smoother, now_s = Smoother(half_life_s), 0.0
    smoothed = smoother.update(known(1), rows(HAPPY), 0.0)
    for step_s in steps_s:
        now_s += step_s
        smoothed = smoother.update(known(1), rows(SAD), now_s)
    left = 0.5 ** (now_s / half_life_s)
    assert smoothed == pytest.approx(rows((left, 1 - left)), abs=1e-5)


@given(
    answers=st.lists(st.tuples(shares, shares, st.floats(0, 1.5)), min_size=1, max_size=15),
    half_life_s=st.floats(0, 3),
)
def test_rows_stay_probabilities(answers: list[tuple[float, float, float]], half_life_s: float) -> None:
    smoother, now_s = Smoother(half_life_s), 0.0
    for first, second, passed_s in answers:
        now_s += passed_s
        smoothed = smoother.update(known(4, 9), rows((first, 1 - first), (second, 1 - second)), now_s)
        assert smoothed.dtype == np.float32
        assert smoothed.sum(axis=1) == pytest.approx([1, 1], abs=1e-5)
        assert ((smoothed >= 0) & (smoothed <= 1)).all()


@given(share=shares, half_life_s=st.floats(0, 3), times_s=st.lists(st.floats(0, 9), min_size=1, max_size=9))
def test_what_does_not_change_stays(share: float, half_life_s: float, times_s: list[float]) -> None:
    smoother, answer = Smoother(half_life_s), rows((share, 1 - share))
    for time_s in sorted(times_s):
        assert smoother.update(known(1), answer, time_s) == pytest.approx(answer, abs=1e-6)


@pytest.mark.parametrize(("smoother", "faces"), [(Smoother(0), known(1)), (Smoother(5), at((0, 0, 40, 50)))])
def test_off_at_zero_and_without_ids(smoother: Smoother, faces: Faces) -> None:
    for step, answer in enumerate([rows(HAPPY), rows(SAD), rows((0.3, 0.7))]):
        assert np.array_equal(smoother.update(faces, answer, step / 25), answer)


def test_each_person_is_smoothed_alone_in_any_order() -> None:
    smoother, answers = Smoother(0.3), {1: HAPPY, 2: SAD}
    for time_s, order in [(0.0, (1, 2)), (0.1, (2, 1)), (0.2, (2,)), (0.3, (1, 2))]:
        expected = rows(*[answers[track_id] for track_id in order])
        assert smoother.update(known(*order), expected, time_s) == pytest.approx(expected)


@pytest.mark.parametrize("later_s", [10 + LOST_AFTER_S + 0.01, 9.99, 0.0])
def test_who_was_away_begins_anew(later_s: float) -> None:
    smoother = Smoother(100)
    smoother.update(known(1), rows(HAPPY), 10.0)
    assert smoother.update(known(1), rows(SAD), later_s).tolist() == [[0, 1]]


@pytest.mark.parametrize("wrong", [-0.1, np.nan, np.inf, "fast", None])
def test_a_half_life_that_is_none(wrong: Any) -> None:
    with pytest.raises(OptionError, match=r"smoothing_s is .*: expected seconds, 0 \(off\) or more"):
        Smoother(wrong)
