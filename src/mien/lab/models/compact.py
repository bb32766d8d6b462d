"""Nets made for photographs of all kinds, adapted to faces of 48x48: MobileNet, EfficientNet, ResNet."""

from __future__ import annotations

from functools import partial

from torch import nn
from torch.nn import functional

from mien.lab.models.blocks import BasicBlock, InvertedResidual, SqueezeExcitation, convolution

MOBILENET_ROWS = (
    (3, 16, 16, True, nn.ReLU, 2),
    (3, 72, 24, False, nn.ReLU, 2),
    (3, 88, 24, False, nn.ReLU, 1),
    (5, 96, 40, True, nn.Hardswish, 2),
    (5, 240, 40, True, nn.Hardswish, 1),
    (5, 240, 40, True, nn.Hardswish, 1),
    (5, 120, 48, True, nn.Hardswish, 1),
    (5, 144, 48, True, nn.Hardswish, 1),
    (5, 288, 96, True, nn.Hardswish, 2),
    (5, 576, 96, True, nn.Hardswish, 1),
    (5, 576, 96, True, nn.Hardswish, 1),
)
"""Howard et al. 2019, Table 2: side, expanded and outgoing channels, whether excited, activation, stride."""

EFFICIENTNET_ROWS = (
    (1, 3, 16, 1, 1),
    (6, 3, 24, 2, 2),
    (6, 5, 40, 2, 2),
    (6, 3, 80, 3, 2),
    (6, 5, 112, 3, 1),
    (6, 5, 192, 4, 2),
    (6, 3, 320, 1, 1),
)
"""Tan and Le 2019, Table 1: expansion, side, outgoing channels, blocks, stride of the first."""


def mobilenet() -> nn.Module:
    """Return the trunk of MobileNetV3-Small, 1,024 features.

    Howard et al. 2019, https://doi.org/10.1109/ICCV.2019.00140, Table 2. Differs from the paper in the input, one
    channel of 48x48 instead of three of 224x224, for which the stem has stride 1 instead of 2 (48 -> 24 -> 12 -> 6 ->
    3); in squeezed widths, exactly a quarter of the expanded ones, not rounded to multiples of 8; and in the 1x1
    convolution after the blocks, which Table 2 marks as excited and ours, like most implementations, does not excite.
    """
    excitation = partial(SqueezeExcitation, reduction=4, gate=functional.hardsigmoid)
    layers = convolution(1, 16, 3, activation=nn.Hardswish)
    inputs = 16
    for side, expanded, outputs, is_excited, activation, stride in MOBILENET_ROWS:
        layers.append(
            InvertedResidual(
                *(inputs, expanded, outputs, side, stride),
                activation=activation,
                excitation=excitation(expanded) if is_excited else None,
            )
        )
        inputs = outputs
    layers += convolution(inputs, 576, 1, activation=nn.Hardswish)
    return nn.Sequential(
        *layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(576, 1024), nn.Hardswish(), nn.Dropout(0.2)
    )


def efficientnet() -> nn.Module:
    """Return the trunk of EfficientNet-B0, 1,280 features.

    Tan and Le 2019, https://doi.org/10.48550/arXiv.1905.11946, Table 1. Differs from the paper in the input, one
    channel of 48x48 instead of three of 224x224, for which the stem has stride 1 instead of 2 (48 -> 24 -> 12 -> 6 ->
    3), and in that no block is dropped at random in training.
    """
    layers = convolution(1, 32, 3, activation=nn.SiLU)
    inputs = 32
    for expansion, side, outputs, blocks, first_stride in EFFICIENTNET_ROWS:
        for block in range(blocks):
            expanded = expansion * inputs
            # Squeezed to a quarter of what comes in, not of what it is expanded to.
            excitation = SqueezeExcitation(expanded, 4 * expansion, activation=functional.silu)
            stride = first_stride if block == 0 else 1
            layers.append(
                InvertedResidual(inputs, expanded, outputs, side, stride, activation=nn.SiLU, excitation=excitation)
            )
            inputs = outputs
    layers += convolution(inputs, 1280, 1, activation=nn.SiLU)
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.2))


def resnet_18() -> nn.Module:
    """Return the trunk of ResNet-18, 512 features.

    He et al. 2016, https://doi.org/10.1109/CVPR.2016.90, Table 1. Differs from the paper in the input, one channel of
    48x48 instead of three of 224x224, for which the stem is a 3x3 convolution of stride 2 without pooling instead of
    7x7 with it (24 -> 12 -> 6 -> 3); stride 1 would cost four times as much.
    """
    layers = convolution(1, 64, 3, stride=2)
    inputs = 64
    for outputs in (64, 128, 256, 512):
        layers += [BasicBlock(inputs, outputs, 2 if outputs > inputs else 1), BasicBlock(outputs, outputs, 1)]
        inputs = outputs
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())
