from __future__ import annotations

import gc
import math
import tracemalloc
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scenes import LABELS, film, result_of, showing

from mien.core.errors import OptionError
from mien.core.types import Faces, FrameResult
from mien.engine.events import (
    EVENT_COLUMNS,
    Event,
    EventFinder,
    GroupSecond,
    GroupSummarizer,
    TrackSummarizer,
    TrackSummary,
    group_columns,
    track_columns,
)

NEUTRAL_1_S = ("neutral", 0.9, 1.0)


def events_of(results: Iterable[FrameResult], finder: EventFinder | None = None) -> list[Event]:
    finder = finder or EventFinder()
    return [event for result in results for event in finder.update(result)] + finder.close()


def tracks_of(results: Iterable[FrameResult]) -> list[TrackSummary]:
    summarizer = TrackSummarizer()
    return [track for result in results for track in summarizer.update(result)] + summarizer.close()


def group_of(results: Iterable[FrameResult]) -> list[GroupSecond]:
    summarizer = GroupSummarizer()
    return [second for result in results for second in summarizer.update(result)] + summarizer.close()


def times_of(events: Sequence[Event]) -> list[tuple[str, float, float]]:
    return [(event.expression, event.onset_s, event.offset_s) for event in events]


# ---------------------------------------------------------------------------------------------------------- events


def test_an_event_by_hand() -> None:
    happy = [0.1, 0.5, 0.7, 0.9, 0.4, 0.3, 0.2, 0.1]
    (event,) = events_of(result_of(i / 10, {7: showing("happy", p)}) for i, p in enumerate(happy))
    assert (event.source, event.track_id, event.expression) == ("talk.mp4", 7, "happy")
    assert (event.onset_s, event.apex_s, event.offset_s) == (0.1, 0.3, 0.5)
    assert event.confidence == pytest.approx((0.5 + 0.7 + 0.9 + 0.4) / 4)
    assert event.peak == pytest.approx(0.9)


def test_the_mean_weighs_each_frame_by_the_time_to_the_next() -> None:
    shown = [(0.0, 0.9), (0.1, 0.5), (0.5, 0.6), (0.6, 0.1), (0.9, 0.1)]
    (event,) = events_of(result_of(t, {1: showing("happy", p)}) for t, p in shown)
    assert event.offset_s == 0.6
    assert event.confidence == pytest.approx((0.1 * 0.9 + 0.4 * 0.5 + 0.1 * 0.6) / 0.6)


def test_what_takes_over_is_weighed_from_its_onset() -> None:
    parts = [("happy", 0.6, 0.5), ("sad", 0.7, 0.1), ("sad", 0.9, 0.4), ("neutral", 0.9, 0.5)]
    happy, sad = events_of(film({1: parts}))
    assert happy.confidence == pytest.approx(0.6)
    assert (sad.onset_s, sad.apex_s) == (0.5, 0.6)
    assert sad.confidence == pytest.approx((0.1 * 0.7 + 0.4 * 0.9) / 0.5)


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        # A dip shorter than 0.2 s, then a longer one.
        ([("happy", 0.8, 1), ("happy", 0.2, 0.1), ("happy", 0.8, 1)], [("happy", 0.0, 2.1)]),
        (
            [("happy", 0.8, 1), ("happy", 0.2, 0.3), ("happy", 0.8, 1)],
            [("happy", 0.0, 1.0), ("happy", 1.3, 2.3)],
        ),
        # Between the thresholds it goes on, but does not begin.
        ([("happy", 0.8, 1), ("happy", 0.4, 1), NEUTRAL_1_S], [("happy", 0.0, 2.0)]),
        ([("happy", 0.4, 1), NEUTRAL_1_S], []),
        # Shorter than 0.2 s.
        ([NEUTRAL_1_S, ("happy", 0.9, 0.1), NEUTRAL_1_S], []),
        # Another takes over at once; not when it is as short.
        (
            [("happy", 0.9, 1), ("sad", 0.9, 0.5), NEUTRAL_1_S],
            [("happy", 0.0, 1.0), ("sad", 1.0, 1.5)],
        ),
        ([("happy", 0.9, 1), ("sad", 0.9, 0.1), ("happy", 0.9, 1)], [("happy", 0.0, 2.1)]),
        ([NEUTRAL_1_S], []),
    ],
)
def test_what_an_event_is(parts: list[tuple[str, float, float]], expected: list[tuple[str, float, float]]) -> None:
    found = times_of(events_of(film({1: [*parts, ("neutral", 0.9, 0.5)]})))
    assert [name for name, *_ in found] == [name for name, *_ in expected]
    for (_, *times), (_, *right) in zip(found, expected, strict=True):
        assert times == pytest.approx(right)


def test_thresholds_and_least_length_are_options() -> None:
    results = film({1: [("happy", 0.4, 0.1), ("neutral", 0.9, 1.0)]})
    assert events_of(results) == []
    (event,) = events_of(results, EventFinder(on=0.4, off=0.4, least_s=0.1))
    assert (event.onset_s, event.offset_s) == (0.0, 0.1)
    (event,) = events_of(film({1: [("happy", 0.4, 1), ("sad", 0.6, 1)]}), EventFinder(on=0.6, off=0.6, least_s=0))
    assert event.expression == "sad"


@pytest.mark.parametrize(
    "options", [{"on": 1.1}, {"on": math.nan}, {"off": 0}, {"off": 0.6}, {"least_s": -1}, {"least_s": math.inf}]
)
def test_thresholds_that_make_no_sense_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(OptionError, match=f"{next(iter(options))} is"):
        EventFinder(**options)


def test_who_is_out_of_sight_for_more_than_a_second_is_gone() -> None:
    kept = film({1: [("happy", 0.9, 1.0), ("", 0, 0.9), ("happy", 0.9, 1.0)]})  # not in the frames of 1.0 to 1.8 s
    assert times_of(events_of(kept)) == [("happy", 0.0, 2.8)]
    lost = film({1: [("happy", 0.9, 1.0), ("", 0, 1.1), ("happy", 0.9, 1.0)]})
    assert times_of(events_of(lost)) == [("happy", 0.0, 0.9), ("happy", 2.1, 3.0)]


def test_the_end_of_who_is_gone_is_told_a_second_later_also_in_frames_without_a_face() -> None:
    finder = EventFinder()
    told = {r.time_s: finder.update(r) for r in film({1: [("happy", 0.9, 1.0), ("", 0, 2.0)]})}
    assert [(time_s, times_of(events)) for time_s, events in told.items() if events] == [(2.0, [("happy", 0.0, 0.9)])]


def test_another_source_and_time_that_goes_back_end_what_is_open() -> None:
    first, second = film({1: [("happy", 0.9, 1.0)]}), film({1: [("happy", 0.9, 0.5)]})
    later = [replace(result, source="other.mp4", time_s=result.time_s + 1) for result in second]
    events = events_of([*first, *later, *second, *first])
    assert [(event.source, event.onset_s, event.offset_s) for event in events] == [
        ("talk.mp4", 0.0, 0.9),
        ("other.mp4", 1.0, 1.4),
        ("talk.mp4", 0.0, 0.4),
        ("talk.mp4", 0.0, 0.9),
    ]


def test_a_cut_with_new_ids_ends_the_events_before_it() -> None:
    events = events_of(film({1: [("happy", 0.9, 1.0)], 2: [("", 0, 1.0), ("happy", 0.9, 1.0)]}))
    assert [(e.track_id, e.onset_s, e.offset_s) for e in events] == [(1, 0.0, 0.9), (2, 1.0, 1.9)]


def test_uncertain_faces_have_events_by_their_probabilities() -> None:
    results = [result_of(i / 10, {1: showing("happy", 0.6)}, uncertain_below=0.9) for i in range(5)]
    assert results[0].faces.expressions == ("uncertain",)
    assert times_of(events_of(results)) == [("happy", 0.0, 0.4)]


def test_stills_and_faces_that_are_not_recognized_have_neither_events_nor_tracks() -> None:
    still = result_of(0.0, {1: showing("happy", 0.9)})
    still = replace(still, faces=replace(still.faces, track_ids=None))
    found = replace(Faces.detected([[0, 0, 9, 9]], [1]), track_ids=np.array([1]))
    unread = [FrameResult("talk.mp4", i, i / 10, None, found) for i in range(5)]
    for results in ([still] * 5, unread):
        assert events_of(results) == []
        assert tracks_of(results) == []


def test_events_come_in_the_order_of_their_ends() -> None:
    events = events_of(film({1: [("happy", 0.9, 1.0), NEUTRAL_1_S], 2: [("sad", 0.9, 0.5), ("happy", 0.9, 0.3)]}))
    assert [event.offset_s for event in events] == sorted(event.offset_s for event in events)
    assert [event.track_id for event in events] == [2, 2, 1]  # it is known last that the second of them was an end


@dataclass(frozen=True)
class Acted:
    """An event, and the curve that is made for it: a pause, then steps of probability with a dip between them."""

    expression: str
    pause_s: float
    steps: tuple[tuple[float, float], ...]  # probability, seconds; the first reaches 0.5
    dip_s: float

    def curve(self) -> list[tuple[str, float, float]]:
        dip = ("neutral", 0.95, self.dip_s)
        steps = [part for probability, seconds in self.steps for part in (dip, (self.expression, probability, seconds))]
        return [("neutral", 0.95, self.pause_s), *steps[1:]]


# At 10 frames a second a length is known to 0.1 s: those near 0.2 s are left out.
LONG_S = st.floats(0.35, 1.5)
HIGH, HELD = st.floats(0.55, 1), st.floats(0.37, 0.48)
STEPS = st.tuples(st.tuples(HIGH, LONG_S)) | st.tuples(st.tuples(HIGH, LONG_S), st.tuples(HIGH | HELD, LONG_S))
ACTED = st.builds(Acted, st.sampled_from(LABELS[:3]), st.just(0.0) | LONG_S, STEPS, st.floats(0.01, 0.09))


@given(st.lists(ACTED, min_size=1, max_size=4))
def test_events_are_the_same_at_any_frame_rate(acted: list[Acted]) -> None:
    # Without a pause between them, two of one expression are one.
    assume(all(one.expression != other.expression or other.pause_s for one, other in pairwise(acted)))
    parts = [part for event in acted for part in event.curve()]
    ends = [sum(seconds for event in acted[:count] for *_, seconds in event.curve()) for count in range(len(acted) + 1)]
    expected = [(e.expression, start + e.pause_s, end) for e, (start, end) in zip(acted, pairwise(ends), strict=True)]
    for rate in (10, 25, 50):
        found = times_of(events_of(film({1: [*parts, NEUTRAL_1_S]}, rate=rate)))
        assert [name for name, *_ in found] == [name for name, *_ in expected]
        late_s = np.array([times for _, *times in found]) - [times for _, *times in expected]
        assert (late_s > -1e-6).all()
        assert (late_s < 1 / rate + 1e-6).all()


@given(st.floats(0.6, 1), st.floats(0.3, 1), st.floats(1, 2))
def test_apex_peak_and_mean_of_a_smooth_curve_are_the_same_at_any_frame_rate(
    height: float, width_s: float, center_s: float
) -> None:
    def curve(time_s: float) -> float:
        return height * math.exp(-(((time_s - center_s) / width_s) ** 2))

    half_s = width_s * math.sqrt(math.log(height / 0.5))  # where it passes 0.5
    end_s = width_s * math.sqrt(math.log(height / 0.35))
    assume(half_s + end_s > 0.4)
    for rate in (10, 25, 50):
        times = np.arange(round(5 * rate)) / rate
        (event,) = events_of(result_of(t, {1: showing("happy", curve(t))}) for t in times)
        assert event.apex_s == pytest.approx(center_s, abs=1 / rate)
        assert event.onset_s == pytest.approx(max(0.0, center_s - half_s), abs=1 / rate)
        assert event.offset_s == pytest.approx(center_s + end_s, abs=1 / rate)
        assert event.peak == pytest.approx(height, abs=0.1)
        within = [curve(t) for t in np.linspace(event.onset_s, event.offset_s, 500)]
        assert event.confidence == pytest.approx(np.mean(within), abs=0.8 / rate)


MOODS = st.lists(
    st.tuples(st.sampled_from(["", *LABELS]), st.floats(0.2, 1), st.sampled_from([0.1, 0.2, 0.3, 0.7, 1.2])),
    min_size=1,
    max_size=8,
)


@given(st.dictionaries(st.integers(1, 5), MOODS, min_size=1, max_size=3))
def test_laws_of_events(people: dict[int, list[tuple[str, float, float]]]) -> None:
    events = events_of(film(people))
    assert [event.offset_s for event in events] == sorted(event.offset_s for event in events)
    for event in events:
        assert event.expression != "neutral"
        assert event.onset_s <= event.apex_s <= event.offset_s
        assert event.offset_s - event.onset_s >= 0.2 - 1e-6
        assert event.peak >= 0.5
        assert 0 < event.confidence <= event.peak + 1e-9
    for track_id, parts in people.items():
        own = [event for event in events if event.track_id == track_id]
        assert all(first.offset_s <= second.onset_s for first, second in pairwise(own))
        # Nobody's events depend on who else is there, nor on whether frames go on after them.
        alone = film({track_id: parts, 99: [("", 0, 20)]})
        assert sorted(events_of(alone), key=lambda event: event.onset_s) == own


def test_what_is_kept_does_not_grow_with_the_stream() -> None:
    finders = (EventFinder(), TrackSummarizer(), GroupSummarizer())

    def kept(first: int, count: int) -> int:
        for index in range(first, first + count):
            # Somebody new twice a second.
            result = result_of(index / 10, {index // 5: showing("happy", index % 9 / 8), 0: showing("sad", 0.9)})
            for finder in finders:
                finder.update(result)
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    before = kept(0, 1000)
    after = kept(1000, 2000)
    tracemalloc.stop()
    assert after - before < 400 * 50  # bytes for each of 400 people


# ---------------------------------------------------------------------------------------------------------- tracks


def test_a_track_by_hand() -> None:
    shown = [(0.0, "happy", 0.8), (0.1, "happy", 0.6), (0.5, "sad", 0.9), (0.9, "sad", 0.7), (1.0, "neutral", 1.0)]
    summary, *others = tracks_of(result_of(t, {3: showing(name, p)}) for t, name, p in shown)
    assert others == []
    assert (summary.source, summary.track_id, summary.frames) == ("talk.mp4", 3, 5)
    assert (summary.first_s, summary.last_s, summary.seen_s) == (0.0, 1.0, 1.0)
    shares = {"happy": 0.5, "sad": 0.5, "surprise": 0.0, "neutral": 0.0, "uncertain": 0.0}
    assert summary.shares == pytest.approx(shares)
    values = np.array([showing(name, p) for _, name, p in shown[:-1]])
    weights = np.diff([t for t, *_ in shown])
    mean = np.average(values, axis=0, weights=weights)
    std = np.sqrt(np.average((values - mean) ** 2, axis=0, weights=weights))
    assert list(summary.statistics["mean"].values()) == pytest.approx(mean)
    assert list(summary.statistics["std"].values()) == pytest.approx(std)
    assert list(summary.statistics["min"].values()) == pytest.approx([0, 0, 0, 0.1])
    assert list(summary.statistics["max"].values()) == pytest.approx([0.8, 0.9, 0, 1])


@given(MOODS, st.integers(5, 50))
def test_laws_of_tracks(parts: list[tuple[str, float, float]], rate: int) -> None:
    results = film({1: parts}, rate=rate)
    tracks = tracks_of(results)
    assert sum(track.frames for track in tracks) == sum(len(result.faces) for result in results)
    assert all(second.first_s - first.last_s > 1 for first, second in pairwise(tracks))
    for track in tracks:
        seen = [r for r in results if len(r.faces) and track.first_s <= r.time_s <= track.last_s]
        assert track.seen_s == track.last_s - track.first_s
        assert sum(track.shares.values()) == pytest.approx(1)
        values = np.concatenate([result.faces.probabilities for result in seen]).astype(float)
        weights = np.diff([result.time_s for result in seen], append=seen[-1].time_s)
        weights[-1] += not weights.any()  # of a single frame
        mean, std, low, high = (np.array(list(track.statistics[n].values())) for n in ("mean", "std", "min", "max"))
        assert np.allclose(mean, np.average(values, axis=0, weights=weights))
        assert np.allclose(std**2, np.average((values - mean) ** 2, axis=0, weights=weights))
        assert (low == values.min(axis=0)).all()
        assert (high == values.max(axis=0)).all()


def test_shares_are_of_time_not_of_frames() -> None:
    fast = [result_of(i / 50, {1: showing("happy", 0.9)}) for i in range(50)]
    slow = [result_of(1 + i / 4, {1: showing("sad", 0.9)}) for i in range(5)]
    (track,) = tracks_of([*fast, *slow])
    assert track.shares["happy"] == pytest.approx(0.5)
    assert track.shares["sad"] == pytest.approx(0.5)


def test_uncertain_answers_have_a_share() -> None:
    (track,) = tracks_of(
        result_of(i / 10, {1: showing("happy", 0.9 if i < 5 else 0.6)}, uncertain_below=0.7) for i in range(11)
    )
    assert track.shares["uncertain"] == pytest.approx(0.5)
    assert track.shares["happy"] == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("parts", "changes"),
    [
        ([("happy", 0.9, 6)], 0),  # from the first frame to the last
        ([NEUTRAL_1_S, ("happy", 0.9, 1), ("neutral", 0.9, 4)], 2),
        ([NEUTRAL_1_S, ("happy", 0.9, 1), ("sad", 0.9, 4)], 2),  # neutral, happy, sad: the end is not a change
        ([("happy", 0.9, 1), ("sad", 0.9, 1), ("neutral", 0.9, 4)], 2),
        ([("neutral", 0.9, 3), ("happy", 0.9, 0.1), ("neutral", 0.9, 2.9)], 0),
        ([("happy", 0.9, 3), ("sad", 0.9, 0.1), ("happy", 0.9, 2.9)], 0),
    ],
)
def test_changes_are_those_that_last(parts: list[tuple[str, float, float]], changes: int) -> None:
    (track,) = tracks_of(film({1: [*parts, parts[-1]]})[:61])
    assert track.seen_s == 6
    assert track.changes_per_minute == pytest.approx(10 * changes)


def test_who_is_in_a_single_frame_has_a_row_too() -> None:
    (track,) = tracks_of([result_of(0.4, {1: showing("happy", 0.75)})])
    assert (track.first_s, track.last_s, track.seen_s, track.frames) == (0.4, 0.4, 0.0, 1)
    assert track.changes_per_minute is None
    assert track.shares["happy"] == 1
    assert track.statistics["mean"] == track.statistics["max"] == dict(zip(LABELS, showing("happy", 0.75), strict=True))


def test_a_probability_that_stays_has_no_spread() -> None:
    (track,) = tracks_of(film({1: [("happy", 0.9, 4.0)]}, rate=23)[:-1])
    assert track.statistics["std"] == dict.fromkeys(LABELS, 0.0)
    assert track.statistics["mean"]["happy"] == track.statistics["min"]["happy"]


def test_tracks_end_with_their_people_sources_and_times() -> None:
    first = film({1: [NEUTRAL_1_S], 2: [("", 0, 1.5), ("neutral", 0.9, 1.0)]})
    other = [replace(result, source="other.mp4") for result in film({1: [NEUTRAL_1_S]})]
    tracks = tracks_of([*first, *other, *other])
    assert [(track.source, track.track_id, track.frames) for track in tracks] == [
        ("talk.mp4", 1, 10),
        ("talk.mp4", 2, 10),
        ("other.mp4", 1, 10),
        ("other.mp4", 1, 10),
    ]


def test_rows_have_the_columns_of_their_table() -> None:
    results = film({1: [("happy", 0.9, 1.0)]})
    rows = [found[0].to_dict() for found in (events_of(results), tracks_of(results), group_of(results))]
    assert [tuple(row) for row in rows] == [EVENT_COLUMNS, track_columns(LABELS), group_columns(LABELS)]
    assert rows[1]["share_happy"] == 1
    assert rows[1]["max_happy"] == pytest.approx(0.9)


# ----------------------------------------------------------------------------------------------------------- group


def test_the_group_by_hand() -> None:
    results = [
        result_of(0.0, {1: showing("happy", 0.8), 2: showing("sad", 0.6)}),
        result_of(0.9, {1: showing("happy", 0.4)}),
        result_of(1.0, {}),
        result_of(4.5, {5: showing("sad", 1.0)}),
        result_of(4.6, {}, labels=()),
    ]
    first, second, third = group_of(results)
    assert (first.source, first.second, first.people) == ("talk.mp4", 0, 1.5)
    assert first.probabilities == pytest.approx({"happy": 0.4, "sad": 0.2, "surprise": 0.0, "neutral": 0.4})
    assert (second.second, second.people, second.probabilities) == (1, 0, dict.fromkeys(LABELS))
    assert (third.second, third.people) == (4, 0.5)  # 2 and 3 had no frame
    assert third.probabilities == {"happy": 0.0, "sad": 1.0, "surprise": 0.0, "neutral": 0.0}


def test_each_source_has_seconds_of_its_own_and_stills_have_one() -> None:
    results = film({1: [NEUTRAL_1_S]})[:10]
    other = [replace(result, source="other.mp4") for result in results]
    stills = [replace(r, time_s=0.0, faces=replace(r.faces, track_ids=None), source=f"{r.frame}.jpg") for r in results]
    seconds = group_of([*results, *other, *stills[:2]])
    assert [(s.source, s.second, s.people) for s in seconds] == [
        ("talk.mp4", 0, 1),
        ("other.mp4", 0, 1),
        ("0.jpg", 0, 1),
        ("100.jpg", 0, 1),
    ]


@settings(max_examples=20)
@given(st.dictionaries(st.integers(1, 4), MOODS, min_size=1, max_size=3), st.integers(1, 30))
def test_laws_of_the_group(people: dict[int, list[tuple[str, float, float]]], rate: int) -> None:
    results = film(people, rate=rate)
    seconds = group_of(results)
    assert [second.second for second in seconds] == sorted({math.floor(result.time_s) for result in results})
    for second in seconds:
        frames = [result.faces for result in results if math.floor(result.time_s) == second.second]
        assert second.people == sum(map(len, frames)) / len(frames)
        if second.people:
            mean = np.concatenate([faces.probabilities for faces in frames]).astype(float).mean(axis=0)
            assert np.allclose(np.array(list(second.probabilities.values()), float), mean)
        else:
            assert set(second.probabilities.values()) == {None}
