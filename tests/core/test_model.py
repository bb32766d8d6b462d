from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from mien.core.errors import ModelError, OptionError
from mien.core.labels import EXPRESSIONS
from mien.core.model import CARD_KEY, CARD_SCHEMA, Model, ModelCard, Score

CARD = ModelCard(
    name="tiny",
    version="1",
    labels=EXPRESSIONS,
    input_size=8,
    temperature=1.0,
    uncertain_below=0.4,
    coverage=0.9,
    architecture="linear",
    head="fer2013",
    parameters=448,
    mflops=0.0009,
    training_data={"made": "0" * 64},
    recipe={"epochs": 1, "heads": ["fer2013"]},
    seed=0,
    license="none",
    limits="a test, naïve",
    code_version="0",
    scores={"fer2013": Score(0.5, 0.4, 0.6, 100)},
)
CROPS = np.random.default_rng(0).integers(0, 256, (5, 1, 8, 8)).astype(np.uint8)


def tiny_graph(outputs: int = 7, input_type: int = TensorProto.UINT8, input_name: str = "crops") -> onnx.ModelProto:
    """Return softmax(crops @ weights): a linear net over 8x8 crops."""
    weights = np.random.default_rng(1).normal(0, 0.01, (64, outputs)).astype(np.float32)
    nodes = [
        helper.make_node("Cast", [input_name], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("Flatten", ["pixels"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weights"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"]),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info(input_name, input_type, ["faces", 1, 8, 8])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["faces", outputs])],
        [numpy_helper.from_array(weights, "weights")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def write(path: Path, graph: onnx.ModelProto | None = None, card: str | None = CARD.to_json()) -> Path:
    model = tiny_graph() if graph is None else graph
    if card is not None:
        helper.set_model_props(model, {CARD_KEY: card})
    path.write_bytes(model.SerializeToString())
    return path


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    return write(tmp_path / "tiny.onnx")


def expected(
    crops: np.ndarray[tuple[int, ...], np.dtype[np.uint8]],
) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    weights = np.random.default_rng(1).normal(0, 0.01, (64, 7)).astype(np.float32)
    powers = np.exp(crops.reshape(len(crops), 64).astype(np.float64) @ weights)
    table: np.ndarray[tuple[int, ...], np.dtype[np.float64]] = powers / powers.sum(axis=1, keepdims=True)
    return table


# the card

numbers = st.floats(0, 1)
scores = st.builds(Score, numbers, numbers, numbers, st.integers(0, 10**6))


@given(st.text(), st.dictionaries(st.text(), scores), numbers, st.dictionaries(st.text(), st.text()))
def test_card_round_trip(limits: str, scores: dict[str, Score], temperature: float, data: dict[str, str]) -> None:
    card = replace(CARD, limits=limits, scores=scores, temperature=temperature, training_data=data)
    assert ModelCard.from_json(card.to_json()) == card


def test_newer_schema_is_refused() -> None:
    newer = json.dumps(asdict(CARD) | {"schema": CARD_SCHEMA + 1})
    with pytest.raises(ModelError, match=rf"schema {CARD_SCHEMA + 1}, this mien knows {CARD_SCHEMA}: pip install -U"):
        ModelCard.from_json(newer)


def test_what_a_later_mien_adds_to_this_schema_is_left_out() -> None:
    assert ModelCard.from_json(json.dumps(asdict(CARD) | {"added": 1})) == CARD


@pytest.mark.parametrize("text", ["", "no json", "[]", "{}", '{"schema": "first"}', '{"schema": null}', "null"])
def test_what_is_no_card_is_refused(text: str) -> None:
    with pytest.raises(ModelError, match="the card is not readable"):
        ModelCard.from_json(text)


@pytest.mark.parametrize("name", sorted(asdict(CARD).keys() - {"schema", "is_mirrored", "is_quantized"}))
def test_a_card_without_a_field_is_refused(name: str) -> None:
    content = asdict(CARD)
    del content[name]
    with pytest.raises(ModelError, match=f"the card is incomplete .*{name}"):
        ModelCard.from_json(json.dumps(content))


@pytest.mark.parametrize("name", ["is_mirrored", "is_quantized"])
def test_a_card_that_does_not_say_how_its_graph_computes_is_of_a_plain_one(name: str) -> None:
    content = asdict(CARD)
    del content[name]
    assert getattr(ModelCard.from_json(json.dumps(content)), name) is False


@pytest.mark.parametrize("scores", [{"fer2013": 0.7}, {"fer2013": {"value": 0.7}}, [0.7], None])
def test_a_card_with_other_scores_is_refused(scores: object) -> None:
    with pytest.raises(ModelError, match="the card is incomplete"):
        ModelCard.from_json(json.dumps(asdict(CARD) | {"scores": scores}))


# the file


def test_a_model_runs(tiny: Path) -> None:
    model = Model(tiny)
    assert model.card == CARD
    assert model.sha256 == hashlib.sha256(tiny.read_bytes()).hexdigest()
    answers = model.run(CROPS)
    assert answers.dtype == np.float32
    np.testing.assert_allclose(answers, expected(CROPS), rtol=1e-5)


def test_no_crops_give_no_rows(tiny: Path) -> None:
    answers = Model(tiny).run(CROPS[:0])
    assert answers.shape == (0, 7)
    assert answers.dtype == np.float32


def test_threads_give_the_same(tiny: Path) -> None:
    np.testing.assert_allclose(Model(tiny, threads=2).run(CROPS), Model(tiny).run(CROPS), rtol=1e-6)
    for threads in (0, -1):
        with pytest.raises(OptionError, match=f"threads is {threads}: expected at least 1"):
            Model(tiny, threads=threads)


def test_providers(tiny: Path) -> None:
    assert Model(tiny, providers=["CPUExecutionProvider"]).run(CROPS).shape == (5, 7)
    with pytest.raises(ModelError, match=r"provider NoSuchProvider is not in this onnxruntime: it has .*CPU"):
        Model(tiny, providers=["NoSuchProvider"])


def test_the_card_changes_no_answer(tiny: Path, tmp_path: Path) -> None:
    other = write(tmp_path / "other.onnx", card=replace(CARD, name="other", temperature=9.0, scores={}).to_json())
    assert np.array_equal(Model(other).run(CROPS), Model(tiny).run(CROPS))


def test_any_path(tmp_path: Path) -> None:
    folder = tmp_path / "mit Leerzeichen und Ümlaut"
    folder.mkdir()
    assert Model(str(write(folder / "模型.onnx"))).card == CARD


def missing(path: Path) -> None:
    assert not path.exists()


def no_onnx(path: Path) -> None:
    path.write_text("this is no model")


def truncated(path: Path) -> None:
    path.write_bytes(write(path).read_bytes()[:900])


def no_card(path: Path) -> None:
    write(path, card=None)


def wrong_card(path: Path) -> None:
    write(path, card="no json")


def newer_card(path: Path) -> None:
    write(path, card=replace(CARD, schema=CARD_SCHEMA + 1).to_json())


def wrong_outputs(path: Path) -> None:
    write(path, tiny_graph(outputs=8))


def wrong_size(path: Path) -> None:
    write(path, card=replace(CARD, input_size=48).to_json())


def wrong_input(path: Path) -> None:
    write(path, tiny_graph(input_name="pictures"))


def float_input(path: Path) -> None:
    write(path, tiny_graph(input_type=TensorProto.FLOAT))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (missing, "cannot be read"),
        (Path.mkdir, "cannot be read"),
        (Path.touch, "is not a readable ONNX model"),
        (no_onnx, "is not a readable ONNX model"),
        (truncated, "is not a readable ONNX model"),
        (no_card, "is ONNX but has no card: mien export writes model files"),
        (wrong_card, "the card is not readable"),
        (newer_card, "pip install -U mien"),
        (wrong_outputs, r"graph takes .* gives .*\[8\]}, its card says .*probabilities \(N, 7\)"),
        (wrong_size, r"graph takes .* its card says crops uint8 \(N, 1, 48, 48\)"),
        (wrong_input, "graph takes .*pictures"),
        (float_input, r"graph takes .*tensor\(float\)"),
    ],
)
def test_what_is_no_model_is_refused_in_one_line(make: Callable[[Path], None], message: str, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    make(path)
    with pytest.raises(ModelError, match=message) as caught:
        Model(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)
