"""The page that sets the paper's figures and tables beside what they come to here."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mien.core import preprocess
from mien.core.labels import EXPRESSIONS
from mien.core.types import ByteArray, Faces, FloatArray, IntArray
from mien.engine.explain import PARTS
from mien.engine.recognizer import Recognizer, load, model_path
from mien.engine.results.writer import write_whole
from mien.lab import figures
from mien.lab.datasets import FaceDataset, concatenate
from mien.lab.evaluation import Subjects, accuracy_score, confused_pairs, evaluate, range_text, score_text
from mien.lab.graph import read_weights
from mien.lab.models import FaceNet, load_weights
from mien.lab.page import Section, page
from mien.lab.paper import pictures, published
from mien.lab.paper.areas import Area, area_of_interest
from mien.lab.protocol import PLANS, Outcome, by_plan, confusable, expressions_of, face_answers, sequence_answers
from mien.lab.sequences import RECURRENT

DRAWS = {"random": "any image of FER2013", "agree": "only where FER+ agrees", "": ""}
SPLITS = {"random": "at random, as the paper", "subject": "by person"}


@dataclass(frozen=True, eq=False)
class Book:
    """What the page is made of.

    Parameters
    ----------
    photo : (H, W, 3) ndarray of uint8
        RGB picture of a face that is shown on its way.
    faces : Faces
        The one face of it, recognized, with sure landmarks.
    chosen : tuple of FaceDataset
        Training and test part of the first seed's draw.
    looked_at : FaceDataset
        Faces whose areas of interest are averaged.
    outcomes : list of Outcome
        Of the trials that are done.
    per_class : int
        Faces of each expression behind an area of interest.
    compared : mapping of str to str
        Accuracies of what ``mien compare`` made, as text, by the name of the row.
    is_quick : bool
        Whether this is a look, not the result.
    """

    photo: ByteArray
    faces: Faces
    chosen: tuple[FaceDataset, FaceDataset]
    looked_at: FaceDataset
    outcomes: list[Outcome]
    per_class: int
    compared: Mapping[str, str]
    is_quick: bool


def write_book(book: Book, out: Path) -> Path:
    """Write ``paper.html`` and ``paper.json`` into a folder and return the path of the page."""
    recognizer, net = load("default"), _paper_net()
    crop = preprocess.crops(book.photo, book.faces.boxes_xyxy, net.input_size)[0]
    sections = [
        _protocol(book),
        _way(book, recognizer),
        _net(net, crop),
        _areas(book, recognizer),
        _data(book),
        _curves(book, out),
        _report(book),
        _tables(book),
        Section("What could be reproduced, and how it deviates").listing(published.REPRODUCED),
        Section("What could not be reproduced, and why").listing(published.NOT_REPRODUCED),
        Section("What the paper leaves open, and what is taken here").listing(published.ASSUMPTIONS),
    ]
    lead = (
        "Kalambate, Hanchate, More and Askar, Real-time facial expression recognition using deep learning: each figure "
        "beside the paper's own."
    )
    if book.is_quick:
        lead += " THIS IS A QUICK LOOK: few seeds, few epochs; the figures are no results."
    rows = [_result(group) for group in by_plan(book.outcomes).values()]
    write_whole(out / "paper.json", json.dumps({"quick": book.is_quick, "results": rows}, indent=2))
    write_whole(out / "paper.html", page("The paper, rebuilt", lead, sections))
    return out / "paper.html"


def _result(group: Sequence[Outcome]) -> dict[str, object]:
    """Return what the trials of one plan, draw and split came to, one entry for each seed; sequences together."""
    trial = group[0].trial
    row: dict[str, object] = {
        "plan": trial.plan,
        "draw": trial.draw,
        "by": trial.by,
        "seeds": [one.trial.seed for one in group],
        "accuracies": [one.accuracy for one in group],
        "parts": [_parts(one) for one in group],
    }
    if trial.plan == "ck48":
        table, labels, _ = sequence_answers(group)
        row["sequences"] = {"right": int((table.argmax(axis=1) == labels).sum()), "sequences": len(labels)}
    return row


def _parts(outcome: Outcome) -> dict[str, dict[str, int]]:
    """Return how many faces of each data set (``ck``, ``fer2013``) were read right, and of how many."""
    sources = np.array([name.partition(":")[0] for name in outcome.source_ids.tolist()])
    right = outcome.probabilities.argmax(axis=1) == outcome.labels
    return {
        name: {"right": int(right[sources == name].sum()), "faces": int((sources == name).sum())}
        for name in sorted(set(sources.tolist()))
    }


def _paper_net() -> FaceNet:
    net = FaceNet("paper", {"fer2013": len(EXPRESSIONS)})
    load_weights(net, read_weights(model_path("paper")))
    return net.eval()


def _protocol(book: Book) -> Section:
    section = Section("The claim, and what it comes to")
    section.text(
        f"The paper states {published.ACCURACY} % on 140 test images of one split, loss {published.LOSS}. Below, each "
        "row draws its 1,400 images and splits them anew for every seed; no training has seen a test image or an exact "
        "copy of one. When our head was chosen, on other draws, CK+48's part had been looked at: all share its faces."
    )
    rows = [
        (PLANS[plan].title, DRAWS[draw], SPLITS[by], len(group), _mean(group), _range(group))
        for (plan, draw, by), group in by_plan(book.outcomes).items()
        if plan != "ck48"
    ]
    columns = ("net", "FER2013 part", "split", "seeds", "accuracy, mean (SD)", "from, to")
    section.table(columns, rows, "The paper's protocol, in percent")
    folds = {by: group for (plan, _, by), group in by_plan(book.outcomes).items() if plan == "ck48"}
    section.heading("CK+48, its seven classes, ten folds")
    section.text(
        "By person, as it should be, and at random, as much of the literature does (94.6 to 98 %): three nearly "
        "identical frames of a sequence then stand in both parts. A sequence is answered by the mean over its frames."
    )
    section.table(
        ("split", "folds", "accuracy", "of sequences"),
        [
            (SPLITS[by], len(group), _pooled(*face_answers(group)), _pooled(*sequence_answers(group)))
            for by, group in folds.items()
        ],
        "Percent, over all faces of the folds that are done; 95 % intervals, people drawn anew",
    )
    return section


def _mean(group: Sequence[Outcome]) -> str:
    values = 100 * np.array([one.accuracy for one in group])
    return f"{values.mean():.1f} ({values.std(ddof=1):.1f})" if len(values) > 1 else f"{values.mean():.1f}"


def _range(group: Sequence[Outcome]) -> str:
    values = 100 * np.array([one.accuracy for one in group])
    return f"{values.min():.1f}, {values.max():.1f}"


def _pooled(table: FloatArray, labels: IntArray, subjects: Subjects) -> str:
    score = accuracy_score(table, labels, subjects=subjects)
    return f"{100 * score.value:.1f} ({range_text(score)}) of {score.count}"


def _way(book: Book, recognizer: Recognizer) -> Section:
    size = recognizer.card.input_size
    section = Section("The system (Figs. 1, 2)")
    section.text(
        "One real face, a NASA portrait, through every stage. Its landmarks tell the regions of interest and the "
        "features: geometry, of which some is drawn, texture and, in videos, motion. The paper says that its CNN is "
        "trained on features, and that it takes pictures of 48x48; our net reads the crop, and features stand beside "
        "its answer."
    )
    section.figure(
        pictures.system(book.photo, book.faces, size),
        "Fig. 1: landmarks are located, and features measured, beside what the net reads",
        alternative="Picture, box, landmarks, regions, features, crop, probabilities",
    )
    figure = pictures.preprocessing(book.photo, book.faces, size)
    return section.figure(figure, "Fig. 2", alternative="Cut, gray, resized, standardized")


def _net(net: FaceNet, crop: ByteArray) -> Section:
    section = Section("The net (Figs. 3, 4)")
    section.table(("layer", "output", "parameters"), pictures.architecture(net), "Fig. 3: the paper's net")
    caption = "Fig. 4: what each convolution makes of a happy face"
    return section.figure(pictures.feature_maps(net, crop), caption, alternative="Feature maps of three convolutions")


def _areas(book: Book, recognizer: Recognizer) -> Section:
    areas: dict[str, Area] = {}
    for label, name in enumerate(EXPRESSIONS):
        images = book.looked_at.images[book.looked_at.labels == label][: book.per_class]
        areas[name] = area_of_interest(name, images, recognizer)
    section = Section("Area of interest for each expression (Fig. 5)")
    section.text(
        "Where hiding the face makes our net's answer fall, on the mean face, with the mean landmarks. The regions lie "
        "around the landmarks of brows, eyes, nose and mouth; to tell their shares, each face's own are hidden. Of the "
        f"first {book.per_class} faces of each expression on which FER2013 and FER+ agree, those count that are read "
        "right and whose landmarks are sure; where none is read right, those that are not."
    )
    framed = [name for name, area in areas.items() if area.landmarks is None]
    if framed:
        section.text(
            f"No such face has sure landmarks for {', '.join(framed)}: the others count there, and the regions lie "
            "where the mean face of FER2013 has them."
        )
    caption = "Fig. 5: the brighter, the more the answer falls, each expression on its own scale"
    section.figure(pictures.areas_of_interest(areas), caption, alternative="Seven mean faces with heat and landmarks")
    rows = [
        (name, area.right, area.faces, *(f"{100 * share:.0f}" for share in area.shares.values()))
        for name, area in areas.items()
    ]
    columns = ("expression", "read right", "counted", *PARTS)
    return section.table(columns, rows, "Faces, and the share of each region in the answer in percent")


def _data(book: Book) -> Section:
    section = Section("The data (Figs. 6, 7)")
    whole = concatenate(list(book.chosen))
    section.text(
        f"The draw of the first seed: {len(book.chosen[0]):,} faces to train on, {len(book.chosen[1])} to test. They "
        "lie beside this page: set/train and set/test by expression, a folder for mien train --data; set.csv says "
        "where each comes from, manifest.json has the hashes."
    )
    section.figure(
        figures.samples(whole), "Fig. 6: keep it to yourself, as the data sets ask", alternative="Random faces"
    )
    return section.figure(figures.class_histogram(whole), "Fig. 7", alternative="Faces of each class by data set")


def _first(book: Book, plan: str) -> Outcome | None:
    return next((group[0] for key, group in by_plan(book.outcomes).items() if key == (plan, "random", "random")), None)


def _curves(book: Book, out: Path) -> Section:
    section = Section("Accuracy and loss by epoch (Figs. 8, 9)")
    for plan in ("paper-scratch", "paper"):  # a linear head has no epochs
        outcome = _first(book, plan)
        if outcome is not None:
            content = json.loads((out / "trials" / f"{outcome.trial.name}.json").read_text("utf-8"))
            path = out / f"curves-{plan}.csv"
            write_whole(path, "\n".join(content["curves"]) + "\n")
            caption = f"{PLANS[plan].title}; validation is the test part, by which nothing is chosen"
            section.figure(figures.training_curves(path), caption, alternative="Curves of accuracy and loss")
    return section


def _report(book: Book) -> Section:
    section = Section("Report and confusion matrix (Figs. 10, 11)")
    section.heading("The paper's").code(published.REPORT)
    for plan in ("paper-scratch", "paper", "ours"):
        outcome = _first(book, plan)
        if outcome is None:
            continue
        group = by_plan(book.outcomes)[(plan, "random", "random")]
        names = expressions_of(outcome)
        section.heading(f"{PLANS[plan].title}: first seed").code(
            evaluate(outcome.probabilities, outcome.labels, names).text()
        )
        pooled = evaluate(*confusable(group), names)
        drawn = figures.confusion_matrix(pooled.confusion, names)
        section.figure(drawn, f"Fig. 11, seeds together: {len(group)}", alternative="Confusion matrix")
        pairs = [(p.label, p.answer, score_text(p.share, percent=True)) for p in confused_pairs(pooled)]
        caption = "What Fig. 11 confuses most; intervals take the draws' faces as independent, though draws overlap"
        section.table(("label", "answer", "share of the label"), pairs, caption)
    return section


def _tables(book: Book) -> Section:
    section = Section("Tables 1 and 2")
    mine = {(plan, draw): _mean(group) for (plan, draw, by), group in by_plan(book.outcomes).items() if by == "random"}
    cards = {name: load(name).card.scores for name in ("default", "fer2013", "paper")}
    private = {name: f"{100 * scores['fer2013'].value:.1f}" for name, scores in cards.items()}
    none = "not measured: mien compare makes it"
    wide = book.compared.get("paper-wide, to convergence", book.compared.get("paper-wide", none))
    rows = [(*published.TABLE_1[0], book.compared.get("seven-conv", none)), (*published.TABLE_1[1], wide)]
    rows.append((*published.TABLE_1[2], mine.get(("paper-scratch", "random"), "not measured")))
    rows.append(("the same, first trained on FER2013", "both", "-", mine.get(("paper", "random"), "not measured")))
    rows.append(("the same net on FER2013's own split", "FER2013 PrivateTest", "-", private["paper"]))
    rows.append(("our trunk, the paper's protocol", "both", "-", mine.get(("ours", "random"), "not measured")))
    rows.append(("our trunk on FER2013's own split", "FER2013 PrivateTest", "-", private["fer2013"]))
    section.table(("net", "data", "paper", "here"), rows, "Table 1, accuracy in percent")
    folds = [one for one in book.outcomes if (one.trial.plan, one.trial.by) == ("ck48", "subject")]
    ferplus = f"{100 * cards['default']['ferplus_7'].value:.1f} (ours, seven classes)"
    here = {
        "[11] RNN/CNN": f"{book.compared.get(RECURRENT, none)}, sequences of CK+48 by person",
        "[14] DCNN": ferplus,
        "[16] transfer learning": f"{_pooled(*face_answers(folds))} faces, ours, from FER2013 to CK+48, by person"
        if folds
        else "not measured",
        "proposed": mine.get(("paper-scratch", "random"), "not measured"),
    }
    rows = [
        (name, data, figure, here.get(name, "cannot be reproduced: see below"))
        for name, data, figure in published.TABLE_2
    ]
    return section.table(("model", "data", "paper", "here"), rows, "Table 2, accuracy in percent", words=("here",))
