"""What each family of features adds: geometry, texture, motion, regions, the whole face; by classic readers and nets.

``python benchmarks/families.py [--data DIR] [--minutes 15] [--out runs/families]`` writes
docs/results/families.md and families.json, anew whenever a row is done. What is done already is not done again; a
stopped run goes on. ``--quick`` takes a few faces and minutes, shows that all works, and its figures mean nothing.

* Points are found by :class:`mien.face.landmarks.Landmarker` in the 48x48 pictures, faces are aligned by them, and
  features measured as of any picture (:mod:`mien.lab.extraction`).
* FER2013: all readers learn the original labels of `Training`. Nets have the recipe of ``mien compare``, and `minutes`
  of one thread each. Those that see the whole face hold the trunk of `default`, which stays as it is; beside it
  `fusion` begins with the regions that were taught alone. What is asked is whether regions and measures add something
  to the net that ships.
* CK+48, ten folds by person: classic readers learn the other nine, nets go on from what they learned of FER2013.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import chain, count
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.metrics import f1_score
from tracking import machine

from mien.core.labels import EXPRESSIONS
from mien.core.model import Score
from mien.core.preprocess import aligned_crops, as_rgb, points_in_crops
from mien.core.types import FloatArray, IntArray
from mien.engine.results.writer import write_whole
from mien.face.geometry import geometry
from mien.face.landmarks import load_landmarker
from mien.face.motion import MotionMeter
from mien.face.texture import CROP_PX, texture
from mien.lab.classical import rules, shallow_tree
from mien.lab.compare import interval_text, least_ms
from mien.lab.datasets import SIDE, ferplus_majority, whole_frame
from mien.lab.evaluation import bootstrap
from mien.lab.extraction import FRAME_S
from mien.lab.families import FEATURES, ROWS, Row, Setting, Work, extracted, given, run_families, works

ROOT = Path(__file__).resolve().parents[1]
RULES_DEPTH = 3
QUICK_MINUTES = 0.2

GAINS = (
    ("geometry and texture, SVM", "HOG, SVM"),
    ("geometry and texture, SVM", "geometry, SVM"),
    ("geometry, texture and motion, SVM", "geometry and texture, SVM"),
    ("whole face and regions", "whole face"),
    ("whole face, regions and geometry", "whole face and regions"),
    ("whole face, regions and geometry", "whole face"),
    ("whole face, regions, geometry and motion", "whole face, regions and geometry"),
)
"""Rows, and those that they are compared with."""


@dataclass(frozen=True, eq=False)
class Judged:
    """What a reader answered on faces that it had not seen.

    Parameters
    ----------
    answers, labels : (N,) ndarray of int64
    groups : (N,) ndarray
        Faces of a group are drawn together by the bootstrap: those of a person on CK+48.
    """

    answers: IntArray
    labels: IntArray
    groups: np.ndarray

    @property
    def is_right(self) -> IntArray:
        """1 where the answer is right, else 0."""
        return np.asarray(self.answers == self.labels, np.int64)

    @property
    def macro_f1(self) -> float:
        """Mean F1 of the labels that there are."""
        return float(f1_score(self.labels, self.answers, labels=np.unique(self.labels), average="macro"))


def mean_score(values: IntArray, groups: np.ndarray) -> Score:
    """Return the mean of a value over faces with its 95 % interval, groups being drawn whole."""
    return bootstrap(lambda rows: float(values[rows].mean()), len(values), limits=(-1.0, 1.0), subjects=groups)


def is_done(work: Sequence[Work], setting: Setting) -> bool:
    """Return whether there is something, and all of it is done."""
    return len(work) > 0 and all(one.path(setting).exists() for one in work)


def judged(row: Row, setting: Setting) -> dict[str, Judged]:
    """Return what a row answered, by what it is judged on; what is not done is left out."""
    fer2013, ck48 = works(row, setting)
    parts = {}
    if is_done(fer2013, setting):
        faces, _ = extracted("fer2013", setting)
        given_answers = answers_by_id(fer2013, setting)
        for split in ("PublicTest", "PrivateTest"):
            part = faces.of_split(split)
            answers = np.array([given_answers[name] for name in part.source_ids.tolist()])
            parts[split] = Judged(answers, part.labels, part.source_ids)
        assert part.votes is not None
        majority = ferplus_majority(part.votes)
        known = (majority >= 0) & (majority < len(EXPRESSIONS))
        parts["FER+"] = Judged(answers[known], majority[known], part.source_ids[known])
    if is_done(ck48, setting):
        faces, _ = extracted("ck48", setting)
        assert faces.subjects is not None
        given_answers = answers_by_id(ck48, setting)
        tested = np.isin(faces.source_ids, list(given_answers))
        answers = np.array([given_answers[name] for name in faces.source_ids[tested].tolist()])
        parts["CK+48"] = Judged(answers, faces.labels[tested], faces.subjects[tested])
    return parts


def answers_by_id(done: Sequence[Work], setting: Setting) -> dict[str, int]:
    """Return the answer to each face that some work was tested on."""
    answers: dict[str, int] = {}
    for work in done:
        content = read(work, setting)
        answers |= dict(zip(content["source_ids"], content["answers"], strict=True))
    return answers


def read(work: Work, setting: Setting) -> dict[str, Any]:
    """Return what was written of some work."""
    content: dict[str, Any] = json.loads(work.path(setting).read_text("utf-8"))
    return content


# --- time


def stage_ms(setting: Setting) -> dict[str, float]:
    """Return how long a face takes before its reader: points and alignment, and each family of features."""
    picture, face, landmarker = as_rgb(extracted("ck48", setting)[0].images[0]), whole_frame(), load_landmarker()
    face = landmarker.locate(picture, face)
    assert face.landmarks is not None
    points = face.landmarks
    meter, times_s = MotionMeter(), count(step=FRAME_S)

    def textured() -> FloatArray:
        crops, places = aligned_crops(picture, points, CROP_PX), points_in_crops(points, CROP_PX)
        return texture(crops[0], places[0])

    return {
        "points and alignment": least_ms(lambda: aligned_crops(picture, points, SIDE))
        + least_ms(lambda: landmarker.locate(picture, face)),
        "geometry": least_ms(lambda: geometry(points)),
        "texture": least_ms(textured),
        "motion": least_ms(lambda: meter.update(picture, face, next(times_s))),
    }


def reader_ms(row: Row, setting: Setting) -> float:
    """Return how long a row's reader takes for a face: the least of what was measured, since other work ran beside."""
    done = [work for work in (told_by(row), *chain(*works(row, setting))) if work.path(setting).exists()]
    times_ms: list[float | None] = [read(work, setting)["milliseconds"] for work in done]
    return min(ms for ms in times_ms if ms is not None)


def face_ms(row: Row, reading_ms: float, stages: Mapping[str, float]) -> float:
    """Return how long a row takes for a face that is found, with all that it needs."""
    needed = {"texture" if family in ("lbp", "hog") else family for family in row.families}
    return reading_ms + sum(stages[name] for name in ("points and alignment", *needed))


# --- report


def measured(setting: Setting) -> dict[str, Any]:
    """Return all that the report says, of the rows of which something is done."""
    stages = stage_ms(setting)
    results = {row.name: judged(row, setting) for row in ROWS.values()}
    begun = [row for row in ROWS.values() if results[row.name] and told_by(row).path(setting).exists()]
    gains = [
        {"row": name, "over": over}
        | {
            part: asdict(mean_score(judge.is_right - results[over][part].is_right, judge.groups))
            for part, judge in results[name].items()
            if part in results[over]
        }
        for name, over in GAINS
    ]
    return {
        "landmarks": load_landmarker().sha256,
        "aligned": {name: float(extracted(name, setting)[1].is_aligned.mean()) for name in ("fer2013", "ck48")},
        "stages_ms": stages,
        "rows": [record(row, results[row.name], stages, setting) for row in begun],
        "gains": gains,
        "rules": ck48_rules(setting),
        "machine": machine(),
    }


def told_by(row: Row) -> Work:
    """Return the work that tells the size and time of a row's reader."""
    return Work(row.start or row.name) if row.is_net or row.is_still else Work(row.name, 0)


def record(row: Row, parts: Mapping[str, Judged], stages: Mapping[str, float], setting: Setting) -> dict[str, Any]:
    """Return one row of the table."""
    facts = read(told_by(row), setting)
    return {
        "row": row.name,
        "parameters": facts["parameters"],
        "ms": face_ms(row, reader_ms(row, setting), stages),
        "seconds": facts["seconds"],
        "epochs": facts["recipe"]["epochs"] if row.is_net else None,
    } | {
        part: {"accuracy": asdict(mean_score(judge.is_right, judge.groups)), "macro_f1": judge.macro_f1}
        for part, judge in parts.items()
    }


def ck48_rules(setting: Setting) -> str:
    """Return the first questions of a tree that has learned all of CK+48."""
    faces, extraction = extracted("ck48", setting)
    table, names = given(ROWS["geometry, tree"], extraction.features)
    return rules(shallow_tree().fit(table, faces.labels), names, faces.label_names, depth=RULES_DEPTH)


def page(content: Mapping[str, Any]) -> str:
    """Return the page for people."""
    columns = ("FER2013, %", "macro F1", "FER+ majority, %", "CK+48, %", "macro F1", "parameters", "ms a face")
    lines = [f"| reader | {' | '.join(columns)} |", f"|---|{'---|' * len(columns)}"]
    lines += [f"| {row['row']} | {' | '.join(_cells(row))} |" for row in content["rows"]]
    parts = ("PublicTest", "PrivateTest", "FER+", "CK+48")
    gains = [f"| row | over | {' | '.join(parts)} |", f"|---|---|{'---|' * len(parts)}"]
    gains += [
        f"| {gain['row']} | {gain['over']} | {' | '.join(_points(gain.get(part)) for part in parts)} |"
        for gain in content["gains"]
    ]
    nets = [
        f"| {row['row']} | {row['epochs']} | {row['seconds'] / 60:.0f} |"
        for row in content["rows"]
        if row["epochs"] and "PrivateTest" in row
    ]
    stages = ", ".join(f"{name} {ms:.1f} ms" for name, ms in content["stages_ms"].items())
    aligned = content["aligned"]
    return TEXT.format(
        table="\n".join(lines),
        gains="\n".join(gains),
        nets="\n".join(nets),
        stages=stages,
        fer2013=100 * aligned["fer2013"],
        ck48=100 * aligned["ck48"],
        landmarks=content["landmarks"][:12],
        rules=content["rules"],
    )


def _cells(row: Mapping[str, Any]) -> list[str]:
    cells = []
    for part, has_f1 in (("PrivateTest", True), ("FER+", False), ("CK+48", True)):
        score = row.get(part)
        cells.append(interval_text(score["accuracy"]) if score else "")
        if has_f1:
            cells.append(f"{score['macro_f1']:.3f}" if score else "")
    return [*cells, f"{row['parameters']:,}", f"{row['ms']:.1f}"]


def _points(gain: Mapping[str, Any] | None) -> str:
    if gain is None:
        return ""
    score = Score(**gain)
    return f"{100 * score.value:+.1f} ({100 * score.low:+.1f} to {100 * score.high:+.1f})"


TEXT = """# What each family of features adds

Faces are aligned by their landmarks; each reader is given what its name says. FER2013: learned from the original labels
of `Training`, read on `PrivateTest` (original labels, and where FER+ has a majority for one of the seven). CK+48: seven
expressions without neutral, ten folds by person; nets go on from FER2013. In brackets 95 % intervals, on CK+48 of
persons drawn anew, whose three frames of a sequence are nearly the same picture. Nets that see the whole face do so by
the trunk of `default`, which stays as it is: only what stands beside it, and the head, are learned. Regions beside it
begin as the row `regions` left them. Parameters of an SVM with geometry are more where FER2013 was read: points that
are not seen there double its columns.

{table}

Times are the least of 100 runs, of one face that is found, on one thread, with all that the reader needs before it:
{stages}. Nets had one seed and one budget of time on FER2013:

| net | epochs | minutes of one thread |
|---|---|---|
{nets}

## What is gained over what

In points, of the same faces. Choose by `PublicTest`.

{gains}

Points that are sure enough were found on {fer2013:.1f} % of FER2013 and {ck48:.1f} % of CK+48; the other faces stay as
they are, and what is measured by points is missing. Classic readers are linear support vector machines, and one tree of
five questions in a row. Motion is that between the frames of a sequence, which the first one lacks.

The first questions of a tree that has learned the geometry of all of CK+48; lengths are in units of the distance
between the outer corners of the eyes:

```text
{rules}```

Landmark net: SHA-256 {landmarks}. Command: `python benchmarks/families.py`; its docstring says what is measured.
"""


def write_report(setting: Setting, folder: Path) -> str:
    """Write what is known by now, and return the page."""
    content = measured(setting)
    write_whole(folder / "families.json", json.dumps(content, indent=1) + "\n")
    write_whole(folder / "families.md", page(content))
    return page(content)


def main() -> None:
    """Extract, train, measure, and write the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--minutes", type=float, default=15.0, help="budget of one thread for each net on FER2013")
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "families", help="folder of features and runs")
    parser.add_argument("--results", type=Path, help="folder of the report, docs/results; of a quick look --out")
    parser.add_argument("--processes", type=int, default=2, help="things that are done side by side")
    parser.add_argument("--quick", action="store_true", help="show that all works")
    options = parser.parse_args()
    minutes = QUICK_MINUTES if options.quick else options.minutes
    out = options.out / (load_landmarker().sha256[:8] + ("-quick" if options.quick else ""))
    setting = Setting(options.data, out, minutes, options.quick)
    results = options.results or (out if options.quick else ROOT / "docs" / "results")
    for done in run_families(setting, processes=options.processes):
        print(done, flush=True)
        if not done.startswith(FEATURES):
            write_report(setting, results)
    print(write_report(setting, results))


if __name__ == "__main__":
    main()
