"""From a checkpoint to a model file that runs alone: graph, card, and the proof that both agree with the net."""

from __future__ import annotations

import tempfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

import mien
from mien.core.errors import DatasetError, OptionError
from mien.core.labels import EXPRESSIONS
from mien.core.model import Model, ModelCard, Score
from mien.core.types import FloatArray, IntArray
from mien.engine.recognizer import Recognizer
from mien.engine.results.writer import whole_file
from mien.lab.checkpoints import Checkpoint
from mien.lab.datasets import OFFICIAL_SPLITS, FaceDataset, ferplus_majority
from mien.lab.evaluation import (
    accuracy_score,
    figures_of_folder,
    figures_of_record,
    fit_temperature,
    uncertain_threshold,
)
from mien.lab.graph import (
    ExportedNet,
    check_numbers,
    golden_crops,
    run_in_batches,
    with_card,
    with_one_head,
    write_model,
)
from mien.lab.models import FaceNet, megaflops, parameter_count
from mien.lab.quantization import quantize
from mien.lab.targets import head_labels

LICENSE = (
    "Weights for research use only: trained on FER2013 (research use) and, where the card names it, the votes of FER+ "
    "(MIT). See mien/weights/LICENSE."
)
LIMITS = (
    "Reads visible expressions, not what someone feels. Trained on 48x48 gray faces from the web; weaker on profiles, "
    "covered or very small faces and on groups rare in FER2013; disgust and fear are the least sure. Not for inferring "
    "emotions at work or in education (EU AI Act, Art. 5(1)(f)), nor for decisions about people."
)


@dataclass(frozen=True)
class Source:
    """What kind of faces a net is made from, and what its card says of them.

    Parameters
    ----------
    splits : tuple of str
        Names of what is learned from, of what the net is calibrated on, and of what its scores are measured on.
    license, limits : str
    """

    splits: tuple[str, str, str]
    license: str
    limits: str


FER2013 = Source(OFFICIAL_SPLITS, LICENSE, LIMITS)


@dataclass(frozen=True)
class Calibration:
    """What is measured on `PublicTest`, or ``validation`` of a folder, before the card is written."""

    temperature: float
    uncertain_below: float
    coverage: float


def export(
    checkpoint: Checkpoint,
    head: str,
    out: str | Path,
    *,
    name: str,
    version: str,
    data: FaceDataset,
    training_data: dict[str, str],
    source: Source = FER2013,
    ck48: FaceDataset | None = None,
    is_mirrored: bool = False,
    is_quantized: bool = False,
) -> ModelCard:
    """Write one head of a trained net as a model file with its card inside.

    Temperature and threshold are fitted on `PublicTest` (``validation`` of a folder); the scores on the card are
    measured through :class:`~mien.engine.recognizer.Recognizer` on the very file, then only metadata is added.

    Parameters
    ----------
    checkpoint : Checkpoint
    head : {"fer2013", "ferplus"}
    out : path_like
        The ``.onnx`` file to write.
    name, version : str
        As they stand on the card.
    data : FaceDataset
        FER2013 joined with FER+, or faces with the splits that `source` names.
    training_data : dict of str to str
        What the net was trained on, with hashes.
    source : Source
        What kind of faces these are.
    ck48 : FaceDataset, optional
        CK+48, whose six shared expressions the card of a net of FER2013 then has a score of.
    is_mirrored : bool
        Average the logits of each face and of its mirror image inside the graph: twice the time.
    is_quantized : bool
        Compute convolutions in integers (:func:`mien.lab.quantization.quantize`): a third of the time. Such a file
        cannot be trained on.

    Returns
    -------
    ModelCard

    Raises
    ------
    OptionError
        If the checkpoint has no such head.
    ModelError
        If the file's numbers differ from the net's, or the file is larger than 10 MB.
    OutputError
        If `out` cannot be written.
    """
    if head not in checkpoint.net.heads:
        raise OptionError(f"no head {head!r} in this checkpoint: it has {', '.join(checkpoint.net.heads)}")
    net = with_one_head(checkpoint.net, head)
    learned, watched, reported = source.splits
    is_record, judge = (True, "ferplus") if source.splits == OFFICIAL_SPLITS else (False, head)
    calibration = calibrate(net, head, data.of_split(watched), judge=judge, is_mirrored=is_mirrored)
    card = replace(
        _unmeasured_card(net, head, checkpoint, calibration, source),
        name=name,
        version=version,
        training_data=training_data,
        mflops=megaflops(net, net.input_size) * (2 if is_mirrored else 1),
        is_mirrored=is_mirrored,
        is_quantized=is_quantized,
    )
    exported = ExportedNet(net, head, calibration.temperature, is_mirrored=is_mirrored).eval()
    with whole_file(Path(out)) as partial, tempfile.TemporaryDirectory() as folder:
        alone = Path(folder) / "model.onnx"
        write_model(exported, card, alone)
        check_numbers(Recognizer(Model(alone)), exported, golden_crops(card.input_size))
        if is_quantized:
            quantize(alone, data.of_split(learned).images)
        recognizer = Recognizer(Model(alone))
        scores = figures_of_record(recognizer, data, ck48=ck48) if is_record else figures_of_folder(recognizer, data)
        if head == "ferplus":
            scores["ferplus_8"] = _score_of_eight(exported, data.of_split(reported))
        card = replace(card, scores=scores)
        partial.write_bytes(with_card(alone.read_bytes(), card))
    return card


def _told_recipe(checkpoint: Checkpoint) -> dict[str, Any]:
    """Return the options of a run as the card tells them; of one that is not finished also how far it came."""
    recipe = {
        key: list(value) if isinstance(value, tuple) else value for key, value in asdict(checkpoint.recipe).items()
    }
    return recipe if checkpoint.finished else recipe | {"steps": checkpoint.steps, "steps_done": checkpoint.step}


def _unmeasured_card(
    net: FaceNet, head: str, checkpoint: Checkpoint, calibration: Calibration, source: Source
) -> ModelCard:
    return ModelCard(
        name="",
        version="",
        labels=EXPRESSIONS,
        input_size=net.input_size,
        architecture=net.architecture,
        head=head,
        parameters=parameter_count(net),
        mflops=0.0,
        training_data={},
        recipe=_told_recipe(checkpoint),
        seed=checkpoint.recipe.seed,
        license=source.license,
        limits=source.limits,
        code_version=mien.__version__,
        **asdict(calibration),
    )


def _score_of_eight(exported: ExportedNet, faces: FaceDataset) -> Score:
    """Measure the net before contempt is left out, as the literature of FER+ does."""
    if faces.votes is None:
        raise DatasetError("no votes for the head 'ferplus': put fer2013new.csv beside fer2013.csv")
    majority = ferplus_majority(faces.votes)
    return accuracy_score(run_in_batches(exported.all_logits, faces.images[majority >= 0]), majority[majority >= 0])


def calibrate(
    net: FaceNet, head: str, watched: FaceDataset, *, judge: str = "ferplus", is_mirrored: bool = False
) -> Calibration:
    """Fit temperature and threshold: temperature by the head's own labels, threshold by those of the head `judge`."""
    exported = ExportedNet(net, head, 1.0, is_mirrored=is_mirrored).eval()
    logits = run_in_batches(exported.logits, watched.images)
    own, judged = head_labels(watched, head), head_labels(watched, judge)
    temperature = fit_temperature(logits[own >= 0], _cautious(own[own >= 0]))
    probabilities = torch.softmax(torch.from_numpy(logits) / temperature, dim=1).numpy()
    known = judged >= 0
    right = probabilities[known].argmax(axis=1) == judged[known]
    threshold, coverage = uncertain_threshold(probabilities[known], right)
    return Calibration(temperature, threshold, coverage)


def _cautious(labels: IntArray) -> FloatArray:
    """Return labels as distributions that leave to chance what one face more would show, as Platt (1999) does.

    Without this, a net that is right on all of ten faces becomes certain of everything.
    """
    table: FloatArray = np.eye(len(EXPRESSIONS), dtype=np.float32)[labels]
    return (len(labels) * table + np.float32(1 / len(EXPRESSIONS))) / np.float32(len(labels) + 1)
