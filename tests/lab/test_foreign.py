"""Nets of others as model files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from mien.app import laboratory
from mien.core.errors import MienError, ModelError, OptionError
from mien.core.types import ByteArray, FloatArray
from mien.engine.recognizer import load
from mien.lab.foreign import Preparation, import_net

LABELS = ("neutral", "happiness", "anger")
SIDE = 16
WEIGHTS = np.array([[0.5, -1.0, 2.0]], np.float32)


def write_net(
    path: Path,
    *,
    channels: int = 1,
    is_first: bool = True,
    faces: int | str = "N",
    side: int | str = SIDE,
    has_softmax: bool = False,
    opset: int = 17,
) -> Path:
    """Write a net whose logits are the mean of what it is given, times weights."""
    shape = [faces, channels, side, side] if is_first else [faces, side, side, channels]
    count = faces if isinstance(faces, int) else -1
    nodes = [
        helper.make_node("ReduceMean", ["x"], ["mean"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Reshape", ["mean", "one"], ["column"]),
        helper.make_node("MatMul", ["column", "w"], ["logits"]),
    ]
    if has_softmax:
        nodes.append(helper.make_node("Softmax", ["logits"], ["y"], axis=1))
    last = "y" if has_softmax else "logits"
    constants = [numpy_helper.from_array(np.array([count, 1]), "one"), numpy_helper.from_array(WEIGHTS, "w")]
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(last, TensorProto.FLOAT, [faces, 3])],
        constants,
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8), path)
    return path


def crops(count: int = 5) -> ByteArray:
    return np.random.default_rng(0).integers(0, 256, (count, SIDE, SIDE)).astype(np.uint8)


def softmax(values: FloatArray) -> FloatArray:
    powers = np.exp(values - values.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True), np.float32)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("is_first", [True, False])
@pytest.mark.parametrize("faces", ["N", 1])
@pytest.mark.parametrize("has_softmax", [True, False])
def test_a_net_answers_as_it_did(
    tmp_path: Path, channels: int, is_first: bool, faces: int | str, has_softmax: bool
) -> None:
    net = write_net(tmp_path / "net.onnx", channels=channels, is_first=is_first, faces=faces, has_softmax=has_softmax)
    mean, std = ((0.4, 0.5, 0.6), (0.1, 0.2, 0.3)) if channels == 3 else ((0.4,), (0.2,))
    card = import_net(net, LABELS, tmp_path / "own.onnx", preparation=Preparation(1.0, mean, std))
    assert (card.labels, card.input_size, card.name) == (("neutral", "happy", "angry"), SIDE, "net")
    given = (crops()[:, None] / 255 - np.reshape(mean, (1, -1, 1, 1))) / np.reshape(std, (1, -1, 1, 1))
    expected = softmax(given.mean(axis=(1, 2, 3))[:, None] @ WEIGHTS)
    recognizer = load(tmp_path / "own.onnx")
    np.testing.assert_allclose(recognizer.probabilities(list(crops())), expected, atol=1e-5)
    assert recognizer.probabilities([]).shape == (0, 3)


def test_old_operators_and_an_open_side(tmp_path: Path) -> None:
    net = write_net(tmp_path / "net.onnx", side="S", opset=8)
    with pytest.raises(OptionError, match="side is None: expected a square"):
        import_net(net, LABELS, tmp_path / "own.onnx")
    import_net(net, LABELS, tmp_path / "own.onnx", side=SIDE, preparation=Preparation(255.0), name="old")
    recognizer = load(tmp_path / "own.onnx")
    expected = softmax(crops().mean(axis=(1, 2), dtype=np.float32)[:, None] @ WEIGHTS)
    np.testing.assert_allclose(recognizer.probabilities(list(crops())), expected, atol=1e-4)
    assert recognizer.card.name == "old"
    assert recognizer.card.parameters >= WEIGHTS.size


@pytest.mark.parametrize(
    ("changed", "labels", "error", "message"),
    [
        ({}, ("happy", "happiness"), OptionError, "each expression once"),
        ({}, ("happy", "bored"), OptionError, "unknown expression 'bored'"),
        ({}, ("happy", "sad"), OptionError, r"gives logits \(1, 3\) for a face: expected 2 figures"),
        ({"channels": 2}, LABELS, ModelError, "expected one input of float32 faces"),
        ({"faces": 8}, LABELS, ModelError, "expected one input of float32 faces"),
    ],
)
def test_what_does_not_fit_is_refused(
    tmp_path: Path, changed: dict[str, int], labels: tuple[str, ...], error: type[MienError], message: str
) -> None:
    net = write_net(tmp_path / "net.onnx", **changed)  # type: ignore[arg-type]
    with pytest.raises(error, match=message):
        import_net(net, labels, tmp_path / "own.onnx")
    assert not (tmp_path / "own.onnx").exists()


def test_preparations_that_do_not_fit(tmp_path: Path) -> None:
    net = write_net(tmp_path / "net.onnx")
    with pytest.raises(OptionError, match="has 3 values for 1 channels"):
        import_net(net, LABELS, tmp_path / "own.onnx", preparation=Preparation(1.0, (0.1, 0.2, 0.3)))
    with pytest.raises(OptionError, match="expected no 0"):
        import_net(net, LABELS, tmp_path / "own.onnx", preparation=Preparation(1.0, std=(0.0,)))
    with pytest.raises(OptionError, match="expected a square"):
        import_net(net, LABELS, tmp_path / "own.onnx", side=48)
    (tmp_path / "text.onnx").write_text("no net", "utf-8")
    with pytest.raises(ModelError, match="is not a readable ONNX model"):
        import_net(tmp_path / "text.onnx", LABELS, tmp_path / "own.onnx")


def test_the_command_reads_numbers(tmp_path: Path) -> None:
    net, out = write_net(tmp_path / "net.onnx", channels=3), tmp_path / "own.onnx"
    told = {"scale": 1.0, "mean": "0.4,0.5,0.6", "std": "0.2", "side": None, "name": None}
    card = laboratory.import_net(net, ",".join(LABELS), out, **told)  # type: ignore[arg-type]
    assert (card.name, out.exists()) == ("net", True)
    with pytest.raises(OptionError, match=r"--std 0\.2;0\.3: expected a number, or one for each channel"):
        laboratory.import_net(net, "happy,sad,angry", out, **told | {"std": "0.2;0.3"})  # type: ignore[arg-type]
