"""The graph of a net: written as ONNX, compared with the net, read back as weights."""

from __future__ import annotations

import hashlib
import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import TypeVar

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from onnxscript import optimizer
from torch import Tensor, nn

from mien.core.errors import ModelError
from mien.core.labels import EXPRESSIONS
from mien.core.model import CARD_KEY, INPUT_NAME, OUTPUT_NAME, ModelCard
from mien.core.types import ByteArray, FloatArray
from mien.engine.recognizer import Recognizer, float_path
from mien.face.landmarks import LandmarkCard
from mien.lab.models import FaceNet

Net = TypeVar("Net", bound=nn.Module)

TOLERANCE = 1e-4
HALF_FROM = 1024  # smaller tensors (norms, biases) stay in single precision: they cost nothing
LARGEST_BYTES = 10_000_000


class ExportedNet(nn.Module):
    """A net as it ships: uint8 crops in, calibrated probabilities of the seven expressions out.

    Parameters
    ----------
    net : FaceNet
    head : str
        The head that answers; contempt's share of a FER+ head is left out.
    temperature : float
    is_mirrored : bool
        Whether a face and its mirror image are both read, and their logits averaged.
    """

    def __init__(self, net: FaceNet, head: str, temperature: float, *, is_mirrored: bool = False) -> None:
        super().__init__()
        self.net = net
        self.head = head
        self.temperature = temperature
        self.is_mirrored = is_mirrored

    def forward(self, crops: Tensor) -> Tensor:
        """Return (N, 7) probabilities of (N, 1, S, S) uint8 crops."""
        return torch.softmax(self.logits(crops) / self.temperature, dim=1)

    def logits(self, crops: Tensor) -> Tensor:
        """Return (N, 7) logits before temperature."""
        return self.all_logits(crops)[:, : len(EXPRESSIONS)]

    def all_logits(self, crops: Tensor) -> Tensor:
        """Return (N, 7) logits before temperature, or (N, 8) with contempt where the head knows it."""
        faces = crops.float()
        if not self.is_mirrored:
            logits: Tensor = self.net(faces)[self.head]
            return logits
        logits = self.net(torch.cat((faces, faces.flip(3))))[self.head]
        return logits.reshape(2, -1, logits.shape[1]).mean(dim=0)


def with_one_head(net: FaceNet, head: str) -> FaceNet:
    """Return a copy of a net as its file stores it: one head, and the large weights rounded to half precision."""
    copy = deepcopy(net).eval()
    copy.heads = nn.ModuleDict({head: copy.heads[head]})
    return rounded(copy)


def rounded(net: Net) -> Net:
    """Round the large weights of a net to half precision, as its file stores them, and return it."""
    for values in net.state_dict().values():
        if values.numel() >= HALF_FROM:
            values.copy_(values.half())
    return net


def write_model(net: ExportedNet, card: ModelCard, path: Path) -> None:
    """Write the graph of a net with its card."""
    path.write_bytes(with_card(graph_of(net).SerializeToString(), card))


def graph_of(net: ExportedNet) -> onnx.ModelProto:
    """Return the graph of a net of expressions."""
    return as_graph(net, net.net.input_size, (OUTPUT_NAME,))


def as_graph(net: nn.Module, input_size: int, outputs: Sequence[str]) -> onnx.ModelProto:
    """Return the graph of a net that takes (N, 1, S, S) uint8 crops; large weights are stored in half precision.

    They are cast when the file is loaded.
    """
    crops = torch.zeros(2, 1, input_size, input_size, dtype=torch.uint8)
    with _quiet_exporter():
        program = torch.onnx.export(
            net,
            (crops,),
            dynamo=True,
            external_data=False,
            verbose=False,
            optimize=False,  # it would melt the norms into the convolutions, and read_weights could not go on from them
            input_names=[INPUT_NAME],
            output_names=list(outputs),
            dynamic_shapes=({0: torch.export.Dim("faces")},),
        )
    assert program is not None  # only the old exporter returns None
    # What is constant is made so: only then does onnxruntime fuse the norms itself, 5.1 ms a face become 3.5.
    optimizer.fold_constants(program.model)
    optimizer.remove_unused_nodes(program.model)
    model = program.model_proto
    _store_half(model.graph)
    _clear_traces(model.graph)
    return model


def with_card(content: bytes, card: ModelCard | LandmarkCard) -> bytes:
    """Return a model file with its card replaced; nothing else changes."""
    model = onnx.load_model_from_string(content)
    set_card(model, card)
    serialized: bytes = model.SerializeToString()
    if len(serialized) > LARGEST_BYTES:
        raise ModelError(f"the model file would have {len(serialized) / 1e6:.1f} MB: expected at most 10 MB")
    return serialized


def set_card(model: onnx.ModelProto, card: ModelCard | LandmarkCard) -> None:
    """Write a card, and who made it a model file, into a model."""
    helper.set_model_props(model, {CARD_KEY: card.to_json()})
    model.producer_name, model.producer_version, model.doc_string = "mien", card.code_version, ""


@contextmanager
def _quiet_exporter() -> Iterator[None]:
    """Silence what the exporter says whatever it is given: it calls what is deprecated, it misses torchvision."""
    registration = logging.getLogger("torch.onnx._internal.exporter._registration")
    before = registration.disabled
    registration.disabled = True
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", r"`isinstance\(treespec, LeafSpec\)` is deprecated", FutureWarning)
            yield
    finally:
        registration.disabled = before


def _clear_traces(graph: onnx.GraphProto) -> None:
    """Remove what the exporter notes of each node: 0.5 MB of stack traces with the paths of this machine."""
    graph.ClearField("value_info")
    for part in (graph, *graph.node, *graph.initializer, *graph.input, *graph.output):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")


def _store_half(graph: onnx.GraphProto) -> None:
    casts = []
    for tensor in graph.initializer:
        values = numpy_helper.to_array(tensor)
        if tensor.data_type != TensorProto.FLOAT or values.size < HALF_FROM:
            continue
        wanted = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{wanted}.half"))
        casts.append(helper.make_node("Cast", [f"{wanted}.half"], [wanted], to=TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)


def read_weights(path: str | Path) -> dict[str, Tensor]:
    """Return the weights in a model file by the names they have in :class:`~mien.lab.models.FaceNet`.

    Raises
    ------
    ModelError
        If the file is no model file of mien, or its weights are integers and no ``float/`` folder beside it holds the
        net that it was made from.
    """
    graph = onnx.load_model(float_path(Path(path))).graph
    arrays = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    return {
        name.removeprefix("net.").removesuffix(".half"): torch.from_numpy(values.astype(np.float32))
        for name, values in arrays.items()
        if name.startswith("net.")
    }


def graph_hash(path: Path) -> str:
    """Return the SHA-256 of the graph in a model file: that of the net, whatever stands on its card."""
    graph: bytes = onnx.load_model(path).graph.SerializeToString(deterministic=True)
    return hashlib.sha256(graph).hexdigest()


def golden_crops(size: int) -> ByteArray:
    """Return (64, 1, size, size) uint8 crops that every export is checked on: noise, gradients, flat, extreme."""
    generator = np.random.default_rng(0)
    noise = generator.integers(0, 256, (32, size, size))
    ramp = np.linspace(0, 255, size)
    slopes = [np.add.outer(a * ramp, (1 - a) * ramp) for a in np.linspace(0, 1, 24)]
    flat = [np.full((size, size), value) for value in (0, 1, 64, 127, 128, 200, 254, 255)]
    return np.concatenate([noise, np.array(slopes), np.array(flat)]).astype(np.uint8)[:, None]


def check_numbers(recognizer: Recognizer, net: ExportedNet, crops: ByteArray) -> None:
    """Compare a model file with the net that it was written from.

    Raises
    ------
    ModelError
        If a probability differs by more than 0.0001.
    """
    difference = float(np.abs(recognizer.model.run(crops) - run_in_batches(net, crops[:, 0])).max())
    if not difference <= TOLERANCE:
        raise ModelError(
            f"the exported graph differs from the net by {difference:.2g}: expected at most {TOLERANCE}; "
            "nothing was written"
        )


def run_in_batches(run: Callable[[Tensor], Tensor], images: ByteArray) -> FloatArray:
    """Return the answers of a net to any number of faces, (N, S, S) uint8, 256 at a time."""
    faces = torch.from_numpy(images).unsqueeze(1)
    with torch.inference_mode():
        return torch.cat([run(faces[start : start + 256]) for start in range(0, len(faces), 256)]).numpy()
