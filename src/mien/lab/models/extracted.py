"""Nets on what is extracted from an aligned face: its regions, and what was measured on it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mien.lab.models.blocks import ResidualBlock, convolution
from mien.lab.models.ours import residual

WINDOWS = {
    "brows": (0, 6, 48, 22),
    "eyes": (0, 10, 48, 26),
    "mouth": (8, 24, 40, 48),
}
"""Left, top, right and bottom of what each branch sees, in pixels of the 48x48 frame. In an aligned face the points of
a region lie within with 3 pixels to spare for what augmentation moves (tests hold this to the mean shape)."""

MEASURED_FEATURES = 64


class Window(nn.Module):
    """Cuts one window out of every face.

    Parameters
    ----------
    box : tuple of int
        Left, top, right, bottom in pixels.
    """

    def __init__(self, box: tuple[int, int, int, int]) -> None:
        super().__init__()
        self.left, self.top, self.right, self.bottom = box

    def forward(self, faces: Tensor) -> Tensor:
        """Return (N, 1, bottom - top, right - left) windows of (N, 1, S, S) faces."""
        return faces[:, :, self.top : self.bottom, self.left : self.right]


class SideBySide(nn.Module):
    """Branches that are given the same faces, and whose features stand one after the other.

    Parameters
    ----------
    **branches : Module
        Each takes (N, 1, S, S) faces and gives (N, F) features, F being its own.
    """

    def __init__(self, **branches: nn.Module) -> None:
        super().__init__()
        self.branches = nn.ModuleDict(branches)

    def forward(self, faces: Tensor) -> Tensor:
        """Return (N, sum of F) features."""
        return torch.cat([branch(faces) for branch in self.branches.values()], dim=1)


class Measured(nn.Module):
    """Features of what was measured on a face: standardized, one dense layer.

    A missing measure counts as the mean, and a flag says that it is missing.

    Parameters
    ----------
    measures : int
        Measures of a face.
    """

    def __init__(self, measures: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(measures, affine=False)
        self.dense = nn.Sequential(nn.Linear(2 * measures, MEASURED_FEATURES), nn.ReLU(), nn.Dropout(0.2))

    def forward(self, measures: Tensor) -> Tensor:
        """Return (N, 64) features of (N, M) measures, NaN where one is missing."""
        assert self.norm.running_mean is not None  # for mypy: a norm may be told to keep none
        is_missing = measures.isnan()
        known = torch.where(is_missing, self.norm.running_mean, measures)
        features: Tensor = self.dense(torch.cat((self.norm(known), is_missing.float()), dim=1))
        return features


def region(box: tuple[int, int, int, int]) -> nn.Module:
    """Return the branch of a window, 128 features: our residual trunk with half of the channels and fewer blocks."""
    blocks = [ResidualBlock(inputs, 2 * inputs, stride=2) for inputs in (16, 32, 64)]
    layers = [Window(box), *convolution(1, 16, 3), *blocks]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.2))


def regions() -> nn.Module:
    """Return the trunk of `regions-cnn`, 384 features: a branch for brows, eyes and mouth each.

    Kalambate et al., "Real-time facial expression recognition using deep learning", section on regions of interest:
    mouth and the surroundings of eyes and brows are what their net is to look at. The paper does not say how they enter
    it, so windows and branches are ours.
    """
    return SideBySide(**{name: region(box) for name, box in WINDOWS.items()})


def whole_and_regions() -> nn.Module:
    """Return the trunk of `fusion`, 640 features: the whole face by our residual trunk, and its regions."""
    return SideBySide(whole=residual(), regions=regions())
