"""A linear head on what a net that ships sees: for few faces, of which the net itself would learn the wrong labels."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from mien.core.errors import OptionError
from mien.core.types import ByteArray, FloatArray
from mien.lab.datasets import FaceDataset
from mien.lab.graph import run_in_batches
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
    teacher : str
        Name of a model whose answers to the training faces are part of the targets.
    teacher_share : float
        Weight of the teacher's answer in the target, 0 to 1.
    decay : float
        Weight of half the sum of squared weights, of standardized features, beside the mean cross-entropy; above 0.
    """

    teacher: str = "fer2013"
    teacher_share: float = 0.1
    decay: float = 0.03

    def __post_init__(self) -> None:
        if not 0 <= self.teacher_share <= 1:
            raise OptionError(f"teacher_share is {self.teacher_share}: expected 0 to 1")
        if not 0 < self.decay < math.inf:
            raise OptionError(f"decay is {self.decay}: expected a number above 0")


def probed(probe: Probe, weights: Mapping[str, Tensor], training: FaceDataset, images: ByteArray) -> FloatArray:
    """Fit a linear head to faces and their mirror images, and return its answers to others.

    Parameters
    ----------
    probe : Probe
    weights : mapping of str to Tensor
        Of our trunk, as :func:`mien.lab.graph.read_weights` gives them.
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
    OptionError
        If the weights are not of our trunk, or the teacher was taught other labels.
    ModelError
        If there is no such teacher.
    """
    net = FaceNet("default", {}).eval()
    load_weights(net, weights)
    targets = taught(head_targets(training, [HEAD]), training, probe.teacher, probe.teacher_share)[HEAD]
    seen = _seen_both_ways(net, training.images).flatten(0, 1)
    head = fitted_head(seen, targets.repeat_interleave(2, dim=0), probe.decay)
    with torch.inference_mode():
        return torch.softmax(head(_seen_both_ways(net, images)), dim=2).mean(dim=1).numpy()


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


def _seen_both_ways(net: FaceNet, images: ByteArray) -> Tensor:
    """Return (N, 2, 1408) what a trunk sees of faces and of their mirror images."""

    def both(faces: Tensor) -> Tensor:
        straight = faces.float()
        return torch.stack([seen(net, way) for way in (straight, straight.flip(3))], dim=1)

    return torch.from_numpy(run_in_batches(both, images))


def seen(net: FaceNet, faces: Tensor) -> Tensor:
    """Return (N, 1408) what our trunk sees of (N, 1, S, S) faces: its features, and the maps in the middle by place."""
    assert isinstance(net.trunk, nn.Sequential)
    maps = net.trunk[:MIDDLE](net.standardize(faces))
    places = functional.adaptive_avg_pool2d(maps, PLACES).flatten(1)
    return torch.cat((net.trunk[MIDDLE:](maps), places), dim=1)
