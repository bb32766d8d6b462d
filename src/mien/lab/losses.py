"""What a net is told about its answers: cross-entropy against distributions, a robust form of it, center loss."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from mien.lab.models import HEADS, FaceNet
from mien.lab.recipes import Recipe

ROBUSTNESS = 0.7  # of Zhang and Sabuncu's experiments


class Criterion(nn.Module):
    """The loss of a recipe, over all of its heads; its weights, where it has any, are those of the center loss.

    Parameters
    ----------
    recipe : Recipe
    net : FaceNet
        Whose features have centers.
    """

    def __init__(self, recipe: Recipe, net: FaceNet) -> None:
        super().__init__()
        self.first = recipe.heads[0]
        self.entropy = robust_cross_entropy if recipe.loss == "robust" else soft_cross_entropy
        self.center_weight = recipe.center_weight
        self.centers = CenterLoss(HEADS[self.first], net.feature_count) if recipe.center_weight else None

    def forward(self, features: Tensor, logits: Mapping[str, Tensor], targets: Mapping[str, Tensor]) -> list[Tensor]:
        """Return the loss of each head, that of the centers added to the first.

        Parameters
        ----------
        features : (N, F) Tensor of float32
        logits, targets : mapping of str to (N, K) Tensor of float32
            For each head.
        """
        losses = [self.entropy(answer, targets[head]) for head, answer in logits.items()]
        if self.centers is not None:
            losses[0] = losses[0] + self.center_weight * self.centers(features, targets[self.first])
        return losses


class CenterLoss(nn.Module):
    """Half of the mean squared distance of features to the center of their class.

    Wen, Zhang, Li and Qiao 2016, https://doi.org/10.1007/978-3-319-46478-7_31. There the centers move by a rule of
    their own, by half of the mean difference; here they are weights like others. A label that is a distribution is
    drawn to each center by its share.

    Parameters
    ----------
    classes, features : int
        Number of centers, and their length.
    """

    def __init__(self, classes: int, features: int) -> None:
        super().__init__()
        self.centers = nn.Parameter(torch.zeros(classes, features))

    def forward(self, features: Tensor, targets: Tensor) -> Tensor:
        """Return the loss of (N, F) features against (N, K) label distributions; rows of zeros do not count."""
        distances = torch.cdist(features.float(), self.centers, compute_mode="donot_use_mm_for_euclid_dist").square()
        return 0.5 * _mean_of_known((targets * distances).sum(dim=1), targets)


def soft_cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the mean cross-entropy against label distributions; a row of zeros (nothing known) does not count.

    Parameters
    ----------
    logits, targets : (N, K) Tensor of float32
    """
    return _mean_of_known(-(targets * functional.log_softmax(logits.float(), dim=1)).sum(dim=1), targets)


def robust_cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the generalized cross-entropy, ``(1 - p ** q) / q`` with q = 0.7, to which wrong labels matter less.

    Z. Zhang, M. R. Sabuncu, "Generalized cross entropy loss for training deep neural networks with noisy labels",
    NeurIPS 2018, https://arxiv.org/abs/1805.07836. With q near 0 it is cross-entropy, with 1 the mean absolute error.
    Where the label is a distribution, the mean over it.

    Parameters
    ----------
    logits, targets : (N, K) Tensor of float32
    """
    # By the logarithm: the slope of a power is infinite where a probability is 0.
    powers = torch.exp(ROBUSTNESS * functional.log_softmax(logits.float(), dim=1))
    return _mean_of_known((targets * (1 - powers) / ROBUSTNESS).sum(dim=1), targets)


def _mean_of_known(losses: Tensor, targets: Tensor) -> Tensor:
    return losses.sum() / (targets.sum(dim=1) > 0).sum().clamp(min=1)
