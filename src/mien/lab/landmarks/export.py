"""The landmark net as a file that runs alone, its card inside."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch

import mien
from mien.core.errors import ModelError
from mien.core.model import Score
from mien.engine.results.writer import whole_file
from mien.face.landmarks import CONFIDENCES_NAME, POINTS_NAME, LandmarkCard, Landmarker
from mien.lab.evaluation import bootstrap
from mien.lab.graph import TOLERANCE, as_graph, golden_crops, rounded, with_card
from mien.lab.landmarks.data import PointedFaces
from mien.lab.landmarks.measuring import errors, points_of
from mien.lab.landmarks.net import INPUT_SIZE, ExportedLandmarkNet, LandmarkNet
from mien.lab.landmarks.training import WRONG, LandmarkRecipe
from mien.lab.models import megaflops, parameter_count

TEACHER = "face_landmarks_detector of MediaPipe's face_landmarker.task (Apache-2.0), 478 points mapped to 68"
LICENSE = (
    "Weights for research use only: trained on the pictures of FER2013 (research use) with points of MediaPipe's face "
    "landmarker. See mien/weights/LICENSE."
)
LIMITS = (
    "Points of a face, as another net sees them: no measurement by a person. Trained on gray faces of 48x48 pixels; "
    "confidence falls on profiles, on covered, tiny or turned-over faces, and nothing is measured where it is low. "
    "Not for identifying people."
)
LARGEST_BYTES = 3_000_000


def export_landmarks(
    net: LandmarkNet,
    recipe: LandmarkRecipe,
    out: Path,
    *,
    measured_on: dict[str, PointedFaces],
    training_data: dict[str, str],
) -> LandmarkCard:
    """Write the landmark net with its card, whose errors are those of the very file.

    Parameters
    ----------
    net : LandmarkNet
    recipe : LandmarkRecipe
        Of the run.
    out : Path
        The ``.onnx`` file to write.
    measured_on : dict of str to PointedFaces
        By the name of their score.
    training_data : dict of str to str
        What the net was trained on, with hashes.

    Raises
    ------
    ModelError
        If the file's numbers differ from the net's, or the file is larger than 3 MB.
    OutputError
        If `out` cannot be written.
    """
    stored = rounded(deepcopy(net).eval())
    exported = ExportedLandmarkNet(stored).eval()
    content = as_graph(exported, INPUT_SIZE, (POINTS_NAME, CONFIDENCES_NAME)).SerializeToString()
    card = LandmarkCard(
        name="landmarks",
        version=mien.__version__,
        input_size=INPUT_SIZE,
        parameters=parameter_count(net),
        mflops=megaflops(net, INPUT_SIZE),
        teacher=TEACHER,
        training_data=training_data,
        recipe=asdict(recipe),
        seed=recipe.seed,
        license=LICENSE,
        limits=LIMITS,
        code_version=mien.__version__,
        scores={},
    )
    with whole_file(out) as partial:
        partial.write_bytes(with_card(content, card))
        landmarker = Landmarker(partial)
        _check(landmarker, exported)
        for name, faces in measured_on.items():
            card = replace(card, scores=card.scores | _scores(landmarker, faces, name))
        partial.write_bytes(with_card(content, card))
        if (size := partial.stat().st_size) > LARGEST_BYTES:
            raise ModelError(f"the landmark net would have {size / 1e6:.1f} MB: expected at most 3 MB")
    return card


def _scores(landmarker: Landmarker, faces: PointedFaces, name: str) -> dict[str, Score]:
    points, confidences = points_of(landmarker, faces.images)
    found = errors(points, faces.points)
    wrong = np.abs(confidences - (found < WRONG))
    return {
        f"error_{name}": bootstrap(lambda rows: float(found[rows].mean()), len(faces)),
        f"right_{name}": bootstrap(lambda rows: float((found[rows] < WRONG).mean()), len(faces)),
        f"doubt_{name}": bootstrap(lambda rows: float(wrong[rows].mean()), len(faces)),
    }


def _check(landmarker: Landmarker, exported: ExportedLandmarkNet) -> None:
    crops = golden_crops(INPUT_SIZE)
    points, confidences = landmarker.run(crops[:, 0])
    with torch.inference_mode():
        wanted_points, wanted_confidences = (answer.numpy() for answer in exported(torch.from_numpy(crops)))
    difference = max(float(np.abs(points - wanted_points).max()), float(np.abs(confidences - wanted_confidences).max()))
    if not difference <= TOLERANCE:
        raise ModelError(
            f"the exported graph differs from the net by {difference:.2g}: expected at most {TOLERANCE}; "
            "nothing was written"
        )
