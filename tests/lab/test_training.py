from __future__ import annotations

import csv
import pickle
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from mien.core.errors import DatasetError, OptionError, OutputError
from mien.core.labels import EXPRESSIONS
from mien.lab.checkpoints import CHECKPOINT_NAME, CURVES_NAME
from mien.lab.datasets import FaceDataset
from mien.lab.losses import Criterion
from mien.lab.models import FaceNet
from mien.lab.recipes import Recipe
from mien.lab.schedules import average_of, optimizer_of
from mien.lab.targets import head_labels, head_targets, smoothed
from mien.lab.training import Checkpoint, load_checkpoint, train

RECIPE = Recipe(architecture="paper", epochs=4, batch_size=16, learning_rate=0.05, augmentation="geometry", seed=3)
LONG = replace(RECIPE, epochs=24)
QUICK = replace(
    RECIPE, epochs=15, optimizer="adam", learning_rate=0.003, augmentation="none", mixup=0.0, average_decay=0.9
)

TRAIN_IN_ANOTHER_PROCESS = """
import pathlib, pickle, sys
from mien.lab.training import train
train(*pickle.loads(pathlib.Path(sys.argv[1]).read_bytes()), sys.argv[2])
"""


@pytest.fixture(scope="session")
def parts(made_faces: FaceDataset) -> tuple[FaceDataset, FaceDataset]:
    # 23 faces to validate: two processes cannot share them evenly.
    return made_faces.of_split("Training"), made_faces.of_split("PublicTest")[:23]


def same_weights(first: Checkpoint, second: Checkpoint) -> bool:
    one, other = first.net.state_dict(), second.net.state_dict()
    return one.keys() == other.keys() and all(torch.equal(value, other[name]) for name, value in one.items())


def rows_of(out: Path) -> list[dict[str, str]]:
    with (out / CURVES_NAME).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def wait_for_rows(out: Path, count: int) -> None:
    end = time.monotonic() + 180
    while time.monotonic() < end:
        if (out / CURVES_NAME).exists() and len(rows_of(out)) >= count:
            return
        time.sleep(0.005)
    raise TimeoutError(f"no {count} epochs in {out}")


def train_until(
    number: int, recipe: Recipe, parts: tuple[FaceDataset, FaceDataset], out: Path
) -> subprocess.CompletedProcess[bytes]:
    """Train in another process and send it a signal after its second epoch."""
    arguments = out.with_suffix(".pickle")
    arguments.write_bytes(pickle.dumps((recipe, *parts)))
    command = [sys.executable, "-c", TRAIN_IN_ANOTHER_PROCESS, str(arguments), str(out)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        wait_for_rows(out, 2)
        process.send_signal(number)
        stdout, stderr = process.communicate(timeout=60)
    return subprocess.CompletedProcess(command, process.returncode, stdout, stderr)


# a run from its start to its end


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_a_net_learns(precision: str, parts: tuple[FaceDataset, FaceDataset], tmp_path: Path) -> None:
    checkpoint = train(replace(QUICK, precision=precision), *parts, tmp_path)
    assert checkpoint.finished
    assert not checkpoint.net.training
    assert checkpoint.curves[-1]["train_loss"] < 0.7 * checkpoint.curves[0]["train_loss"]
    assert checkpoint.curves[-1]["val_loss"] < 0.7 * checkpoint.curves[0]["val_loss"]
    assert checkpoint.curves[-1]["val_accuracy"] > 0.9
    assert checkpoint.curves[-1]["val_accuracy_ferplus"] > 0.9


def test_curves_have_a_row_for_each_epoch(
    parts: tuple[FaceDataset, FaceDataset], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    checkpoint = train(RECIPE, *parts, tmp_path)
    assert [row["epoch"] for row in checkpoint.curves] == [1, 2, 3, 4]
    assert list(checkpoint.curves[0]) == [
        *("epoch", "learning_rate", "train_loss", "train_accuracy"),
        *("val_loss", "val_accuracy", "val_accuracy_ferplus", "seconds", "cpu_seconds"),
    ]
    assert [{name: float(text) for name, text in row.items()} for row in rows_of(tmp_path)] == checkpoint.curves
    assert sorted(path.name for path in tmp_path.iterdir()) == [CHECKPOINT_NAME, CURVES_NAME]
    assert capfd.readouterr() == ("", "")


def test_a_finished_run_is_returned_as_it_is(parts: tuple[FaceDataset, FaceDataset], tmp_path: Path) -> None:
    first = train(RECIPE, *parts, tmp_path)
    written = (tmp_path / CHECKPOINT_NAME).stat().st_mtime_ns
    assert same_weights(train(RECIPE, *parts, tmp_path), first)
    assert (tmp_path / CHECKPOINT_NAME).stat().st_mtime_ns == written
    assert (first.step, first.steps, first.recipe) == (12, 12, RECIPE)


def test_the_seed_says_all(parts: tuple[FaceDataset, FaceDataset], tmp_path: Path) -> None:
    runs = [train(replace(RECIPE, seed=seed), *parts, tmp_path / str(index)) for index, seed in enumerate((1, 1, 2))]
    assert same_weights(runs[0], runs[1])
    assert not same_weights(runs[0], runs[2])


def test_init_starts_from_other_weights(parts: tuple[FaceDataset, FaceDataset], tmp_path: Path) -> None:
    learned = train(QUICK, *parts, tmp_path / "first")
    still = replace(RECIPE, epochs=1, learning_rate=1e-12, seed=9)
    again = train(still, *parts, tmp_path / "second", init=learned.net.state_dict())
    assert again.curves[0]["val_accuracy"] == learned.curves[-1]["val_accuracy"]
    for name, value in again.net.state_dict().items():
        torch.testing.assert_close(value, learned.net.state_dict()[name])
    with pytest.raises(OptionError, match="the weights do not fit 'paper'"):
        train(RECIPE, *parts, tmp_path / "third", init={})
    assert not (tmp_path / "third").exists()


def test_what_is_frozen_stays_as_it_is(parts: tuple[FaceDataset, FaceDataset], tmp_path: Path) -> None:
    first = train(QUICK, *parts, tmp_path / "first").net.state_dict()
    recipe = replace(RECIPE, frozen=("trunk", "heads.ferplus"))
    after = train(recipe, *parts, tmp_path / "second", init=first).net.state_dict()
    changed = {name for name, value in after.items() if not torch.equal(value, first[name])}
    assert changed == {"heads.fer2013.weight", "heads.fer2013.bias"}
    with pytest.raises(
        OptionError, match="no module 'body' to freeze in paper: expected trunk, heads, or a part of one"
    ):
        train(replace(RECIPE, frozen=("body",)), *parts, tmp_path / "third")
    with pytest.raises(OptionError, match="frozen is trunk, heads: expected something of the net left to teach"):
        train(replace(RECIPE, frozen=("trunk", "heads")), *parts, tmp_path / "third")
    assert not (tmp_path / "third").exists()


@pytest.mark.parametrize(
    ("recipe", "said"),
    [
        (replace(RECIPE, crop_size=49), "crop_size is 49: expected at most 48"),
        (replace(RECIPE, crop_size=40), "crop_size is 40: paper knows whole faces only: expected 0"),
    ],
)
def test_crops_that_a_net_cannot_take_are_refused(
    recipe: Recipe, said: str, parts: tuple[FaceDataset, FaceDataset], tmp_path: Path
) -> None:
    with pytest.raises(OptionError, match=said):
        train(recipe, *parts, tmp_path / "run")
    assert not (tmp_path / "run").exists()


# stopped and gone on


def test_a_stop_that_came_before_the_run_is_heard(
    parts: tuple[FaceDataset, FaceDataset], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = threading.Event()
    told.set()
    monkeypatch.setattr("mien.lab.processes.STOPPED", told)
    assert train(RECIPE, *parts, tmp_path).step == 1


@pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot send these signals")
@pytest.mark.parametrize(
    ("number", "recipe"),
    [(signal.SIGKILL, replace(LONG, augmentation="full")), (signal.SIGINT, replace(LONG, precision="32-true"))],
    ids=["killed", "Ctrl-C"],
)
def test_a_stopped_run_ends_as_if_it_had_not_been(
    number: int, recipe: Recipe, parts: tuple[FaceDataset, FaceDataset], tmp_path: Path
) -> None:
    out = tmp_path / "run"
    process = train_until(number, recipe, parts, out)
    stopped = load_checkpoint(out / CHECKPOINT_NAME)
    assert 6 <= stopped.step < stopped.steps
    assert not stopped.finished
    if number == signal.SIGINT:
        assert (process.returncode, process.stdout, process.stderr) == (0, b"", b"")
    else:
        assert process.returncode == -number
    resumed = train(recipe, *parts, out)
    unbroken = train(recipe, *parts, tmp_path / "unbroken")
    assert resumed.finished
    assert same_weights(resumed, unbroken)
    for name in ("val_loss", "train_loss", "train_accuracy"):
        assert [row[name] for row in resumed.curves] == [row[name] for row in unbroken.curves]
    assert len(rows_of(out)) == recipe.epochs


@pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot send this signal")
def test_two_processes_share_a_run_and_stop_together(
    parts: tuple[FaceDataset, FaceDataset], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    recipe = replace(QUICK, augmentation="geometry", mixup=0.5, epochs=6, processes=2)
    process = train_until(signal.SIGTERM, recipe, parts, tmp_path / "run")
    assert (process.returncode, process.stdout, process.stderr) == (0, b"", b"")
    stopped = load_checkpoint(tmp_path / "run" / CHECKPOINT_NAME)
    assert 6 <= stopped.step < stopped.steps
    resumed = train(recipe, *parts, tmp_path / "run")
    unbroken = train(recipe, *parts, tmp_path / "unbroken")
    assert unbroken.finished
    assert unbroken.curves[-1]["val_loss"] < unbroken.curves[0]["val_loss"]
    assert same_weights(resumed, unbroken)
    assert [row["val_loss"] for row in resumed.curves] == [row["val_loss"] for row in unbroken.curves]
    for name in ("train_loss", "train_accuracy"):  # added up in another order
        assert [row[name] for row in resumed.curves] == pytest.approx([row[name] for row in unbroken.curves])
    assert capfd.readouterr() == ("", "")


# what is refused


def test_a_folder_of_another_run_is_refused(parts: tuple[FaceDataset, FaceDataset], tmp_path: Path) -> None:
    short = replace(RECIPE, epochs=1)
    train(short, *parts, tmp_path)
    with pytest.raises(OptionError, match=r"of a run with seed 3, now 4: choose another folder \(--out\)"):
        train(replace(short, seed=4), *parts, tmp_path)
    others = replace(parts[0], images=parts[0].images[::-1].copy())
    with pytest.raises(OptionError, match=r"of a run with data '.*', now '.*': choose another folder"):
        train(short, others, parts[1], tmp_path)


@pytest.mark.parametrize("content", [b"", b"no checkpoint", pickle.dumps({"step": 1}), b"PK\x03\x04" + bytes(100)])
def test_what_is_no_checkpoint_is_refused(
    content: bytes, parts: tuple[FaceDataset, FaceDataset], tmp_path: Path
) -> None:
    (tmp_path / CHECKPOINT_NAME).write_bytes(content)
    message = r"checkpoint\.pt: is no (whole )?checkpoint of mien train"
    with pytest.raises(OptionError, match=message) as caught:
        load_checkpoint(tmp_path / CHECKPOINT_NAME)
    assert "\n" not in str(caught.value)
    with pytest.raises(OptionError, match=message):
        train(RECIPE, *parts, tmp_path)


def test_broken_checkpoints_are_refused(parts: tuple[FaceDataset, FaceDataset], tmp_path: Path) -> None:
    train(replace(RECIPE, epochs=1), *parts, tmp_path)
    path = tmp_path / CHECKPOINT_NAME
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(OptionError, match="is no whole checkpoint"):
        load_checkpoint(path)
    path.write_bytes(whole)
    content = torch.load(path, weights_only=True)
    torch.save(content | {"average": {}}, path)
    with pytest.raises(OptionError, match="its weights do not fit its recipe"):
        load_checkpoint(path)
    torch.save(content | {"recipe": {"architecture": "alexnet"}}, path)
    with pytest.raises(OptionError, match="no architecture 'alexnet'"):
        load_checkpoint(path)
    for missing in (tmp_path, tmp_path / "missing.pt"):
        with pytest.raises(OptionError, match=r"cannot be read .*expected a checkpoint of mien train"):
            load_checkpoint(missing)


def test_a_checkpoint_runs_no_code(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, ...]:
            return (Path.touch, (tmp_path / "sprung",))

    torch.save(Trap(), tmp_path / CHECKPOINT_NAME)
    with pytest.raises(OptionError, match="is no whole checkpoint"):
        load_checkpoint(tmp_path / CHECKPOINT_NAME)
    assert not (tmp_path / "sprung").exists()


def test_a_folder_that_cannot_be_made(parts: tuple[FaceDataset, FaceDataset], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for out in (tmp_path / "file", tmp_path / "file" / "run"):
        with pytest.raises(OutputError, match=r"cannot be written|is a file: expected a folder"):
            train(RECIPE, *parts, out)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_leaves_the_checkpoint_before(parts: tuple[FaceDataset, FaceDataset], tmp_path: Path) -> None:
    short = replace(RECIPE, epochs=1)
    checkpoint = train(short, *parts, tmp_path)
    content = torch.load(tmp_path / CHECKPOINT_NAME, weights_only=True) | {"step": 0, "curves": []}
    torch.save(content, tmp_path / CHECKPOINT_NAME)
    before = (tmp_path / CHECKPOINT_NAME).read_bytes()
    (tmp_path / f".{CHECKPOINT_NAME}.partial").symlink_to("/dev/full")
    with pytest.raises(OutputError, match=r"checkpoint\.pt: cannot be written \(No space left on device\)"):
        train(short, *parts, tmp_path)
    assert (tmp_path / CHECKPOINT_NAME).read_bytes() == before
    assert checkpoint.finished


def test_what_cannot_be_trained_is_refused(parts: tuple[FaceDataset, FaceDataset], tmp_path: Path) -> None:
    training, validation = parts
    no_votes = replace(training, votes=None, distributions=None)
    cases: list[tuple[Recipe, FaceDataset, FaceDataset, type[Exception], str]] = [
        (RECIPE, training[:15], validation, DatasetError, "15 faces to train on: expected at least one batch of 16"),
        (RECIPE, no_votes, validation, DatasetError, "no labels for the head 'ferplus': for ferplus put fer2013new"),
        (RECIPE, training, no_votes, DatasetError, "no votes for the head 'ferplus'"),
        (replace(RECIPE, heads=("affectnet",)), training, validation, OptionError, "no head 'affectnet'"),
        (replace(RECIPE, architecture="alexnet"), training, validation, OptionError, "no architecture 'alexnet'"),
        (replace(RECIPE, augmentation="heavy"), training, validation, OptionError, "no augmentation 'heavy'"),
    ]
    for recipe, faces, others, error, message in cases:
        with pytest.raises(error, match=message):
            train(recipe, faces, others, tmp_path / "run")
    assert not (tmp_path / "run").exists()


# targets


def test_targets_of_each_head(made_faces: FaceDataset) -> None:
    votes = np.array([[6, 3, 0, 0, 0, 0, 0, 0, 1, 0], [0] * 10], np.int64)
    distributions = np.array([[2 / 3, 1 / 3, 0, 0, 0, 0, 0, 0], [0] * 8], np.float32)
    faces = replace(made_faces[:2], labels=np.array([3, 7]), votes=votes, distributions=distributions)
    targets = head_targets(faces, ("fer2013", "ferplus"))
    assert targets["fer2013"].tolist() == [[0, 0, 0, 1, 0, 0, 0], [0] * 7]  # the eighth, contempt, is none of the seven
    assert targets["ferplus"].tolist() == distributions.tolist()
    assert head_labels(faces, "fer2013").tolist() == [3, -1]
    assert head_labels(faces, "ferplus").tolist() == [0, -1]
    with pytest.raises(DatasetError, match="the classes are sad, happy: expected angry, disgust"):
        head_targets(made_faces.of_labels(("sad", "happy")), ("fer2013",))
    with pytest.raises(OptionError, match="no head 'affectnet': expected fer2013 or ferplus"):
        head_labels(faces, "affectnet")


def test_a_majority_for_contempt_is_none(made_faces: FaceDataset) -> None:
    votes = np.zeros((1, 10), np.int64)
    votes[0, 7] = 10
    assert head_labels(replace(made_faces[:1], votes=votes), "ferplus").tolist() == [-1]


def test_hard_labels_are_smoothed_and_votes_are_not() -> None:
    targets = {"fer2013": torch.tensor([[1.0, 0, 0, 0], [0, 0, 0, 0]]), "ferplus": torch.tensor([[0.5, 0.5]])}
    smooth = smoothed(targets, 0.2)
    torch.testing.assert_close(smooth["fer2013"], torch.tensor([[0.85, 0.05, 0.05, 0.05], [0, 0, 0, 0]]))
    assert smooth["ferplus"] is targets["ferplus"]
    assert smoothed({"ferplus": targets["ferplus"]}, 0.2) == {"ferplus": targets["ferplus"]}


# weights over a run


def test_the_average_decays() -> None:
    net = nn.Linear(1, 1)
    average = average_of(net, 0.5, torch.device("cpu"))

    def after(value: float) -> float:
        net.weight.data.fill_(value)
        average.update_parameters(net)
        return float(average.state_dict()["module.weight"])

    assert after(1.0) == 1  # the first is taken as it is
    assert after(2.0) == pytest.approx(1 * 2 / 11 + 2 * 9 / 11)  # then the decay grows: (1 + 1) / (10 + 1)
    before = (1 * 2 + 2 * 9) / 11
    for count in range(2, 50):
        decay = min(0.5, (1 + count) / (10 + count))
        before = decay * before + (1 - decay) * 3
        assert after(3.0) == pytest.approx(before, rel=1e-5)


def test_without_decay_the_average_is_the_net() -> None:
    net = nn.BatchNorm1d(3)
    average = average_of(net, 0.0, torch.device("cpu"))
    for _ in range(3):
        net(torch.randn(5, 3) + 2)
        net.weight.data += 1
        average.update_parameters(net)
    for name, value in net.state_dict().items():
        assert torch.equal(average.state_dict()[f"module.{name}"], value), name


def test_the_average_follows_the_norms_too() -> None:
    net = nn.BatchNorm1d(1, momentum=1.0)
    average = average_of(net, 0.9, torch.device("cpu"))
    for faces in ([[-1.0], [1.0]], [[9.0], [11.0]]):
        net(torch.tensor(faces))
        average.update_parameters(net)
    assert float(average.state_dict()["module.running_mean"]) == pytest.approx(10 * 9 / 11)
    assert int(average.state_dict()["module.num_batches_tracked"]) == 2


def test_biases_and_norms_do_not_decay() -> None:
    net = FaceNet("default", {"fer2013": len(EXPRESSIONS)})
    for name in ("sgd", "adam"):
        recipe = Recipe(optimizer=name, weight_decay=0.1)
        weights, others = optimizer_of(recipe, net, Criterion(recipe, net)).param_groups
        assert (weights["weight_decay"], others["weight_decay"]) == (0.1, 0.0)
        assert all(parameter.ndim > 1 for parameter in weights["params"])
        assert all(parameter.ndim <= 1 for parameter in others["params"])
        assert len(weights["params"]) + len(others["params"]) == len(list(net.parameters()))


def test_a_loss_that_is_no_number_ends_the_run(parts: tuple[FaceDataset, FaceDataset], tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"the loss of epoch 1 is (nan|inf): lower learning_rate"):
        train(replace(QUICK, optimizer="sgd", learning_rate=1e30), *parts, tmp_path / "run")
    assert not (tmp_path / "run" / CHECKPOINT_NAME).exists()
