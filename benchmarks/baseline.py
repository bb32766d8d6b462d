"""What a person's own resting face changes: answers at rest and at the peak of expressions, geometry, one video.

``python benchmarks/baseline.py --teacher face_landmarker.task [--data DIR] [--video FILE] [--out DIR]`` writes
baseline.md and baseline.json, by default to docs/results, in about two minutes of one thread. The teacher is
MediaPipe's net of face points, which the landmark net was taught by (docs/models.md).

* *typical rest*: what each net answers on average for the faces of `PublicTest` that FER+ calls neutral.
* *photos at rest*: such faces of `PrivateTest`, each turned, shifted, lit and given noise in six ways: three make the
  person's baseline, three are read with it.
* *peaks*: CK+48 has no neutral frames, so rest is simulated from a person's other sequences (simulated_rest.py). These
  show other expressions than the one that is tested, and what is left of them tells what it is not; so *someone
  else's* rest, made without the same expression too, is the control. *Same face* is the very sequence that is tested:
  there what is left of its expression counts as rest.
* *geometry*: logistic regression on folds by person; from the simulated rest, from the mean of the person's other
  sequences, and from that of what is left of these without the mean of their expression in other people: that tells
  how the person looks, and no longer which expressions the others show.
* *video*: a video in which somebody who rests begins to smile.

``--pictures DIR`` writes peaks beside their simulated rests, to be looked at: faces of data sets, for no repository.
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import cv2
import numpy as np
from simulated_rest import People, Sequences, at_rest, points_of_ours, points_of_teacher, simulated, write_pictures
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from tracking import machine

from mien.core.labels import EXPRESSIONS
from mien.core.model import Score
from mien.core.types import BoolArray, ByteArray, Faces, FloatArray, IntArray
from mien.engine.baseline import FROM_REST, HAS_BASELINE, RELATIVE_NAMES, TYPICAL_REST, Baseline
from mien.engine.pipeline import Pipeline
from mien.engine.recognizer import Recognizer, load
from mien.engine.results.writer import write_whole
from mien.engine.video import frames
from mien.face.boxes import Floats
from mien.face.geometry import GEOMETRY_NAMES, geometry
from mien.face.landmarks import load_landmarker
from mien.lab.datasets import SIDE, FaceDataset, ferplus_majority, find_data, load_ck48, load_fer2013
from mien.lab.evaluation.intervals import bootstrap
from mien.lab.landmarks.teacher import MeshTeacher

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"
Locate: TypeAlias = Callable[[ByteArray], Floats]
NETS = ("default", "fer2013")
NEUTRAL = EXPRESSIONS.index("neutral")
PHOTOS, COPIES = 400, 3
OTHERS = 2  # sequences that a simulated rest is made of, at least
FOLDS = 10
VIDEO_REST_S = 0.5
VIDEO_STEP = 6  # frames
FACTS = ("others", "sequences", "people")
CHANGES = ("own - without", "own - someone else's", "neutral, without", "neutral, own rest", "rest is neutral")


# --- answers with a baseline


def with_baseline(net: Recognizer, rest: FloatArray, later: FloatArray) -> tuple[FloatArray, BoolArray]:
    """Return answers about N people after rest, (N, L, K), and who has a baseline; `rest` is (N, R, K)."""
    baseline = Baseline(rest.shape[1] / 25, net.card)
    told = []
    for index, answers in enumerate(np.concatenate([rest, later], axis=1).swapaxes(0, 1)):
        faces = net.answer(Faces.detected([[0, 0, 40, 50]] * len(answers), np.ones(len(answers))), answers)
        told.append(baseline.update(replace(faces, track_ids=np.arange(len(answers))), index / 25))
    has_baseline = np.array([row[HAS_BASELINE] == 1 for row in told[-1].to_dicts()])
    return np.stack([faces.probabilities for faces in told[rest.shape[1] :]], axis=1), has_baseline


def answers(net: Recognizer, images: ByteArray) -> FloatArray:
    """Return what a net answers for (N, ..., 48, 48) faces."""
    return net.probabilities(images.reshape(-1, SIDE, SIDE)).reshape(*images.shape[:-2], -1)


def by_person(values: Floats, people: People) -> Score:
    """Return the mean of values with its interval, people drawn anew."""
    return bootstrap(lambda rows: float(values[rows].mean()), len(values), limits=(-1.0, 1.0), subjects=people)


def is_told(label: int | IntArray, table: FloatArray) -> Floats:
    """Return in which share of its frames each person, (N, L, K), is read as the label."""
    return np.asarray((table.argmax(axis=-1) == np.reshape(label, (-1, 1))).mean(axis=1), np.float64)


# --- photos of resting faces


def resting_faces(data: FaceDataset, split: str) -> ByteArray:
    """Return the faces of a split of FER2013 that most taggers of FER+ call neutral."""
    part = data.of_split(split)
    assert part.votes is not None
    return part[ferplus_majority(part.votes) == NEUTRAL].images


def photos_at_rest(net: Recognizer, photos: ByteArray) -> dict[str, Any]:
    """Measure how often resting faces are read as neutral, without and with a baseline from other copies."""
    generator = np.random.default_rng(0)
    told = answers(net, np.stack([[_copy(photo, generator) for _ in range(2 * COPIES)] for photo in photos]))
    after, has_baseline = with_baseline(net, told[:, :COPIES], told[:, COPIES:])
    people = np.arange(len(photos)).astype(np.str_)
    without, own = (by_person(is_told(NEUTRAL, table), people) for table in (told[:, COPIES:], after))
    return {"net": net.card.name, "without": without, "own rest": own, "no baseline": _missing(has_baseline)}


def _missing(has_baseline: BoolArray) -> Score:
    return bootstrap(lambda drawn: float(1 - has_baseline[drawn].mean()), len(has_baseline))


def _copy(photo: ByteArray, generator: np.random.Generator) -> ByteArray:
    """Return a photo as another frame could show it: turned, moved, lit otherwise, with noise."""
    transform = cv2.getRotationMatrix2D((23.5, 23.5), generator.uniform(-6, 6), generator.uniform(0.95, 1.05))
    shifted = transform + np.pad(generator.uniform(-2, 2, (2, 1)), ((0, 0), (2, 0)))
    moved = cv2.warpAffine(photo, shifted, (SIDE, SIDE), borderMode=cv2.BORDER_REPLICATE)
    lit = moved * generator.uniform(0.8, 1.2) + generator.uniform(-15, 15) + generator.normal(0, 3, moved.shape)
    return np.asarray(lit.clip(0, 255), np.uint8)


# --- peaks


def peaks(net: Recognizer, sequences: Sequences, least_others: int) -> dict[str, Any]:
    """Measure the answers at the peak, without and with a baseline, of people with so many other sequences."""
    tested = sequences.others.sum(axis=1) >= least_others
    labels, people = sequences.labels, sequences.people[tested]
    told = answers(net, sequences.images)
    rest, same_face = (answers(net, faces)[:, None] for faces in (sequences.rest_of_others(), sequences.same_face))
    own, has_baseline = with_baseline(net, rest, told)
    row, other = np.nonzero(sequences.of_someone_else(tested))
    strange = is_told(labels[row], with_baseline(net, rest[other], told[row])[0])
    right = {
        "without": is_told(labels, told),
        "own rest": is_told(labels, own),
        "someone else's": np.bincount(row, strange, len(labels)) / np.bincount(row, minlength=len(labels)).clip(1),
        "same face": is_told(labels, with_baseline(net, same_face, told)[0]),
    }
    figures = right | {
        "own - without": right["own rest"] - right["without"],
        "own - someone else's": right["own rest"] - right["someone else's"],
        "neutral, without": is_told(NEUTRAL, told),
        "neutral, own rest": is_told(NEUTRAL, own),
        "rest is neutral": is_told(NEUTRAL, rest),
    }
    facts = {"net": net.card.name, "others": least_others, "sequences": len(people), "people": len(set(people))}
    scores = {name: by_person(values[tested], people) for name, values in figures.items()}
    return facts | scores | {"no baseline": _missing(has_baseline[tested])}


# --- geometry


def relative_geometry(sequences: Sequences, points: Floats, rest_points: Floats) -> dict[str, dict[str, Score]]:
    """Measure what a linear classifier makes of absolute and of relative geometry, on folds by person."""
    columns = [GEOMETRY_NAMES.index(name) for name in RELATIVE_NAMES]
    absolute, resting = (
        geometry(points.astype(np.float32))[:, columns].reshape(-1, 3, len(columns)) for points in (points, rest_points)
    )
    is_known = np.isfinite(absolute + resting).all(axis=(1, 2))
    others, means = sequences.others & is_known, np.nan_to_num(absolute).mean(axis=1)
    tested = is_known & (others.sum(axis=1) >= OTHERS)
    offsets = means - _mean_of(sequences.of_someone_else(is_known), means)
    inputs = {
        "absolute": absolute,
        "from simulated rest": absolute - resting,
        "from the person's other sequences": absolute - _mean_of(others, means)[:, None],
        "from these, each without the mean of its expression": absolute - _mean_of(others, offsets)[:, None],
    }
    labels, people = sequences.labels[tested], sequences.people[tested]
    right = {name: _folds(values[tested], labels, people) for name, values in inputs.items()}
    return {
        name: {"right": by_person(values, people), "more than absolute": by_person(values - right["absolute"], people)}
        for name, values in right.items()
    }


def _mean_of(chosen: BoolArray, values: FloatArray) -> FloatArray:
    """Return for each row of `chosen`, (S, S), the mean of these values, (S, F); 0 of none."""
    return np.asarray(chosen @ values / np.maximum(chosen.sum(axis=1), 1)[:, None], np.float32)


def _folds(values: FloatArray, labels: IntArray, people: People) -> Floats:
    """Return the share of each sequence's frames, (S, 3, F), that is read right by who has not seen the person."""
    model, split = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000)), GroupKFold(FOLDS)
    table, wanted, groups = values.reshape(-1, values.shape[2]), np.repeat(labels, 3), np.repeat(people, 3)
    told = cross_val_predict(model, table, wanted, groups=groups, cv=split)
    return np.asarray((told == wanted).reshape(-1, 3).mean(axis=1), np.float64)


# --- video


def smile(path: Path) -> list[dict[str, float]]:
    """Read a video without and with a baseline; a row for every `VIDEO_STEP`-th frame in which rest is known."""
    pipeline, rows = Pipeline(landmarks=True), []
    baseline = Baseline(VIDEO_REST_S, pipeline.recognizer.card)
    for frame in frames(path):
        faces = pipeline(frame.image, frame.time_s).faces
        assert faces.landmarks is not None
        after = baseline.update(faces.measured(GEOMETRY_NAMES, geometry(faces.landmarks)), frame.time_s)
        without, own = faces.to_dicts()[0], after.to_dicts()[0]
        if frame.index % VIDEO_STEP == 0 and own[HAS_BASELINE]:
            row = {"time, s": frame.time_s, "happy, without": without["happy"], "happy, own rest": own["happy"]}
            rows.append(row | {name: own[f"{name}{FROM_REST}"] for name in ("lip_corner_pull", "mouth_width")})
    return rows


# --- report


def measure(data_dir: Path, teacher: MeshTeacher, video: Path, pictures: Path | None) -> dict[str, Any]:
    """Measure all that the report tells."""
    files = find_data(data_dir)
    fer2013 = load_fer2013(files.need("fer2013"), files.need("ferplus"))
    resting, photos = resting_faces(fer2013, "PublicTest"), resting_faces(fer2013, "PrivateTest")[:PHOTOS]
    ck48 = load_ck48(files.need("ck48")).of_labels(EXPRESSIONS)
    found = {}
    sources: dict[str, Locate] = {"teacher": partial(points_of_teacher, teacher), "landmark net": points_of_ours}
    for name, locate in sources.items():
        points = locate(ck48.images)
        found[name] = points, at_rest(points, locate(resting[:PHOTOS]))
    sequences = simulated(ck48, *found["teacher"])
    if pictures:
        write_pictures(sequences, pictures)
    nets = {name: load(name) for name in TYPICAL_REST}
    return {
        "resting": len(resting),
        "typical rest": {name: answers(net, resting).mean(axis=0).tolist() for name, net in nets.items()},
        "photos": [photos_at_rest(nets[name], photos) for name in NETS],
        "peaks": [peaks(nets[name], sequences, least) for name in NETS for least in (OTHERS, OTHERS + 1)],
        "geometry": {name: relative_geometry(sequences, *both) for name, both in found.items()},
        "video": smile(video),
    }


def page(found: dict[str, Any]) -> str:
    """Return the report."""
    typical = found["typical rest"]
    off = max(np.abs(np.subtract(typical[name], TYPICAL_REST[name])).max() for name in typical)
    geometry_rows = [
        {"points": points, "geometry": name} | row
        for points, rows in found["geometry"].items()
        for name, row in rows.items()
    ]
    return f"""# What a person's own baseline changes

`python benchmarks/baseline.py --teacher face_landmarker.task`. In brackets the 95 % interval (bootstrap over people).
What was simulated, and how, is at the top of the program; what the figures say is in [baseline.md](../baseline.md).

## Typical rest

What the nets answer on average for the {found["resting"]:,} faces of `PublicTest` that most taggers of FER+ call
neutral, in percent. `TYPICAL_REST` differs from it by {100 * off:.2f} points at most.

{_table([{"net": name} | dict(zip(EXPRESSIONS, row, strict=True)) for name, row in typical.items()])}

## Photos at rest

{PHOTOS} such faces of `PrivateTest`, {COPIES} copies for the baseline, {COPIES} others read: which
of these are read as neutral, in percent.

{_table(found["photos"])}

## Peaks of CK+48 after simulated rest

Frames read right, in percent, of people with at least so many other sequences to make a rest of.

{_table(found["peaks"], ("net", *FACTS, "no baseline", "without", "own rest", "someone else's", "same face"))}

What the own rest changes, in points; how many frames are read as neutral, which none of them is; and how often the
simulated rest itself is, in percent.

{_table(found["peaks"], ("net", "others", *CHANGES))}

## Geometry

Frames of CK+48 read right by logistic regression on {len(RELATIVE_NAMES)} measures, in percent, {FOLDS} folds by
person.

{_table(geometry_rows)}

## A video

Somebody rests and begins to smile; the baseline is of the first {VIDEO_REST_S} s. `default`, smoothed, in percent;
measures as they differ from rest, in percent of the eye distance.

{_table(found["video"])}
"""


def _table(rows: Sequence[dict[str, Any]], names: Iterable[str] = ()) -> str:
    """Return rows as Markdown: shares in percent, scores with their intervals."""
    shown = tuple(names) or tuple(rows[0])
    lines = [shown, ("---",) * len(shown), *([_cell(name, row[name]) for name in shown] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(name: str, value: Any) -> str:
    if isinstance(value, Score):
        return f"{100 * value.value:.1f} ({100 * value.low:.1f} to {100 * value.high:.1f})"
    return f"{value:.1f}" if name == "time, s" else f"{100 * value:.1f}" if isinstance(value, float) else str(value)


def main() -> None:
    """Measure, and write report and figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--teacher", type=Path, required=True, help="face_landmarker.task of MediaPipe")
    parser.add_argument("--data", type=Path, default=SHARED / "data", help="folder with FER2013, FER+ and CK+48")
    parser.add_argument("--video", type=Path, default=SHARED / "media" / "videos" / "pyfeat__single_face.mp4")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "results", help="folder for the two files")
    parser.add_argument("--pictures", type=Path, help="folder for pictures of simulated rest")
    options = parser.parse_args()
    logging.getLogger("mien").setLevel(logging.ERROR)  # who has no baseline is counted
    teacher = MeshTeacher(options.teacher)
    found = measure(options.data, teacher, options.video, options.pictures)
    hashes = {name: load(name).model.sha256 for name in TYPICAL_REST}
    hashes |= {"landmarks": load_landmarker().sha256, "teacher": teacher.sha256}
    record = {"machine": machine(), "sha256": hashes, **found}
    write_whole(options.out / "baseline.json", json.dumps(record, indent=2, default=asdict) + "\n")
    write_whole(options.out / "baseline.md", page(found))
    print(page(found))


if __name__ == "__main__":
    main()
