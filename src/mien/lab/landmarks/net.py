"""The landmark net."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mien.core.preprocess import MEAN_SHAPE
from mien.face.landmarks import COUNT, FRAME_SHARE
from mien.lab.models.blocks import ResidualBlock
from mien.lab.models.pixels import per_image

INPUT_SIZE = 64  # with FRAME_SHARE, the 48 pixels of FER2013 become 53


class LandmarkNet(nn.Module):
    """Points of a face and how sure they are, from a gray crop: residual blocks, then one layer.

    Points are regressed, as offsets from the mean face; the last maps are not pooled, since where things are is the
    question. 1.3 million weights.
    """

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(1, 32, 3, 2, padding=1, bias=False), nn.BatchNorm2d(32), nn.ReLU()]
        channels = 32
        for outputs in (64, 96, 128):
            for stride in (2, 1):
                layers.append(ResidualBlock(channels, outputs, stride))
                channels = outputs
        self.trunk = nn.Sequential(*layers, nn.Flatten())
        features = channels * (INPUT_SIZE // 16) ** 2
        self.offsets = nn.Linear(features, 2 * COUNT)
        self.sureness = nn.Linear(features, 1)
        nn.init.normal_(self.offsets.weight, std=1e-3)
        mean = 0.5 + (torch.from_numpy(MEAN_SHAPE.copy()) - 0.5) / FRAME_SHARE
        self.register_buffer("mean_shape", mean)

    def forward(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        """Return points and logits of how sure they are.

        Parameters
        ----------
        crops : (N, 1, 64, 64) Tensor of float32
            Gray, 0 to 255, `FRAME_SHARE` times as wide as FER2013's frame.

        Returns
        -------
        points : (N, 68, 2) Tensor
            In shares of the crop.
        logits : (N,) Tensor
        """
        features = self.trunk(per_image(crops))
        points: Tensor = self.mean_shape + self.offsets(features).reshape(-1, COUNT, 2)
        return points, self.sureness(features).squeeze(1)


class ExportedLandmarkNet(nn.Module):
    """The landmark net as it ships: uint8 crops in, points and confidences out."""

    def __init__(self, net: LandmarkNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        """Return (N, 68, 2) points in shares of the crop and (N,) confidences of (N, 1, 64, 64) uint8 crops."""
        points, logits = self.net(crops.float())
        return points, torch.sigmoid(logits)
