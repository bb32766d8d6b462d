"""Landmarks, features, reasons and baselines of the library's calls; pictures on which nothing can be measured."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from media import write_still, write_video

from mien import Faces, FrameResult, Pipeline, analyze, analyze_many, stream
from mien.core.errors import OptionError
from mien.core.types import ByteArray, FloatArray
from mien.engine.drawing import draw
from mien.engine.explain import WHY_NAMES
from mien.engine.features import FEATURE_NAMES
from mien.engine.measuring import Asked
from mien.face.landmarks import MEASURABLE, load_landmarker
from mien.face.motion import MOTION_NAMES

FACE_XYXY = (77.0, 61.0, 171.0, 176.0)  # in `head`
NOBODY = np.zeros((260, 240, 3), np.uint8)
OPTIONS = [{"landmarks": a, "features": b, "why": c} for a, b, c in product((False, True), repeat=3)]
EVERYTHING: dict[str, Any] = {"landmarks": True, "features": True, "why": True}
FAST: dict[str, Any] = {"recognizer": "paper"}


class Fixed:
    """A detector that sees a face at one place in every picture that is not black."""

    def __init__(self, box_xyxy: tuple[float, ...] = FACE_XYXY) -> None:
        self._box = box_xyxy

    def detect(self, image_rgb: ByteArray) -> tuple[FloatArray, FloatArray]:
        count = int(image_rgb.any())
        return np.array([self._box] * count, np.float32).reshape(-1, 4), np.ones(count, np.float32)


@pytest.fixture(scope="module")
def head(astronaut: ByteArray) -> ByteArray:
    return np.ascontiguousarray(astronaut[0:260, 100:340])


@pytest.fixture(scope="module")
def calm(head: ByteArray) -> ByteArray:
    """Return the portrait with a mouth so blurred that the smallest net is sure of nothing."""
    picture, mouth = head.copy(), np.s_[130:165, 95:155]
    picture[mouth] = cv2.GaussianBlur(head, (0, 0), 14)[mouth]
    return picture


def column(faces: Faces, name: str) -> list[float]:
    assert faces.features is not None
    return list(faces.features[:, faces.feature_names.index(name)])


def columns(result: FrameResult) -> tuple[str, ...]:
    return tuple(result.to_dicts()[0])


# --- what is asked for, and nothing else


def test_the_landmark_net_is_not_opened_where_nothing_needs_it(head: ByteArray) -> None:
    load_landmarker.cache_clear()
    pipeline = Pipeline(detector=Fixed(), baseline_s=1.0, **FAST)
    for faces in (pipeline(head, 0.0).faces, analyze(head, detector=Fixed(), model="paper")):
        assert faces.landmarks is None
    assert load_landmarker.cache_info().misses == 0
    Pipeline(landmarks=True, **FAST)
    assert load_landmarker.cache_info().misses == 1


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("baseline_s", [0.0, 1.0])
def test_columns_are_those_that_were_asked_for_in_every_frame(
    options: dict[str, Any], baseline_s: float, head: ByteArray
) -> None:
    asked = Asked(**options, baseline_s=baseline_s)
    pipeline = Pipeline(detector=Fixed(), baseline_s=baseline_s, **options, **FAST)
    results = [pipeline(picture, time_s) for time_s, picture in enumerate((NOBODY, head, head, NOBODY))]
    assert [len(result.faces) for result in results] == [0, 1, 1, 0]
    assert {result.faces.feature_names for result in results} == {asked.feature_names}
    assert {result.faces.landmarks is not None for result in results} == {asked.needs_landmarks}
    assert len({columns(result) for result in results}) == 1


def test_the_order_of_features_is_fixed() -> None:
    names = Asked(**EVERYTHING, baseline_s=1.0).feature_names
    assert names[: len(FEATURE_NAMES)] == FEATURE_NAMES
    assert names[len(FEATURE_NAMES) :][:5] == WHY_NAMES
    assert names[-1] == "has_baseline"
    assert Asked().feature_names == ()


def test_answers_do_not_depend_on_what_is_asked_for_besides(head: ByteArray) -> None:
    plain, full = (Pipeline(detector=Fixed(), **options, **FAST) for options in ({}, EVERYTHING))
    for time_s in (0.0, 0.1):
        before, after = plain(head, time_s).faces, full(head, time_s).faces
        assert np.array_equal(before.probabilities, after.probabilities)
        assert before.expressions == after.expressions


def test_the_calls_take_the_same_options() -> None:
    options = {"landmarks", "features", "why"}
    for call in (analyze, analyze_many, stream, Pipeline):
        assert options <= set(inspect.signature(call).parameters)
    for call in (stream, Pipeline):
        assert "baseline_s" in inspect.signature(call).parameters


@pytest.mark.parametrize("baseline_s", [-1, float("nan"), float("inf"), "3", None])
def test_a_baseline_of_no_time_is_refused(baseline_s: Any) -> None:
    with pytest.raises(OptionError, match=r"baseline_s is .*: expected seconds"):
        Pipeline(baseline_s=baseline_s, **FAST)


# --- pictures


def test_a_picture_has_all_but_motion(head: ByteArray) -> None:
    faces = analyze(head, model="paper", **EVERYTHING)
    assert faces.landmarks is not None
    assert faces.landmark_confidences is not None
    assert faces.landmark_confidences[0] > 0.8
    assert faces.features is not None
    missing = {name for name in faces.feature_names if np.isnan(column(faces, name)[0])}
    assert missing == set(MOTION_NAMES)
    assert sum(column(faces, name)[0] for name in WHY_NAMES) == pytest.approx(1)
    assert column(faces, "why_mouth")[0] > column(faces, "why_brows")[0]  # she smiles


def test_many_pictures_are_measured_as_each_alone(head: ByteArray) -> None:
    pictures = [head, NOBODY, np.ascontiguousarray(head[:, ::-1])]
    options = {"detector": Fixed(), "model": "paper", **EVERYTHING}
    for together, picture in zip(analyze_many(pictures, **options), pictures, strict=True):
        alone = analyze(picture, **options)
        assert together.feature_names == alone.feature_names
        assert together == alone


def test_a_mirrored_face_has_mirrored_landmarks(head: ByteArray) -> None:
    mirrored = np.ascontiguousarray(head[:, ::-1])
    box = (240 - FACE_XYXY[2], FACE_XYXY[1], 240 - FACE_XYXY[0], FACE_XYXY[3])
    left = analyze(head, detector=Fixed(), model="paper", landmarks=True).landmarks
    right = analyze(mirrored, detector=Fixed(box), model="paper", landmarks=True).landmarks
    assert left is not None
    assert right is not None
    mouth = slice(48, 68)
    assert left[0, mouth].mean(axis=0) * (-1, 1) + (240, 0) == pytest.approx(right[0, mouth].mean(axis=0), abs=4)


# --- streams


def test_motion_begins_with_the_second_frame_of_a_scene(head: ByteArray) -> None:
    pipeline = Pipeline(detector=Fixed(), features=True, **FAST)
    other = np.ascontiguousarray(255 - head)  # another scene to whoever looks for cuts
    moving = []
    for frame, picture in enumerate((head, head, head, other, other)):
        faces = pipeline(picture, frame / 25).faces
        assert len(faces) == 1
        assert faces.track_ids is not None
        moving.append((int(faces.track_ids[0]), bool(np.isfinite(column(faces, MOTION_NAMES[0])[0]))))
    assert moving[:3] == [(1, False), (1, True), (1, True)]
    assert moving[3] == (2, False)


def test_who_rests_has_a_baseline_after_its_seconds(calm: ByteArray) -> None:
    pipeline = Pipeline(detector=Fixed(), features=True, baseline_s=0.5, **FAST)
    frames = [pipeline(calm, frame / 10).faces for frame in range(10)]
    assert [column(faces, "has_baseline")[0] for faces in frames] == [0.0] * 5 + [1.0] * 5
    relative = [name for name in frames[0].feature_names if name.endswith("_from_rest")]
    assert relative
    assert all(np.isnan(column(frames[0], name)[0]) for name in relative)
    assert [column(frames[-1], name)[0] for name in relative] == pytest.approx([0.0] * len(relative), abs=0.02)


def test_a_video_and_a_picture_have_the_same_columns(tmp_path: Path, calm: ByteArray) -> None:
    write_still(tmp_path / "a.png", calm)
    write_video(tmp_path / "b.mp4", [calm] * 3, rate=10)
    results = list(stream(tmp_path, detector=Fixed(), model="paper", baseline_s=0.1, **EVERYTHING))
    assert len(results) == 4
    assert len({columns(result) for result in results}) == 1
    picture, *video = (result.faces for result in results)
    assert [column(faces, "has_baseline")[0] for faces in (picture, *video)] == [0.0, 0.0, 1.0, 1.0]
    assert np.isnan(column(picture, MOTION_NAMES[0])[0])


# --- pictures on which nothing can be measured


def upside_down(head: ByteArray) -> tuple[ByteArray, tuple[float, ...]]:
    left, top, right, bottom = FACE_XYXY
    return np.rot90(head, 2), (240 - right, 260 - bottom, 240 - left, 260 - top)


def scaled(head: ByteArray, x: float, y: float) -> tuple[ByteArray, tuple[float, ...]]:
    left, top, right, bottom = FACE_XYXY
    picture = cv2.resize(head, None, fx=x, fy=y, interpolation=cv2.INTER_AREA)
    return np.asarray(picture, np.uint8), (left * x, top * y, right * x, bottom * y)


def cartoon(_: ByteArray) -> tuple[ByteArray, tuple[float, ...]]:
    picture = np.full((260, 240, 3), 255, np.uint8)
    cv2.rectangle(picture, (60, 50), (180, 190), (30, 60, 200), 4)
    for x in (95, 145):
        cv2.line(picture, (x - 10, 90), (x + 10, 110), (0, 0, 0), 3)
        cv2.line(picture, (x - 10, 110), (x + 10, 90), (0, 0, 0), 3)
    cv2.line(picture, (90, 160), (150, 160), (0, 0, 0), 3)
    return picture, (60, 40, 180, 190)


def noise(_: ByteArray) -> tuple[ByteArray, tuple[float, ...]]:
    return np.random.default_rng(0).integers(0, 256, (260, 240, 3), np.uint8), FACE_XYXY


BAD: dict[str, Callable[[ByteArray], tuple[ByteArray, tuple[float, ...]]]] = {
    "its left half": lambda head: (np.ascontiguousarray(head[:, :124]), FACE_XYXY),
    "its right half": lambda head: (np.ascontiguousarray(head[:, 124:]), (-47, 61, 47, 176)),
    "its upper half": lambda head: (np.ascontiguousarray(head[:118]), FACE_XYXY),
    "squeezed as in profile": lambda head: scaled(head, 1 / 4, 1),
    "upside down": upside_down,
    "20 px": lambda head: scaled(head, 20 / 94, 20 / 94),
    "a cartoon": cartoon,
    "no face": noise,
    "plain gray": lambda head: (np.full_like(head, 128), FACE_XYXY),
}


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_measured_keeps_its_row_and_has_no_numbers(case: str, head: ByteArray) -> None:
    picture, box = BAD[case](head)
    faces = analyze(picture, detector=Fixed(box), model="paper", **EVERYTHING)
    assert len(faces) == 1
    assert faces.landmarks is not None
    assert faces.landmark_confidences is not None
    assert np.isfinite(faces.landmarks).all()
    assert case == "20 px" or faces.landmark_confidences[0] < MEASURABLE
    assert np.isnan([column(faces, name)[0] for name in FEATURE_NAMES]).all()
    assert case == "20 px" or np.isnan([column(faces, name)[0] for name in WHY_NAMES]).all()
    plain, with_regions = (draw(picture, faces, regions=regions) for regions in (False, True))
    assert case == "20 px" or np.array_equal(plain, with_regions)


def test_one_face_that_cannot_be_measured_leaves_the_others_alone(head: ByteArray) -> None:
    class Two:
        def detect(self, _: ByteArray) -> tuple[FloatArray, FloatArray]:
            return np.array([FACE_XYXY, (-100, 61, 20, 176)], np.float32), np.ones(2, np.float32)

    both = analyze(head, detector=Two(), model="paper", features=True)
    alone = analyze(head, detector=Fixed(), model="paper", features=True)
    assert both[0] == alone
    assert both.features is not None
    assert np.isnan(both.features[1]).all()
