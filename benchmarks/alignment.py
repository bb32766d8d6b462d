"""Do aligned crops help the expression net? Two nets that differ in nothing else, and the nets that ship.

``python benchmarks/alignment.py [--data DIR] [--minutes 120] [--out runs/alignment]`` writes docs/results/alignment.md
and alignment.json. What is done already, of points and of training, is not done again; a stopped run goes on.

* Faces are aligned as a picture would be: :class:`mien.face.landmarks.Landmarker` finds points in the 48x48 picture,
  :func:`mien.core.preprocess.aligned_crops` warps it; faces whose points are less sure than `MEASURABLE` stay as they
  are.
* The trunk of ``default`` is trained on FER2013's `Training` twice, with the recipe of ``mien compare`` and the same
  number of epochs: on the crops as they are, and on aligned ones. One seed, one thread each, side by side.
* Both read `PublicTest` both ways, upright and turned by 20 degrees to a random side before points are looked for. So
  do the nets that ship, which were trained on crops as they are. `PrivateTest` is left alone.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from mien.core.labels import EXPRESSIONS
from mien.core.model import Score
from mien.core.preprocess import aligned_crops
from mien.core.types import ByteArray, FloatArray, IntArray
from mien.engine.processes import Stopped, side_by_side
from mien.engine.recognizer import load
from mien.engine.results.writer import make_folder, whole_file, write_whole
from mien.face.landmarks import MEASURABLE, load_landmarker
from mien.lab.compare import COMMON, HEAD, Entry, interval_text, planned
from mien.lab.datasets import SIDE, FaceDataset, ferplus_majority, find_data, load_fer2013, whole_frame
from mien.lab.evaluation import accuracy_score
from mien.lab.evaluation.robustness import drop_score, rotated
from mien.lab.graph import ExportedNet, run_in_batches, with_one_head
from mien.lab.processes import one_thread
from mien.lab.recipes import Recipe
from mien.lab.training import Checkpoint, load_checkpoint, train

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "docs" / "results"
TURN_DEGREES = 20.0
POSES = ("upright", "turned")
CROPS = ("as they are", "aligned")

Pictures: TypeAlias = Mapping[tuple[str, str], ByteArray]  # of `PublicTest`, by pose and crops


# --- faces, as they are and aligned


def align(images: ByteArray) -> tuple[ByteArray, float]:
    """Return faces (N, 48, 48), aligned where their points are sure enough, and the share of those."""
    landmarker, frame = load_landmarker(), whole_frame()
    aligned, count = images.copy(), 0
    for row, image in enumerate(images):
        face = landmarker.locate(image, frame)
        assert face.landmarks is not None
        assert face.landmark_confidences is not None
        if face.landmark_confidences[0] >= MEASURABLE:
            aligned[row] = aligned_crops(image, face.landmarks, SIDE)[0]
            count += 1
    return aligned, count / len(images)


def tilt(images: ByteArray) -> ByteArray:
    """Return faces turned to the left or to the right, each to its own side."""
    turns = [rotated(face, np.random.default_rng(row), degrees=TURN_DEGREES) for row, face in enumerate(images)]
    return np.stack(turns)


def aligned_faces(faces: FaceDataset, out: Path) -> Path:
    """Write the aligned faces of `Training` and `PublicTest` to a file that is named after the landmark net."""
    path = out / f"aligned-{load_landmarker().sha256[:8]}.npz"
    if not path.exists():
        public = faces.of_split("PublicTest").images
        training, training_share = align(faces.of_split("Training").images)
        upright, upright_share = align(public)
        turned, turned_share = align(tilt(public))
        shares = [training_share, upright_share, turned_share]
        with whole_file(path) as partial_path, partial_path.open("wb") as file:
            np.savez(file, training=training, upright=upright, turned=turned, shares=shares)
    return path


# --- training


def folder_of(out: Path, crops: str) -> Path:
    """Return where the run on these crops is kept."""
    return out / crops.replace(" ", "-")


def train_on(crops: str, faces: FaceDataset, aligned: Path, recipe: Recipe, out: Path) -> None:
    """Train the net on one kind of crops, or go on with it."""
    training, validation = faces.of_split("Training"), faces.of_split("PublicTest")
    if crops == "aligned":
        with np.load(aligned) as arrays:
            training = replace(training, images=arrays["training"])
            validation = replace(validation, images=arrays["upright"])
    if not train(recipe, training, validation, folder_of(out, crops)).finished:
        raise Stopped


# --- measurement


def measure(faces: FaceDataset, aligned: Path, out: Path) -> dict[str, Any]:
    """Return all that the report says: the accuracy of each net on each kind of crops, and what aligning changes."""
    public = faces.of_split("PublicTest")
    assert public.votes is not None
    majority = ferplus_majority(public.votes)
    majority[majority >= len(EXPRESSIONS)] = -1
    runs = {crops: load_checkpoint(folder_of(out, crops) / "checkpoint.pt") for crops in CROPS}
    with np.load(aligned) as arrays:
        pictures = {(pose, "aligned"): arrays[pose] for pose in POSES}
        shares = dict(zip(("training", *POSES), arrays["shares"].tolist(), strict=True))
    pictures |= {("upright", "as they are"): public.images, ("turned", "as they are"): tilt(public.images)}
    answers = {crops: answers_of(_logits(run), pictures) for crops, run in runs.items()}
    shipped = {name: answers_of(load(name).probabilities, pictures) for name in ("fer2013", "default")}
    nets = [net_row(f"trained on crops, {crops}", answers[crops], public.labels) for crops in CROPS]
    nets += [net_row("`fer2013`, ships", shipped["fer2013"], public.labels)]
    nets += [net_row("`default`, ships, FER+ majority", shipped["default"], majority)]
    both = {(pose, crops): answers[crops][pose, crops] for pose in POSES for crops in CROPS}
    gains = [gain_row("trained on aligned crops", both, public.labels)]
    gains += [gain_row("`fer2013`, as it ships", shipped["fer2013"], public.labels)]
    gains += [gain_row("`default`, as it ships", shipped["default"], majority)]
    return {
        "landmarks": load_landmarker().sha256,
        "aligned": shares,
        "epochs": runs["aligned"].recipe.epochs,
        "minutes": {crops: sum(curve["cpu_seconds"] for curve in run.curves) / 60 for crops, run in runs.items()},
        "nets": nets,
        "gains": gains,
    }


def _logits(run: Checkpoint) -> Callable[[ByteArray], FloatArray]:
    return partial(run_in_batches, ExportedNet(with_one_head(run.net, HEAD), HEAD, 1.0).eval().logits)


def answers_of(answer: Callable[[ByteArray], FloatArray], pictures: Pictures) -> dict[tuple[str, str], FloatArray]:
    """Return what a net says of all faces, (N, K) for each pose and kind of crops."""
    return {key: answer(images) for key, images in pictures.items()}


def net_row(name: str, answers: Mapping[tuple[str, str], FloatArray], labels: IntArray) -> dict[str, Any]:
    """Return the accuracy of a net for each pose and kind of crops, over the faces that have a label."""
    known = labels >= 0
    scores = {
        f"{pose}, {crops}": accuracy_score(table[known], labels[known]) for (pose, crops), table in answers.items()
    }
    return {"net": name} | {key: asdict(score) for key, score in scores.items()}


def gain_row(name: str, answers: Mapping[tuple[str, str], FloatArray], labels: IntArray) -> dict[str, Any]:
    """Return the accuracy on aligned crops less that on crops as they are, for each pose, paired by face."""
    known = labels >= 0
    gains = {}
    for pose in POSES:
        right = answers[pose, "aligned"][known].argmax(axis=1) == labels[known]
        gains[pose] = asdict(drop_score(right, answers[pose, "as they are"][known], labels[known]))
    return {"net": name} | gains


# --- report


def report(measured: Mapping[str, Any]) -> str:
    """Return the page for people."""
    columns = [f"{pose}, {crops}" for pose in POSES for crops in CROPS]
    nets = [[row["net"], *(interval_text(row[column]) for column in columns)] for row in measured["nets"]]
    gains = [[row["net"], *(_points(Score(**row[pose])) for pose in POSES)] for row in measured["gains"]]
    minutes = {crops: f"{value:.0f}" for crops, value in measured["minutes"].items()}
    training, upright, turned = (f"{100 * measured['aligned'][name]:.1f} %" for name in ("training", *POSES))
    return f"""# Alignment

Do crops that are turned, scaled and shifted by landmarks help the net that reads expressions? Accuracy in percent on
FER2013's `PublicTest`, with 95 % intervals. Two nets were trained for this, one each: the trunk of `default`, the
recipe of `mien compare`, {measured["epochs"]} epochs, one seed, {minutes["as they are"]} minutes of processor time on
crops as they are, {minutes["aligned"]} on aligned ones. *Turned*: by {TURN_DEGREES:.0f} degrees to a random side,
before points are looked for.

{_table(["net", *columns], nets)}

What aligning brings, in points of accuracy on the same faces: where nets are trained and read so, and where the nets
that ship, which were trained on crops as they are, only read so.

{_table(["net", *POSES], gains)}

Aligned were {training} of `Training`, {upright} of `PublicTest` and {turned} of it turned. The others have no points
that are sure enough and stay as they are. FER2013's pictures end where the crop ends: what an aligned crop shows beyond
is a repeated border, where a photo would show the rest of the face.

Landmark net: SHA-256 {measured["landmarks"][:12]}. Command: `python benchmarks/alignment.py`; its docstring says what
is measured.
"""


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _points(gain: Score) -> str:
    return f"{100 * gain.value:+.1f} ({100 * gain.low:+.1f} to {100 * gain.high:+.1f})"


def main() -> None:
    """Align, train, measure, and write the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--minutes", type=float, default=120.0, help="processor time for each training")
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "alignment", help="folder of points and runs")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the report")
    options = parser.parse_args()
    one_thread()
    make_folder(options.out)
    files = find_data(options.data)
    faces = load_fer2013(files.need("fer2013"), files.need("ferplus"))
    aligned = aligned_faces(faces, options.out)
    entry = Entry("alignment", replace(COMMON, architecture="default"))
    recipe = planned(entry, faces.of_split("Training"), options.out, options.minutes)
    task = partial(train_on, faces=faces, aligned=aligned, recipe=recipe, out=options.out)
    for crops in side_by_side(task, CROPS, len(CROPS), prepare=one_thread):
        print(f"trained on crops, {crops}", flush=True)
    measured = measure(faces, aligned, options.out)
    write_whole(options.results / "alignment.json", json.dumps(measured, indent=1))
    write_whole(options.results / "alignment.md", report(measured))
    print(report(measured))


if __name__ == "__main__":
    main()
