from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from mien.core.errors import ModelError, OptionError
from mien.core.labels import EXPRESSIONS, UNCERTAIN
from mien.core.preprocess import gray
from mien.core.types import ByteArray, Faces
from mien.engine.recognizer import BATCH, Recognizer, load, model_names, model_path

FIGURES = {
    *("fer2013", "fer2013_without_copies", "calibration_fer2013", "ferplus_7", "calibration_ferplus", "ck48_6"),
    *("drop_equalized", "drop_24_px", "drop_jpeg_20", "drop_blur_1.5"),
    *("paper_protocol_random", "paper_protocol_agree"),
}
OF_THE_TRUNK = {"ck48_7_folds"}


@pytest.fixture(scope="module")
def recognizer() -> Recognizer:
    return load("default")


@pytest.fixture(scope="module")
def crops(astronaut: ByteArray) -> list[ByteArray]:
    """Return the same face in several sizes, gray and RGB, and beside it, with other light."""
    face = np.ascontiguousarray(astronaut[60:200, 160:300])
    light = [np.clip(face * factor, 0, 255).astype(np.uint8) for factor in (0.5, 1.3)]
    small = [cv2.resize(gray(face), (side, side), interpolation=cv2.INTER_AREA) for side in (24, 48, 64)]
    return [face, gray(face), *light, *(np.asarray(picture, np.uint8) for picture in small), face[20:, 30:]]


def test_rows_are_probabilities(recognizer: Recognizer, crops: list[ByteArray]) -> None:
    table = recognizer.probabilities(crops)
    assert table.shape == (len(crops), 7)
    assert table.dtype == np.float32
    np.testing.assert_allclose(table.sum(axis=1), 1, atol=1e-6)
    assert table.min() >= 0


def test_color_and_size_hardly_matter(recognizer: Recognizer, crops: list[ByteArray]) -> None:
    table = recognizer.probabilities(crops[:7])
    np.testing.assert_allclose(table[0], table[1], atol=1e-6)  # gray(RGB) is what is seen of RGB
    np.testing.assert_allclose(table[0], table[5], atol=0.02)  # 48x48, which it would be shrunk to


def test_one_by_one_and_in_a_batch(recognizer: Recognizer, crops: list[ByteArray]) -> None:
    one_by_one = np.concatenate([recognizer.probabilities([crop]) for crop in crops])
    np.testing.assert_allclose(recognizer.probabilities(crops), one_by_one, atol=1e-6)
    assert np.array_equal(recognizer.probabilities(tuple(crops)), recognizer.probabilities(crops))


def test_more_than_one_batch(recognizer: Recognizer, crops: list[ByteArray]) -> None:
    times = 2 * BATCH // len(crops) + 1
    table = recognizer.probabilities(crops * times)
    np.testing.assert_allclose(table, np.tile(recognizer.probabilities(crops), (times, 1)), atol=1e-6)


def test_an_array_of_crops(recognizer: Recognizer, crops: list[ByteArray]) -> None:
    stacked = np.stack([crops[0], crops[2], crops[3]])
    assert np.array_equal(recognizer.probabilities(stacked), recognizer.probabilities(list(stacked)))


def test_crops_stay_as_they_are(recognizer: Recognizer, crops: list[ByteArray]) -> None:
    before = [crop.copy() for crop in crops]
    recognizer.probabilities(crops)
    assert all(np.array_equal(crop, copy) for crop, copy in zip(crops, before, strict=True))


def test_no_crops(recognizer: Recognizer) -> None:
    assert recognizer.probabilities([]).shape == (0, 7)
    assert recognizer.probabilities(np.empty((0, 48, 48), np.uint8)).shape == (0, 7)


def test_a_wrong_crop_is_named(recognizer: Recognizer, crops: list[ByteArray]) -> None:
    wrong = [*[crops[0]] * (BATCH + 5), crops[0].astype(np.float32)]
    with pytest.raises(OptionError, match=f"crop {BATCH + 5} is float32"):
        recognizer.probabilities(wrong)  # type: ignore[arg-type]


def test_what_is_no_list_of_crops_is_refused_in_one_line(recognizer: Recognizer) -> None:
    cases: list[tuple[Any, str]] = [
        (None, "crops is a NoneType: expected a list"),
        ("x.jpg", "crops is a str: expected a list"),
        ([None], "crop 0 is a NoneType: expected an array of uint8"),
        (["x.jpg"], "crop 0 is a str"),
        ([np.zeros((9, 9), np.uint8), Image.new("L", (9, 9))], "crop 1 is a Image"),
        ([np.zeros((9, 9, 4), np.uint8)], r"crop 0 is uint8 of shape \(9, 9, 4\)"),
        *((np.zeros(shape, np.uint8), r"one crop goes in a list") for shape in [(48, 48), (48, 48, 3), (48, 48, 1)]),
    ]
    for crops, match in cases:
        with pytest.raises(OptionError, match=match) as error:
            recognizer.probabilities(crops)
        assert "\n" not in str(error.value)


def test_it_tells_its_name(recognizer: Recognizer) -> None:
    assert repr(recognizer) == f"<Recognizer 'default', version {recognizer.card.version}>"


def test_threads_may_share_it(recognizer: Recognizer, crops: list[ByteArray]) -> None:
    alone = [recognizer.probabilities([crop]) for crop in crops]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda crop: recognizer.probabilities([crop]), crops * 8))
    assert all(np.array_equal(table, alone[index % len(crops)]) for index, table in enumerate(together))


def test_answers_follow_the_threshold_on_the_card(recognizer: Recognizer) -> None:
    faces = Faces.detected([[0, 0, 10, 10], [5, 5, 20, 20]], [0.9, 0.8])
    sure, unsure = [1, 0, 0, 0, 0, 0, 0], [1 / 7] * 7
    answered = recognizer.answer(faces, np.array([sure, unsure], np.float32))
    assert answered.expressions == ("angry", UNCERTAIN)
    assert answered.labels == EXPRESSIONS


# the nets by name


def test_names_and_paths(tmp_path: Path) -> None:
    assert {"default", "fer2013"} <= set(model_names())
    path = model_path("default")
    assert model_path(path) == path
    assert load(path).card == load("default").card == load().card
    for wrong in ("no such net", tmp_path, tmp_path / "missing.onnx"):
        with pytest.raises(ModelError, match=r"expected default, fer2013.* or a path to an \.onnx file"):
            load(wrong)
    for nothing in (None, 3):
        with pytest.raises(OptionError, match=r"model is a \w+: expected a name or a path"):
            load(nothing)  # type: ignore[arg-type]


def test_threads_and_providers_are_passed_on(crops: list[ByteArray]) -> None:
    two = load("fer2013", threads=2, providers=["CPUExecutionProvider"])
    np.testing.assert_allclose(two.probabilities(crops), load("fer2013").probabilities(crops), atol=1e-6)
    with pytest.raises(ModelError, match="NoSuchProvider"):
        load("fer2013", providers=["NoSuchProvider"])


@pytest.mark.parametrize("name", model_names())
def test_what_ships_is_accountable(name: str) -> None:
    recognizer = load(name)
    card = recognizer.card
    assert recognizer.model.path.stat().st_size < 10_000_000
    assert card.name == name
    assert card.labels == EXPRESSIONS
    assert card.input_size == 48
    assert 0 < card.uncertain_below < 1
    assert 0 < card.coverage <= 1
    assert 0.05 < card.temperature < 20
    assert card.parameters > 0
    assert card.mflops > 0
    assert card.architecture in ("default", "paper")
    assert card.head == {"default": "ferplus", "fer2013": "fer2013", "paper": "fer2013"}[name]
    assert all((card.version, card.code_version, card.recipe, card.training_data))
    assert "research" in card.license
    assert "Not for inferring emotions at work" in card.limits
    of_the_trunk = OF_THE_TRUNK if card.architecture == "default" else set()
    assert set(card.scores) == FIGURES | of_the_trunk | ({"ferplus_8"} if card.head == "ferplus" else set())
    assert [card.scores[figure].count for figure in ("fer2013", "fer2013_without_copies", "ferplus_7")] == [
        3589,
        3275,
        3137,
    ]
    for figure, score in card.scores.items():
        lowest = -1 if figure.startswith("drop_") else 0  # worse pictures may be read better
        assert lowest <= score.low <= score.value <= score.high <= 1, figure


@pytest.mark.parametrize("name", model_names())
def test_what_ships_tells_nothing_of_the_machine_it_was_made_on(name: str) -> None:
    content = model_path(name).read_bytes()
    assert b"stack_trace" not in content
    assert b"/src/mien" not in content
