"""A linear head on what a net that ships sees: for few faces, of which the net itself would learn the wrong labels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from mien.core.types import ByteArray, FloatArray
from mien.engine.recognizer import model_path
from mien.lab.datasets import FaceDataset
from mien.lab.graph import read_weights, run_in_batches
from mien.lab.models import FaceNet, load_weights
from mien.lab.targets import head_targets, taught

HEAD = "fer2013"
MIDDLE = 8  # layers of our trunk before its last two blocks
PLACES = 3  # along each side, at which the maps in the middle are averaged
ITERATIONS = 500  # of LBFGS, at most; it needs about 100


@dataclass(frozen=True)
class Probe:
    """How a linear head is fitted; it has no seed, since its loss has one minimum.

    G. Alain and Y. Bengio, "Understanding intermediate layers using linear classifier probes",
    https://arxiv.org/abs/1610.01644. We differ in that two depths are read at once: the features of the whole face tell
    expressions, the maps before the last two blocks, averaged in 3x3 places, what these have forgotten.

    Parameters
    ----------
    net : str
        The net that ships whose trunk is read.
    teacher : str
        Name of a model whose answers to the training faces are part of the targets.
    teacher_share : float
        Weight of the teacher's answer in the target, 0 to 1.
    decay : float
        Weight of half the sum of squared weights, of standardized features, beside the mean cross-entropy.
    """

    net: str = "default"
    teacher: str = "fer2013"
    teacher_share: float = 0.1
    decay: float = 0.03


def probed(probe: Probe, training: FaceDataset, images: ByteArray) -> FloatArray:
    """Fit a linear head to faces and their mirror images, and return its answers to others.

    Parameters
    ----------
    probe : Probe
    training : FaceDataset
    images : (N, S, S) ndarray of uint8
        Faces to answer.

    Returns
    -------
    (N, 7) ndarray of float32
        Probabilities, mean over each face and its mirror image.

    Raises
    ------
    DatasetError
        If the faces have no labels, or other classes than mien's.
    """
    trunk = FaceNet(probe.net, {})
    load_weights(trunk, read_weights(model_path(probe.net)))
    targets = taught(head_targets(training, [HEAD]), training, probe.teacher, probe.teacher_share)[HEAD]
    head = fitted_head(torch.cat(_both(trunk, training.images)), targets.repeat(2, 1), probe.decay)
    with torch.inference_mode():
        answers = [torch.softmax(head(features), dim=1) for features in _both(trunk, images)]
        return torch.stack(answers).mean(dim=0).numpy()


def fitted_head(features: Tensor, targets: Tensor, decay: float) -> nn.Linear:
    """Return the linear head with the least cross-entropy to label distributions.

    Parameters
    ----------
    features : (N, F) Tensor of float32
        They are standardized for the fit; the head takes them as they are.
    targets : (N, K) Tensor of float32
    decay : float
        See :class:`Probe`.
    """
    deviations, means = torch.std_mean(features, dim=0)
    deviations = deviations.clamp(min=1e-6)  # of a map that is silent
    standard = (features - means) / deviations
    head = nn.Linear(features.shape[1], targets.shape[1])
    for values in head.parameters():
        nn.init.zeros_(values)
    optimizer = torch.optim.LBFGS(head.parameters(), max_iter=ITERATIONS, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        value = functional.cross_entropy(head(standard), targets) + decay / 2 * head.weight.square().sum()
        torch.autograd.backward(value)
        return value

    optimizer.step(loss)  # type: ignore[no-untyped-call]  # torch's types do not know it
    with torch.no_grad():
        head.weight.div_(deviations)
        head.bias.sub_(head.weight @ means)
    return head


def _both(net: FaceNet, images: ByteArray) -> list[Tensor]:
    """Return the features of faces, and of their mirror images."""
    mirrored = np.ascontiguousarray(images[:, :, ::-1])
    return [torch.from_numpy(run_in_batches(lambda faces: _seen(net, faces), part)) for part in (images, mirrored)]


def _seen(net: FaceNet, faces: Tensor) -> Tensor:
    """Return (N, 1408) what the trunk sees at its end, and before its last two blocks at 3x3 places."""
    net.eval()
    assert isinstance(net.trunk, nn.Sequential)
    maps = net.trunk[:MIDDLE](net.standardize(faces.float()))
    places = functional.adaptive_avg_pool2d(maps, PLACES).flatten(1)
    return torch.cat((net.trunk[MIDDLE:](maps), places), dim=1)
