"""What a run leaves in its folder: a checkpoint to go on from and to export, and curves to look at."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from mien.core.errors import OptionError
from mien.engine.results.writer import whole_file
from mien.lab.models import HEADS, FaceNet
from mien.lab.recipes import Recipe, recipe_of

CHECKPOINT_NAME = "checkpoint.pt"
CURVES_NAME = "curves.csv"

Curve = dict[str, float]

_KEYS = {"recipe", "data", "steps", "step", "net", "average", "criterion", "optimizer", "curves"}


@dataclass
class Checkpoint:
    """What a run leaves behind, finished or not.

    Parameters
    ----------
    recipe : Recipe
    data : str
        Fingerprint of the training faces and labels.
    step, steps : int
        Steps done, and steps of the whole run.
    net : FaceNet
        The net with averaged weights, in evaluation mode: what is exported.
    curves : list of dict
        One row for each epoch.
    """

    recipe: Recipe
    data: str
    step: int
    steps: int
    net: FaceNet
    curves: list[Curve] = field(default_factory=list)

    @property
    def finished(self) -> bool:
        """Whether all steps were done."""
        return self.step >= self.steps


@dataclass(frozen=True)
class Run:
    """What stays the same from the first step to the last.

    Parameters
    ----------
    recipe : dataclass
        The options of the run.
    data : str
        Fingerprint of the training faces and labels.
    steps : int
        Steps of the whole run.
    """

    recipe: Any
    data: str
    steps: int


@dataclass
class State:
    """What changes with every step.

    Parameters
    ----------
    net : Module
    average : AveragedModel
        The moving average of `net`.
    criterion : Module
        The loss, which may have weights of its own.
    optimizer : Optimizer
    step : int
        Steps done.
    curves : list of dict
        One row for each epoch done.
    meter : sequence of float
        What was summed up in the epoch that is not done: see :class:`mien.lab.training.Meter`.
    """

    net: nn.Module
    average: AveragedModel
    criterion: nn.Module
    optimizer: torch.optim.Optimizer
    step: int = 0
    curves: list[Curve] = field(default_factory=list)
    meter: Sequence[float] = ()


def check_folder(out: Path, run: Run) -> None:
    """Refuse a folder that holds another run, or a file where the checkpoint should be that is none.

    Raises
    ------
    OptionError
    """
    path = out / CHECKPOINT_NAME
    if not path.exists():
        return
    content = _read(path)
    for name, now in (asdict(run.recipe) | {"data": run.data}).items():
        before = content["data"] if name == "data" else content["recipe"].get(name)
        if before != now:
            raise OptionError(f"{path} is of a run with {name} {before!r}, now {now!r}: choose another folder (--out)")


def save(out: Path, run: Run, state: State) -> None:
    """Write checkpoint and curves.

    Raises
    ------
    OutputError
        If they cannot be written; the ones before stay as they are.
    """
    buffer = io.BytesIO()  # to a file, torch reports a full disk as a failed assertion
    torch.save(
        {
            "recipe": asdict(run.recipe),
            "data": run.data,
            "steps": run.steps,
            "net": state.net.state_dict(),
            "average": state.average.state_dict(),
            "criterion": state.criterion.state_dict(),
            "optimizer": state.optimizer.state_dict(),
            "step": state.step,
            "curves": state.curves,
            "meter": list(state.meter),
        },
        buffer,
    )
    with whole_file(out / CHECKPOINT_NAME) as path:
        path.write_bytes(buffer.getbuffer())
    if state.curves:
        with whole_file(out / CURVES_NAME) as path, path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, fieldnames=list(state.curves[0]))
            writer.writeheader()
            writer.writerows(state.curves)


def restore(out: Path, state: State) -> None:
    """Put a state where the run in a folder was left; without a checkpoint it stays as it is."""
    path = out / CHECKPOINT_NAME
    if not path.exists():
        return
    content = _read(path)
    state.net.load_state_dict(content["net"])
    state.average.load_state_dict(content["average"])
    state.criterion.load_state_dict(content["criterion"])
    state.optimizer.load_state_dict(content["optimizer"])
    state.step, state.curves = content["step"], content["curves"]
    state.meter = content.get("meter", ())  # runs of mien before 2026-11-28 kept none


def averaged_weights(state: State) -> dict[str, Tensor]:
    """Return the moving average of the weights by the names that the net gives them."""
    return _without_wrapper(state.average.state_dict())


def _without_wrapper(average: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix("module."): value for name, value in average.items() if name != "n_averaged"}


def load_checkpoint(path: str | Path) -> Checkpoint:
    """Read what a run left behind.

    Raises
    ------
    OptionError
        If the file is missing or is no checkpoint.
    """
    content = _read(Path(path))
    try:
        recipe = recipe_of(content["recipe"], str(path))
        net = FaceNet(recipe.architecture, {head: HEADS[head] for head in recipe.heads})
        net.load_state_dict(_without_wrapper(content["average"]))
    except (RuntimeError, KeyError, TypeError, AttributeError) as error:
        raise OptionError(f"{path}: its weights do not fit its recipe: expected a checkpoint of mien train") from error
    return Checkpoint(recipe, content["data"], content["step"], content["steps"], net.eval(), content["curves"])


def _read(path: Path) -> dict[str, Any]:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise OptionError(f"{path}: cannot be read ({error.strerror}): expected a checkpoint of mien train") from error
    except Exception as error:  # torch raises what its zip reader and its unpickler raise
        raise OptionError(f"{path}: is no whole checkpoint of mien train: give another file or folder") from error
    if not isinstance(content, dict) or not content.keys() >= _KEYS:
        raise OptionError(f"{path}: is no checkpoint of mien train: give another file or folder")
    return content
