"""What is done to training faces, on whole batches: shifts, light, blur, compression, gaps, mixtures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import cv2
import kornia.augmentation as augmentation
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from mien.core.errors import OptionError
from mien.core.types import ByteArray


class LowResolution(nn.Module):
    """Shrinks some faces of a batch to one side drawn from a range, by area, and enlarges them again.

    Parameters
    ----------
    sides : tuple of int
        Smallest and largest side in pixels.
    p : float
        Share of the faces.
    """

    def __init__(self, sides: tuple[int, int], p: float) -> None:
        super().__init__()
        self.sides = sides
        self.p = p

    def forward(self, faces: Tensor) -> Tensor:
        """Return (N, 1, S, S) faces."""
        chosen = torch.rand(len(faces)) < self.p
        side = int(torch.randint(self.sides[0], self.sides[1] + 1, ()))
        small = functional.interpolate(faces[chosen], size=side, mode="area")
        enlarged = functional.interpolate(small, size=faces.shape[2:], mode="bilinear", align_corners=False)
        return faces.index_put((chosen,), enlarged)


class Jpeg(nn.Module):
    """Compresses some faces of a batch as JPEG does.

    Parameters
    ----------
    qualities : tuple of int
        Lowest and highest quality, 1 to 100, drawn for each face.
    p : float
        Share of the faces.
    """

    def __init__(self, qualities: tuple[int, int], p: float) -> None:
        super().__init__()
        self.qualities = qualities
        self.p = p

    def forward(self, faces: Tensor) -> Tensor:
        """Return (N, 1, S, S) faces."""
        chosen = torch.rand(len(faces)) < self.p
        qualities = torch.randint(self.qualities[0], self.qualities[1] + 1, (int(chosen.sum()),))
        pictures = (faces[chosen, 0] * 255.0).round().clamp(0, 255).to(torch.uint8).numpy()
        packed = [_jpeg(picture, int(quality)) for picture, quality in zip(pictures, qualities, strict=True)]
        changed = torch.from_numpy(np.array(packed, np.float32).reshape(-1, 1, *faces.shape[2:]) / 255.0)
        return faces.index_put((chosen,), changed)


def _jpeg(picture: ByteArray, quality: int) -> ByteArray:
    encoded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return cv2.imdecode(encoded, cv2.IMREAD_GRAYSCALE)  # type: ignore[return-value]  # None only if it is no JPEG


class Clip(nn.Module):
    """Cuts what noise took out of the range of pixels."""

    def forward(self, faces: Tensor) -> Tensor:
        """Return (N, 1, S, S) faces, 0 to 1."""
        return faces.clamp(0.0, 1.0)


def _geometry() -> list[nn.Module]:
    return [
        augmentation.RandomHorizontalFlip(p=0.5),
        augmentation.RandomAffine(degrees=15.0, translate=(0.1, 0.1), scale=(0.8, 1.2), padding_mode="border", p=0.9),
    ]


def _mild_geometry() -> list[nn.Module]:
    """Return smaller turns and shifts; a recipe's random crops of 40 in 48 pixels shift by up to 8 % besides."""
    return [
        augmentation.RandomHorizontalFlip(p=0.5),
        augmentation.RandomAffine(
            degrees=10.0, translate=(0.04, 0.04), scale=(0.87, 1.15), padding_mode="border", p=0.8
        ),
    ]


def _quality(often: float = 1.0) -> list[nn.Module]:
    """Return what a bad camera, a small face, a strong codec and uneven light do, to this share of the usual faces."""
    return [
        augmentation.RandomEqualize(p=0.15 * often),
        augmentation.RandomGamma((0.6, 1.7), p=0.5 * often),
        augmentation.RandomContrast((0.6, 1.6), p=0.2 * often),
        augmentation.RandomGaussianBlur((7, 7), (0.4, 2.0), p=0.15 * often),
        LowResolution((16, 40), p=0.15 * often),
        Jpeg((10, 80), p=0.15 * often),
        augmentation.RandomGaussianNoise(0.0, 0.04, p=0.1 * often),
        Clip(),
        augmentation.RandomErasing((0.02, 0.2), (0.4, 2.5), value=0.5, p=0.3 * often),
    ]


AUGMENTATIONS: dict[str, Callable[[], list[nn.Module]]] = {
    "none": list,
    "geometry": _geometry,
    "quality": _quality,
    "light": lambda: _mild_geometry() + _quality(0.5),
    "mild": lambda: _mild_geometry() + _quality(),
    "full": lambda: _geometry() + _quality(),
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


def mixup(
    inputs: Sequence[Tensor], targets: Mapping[str, Tensor], alpha: float
) -> tuple[list[Tensor], dict[str, Tensor]]:
    """Mix each face with another of its batch, and their targets alike.

    Zhang et al. 2018, https://arxiv.org/abs/1710.09412; one share for the whole batch.

    Parameters
    ----------
    inputs : sequence of (N, ...) Tensor of float32
        Pictures of the faces, and what else a net is given of them.
    targets : mapping of str to (N, K) Tensor of float32
        Label distribution of each face for each head.
    alpha : float
        The share is drawn from Beta(alpha, alpha).
    """
    share = torch.distributions.Beta(alpha, alpha).sample()
    partner = torch.randperm(len(inputs[0]))

    def mixed(table: Tensor) -> Tensor:
        return torch.lerp(table[partner], table, share)

    return [mixed(table) for table in inputs], {name: mixed(target) for name, target in targets.items()}
