"""How weights change over a run: learning rate, optimizer, moving average."""

from __future__ import annotations

import math
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from mien.core.errors import DatasetError
from mien.lab.recipes import Recipe


class Paced(Protocol):
    """What steps and learning rate follow from: part of every recipe."""

    @property
    def epochs(self) -> int:
        """How often each face is seen."""

    @property
    def batch_size(self) -> int:
        """Faces of a step."""

    @property
    def schedule(self) -> str:
        """Name as in :class:`~mien.lab.recipes.Recipe`."""

    @property
    def learning_rate(self) -> float:
        """The highest."""


def run_steps(recipe: Paced, faces: int) -> int:
    """Return the steps of a run; the faces that do not fill a batch are left out of an epoch.

    Raises
    ------
    DatasetError
        If there are too few faces for one batch.
    """
    if faces < recipe.batch_size:
        raise DatasetError(f"{faces} faces to train on: expected at least one batch of {recipe.batch_size}")
    return faces // recipe.batch_size * recipe.epochs


def learning_rate(recipe: Paced, step: int, steps: int) -> float:
    """Return the learning rate of a step, 0 <= `step` < `steps`.

    Examples
    --------
    >>> recipe = Recipe(learning_rate=0.1, schedule="cosine")
    >>> learning_rate(recipe, 0, 100), round(learning_rate(recipe, 50, 100), 3)
    (0.1, 0.05)
    """
    if recipe.schedule == "constant":
        return recipe.learning_rate
    if recipe.schedule == "step":
        return recipe.learning_rate * (1.0 if step < steps / 2 else 0.1 if step < steps * 3 / 4 else 0.01)
    rise = 0.2 * steps if recipe.schedule == "one-cycle" else 0.0
    if step < rise:
        return recipe.learning_rate * (0.04 + 0.96 * step / rise)
    return recipe.learning_rate * 0.5 * (1 + math.cos(math.pi * (step - rise) / (steps - rise)))


def optimizer_of(recipe: Recipe, net: nn.Module, criterion: nn.Module) -> torch.optim.Optimizer:
    """Return the optimizer of a recipe over the weights of a net and of what its loss learns.

    Biases, norms and the loss's own weights do not decay.
    """
    weights = [parameter for parameter in net.parameters() if parameter.ndim > 1]
    others = [parameter for parameter in net.parameters() if parameter.ndim <= 1] + list(criterion.parameters())
    groups = [{"params": weights, "weight_decay": recipe.weight_decay}, {"params": others, "weight_decay": 0.0}]
    if recipe.optimizer == "adam":
        return torch.optim.AdamW(groups, lr=recipe.learning_rate)
    return torch.optim.SGD(groups, lr=recipe.learning_rate, momentum=0.9, nesterov=True)


def average_of(net: nn.Module, decay: float, device: torch.device) -> AveragedModel:
    """Return the exponential moving average of a net's weights and of the statistics in its norms.

    The decay of update `n`, from 1, is the smaller of `decay` and ``(1 + n) / (10 + n)``: the first weights are
    forgotten fast, so that short runs gain from the average too.
    """

    def average(before: Tensor, now: Tensor, count: Tensor | int) -> Tensor:
        if not before.is_floating_point():
            return now
        return torch.lerp(now, before, min(decay, (1 + int(count)) / (10 + int(count))))

    return AveragedModel(net, device=device, avg_fn=average, use_buffers=True)
