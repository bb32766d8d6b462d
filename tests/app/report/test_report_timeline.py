"""Timelines that stay small: bins, bands, and a page of ten hours."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plotly.graph_objects import Figure

from mien.app.report.batches import NO_FACE, Batch, Run
from mien.app.report.figures import courses
from mien.app.report.seen import see
from mien.app.report.timeline import BINS, LEVELS, Timeline
from mien.app.report.video import video_page
from mien.core.labels import EXPRESSIONS
from mien.engine.events import Event

HOURS, RATE = 10, 25
PAGE_BYTES = 8_000_000  # at most; five megabytes are plotly.js


def faces(times_s: np.ndarray, probabilities: np.ndarray, ids: np.ndarray | int = 1) -> Batch:
    """Return one face in each frame; answers are the likeliest labels."""
    count = len(times_s)
    return Batch(
        np.round(times_s * RATE).astype(np.int64),
        times_s,
        np.broadcast_to(ids, count).astype(np.int64),
        np.tile(np.array([0, 0, 60, 60], np.float32), (count, 1)),
        probabilities.argmax(axis=1).astype(np.int64),
        probabilities.astype(np.float32),
    )


@settings(max_examples=20)
@given(seed=st.integers(0, 1000), count=st.integers(1, 400), step_s=st.sampled_from([0.04, 1.0, 30.0]))
def test_bins_hold_every_face_and_their_means(seed: int, count: int, step_s: float) -> None:
    generator = np.random.default_rng(seed)
    times_s = np.cumsum(generator.uniform(0.1, 2, count)) * step_s
    probabilities = generator.dirichlet(np.ones(3), count)
    ids = generator.integers(1, 4, count)
    timeline = Timeline(3, 0.0)
    for start in range(0, count, 37):
        some = slice(start, start + 37)
        timeline.add(faces(times_s[some], probabilities[some], ids[some]))
    course = timeline.course()
    assert len(course) <= BINS
    assert course.answers.sum() == count
    weights = course.answers.sum(axis=1, keepdims=True)
    assert (course.mean * weights).sum(axis=0) / count == pytest.approx(probabilities.mean(axis=0), abs=1e-4)
    assert sum(timeline.course(one).answers.sum() for one in timeline.track_ids) == count
    assert course.coarser(5).answers.sum() == count
    assert len(course.coarser(5)) <= 5


@given(seed=st.integers(0, 1000), count=st.integers(1, 300))
def test_the_band_is_that_of_the_percentiles(seed: int, count: int) -> None:
    probabilities = np.random.default_rng(seed).dirichlet(np.ones(2), count)
    timeline = Timeline(2, 0.0)
    timeline.add(faces(np.linspace(0, 0.19, count), probabilities))
    course = timeline.course()
    assert len(course) == 1
    exact = np.percentile(probabilities, (10, 90), axis=0, method="inverted_cdf")
    np.testing.assert_allclose([course.low[0], course.high[0]], exact, atol=1 / LEVELS + 1e-6)


def test_a_stretch_ends_where_the_person_is_gone_for_more_than_a_second() -> None:
    times_s = np.array([0.0, 0.1, 0.2, 0.9, 1.0, 3.0, 3.1])
    timeline = Timeline(2, 0.0)
    timeline.add(faces(times_s, np.tile([0.7, 0.3], (len(times_s), 1))))
    course = timeline.course()
    assert [course.starts_s[run].round(1).tolist() for run in course.runs] == [[0.0, 0.2, 0.8, 1.0], [3.0]]


def areas_at(figure: Figure, time_s: float) -> int:
    """Return how many filled outlines cover a time."""
    count = 0
    for trace in figure.data:
        if trace.fill:
            assert trace.fill == "toself"  # each outline between missing numbers is closed by itself
            x = np.asarray(trace.x, np.float64)
            pieces = np.split(x, np.flatnonzero(np.isnan(x)))
            count += sum(bool((piece < time_s).any() and (piece > time_s).any()) for piece in pieces)
    return count


@pytest.mark.parametrize(("start_s", "end_s"), [(2.0, 4.0), (2.08, 4.12), (0.6, 1.72)])
def test_nothing_is_drawn_over_a_gap(start_s: float, end_s: float) -> None:
    times_s = np.arange(6 * RATE) / RATE
    rows = faces(times_s, np.tile([0.9, 0.1], (len(times_s), 1)))
    absent = (times_s > start_s - 1e-9) & (times_s < end_s - 1e-9)
    rows.answers[absent] = NO_FACE
    seen = see("gap.mp4", Run(("happy", "sad")), [rows], found=([], []))
    assert [(gap.start_s, gap.end_s) for gap in seen.gaps] == [pytest.approx((start_s, end_s))]
    figure = courses(seen.timeline.course(), seen.run.labels, [], (0.0, 6.0), seen.gaps)
    inside = np.linspace(start_s, end_s, 50)[1:-1]
    assert [areas_at(figure, time_s) for time_s in inside] == [0] * len(inside)
    outside = (0.1, start_s - 0.01, end_s + 0.01, 5.9)
    assert [areas_at(figure, time_s) for time_s in outside] == [4] * 4  # mean and band of two labels
    lines = [np.asarray(trace.x) for trace in figure.data if not trace.fill and trace.mode == "lines"]
    assert not any(((x > start_s + 1e-3) & (x < end_s - 1e-3)).any() for x in lines)


def test_a_video_of_ten_hours_makes_a_page_of_few_megabytes() -> None:
    count = HOURS * 3600 * RATE
    seconds = np.arange(count) / RATE
    logits = np.stack([3 * np.sin(seconds / (40 + 9 * k) + k) for k in range(len(EXPRESSIONS))], axis=1)
    probabilities = np.exp(logits, out=logits)
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    whole = faces(seconds, probabilities, 1 + (seconds // 1800).astype(np.int64))
    events = [
        Event("long.mp4", 1 + i // 50, "happy", 36.0 * i, 36.0 * i + 1, 36.0 * i + 3, 0.8, 0.9) for i in range(999)
    ]
    batches = (whole[start : start + 4096] for start in range(0, count, 4096))
    seen = see("long.mp4", Run(EXPRESSIONS), batches, found=(events, []))
    assert seen.frames == seen.faces == count == 900_000
    assert len(seen.timeline.course()) <= BINS
    assert len(video_page(seen, None, {}).encode()) < PAGE_BYTES
