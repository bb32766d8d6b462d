"""What is done to training faces, on whole batches: shifts, light, blur, gaps, mixtures."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import kornia.augmentation as augmentation
import torch
from torch import Tensor, nn

from mien.core.errors import OptionError


def _geometry() -> list[nn.Module]:
    return [
        augmentation.RandomHorizontalFlip(p=0.5),
        augmentation.RandomAffine(degrees=12.0, translate=(0.1, 0.1), scale=(0.87, 1.15), padding_mode="border", p=0.9),
    ]


def _light() -> list[nn.Module]:
    return [
        augmentation.RandomEqualize(p=0.1),
        augmentation.RandomGamma((0.6, 1.7), p=0.5),
        augmentation.RandomGaussianBlur((5, 5), (0.3, 1.2), p=0.1),
        augmentation.RandomGaussianNoise(0.0, 0.03, p=0.1),
        augmentation.RandomErasing((0.02, 0.2), (0.4, 2.5), value=0.5, p=0.35),
    ]


AUGMENTATIONS: dict[str, Callable[[], list[nn.Module]]] = {
    "none": list,
    "geometry": _geometry,
    "full": lambda: _geometry() + _light(),
}
"""Each set of augmentations by the name that a recipe gives."""


def augmenter(name: str) -> nn.Module:
    """Return the augmentations of a recipe as one module over (N, 1, S, S) float32 faces, 0 to 1.

    Raises
    ------
    OptionError
        If there is none of this name.
    """
    if name not in AUGMENTATIONS:
        raise OptionError(f"no augmentation {name!r}: expected one of {', '.join(AUGMENTATIONS)}")
    return nn.Sequential(*AUGMENTATIONS[name]())


def mixup(images: Tensor, targets: Mapping[str, Tensor], alpha: float) -> tuple[Tensor, dict[str, Tensor]]:
    """Mix each face with another of its batch, and their targets alike.

    Zhang et al. 2018, https://arxiv.org/abs/1710.09412; one share for the whole batch.

    Parameters
    ----------
    images : (N, 1, S, S) Tensor of float32
    targets : mapping of str to (N, K) Tensor of float32
        Label distribution of each face for each head.
    alpha : float
        The share is drawn from Beta(alpha, alpha).
    """
    share = torch.distributions.Beta(alpha, alpha).sample()
    partner = torch.randperm(len(images))
    mixed = {name: torch.lerp(target[partner], target, share) for name, target in targets.items()}
    return torch.lerp(images[partner], images, share), mixed
