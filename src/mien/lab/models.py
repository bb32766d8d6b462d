"""The nets: every architecture by name, with its source, its size and its cost."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from mien.core.errors import OptionError

HEADS = {"fer2013": 7, "ferplus": 8}
"""Outputs of each head: the original labels of FER2013, and the votes of FER+ (contempt comes eighth)."""


@dataclass(frozen=True)
class Architecture:
    """One entry of the registry.

    Parameters
    ----------
    build : callable
        Makes the trunk; it takes standardized faces (N, 1, S, S) and gives features (N, `features`).
    features : int
        Length of the feature vector.
    standardize : callable
        What is done to pixels before the trunk.
    source : str
        Where the architecture comes from.
    input_size : int
        Side of the gray crop in pixels.
    """

    build: Callable[[], nn.Module]
    features: int
    standardize: Callable[[Tensor], Tensor]
    source: str
    input_size: int = 48


class FaceNet(nn.Module):
    """A trunk with one linear head for each label set.

    Parameters
    ----------
    architecture : str
        Name in :data:`ARCHITECTURES`.
    heads : mapping of str to int
        Name and number of outputs of each head.

    Raises
    ------
    OptionError
        If the architecture is unknown.
    """

    def __init__(self, architecture: str, heads: Mapping[str, int]) -> None:
        super().__init__()
        if architecture not in ARCHITECTURES:
            raise OptionError(f"no architecture {architecture!r}: expected one of {', '.join(ARCHITECTURES)}")
        entry = ARCHITECTURES[architecture]
        self.architecture = architecture
        self.input_size = entry.input_size
        self.standardize = entry.standardize
        self.trunk = entry.build()
        self.heads = nn.ModuleDict({name: nn.Linear(entry.features, outputs) for name, outputs in heads.items()})

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Return the logits of every head.

        Parameters
        ----------
        images : (N, 1, S, S) Tensor of float32
            Gray faces, 0 to 255.

        Returns
        -------
        dict of str to (N, outputs) Tensor
        """
        features = self.trunk(self.standardize(images))
        return {name: head(features) for name, head in self.heads.items()}


def unit_range(images: Tensor) -> Tensor:
    """Return pixels of 0 to 255 as 0 to 1."""
    return images / 255.0


def per_image(images: Tensor) -> Tensor:
    """Return pixels with mean 0 and deviation 1 in each image, so that brightness and contrast do not matter."""
    mean = images.mean(dim=(2, 3), keepdim=True)
    centered = images - mean
    # 8 gray levels: a nearly empty picture is not blown up into noise.
    return centered / (centered.square().mean(dim=(2, 3), keepdim=True) + 64.0).sqrt()


class SqueezeExcitation(nn.Module):
    """Weighs channels by a glance at the whole map (Hu et al. 2018, https://doi.org/10.1109/CVPR.2018.00745)."""

    def __init__(self, channels: int, reduction: int = 8) -> None:
        super().__init__()
        self.squeeze = nn.Linear(channels, channels // reduction)
        self.excite = nn.Linear(channels // reduction, channels)

    def forward(self, maps: Tensor) -> Tensor:
        """Return (N, C, H, W) maps, each channel scaled by 0 to 1."""
        weights = torch.sigmoid(self.excite(functional.relu(self.squeeze(maps.mean(dim=(2, 3))))))
        return maps * weights[:, :, None, None]


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions with squeeze-excitation and a shortcut (He et al. 2016, basic block).

    Where it shrinks, the shortcut averages before its 1x1 convolution, as in ResNet-D
    (He et al. 2019, https://doi.org/10.1109/CVPR.2019.00065): nothing is skipped over.
    """

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.first_norm = nn.BatchNorm2d(outputs)
        self.second = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.second_norm = nn.BatchNorm2d(outputs)
        self.excitation = SqueezeExcitation(outputs)
        shortcut: list[nn.Module] = [nn.AvgPool2d(stride)] if stride > 1 else []
        if inputs != outputs:
            shortcut += [nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs)]
        self.shortcut = nn.Sequential(*shortcut)

    def forward(self, maps: Tensor) -> Tensor:
        """Return (N, outputs, H / stride, W / stride) maps."""
        inner = functional.relu(self.first_norm(self.first(maps)))
        inner = self.excitation(self.second_norm(self.second(inner)))
        return functional.relu(inner + self.shortcut(maps))


def _residual() -> nn.Module:
    # 48x48 maps cost most and, measured on 2 cores, halve the speed of training: only the stem works on them.
    layers: list[nn.Module] = [nn.Conv2d(1, 32, 3, padding=1, bias=False), nn.BatchNorm2d(32), nn.ReLU()]
    channels = 32
    for outputs, blocks in ((64, 2), (128, 3), (256, 2)):
        for block in range(blocks):
            layers.append(ResidualBlock(channels, outputs, stride=2 if block == 0 else 1))
            channels = outputs
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.2))


def _paper() -> nn.Module:
    layers: list[nn.Module] = []
    for inputs, outputs, side in ((1, 16, 5), (16, 32, 5), (32, 64, 3)):
        layers += [nn.Conv2d(inputs, outputs, side), nn.ReLU(), nn.MaxPool2d(2)]
    # 48 -> 44 -> 22 -> 18 -> 9 -> 7 -> 3: without padding 3 * 3 * 64 = 576 values are flattened.
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(576, 128), nn.ReLU(), nn.Dropout(0.5))


ARCHITECTURES = {
    "default": Architecture(
        build=_residual,
        features=256,
        standardize=per_image,
        source="ours: residual net with squeeze-excitation, 32-64-128-256",
    ),
    "paper": Architecture(
        build=_paper,
        features=128,
        standardize=unit_range,
        source="Kalambate et al., conv 16@5x5, 32@5x5, 64@3x3, dense 128; unpadded, dropout 0.5 before the last layer",
    ),
}
"""Every net by name."""


def load_weights(net: FaceNet, weights: Mapping[str, Tensor]) -> None:
    """Load the trunk, and whatever heads are there, from weights by name.

    Raises
    ------
    OptionError
        If the trunk's weights do not fit the architecture.
    """
    own = net.state_dict()
    fitting = {name: value for name, value in weights.items() if name in own and own[name].shape == value.shape}
    missing = [n for n in own if n.startswith("trunk.") and n not in fitting and not n.endswith("num_batches_tracked")]
    if missing:
        raise OptionError(
            f"the weights do not fit {net.architecture!r}: {missing[0]} (and {len(missing) - 1} more) "
            "is missing or has another shape; start from a net of the same architecture"
        )
    net.load_state_dict(fitting, strict=False)


def parameter_count(net: nn.Module) -> int:
    """Return the number of trained weights."""
    return sum(parameter.numel() for parameter in net.parameters())


def megaflops(net: FaceNet) -> float:
    """Return the millions of floating-point operations for one face; a multiply-add counts as two."""
    face = torch.zeros(1, 1, net.input_size, net.input_size)
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        deepcopy(net).eval()(face)
    return float(counter.get_total_flops()) / 1e6
