"""One ``.onnx`` file with its card inside: what a net is, what it was trained on, how well it does, how to run it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from mien.core.errors import ModelError, OptionError
from mien.core.types import ByteArray, FloatArray

CARD_SCHEMA = 1
CARD_KEY = "mien.card"
INPUT_NAME = "crops"
OUTPUT_NAME = "probabilities"


@dataclass(frozen=True)
class Score:
    """One measured figure with its confidence interval.

    Parameters
    ----------
    value, low, high : float
        The figure and the ends of its 95 % bootstrap interval.
    count : int
        Number of images it was measured on.
    """

    value: float
    low: float
    high: float
    count: int


@dataclass(frozen=True)
class ModelCard:
    """What travels inside a model file.

    Parameters
    ----------
    name, version : str
        Name of the net and version of its weights.
    labels : tuple of str
        Columns of the probabilities, in order.
    input_size : int
        Side of the square gray crop in pixels.
    temperature : float
        Logits are divided by it inside the graph.
    uncertain_below : float
        Threshold of the top probability under which the answer is ``"uncertain"``.
    coverage : float
        Share that is answered at this threshold, of the faces that it was fitted on: of `PublicTest` those on which
        FER+ has a majority for one of the labels.
    architecture : str
        Name in the registry of ``mien.lab.models``.
    head : str
        What was taught: ``fer2013`` (original labels) or ``ferplus`` (votes of FER+); ``""`` where it is not known.
    parameters : int
        Number of weights.
    mflops : float
        Millions of floating-point operations for one face; a multiply-add counts as two. 0 where it is not known.
    training_data : dict of str to str
        Data set and split, with the SHA-256 of what was used.
    recipe : dict
        The options of the training run.
    seed : int
        Seed of the training run.
    scores : dict of str to Score
        Figures of record, measured on the very file that holds this card; but ``ferplus_8`` on the net before, in
        floating point and with contempt, and ``paper_protocol_...`` and ``ck48_7_folds`` on nets that were trained on
        from its trunk (benchmarks/cards.py).
    license, limits : str
        Terms of the weights; what the net must not be used for and where it fails.
    code_version : str
        Version of mien that trained and exported it.
    is_mirrored : bool
        Whether the graph averages over a face and its mirror image.
    is_quantized : bool
        Whether the graph computes convolutions in 8-bit integers.
    schema : int
        Version of this list of fields.
    """

    name: str
    version: str
    labels: tuple[str, ...]
    input_size: int
    temperature: float
    uncertain_below: float
    coverage: float
    architecture: str
    head: str
    parameters: int
    mflops: float
    training_data: dict[str, str]
    recipe: dict[str, Any]
    seed: int
    license: str
    limits: str
    code_version: str
    scores: dict[str, Score] = field(default_factory=dict)
    is_mirrored: bool = False
    is_quantized: bool = False
    schema: int = CARD_SCHEMA

    def to_json(self) -> str:
        """Return the card as JSON text, as it stands in the file."""
        return json.dumps(asdict(self), ensure_ascii=False, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> ModelCard:
        """Read a card.

        Raises
        ------
        ModelError
            If the text is no card, or its schema is newer than this version of mien knows.
        """
        try:
            content = json.loads(text)
            schema = int(content["schema"])
        except (ValueError, KeyError, TypeError) as error:
            raise ModelError(f"the card is not readable ({error}): export the model again with mien export") from error
        if schema > CARD_SCHEMA:
            raise ModelError(f"the card has schema {schema}, this mien knows {CARD_SCHEMA}: pip install -U mien")
        known = {f.name for f in fields(cls)}
        try:
            content["labels"] = tuple(content["labels"])
            content["scores"] = {name: Score(**score) for name, score in content["scores"].items()}
            return cls(**{name: value for name, value in content.items() if name in known})
        except (TypeError, KeyError, AttributeError) as error:
            raise ModelError(f"the card is incomplete ({error}): export the model again with mien export") from error


class Model:
    """A model file, opened: its card, its hash, and a session that runs it.

    Parameters
    ----------
    path : path_like
        An ``.onnx`` file written by ``mien export``.
    threads : int, optional
        Threads of one run; by default one, which is fastest for the few faces of a frame.
    providers : sequence of str, optional
        Execution providers of onnxruntime, in order of preference; by default the CPU.

    Attributes
    ----------
    path : Path
    card : ModelCard
    sha256 : str
        Hash of the file.

    Raises
    ------
    ModelError
        If the file is missing, is no ONNX, has no card, or its graph and card do not fit.
    OptionError
        If `threads` is below 1.
    """

    def __init__(self, path: str | Path, *, threads: int | None = None, providers: Sequence[str] | None = None) -> None:
        if threads is not None and threads < 1:
            raise OptionError(f"threads is {threads}: expected at least 1")
        self.path = Path(path)
        self._session, metadata, self.sha256 = open_graph(self.path, threads=threads, providers=providers)
        if CARD_KEY not in metadata:
            raise ModelError(
                f"{path}: is ONNX but has no card: mien export writes model files, mien import takes others"
            )
        try:
            self.card = ModelCard.from_json(metadata[CARD_KEY])
        except ModelError as error:
            raise ModelError(f"{path}: {error}") from error
        self._check_graph()

    def _check_graph(self) -> None:
        size, count = self.card.input_size, len(self.card.labels)
        inputs = [(i.name, i.type, i.shape[1:]) for i in self._session.get_inputs()]
        outputs = {o.name: o.shape[1:] for o in self._session.get_outputs()}
        if inputs != [(INPUT_NAME, "tensor(uint8)", [1, size, size])] or outputs.get(OUTPUT_NAME) != [count]:
            raise ModelError(
                f"{self.path}: graph takes {inputs} and gives {outputs}, its card says "
                f"{INPUT_NAME} uint8 (N, 1, {size}, {size}) and {OUTPUT_NAME} (N, {count})"
            )

    def run(self, crops: ByteArray) -> FloatArray:
        """Return calibrated probabilities.

        Parameters
        ----------
        crops : (N, 1, S, S) ndarray of uint8
            Gray face crops of the card's input size. May be called from several threads at once.

        Returns
        -------
        (N, K) ndarray of float32
            Rows sum to 1.
        """
        if len(crops) == 0:
            return np.empty((0, len(self.card.labels)), np.float32)
        (probabilities,) = self._session.run([OUTPUT_NAME], {INPUT_NAME: crops})
        return np.asarray(probabilities, np.float32)


def open_graph(
    path: Path, *, threads: int | None = None, providers: Sequence[str] | None = None
) -> tuple[onnxruntime.InferenceSession, Mapping[str, str], str]:
    """Open an ``.onnx`` file: the session that runs it on one thread by default, its metadata, its SHA-256.

    Raises
    ------
    ModelError
        If the file is missing or no ONNX, or an execution provider is not there.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror}): expected a model file (.onnx)") from error
    session = _session(content, path, threads or 1, providers or ("CPUExecutionProvider",))
    return session, session.get_modelmeta().custom_metadata_map, hashlib.sha256(content).hexdigest()


def _session(content: bytes, path: Path, threads: int, providers: Sequence[str]) -> onnxruntime.InferenceSession:
    available = onnxruntime.get_available_providers()
    missing = [provider for provider in providers if provider not in available]
    if missing:
        raise ModelError(f"execution provider {missing[0]} is not in this onnxruntime: it has {', '.join(available)}")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(content, options, providers=list(providers))
    except Exception as error:  # onnxruntime raises its own classes for each kind of broken file
        raise ModelError(f"{path}: is not a readable ONNX model: expected an .onnx file") from error
