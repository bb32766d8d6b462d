"""What nets are built of."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional


def convolution(
    inputs: int,
    outputs: int,
    side: int,
    *,
    stride: int = 1,
    groups: int = 1,
    activation: Callable[[], nn.Module] | None = nn.ReLU,
) -> list[nn.Module]:
    """Return a convolution with its batch norm and its activation.

    Parameters
    ----------
    inputs, outputs : int
        Channels.
    side : int
        Side of the kernel in pixels, odd; maps are padded by half of it.
    stride : int
    groups : int
        `inputs` groups are a depthwise convolution.
    activation : callable, optional
        Makes the layer after the norm; none if None.
    """
    layers: list[nn.Module] = [
        nn.Conv2d(inputs, outputs, side, stride, padding=side // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
    ]
    return layers if activation is None else [*layers, activation()]


class SqueezeExcitation(nn.Module):
    """Weighs channels by a glance at the whole map (Hu et al. 2018, https://doi.org/10.1109/CVPR.2018.00745).

    Parameters
    ----------
    channels : int
    reduction : int
        Channels for each value that the glance is squeezed into.
    activation, gate : callable
        What is done to the squeezed values, and what makes weights of the excited ones.
    """

    def __init__(
        self,
        channels: int,
        reduction: int = 8,
        *,
        activation: Callable[[Tensor], Tensor] = functional.relu,
        gate: Callable[[Tensor], Tensor] = torch.sigmoid,
    ) -> None:
        super().__init__()
        self.activation = activation
        self.gate = gate
        self.squeeze = nn.Linear(channels, channels // reduction)
        self.excite = nn.Linear(channels // reduction, channels)

    def forward(self, maps: Tensor) -> Tensor:
        """Return (N, C, H, W) maps, each channel scaled by 0 to 1."""
        weights = self.gate(self.excite(self.activation(self.squeeze(maps.mean(dim=(2, 3))))))
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


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut (He et al. 2016, https://doi.org/10.1109/CVPR.2016.90, Fig. 5 left).

    Where size or channels change, the shortcut is a 1x1 convolution of the same stride with its norm, option B of the
    paper, as is usual today; its own net of 18 layers pads with zeros (option A).
    """

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.inner = nn.Sequential(
            *convolution(inputs, outputs, 3, stride=stride), *convolution(outputs, outputs, 3, activation=None)
        )
        is_changed = stride > 1 or inputs != outputs
        projection = convolution(inputs, outputs, 1, stride=stride, activation=None) if is_changed else []
        self.shortcut = nn.Sequential(*projection)

    def forward(self, maps: Tensor) -> Tensor:
        """Return (N, outputs, H / stride, W / stride) maps."""
        return functional.relu(self.inner(maps) + self.shortcut(maps))


class InvertedResidual(nn.Module):
    """Widens by 1x1, looks at each channel alone, narrows by 1x1, and adds what came in where the shape is the same.

    Sandler et al. 2018, https://doi.org/10.1109/CVPR.2018.00474; with squeeze-excitation between looking and narrowing
    as in Howard et al. 2019, https://doi.org/10.1109/ICCV.2019.00140, section 5.3.

    Parameters
    ----------
    inputs, expanded, outputs : int
        Channels; there is no widening where `expanded` equals `inputs`.
    side, stride : int
        Of the depthwise convolution.
    activation : callable
        Makes the layer after every norm but the last.
    excitation : SqueezeExcitation, optional
        Over the expanded channels.
    """

    def __init__(
        self,
        inputs: int,
        expanded: int,
        outputs: int,
        side: int,
        stride: int,
        *,
        activation: Callable[[], nn.Module],
        excitation: SqueezeExcitation | None = None,
    ) -> None:
        super().__init__()
        layers = convolution(inputs, expanded, 1, activation=activation) if expanded != inputs else []
        layers += convolution(expanded, expanded, side, stride=stride, groups=expanded, activation=activation)
        if excitation is not None:
            layers.append(excitation)
        self.inner = nn.Sequential(*layers, *convolution(expanded, outputs, 1, activation=None))
        self.is_residual = stride == 1 and inputs == outputs

    def forward(self, maps: Tensor) -> Tensor:
        """Return (N, outputs, H / stride, W / stride) maps."""
        inner: Tensor = self.inner(maps)
        return maps + inner if self.is_residual else inner
