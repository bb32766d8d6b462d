"""What moves on a face is found where it moves, in eye distances a second; what the head does is not."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from mien.core.preprocess import MEAN_SHAPE, aligned_crops, points_in_crops
from mien.core.types import ByteArray, Faces, FloatArray
from mien.face.landmarks import LEFT_EYE_CORNER, MEASURABLE, MIRROR, RIGHT_EYE_CORNER
from mien.face.motion import CROP_PX, MOTION_NAMES, MotionMeter, clip_names, clip_statistics, motion
from mien.face.regions import REGIONS, region_masks

# The mean face laid on the portrait: the frame's x and y axis, then its origin.
PORTRAIT = np.array([[109.3, -8.1, 174.2], [8.1, 109.3, 56.6]], np.float32)
POINTS: FloatArray = MEAN_SHAPE @ PORTRAIT[:, :2].T + PORTRAIT[:, 2]
EYE_DISTANCE = float(np.linalg.norm(POINTS[LEFT_EYE_CORNER] - POINTS[RIGHT_EYE_CORNER]))
UPRIGHT = np.linalg.inv(PORTRAIT[:, :2] / np.linalg.norm(PORTRAIT[:, 0]))  # picture to face
WIDTH, HEIGHT = 384, 256
GAP_S = 0.04


@pytest.fixture(scope="module")
def still(astronaut: ByteArray) -> ByteArray:
    return np.ascontiguousarray(astronaut[:HEIGHT, :WIDTH])


def face(points: FloatArray, *, track_id: int = 1, sure: float = 1.0) -> Faces:
    corners = np.concatenate([points.min(axis=0), points.max(axis=0)])
    return replace(
        Faces.detected([corners], [1.0]),
        landmarks=points[None],
        landmark_confidences=np.array([sure], np.float32),
        track_ids=np.array([track_id], np.int64),
    )


def bump(region: str, *, reach: float) -> FloatArray:
    """Return a hill over a region, 1 at its center and falling with `reach` eye distances, for each pixel."""
    rows = {"brows": slice(17, 27), "eyes": slice(36, 48), "nose": slice(27, 36), "mouth": slice(48, 68)}[region]
    x, y = np.meshgrid(np.arange(WIDTH) + 0.5, np.arange(HEIGHT) + 0.5)
    center = POINTS[rows].mean(axis=0)
    squares = (x - center[0]) ** 2 + (y - center[1]) ** 2
    return np.asarray(np.exp(-squares / (2 * (reach * EYE_DISTANCE) ** 2)), np.float32)


def warped(picture: ByteArray, shifts: FloatArray) -> ByteArray:
    """Return the picture whose pixels came from `shifts`, (H, W, 2), before."""
    x, y = np.meshgrid(np.arange(WIDTH, dtype=np.float32), np.arange(HEIGHT, dtype=np.float32))
    moved = cv2.remap(picture, x - shifts[..., 0], y - shifts[..., 1], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(moved, np.uint8)


def carried(picture: ByteArray, points: FloatArray, turn: FloatArray) -> tuple[ByteArray, FloatArray]:
    """Return picture and points after a turn, scale and shift, (2, 3) of pixels counted from the corner."""
    centers = turn.astype(np.float64)
    centers[:, 2] += centers[:, :2].sum(axis=1) / 2 - 0.5  # OpenCV counts from the center of the first pixel
    moved = cv2.warpAffine(picture, centers, (WIDTH, HEIGHT), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(moved, np.uint8), (points @ turn[:, :2].T + turn[:, 2]).astype(np.float32)


def around_the_nose(degrees: float, scale: float, x: float, y: float) -> FloatArray:
    turn = np.asarray(cv2.getRotationMatrix2D(POINTS[30].tolist(), degrees, scale), np.float32)
    turn[:, 2] += np.array([x, y], np.float32)
    return turn


def measured(
    before: ByteArray, now: ByteArray, points: FloatArray = POINTS, moved: FloatArray | None = None
) -> dict[str, FloatArray]:
    """Return speed, spread, x and y of each region, from two frames."""
    meter = MotionMeter()
    meter.update(before, face(points), 1.0)
    values = meter.update(now, face(points if moved is None else moved), 1.0 + GAP_S)[0]
    return dict(zip(REGIONS, values.reshape(-1, 4), strict=True))


@pytest.mark.parametrize("degrees", range(0, 360, 45))
def test_a_mouth_that_moves_is_found_with_its_speed_and_direction_and_no_other_region(
    still: ByteArray, degrees: int
) -> None:
    way = 0.1 * EYE_DISTANCE * np.array([np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))])
    hill = bump("mouth", reach=0.2)
    found = measured(still, warped(still, (hill[..., None] * way).astype(np.float32)))
    inside = hill[region_masks(POINTS, (HEIGHT, WIDTH))["mouth"]]
    expected = UPRIGHT @ way * inside.mean() / EYE_DISTANCE / GAP_S
    speed = float(np.linalg.norm(expected))
    assert found["mouth"][2:] == pytest.approx(expected, abs=0.2 * speed)
    assert found["mouth"][0] == pytest.approx(speed, rel=0.2)
    assert found["mouth"][1] == pytest.approx(speed * inside.std() / inside.mean(), abs=0.2 * speed)
    assert max(found["brows"][0], found["eyes"][0]) < 0.1 * found["mouth"][0]


def test_brows_that_rise_move_up(still: ByteArray) -> None:
    shifts = bump("brows", reach=0.15)[..., None] * np.array([0, -0.06 * EYE_DISTANCE], np.float32)
    found = measured(still, warped(still, shifts.astype(np.float32)))
    speed, _, x, y = found["brows"]
    assert y < -0.8 * speed
    assert abs(x) < 0.3 * speed
    assert found["mouth"][0] < 0.1 * speed


def test_a_mouth_that_widens_has_spread_and_goes_nowhere(still: ByteArray) -> None:
    hill = bump("mouth", reach=0.2)
    outward = np.arange(WIDTH, dtype=np.float32) - POINTS[48:68, 0].mean()
    shifts = np.stack([0.15 * hill * outward, 0 * hill], axis=-1)
    speed, spread, x, y = measured(still, warped(still, shifts))["mouth"]
    assert spread > 0.8 * speed
    assert np.hypot(x, y) < 0.4 * speed


@settings(max_examples=25)
@given(
    degrees=st.floats(-10, 10), scale=st.floats(0.93, 1.07), x=st.floats(-12, 12), y=st.floats(-12, 12), data=st.data()
)
def test_a_head_that_moves_leaves_its_regions_at_rest_even_where_landmarks_miss_it_a_little(
    still: ByteArray, degrees: float, scale: float, x: float, y: float, data: st.DataObject
) -> None:
    picture, moved = carried(still, POINTS, around_the_nose(degrees, scale, x, y))
    missed = data.draw(st.tuples(*[st.floats(-0.02, 0.02)] * 4))
    wrong = around_the_nose(45 * missed[0], 1 + missed[1], EYE_DISTANCE * missed[2], EYE_DISTANCE * missed[3])
    moved = (moved @ wrong[:, :2].T + wrong[:, 2]).astype(np.float32)
    found = measured(still, picture, moved=moved)
    assert max(region[0] for region in found.values()) * GAP_S < 0.01  # of the eye distance, from frame to frame


@pytest.mark.parametrize("degrees", [-8, 8])
def test_a_mouth_that_moves_on_a_head_that_moves_is_found_alike(still: ByteArray, degrees: int) -> None:
    shifts = bump("mouth", reach=0.2)[..., None] * np.array([0, 0.1 * EYE_DISTANCE], np.float32)
    opened = warped(still, shifts.astype(np.float32))
    picture, moved = carried(opened, POINTS, around_the_nose(degrees, 1.03, 5, -4))
    on_still_head, on_moving_head = measured(still, opened), measured(still, picture, moved=moved)
    speed = float(on_still_head["mouth"][0])
    assert on_moving_head["mouth"] == pytest.approx(on_still_head["mouth"], abs=0.15 * speed)


def test_a_still_face_in_noise_is_nearly_at_rest(still: ByteArray) -> None:
    rng = np.random.default_rng(0)
    first, second = ((still + rng.normal(0, 3, still.shape)).clip(0, 255).astype(np.uint8) for _ in range(2))
    assert max(region[0] for region in measured(first, second).values()) < 0.15


def test_light_that_changes_is_nearly_no_motion(still: ByteArray) -> None:
    brighter = (still * 1.15 + 5).clip(0, 255).astype(np.uint8)
    assert max(region[0] for region in measured(still, brighter).values()) * GAP_S < 0.01


@given(gap_s=st.floats(1e-3, 0.5))
@settings(max_examples=10)
def test_speed_halves_where_the_gap_doubles(still: ByteArray, gap_s: float) -> None:
    shifts = bump("mouth", reach=0.2)[..., None] * np.array([0, 0.1 * EYE_DISTANCE], np.float32)
    pictures = (still, warped(still, shifts.astype(np.float32)))
    before, now = (aligned_crops(picture, POINTS[None], CROP_PX)[0] for picture in pictures)
    points = points_in_crops(POINTS[None], CROP_PX)[0]
    once, twice = (motion(before, now, points, gap_s=times * gap_s) for times in (1, 2))
    assert once == pytest.approx(2 * twice, rel=1e-4, abs=1e-6)
    assert once[MOTION_NAMES.index("motion_mouth_y")] > 0


@pytest.mark.parametrize("larger", [2, 3])
def test_the_size_of_a_face_does_not_matter(still: ByteArray, larger: int) -> None:
    shifts = bump("mouth", reach=0.2)[..., None] * np.array([0.1 * EYE_DISTANCE, 0], np.float32)
    pictures = (still, warped(still, shifts.astype(np.float32)))
    small = measured(*pictures)["mouth"]
    size = (larger * WIDTH, larger * HEIGHT)
    before, now = (np.asarray(cv2.resize(p, size, interpolation=cv2.INTER_CUBIC), np.uint8) for p in pictures)
    large = measured(before, now, larger * POINTS)["mouth"]
    assert large == pytest.approx(small, abs=0.1 * float(small[0]))


def test_a_face_has_motion_from_its_second_frame_on_by_its_id(still: ByteArray) -> None:
    meter = MotionMeter()
    assert np.isnan(meter.update(still, face(POINTS, track_id=1), 0.0)).all()
    assert np.isnan(meter.update(still, face(POINTS, track_id=2), 0.04)).all()
    assert np.isfinite(meter.update(still, face(POINTS, track_id=1), 0.08)).all()


def test_after_a_cut_nobody_is_known(still: ByteArray) -> None:
    meter = MotionMeter()
    meter.update(still, face(POINTS), 0.0)
    meter.cut()
    assert np.isnan(meter.update(still, face(POINTS), 0.04)).all()


@pytest.mark.parametrize(("gap_s", "is_known"), [(0.0, False), (-0.04, False), (0.04, True), (1.0, True), (1.1, False)])
def test_a_track_is_forgotten_after_a_second_and_where_time_does_not_go_on(
    still: ByteArray, gap_s: float, is_known: bool
) -> None:
    meter = MotionMeter()
    meter.update(still, face(POINTS), 5.0)
    assert np.isfinite(meter.update(still, face(POINTS), 5.0 + gap_s)).all() == is_known


def test_an_unsure_frame_is_passed_over_and_its_time_counts(still: ByteArray) -> None:
    shifts = bump("mouth", reach=0.2)[..., None] * np.array([0, 0.1 * EYE_DISTANCE], np.float32)
    opened = warped(still, shifts.astype(np.float32))
    passed, direct = MotionMeter(), MotionMeter()
    passed.update(still, face(POINTS), 0.0)
    assert np.isnan(passed.update(still, face(POINTS, sure=MEASURABLE - 0.01), 0.04)).all()
    direct.update(still, face(POINTS), 0.0)
    expected = direct.update(opened, face(POINTS), 0.08)
    assert np.array_equal(passed.update(opened, face(POINTS), 0.08), expected)
    assert np.isfinite(expected).all()


def test_faces_without_landmarks_or_ids_have_no_motion(still: ByteArray) -> None:
    meter = MotionMeter()
    for nameless in (replace(face(POINTS), track_ids=None), replace(face(POINTS), landmarks=None)):
        for time_s in (0.0, 0.04):
            values = meter.update(still, nameless, time_s)
            assert values.shape == (1, len(MOTION_NAMES))
            assert np.isnan(values).all()


def test_each_face_is_measured_by_its_id_whatever_its_row(still: ByteArray) -> None:
    both = np.concatenate([still, still], axis=1)
    shifts = bump("mouth", reach=0.2)[..., None] * np.array([0, 0.1 * EYE_DISTANCE], np.float32)
    later = np.concatenate([warped(still, shifts.astype(np.float32)), still], axis=1)
    points = np.stack([POINTS, POINTS + np.array([WIDTH, 0], np.float32)])
    found = replace(Faces.detected(np.zeros((2, 4)), [1, 1]), landmarks=points, track_ids=np.array([7, 8]))
    meter = MotionMeter()
    meter.update(both, found, 0.0)
    resting, moving = meter.update(later, found[[1, 0]], GAP_S)
    assert np.abs(resting).max() == pytest.approx(0, abs=1e-3)
    assert moving[MOTION_NAMES.index("motion_mouth_y")] > 0.5


def test_points_that_are_missing_or_no_face_have_no_motion(still: ByteArray) -> None:
    crop = aligned_crops(still, POINTS[None], CROP_PX)[0]
    one_missing = points_in_crops(POINTS[None], CROP_PX)[0]
    one_missing[60] = np.nan
    assert np.isnan(motion(crop, crop, one_missing, gap_s=GAP_S)).all()
    a_dot = np.full((68, 2), 40.3, np.float32)
    assert np.isnan(motion(crop, crop, a_dot, gap_s=GAP_S)).all()


@given(seed=st.integers(0, 2**16), wrong=st.floats(0, 0.5), x=st.floats(-300, 500))
@settings(max_examples=30)
def test_however_wrong_the_points_are_no_number_is_infinite(
    still: ByteArray, seed: int, wrong: float, x: float
) -> None:
    rng = np.random.default_rng(seed)
    meter = MotionMeter()
    for time_s in (0.0, 0.04, 0.08):
        points = POINTS + rng.normal((x, 0), wrong * EYE_DISTANCE, (68, 2)).astype(np.float32)
        assert not np.isinf(meter.update(still, face(points), time_s)).any()


def test_the_mirror_image_moves_the_other_way(still: ByteArray) -> None:
    shifts = bump("mouth", reach=0.2)[..., None] * np.array([0.1 * EYE_DISTANCE, 0.0], np.float32)
    moved = warped(still, shifts.astype(np.float32))
    points = np.array([WIDTH, 0], np.float32) + POINTS[list(MIRROR)] * np.array([-1, 1], np.float32)
    here = measured(still, moved)["mouth"]
    before, now = (np.ascontiguousarray(picture[:, ::-1]) for picture in (still, moved))
    there = measured(before, now, points)["mouth"]
    assert there * (1, 1, -1, 1) == pytest.approx(here, abs=0.1 * float(here[0]))


def test_every_number_has_a_name_of_its_own() -> None:
    assert len(set(MOTION_NAMES)) == len(MOTION_NAMES) == 4 * len(REGIONS)
    assert MOTION_NAMES[-4:] == ("motion_mouth_speed", "motion_mouth_spread", "motion_mouth_x", "motion_mouth_y")


ROWS = arrays.arrays(np.float32, st.tuples(st.integers(1, 6), st.integers(1, 4)), elements=st.floats(-99, 99, width=32))


@given(rows=ROWS, missing=st.integers(0, 2**16))
def test_statistics_of_a_clip_are_those_of_what_was_measured(rows: FloatArray, missing: int) -> None:
    rows[np.random.default_rng(missing).random(rows.shape) < 0.3] = np.nan
    statistics = dict(zip(clip_names(list(map(str, range(rows.shape[1])))), clip_statistics(rows), strict=True))
    for column, values in enumerate(rows.T):
        known = values[np.isfinite(values)].astype(np.float64)
        mean, peak, spread = (statistics[f"{column}_{name}"] for name in ("mean", "peak", "spread"))
        if len(known):
            assert mean == pytest.approx(known.mean(), abs=1e-3)
            assert abs(peak) == np.abs(known).max()
            assert peak in known
            assert spread == pytest.approx(known.std(), abs=1e-3)
        else:
            assert np.isnan([mean, peak, spread]).all()


def test_a_clip_without_frames_has_the_numbers_and_knows_none() -> None:
    assert np.isnan(clip_statistics(np.empty((0, 2), np.float32))).tolist() == [True] * 6


def test_three_frames_make_one_vector_that_tells_an_opening_mouth(still: ByteArray) -> None:
    meter, hill = MotionMeter(), bump("mouth", reach=0.2)
    way = np.array([0, 0.08 * EYE_DISTANCE], np.float32)
    frames = [warped(still, (step * hill[..., None] * way).astype(np.float32)) for step in range(3)]
    rows = [meter.update(frame, face(POINTS), GAP_S * step)[0] for step, frame in enumerate(frames)]
    vector = dict(zip(clip_names(MOTION_NAMES), clip_statistics(np.stack(rows)), strict=True))
    assert len(vector) == 3 * len(MOTION_NAMES)
    assert np.isfinite(list(vector.values())).all()
    assert vector["motion_mouth_y_mean"] > 0.5
    assert vector["motion_mouth_speed_peak"] >= vector["motion_mouth_speed_mean"]
