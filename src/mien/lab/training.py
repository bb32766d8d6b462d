"""The training loop: in the order in which it happens, resumable at every step, the same on any restart."""

from __future__ import annotations

import csv
import math
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from threading import Event
from types import FrameType
from typing import Any

import lightning_fabric
import numpy as np
import rich.progress
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel

from mien.core.errors import DatasetError, OptionError, OutputError
from mien.core.labels import EXPRESSIONS
from mien.core.types import FloatArray, IntArray
from mien.lab.augmentation import augmenter, mixup
from mien.lab.datasets import FaceDataset, ferplus_majority, fingerprint
from mien.lab.models import HEADS, FaceNet
from mien.lab.recipes import Recipe, recipe_of

CHECKPOINT_NAME = "checkpoint.pt"
CURVES_NAME = "curves.csv"
EVALUATION_BATCH = 256

Curve = dict[str, float]


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


def train(
    recipe: Recipe,
    training: FaceDataset,
    validation: FaceDataset,
    out: str | Path,
    *,
    init: Mapping[str, Tensor] | None = None,
    progress: bool = False,
) -> Checkpoint:
    """Train a net, or go on where a stopped run in `out` was left.

    Every random choice is a function of seed, step and process, so a run that was killed and started again
    ends with the same weights as an unbroken one. Ctrl-C (and SIGTERM) ends the
    step, writes the checkpoint and returns.

    Parameters
    ----------
    recipe : Recipe
    training, validation : FaceDataset
        Faces to learn from, and faces whose loss and accuracy the curves show.
    out : path_like
        Folder for ``checkpoint.pt`` (after each epoch) and ``curves.csv``.
    init : mapping of str to Tensor, optional
        Weights to start from, as :func:`mien.lab.export.read_weights` gives them.
    progress : bool
        Whether to show a bar with the time left.

    Returns
    -------
    Checkpoint

    Raises
    ------
    OptionError
        If `out` holds a run of another recipe or other data, or `init` does not fit the architecture.
    DatasetError
        If there are too few faces for one batch, or a head has no labels.
    OutputError
        If `out` cannot be written.
    """
    out = Path(out)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{out}: cannot be made ({error.strerror}): choose another folder for the run") from error
    if len(training) < recipe.batch_size:
        raise DatasetError(f"{len(training)} faces to train on: expected at least one batch of {recipe.batch_size}")
    fabric = lightning_fabric.Fabric(
        devices=recipe.processes,
        strategy="ddp_spawn" if recipe.processes > 1 else "auto",
        precision=recipe.precision,  # type: ignore[arg-type]  # a recipe holds plain strings
    )
    # Bound beforehand: Fabric refuses frozen dataclasses among the arguments of launch.
    fabric.launch(partial(_run, recipe=recipe, data=(training, validation), out=out, init=init, progress=progress))
    return load_checkpoint(out / CHECKPOINT_NAME)


def _run(
    fabric: lightning_fabric.Fabric,
    *,
    recipe: Recipe,
    data: tuple[FaceDataset, FaceDataset],
    out: Path,
    init: Mapping[str, Tensor] | None,
    progress: bool,
) -> None:
    training, validation = data
    torch.set_num_threads(1)
    torch.manual_seed(recipe.seed)
    net = FaceNet(recipe.architecture, {head: HEADS[head] for head in recipe.heads})
    if init is not None:
        load_weights(net, init)
    average = AveragedModel(net, avg_fn=_averaging(recipe.average_decay), use_buffers=True)
    optimizer = _optimizer(recipe, net)
    steps_an_epoch = len(training) // recipe.batch_size
    steps = steps_an_epoch * recipe.epochs
    run = {"recipe": asdict(recipe), "data": fingerprint(training), "steps": steps}
    state = _resume(out / CHECKPOINT_NAME, run, net, average, optimizer)
    model, optimizer = fabric.setup(net.to(memory_format=torch.channels_last), optimizer)  # type: ignore[assignment]
    augment = augmenter(recipe.augmentation)
    images, targets = torch.from_numpy(training.images).unsqueeze(1), head_targets(training, recipe.heads)

    def save(step: int) -> None:
        if fabric.is_global_zero:
            weights = {"net": net.state_dict(), "average": average.state_dict(), "optimizer": optimizer.state_dict()}
            _write_checkpoint(out / CHECKPOINT_NAME, run | weights | {"step": step, "curves": state["curves"]})
            _write_curves(out / CURVES_NAME, state["curves"])

    meter, started = _Meter(), time.monotonic()
    with _stop_on_signal() as stop, _bar(progress and fabric.is_global_zero, state["step"], steps) as advance:
        for step in range(state["step"], steps):
            # 1. The rows, and every random choice of this step, follow from seed, step and process.
            torch.manual_seed(_step_seed(recipe.seed, step, fabric.global_rank))
            rows = _rows(recipe, len(training), step, fabric.global_rank)
            # 2. A batch: augmented, sometimes mixed.
            faces = augment(images[rows].float() / 255.0) * 255.0
            wanted = _smooth({head: target[rows] for head, target in targets.items()}, recipe.label_smoothing)
            if torch.rand(()) < recipe.mixup:
                faces, wanted = mixup(faces, wanted, recipe.mixup_alpha)
            # 3. Forward, backward, step.
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(recipe, step, steps)
            model.train()
            logits = model(fabric.to_device(faces).contiguous(memory_format=torch.channels_last))
            losses = {head: soft_cross_entropy(logits[head], fabric.to_device(wanted[head])) for head in recipe.heads}
            loss = torch.stack(list(losses.values())).sum()
            optimizer.zero_grad()
            fabric.backward(loss)
            optimizer.step()
            average.update_parameters(net)
            # 4. What is watched and kept.
            meter.add(losses[recipe.heads[0]], logits[recipe.heads[0]], wanted[recipe.heads[0]])
            advance(float(loss.detach()))
            if (step + 1) % steps_an_epoch == 0:
                row = {
                    "epoch": float((step + 1) // steps_an_epoch),
                    "learning_rate": learning_rate(recipe, step, steps),
                }
                row |= meter.means(fabric) | validate(fabric, average.module, validation, recipe.heads)
                state["curves"].append(row | {"seconds": round(time.monotonic() - started, 1)})
                meter, started = _Meter(), time.monotonic()
                save(step + 1)
            elif _anywhere(fabric, stop.is_set()):
                save(step + 1)
                return
        if not (out / CHECKPOINT_NAME).exists():
            save(steps)


def learning_rate(recipe: Recipe, step: int, steps: int) -> float:
    """Return the learning rate of a step, 0 <= `step` < `steps`.

    Examples
    --------
    >>> recipe = Recipe(learning_rate=0.1, schedule="cosine")
    >>> learning_rate(recipe, 0, 100), round(learning_rate(recipe, 50, 100), 3)
    (0.1, 0.05)
    """
    rise = 0.2 * steps if recipe.schedule == "one-cycle" else 0.0
    if recipe.schedule == "constant":
        return recipe.learning_rate
    if step < rise:
        return recipe.learning_rate * (0.04 + 0.96 * step / rise)
    return recipe.learning_rate * 0.5 * (1 + math.cos(math.pi * (step - rise) / (steps - rise)))


def soft_cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the mean cross-entropy against label distributions; a row of zeros (nothing known) does not count.

    Parameters
    ----------
    logits, targets : (N, K) Tensor of float32
    """
    losses = -(targets * functional.log_softmax(logits.float(), dim=1)).sum(dim=1)
    return losses.sum() / (targets.sum(dim=1) > 0).sum().clamp(min=1)


def head_targets(dataset: FaceDataset, heads: tuple[str, ...]) -> dict[str, Tensor]:
    """Return the label distribution of each face for each head, (N, K) float32; rows of zeros where nothing is known.

    Raises
    ------
    DatasetError
        If a head has no labels in this data set.
    """
    targets: dict[str, Tensor] = {}
    for head in heads:
        if head not in HEADS:
            raise OptionError(f"no head {head!r}: expected {', '.join(HEADS)}")
        table: FloatArray = np.zeros((len(dataset), HEADS[head]), np.float32)
        if head == "fer2013":
            known = np.flatnonzero((dataset.labels >= 0) & (dataset.labels < len(EXPRESSIONS)))
            table[known, dataset.labels[known]] = 1.0
        elif dataset.distributions is not None:
            table[:, : dataset.distributions.shape[1]] = dataset.distributions
        if not table.any():
            raise DatasetError(f"no labels for the head {head!r}: for ferplus put fer2013new.csv beside fer2013.csv")
        targets[head] = torch.from_numpy(table)
    return targets


def head_labels(dataset: FaceDataset, head: str) -> IntArray:
    """Return the hard label of each face for a head, (N,) int64: original, or majority of FER+; -1 is none.

    Contempt is none: the nets that ship answer with seven labels.
    """
    labels = dataset.labels if head == "fer2013" or dataset.votes is None else ferplus_majority(dataset.votes)
    return np.where(labels < len(EXPRESSIONS), labels, -1)


def validate(fabric: lightning_fabric.Fabric, net: nn.Module, dataset: FaceDataset, heads: tuple[str, ...]) -> Curve:
    """Return loss of the first head and accuracy of each head on a data set, shared among the processes."""
    mine = slice(fabric.global_rank, None, fabric.world_size)
    images = torch.from_numpy(dataset.images[mine]).unsqueeze(1)
    labels = {head: torch.from_numpy(head_labels(dataset, head)[mine]) for head in heads}
    sums = torch.zeros(3, len(heads))  # loss, correct, count
    net.eval()
    with torch.inference_mode(), fabric.autocast():
        for start in range(0, len(images), EVALUATION_BATCH):
            part = slice(start, start + EVALUATION_BATCH)
            answers = net(fabric.to_device(images[part].float()).contiguous(memory_format=torch.channels_last))
            for column, head in enumerate(heads):
                known = labels[head][part] >= 0
                logits, truth = answers[head][:, : len(EXPRESSIONS)].float().cpu()[known], labels[head][part][known]
                sums[0, column] += functional.cross_entropy(logits, truth, reduction="sum")
                sums[1, column] += (logits.argmax(dim=1) == truth).sum()
                sums[2, column] += len(truth)
    sums = torch.as_tensor(fabric.all_reduce(sums, reduce_op="sum"))
    loss, correct = (sums[:2] / sums[2].clamp(min=1)).tolist()
    return {"val_loss": loss[0], "val_accuracy": correct[0]} | {
        f"val_accuracy_{head}": value for head, value in zip(heads[1:], correct[1:], strict=True)
    }


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


def load_checkpoint(path: str | Path) -> Checkpoint:
    """Read what a run left behind.

    Raises
    ------
    OptionError
        If the file is missing or is no checkpoint.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        recipe = recipe_of(content["recipe"], str(path))
        net = FaceNet(recipe.architecture, {head: HEADS[head] for head in recipe.heads})
        net.load_state_dict(
            {
                name.removeprefix("module."): value
                for name, value in content["average"].items()
                if name.startswith("module.")
            }
        )
    except OSError as error:
        raise OptionError(f"{path}: cannot be read ({error.strerror}): expected a checkpoint of mien train") from error
    except (RuntimeError, KeyError, ValueError, EOFError, TypeError) as error:
        raise OptionError(f"{path}: is no checkpoint of mien train") from error
    return Checkpoint(recipe, content["data"], content["step"], content["steps"], net.eval(), content["curves"])


def _resume(path: Path, run: dict[str, Any], net: nn.Module, average: nn.Module, optimizer: Any) -> dict[str, Any]:
    if not path.exists():
        return {"step": 0, "curves": []}
    content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    for name, now in (run["recipe"] | {"data": run["data"]}).items():
        before = content["data"] if name == "data" else content["recipe"].get(name)
        if before != now:
            raise OptionError(f"{path} is of a run with {name} {before!r}, now {now!r}: choose another folder (--out)")
    net.load_state_dict(content["net"])
    average.load_state_dict(content["average"])
    optimizer.load_state_dict(content["optimizer"])
    return {"step": content["step"], "curves": content["curves"]}


def _optimizer(recipe: Recipe, net: nn.Module) -> torch.optim.Optimizer:
    weights = [parameter for parameter in net.parameters() if parameter.ndim > 1]
    others = [parameter for parameter in net.parameters() if parameter.ndim <= 1]
    groups = [{"params": weights, "weight_decay": recipe.weight_decay}, {"params": others, "weight_decay": 0.0}]
    if recipe.optimizer == "adam":
        return torch.optim.AdamW(groups, lr=recipe.learning_rate)
    return torch.optim.SGD(groups, lr=recipe.learning_rate, momentum=0.9, nesterov=True)


def _averaging(decay: float) -> Any:
    def average(before: Tensor, now: Tensor, count: Tensor | int) -> Tensor:
        if not before.is_floating_point():
            return now
        # Early weights are forgotten fast, so that short runs gain from the average too.
        return torch.lerp(now, before, min(decay, (1 + int(count)) / (10 + int(count))))

    return average


def _step_seed(seed: int, step: int, rank: int) -> int:
    return int(np.random.SeedSequence((seed, step, rank)).generate_state(1, np.uint64)[0] >> np.uint64(1))


def _rows(recipe: Recipe, count: int, step: int, rank: int) -> IntArray:
    """Return the rows of a step's batch that belong to this process; each epoch has its own order."""
    epoch, position = divmod(step, count // recipe.batch_size)
    order = np.random.default_rng((recipe.seed, epoch)).permutation(count)
    share = recipe.batch_size // recipe.processes
    start = position * recipe.batch_size + rank * share
    return order[start : start + share]


def _smooth(targets: dict[str, Tensor], smoothing: float) -> dict[str, Tensor]:
    """Smooth the hard labels only: votes are soft of themselves."""
    if "fer2013" not in targets:
        return targets
    hard = targets["fer2013"]
    known = hard.sum(dim=1, keepdim=True)
    return targets | {"fer2013": hard * (1 - smoothing) + known * smoothing / hard.shape[1]}


def _anywhere(fabric: lightning_fabric.Fabric, flag: bool) -> bool:
    """Return whether any process has the flag, so that all of them stop at the same step."""
    if fabric.world_size == 1:
        return flag
    return bool(torch.as_tensor(fabric.all_reduce(torch.tensor(float(flag)), reduce_op="sum")) > 0)


class _Meter:
    """Mean loss and accuracy of the batches of an epoch."""

    def __init__(self) -> None:
        self.sums = torch.zeros(3)

    def add(self, loss: Tensor, logits: Tensor, wanted: Tensor) -> None:
        correct = (logits.argmax(dim=1) == wanted.to(logits.device).argmax(dim=1)).sum()
        self.sums += torch.tensor([float(loss.detach()) * len(logits), float(correct), len(logits)])

    def means(self, fabric: lightning_fabric.Fabric) -> Curve:
        loss, correct, count = torch.as_tensor(fabric.all_reduce(self.sums, reduce_op="sum")).tolist()
        return {"train_loss": loss / max(count, 1), "train_accuracy": correct / max(count, 1)}


def _write_checkpoint(path: Path, content: dict[str, Any]) -> None:
    beside = path.with_suffix(".partial")
    try:
        torch.save(content, beside)
        beside.replace(path)
    except (OSError, RuntimeError) as error:
        raise OutputError(f"{path}: cannot be written ({error})") from error


def _write_curves(path: Path, curves: list[Curve]) -> None:
    if not curves:
        return
    beside = path.with_suffix(".partial")
    with beside.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(curves[0]))
        writer.writeheader()
        writer.writerows(curves)
    beside.replace(path)


@contextmanager
def _stop_on_signal() -> Iterator[Event]:
    """Turn Ctrl-C and SIGTERM into a flag that the loop looks at between steps."""
    stop = Event()

    def handle(_signal: int, _frame: FrameType | None) -> None:
        stop.set()

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _bar(shown: bool, done: int, steps: int) -> Iterator[Any]:
    columns = (
        rich.progress.TextColumn("training"),
        rich.progress.BarColumn(),
        rich.progress.MofNCompleteColumn(),
        rich.progress.TextColumn("loss {task.fields[loss]:.3f}"),
        rich.progress.TimeRemainingColumn(),
    )
    with rich.progress.Progress(*columns, disable=not shown) as bar:
        task = bar.add_task("training", total=steps, completed=done, loss=math.nan)
        yield lambda loss: bar.update(task, advance=1, loss=loss)
