"""What ``mien train`` and ``export`` do."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from mien.core.errors import MissingExtraError, OptionError
from mien.core.model import ModelCard
from mien.engine.recognizer import model_path
from mien.engine.results.writer import make_folder, whole_file
from mien.lab.datasets import find_data, fingerprint, load_ck48, load_fer2013, manifest

if TYPE_CHECKING:
    from mien.lab.training import Checkpoint


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


def export(
    checkpoint: Path,
    out: Path,
    head: str,
    data: Path | None,
    name: str | None,
    *,
    is_mirrored: bool = False,
    is_quantized: bool = False,
) -> ModelCard:
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
        ck48=None if found.ck48 is None else load_ck48(found.ck48),
        is_mirrored=is_mirrored,
        is_quantized=is_quantized,
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
