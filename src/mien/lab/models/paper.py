"""The net of Kalambate et al., and the wider one that it is compared with."""

from __future__ import annotations

from torch import nn


def paper() -> nn.Module:
    """Return the paper's trunk, 128 features.

    Kalambate et al., "Real-time facial expression recognition using deep learning", Fig. 3: convolutions 16@5x5, 32@5x5
    and 64@3x3, each with ReLU and 2x2 max-pooling, then 128 dense units with ReLU. Not stated there, so ours: nothing
    is padded, and half of the features are dropped in training.
    """
    return _three_convolutions(16, 32, 64)


def paper_wide() -> nn.Module:
    """Return the trunk of the plan (64, 128, 512) in the paper's Table 1, 128 features.

    The paper ascribes the plan to its [8] (Savchenko et al. 2022, https://doi.org/10.1109/TAFFC.2022.3188390) and gives
    nothing but the three numbers and an accuracy of 64 %. Kernels, pooling, dense layer and dropout are therefore those
    of :func:`paper`.
    """
    return _three_convolutions(64, 128, 512)


def _three_convolutions(first: int, second: int, third: int) -> nn.Module:
    layers: list[nn.Module] = []
    for inputs, outputs, side in ((1, first, 5), (first, second, 5), (second, third, 3)):
        layers += [nn.Conv2d(inputs, outputs, side), nn.ReLU(), nn.MaxPool2d(2)]
    # 48 -> 44 -> 22 -> 18 -> 9 -> 7 -> 3: without padding 3 * 3 maps are flattened, 576 values in the paper's net.
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(9 * third, 128), nn.ReLU(), nn.Dropout(0.5))
