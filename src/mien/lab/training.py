"""The training loop: in the order in which it happens, resumable at every step, the same on any restart."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from ctypes import c_bool
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import rich.progress
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.nn import functional

from mien.core.errors import OptionError
from mien.core.labels import EXPRESSIONS
from mien.core.types import IntArray
from mien.engine.results.writer import make_folder
from mien.lab.augmentation import augmenter, mixup
from mien.lab.checkpoints import (
    CHECKPOINT_NAME,
    Checkpoint,
    Curve,
    Run,
    State,
    check_folder,
    load_checkpoint,
    restore,
    save,
)
from mien.lab.datasets import FaceDataset, fingerprint
from mien.lab.losses import Criterion
from mien.lab.models import HEADS, FaceNet, load_weights
from mien.lab.processes import launch, stop_asked
from mien.lab.recipes import Recipe
from mien.lab.schedules import average_of, learning_rate, optimizer_of, run_steps
from mien.lab.targets import given_measures, head_labels, head_targets, smoothed, taught

__all__ = ["Checkpoint", "head_labels", "load_checkpoint", "train"]

EVALUATION_BATCH = 256


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
    ends with the same weights as an unbroken one. Ctrl-C (and SIGTERM) ends the step, writes the checkpoint and
    returns; a second Ctrl-C does not wait.

    Parameters
    ----------
    recipe : Recipe
    training, validation : FaceDataset
        Faces to learn from, and faces whose loss and accuracy the curves show.
    out : path_like
        Folder for ``checkpoint.pt`` (after each epoch) and ``curves.csv``.
    init : mapping of str to Tensor, optional
        Weights to start from, as :func:`mien.lab.graph.read_weights` gives them.
    progress : bool
        Whether to show a bar with the time left.

    Returns
    -------
    Checkpoint

    Raises
    ------
    OptionError
        If `out` holds a run of another recipe or other data, `init` does not fit the architecture, or it has no module
        that is to be frozen; if the loss is no number any more, with the last epoch's checkpoint left as it is.
    DatasetError
        If there are too few faces for one batch, or a head has no labels.
    OutputError
        If `out` cannot be written.
    """
    out = Path(out)
    steps = run_steps(recipe, len(training))
    # What can be refused is refused before processes are started.
    targets = head_targets(training, recipe.heads)
    for head in recipe.heads:
        head_labels(validation, head)
    augmenter(recipe.augmentation)
    _refuse_wrong_crop(recipe, first_net(recipe, init))
    for faces in (training, validation):
        given_measures(faces, recipe.architecture)
    run = Run(recipe, fingerprint(training), steps)
    make_folder(out)
    check_folder(out, run)
    if recipe.teacher:
        targets = taught(targets, training, recipe.teacher, recipe.teacher_share)
    task = partial(_train, run=run, data=(training, validation), targets=targets, out=out, init=init, progress=progress)
    launch(task, processes=recipe.processes, precision=recipe.precision)
    return load_checkpoint(out / CHECKPOINT_NAME)


def _train(
    fabric: Fabric,
    stop: c_bool,
    *,
    run: Run,
    data: tuple[FaceDataset, FaceDataset],
    targets: Mapping[str, Tensor],
    out: Path,
    init: Mapping[str, Tensor] | None,
    progress: bool,
) -> None:
    recipe, (training, validation) = run.recipe, data
    torch.set_num_threads(1)
    net = first_net(recipe, init)
    # On its device before it is restored: what the optimizer remembers follows the weights when it is read only.
    net.to(fabric.device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # unknown to torch's types
    average, criterion = average_of(net, recipe.average_decay, fabric.device), Criterion(recipe, net)
    criterion.to(fabric.device)
    state = State(net, average, criterion, optimizer_of(recipe, net, criterion))
    restore(out, state)
    model, optimizer = fabric.setup(net, state.optimizer)
    model.mark_forward_method("with_features")
    batches = _Batches(recipe, training, targets, fabric.global_rank)
    meter = Meter(state.meter if fabric.is_global_zero else ())  # it has the sums of all processes
    with _bar(progress and fabric.is_global_zero, state.step, run.steps) as advance:
        for step in range(state.step, run.steps):
            # 1. A batch: augmented, sometimes mixed.
            faces, measures, wanted = batches.draw(step)
            wanted = fabric.to_device(wanted)
            # 2. Forward, backward, step.
            rate = learning_rate(recipe, step, run.steps)
            for group in optimizer.param_groups:
                group["lr"] = rate
            net.train()
            for name in recipe.frozen:
                net.get_submodule(name).eval()
            seen = fabric.to_device(faces).contiguous(memory_format=torch.channels_last)
            features, logits = model.with_features(seen, fabric.to_device(measures))
            losses = criterion(features, logits, wanted)
            optimizer.zero_grad()
            fabric.backward(torch.stack(losses).sum())
            optimizer.step()
            average.update_parameters(net)
            state.step = step + 1
            # 3. What is watched: the first head at every step, all of them at the end of an epoch.
            meter.add(losses[0], logits[recipe.heads[0]], wanted[recipe.heads[0]])
            advance(float(losses[0].detach()))
            epoch, left = divmod(state.step, len(batches))
            if left == 0:
                row = {"epoch": float(epoch), "learning_rate": rate} | meter.means(fabric)
                _refuse_divergence(row)
                row |= validate(fabric, average, validation, recipe)
                state.curves.append(row | meter.seconds())
                meter = Meter()
            # 4. What is kept.
            stopping = stop_asked(fabric, stop)
            if left == 0 or stopping:
                state.meter = meter.so_far(fabric)
                if fabric.is_global_zero:
                    save(out, run, state)
            if stopping:
                return


def _refuse_divergence(row: Curve) -> None:
    if not math.isfinite(row["train_loss"]):
        raise OptionError(
            f"the loss of epoch {row['epoch']:g} is {row['train_loss']}: lower learning_rate (now "
            f"{row['learning_rate']:.2g}), or set precision to 32-true, and choose another folder (--out)"
        )


def validate(fabric: Fabric, net: nn.Module, dataset: FaceDataset, recipe: Recipe) -> Curve:
    """Return loss of the first head and accuracy of each head on a data set, shared among the processes."""
    heads = recipe.heads
    # The statistics in the norms differ a little between processes: those of the first are kept, and measured.
    net.load_state_dict(fabric.broadcast(net.state_dict()))
    mine = slice(fabric.global_rank, None, fabric.world_size)
    images = torch.from_numpy(dataset.images[mine]).unsqueeze(1)
    measures = given_measures(dataset, recipe.architecture)[mine]
    labels = {head: torch.from_numpy(head_labels(dataset, head)[mine]) for head in heads}
    sums = torch.zeros(3, len(heads))  # loss, correct, count
    net.eval()
    with torch.inference_mode(), fabric.autocast():
        for start in range(0, len(images), EVALUATION_BATCH):
            part = slice(start, start + EVALUATION_BATCH)
            faces = fabric.to_device(images[part].float()).contiguous(memory_format=torch.channels_last)
            answers = net(faces, fabric.to_device(measures[part]))
            for column, head in enumerate(heads):
                known = labels[head][part] >= 0
                logits, truth = answers[head][:, : len(EXPRESSIONS)].float().cpu()[known], labels[head][part][known]
                sums[0, column] += functional.cross_entropy(logits, truth, reduction="sum")
                sums[1, column] += (logits.argmax(dim=1) == truth).sum()
                sums[2, column] += len(truth)
    sums = torch.as_tensor(fabric.all_reduce(fabric.to_device(sums), reduce_op="sum"))
    loss, correct = (sums[:2] / sums[2].clamp(min=1)).tolist()
    return {"val_loss": loss[0], "val_accuracy": correct[0]} | {
        f"val_accuracy_{head}": value for head, value in zip(heads[1:], correct[1:], strict=True)
    }


def first_net(recipe: Recipe, init: Mapping[str, Tensor] | None = None) -> FaceNet:
    """Return the net before the first step: drawn by the seed, or with the weights given."""
    torch.manual_seed(recipe.seed)
    net = FaceNet(recipe.architecture, {head: HEADS[head] for head in recipe.heads})
    if init is not None:
        load_weights(net, init)
    modules = dict(net.named_modules())
    for name in recipe.frozen:
        if name not in modules:
            raise OptionError(
                f"no module {name!r} to freeze in {recipe.architecture}: expected trunk, heads, or a part of one, "
                f"such as heads.{recipe.heads[0]}"
            )
        modules[name].requires_grad_(False)
    if not any(parameter.requires_grad for parameter in net.parameters()):
        raise OptionError(f"frozen is {', '.join(recipe.frozen)}: expected something of the net left to teach")
    return net


def _refuse_wrong_crop(recipe: Recipe, net: FaceNet) -> None:
    if recipe.crop_size > net.input_size:
        raise OptionError(f"crop_size is {recipe.crop_size}: expected at most {net.input_size}, the whole face")
    if recipe.crop_size:
        try:
            with torch.inference_mode():
                net.eval()(torch.zeros(1, 1, recipe.crop_size, recipe.crop_size))
        except RuntimeError as error:  # of nets that flatten their maps
            raise OptionError(
                f"crop_size is {recipe.crop_size}: {recipe.architecture} knows whole faces only: expected 0"
            ) from error


class _Batches:
    """The share of one process in the batch of every step: faces, measures, the distribution each head should give."""

    def __init__(self, recipe: Recipe, training: FaceDataset, targets: Mapping[str, Tensor], rank: int) -> None:
        self.recipe = recipe
        self.rank = rank
        self.augment = augmenter(recipe.augmentation)
        self.images = torch.from_numpy(training.images).unsqueeze(1)
        self.measures = given_measures(training, recipe.architecture)
        self.targets = targets

    def __len__(self) -> int:
        """Return the steps of an epoch; the faces that do not fill a batch are left out, others in each epoch."""
        return len(self.images) // self.recipe.batch_size

    def draw(self, step: int) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """Return the batch of a step, counted over all epochs; sets the seed for all that is drawn in this step."""
        torch.manual_seed(_step_seed(self.recipe.seed, step, self.rank))
        rows = _rows(self.recipe, len(self.images), step, self.rank)
        faces, measures = self.augment(self.images[rows].float() / 255.0) * 255.0, self.measures[rows]
        targets = smoothed({head: table[rows] for head, table in self.targets.items()}, self.recipe.label_smoothing)
        if torch.rand(()) < self.recipe.mixup:
            (faces, measures), targets = mixup((faces, measures), targets, self.recipe.mixup_alpha)
        return self._cropped(faces, step), measures, targets

    def _cropped(self, faces: Tensor, step: int) -> Tensor:
        size = self.recipe.crop_size
        if size == 0 or step // len(self) >= self.recipe.epochs - self.recipe.full_size_epochs:
            return faces
        top, left = torch.randint(0, faces.shape[-1] - size + 1, (2,)).tolist()
        return faces[..., top : top + size, left : left + size]


def _step_seed(seed: int, step: int, rank: int) -> int:
    return int(np.random.SeedSequence((seed, step, rank)).generate_state(1, np.uint64)[0] >> np.uint64(1))


def _rows(recipe: Recipe, count: int, step: int, rank: int) -> IntArray:
    """Return the rows of a step's batch that belong to this process; each epoch has its own order."""
    epoch, position = divmod(step, count // recipe.batch_size)
    share = recipe.batch_size // recipe.processes
    start = position * recipe.batch_size + rank * share
    return _order(recipe.seed, epoch, count)[start : start + share]


@lru_cache(maxsize=1)  # drawn once an epoch, not once a step
def _order(seed: int, epoch: int, count: int) -> IntArray:
    return np.random.default_rng((seed, epoch)).permutation(count)


class Meter:
    """Mean loss and accuracy of the batches of an epoch, over the faces of which something is known; and its time.

    Parameters
    ----------
    before : sequence of float
        What :meth:`so_far` gave, of an epoch that was begun in another process.
    """

    def __init__(self, before: Sequence[float] = ()) -> None:
        *sums, wall, cpu = before or (0.0,) * 5
        self.sums = torch.tensor(sums)  # loss, correct, count
        self.started = time.monotonic() - wall, time.process_time() - cpu

    def so_far(self, fabric: Fabric) -> list[float]:
        """Return the sums over all processes, and the seconds of this one, by clock and by processor."""
        return [*self._sums(fabric), *self._elapsed()]

    def add(self, loss: Tensor, logits: Tensor, targets: Tensor) -> None:
        """Add a batch."""
        known = targets.sum(dim=1) > 0
        correct = known & (logits.argmax(dim=1) == targets.argmax(dim=1))
        self.sums += torch.tensor([float(loss.detach() * known.sum()), float(correct.sum()), float(known.sum())])

    def means(self, fabric: Fabric) -> Curve:
        """Return the means over all processes."""
        loss, correct, count = self._sums(fabric)
        return {"train_loss": loss / max(count, 1), "train_accuracy": correct / max(count, 1)}

    def _sums(self, fabric: Fabric) -> list[float]:
        return list(torch.as_tensor(fabric.all_reduce(fabric.to_device(self.sums), reduce_op="sum")).tolist())

    def seconds(self) -> Curve:
        """Return the time since the start, and what this process worked of it: the rest is that of others."""
        wall, cpu = self._elapsed()
        return {"seconds": round(wall, 1), "cpu_seconds": round(cpu, 2)}

    def _elapsed(self) -> tuple[float, float]:
        return time.monotonic() - self.started[0], time.process_time() - self.started[1]


@contextmanager
def _bar(shown: bool, done: int, steps: int) -> Iterator[Callable[[float], None]]:
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
