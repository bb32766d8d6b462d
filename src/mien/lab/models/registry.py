"""Every architecture by name, with its source, its size and its cost; and the net with its heads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from mien.core.errors import OptionError
from mien.lab.measures import COUNT
from mien.lab.models import classic, compact, extracted, ours, paper
from mien.lab.models.pixels import per_image, unit_range

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
        Length of the feature vector, with what measures add to that of the trunk.
    standardize : callable
        What is done to pixels before the trunk.
    source : str
        Where the architecture comes from.
    input_size : int
        Side of the gray crop in pixels.
    measures : int
        What the net takes beside the crop (:data:`mien.lab.measures.COUNT`).
    """

    build: Callable[[], nn.Module]
    features: int
    standardize: Callable[[Tensor], Tensor]
    source: str
    input_size: int = 48
    measures: int = 0


class FaceNet(nn.Module):
    """A trunk with one linear head for each label set; some are given measures beside the crop.

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
        self.measures = entry.measures
        self.measured = extracted.Measured(entry.measures) if entry.measures else None
        self.feature_count = entry.features
        self.heads = nn.ModuleDict({name: nn.Linear(entry.features, outputs) for name, outputs in heads.items()})

    def forward(self, images: Tensor, measures: Tensor | None = None) -> dict[str, Tensor]:
        """Return the logits of every head.

        Parameters
        ----------
        images : (N, 1, S, S) Tensor of float32
            Gray faces, 0 to 255.
        measures : (N, M) Tensor of float32, optional
            NaN where one is missing; all of them if none are given. Most nets take none.

        Returns
        -------
        dict of str to (N, outputs) Tensor
        """
        return self.with_features(images, measures)[1]

    def with_features(self, images: Tensor, measures: Tensor | None = None) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the features too, for losses that look at them."""
        features = self.features(images, measures)
        return features, {name: head(features) for name, head in self.heads.items()}

    def features(self, images: Tensor, measures: Tensor | None = None) -> Tensor:
        """Return (N, features) what is seen in (N, 1, S, S) gray faces, 0 to 255: all that the heads go by."""
        features: Tensor = self.trunk(self.standardize(images))
        if self.measured is None:
            return features
        if measures is None:
            measures = images.new_full((images.shape[0], self.measures), torch.nan)
        return torch.cat((features, self.measured(measures)), dim=1)


ARCHITECTURES = {
    "default": Architecture(
        build=ours.residual,
        features=256,
        standardize=per_image,
        source="ours: residual net with squeeze-excitation, 32-64-128-256",
    ),
    "paper": Architecture(
        build=paper.paper,
        features=128,
        standardize=unit_range,
        source="Kalambate et al., conv 16@5x5, 32@5x5, 64@3x3, dense 128; unpadded, dropout 0.5 before the last layer",
    ),
    "paper-wide": Architecture(
        build=paper.paper_wide,
        features=128,
        standardize=unit_range,
        source="Kalambate et al., Table 1 [8], conv 64, 128, 512; all else as in their own net",
    ),
    "seven-conv": Architecture(
        build=classic.seven_conv,
        features=256,
        standardize=per_image,
        source="ours, after Zhang et al. 2022 (Kalambate et al., Table 1 [7]), whose plan is not public to us",
    ),
    "dexpression": Architecture(
        build=classic.dexpression,
        features=2448,
        standardize=per_image,
        source="Burkert et al. 2015, DeXpression, https://doi.org/10.48550/arXiv.1509.05371",
    ),
    "mini-xception": Architecture(
        build=classic.mini_xception,
        features=1152,
        standardize=per_image,
        source="Arriaga et al. 2017, mini-XCEPTION, https://doi.org/10.48550/arXiv.1710.07557",
    ),
    "vgg": Architecture(
        build=classic.vgg,
        features=512,
        standardize=per_image,
        source="Khaireddin and Chen 2021, VGG, https://doi.org/10.48550/arXiv.2105.03588; dense layers of 512",
    ),
    "deep-emotion": Architecture(
        build=classic.deep_emotion,
        features=50,
        standardize=per_image,
        source="Minaee et al. 2021, Deep-Emotion, https://doi.org/10.3390/s21093046",
    ),
    "mobilenet": Architecture(
        build=compact.mobilenet,
        features=1024,
        standardize=per_image,
        source="Howard et al. 2019, MobileNetV3-Small, https://doi.org/10.1109/ICCV.2019.00140; stem of stride 1",
    ),
    "efficientnet": Architecture(
        build=compact.efficientnet,
        features=1280,
        standardize=per_image,
        source="Tan and Le 2019, EfficientNet-B0, https://doi.org/10.48550/arXiv.1905.11946; stem of stride 1",
    ),
    "resnet-18": Architecture(
        build=compact.resnet_18,
        features=512,
        standardize=per_image,
        source="He et al. 2016, ResNet-18, https://doi.org/10.1109/CVPR.2016.90; stem 3x3 of stride 2 without pooling",
    ),
    "regions-cnn": Architecture(
        build=extracted.regions,
        features=384,
        standardize=per_image,
        source="Kalambate et al., regions of interest: a small residual net, ours, for brows, eyes and mouth each",
    ),
    "fusion": Architecture(
        build=extracted.whole_and_regions,
        features=640 + extracted.MEASURED_FEATURES,
        standardize=per_image,
        source="ours: the trunk of default on the whole face, regions-cnn, and what was measured on the face",
        measures=COUNT,
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


def megaflops(net: nn.Module, input_size: int) -> float:
    """Return the millions of floating-point operations for one gray face; a multiply-add counts as two."""
    face = torch.zeros(1, 1, input_size, input_size)
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        deepcopy(net).eval()(face)
    return float(counter.get_total_flops()) / 1e6
