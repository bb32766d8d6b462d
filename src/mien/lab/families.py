"""What each family of features adds: readers that differ in what they are given, on FER2013 and on CK+48 by person."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mien.core.types import BoolArray, FloatArray, IntArray
from mien.engine.features import FEATURE_NAMES
from mien.engine.processes import Stopped, side_by_side
from mien.engine.recognizer import model_path
from mien.engine.results.writer import make_folder, whole_file, write_whole
from mien.lab.checkpoints import CHECKPOINT_NAME, Checkpoint, load_checkpoint
from mien.lab.classical import shallow_tree, size_of, support_vector_machine
from mien.lab.compare import COMMON, Entry, least_ms, milliseconds, planned
from mien.lab.datasets import FOLDS, FaceDataset, find_data, load_ck48, load_fer2013, ten_folds
from mien.lab.extraction import Extraction, extract
from mien.lab.graph import read_weights
from mien.lab.measures import MEASURES, family_measures, measures_of
from mien.lab.models import ARCHITECTURES, FaceNet, parameter_count
from mien.lab.processes import one_thread
from mien.lab.protocol import as_distributions
from mien.lab.recipes import Recipe
from mien.lab.targets import given_measures
from mien.lab.training import first_net, train

CHUNK = 4000  # faces whose features are extracted at a time
BATCH = 256
FEATURES = "features"  # how the extraction of features is told
FEW = 300  # faces of each split for a quick look

FINE = Recipe(
    heads=("ferplus",),  # knows contempt too
    epochs=8,
    batch_size=60,
    learning_rate=0.02,
    augmentation="light",
    mixup=0.0,
    average_decay=0.98,
)
"""What nets are taught CK+48 with, after FER2013."""

FUSION = "fusion"  # of nets that were taught alone before
SHIPPED_TRUNK = {"default": "trunk", FUSION: "trunk.branches.whole"}
"""Where nets hold the trunk of `default`. It is not trained further: what is asked is what the others add to it."""


@dataclass(frozen=True)
class Row:
    """A reader, and what it is given of each aligned face.

    Parameters
    ----------
    name : str
    reader : str
        ``tree``, ``svm``, or an architecture, which is given the picture too.
    families : tuple of str
        Of features: ``geometry``, ``motion``, ``lbp``, ``hog``.
    start : str
        Row whose net of FER2013 it goes on from on CK+48; its own if empty.
    """

    name: str
    reader: str
    families: tuple[str, ...] = ()
    start: str = ""

    @property
    def slug(self) -> str:
        """Name of its files."""
        return self.name.replace(", ", "-").replace(" ", "-")

    @property
    def is_net(self) -> bool:
        """Whether it is a net."""
        return self.reader not in ("tree", "svm")

    @property
    def is_still(self) -> bool:
        """Whether it can read a single picture; FER2013 has no others."""
        return "motion" not in self.families


WHOLE, REGIONS = "whole face", "regions"
ROWS = {
    row.name: row
    for row in (
        Row("geometry, tree", "tree", ("geometry",)),
        Row("geometry, SVM", "svm", ("geometry",)),
        Row("motion, SVM", "svm", ("motion",)),
        Row("LBP, SVM", "svm", ("lbp",)),
        Row("HOG, SVM", "svm", ("hog",)),
        Row("geometry and texture, SVM", "svm", ("geometry", "lbp", "hog")),
        Row("geometry, texture and motion, SVM", "svm", ("geometry", "lbp", "hog", "motion")),
        Row(REGIONS, "regions-cnn"),
        Row(WHOLE, "default"),
        Row("whole face and regions", FUSION),
        Row("whole face, regions and geometry", FUSION, ("geometry",)),
        Row(
            "whole face, regions, geometry and motion",
            FUSION,
            ("geometry", "motion"),
            start="whole face, regions and geometry",
        ),
    )
}
"""The rows of the table."""


@dataclass(frozen=True)
class Setting:
    """Where everything is, and how much is done.

    Parameters
    ----------
    data_dir : Path or None
        Directory of the data sets, by default ``MIEN_DATA``.
    out : Path
        Folder of features, runs and answers; of one landmark net, since other points are other features.
    minutes : float
        Of one thread, for each net on FER2013.
    is_quick : bool
        Only a few faces and epochs.
    """

    data_dir: Path | None
    out: Path
    minutes: float
    is_quick: bool = False


@dataclass(frozen=True)
class Work:
    """One training: a row on FER2013, or on one fold of CK+48."""

    row: str
    fold: int | None = None

    def path(self, setting: Setting) -> Path:
        """Return the file of its answers."""
        slug = ROWS[self.row].slug
        return setting.out / (f"fer2013-{slug}.json" if self.fold is None else f"ck48-{slug}-{self.fold}.json")


# What is read: faces, aligned, with their features


@lru_cache(maxsize=2)
def faces_of(name: str, setting: Setting) -> FaceDataset:
    """Return ``fer2013`` with FER+, or ``ck48``, as they are."""
    files = find_data(setting.data_dir)
    if name == "ck48":
        faces = load_ck48(files.need("ck48"))
        return faces[:FEW] if setting.is_quick else faces
    faces = load_fer2013(files.need("fer2013"), files.need("ferplus"))
    if not setting.is_quick:
        return faces
    return faces[np.concatenate([np.flatnonzero(faces.split == split)[:FEW] for split in np.unique(faces.split)])]


def chunks(setting: Setting) -> list[tuple[str, int]]:
    """Return the parts in which features are extracted: data set, first face."""
    return [(name, start) for name in ("fer2013", "ck48") for start in range(0, len(faces_of(name, setting)), CHUNK)]


def write_chunk(chunk: tuple[str, int], setting: Setting) -> None:
    """Extract the features of one part, unless they are there."""
    name, start = chunk
    path = _chunk_path(chunk, setting)
    if path.exists():
        return
    found = extract(faces_of(name, setting)[start : start + CHUNK])
    with whole_file(path) as partial_path, partial_path.open("wb") as file:
        np.savez(file, images=found.images, is_aligned=found.is_aligned, features=found.features)


def _chunk_path(chunk: tuple[str, int], setting: Setting) -> Path:
    return setting.out / "features" / f"{chunk[0]}-{chunk[1]}.npz"


@lru_cache(maxsize=2)
def extracted(name: str, setting: Setting) -> tuple[FaceDataset, Extraction]:
    """Return the aligned faces of a data set, and what was extracted from them."""
    faces = faces_of(name, setting)
    parts: dict[str, list[Any]] = {"images": [], "is_aligned": [], "features": []}
    for start in range(0, len(faces), CHUNK):
        with np.load(_chunk_path((name, start), setting)) as arrays:
            for key, part in parts.items():
                part.append(arrays[key])
    whole = Extraction(**{key: np.concatenate(part) for key, part in parts.items()})
    return replace(faces, images=whole.images), whole


def given(row: Row, features: FloatArray) -> tuple[FloatArray, tuple[str, ...]]:
    """Return the features that a classic reader is given, (N, F), and their names."""
    tables: list[FloatArray] = []
    names: list[str] = []
    for family in row.families:
        if family in MEASURES:
            tables.append(family_measures(features, FEATURE_NAMES, family))
            names += MEASURES[family]
        else:
            columns = [index for index, name in enumerate(FEATURE_NAMES) if name.startswith(f"{family}_")]
            tables.append(features[:, columns])
            names += [FEATURE_NAMES[index] for index in columns]
    return np.concatenate(tables, axis=1), tuple(names)


# What is done: classic readers, which are soon there; nets on FER2013; what is fused of them; nets on folds of CK+48


def works(row: Row, setting: Setting) -> tuple[list[Work], list[Work]]:
    """Return what is done of a row on FER2013, and on CK+48."""
    folds = range(2 if setting.is_quick else FOLDS)
    return [Work(row.name)] if row.is_still else [], [Work(row.name, fold) for fold in folds]


def phases(setting: Setting) -> tuple[list[Work], ...]:
    """Return all that is done; what is in a phase needs only phases before it."""
    classic: list[Work] = []
    taught: list[Work] = []
    fused: list[Work] = []
    tuned: list[Work] = []
    for row in ROWS.values():
        fer2013, ck48 = works(row, setting)
        (classic if not row.is_net else fused if row.reader == FUSION else taught).extend(fer2013)
        (tuned if row.is_net else classic).extend(ck48)
    return classic, taught, fused, tuned


def run_families(setting: Setting, *, processes: int = 2) -> Iterator[str]:
    """Do all that is missing, several things side by side with one thread each; yield what was done, as it comes.

    Raises
    ------
    DatasetError
        If a data set is missing.
    """
    make_folder(setting.out / "features")
    missing_chunks = [chunk for chunk in chunks(setting) if not _chunk_path(chunk, setting).exists()]
    for name, start in side_by_side(partial(write_chunk, setting=setting), missing_chunks, processes):
        yield f"{FEATURES} of {name} from {start}"
    for phase in phases(setting):
        missing = [work for work in phase if not work.path(setting).exists()]
        for work in side_by_side(partial(run_work, setting=setting), missing, processes, prepare=one_thread):
            yield work.path(setting).stem


def run_work(work: Work, setting: Setting) -> None:
    """Train one reader, and write its answers; a run that was stopped goes on from its checkpoint.

    Raises
    ------
    Stopped
        If it was stopped: nothing is written but the checkpoint.
    """
    row = ROWS[work.row]
    faces, extraction = extracted("fer2013" if work.fold is None else "ck48", setting)
    if work.fold is None:
        is_seen = faces.split == "Training"
    else:
        is_seen = ~np.isin(faces.source_ids, ten_folds(faces)[work.fold].source_ids)
    if row.is_net:
        content = _net_answers(work, faces, extraction.features, is_seen, setting)
    else:
        content = _classic_answers(row, faces, extraction.features, is_seen)
    content["source_ids"] = faces.source_ids[~is_seen].tolist()
    write_whole(work.path(setting), json.dumps(content))


def _classic_answers(row: Row, faces: FaceDataset, features: FloatArray, is_seen: BoolArray) -> dict[str, Any]:
    table, _ = given(row, features)
    reader = shallow_tree() if row.reader == "tree" else support_vector_machine(table.shape[1])
    started = time.process_time()
    reader.fit(table[is_seen], faces.labels[is_seen])
    seconds = time.process_time() - started
    return {
        "answers": reader.predict(table[~is_seen]).tolist(),
        "parameters": size_of(reader),
        "milliseconds": least_ms(lambda: reader.predict(table[:1])),
        "seconds": seconds,
    }


def _net_answers(
    work: Work, faces: FaceDataset, features: FloatArray, is_seen: BoolArray, setting: Setting
) -> dict[str, Any]:
    row = ROWS[work.row]
    if ARCHITECTURES[row.reader].measures:
        faces = replace(faces, measures=measures_of(features, FEATURE_NAMES, row.families))
    if work.fold is None:
        checkpoint = _taught_fer2013(row, faces, setting)
    else:
        checkpoint = _taught_ck48(work, faces, is_seen, setting)
    net, recipe = checkpoint.net, checkpoint.recipe
    return {
        "answers": answers_of(net, recipe.heads[0], faces[~is_seen]).tolist(),
        "parameters": parameter_count(net),
        "milliseconds": milliseconds(net) if work.fold is None else None,
        "seconds": sum(curve["cpu_seconds"] for curve in checkpoint.curves),
        "recipe": asdict(recipe),
    }


def _run_folder(row: Row, setting: Setting) -> Path:
    """Return where the net of a row is taught FER2013."""
    return setting.out / (ROWS[row.start] if row.start else row).slug


def _taught_fer2013(row: Row, faces: FaceDataset, setting: Setting) -> Checkpoint:
    training, validation, run = faces.of_split("Training"), faces.of_split("PublicTest"), _run_folder(row, setting)
    entry = Entry(row.name, replace(COMMON, architecture=row.reader, frozen=frozen_parts(row.reader)))
    recipe = planned(entry, training, run, setting.minutes)
    parts = shipped_trunk(recipe.architecture)
    if row.reader == FUSION:
        alone = load_checkpoint(_run_folder(ROWS[REGIONS], setting) / CHECKPOINT_NAME).net.state_dict()
        parts |= renamed(alone, "trunk", "trunk.branches.regions")
    return _finished(train(recipe, training, validation, run, init=first_weights(recipe, parts)))


def frozen_parts(architecture: str) -> tuple[str, ...]:
    """Return the modules that are those of the net that ships, and stay as they are."""
    return (SHIPPED_TRUNK[architecture],) if architecture in SHIPPED_TRUNK else ()


def shipped_trunk(architecture: str) -> dict[str, Tensor]:
    """Return the trunk of `default` by the names it has in a net that sees the whole face; nothing for others."""
    if architecture not in SHIPPED_TRUNK:
        return {}
    return renamed(read_weights(model_path("default")), "trunk", SHIPPED_TRUNK[architecture])


def renamed(weights: Mapping[str, Tensor], module: str, place: str) -> dict[str, Tensor]:
    """Return the weights of a module by the names that they have where it is part of another net."""
    prefix = f"{module}."
    return {f"{place}.{name.removeprefix(prefix)}": value for name, value in weights.items() if name.startswith(prefix)}


def first_weights(recipe: Recipe, parts: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return what a net begins with: parts that were taught before, the others drawn by the seed."""
    return first_net(recipe).state_dict() | dict(parts)


def _taught_ck48(work: Work, faces: FaceDataset, is_seen: BoolArray, setting: Setting) -> Checkpoint:
    assert work.fold is not None
    row, labeled = ROWS[work.row], as_distributions(faces)
    before = load_checkpoint(_run_folder(row, setting) / CHECKPOINT_NAME).net.state_dict()
    epochs = 1 if setting.is_quick else FINE.epochs
    frozen = frozen_parts(row.reader)
    recipe = replace(FINE, architecture=row.reader, frozen=frozen, seed=work.fold, epochs=epochs)
    run = work.path(setting).with_suffix("")
    checkpoint = _finished(train(recipe, labeled[is_seen], labeled[~is_seen], run, init=before))
    shutil.rmtree(run)
    return checkpoint


def _finished(checkpoint: Checkpoint) -> Checkpoint:
    if not checkpoint.finished:
        raise Stopped
    return checkpoint


def answers_of(net: FaceNet, head: str, faces: FaceDataset) -> IntArray:
    """Return the top label of each face, (N,) int64, by one head of a net that is given the measures too."""
    images, measures = torch.from_numpy(faces.images).unsqueeze(1), given_measures(faces, net.architecture)
    parts = zip(torch.split(images, BATCH), torch.split(measures, BATCH), strict=True)
    with torch.inference_mode():
        return torch.cat([net(image.float(), part)[head].argmax(dim=1) for image, part in parts]).numpy()
