"""A recipe: all options of one training run, read from a small TOML file."""

from __future__ import annotations

import math
import tomllib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from mien.core.errors import OptionError

SCHEDULES = ("one-cycle", "cosine", "step", "constant")
LOSSES = ("cross-entropy", "robust")
OPTIMIZERS = ("sgd", "adam")
PRECISIONS = ("auto", "bf16-mixed", "32-true")

_KINDS = {str: "text in quotes", int: "a whole number", float: "a number", tuple: "a list of texts"}


@dataclass(frozen=True)
class Recipe:
    """The options of one training run; a file in ``configs/`` gives those that differ from the defaults.

    Parameters
    ----------
    architecture : str
        Name in :data:`mien.lab.models.ARCHITECTURES`.
    heads : tuple of str
        Label sets that are taught: ``fer2013`` (original labels), ``ferplus`` (vote distribution). The first is the
        one whose loss and accuracy stand first in the curves.
    epochs, batch_size : int
    optimizer : {"sgd", "adam"}
        SGD has Nesterov momentum 0.9. Adam's weight decay is decoupled (AdamW); without decay it is Adam itself.
    learning_rate : float
        The highest.
    schedule : {"one-cycle", "cosine", "step", "constant"}
        One-cycle rises over the first fifth of the steps, then falls to zero along a cosine
        (Smith 2018, https://arxiv.org/abs/1708.07120). Step is a tenth after half of the steps, a hundredth after three
        quarters (He et al. 2016, https://doi.org/10.1109/CVPR.2016.90).
    loss : {"cross-entropy", "robust"}
        Robust is the generalized cross-entropy: see :func:`mien.lab.losses.robust_cross_entropy`.
    center_weight : float
        Weight of the center loss beside it (:class:`mien.lab.losses.CenterLoss`), on the labels of the first head; 0
        is none.
    weight_decay : float
        Not applied to biases and norms.
    augmentation : str
        Name in :data:`mien.lab.augmentation.AUGMENTATIONS`.
    mixup : float
        Share of batches that are mixed, 0 to 1.
    mixup_alpha : float
    label_smoothing : float
        Applied to hard labels only: votes are soft of themselves.
    teacher : str
        Name or path of a model whose answers to the training faces, mean of each face and its mirror image, are part
        of the targets of its head; "" is none. Hard labels that are wrong count less so
        (Furlanello et al. 2018, https://arxiv.org/abs/1805.04770).
    teacher_share : float
        Weight of the teacher's answer in the target, 0 to 1.
    crop_size : int
        Side in pixels of the part of a face, at a random place in each batch, that is trained on; 0 is the whole.
        Pooling makes the net independent of it: 40 of 48 pixels cost two thirds of the time.
    full_size_epochs : int
        Epochs at the end in which whole faces are seen again, as the net will see them
        (Touvron et al. 2019, https://arxiv.org/abs/1906.06423).
    frozen : tuple of str
        Modules of the net whose weights, and statistics in norms, stay as they are, such as ``trunk``: for few faces,
        when only the head is to learn.
    average_decay : float
        Decay of the exponential moving average of the weights for each step; 0 turns it off.
    precision : {"auto", "bf16-mixed", "32-true"}
        As Lightning Fabric names it; auto is bf16 where the hardware multiplies in it, else single.
    processes : int
        Processes (or GPUs) that share each batch; each has one thread, since two threads wait for each other
        whenever anything else runs (measured: 196 faces a second with one thread, 37 with two).
    seed : int
    """

    architecture: str = "default"
    heads: tuple[str, ...] = ("fer2013", "ferplus")
    epochs: int = 24
    batch_size: int = 128
    optimizer: str = "sgd"
    learning_rate: float = 0.1
    schedule: str = "one-cycle"
    loss: str = "cross-entropy"
    center_weight: float = 0.0
    weight_decay: float = 5e-4
    augmentation: str = "full"
    mixup: float = 0.5
    mixup_alpha: float = 0.4
    label_smoothing: float = 0.1
    teacher: str = ""
    teacher_share: float = 0.5
    crop_size: int = 0
    full_size_epochs: int = 0
    frozen: tuple[str, ...] = ()
    average_decay: float = 0.999
    precision: str = "auto"
    processes: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        named = {"schedule": SCHEDULES, "loss": LOSSES, "optimizer": OPTIMIZERS, "precision": PRECISIONS}
        for name, choices in named.items():
            if getattr(self, name) not in choices:
                raise OptionError(f"{name} is {getattr(self, name)!r}: expected one of {', '.join(choices)}")
        for name in ("epochs", "batch_size", "processes"):
            if getattr(self, name) < 1:
                raise OptionError(f"{name} is {getattr(self, name)}: expected at least 1")
        for name in ("learning_rate", "mixup_alpha"):
            if not 0 < getattr(self, name) < math.inf:
                raise OptionError(f"{name} is {getattr(self, name)}: expected a number above 0")
        for name in ("weight_decay", "mixup", "label_smoothing", "center_weight", "teacher_share", "average_decay"):
            if not 0 <= getattr(self, name) <= 1:
                raise OptionError(f"{name} is {getattr(self, name)}: expected 0 to 1")
        for name in ("seed", "crop_size", "full_size_epochs"):
            if getattr(self, name) < 0:
                raise OptionError(f"{name} is {getattr(self, name)}: expected 0 or more")
        if self.batch_size % self.processes:
            raise OptionError(f"batch_size {self.batch_size} cannot be shared by {self.processes} processes")
        if self.center_weight and self.processes > 1:
            raise OptionError(f"center_weight with {self.processes} processes: expected 1, which knows all centers")
        if not self.heads or len(set(self.heads)) < len(self.heads):
            raise OptionError(f"heads are {list(self.heads)}: expected 'fer2013', 'ferplus' or both, each once")


def read_recipe(path: str | Path) -> Recipe:
    """Read a recipe from a TOML file.

    Raises
    ------
    OptionError
        If the file cannot be read, an option is unknown, or a value has the wrong type.
    """
    try:
        content = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise OptionError(f"{path}: cannot be read ({error.strerror}): expected a recipe (.toml)") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise OptionError(f"{path}: is no TOML ({error})") from error
    return recipe_of(content, str(path))


def recipe_of(content: dict[str, Any], origin: str) -> Recipe:
    """Return the recipe that a mapping describes; `origin` is named in errors."""
    defaults = {f.name: f.default for f in fields(Recipe)}
    options: dict[str, Any] = {}
    for name, value in content.items():
        if name not in defaults:
            raise OptionError(f"{origin}: unknown option {name!r}: expected one of {', '.join(defaults)}")
        options[name] = _typed(value, type(defaults[name]), f"{origin}: {name}")
    try:
        return Recipe(**options)
    except OptionError as error:
        raise OptionError(f"{origin}: {error}") from error


def _typed(value: object, expected: type, name: str) -> object:
    if expected is tuple and isinstance(value, (list, tuple)) and all(isinstance(item, str) for item in value):
        return tuple(value)
    if expected is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not expected:
        raise OptionError(f"{name} is {value!r}: expected {_KINDS[expected]}")
    return value
