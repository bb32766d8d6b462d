"""Nets that were made for expressions: seven convolutions, DeXpression, mini-XCEPTION, VGG, Deep-Emotion."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from mien.lab.models.blocks import convolution


def seven_conv() -> nn.Module:
    """Return a plain trunk of seven convolution sets, 256 features.

    After Zhang, Peng, Wang and Wang, "Research on Facial Expression Recognition Algorithm based on Deep Learning",
    MEIM 2022, pp. 1010-1013, the "7, Conv set" in Table 1 of the paper that we implement. Its plan is not public to us,
    so all but the number is ours: sets of 3x3 convolution, batch norm and ReLU with 32, 32, 64, 64, 128, 128 and 256
    channels, 2x2 max-pooling after the second, fourth, sixth and seventh, 256 dense units, dropout 0.5.
    """
    layers: list[nn.Module] = []
    inputs = 1
    for outputs, sets in ((32, 2), (64, 2), (128, 2), (256, 1)):
        for _ in range(sets):
            layers += convolution(inputs, outputs, 3)
            inputs = outputs
        layers.append(nn.MaxPool2d(2))
    # 48 -> 24 -> 12 -> 6 -> 3
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(9 * 256, 256), nn.ReLU(), nn.Dropout(0.5))


class FeatEx(nn.Module):
    """Two paths side by side: 1x1 then 3x3 convolution, and 3x3 max-pooling then 1x1 convolution.

    Burkert et al. 2015, https://doi.org/10.48550/arXiv.1509.05371, Fig. 4; 96, 208 and 64 channels are the widths of
    both blocks there. Every convolution has a ReLU.

    Parameters
    ----------
    inputs : int
        Channels that come in; :data:`FeatEx.OUTPUTS` go out.
    """

    OUTPUTS = 208 + 64

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.convolved = nn.Sequential(nn.Conv2d(inputs, 96, 1), nn.ReLU(), nn.Conv2d(96, 208, 3, padding=1), nn.ReLU())
        self.pooled = nn.Sequential(nn.MaxPool2d(3, stride=1, padding=1), nn.Conv2d(inputs, 64, 1), nn.ReLU())

    def forward(self, maps: Tensor) -> Tensor:
        """Return (N, 272, H, W) maps: 208 of the first path, 64 of the second."""
        return torch.cat((self.convolved(maps), self.pooled(maps)), dim=1)


def dexpression() -> nn.Module:
    """Return the trunk of DeXpression, 2,448 features.

    Burkert, Trier, Afzal, Dengel and Liwicki 2015, https://doi.org/10.48550/arXiv.1509.05371. Differs from the paper in
    the input, 48x48 instead of 224x224: with kernels and strides as they are there, 3x3 maps are flattened instead of
    14x14. Response normalization has Caffe's defaults.
    """
    return nn.Sequential(
        nn.Conv2d(1, 64, 7, stride=2, padding=3),
        nn.ReLU(),
        nn.MaxPool2d(3, stride=2, padding=1),
        nn.LocalResponseNorm(5),
        FeatEx(64),
        nn.MaxPool2d(3, stride=2, padding=1),
        FeatEx(FeatEx.OUTPUTS),
        nn.MaxPool2d(3, stride=2, padding=1),
        nn.Flatten(),
    )


class SeparableModule(nn.Module):
    """Two depthwise separable 3x3 convolutions and max-pooling, beside a strided 1x1 convolution; half as large.

    Arriaga et al. 2017, https://doi.org/10.48550/arXiv.1710.07557, after Chollet 2017,
    https://doi.org/10.1109/CVPR.2017.195. Padding is the same on all sides, as everywhere here; Keras pads maps with an
    even number of pixels at the right and the bottom only.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.inner = nn.Sequential(
            nn.Conv2d(inputs, inputs, 3, padding=1, groups=inputs, bias=False),
            *convolution(inputs, outputs, 1),
            nn.Conv2d(outputs, outputs, 3, padding=1, groups=outputs, bias=False),
            *convolution(outputs, outputs, 1, activation=None),
            nn.MaxPool2d(3, stride=2, padding=1),
        )
        self.shortcut = nn.Sequential(*convolution(inputs, outputs, 1, stride=2, activation=None))

    def forward(self, maps: Tensor) -> Tensor:
        """Return (N, outputs, H / 2, W / 2) maps, halves rounded up."""
        return torch.add(self.inner(maps), self.shortcut(maps))


def mini_xception() -> nn.Module:
    """Return the trunk of mini-XCEPTION, 1,152 features.

    Arriaga, Valdenegro-Toro and Ploeger 2017, https://doi.org/10.48550/arXiv.1710.07557, for 48x48 faces as in the
    authors' code. There a last 3x3 convolution makes one map for each class, and logits are their global averages. Of
    3x3 maps that is a linear function of the averages over the nine 3x3 windows, borders filled with zeros: these are
    our features, and a linear head makes of them the same function with as many weights, 56,951 with seven classes
    (58,423 with the statistics of the norms, which Keras counts).
    """
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 8, 3, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        # 44 -> 22 -> 11 -> 6 -> 3
        SeparableModule(8, 16),
        SeparableModule(16, 32),
        SeparableModule(32, 64),
        SeparableModule(64, 128),
        nn.AvgPool2d(3, stride=1, padding=1),
        nn.Flatten(),
    )


def vgg() -> nn.Module:
    """Return a VGG of four stages, 512 features.

    Khaireddin and Chen 2021, https://doi.org/10.48550/arXiv.2105.03588: stages of two 3x3 convolutions with batch norm
    and ReLU, 64, 128, 256 and 512 channels as in the authors' code, each with 2x2 max-pooling. Differs from it in the
    input, 48x48 instead of crops of 40x40, so that 3x3 maps are flattened and not 2x2, and in the dense layers: two of
    512 units instead of 4,096, which would have 36 million weights. Convolutions have no bias, since a norm follows.
    """
    layers: list[nn.Module] = []
    inputs = 1
    for outputs in (64, 128, 256, 512):
        layers += [*convolution(inputs, outputs, 3), *convolution(outputs, outputs, 3), nn.MaxPool2d(2)]
        inputs = outputs
    layers.append(nn.Flatten())
    for values in (9 * 512, 512):
        layers += [nn.Linear(values, 512), nn.ReLU(), nn.Dropout(0.2)]
    return nn.Sequential(*layers)


class SpatialTransformer(nn.Module):
    """Moves, turns, scales and shears each face by what a small net sees in it; at first it changes nothing.

    Jaderberg et al. 2015, https://doi.org/10.48550/arXiv.1506.02025. The small net is that of Deep-Emotion: two
    convolutions with max-pooling and ReLU, two dense layers.
    """

    def __init__(self) -> None:
        super().__init__()
        last = nn.Linear(32, 6)
        with torch.no_grad():
            last.weight.zero_()
            last.bias.copy_(torch.eye(2, 3).flatten())
        # 48 -> 42 -> 21 -> 17 -> 8
        self.localization = nn.Sequential(
            *(nn.Conv2d(1, 8, 7), nn.MaxPool2d(2), nn.ReLU()),
            *(nn.Conv2d(8, 10, 5), nn.MaxPool2d(2), nn.ReLU()),
            *(nn.Flatten(), nn.Linear(640, 32), nn.ReLU(), last),
        )

    def forward(self, faces: Tensor) -> Tensor:
        """Return (N, 1, 48, 48) faces, sampled where the net looks; zero beyond their borders."""
        transforms = self.localization(faces).reshape(-1, 2, 3)
        grid = functional.affine_grid(transforms, list(faces.shape), align_corners=False)
        return functional.grid_sample(faces, grid, align_corners=False)


def deep_emotion() -> nn.Module:
    """Return the trunk of Deep-Emotion, 50 features.

    Minaee, Minaei and Abdolrashidi 2021, https://doi.org/10.3390/s21093046: four convolutions of 10 channels on what a
    spatial transformer attends to, nothing padded. Differs from the paper in a ReLU after every convolution: it names
    one after each pooling. The rate of dropout, 0.5, is ours.
    """
    layers: list[nn.Module] = [SpatialTransformer()]
    for inputs in (1, 10):
        layers += [nn.Conv2d(inputs, 10, 3), nn.ReLU(), nn.Conv2d(10, 10, 3), nn.ReLU(), nn.MaxPool2d(2)]
    # 48 -> 46 -> 44 -> 22 -> 20 -> 18 -> 9
    return nn.Sequential(*layers, nn.Flatten(), nn.Dropout(0.5), nn.Linear(810, 50), nn.ReLU())
