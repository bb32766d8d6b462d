"""The net that ships as ``default`` and ``fer2013``."""

from __future__ import annotations

from torch import nn

from mien.lab.models.blocks import ResidualBlock


def residual() -> nn.Module:
    """Return our residual trunk: stem of 32, then 64, 128 and 256 channels in 2, 3 and 2 blocks; 256 features."""
    # 48x48 maps cost most and, measured on 2 cores, halve the speed of training: only the stem works on them.
    layers: list[nn.Module] = [nn.Conv2d(1, 32, 3, padding=1, bias=False), nn.BatchNorm2d(32), nn.ReLU()]
    channels = 32
    for outputs, blocks in ((64, 2), (128, 3), (256, 2)):
        for block in range(blocks):
            layers.append(ResidualBlock(channels, outputs, stride=2 if block == 0 else 1))
            channels = outputs
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.2))
