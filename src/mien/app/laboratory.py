"""What ``mien train``, ``evaluate`` and ``export`` do."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from mien.core.errors import MissingExtraError, OptionError
from mien.core.labels import EXPRESSIONS
from mien.core.model import ModelCard
from mien.core.types import FloatArray, IntArray
from mien.engine.recognizer import load, model_path
from mien.engine.results.writer import make_folder, whole_file
from mien.lab.datasets import FaceDataset, ferplus_majority, find_data, fingerprint, load_fer2013, manifest

if TYPE_CHECKING:
    from mien.lab.evaluation import Evaluation
    from mien.lab.training import Checkpoint

TITLES = {"fer2013": "original labels", "ferplus": "FER+ majority"}


def train(config: Path, out: Path, data: Path | None, init: str | None) -> Checkpoint:
    """Train on FER2013 `Training`, watch `PublicTest`, and leave a manifest of the data beside the run."""
    _need_torch()
    from mien.lab import figures
    from mien.lab.export import read_weights
    from mien.lab.recipes import read_recipe
    from mien.lab.training import train as run

    recipe, files = read_recipe(config), _files(data)
    weights = None if init is None else read_weights(model_path(init))
    faces = load_fer2013(data)
    training, validation = faces.of_split("Training"), faces.of_split("PublicTest")
    make_folder(out)
    content = manifest(files, {"training": training, "validation": validation})
    _write_text(out / "manifest.json", json.dumps(content, indent=2))
    checkpoint = run(recipe, training, validation, out, init=weights, progress=True)
    if checkpoint.curves:
        figures.save(figures.training_curves(out / "curves.csv"), out / "curves.png")
    return checkpoint


def evaluate(model: str, data: Path | None, split: str, out: Path | None) -> dict[str, Evaluation]:
    """Measure a net against the original labels and the FER+ majority; write reports and figures into `out`."""
    from mien.lab.evaluation import evaluate as measure

    recognizer = load(model)
    if out is not None:
        make_folder(out)
    faces = load_fer2013(data).of_split(split)
    probabilities = recognizer.probabilities(faces.images)
    evaluations: dict[str, Evaluation] = {}
    for kind, labels in _label_sets(faces).items():
        known = (labels >= 0) & (labels < len(EXPRESSIONS))
        name = f"{recognizer.card.name} on {split}, {TITLES[kind]}"
        evaluations[name] = measure(probabilities[known], labels[known], recognizer.card.labels)
        if out is not None:
            _write_figures(out, kind, evaluations[name], probabilities[known], labels[known])
    if out is not None:
        _write_text(out / "report.json", json.dumps({k: e.to_dict() for k, e in evaluations.items()}, indent=2))
        parts = [f"## {name}\n\n{evaluation.markdown()}" for name, evaluation in evaluations.items()]
        _write_text(out / "report.md", "\n".join(parts))
    return evaluations


def _label_sets(faces: FaceDataset) -> dict[str, IntArray]:
    sets = {"fer2013": faces.labels}
    if faces.votes is not None:
        sets["ferplus"] = ferplus_majority(faces.votes)
    return sets


def _write_figures(out: Path, kind: str, evaluation: Evaluation, probabilities: FloatArray, labels: IntArray) -> None:
    from mien.lab import figures
    from mien.lab.evaluation import calibration_bins

    figures.save(figures.confusion_matrix(evaluation.confusion, evaluation.labels), out / f"confusion_{kind}.png")
    bins = calibration_bins(probabilities, labels)
    figures.save(figures.reliability_diagram(bins), out / f"reliability_{kind}.png")


def export(checkpoint: Path, out: Path, head: str, data: Path | None, name: str | None) -> ModelCard:
    """Write a model file from a checkpoint; `data` holds what it was trained on."""
    _need_torch()
    import mien
    from mien.lab.export import export as write
    from mien.lab.training import load_checkpoint

    run, faces = load_checkpoint(checkpoint), load_fer2013(data)
    if fingerprint(faces.of_split("Training")) != run.data:
        raise OptionError(f"{checkpoint}: was trained on other faces than the data holds: name that with --data")
    found = find_data(data)
    taught = [found.fer2013, found.ferplus if "ferplus" in run.recipe.heads else None]
    sources = manifest([path for path in taught if path is not None], {})["sources"]
    return write(
        run,
        head,
        out,
        name=name or out.stem,
        version=mien.__version__,
        data=faces,
        training_data={"FER2013 Training": run.data} | {file: entry["sha256"] for file, entry in sources.items()},
    )


def _files(data: Path | None) -> list[Path]:
    found = find_data(data)
    return [path for path in (found.fer2013, found.ferplus) if path is not None]


def _need_torch() -> None:
    for package in ("torch", "lightning_fabric", "kornia", "onnx", "onnxscript"):
        if find_spec(package) is None:
            raise MissingExtraError(package, "mien[train]")


def _write_text(path: Path, text: str) -> None:
    with whole_file(path) as partial:
        partial.write_text(text, encoding="utf-8")
