"""What ``mien evaluate`` does: a net measured on labeled faces, as a page, as Markdown, as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import Progress

from mien.core.errors import OptionError
from mien.core.labels import EXPRESSIONS
from mien.core.model import ModelCard, Score
from mien.core.types import ByteArray, FloatArray, IntArray
from mien.engine.processes import cores
from mien.engine.recognizer import Recognizer, load
from mien.engine.results.writer import make_folder, write_whole
from mien.lab import figures
from mien.lab.datasets import (
    FaceDataset,
    copied_elsewhere,
    ferplus_majority,
    find_data,
    load_ck48,
    load_fer2013,
    load_folders,
)
from mien.lab.evaluation import (
    CONDITIONS,
    Evaluation,
    RiskCoverage,
    Robustness,
    Subjects,
    TurnedAccuracy,
    accuracy_by_yaw,
    accuracy_score,
    calibration_bins,
    confused_pairs,
    evaluate,
    in_batches,
    range_text,
    risk_coverage,
    robustness,
    score_text,
    yaws_of,
)
from mien.lab.page import Section, markdown_table, page

ROBUSTNESS_COLUMNS = ("condition", "accuracy, %", "lost, points", "95 % interval")
TURNED_COLUMNS = ("yaw, either side", "faces", "accuracy, %", "95 % interval")
FIGURES = {
    "confusion": "Confusion matrix",
    "reliability": "Reliability diagram",
    "coverage": "Risk-coverage curve",
    "robustness": "Points lost",
}
PAIR_COLUMNS = ("label", "answer", "share of the label, %", "95 % interval")


@dataclass(frozen=True, eq=False)
class Labeled:
    """Faces with one kind of labels.

    Parameters
    ----------
    name : str
        Short, for file names.
    title : str
        What people read.
    images : (N, S, S) ndarray of uint8
    labels : (N,) ndarray of int64
    fresh : (N,) ndarray of bool or None
        Which faces have no exact copy in another split; None where there are no splits.
    subjects : (N,) ndarray of str or None
        The person on each face, where that is known.
    """

    name: str
    title: str
    images: ByteArray
    labels: IntArray
    fresh: np.ndarray | None = None
    subjects: Subjects | None = None


@dataclass(frozen=True, eq=False)
class Measured:
    """Everything that was measured on one :class:`Labeled`."""

    faces: Labeled
    probabilities: FloatArray
    evaluation: Evaluation
    curve: RiskCoverage
    without_copies: Score | None
    robustness: list[Robustness]
    turned: list[TurnedAccuracy]

    def to_dict(self) -> dict[str, Any]:
        """Return what is measured as plain dicts, lists and numbers."""
        return self.evaluation.to_dict() | {
            "accuracy_without_copies": None if self.without_copies is None else asdict(self.without_copies),
            "risk_coverage_area": self.curve.area,
            "risk_coverage": self.curve.rows(),
            "reliability": calibration_bins(self.probabilities, self.faces.labels).rows(),
            "confused": [asdict(pair) for pair in confused_pairs(self.evaluation)],
            "robustness": [asdict(row) for row in self.robustness],
            "turned": [asdict(row) for row in self.turned],
        }


def evaluate_model(
    model: str, data: Path | None, split: str, out: Path | None, console: Console
) -> dict[str, Evaluation]:
    """Measure a net; with `out`, also what it loses when pictures get worse, and write all of it.

    Parameters
    ----------
    model : str
        Name or path, as :func:`mien.load` takes it.
    data : Path or None
        Directory of FER2013 (with FER+ and CK+48, if they are there), or a folder of labeled faces, ``happy/1.jpg``,
        of which only ``test`` is read where it has one; by default ``MIEN_DATA``.
    split : str
        Of FER2013.
    out : Path or None
        Folder for ``report.html``, ``report.md``, ``report.json`` and the figures.
    console : Console
        Where progress is shown, if it is a terminal.

    Returns
    -------
    dict of str to Evaluation
        By title, for each kind of labels.

    Raises
    ------
    ModelError, DatasetError, OptionError, OutputError
        Before any work.
    """
    recognizer = load(model, threads=cores())
    if out is not None:
        make_folder(out)
    sets = list(labeled_sets(recognizer.card, data, split))
    with _steps(console, len(sets) * (1 + (len(CONDITIONS) if out is not None else 0))) as step:
        measured = [_measure(recognizer, faces, step, is_whole=out is not None) for faces in sets]
    if out is not None:
        write_report(recognizer, measured, out)
    return {one.faces.title: one.evaluation for one in measured}


def labeled_sets(card: ModelCard, data: Path | None, split: str) -> Iterator[Labeled]:
    """Yield the faces that a directory holds, with each kind of labels that they have.

    Raises
    ------
    DatasetError
        If it holds neither FER2013 nor folders of labeled faces.
    OptionError
        If FER2013 has no such split, or none of the labels are the model's.
    """
    found = None if data is not None and data.is_file() else find_data(data)
    if found is not None and found.fer2013 is None and found.ck48 is None:
        faces = load_folders(found.directory).tested()
        yield _of_names(card, "folder", f"{found.directory}, {faces.split[0] or 'all faces'}", faces)
        return
    if found is None or found.fer2013 is not None:
        yield from _of_fer2013(card, load_fer2013(data), split)
    if found is not None and found.ck48 is not None:
        yield _of_names(card, "ck48", "CK+48, shared expressions", load_ck48(found.ck48))


def _of_fer2013(card: ModelCard, faces: FaceDataset, split: str) -> Iterator[Labeled]:
    chosen = faces.of_split(split)
    fresh = ~copied_elsewhere(faces, split)[faces.split == split]
    kinds = {"fer2013": ("original labels", chosen.labels)}
    if chosen.votes is not None:
        kinds["ferplus"] = ("FER+ majority", ferplus_majority(chosen.votes))
    for name, (title, labels) in kinds.items():
        known = (labels >= 0) & (labels < len(EXPRESSIONS))
        places = _places(card, EXPRESSIONS)[labels[known]]
        yield Labeled(name, f"{split}, {title}", chosen.images[known], places, fresh[known])


def _of_names(card: ModelCard, name: str, title: str, faces: FaceDataset) -> Labeled:
    """Return faces whose class is one of the model's; its other labels stay possible, and wrong, answers."""
    places = _places(card, faces.label_names)[faces.labels]
    known = places >= 0
    if not known.any():
        raise OptionError(f"{title}: no face has a label of {card.name}: expected {', '.join(card.labels)}")
    subjects = None if faces.subjects is None else faces.subjects[known]
    return Labeled(name, title, faces.images[known], places[known], subjects=subjects)


def _places(card: ModelCard, names: tuple[str, ...]) -> IntArray:
    return np.array([card.labels.index(name) if name in card.labels else -1 for name in names], np.int64)


def _measure(recognizer: Recognizer, faces: Labeled, step: Callable[[], None], *, is_whole: bool) -> Measured:
    answers, people = partial(in_batches, recognizer), faces.subjects
    table = answers(faces.images)
    step()
    rows, turned = [], []
    if is_whole:
        turned = accuracy_by_yaw(table, faces.labels, yaws_of(faces.images), subjects=people)
        for row in robustness(answers, faces.images, faces.labels, subjects=people):
            rows.append(row)
            step()
    without = None if faces.fresh is None else accuracy_score(table[faces.fresh], faces.labels[faces.fresh])
    evaluation = evaluate(table, faces.labels, recognizer.card.labels, subjects=people)
    return Measured(faces, table, evaluation, risk_coverage(table, faces.labels), without, rows, turned)


@contextmanager
def _steps(console: Console, total: int) -> Iterator[Callable[[], None]]:
    with Progress(console=console, disable=not console.is_terminal, transient=True) as bar:
        task = bar.add_task("measuring", total=total)
        yield lambda: bar.advance(task)


def write_report(recognizer: Recognizer, measured: list[Measured], out: Path) -> None:
    """Write ``report.html``, ``report.md``, ``report.json`` and one file for each figure."""
    card = recognizer.card
    sections = []
    for one in measured:
        section = Section(one.faces.title)
        _fill(section, one, card, out)
        sections.append(section)
    sections.append(Section("The net").code(json.dumps(json.loads(card.to_json()), indent=2, ensure_ascii=False)))
    effort = f", {card.mflops:.0f} MFLOPs a face" if card.mflops else ""
    lead = (
        f"{card.architecture}, {card.parameters:,} parameters{effort}; "
        f"model file {recognizer.model.sha256[:12]}. Answers are expressions, not what someone feels."
    )
    write_whole(out / "report.html", page(f"How well {card.name} reads expressions", lead, sections))
    write_whole(out / "report.json", json.dumps({one.faces.title: one.to_dict() for one in measured}, indent=2))
    write_whole(out / "report.md", "\n".join(_markdown(one) for one in measured))


def _fill(section: Section, one: Measured, card: ModelCard, out: Path) -> None:
    evaluation, name = one.evaluation, one.faces.name
    drawn = {
        "confusion": figures.confusion_matrix(evaluation.confusion, evaluation.labels),
        "reliability": figures.reliability_diagram(calibration_bins(one.probabilities, one.faces.labels)),
        "coverage": figures.risk_coverage_curve(one.curve, card.uncertain_below),
        "robustness": figures.robustness_chart(one.robustness),
    }
    for kind, figure in drawn.items():
        figures.save(figure, out / f"{kind}_{name}.png")
    section.table(("figure", "value"), _figures(one)).code(evaluation.text())
    section.figure(drawn["confusion"], "Rows are labels, columns answers.", alternative=FIGURES["confusion"])
    section.table(PAIR_COLUMNS, _pair_rows(evaluation), "What is confused most")
    section.figure(
        drawn["reliability"], "How often answers of some confidence are right.", alternative=FIGURES["reliability"]
    )
    section.figure(drawn["coverage"], "What answering only when sure would bring.", alternative=FIGURES["coverage"])
    section.figure(
        drawn["robustness"], "Whiskers are 95 % intervals of the paired difference.", alternative=FIGURES["robustness"]
    )
    section.table(ROBUSTNESS_COLUMNS, _robustness_rows(one.robustness), "When pictures get worse")
    section.table(TURNED_COLUMNS, _turned_rows(one.turned), "When heads are turned to a side, as landmarks tell")


def _figures(one: Measured) -> list[tuple[str, str]]:
    rows = one.evaluation.figures()
    if one.without_copies is not None:
        rows.append(("accuracy without copies in other splits", score_text(one.without_copies, percent=True)))
    return [*rows, ("area under the risk-coverage curve", f"{one.curve.area:.3f}")]


def _pair_rows(evaluation: Evaluation) -> list[tuple[str, ...]]:
    return [
        (pair.label, pair.answer, f"{100 * pair.share.value:.1f}", range_text(pair.share))
        for pair in confused_pairs(evaluation)
    ]


def _robustness_rows(rows: list[Robustness]) -> list[tuple[str, ...]]:
    return [
        (row.condition, f"{100 * row.accuracy.value:.1f}", f"{100 * row.drop.value:.1f}", range_text(row.drop))
        for row in rows
    ]


def _turned_rows(rows: list[TurnedAccuracy]) -> list[tuple[str, ...]]:
    return [
        (row.yaw, f"{row.accuracy.count:,}", f"{100 * row.accuracy.value:.1f}", range_text(row.accuracy))
        for row in rows
    ]


def _confusion_rows(evaluation: Evaluation) -> list[tuple[str, ...]]:
    rows = zip(evaluation.labels, evaluation.confusion, strict=True)
    return [(label, *(f"{count:,}" for count in counts)) for label, counts in rows]


def _markdown(one: Measured) -> str:
    parts = [f"## {one.faces.title}", one.evaluation.markdown().rstrip()]
    parts.append("\n".join(f"- {name}: {value}" for name, value in _figures(one)[len(one.evaluation.figures()) :]))
    parts.append(markdown_table(("label / answer", *one.evaluation.labels), _confusion_rows(one.evaluation)))
    parts.append(markdown_table(PAIR_COLUMNS, _pair_rows(one.evaluation)))
    parts.append(markdown_table(ROBUSTNESS_COLUMNS, _robustness_rows(one.robustness)))
    parts.append(markdown_table(TURNED_COLUMNS, _turned_rows(one.turned)))
    parts.append("\n".join(f"![{alternative}]({kind}_{one.faces.name}.png)" for kind, alternative in FIGURES.items()))
    return "\n\n".join(parts) + "\n"
