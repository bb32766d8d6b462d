"""Nets of the registry under one recipe and one budget of time: the paper's Table 1, made fair."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch

from mien.core.errors import OptionError
from mien.core.labels import EXPRESSIONS
from mien.core.model import INPUT_NAME, Score
from mien.core.types import FloatArray
from mien.engine.processes import Stopped, side_by_side
from mien.engine.results.writer import make_folder, write_whole
from mien.lab.datasets import FaceDataset, find_data, load_fer2013
from mien.lab.evaluation import evaluate, fit_temperature, range_text
from mien.lab.graph import ExportedNet, graph_of, run_in_batches, with_one_head
from mien.lab.models import ARCHITECTURES, FaceNet, megaflops, parameter_count
from mien.lab.processes import one_thread
from mien.lab.recipes import Recipe, recipe_of
from mien.lab.training import train

HEAD = "fer2013"
PLAN_NAME = "plan.json"
PILOT_STEPS = 24
TIMED_RUNS = 100
VARIED = "seven-conv"  # on which schedules and losses are tried: fast enough to see the data many times in the budget
CONVERGED = {"paper": 60, "paper-wide": 18}  # epochs: those of configs/paper.toml; two hours of one thread
SCHEDULES = "beside the cosine of all others, by which Khaireddin and Chen 2021 gain 0.2 points over the next best"
ROBUST_LOSS = "generalized cross-entropy, Zhang and Sabuncu 2018, https://doi.org/10.48550/arXiv.1805.07836"
CENTER_LOSS = "Wen et al. 2016, with the weight that they use, https://doi.org/10.1007/978-3-319-46478-7_31"

COMMON = Recipe(
    heads=(HEAD,),
    batch_size=64,
    optimizer="adam",
    learning_rate=1e-3,
    schedule="cosine",
    weight_decay=0.01,
    augmentation="mild",
    mixup=0.0,
    label_smoothing=0.0,
)
"""What all nets are trained with. Set once, before any was measured; it suits nets with batch norm and without."""


@dataclass(frozen=True)
class Entry:
    """One row of the table.

    Parameters
    ----------
    name : str
    recipe : Recipe
        Its epochs count only where there is no budget.
    is_budgeted : bool
        Whether it gets the minutes that all get.
    why : str
        Where what differs from the other rows is from, if anything does.
    """

    name: str
    recipe: Recipe
    is_budgeted: bool = True
    why: str = ""

    @property
    def slug(self) -> str:
        """Name of its files."""
        return self.name.replace(", ", "-").replace(" ", "-")


def entries() -> list[Entry]:
    """Return the rows: every net, schedules and losses tried on one of them, the paper's plans to convergence."""
    nets = [Entry(name, replace(COMMON, architecture=name)) for name in ARCHITECTURES]
    varied = replace(COMMON, architecture=VARIED)
    tried = [
        Entry(f"{VARIED}, constant rate", replace(varied, schedule="constant"), why=SCHEDULES),
        Entry(f"{VARIED}, step rate", replace(varied, schedule="step"), why=SCHEDULES),
        Entry(f"{VARIED}, robust loss", replace(varied, loss="robust"), why=ROBUST_LOSS),
        Entry(f"{VARIED}, center loss", replace(varied, center_weight=0.003), why=CENTER_LOSS),
    ]
    converged = [
        Entry(f"{name}, to convergence", replace(COMMON, architecture=name, epochs=epochs), is_budgeted=False)
        for name, epochs in CONVERGED.items()
    ]
    return nets + tried + converged


def entries_named(names: Sequence[str]) -> list[Entry]:
    """Return the rows of these names, in the order of the table; all of them for none.

    Raises
    ------
    OptionError
        If there is no such row.
    """
    every = entries()
    known = [entry.name for entry in every]
    for name in names:
        if name not in known:
            raise OptionError(f"no row {name!r}: expected one of {'; '.join(known)}")
    return [entry for entry in every if not names or entry.name in names]


def run_entries(
    asked: Sequence[Entry], data_dir: Path | None, out: Path, *, minutes: float, processes: int = 2
) -> Iterator[dict[str, Any]]:
    """Train and measure nets, several side by side with one thread each; what is done already is not done again.

    Parameters
    ----------
    asked : sequence of Entry
    data_dir : Path or None
        Directory of FER2013, by default ``MIEN_DATA``.
    out : Path
        Folder of the results, one JSON file for each row, and of the runs being made.
    minutes : float
        Budget of one thread for the training of each net: what it works, not what it waits for others.
    processes : int
        Nets at a time.

    Yields
    ------
    dict
        What :func:`run_entry` wrote: those that were done before first, the others as they come.

    Raises
    ------
    DatasetError
        If FER2013 is missing.
    OptionError
        If the folder holds rows or runs of another budget.
    """
    make_folder(out)
    done = [entry for entry in entries() if (out / f"{entry.slug}.json").exists()]
    known = {entry.name: _done(out, entry, minutes) for entry in done}  # all of them stand on one page
    missing = [entry for entry in asked if entry.name not in known]
    yield from (known[entry.name] for entry in asked if entry.name in known)
    task = partial(run_entry, data_dir=data_dir, out=out, minutes=minutes)
    for entry in side_by_side(task, missing, processes, prepare=one_thread):
        yield _done(out, entry, minutes)


def _done(out: Path, entry: Entry, minutes: float) -> dict[str, Any]:
    path = out / f"{entry.slug}.json"
    row: dict[str, Any] = json.loads(path.read_text("utf-8"))
    _refuse_other_budget(path, row, entry, minutes)
    return row


def run_entry(entry: Entry, data_dir: Path | None, out: Path, minutes: float) -> None:
    """Train one net within its budget, measure it on `PrivateTest`, and write the row; a stopped run goes on.

    Raises
    ------
    Stopped
        If it was stopped: nothing is written but the checkpoint.
    """
    faces = _faces(data_dir)
    training, validation = faces.of_split("Training"), faces.of_split("PublicTest")
    run = out / entry.slug
    recipe = planned(entry, training, run, minutes)
    checkpoint = train(recipe, training, validation, run)
    if not checkpoint.finished:
        raise Stopped
    row = {
        "name": entry.name,
        "minutes": minutes if entry.is_budgeted else None,
        "source": ARCHITECTURES[recipe.architecture].source,
        "recipe": asdict(recipe),
        "data": checkpoint.data,
        "parameters": parameter_count(checkpoint.net),
        "megaflops": megaflops(checkpoint.net, checkpoint.net.input_size),
        "milliseconds": milliseconds(checkpoint.net),
        "seconds": sum(curve["cpu_seconds"] for curve in checkpoint.curves),
        "curves": checkpoint.curves,
    }
    row |= _scores(checkpoint.net, validation, faces.of_split("PrivateTest"))
    write_whole(out / f"{entry.slug}.json", json.dumps(row, indent=1))


@lru_cache(maxsize=1)
def _faces(data_dir: Path | None) -> FaceDataset:
    return load_fer2013(find_data(data_dir).need("fer2013"))


def planned(entry: Entry, training: FaceDataset, run: Path, minutes: float) -> Recipe:
    """Return the recipe with the epochs that fit the budget, by a few steps; a run that began keeps its own.

    Raises
    ------
    OptionError
        If the run began with another budget.
    """
    path = run / PLAN_NAME
    if path.exists():
        plan = json.loads(path.read_text("utf-8"))
        _refuse_other_budget(path, plan, entry, minutes)
        return recipe_of(plan["recipe"], str(path))
    recipe = entry.recipe
    if entry.is_budgeted:
        pilot = training[: PILOT_STEPS * recipe.batch_size]
        with tempfile.TemporaryDirectory() as folder:
            tried = train(replace(recipe, epochs=2), pilot, pilot[: recipe.batch_size], folder)
        if not tried.finished:
            raise Stopped
        epoch = tried.curves[-1]["cpu_seconds"] * len(training) / len(pilot)
        recipe = replace(recipe, epochs=max(1, round(60 * minutes / epoch)))
    make_folder(run)
    write_whole(path, json.dumps({"minutes": minutes, "recipe": asdict(recipe)}, indent=1))
    return recipe


def _refuse_other_budget(path: Path, content: dict[str, Any], entry: Entry, minutes: float) -> None:
    if entry.is_budgeted and content["minutes"] != minutes:
        raise OptionError(f"{path}: is of {content['minutes']:g} minutes, asked are {minutes:g}: give another --out")


def _scores(net: FaceNet, public: FaceDataset, private: FaceDataset) -> dict[str, Any]:
    """Return accuracy, macro F1 and calibration error on `PrivateTest`, the temperature fitted on `PublicTest`."""
    exported = ExportedNet(with_one_head(net, HEAD), HEAD, 1.0).eval()
    logits = run_in_batches(exported.logits, public.images)
    temperature = fit_temperature(logits, public.labels)
    answers = run_in_batches(exported.logits, private.images) / temperature
    probabilities: FloatArray = torch.softmax(torch.from_numpy(answers), dim=1).numpy()
    measured = evaluate(probabilities, private.labels, EXPRESSIONS)
    return {
        "public_accuracy": float((logits.argmax(axis=1) == public.labels).mean()),
        "accuracy": asdict(measured.accuracy),
        "macro_f1": asdict(measured.macro_f1),
        "calibration_error": asdict(measured.calibration_error),
    }


def milliseconds(net: FaceNet) -> float:
    """Return how long onnxruntime takes for one face on one thread: see :func:`least_ms`."""
    graph = graph_of(ExportedNet(with_one_head(net, HEAD), HEAD, 1.0).eval())
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(graph.SerializeToString(), options, providers=["CPUExecutionProvider"])
    face = np.zeros((1, 1, net.input_size, net.input_size), np.uint8)
    return least_ms(lambda: session.run(None, {INPUT_NAME: face}))


def least_ms(work: Callable[[], object]) -> float:
    """Return the shortest of 100 times that something takes: whatever runs beside it only makes it longer."""
    times_s = []
    for _ in range(TIMED_RUNS):
        started = time.perf_counter()
        work()
        times_s.append(time.perf_counter() - started)
    return 1000 * min(times_s)


def rows_done(out: Path) -> list[dict[str, Any]]:
    """Return the rows that a folder holds, in the order of the table."""
    paths = [out / f"{entry.slug}.json" for entry in entries()]
    return [json.loads(path.read_text("utf-8")) for path in paths if path.exists()]


def table(rows: Sequence[dict[str, Any]]) -> list[tuple[str, ...]]:
    """Return rows as text for people: see :data:`COLUMNS`."""
    return [
        (
            row["name"],
            interval_text(row["accuracy"]),
            f"{100 * row['public_accuracy']:.1f}",
            f"{row['macro_f1']['value']:.3f}",
            f"{row['calibration_error']['value']:.3f}",
            f"{row['parameters'] / 1e6:.2f}",
            f"{row['megaflops']:.0f}",
            f"{row['milliseconds']:.1f}",
            f"{row['seconds']:.0f}",
            str(row["recipe"]["epochs"]),
        )
        for row in rows
    ]


COLUMNS = (
    *("net", "PrivateTest, %", "PublicTest, %", "macro F1", "calibration error", "parameters, millions", "MFLOPs"),
    *("ms a face", "seconds of training", "epochs"),
)


def interval_text(score: dict[str, Any]) -> str:
    """Return a share with its interval in percent."""
    measured = Score(**score)
    return f"{100 * measured.value:.1f} ({range_text(measured)})"
