"""The nets: every architecture by name, with its source, its size and its cost; and what reads sequences of faces."""

from mien.lab.models.blocks import ResidualBlock, SqueezeExcitation
from mien.lab.models.pixels import per_image, unit_range
from mien.lab.models.recurrent import SequenceNet
from mien.lab.models.registry import (
    ARCHITECTURES,
    HEADS,
    Architecture,
    FaceNet,
    load_weights,
    megaflops,
    parameter_count,
)

__all__ = [
    "ARCHITECTURES",
    "HEADS",
    "Architecture",
    "FaceNet",
    "ResidualBlock",
    "SequenceNet",
    "SqueezeExcitation",
    "load_weights",
    "megaflops",
    "parameter_count",
    "per_image",
    "unit_range",
]
