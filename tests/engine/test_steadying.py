"""Steady landmarks: they rest on a still face, follow a moving one, and know people, seconds and sizes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mien.core.types import Faces, FloatArray
from mien.engine.steadying import Steadier
from mien.face.boxes import Floats
from mien.face.landmarks import GROUPS, LEFT_EYE_CORNER, RIGHT_EYE_CORNER

RATE = 30
CHIN, LOWER_LIP = 8, 57
seeds = st.integers(0, 2**32 - 1)


def made_face() -> Floats:
    """Return 68 points of a drawn face 200 px wide, 130 px between the outer corners of the eyes."""
    points = np.empty((68, 2))
    turn = np.linspace(np.pi, 0, 17)
    points[GROUPS["jaw"]] = np.stack([100 + 95 * np.cos(turn), 110 + 130 * np.sin(turn)], axis=1)
    ovals = {"right_eye": (62, 100, 27, 9), "left_eye": (138, 100, 27, 9), "outer_lips": (100, 190, 38, 16)}
    for name, (x, y, wide, high) in ovals.items():
        around = np.linspace(0, 2 * np.pi, GROUPS[name].stop - GROUPS[name].start, endpoint=False)
        points[GROUPS[name]] = np.stack([x - wide * np.cos(around), y - high * np.sin(around)], axis=1)
    points[GROUPS["inner_lips"]] = np.linspace([75, 190], [125, 190], 8)
    points[GROUPS["right_brow"]], points[GROUPS["left_brow"]] = (
        np.linspace([left, 80], [left + 60, 80], 5) for left in (25, 115)
    )
    points[GROUPS["nose_bridge"]] = np.linspace([100, 100], [100, 145], 4)
    points[GROUPS["nose_base"]] = np.linspace([80, 155], [120, 155], 5)
    points[RIGHT_EYE_CORNER], points[LEFT_EYE_CORNER] = (35, 100), (165, 100)
    return points


FACE = made_face()


def seen(points: Floats, ids: Iterable[int] = (1,)) -> Faces:
    """Return faces with these points, (68, 2) for one or (N, 68, 2)."""
    landmarks = np.asarray(points, np.float32).reshape(-1, 68, 2)
    found = Faces.detected([[0, 0, 200, 260]] * len(landmarks), np.ones(len(landmarks)))
    return replace(found, landmarks=landmarks, track_ids=np.array(list(ids), np.int64))


def landmarks(faces: Faces) -> FloatArray:
    assert faces.landmarks is not None
    return faces.landmarks


def steadied(points: Iterable[Floats], rate: float = RATE, start_s: float = 0.0) -> Floats:
    """Return one person's points, (T, 68, 2), after the filter."""
    steadier = Steadier()
    return np.array([landmarks(steadier.update(seen(p), start_s + n / rate))[0] for n, p in enumerate(points)])


def noisy(count: int, seed: int = 0) -> Floats:
    """Return a still face with noise of 1 px, (count, 68, 2)."""
    return np.asarray(FACE + np.random.default_rng(seed).normal(size=(count, 68, 2)))


def opening(count: int, share: float, rate: float = RATE) -> Floats:
    """Return how far, in pixels, a mouth is open that opens twice a second by a share of the eyes' distance."""
    return np.asarray(share * 130 / 2 * (1 - np.cos(2 * np.pi * 2 * np.arange(count) / rate)))


def delay_s(late: Floats, signal: Floats, rate: float = RATE) -> float:
    """Return by how much a signal of 2 Hz is late, from its phase."""
    waves = np.exp(2j * np.pi * 2 * np.arange(len(signal)) / rate)
    phase = float(np.angle((signal * waves.conj()).sum() / (late * waves.conj()).sum()))
    return phase / (2 * np.pi * 2)


@pytest.mark.parametrize("rate", [30, 60])
def test_a_still_face_200_px_wide_jitters_by_less_than_2_px(rate: int) -> None:
    points = noisy(20 * rate)
    ranges = (np.percentile(p[rate:], [2.5, 97.5], axis=0) for p in (points, steadied(points)))
    raw, steady = (float((high - low).max()) for low, high in ranges)
    assert raw > 3.8
    assert steady < 2


@pytest.mark.parametrize("share", [0.1, 0.25, 0.4])
@pytest.mark.parametrize("rate", [15, 30, 60])
def test_a_mouth_that_opens_twice_a_second_is_at_most_a_thirtieth_late(rate: int, share: float) -> None:
    points, mouth = noisy(10 * rate), opening(10 * rate, share, rate)
    points[:, LOWER_LIP, 1] += mouth
    lip = steadied(points, rate)[:, LOWER_LIP, 1] - FACE[LOWER_LIP, 1]
    settled = slice(rate, None)
    assert 0 < delay_s(lip[settled], mouth[settled], rate) < 1 / 30
    assert np.ptp(lip[settled]) > 0.8 * np.ptp(mouth)


def test_a_walking_face_is_not_left_behind() -> None:
    steps = np.arange(60)[:, None, None] * np.array([200.0 / RATE, 0])  # its own width a second
    late_px = (FACE + steps - steadied(FACE + steps))[RATE:, :, 0]
    assert late_px.max() < 200 / RATE


@given(seeds, st.floats(-np.pi, np.pi), st.floats(0.2, 5), st.floats(-500, 500))
def test_turned_scaled_and_moved_points_give_turned_scaled_and_moved_answers(
    seed: int, angle: float, scale: float, shift: float
) -> None:
    turn = scale * np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    points = noisy(12, seed)
    points[6:, LOWER_LIP] += 20
    assert steadied(points @ turn + shift) == pytest.approx(steadied(points) @ turn + shift, abs=0.01 * max(scale, 1))


@given(seeds, st.floats(0, 1e5))
def test_only_the_time_between_frames_counts(seed: int, start_s: float) -> None:
    points = noisy(12, seed)
    assert steadied(points, start_s=start_s) == pytest.approx(steadied(points), abs=0.01)


@pytest.mark.parametrize("rate", [15, 30, 60, 240])
def test_a_step_is_followed_within_a_tenth_of_a_second_at_any_rate(rate: int) -> None:
    points = np.repeat(FACE[None], rate, axis=0)
    points[1:, CHIN, 1] += 13  # a tenth of the distance between the eyes
    left_px = points[:, CHIN, 1] - steadied(points, rate)[:, CHIN, 1]
    assert 0 < left_px[rate // 10] < 2
    assert 0 <= left_px[-1] < 0.1


@given(seeds, st.permutations([1, 2, 3]))
def test_people_are_told_apart_by_their_ids_and_not_by_their_places(seed: int, order: list[int]) -> None:
    people = {track_id: noisy(6, seed + track_id) + 300 * track_id for track_id in order}
    together = Steadier()
    for frame in range(6):
        ids = order if frame % 2 else order[::-1]
        faces = together.update(seen(np.array([people[k][frame] for k in ids]), ids), frame / RATE)
    for row, track_id in enumerate(ids):
        assert landmarks(faces)[row] == pytest.approx(steadied(people[track_id])[-1])


def test_an_id_that_is_new_starts_anew() -> None:
    steadier = Steadier()
    steadier.update(seen(FACE), 0.0)
    both = seen(np.array([FACE + 9, FACE + 50]), [1, 2])
    first, second = landmarks(steadier.update(both, 0.1))
    assert np.array_equal(second, landmarks(both)[1])
    assert not np.array_equal(first, landmarks(both)[0])


@pytest.mark.parametrize("time_s", [4.9, 6.1])
def test_who_was_away_for_more_than_a_second_and_time_that_goes_back_start_anew(time_s: float) -> None:
    steadier = Steadier()
    steadier.update(seen(FACE), 5.0)
    assert steadier.update(seen(FACE + 9), time_s) == seen(FACE + 9)


def test_after_a_cut_all_start_anew() -> None:
    steadier = Steadier()
    steadier.update(seen(FACE), 0.0)
    steadier.cut()
    assert steadier.update(seen(FACE + 9), 0.1) == seen(FACE + 9)


def test_a_point_that_is_missing_is_missing_and_begins_anew() -> None:
    gone = FACE.copy()
    gone[CHIN] = np.nan
    points = steadied([FACE, gone, FACE + 9, FACE + 9])
    assert np.isnan(points[1, CHIN]).all()
    assert np.isfinite(np.delete(points[1], CHIN, axis=0)).all()
    assert points[2, CHIN] == pytest.approx(FACE[CHIN] + 9)
    assert (points[2, LOWER_LIP] < FACE[LOWER_LIP] + 9).all()
    all_gone = steadied([FACE, np.full((68, 2), np.nan), FACE])
    assert np.isnan(all_gone[1]).all()
    assert all_gone[2] == pytest.approx(FACE)


def test_frames_of_one_time_do_no_harm() -> None:
    steadier = Steadier()
    points = [landmarks(steadier.update(seen(p), 1.0))[0] for p in noisy(50)]
    assert np.abs(points - FACE).max() < 6


def test_without_ids_or_landmarks_nothing_is_done() -> None:
    steadier = Steadier()
    for faces in (Faces.detected([[0, 0, 9, 9]], [1]), replace(seen(FACE), track_ids=None), seen(FACE)[[]]):
        assert steadier.update(faces, 0.0) == faces


def test_what_was_given_stays_as_it_was_and_nothing_else_changes() -> None:
    steadier, faces = Steadier(), seen(noisy(1)[0])
    steadier.update(seen(FACE), 0.0)
    after = steadier.update(faces, 0.1)
    assert faces == seen(noisy(1)[0])
    assert replace(after, landmarks=faces.landmarks) == faces
