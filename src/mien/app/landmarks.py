"""What ``mien landmarks`` does: labels by the teacher, training, a picture, the file with its card."""

from __future__ import annotations

import hashlib
from pathlib import Path

import cv2
from rich.console import Console
from rich.progress import Progress

from mien.core.types import BoolArray, FloatArray
from mien.engine.results.writer import make_folder, whole_file
from mien.face.landmarks import LandmarkCard, Landmarker
from mien.lab.datasets import FaceDataset, find_data, fingerprint, load_fer2013, manifest
from mien.lab.landmarks.data import no_faces, pointed
from mien.lab.landmarks.export import export_landmarks
from mien.lab.landmarks.measuring import contact_sheet, points_of
from mien.lab.landmarks.net import INPUT_SIZE
from mien.lab.landmarks.teacher import label_faces
from mien.lab.landmarks.training import LandmarkRecipe, train_landmarks

SPLITS = {"public": "PublicTest", "private": "PrivateTest"}


def make_landmarks(
    teacher: Path, data: Path | None, out: Path, console: Console, *, epochs: int
) -> LandmarkCard | None:
    """Label FER2013 with the teacher, train the landmark net on `Training`, measure it on the other splits.

    Parameters
    ----------
    teacher : Path
        ``face_landmarker.task`` of MediaPipe.
    data : Path or None
        Directory of FER2013, by default ``MIEN_DATA``.
    out : Path
        Folder for ``labels/``, the run, ``landmarks.onnx`` and ``faces.png``; a stopped run in it goes on.
    console : Console
        Where progress is shown, if it is a terminal.
    epochs : int

    Returns
    -------
    LandmarkCard or None
        None if the run was stopped.

    Raises
    ------
    DatasetError, ModelError, OptionError, OutputError
        If data, teacher or folder are not as described.
    """
    file = find_data(data).need("fer2013")
    faces = load_fer2013(file)
    make_folder(out)
    points, found = _labels(faces, teacher, out / "labels", console)

    def of_split(name: str) -> tuple[FaceDataset, FloatArray, BoolArray]:
        rows = faces.split == name
        return faces[rows], points[rows], found[rows]

    training = pointed(*of_split("Training"))
    others = {name: pointed(*of_split(split)) for name, split in SPLITS.items()}
    recipe = LandmarkRecipe(epochs=epochs)
    known = hashlib.sha256(fingerprint(faces).encode() + points.tobytes()).hexdigest()
    negatives = no_faces(training.images, INPUT_SIZE, recipe.seed)
    net = train_landmarks(recipe, training, others["public"], negatives, out, data=known, progress=console.is_terminal)
    if net is None:
        return None
    described = {"FER2013 Training, points of the teacher": known} | {
        name: entry["sha256"] for name, entry in manifest([file, teacher], {})["sources"].items()
    }
    path = out / "landmarks.onnx"
    card = export_landmarks(net, recipe, path, measured_on=others, training_data=described)
    shown = others["public"]
    sheet = contact_sheet(shown, points_of(Landmarker(path), shown.images)[0])
    with whole_file(out / "faces.png") as partial:
        partial.write_bytes(cv2.imencode(".png", cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))[1].tobytes())
    return card


def _labels(faces: FaceDataset, teacher: Path, out: Path, console: Console) -> tuple[FloatArray, BoolArray]:
    with Progress(console=console, disable=not console.is_terminal, transient=True) as bar:
        task = bar.add_task("labels", total=len(faces))
        labeling = label_faces(faces.images, teacher, out)
        while True:
            try:
                bar.update(task, completed=next(labeling))
            except StopIteration as end:
                points, found = end.value
                return points, found
