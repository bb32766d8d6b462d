"""An explanation points at what the net looks at: nets are made here that look at one region only."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import numpy as np
import pytest

from mien import Faces, Recognizer, analyze, explain, load
from mien.core.errors import OptionError
from mien.core.model import Model
from mien.core.preprocess import crops
from mien.core.types import ByteArray, FloatArray
from mien.engine.explain import Explanation
from mien.face.detectors import Whole, detect
from mien.face.regions import ELSEWHERE, FRAME_REGIONS

SIZE = 48


class LooksAt:
    """A net that is the surer of ``happy``, the more contrast it sees in one region."""

    def __init__(self, region: str | None) -> None:
        self.card = replace(load().card, input_size=SIZE)
        self._region = region

    def run(self, batch: ByteArray) -> FloatArray:
        left, top, right, bottom = (round(share * SIZE) for share in FRAME_REGIONS[self._region or "mouth"])
        sure = batch[:, 0, top:bottom, left:right].std(axis=(1, 2)) / 128 if self._region else np.full(len(batch), 0.5)
        answers = np.zeros((len(batch), len(self.card.labels)), np.float32)
        answers[:, 3], answers[:, 6] = 0.5 + 0.5 * sure, 0.5 - 0.5 * sure
        return answers


@pytest.fixture(scope="module")
def noise() -> ByteArray:
    return np.random.default_rng(0).integers(0, 256, (120, 120, 3), np.uint8)


def explained(picture: ByteArray, region: str | None) -> Explanation:
    net = Recognizer(cast("Model", LooksAt(region)))
    return explain(picture, detect(Whole(), picture), model=net)


@pytest.mark.parametrize("region", FRAME_REGIONS)
def test_it_points_at_what_the_net_looks_at(region: str, noise: ByteArray) -> None:
    explanation = explained(noise, region)
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
    assert min(explanation.shares.values()) >= 0
    assert explanation.saliency.shape == (size, size)
    assert explanation.saliency.dtype == np.float32
    assert explanation.saliency.min() >= 0
    assert np.array_equal(explanation.crop, crops(astronaut, faces.boxes_xyxy[:1], size)[0])


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
