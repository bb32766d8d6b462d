"""Somebody else's net as a model file of mien: gray crops in, probabilities out, a card that says what is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, compose, helper, numpy_helper, version_converter

import mien
from mien.core.errors import ModelError, OptionError
from mien.core.labels import canonical
from mien.core.model import INPUT_NAME, OUTPUT_NAME, Model, ModelCard, open_graph
from mien.engine.results.writer import whole_file
from mien.lab.graph import golden_crops, set_card

OPSET = 17
PREFIX = "net/"
LICENSE = "Not stated in the file: the terms of whoever trained it hold."
LIMITS = (
    "Reads visible expressions, not what someone feels. What it was trained on is not known to mien; faces reach it "
    "gray and framed as FER2013 frames them. Not for inferring emotions at work or in education (EU AI Act, Art. "
    "5(1)(f)), nor for decisions about people."
)


@dataclass(frozen=True)
class Preparation:
    """What a net wants done to the gray levels, 0 to 255, of a face.

    Parameters
    ----------
    scale : float
        What 255 becomes, before mean and deviation.
    mean, std : tuple of float
        One for all channels, or one for each: subtracted, and divided by.
    """

    scale: float = 1.0
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)


@dataclass(frozen=True)
class Input:
    """What a net takes: its name, the side and channels of a face, whether channels come first, faces at a time."""

    name: str
    side: int
    channels: int
    is_channels_first: bool
    is_single: bool


def import_net(
    path: Path,
    labels: Sequence[str],
    out: Path,
    *,
    preparation: Preparation | None = None,
    side: int | None = None,
    name: str = "",
) -> ModelCard:
    """Write a net that somebody else trained as a model file, so that mien can run and evaluate it.

    Softmax is added where the rows do not sum to 1 yet. There is no threshold and no temperature: whoever has labeled
    faces sees in ``mien evaluate`` whether its confidences hold.

    Parameters
    ----------
    path : Path
        An ``.onnx`` file: float32 faces in, (N, 1 or 3, S, S) or (N, S, S, 1 or 3), a figure for each label out.
    labels : sequence of str
        Of the outputs, in their order, under any name that :func:`mien.core.labels.canonical` knows.
    out : Path
        The ``.onnx`` file to write.
    preparation : Preparation, optional
        By default gray levels become 0 to 1.
    side : int, optional
        Of the face in pixels, where the file leaves it open.
    name : str
        On the card; by default that of the file.

    Raises
    ------
    ModelError
        If the file is no ONNX, or takes or gives something else.
    OptionError
        If a label is unknown or named twice, or side or preparation do not fit.
    OutputError
        If it cannot be written.
    """
    names = tuple(canonical(label) for label in labels)
    if len(set(names)) < len(names) or len(names) < 2:
        raise OptionError(f"labels {', '.join(labels)}: expected at least two, each expression once")
    session, _, _ = open_graph(path)
    taken = _input(session, path, side)
    given = _output(session, path, taken, len(names))
    net = _modern(onnx.load_model(path), path)
    prepared = preparation or Preparation()
    model = _assembled(net, taken, given, prepared, len(names), has_softmax=False)
    answers = _run(model, taken.side, path)
    if not (answers.min() >= 0 and np.allclose(answers.sum(axis=1), 1, atol=1e-3)):
        model = _assembled(net, taken, given, prepared, len(names), has_softmax=True)
    card = _card(name or path.stem, names, taken.side, net)
    set_card(model, card)
    with whole_file(out) as partial:
        partial.write_bytes(model.SerializeToString())
        Model(partial)
    return card


def _input(session: onnxruntime.InferenceSession, path: Path, side: int | None) -> Input:
    inputs = session.get_inputs()
    expected = "expected one input of float32 faces, (N, 1 or 3, S, S) or (N, S, S, 1 or 3)"
    shape = inputs[0].shape if inputs else []
    if len(inputs) != 1 or inputs[0].type != "tensor(float)" or len(shape) != 4:
        told = "; ".join(f"{one.name} {one.type} {one.shape}" for one in inputs)
        raise ModelError(f"{path}: takes {told or 'nothing'}: {expected}")
    is_first = shape[1] in (1, 3)
    channels, sides = (shape[1], shape[2:]) if is_first else (shape[3], shape[1:3])
    if channels not in (1, 3) or (isinstance(shape[0], int) and shape[0] != 1):
        raise ModelError(f"{path}: takes faces {shape}: {expected}")
    known = {one for one in sides if isinstance(one, int)}
    if len(known | ({side} if side else set())) != 1:
        raise OptionError(
            f"{path}: takes faces {shape}, side is {side}: expected a square, its side in the file or given"
        )
    return Input(inputs[0].name, known.pop() if known else int(side or 0), channels, is_first, shape[0] == 1)


def _output(session: onnxruntime.InferenceSession, path: Path, taken: Input, count: int) -> str:
    """Return the name of the output that has a figure for each label."""
    shape = (1, taken.channels, taken.side, taken.side)
    face = np.zeros(shape if taken.is_channels_first else (1, *shape[2:], taken.channels), np.float32)
    try:
        outputs = session.run(None, {taken.name: face})
    except Exception as error:  # onnxruntime raises its own classes
        raise ModelError(f"{path}: fails on a face of {taken.side} px: expected a net that runs on it") from error
    for one, values in zip(session.get_outputs(), outputs, strict=True):
        if isinstance(values, np.ndarray) and values.dtype == np.float32 and values.size == count:
            return str(one.name)
    sizes = ", ".join(
        f"{one.name} {np.shape(values)}" for one, values in zip(session.get_outputs(), outputs, strict=True)
    )
    raise OptionError(f"{path}: gives {sizes} for a face: expected {count} figures, one for each label")


def _modern(net: onnx.ModelProto, path: Path) -> onnx.ModelProto:
    """Return a net in operators that those around it can be of too, its names apart from theirs."""
    version = next((one.version for one in net.opset_import if one.domain in ("", "ai.onnx")), OPSET)
    if version < OPSET:
        try:
            net = version_converter.convert_version(net, OPSET)
        except Exception as error:  # of many kinds, from C++
            raise ModelError(f"{path}: has operators of set {version}: export it with set {OPSET}") from error
    weights = {tensor.name for tensor in net.graph.initializer}
    inputs = [one for one in net.graph.input if one.name not in weights]  # old files list weights as inputs too
    del net.graph.input[:]
    net.graph.input.extend(inputs)
    return compose.add_prefix(net, PREFIX)


def _assembled(
    net: onnx.ModelProto, taken: Input, given: str, prepared: Preparation, count: int, *, has_softmax: bool
) -> onnx.ModelProto:
    first, last = ("one face", "one answer") if taken.is_single else (INPUT_NAME, OUTPUT_NAME)
    nodes, constants = _prepare(first, taken, prepared)
    nodes += net.graph.node
    constants += [*net.graph.initializer, numpy_helper.from_array(np.array([-1, count]), "rows")]
    figures = "figures" if has_softmax else last
    nodes.append(helper.make_node("Reshape", [PREFIX + given, "rows"], [figures]))
    if has_softmax:
        nodes.append(helper.make_node("Softmax", [figures], [last], axis=1))
    faces = helper.make_tensor_value_info(INPUT_NAME, TensorProto.UINT8, ["faces", 1, taken.side, taken.side])
    answers = helper.make_tensor_value_info(OUTPUT_NAME, TensorProto.FLOAT, ["faces", count])
    if taken.is_single:
        nodes, constants = [_face_by_face(nodes, constants, first, last)], []
    graph = helper.make_graph(nodes, "expressions", [faces], [answers], constants)
    model = helper.make_model(graph, opset_imports=net.opset_import, functions=net.functions)
    model.ir_version = max(net.ir_version, 8)
    return model


def _prepare(first: str, taken: Input, prepared: Preparation) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto]]:
    """Return what turns gray levels into what a net takes."""
    for values in (prepared.mean, prepared.std):
        if len(values) not in (1, taken.channels):
            raise OptionError(
                f"{values}: has {len(values)} values for {taken.channels} channels: expected one for each"
            )
    if 0 in prepared.std:
        raise OptionError(f"std {prepared.std}: expected no 0")
    mean, std = (np.array(values, np.float32).reshape(1, -1, 1, 1) for values in (prepared.mean, prepared.std))
    one = np.ones((1, taken.channels, 1, 1), np.float32)
    constants = {"factor": one * np.float32(prepared.scale / 255) / std, "offset": -one * mean / std}
    nodes = [
        helper.make_node("Cast", [first], ["gray"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["gray", "factor"], ["scaled"]),
        helper.make_node("Add", ["scaled", "offset"], ["channels"]),
        helper.make_node(
            *("Transpose", ["channels"], [PREFIX + taken.name]),
            perm=(0, 1, 2, 3) if taken.is_channels_first else (0, 2, 3, 1),
        ),
    ]
    return nodes, [numpy_helper.from_array(values, name) for name, values in constants.items()]


def _face_by_face(
    nodes: Sequence[onnx.NodeProto], constants: Sequence[onnx.TensorProto], first: str, last: str
) -> onnx.NodeProto:
    """Return what runs a net that takes a single face on any number of them."""
    axis = numpy_helper.from_array(np.array([0]), "axis")
    body = helper.make_graph(
        [
            helper.make_node("Unsqueeze", ["face", "axis"], [first]),
            *nodes,
            helper.make_node("Squeeze", [last, "axis"], ["answer"]),
        ],
        "face by face",
        [helper.make_tensor_value_info("face", TensorProto.UINT8, None)],
        [helper.make_tensor_value_info("answer", TensorProto.FLOAT, None)],
        [axis, *constants],
    )
    return helper.make_node("Scan", [INPUT_NAME], [OUTPUT_NAME], body=body, num_scan_inputs=1)


def _run(model: onnx.ModelProto, side: int, path: Path) -> np.ndarray:
    """Return the answers to the crops that every export is checked on."""
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    crops = golden_crops(side)
    (answers,) = session.run([OUTPUT_NAME], {INPUT_NAME: crops})
    if len(answers) != len(crops) or not np.isfinite(answers).all():
        raise ModelError(f"{path}: gives figures that are none on noise, or mixes faces: check scale, mean and std")
    return np.asarray(answers)


def _card(name: str, labels: tuple[str, ...], side: int, net: onnx.ModelProto) -> ModelCard:
    parameters = sum(int(np.prod(tensor.dims)) for tensor in net.graph.initializer)
    return ModelCard(
        name=name,
        version="1",
        labels=labels,
        input_size=side,
        temperature=1.0,
        uncertain_below=0.0,
        coverage=1.0,
        architecture="imported",
        head="",
        parameters=parameters,
        mflops=0.0,
        training_data={},
        recipe={},
        seed=0,
        license=LICENSE,
        limits=LIMITS,
        code_version=mien.__version__,
    )
