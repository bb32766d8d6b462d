"""Ids stay with people, and smoothing counts seconds."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from mien.core.errors import OptionError
from mien.core.types import Faces, FloatArray
from mien.engine.tracking import (
    LEAST_OVERLAP,
    LOST_AFTER_S,
    OverlapTracker,
    Smoother,
    intersection_over_union,
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


# --- overlap

corners = st.tuples(*[st.integers(0, 12)] * 4).map(
    lambda c: (min(c[0], c[2]), min(c[1], c[3]), max(c[0], c[2]) + 1, max(c[1], c[3]) + 1)
)
boxes = st.lists(corners, min_size=1, max_size=4).map(lambda b: np.array(b, np.float32))


def covered(box: FloatArray) -> npt.NDArray[np.bool_]:
    """Return which pixels of a grid a box covers: what overlap means, counted."""
    y, x = np.mgrid[0:14, 0:14] + 0.5
    left, top, right, bottom = box
    return np.asarray((left < x) & (x < right) & (top < y) & (y < bottom), np.bool_)


@given(first=boxes, second=boxes)
def test_overlap_is_what_counting_pixels_gives(first: FloatArray, second: FloatArray) -> None:
    overlap = intersection_over_union(first, second)
    counted = [
        [(covered(a) & covered(b)).sum() / (covered(a) | covered(b)).sum() for b in second.reshape(-1, 4)]
        for a in first
    ]
    assert overlap == pytest.approx(np.array(counted))
    assert overlap == pytest.approx(intersection_over_union(second, first).T)
    assert np.diag(intersection_over_union(first, first)) == pytest.approx(1)


def test_overlap_of_what_is_apart_empty_or_none() -> None:
    box = rows((0, 0, 10, 10))
    assert intersection_over_union(box, rows((10, 0, 20, 10), (0, 30, 5, 40))).tolist() == [[0, 0]]
    assert intersection_over_union(box, rows((5, 5, 5, 9), (8, 8, 2, 2))).tolist() == [[0, 0]]
    assert intersection_over_union(rows().reshape(0, 4), box).shape == (0, 1)


# --- ids


@st.composite
def people_who_come_and_go(draw: st.DrawFn) -> list[tuple[float, list[int], list[int]]]:
    """Draw frames: seconds since the last one, who is in it in what order, and how far each has moved."""
    frame = st.tuples(
        st.sampled_from([0.02, 0.04, 0.5, AWAY_S]),
        st.permutations(range(PLACES)).flatmap(lambda order: st.integers(0, PLACES).map(lambda n: order[:n])),
        st.lists(st.integers(-4, 4), min_size=PLACES, max_size=PLACES),
    )
    return draw(st.lists(frame, min_size=2, max_size=12))


@given(frames=people_who_come_and_go())
def test_an_id_stays_with_a_person_and_is_never_given_again(frames: list[tuple[float, list[int], list[int]]]) -> None:
    tracker, now_s, used = OverlapTracker(), 0.0, set[int]()
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
    overlaps = intersection_over_union(before, now)
    overlaps = overlaps[overlaps >= LEAST_OVERLAP]
    assume(len(np.unique(overlaps)) == len(overlaps))  # either way is right for two that overlap alike
    shuffled = order.sample(range(len(now)), len(now))
    answers = []
    for arrangement in (list(range(len(now))), shuffled):
        tracker = OverlapTracker()
        first = set(ids(tracker.update(at(*before), 0.0)))
        later = ids(tracker.update(at(*now[arrangement]), 0.1))
        owner = dict(zip(arrangement, later, strict=True))
        answers.append({face: track for face, track in owner.items() if track in first})
        assert len(set(later)) == len(later)
    assert answers[0] == answers[1]


def test_two_people_side_by_side_keep_their_ids() -> None:
    tracker = OverlapTracker()
    for step in range(20):
        left, right = (step, 0, step + 40, 50), (step + 25, 5, step + 65, 55)
        faces = at(left, right) if step % 2 else at(right, left)
        track_ids = ids(tracker.update(faces, step / 25))
        assert (track_ids if step % 2 else track_ids[::-1]) == [2, 1]  # the right one came first


def test_a_face_is_lost_after_a_second_and_not_before() -> None:
    box = (0, 0, 40, 50)
    tracker = OverlapTracker()
    times_s = (0.0, LOST_AFTER_S, 2 * LOST_AFTER_S + 0.01)
    assert [ids(tracker.update(at(box), time_s)) for time_s in times_s] == [[1], [1], [2]]
    assert ids(tracker.update(at(), times_s[-1])) == []


def test_where_time_goes_back_another_stream_begins() -> None:
    tracker = OverlapTracker()
    assert [ids(tracker.update(at((0, 0, 40, 50)), time_s)) for time_s in (5.0, 0.0, 0.1)] == [[1], [2], [2]]


def test_a_jump_is_another_person() -> None:
    tracker = OverlapTracker()
    tracker.update(at((0, 0, 40, 50)), 0.0)
    assert ids(tracker.update(at((35, 0, 75, 50)), 0.04)) == [2]


def test_the_rest_of_the_faces_stays() -> None:
    faces = Faces.detected([[0, 0, 40, 50]], [0.7]).recognized([[0.2, 0.8]], ("sad", "happy"))
    tracked = OverlapTracker().update(faces, 0.0)
    assert faces.track_ids is None
    assert replace(tracked, track_ids=None) == faces


def test_trackers_by_name_and_as_objects() -> None:
    tracker = OverlapTracker()
    assert load_tracker(tracker) is tracker
    assert load_tracker(None) is None
    assert isinstance(load_tracker("default"), OverlapTracker)
    for wrong in ("bytetrack", "", 3, object()):
        with pytest.raises(OptionError, match=r"no tracker .*expected 'default', None or an object with update"):
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
