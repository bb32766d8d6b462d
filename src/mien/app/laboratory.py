"""What ``mien train`` and ``export`` do, on FER2013 or on a folder of a user's own labeled faces."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mien.core.errors import DatasetError, MissingExtraError, OptionError
from mien.core.labels import EXPRESSIONS
from mien.core.model import Model, ModelCard
from mien.engine.recognizer import model_path
from mien.engine.results.writer import make_folder, write_whole
from mien.lab.datasets import (
    OFFICIAL_SPLITS,
    DataFiles,
    FaceDataset,
    copied_elsewhere,
    find_data,
    fingerprint,
    load_ck48,
    load_fer2013,
    load_folders,
    manifest,
    with_splits,
)
from mien.lab.datasets.files import CK48_NAMES
from mien.lab.datasets.folders import FOLDER_SPLITS

if TYPE_CHECKING:
    from mien.lab.recipes import Recipe
    from mien.lab.training import Checkpoint

SHARES = {"train": 0.7, "validation": 0.15, "test": 0.15}
"""Splits of a folder, and the shares of those that are drawn."""

FOLDER_HEAD = "fer2013"
FOLDER_LICENSE = "Trained on labeled faces that do not come with mien: the terms of those faces hold."
FOLDER_LIMITS = (
    "Reads visible expressions, not what someone feels. Trained on a folder of labeled faces, 48x48 and gray; weaker "
    "on faces unlike those. Not for inferring emotions at work or in education (EU AI Act, Art. 5(1)(f)), nor for "
    "decisions about people."
)
MANIFEST_NAME = "manifest.json"
ORIGINS = {"start": "started from", "teacher": "was taught by"}
"""Nets that another owes something to, as the manifest names them, and what its card says of each."""

ROUGH_BELOW = 200  # at 70 % right, the 95 % interval of an accuracy on 200 faces is 13 points wide

log = logging.getLogger("mien")


def train(config: Path, out: Path, data: Path | None, init: str | None) -> Checkpoint:
    """Train on `Training` of FER2013 or ``train`` of a folder, and leave a manifest of the data beside the run.

    From a folder only the head ``fer2013`` is taught; what it has no folder for is drawn from ``train``.
    """
    need_torch()
    from mien.lab import figures
    from mien.lab.checkpoints import CHECKPOINT_NAME
    from mien.lab.graph import read_weights
    from mien.lab.recipes import read_recipe
    from mien.lab.training import train as run

    recipe, found = read_recipe(config), find_data(data)
    weights: Mapping[str, Any] | None = None if init is None else read_weights(model_path(init))
    origins = {"start": _origin(init), "teacher": _origin(recipe.teacher)}
    faces, splits = _faces(found), list(OFFICIAL_SPLITS[:2])
    if _is_folder(found):
        splits = list(SHARES)
        recipe = _recipe_of_folder(recipe, config, len(faces.of_split("train")))
        weights = None if weights is None else _with_folder_head(weights)
    selections = dict(zip(("training", "validation", "test"), map(faces.of_split, splits), strict=False))
    make_folder(out)
    if (out / CHECKPOINT_NAME).exists():
        _refuse_other_origins(_origins_of(out / CHECKPOINT_NAME, found), origins)
    else:
        content = manifest(_files(found), selections) | origins
        write_whole(out / MANIFEST_NAME, json.dumps(content, indent=2))
    checkpoint = run(recipe, selections["training"], selections["validation"], out, init=weights, progress=True)
    if checkpoint.curves:
        figures.save(figures.training_curves(out / "curves.csv"), out / "curves.png")
    return checkpoint


def export(
    checkpoint: Path,
    out: Path,
    head: str | None,
    data: Path | None,
    name: str | None,
    *,
    is_mirrored: bool = False,
    is_quantized: bool = False,
) -> ModelCard:
    """Write a model file from a checkpoint; `data` holds what it was trained on.

    Without `head` it is ``ferplus`` where that was taught, else what was.
    """
    need_torch()
    import mien
    from mien.lab.export import FER2013, Source
    from mien.lab.export import export as write
    from mien.lab.training import load_checkpoint

    run, found = load_checkpoint(checkpoint), find_data(data)
    if not run.finished:
        log.warning("%s: is of a run stopped at step %d of %d: the card says so", checkpoint, run.step, run.steps)
    faces, source, origins = _faces(found), FER2013, _origins_of(checkpoint, found)
    if _is_folder(found):
        source = Source(("train", "validation", "test"), FOLDER_LICENSE, FOLDER_LIMITS)
    learned, *measured = source.splits
    if fingerprint(faces.of_split(learned)) != run.data:
        raise OptionError(f"{checkpoint}: was trained on other faces than the data holds: name that with --data")
    fewest = min(len(faces.of_split(split)) for split in measured)
    if _is_folder(found) and fewest < ROUGH_BELOW:
        log.warning("%s: holds %d faces to calibrate or to measure on: the card is rough", found.directory, fewest)
    card = write(
        run,
        head or ("ferplus" if "ferplus" in run.recipe.heads else run.recipe.heads[0]),
        out,
        name=name or out.stem,
        version=mien.__version__,
        data=faces,
        training_data=_training_data(run, found, origins),
        source=replace(source, license=_license(source.license, origins)),
        ck48=None if found.ck48 is None else load_ck48(found.ck48),
        is_mirrored=is_mirrored,
        is_quantized=is_quantized,
    )
    if card.coverage == 0:
        log.warning("%s: is never sure enough: every answer will be 'uncertain'; give it more faces", out)
    return card


def _is_folder(found: DataFiles) -> bool:
    return found.fer2013 is None and found.ferplus is None and found.ck48 is None


def _faces(found: DataFiles) -> FaceDataset:
    """Return FER2013, or the faces of a folder whose expressions a net can have, with their splits."""
    if not _is_folder(found):
        return load_fer2013(found.directory)
    folder = found.directory
    loaded = load_ck48(folder) if folder.resolve().name in CK48_NAMES else load_folders(folder)
    known = loaded.of_labels(EXPRESSIONS)
    if not len(known):
        raise DatasetError(f"{folder}: has no faces but of contempt: expected {', '.join(EXPRESSIONS)}")
    try:
        faces = with_splits(known, SHARES)
    except DatasetError as error:
        raise DatasetError(f"{folder}: {error}") from error
    for notice in _notices(loaded, known, faces):
        log.warning("%s: %s", folder, notice)
    return faces


def _notices(loaded: FaceDataset, known: FaceDataset, faces: FaceDataset) -> Iterator[str]:
    """Say what may surprise: of the faces as they lie there, of those that are known, of these with their splits."""
    if len(known) < len(loaded):
        yield f"{len(loaded) - len(known)} faces of contempt are left out: nets answer with seven expressions"
    missing = [name for name, count in faces.of_split("train").class_counts().items() if count == 0]
    if missing:
        yield f"no face of {', '.join(missing)} to train on: the net will hardly answer so"
    drawn = [name for name in SHARES if name not in known.split]
    if drawn:
        counts = ", ".join(f"{name} {len(faces.of_split(name))}" for name in SHARES)
        ending = "" if known.subjects is not None else "; a person may be in several"
        yield f"no folder {', '.join(drawn)}: drawn at random, {counts}{ending}"
    copies = int(copied_elsewhere(faces, "test").sum())
    if copies:
        yield f"{copies} faces of test have exact copies in other splits: the card says what is right without them"


def _recipe_of_folder(recipe: Recipe, config: Path, count: int) -> Recipe:
    """Return the recipe as a folder can teach it: labels are hard, there are no votes."""
    if FOLDER_HEAD not in recipe.heads:
        raise OptionError(
            f"{config}: heads are {', '.join(recipe.heads)}: a folder teaches only {FOLDER_HEAD}: name that in heads"
        )
    if count < recipe.batch_size:
        raise DatasetError(
            f"{count} faces to train on: expected at least one batch of {recipe.batch_size}: "
            f"lower batch_size in {config} or add faces"
        )
    if len(recipe.heads) > 1:
        log.warning("%s: only the head %s is taught: a folder has no votes of FER+", config, FOLDER_HEAD)
    return replace(recipe, heads=(FOLDER_HEAD,))


def _origin(net: str | None) -> dict[str, str] | None:
    """Return what the card of a net that owes something to this one has to say of it."""
    if not net:
        return None
    model = Model(model_path(net))
    return {"name": model.card.name, "sha256": model.sha256, "license": model.card.license}


def _with_folder_head(weights: Mapping[str, Any]) -> Mapping[str, Any]:
    """Let the head of the folder start from that of FER+, without contempt, where a net has no other."""
    if any(name.startswith(f"heads.{FOLDER_HEAD}.") for name in weights):
        return weights
    return {
        name.replace("heads.ferplus.", f"heads.{FOLDER_HEAD}."): value[: len(EXPRESSIONS)]
        if "ferplus" in name
        else value
        for name, value in weights.items()
    }


def _origins_of(checkpoint: Path, found: DataFiles) -> dict[str, dict[str, str]]:
    """Return what the manifest beside a checkpoint says of the nets that the run began with and was taught by."""
    path = checkpoint.with_name(MANIFEST_NAME)
    try:
        content = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        if not _is_folder(found):
            return {}
        raise OptionError(
            f"{path}: cannot be read: expected the folder of a run, which says what it is from"
        ) from error
    return {role: content[role] for role in ORIGINS if content.get(role)}


def _refuse_other_origins(before: dict[str, dict[str, str]], now: dict[str, dict[str, str] | None]) -> None:
    """Refuse to go on with another net to start from, if one is given, or another teacher than a run has had."""
    for role, had in before.items():
        net = now[role]
        if net and net["sha256"] != had["sha256"]:
            raise OptionError(
                f"the {role} of this run is {had['name']} ({had['sha256'][:8]}), now {net['name']} "
                f"({net['sha256'][:8]}): choose another folder (--out)"
            )


def _license(own: str, origins: dict[str, dict[str, str]]) -> str:
    owed = [(ORIGINS[role], net) for role, net in origins.items() if net["license"] != own]
    return " ".join([own, *(f"It {verb} {net['name']}: {net['license']}" for verb, net in owed)])


def _training_data(run: Checkpoint, found: DataFiles, origins: dict[str, dict[str, str]]) -> dict[str, str]:
    """Return what a net was trained on with hashes; of a folder neither name nor place."""
    if _is_folder(found):
        described = {"folder train": run.data}
    else:
        files = [path for path in _files(found) if path != found.ferplus or "ferplus" in run.recipe.heads]
        entries = manifest(files, {})["sources"]
        described = {"FER2013 Training": run.data} | {file: entry["sha256"] for file, entry in entries.items()}
    return described | {f"{role} {net['name']}": net["sha256"] for role, net in origins.items()}


def _files(found: DataFiles) -> list[Path]:
    if _is_folder(found):
        folder = found.directory.resolve()
        return [folder / name for name in FOLDER_SPLITS if (folder / name).is_dir()] or [folder]
    return [path for path in (found.fer2013, found.ferplus) if path is not None]


def need_torch() -> None:
    """Refuse, with the cure, where what training needs is not installed."""
    for package in ("torch", "lightning_fabric", "kornia", "onnx", "onnxscript"):
        if find_spec(package) is None:
            raise MissingExtraError(package, "mien[train]")


def import_net(
    net: Path, labels: str, out: Path, *, scale: float, mean: str, std: str, side: int | None, name: str | None
) -> ModelCard:
    """Write a net that somebody else trained as a model file: see :func:`mien.lab.foreign.import_net`.

    Raises
    ------
    ModelError, OptionError, OutputError
    """
    need_torch()
    from mien.lab import foreign

    preparation = foreign.Preparation(scale, _numbers("--mean", mean), _numbers("--std", std))
    return foreign.import_net(net, labels.split(","), out, preparation=preparation, side=side, name=name or "")


def _numbers(option: str, text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise OptionError(f"{option} {text}: expected a number, or one for each channel with commas between") from error
