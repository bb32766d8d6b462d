"""How the landmark net is trained; a run that was stopped goes on."""

from __future__ import annotations

from ctypes import c_bool
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import rich.progress
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.nn import functional

from mien.core.types import ByteArray, FloatArray
from mien.engine.results.writer import make_folder
from mien.face.landmarks import LEFT_EYE_CORNER, RIGHT_EYE_CORNER
from mien.lab.augmentation import augmenter
from mien.lab.checkpoints import Run, State, averaged_weights, check_folder, restore, save
from mien.lab.landmarks.data import PointedFaces
from mien.lab.landmarks.net import INPUT_SIZE, LandmarkNet
from mien.lab.landmarks.views import random_views, straight_views
from mien.lab.processes import launch, stop_asked
from mien.lab.schedules import average_of, learning_rate, run_steps

WRONG = 0.1
"""Mean error, in distances between the eyes' outer corners, from which points are wrong: what confidence is about."""

CLOSEST_EYES = 0.15  # of the crop: on a profile the eyes' corners meet, and no error may count without bound
POINT_WEIGHT = 10.0  # an error of 0.05 then weighs as much as a doubt of 0.5
JAW_WEIGHT = 0.5  # where along the jaw a point lies is nobody's question
NO_FACE_SHARE = 0.1


@dataclass(frozen=True)
class LandmarkRecipe:
    """The options of a training run of the landmark net.

    Parameters
    ----------
    epochs, batch_size : int
    learning_rate : float
        The highest; AdamW.
    schedule : str
        As :class:`mien.lab.recipes.Recipe` has it.
    weight_decay, average_decay : float
    precision : str
        As of :class:`mien.lab.recipes.Recipe`.
    seed : int
    """

    epochs: int = 30
    batch_size: int = 128
    learning_rate: float = 2e-3
    schedule: str = "one-cycle"
    weight_decay: float = 0.02
    average_decay: float = 0.999
    precision: str = "auto"
    seed: int = 0


def train_landmarks(
    recipe: LandmarkRecipe,
    training: PointedFaces,
    validation: PointedFaces,
    no_faces: ByteArray,
    out: Path,
    *,
    data: str,
    progress: bool = False,
) -> LandmarkNet | None:
    """Train the landmark net, or go on where a stopped run in `out` was left.

    The loss is the mean distance from the teacher's points in units of the distance between the eyes' outer corners,
    and cross-entropy of whether this distance is below a tenth, which is what confidence says; pictures without a
    face have no right points.

    Parameters
    ----------
    recipe : LandmarkRecipe
    training, validation : PointedFaces
    no_faces : (N, 64, 64) ndarray of uint8
    out : Path
        Folder for ``checkpoint.pt`` and ``curves.csv``.
    data : str
        Fingerprint of faces and points.
    progress : bool

    Returns
    -------
    LandmarkNet or None
        With averaged weights; None if the run was stopped.

    Raises
    ------
    OptionError
        If `out` holds a run of another recipe or other data.
    DatasetError
        If there are too few faces for one batch.
    """
    run = Run(recipe, data, run_steps(recipe, len(training)))
    make_folder(out)
    check_folder(out, run)
    task = partial(_train, run=run, data=(training, validation, no_faces), out=out, progress=progress)
    launch(task, processes=1, precision=recipe.precision, accelerator="cpu")
    state = _first_state(recipe)
    restore(out, state)
    if state.step < run.steps:
        return None
    net = LandmarkNet()
    net.load_state_dict(averaged_weights(state))
    return net.eval()


def _first_state(recipe: LandmarkRecipe) -> State:
    torch.manual_seed(recipe.seed)
    net = LandmarkNet()
    optimizer = torch.optim.AdamW(net.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
    return State(net, average_of(net, recipe.average_decay, torch.device("cpu")), nn.Identity(), optimizer)


def _train(
    fabric: Fabric,
    stop: c_bool,
    *,
    run: Run,
    data: tuple[PointedFaces, PointedFaces, ByteArray],
    out: Path,
    progress: bool,
) -> None:
    recipe: LandmarkRecipe = run.recipe
    training, validation, no_faces = data
    torch.set_num_threads(1)
    state = _first_state(recipe)
    restore(out, state)
    state.net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's types do not know it
    model, optimizer = fabric.setup(state.net, state.optimizer)
    batches = _Batches(recipe, training, no_faces)
    losses = list(state.meter)
    for step in rich.progress.track(range(state.step, run.steps), "landmarks", disable=not progress):
        batch = batches.draw(step)
        rate = learning_rate(recipe, step, run.steps)
        for group in optimizer.param_groups:
            group["lr"] = rate
        model.train()
        points, logits = model(fabric.to_device(batch.crops).contiguous(memory_format=torch.channels_last))
        loss = landmark_loss(points.float(), logits.float(), batch)
        optimizer.zero_grad()
        fabric.backward(loss)
        optimizer.step()
        state.average.update_parameters(state.net)
        state.step = step + 1
        losses.append(float(loss.detach()))
        epoch, left = divmod(state.step, len(batches))
        if left == 0:
            row = {"epoch": float(epoch), "learning_rate": rate, "train_loss": float(np.mean(losses))}
            state.curves.append(row | {"val_error": float(errors_on(state.average, validation).mean())})
            losses.clear()
        stopping = stop_asked(fabric, stop)
        if left == 0 or stopping:
            state.meter = losses
            save(out, run, state)
        if stopping:
            return


@dataclass(frozen=True)
class Batch:
    """What the net sees in one step.

    Parameters
    ----------
    crops : (N, 1, S, S) Tensor of float32
        Faces, then pictures without one.
    points : (M, 68, 2) Tensor of float32
        Of the faces, in shares of the crop.
    weights : (M,) Tensor of float32
        How much the points of each face are taught; 0 where they are only to be doubted.
    """

    crops: Tensor
    points: Tensor
    weights: Tensor


def landmark_loss(points: Tensor, logits: Tensor, batch: Batch) -> Tensor:
    """Return the loss of a batch: see :func:`train_landmarks`."""
    count = len(batch.points)
    importance = torch.ones(points.shape[1])
    importance[:17] = JAW_WEIGHT
    errors = _errors(points[:count], batch.points)
    point_loss = (errors @ importance / importance.sum() * batch.weights).mean()
    are_right = torch.zeros(len(logits))
    are_right[:count] = (errors.detach().mean(dim=1) < WRONG).float()
    return POINT_WEIGHT * point_loss + functional.binary_cross_entropy_with_logits(logits, are_right)


def _errors(points: Tensor, wanted: Tensor) -> Tensor:
    """Return (N, 68) distances in units of the distance between the eyes' outer corners."""
    eyes = (wanted[:, RIGHT_EYE_CORNER] - wanted[:, LEFT_EYE_CORNER]).norm(dim=1, keepdim=True)
    distances: Tensor = (points - wanted).norm(dim=2) / eyes.clamp(min=CLOSEST_EYES)
    return distances


def errors_on(net: nn.Module, faces: PointedFaces) -> FloatArray:
    """Return the mean error on each face as a perfect detector would frame it, (N,) float32."""
    net.eval()
    found = []
    with torch.inference_mode():
        for start in range(0, len(faces), 256):
            part = slice(start, start + 256)
            images = torch.from_numpy(faces.images[part]).unsqueeze(1).float()
            views = straight_views(images, torch.from_numpy(faces.points[part]), INPUT_SIZE)
            found.append(_errors(net(views.crops)[0], views.points).mean(dim=1))
    return torch.cat(found).numpy()


class _Batches:
    def __init__(self, recipe: LandmarkRecipe, training: PointedFaces, no_faces: ByteArray) -> None:
        self.recipe = recipe
        self.images = torch.from_numpy(training.images).unsqueeze(1)
        self.points = torch.from_numpy(training.points)
        self.weights = torch.from_numpy(training.weights)
        self.no_faces = torch.from_numpy(no_faces).unsqueeze(1)
        self.degrade = augmenter("quality")

    def __len__(self) -> int:
        """Return the steps of an epoch."""
        return len(self.images) // self.recipe.batch_size

    def draw(self, step: int) -> Batch:
        """Return the batch of a step, a function of seed and step."""
        generator = np.random.default_rng((self.recipe.seed, step))
        torch.manual_seed(int(generator.integers(2**62)))
        epoch, position = divmod(step, len(self))
        order = np.random.default_rng((self.recipe.seed, epoch)).permutation(len(self.images))
        rows = order[position * self.recipe.batch_size :][: self.recipe.batch_size]
        views = random_views(self.images[rows].float(), self.points[rows], INPUT_SIZE)
        others = self.no_faces[generator.integers(len(self.no_faces), size=round(NO_FACE_SHARE * len(rows)))]
        crops = torch.cat([views.crops, others.float()]) / 255
        return Batch(255 * self.degrade(crops), views.points, self.weights[rows] * views.are_measurable)
