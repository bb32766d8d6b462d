"""An explanation points at what the net looks at: nets are made here that look at one place only."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mien import Faces, Recognizer, analyze, explain, load
from mien.core.errors import OptionError
from mien.core.model import Model
from mien.core.preprocess import MEAN_SHAPE, crop_squares, crops
from mien.core.types import ByteArray, FloatArray
from mien.engine.explain import (
    PARTS,
    WHY_NAMES,
    Explainer,
    Explanation,
    hidden,
    parts_of,
    shares_of,
    worded,
)
from mien.face.detectors import Whole, detect
from mien.face.landmarks import MEASURABLE, are_sure, load_landmarker
from mien.face.regions import ELSEWHERE, FRAME_REGIONS

SIZE = 48
MOUTH_UP: FloatArray = 1 - MEAN_SHAPE  # in shares of the crop: the mouth where the brows of other faces are


class LooksAt:
    """A net that is the surer of ``happy``, and the less of ``neutral``, the more contrast it sees in one region."""

    def __init__(self, region: str | None) -> None:
        self.card = replace(load().card, input_size=SIZE)
        self.seen = 0
        self._region = region

    def run(self, batch: ByteArray) -> FloatArray:
        self.seen += len(batch)
        left, top, right, bottom = (round(share * SIZE) for share in FRAME_REGIONS[self._region or "mouth"])
        sure = batch[:, 0, top:bottom, left:right].std(axis=(1, 2)) / 128 if self._region else np.full(len(batch), 0.5)
        answers = np.zeros((len(batch), len(self.card.labels)), np.float32)
        answers[:, 3], answers[:, 6] = 0.5 + 0.5 * sure, 0.5 - 0.5 * sure
        return answers


def looking_at(region: str | None) -> Recognizer:
    return Recognizer(cast("Model", LooksAt(region)))


@pytest.fixture(scope="module")
def noise() -> ByteArray:
    return np.random.default_rng(0).integers(0, 256, (120, 120, 3), np.uint8)


def explained(picture: ByteArray, region: str | None) -> Explanation:
    return explain(picture, detect(Whole(), picture), model=looking_at(region))


@pytest.mark.parametrize("region", FRAME_REGIONS)
def test_it_points_at_what_the_net_looks_at(region: str, noise: ByteArray) -> None:
    explanation = explained(noise, region)
    assert explanation.regions_from == "frame"  # there is no face in noise
    inside = {name: share for name, share in explanation.shares.items() if name != ELSEWHERE}
    assert max(inside, key=lambda name: inside[name]) == region
    left, top, right, bottom = (share * SIZE for share in FRAME_REGIONS[region])
    y, x = np.unravel_index(int(explanation.saliency.argmax()), explanation.saliency.shape)
    assert left - 3 <= x <= right + 3
    assert top - 3 <= y <= bottom + 3


def test_a_net_that_looks_at_nothing_has_no_reason(noise: ByteArray) -> None:
    explanation = explained(noise, None)
    assert explanation.shares == dict.fromkeys([*FRAME_REGIONS, ELSEWHERE], 0)
    assert not explanation.saliency.any()


def test_the_shipped_net_on_a_portrait(astronaut: ByteArray) -> None:
    faces = analyze(astronaut)
    explanation = explain(astronaut, faces[0])
    size = load().card.input_size
    assert explanation.expression == faces.expressions[0]
    assert list(explanation.shares) == [*FRAME_REGIONS, ELSEWHERE]
    assert sum(explanation.shares.values()) == pytest.approx(1)
    assert max(explanation.shares, key=lambda name: explanation.shares[name]) == "mouth"
    assert explanation.regions_from == "landmarks"
    assert min(explanation.shares.values()) >= 0
    assert explanation.saliency.shape == (size, size)
    assert explanation.saliency.dtype == np.float32
    assert explanation.saliency.min() >= 0
    assert np.array_equal(explanation.crop, crops(astronaut, faces.boxes_xyxy[:1], size)[0])


# ------------------------------------------------------------------------------------------------ landmarks, regions


def with_landmarks(faces: Faces, shares: FloatArray, confidence: float) -> Faces:
    """Return one face with landmarks that lie in its crop at these shares."""
    landmark_confidences = np.array([confidence], np.float32)
    return replace(faces, landmarks=in_picture(faces, shares), landmark_confidences=landmark_confidences)


def in_picture(faces: Faces, shares: FloatArray) -> FloatArray:
    """Return points that lie in the crop of one face at these shares, (1, 68, 2) pixels of the picture."""
    x, y, side = crop_squares(faces.boxes_xyxy)[0]
    points: FloatArray = np.array([x - side / 2, y - side / 2], np.float32) + shares * side
    return points[None]


@pytest.mark.parametrize(
    ("confidence", "origin", "region"),
    [(0.9, "landmarks", "mouth"), (MEASURABLE, "landmarks", "mouth"), (0.49, "frame", "brows")],
)
def test_regions_lie_on_the_faces_own_landmarks_where_these_are_sure(
    confidence: float, origin: str, region: str, noise: ByteArray
) -> None:
    face = with_landmarks(detect(Whole(), noise), MOUTH_UP, confidence)
    explanation = explain(noise, face, model=looking_at("brows"))
    assert explanation.regions_from == origin
    assert max(explanation.shares, key=lambda name: explanation.shares[name]) == region


def test_landmarks_are_located_where_a_face_has_none(astronaut: ByteArray) -> None:
    face = analyze(astronaut)[0]
    located = load_landmarker().locate(astronaut, face)
    assert explain(astronaut, face).shares == explain(astronaut, located).shares


def test_missing_landmarks_measure_nothing(noise: ByteArray) -> None:
    shares = MEAN_SHAPE.copy()
    shares[30] = np.nan
    faces = with_landmarks(detect(Whole(), noise), shares, 0.9)
    assert not are_sure(faces)[0]
    assert parts_of(noise, faces, SIZE)[1] == "frame"


@given(seed=st.integers(0, 99), spread=st.floats(0, 0.5), confidence=st.sampled_from([0.0, 1.0]))
def test_each_pixel_is_in_one_part(seed: int, spread: float, confidence: float) -> None:
    generator = np.random.default_rng(seed)
    picture = generator.integers(0, 256, (60, 60, 3), np.uint8)
    shares = (MEAN_SHAPE + generator.normal(0, spread, MEAN_SHAPE.shape)).astype(np.float32)
    parts, _ = parts_of(picture, with_landmarks(detect(Whole(), picture), shares, confidence), SIZE)
    assert parts.shape == (len(PARTS), SIZE, SIZE)
    assert (parts.sum(axis=0) == 1).all()


def test_what_is_hidden_has_no_detail_and_the_rest_stays(noise: ByteArray) -> None:
    crop = noise[:SIZE, :SIZE, 0]
    masks = np.zeros((3, SIZE, SIZE), np.float32)
    masks[1], masks[2, :24] = 1, 1
    nothing, everything, upper = hidden(crop, masks)
    assert np.array_equal(nothing, crop)
    assert everything.std() < 0.1 * crop.std()
    assert np.array_equal(upper[24:], crop[24:])
    assert np.array_equal(upper[:24], everything[:24])


# ------------------------------------------------------------------------------------------------------------ streams


def happy(picture: ByteArray, *ids: int) -> Faces:
    """Return the whole picture once for each person, all happy."""
    box = detect(Whole(), picture).boxes_xyxy[0]
    answers = np.eye(7)[[3] * len(ids)]
    faces = Faces.detected([box] * len(ids), np.ones(len(ids))).recognized(answers, load().card.labels)
    landmarks = np.repeat(in_picture(Faces.detected([box], [1]), MEAN_SHAPE), len(ids), axis=0)
    return replace(
        faces, track_ids=np.array(ids, np.int64), landmarks=landmarks, landmark_confidences=np.full(len(ids), 0.9)
    )


def test_a_stream_has_the_shares_of_a_still(astronaut: ByteArray) -> None:
    faces = analyze(astronaut)
    shares = Explainer(load()).update(astronaut, faces, 0.0)
    assert shares.dtype == np.float32
    assert dict(zip(PARTS, shares[0].tolist(), strict=True)) == pytest.approx(explain(astronaut, faces[0]).shares)


def test_a_person_is_explained_anew_at_most_twice_a_second(noise: ByteArray) -> None:
    net = LooksAt("eyes")
    explainer = Explainer(Recognizer(cast("Model", net)))
    seen = []
    for index in range(25):
        explainer.update(noise, happy(noise, 1), index / 25)
        seen.append(net.seen // (1 + len(PARTS)))
    assert seen == [1] * 13 + [2] * 12  # at 0.00 and 0.52 s


def test_another_label_is_explained_at_once(noise: ByteArray) -> None:
    net = LooksAt("eyes")
    explainer = Explainer(Recognizer(cast("Model", net)))
    explainer.update(noise, happy(noise, 1), 0.0)
    neutral = happy(noise, 1).recognized(np.eye(7)[[6]], load().card.labels)
    explainer.update(noise, neutral, 0.1)
    explainer.update(noise, neutral, 0.2)
    explainer.update(noise, happy(noise, 1), 0.3)
    assert net.seen == 2 * (1 + len(PARTS))


def test_without_sure_landmarks_a_stream_names_no_region(noise: ByteArray) -> None:
    net = LooksAt("eyes")
    unsure = replace(happy(noise, 1), landmark_confidences=np.array([0.1], np.float32))
    assert np.isnan(Explainer(Recognizer(cast("Model", net))).update(noise, unsure, 0.0)).all()
    assert net.seen == 0


def test_each_person_has_a_clock_and_time_that_goes_back_begins_anew(noise: ByteArray) -> None:
    net = LooksAt("eyes")
    explainer = Explainer(Recognizer(cast("Model", net)))

    def answers(time_s: float, faces: Faces) -> int:
        before = net.seen
        assert len(explainer.update(noise, faces, time_s)) == len(faces)
        return (net.seen - before) // (1 + len(PARTS))

    assert answers(10.0, happy(noise, 1)) == 1
    assert answers(10.3, happy(noise, 2, 1)) == 1
    assert answers(10.6, happy(noise, 2, 1)) == 1
    assert answers(10.7, happy(noise, 1)) == 0
    assert answers(3.0, happy(noise, 1)) == 1
    assert answers(3.1, happy(noise)) == 0


def test_without_ids_each_face_is_explained(noise: ByteArray) -> None:
    net = LooksAt("eyes")
    explainer = Explainer(Recognizer(cast("Model", net)))
    for time_s in (0.0, 0.1):
        explainer.update(noise, replace(happy(noise, 1, 2), track_ids=None), time_s)
    assert net.seen == 4 * (1 + len(PARTS))


def test_the_label_on_the_face_is_explained_not_what_the_net_answers_now(noise: ByteArray) -> None:
    faces = happy(noise, 1)
    neutral = faces.recognized(np.eye(7)[[6]], faces.labels)
    (shares,) = Explainer(looking_at("eyes")).update(noise, faces, 0.0)
    assert PARTS[int(shares.argmax())] == "eyes"
    # To hide the eyes makes this net surer of neutral: nothing speaks for it.
    assert not Explainer(looking_at("eyes")).update(noise, neutral, 0.0).any()


def test_faces_that_are_not_recognized_cannot_be_explained(noise: ByteArray) -> None:
    with pytest.raises(OptionError, match=r"labels \(\): expected those that the recognizer gives"):
        Explainer(load()).update(noise, detect(Whole(), noise), 0.0)


# -------------------------------------------------------------------------------------------------------------- words


def test_shares_stand_in_the_features_of_a_face() -> None:
    faces = Faces.detected([[0, 0, 9, 9]] * 2, [1, 1])
    assert shares_of(faces[0]) == {}
    values = [[0.25, 0.125, 0, 0.5, 0.125], [np.nan] * 5]
    measured = faces.measured(("mouth_width",), [[0.3], [0.3]]).measured(WHY_NAMES, values)
    assert shares_of(measured[0]) == dict(zip(PARTS, values[0], strict=True))
    assert shares_of(measured[1]) == {}


@pytest.mark.parametrize(
    ("shares", "words"),
    [
        ((0.25, 0.13, 0.0, 0.62, 0.0), "mouth 62 %, brows 25 %, eyes 13 %"),
        ((0.05, 0.049, 0.0, 0.7, 0.201), "mouth 70 %, brows 5 %"),
        ((0.0, 0.2, 0.0, 0.3, 0.5), "elsewhere 50 %, mouth 30 %, eyes 20 %"),
        ((0.0, 0.0, 0.0, 0.0, 0.0), ""),
    ],
)
def test_shares_are_said_in_words(shares: tuple[float, ...], words: str) -> None:
    assert worded(dict(zip(PARTS, shares, strict=True))) == words
    assert worded({}) == ""


# ---------------------------------------------------------------------------------------------------------- arguments


def test_bgr_is_told(astronaut: ByteArray) -> None:
    face = Faces.detected([[223, 79, 337, 216]], [1])
    bgr = explain(astronaut[:, :, ::-1], face, color="bgr")
    assert np.array_equal(bgr.crop, explain(astronaut, face).crop)


@pytest.mark.parametrize("count", [0, 2])
def test_exactly_one_face(count: int, noise: ByteArray) -> None:
    faces = Faces.detected(np.tile([10, 10, 60, 60], (count, 1)), np.ones(count))
    with pytest.raises(OptionError, match=f"{count} faces: expected exactly one"):
        explain(noise, faces)


@pytest.mark.parametrize("face", [{"box": (10, 10, 60, 60)}, (10, 10, 60, 60), None])
def test_a_face_is_faces(face: Any, noise: ByteArray) -> None:
    with pytest.raises(OptionError, match=r"face is a \w+: expected Faces that hold exactly one"):
        explain(noise, face)
