"""What a person's own resting face changes: answers at rest and at the peak of expressions, geometry, one video.

``python benchmarks/baseline.py --data DIR --teacher face_landmarker.task [--video FILE] [--out baseline.json]`` prints
the tables of docs/results/baseline.md and writes them as JSON, in about ten minutes. The teacher is MediaPipe's net of
face points, which the landmark net was taught by (docs/landmarks.md).

* *typical rest*: what each net answers on average for the faces of `PublicTest` that FER+ calls neutral.
* *photos at rest*: such faces of `PrivateTest`, each turned, shifted, lit and blurred six ways: three make the
  person's baseline, three are read with it.
* *peaks*: CK+48 has no neutral frames, so rest is simulated. A face is warped, piecewise between its landmarks, to the
  shape that a face with this nose bridge, these eye corners and these sides of the jaw has at rest (ridge regression on
  resting faces of `PublicTest`). What is left of the expression is in the skin: furrows, teeth. So the rest of a
  sequence is made of the person's *other* sequences, as the median of each pixel: what only one of them shows is gone.
  No label is used. But the others show other expressions than the one that is tested, and what is left of them tells
  what it is not; so *someone else's* rest, made without the same expression too, is the control. *Same face* is
  the very sequence that is tested: there what is left of its expression counts as rest.
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
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt
from skimage.transform import PiecewiseAffineTransform, SimilarityTransform, warp
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from tracking import machine

from mien.core.labels import EXPRESSIONS
from mien.core.model import Score
from mien.core.types import ByteArray, Faces, FloatArray, IntArray
from mien.engine.baseline import FROM_REST, HAS_BASELINE, RELATIVE_NAMES, Baseline
from mien.engine.pipeline import Pipeline
from mien.engine.recognizer import Recognizer, load
from mien.engine.results.writer import make_folder, write_whole
from mien.engine.video import frames
from mien.face.geometry import GEOMETRY_NAMES, geometry
from mien.face.landmarks import load_landmarker
from mien.lab.datasets import SIDE, FaceDataset, ferplus_majority, find_data, load_ck48, load_fer2013
from mien.lab.evaluation.intervals import bootstrap
from mien.lab.landmarks.measuring import points_of
from mien.lab.landmarks.teacher import MeshTeacher

Floats: TypeAlias = npt.NDArray[np.float64]
Locate: TypeAlias = Callable[[ByteArray], Floats]
NETS = ("default", "fer2013")
NEUTRAL = EXPRESSIONS.index("neutral")
PHOTOS, COPIES = 400, 3
STEADY = [0, 1, 2, 3, 13, 14, 15, 16, 27, 28, 29, 30, 36, 39, 42, 45]  # sides of the jaw, nose bridge, eye corners
RIDGE = 1.0  # px², beside the variance of a coordinate
BORDER_PX = np.array([(x, y) for x in range(-24, 73, 24) for y in range(-24, 73, 24) if {x, y} & {-24, 72}], np.float64)
OTHERS = 2  # sequences that a simulated rest is made of, at least
FOLDS = 10
VIDEO_REST_S = 0.5


# --- answers with a baseline


def with_baseline(net: Recognizer, rest: FloatArray, later: FloatArray) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
    """Return answers about N people after rest, (N, L, K), and who has a baseline; `rest` is (N, R, K)."""
    baseline = Baseline(rest.shape[1] / 25, net.card)
    told = []
    for index in range(rest.shape[1] + later.shape[1]):
        answers = rest[:, index] if index < rest.shape[1] else later[:, index - rest.shape[1]]
        faces = net.answer(Faces.detected([[0, 0, 40, 50]] * len(answers), np.ones(len(answers))), answers)
        told.append(baseline.update(replace(faces, track_ids=np.arange(len(answers))), index / 25))
    has_baseline = np.array([row[HAS_BASELINE] == 1 for row in told[-1].to_dicts()])
    return np.stack([faces.probabilities for faces in told[rest.shape[1] :]], axis=1), has_baseline


def answers(net: Recognizer, images: ByteArray) -> FloatArray:
    """Return what a net answers for (N, ..., 48, 48) faces."""
    return net.probabilities(images.reshape(-1, SIDE, SIDE)).reshape(*images.shape[:-2], -1)


def by_person(values: Floats, people: npt.NDArray[np.str_]) -> Score:
    """Return the mean of values with its interval, people drawn anew."""
    names, rows = np.unique(people, return_inverse=True)
    sums, counts = np.bincount(rows, values), np.bincount(rows)
    score = bootstrap(lambda drawn: float(sums[drawn].sum() / counts[drawn].sum()), len(names), limits=(-1.0, 1.0))
    return replace(score, count=len(values))


# --- photos of resting faces


def resting_faces(data: FaceDataset, split: str) -> ByteArray:
    """Return the faces of a split of FER2013 that most taggers of FER+ call neutral."""
    part = data.of_split(split)
    assert part.votes is not None
    return part[ferplus_majority(part.votes) == NEUTRAL].images


def photos_at_rest(net: Recognizer, photos: ByteArray) -> dict[str, Any]:
    """Measure how often resting faces are read as neutral, without and with a baseline from other copies."""
    generator = np.random.default_rng(0)
    copies = np.stack([[_copy(photo, generator) for _ in range(2 * COPIES)] for photo in photos])
    told = answers(net, copies)
    after, has_baseline = with_baseline(net, told[:, :COPIES], told[:, COPIES:])
    people = np.arange(len(photos)).astype(np.str_)
    shares = {"without": told[:, COPIES:], "with": after}
    scores = {name: by_person(_is(NEUTRAL, table), people) for name, table in shares.items()}
    return {"net": net.card.name, **_asdict(scores), "no baseline": float(1 - has_baseline.mean())}


def _copy(photo: ByteArray, generator: np.random.Generator) -> ByteArray:
    """Return a photo as another frame could show it: turned, moved, lit and blurred a little."""
    transform = cv2.getRotationMatrix2D((23.5, 23.5), generator.uniform(-6, 6), generator.uniform(0.95, 1.05))
    shifted = transform + np.pad(generator.uniform(-2, 2, (2, 1)), ((0, 0), (2, 0)))
    moved = cv2.warpAffine(photo, shifted, (SIDE, SIDE), borderMode=cv2.BORDER_REPLICATE)
    lit = moved * generator.uniform(0.8, 1.2) + generator.uniform(-15, 15) + generator.normal(0, 3, moved.shape)
    return np.asarray(lit.clip(0, 255), np.uint8)


def _is(label: int | IntArray, table: FloatArray) -> Floats:
    """Return in which share of its frames each person, (N, L, K), is read as the label."""
    return np.asarray((table.argmax(axis=-1) == np.reshape(label, (-1, 1))).mean(axis=1), np.float64)


def _asdict(scores: Mapping[str, Score]) -> dict[str, Any]:
    return {name: asdict(score) for name, score in scores.items()}


# --- simulated rest


class RestingShape:
    """Tells the shape of a face at rest from the points that expressions hardly move."""

    def __init__(self, resting: Floats) -> None:
        self._mean = resting.mean(axis=0)
        for _ in range(3):
            aligned = np.stack([steady_transform(points, self._mean)(points) for points in resting])
            self._mean = aligned.mean(axis=0)
        steady, whole = aligned[:, STEADY].reshape(len(aligned), -1), aligned.reshape(len(aligned), -1)
        self._steady_mean, self._whole_mean = steady.mean(axis=0), whole.mean(axis=0)
        centered = steady - self._steady_mean
        covariance = centered.T @ centered / len(aligned) + RIDGE * np.eye(centered.shape[1])
        self._weights = np.linalg.solve(covariance, centered.T @ (whole - self._whole_mean) / len(aligned))

    def __call__(self, points: Floats) -> Floats:
        """Return the (68, 2) points of this face at rest, in the same picture."""
        transform = steady_transform(points, self._mean)
        steady = transform(points[STEADY]).ravel()
        whole = self._whole_mean + (steady - self._steady_mean) @ self._weights
        return np.asarray(transform.inverse(whole.reshape(-1, 2)), np.float64)


def steady_transform(points: Floats, onto: Floats) -> Any:
    """Return the similarity transform that brings the steady points of one face onto those of another."""
    return SimilarityTransform.from_estimate(points[STEADY], onto[STEADY])


def warped(image: ByteArray, points: Floats, onto: Floats) -> ByteArray:
    """Return a face with its points moved, and what is around it turned and scaled alike."""
    around = steady_transform(onto, points)(BORDER_PX)
    # Pixel centers lie at half coordinates here, at whole ones in scikit-image.
    back = PiecewiseAffineTransform.from_estimate(  # type: ignore[no-untyped-call]
        np.concatenate([onto, BORDER_PX]) - 0.5, np.concatenate([points, around]) - 0.5
    )
    moved = warp(image.astype(np.float64), back, order=3, mode="edge", preserve_range=True)  # type: ignore[no-untyped-call]
    return np.asarray(moved.clip(0, 255).round(), np.uint8)


def points_of_teacher(teacher: MeshTeacher, images: ByteArray) -> Floats:
    """Return the points, (N, 68, 2) pixels, that the teacher sees best on faces framed as FER2013 frames them."""
    return SIDE * np.stack([teacher.label(image)[0] for image in images]).astype(np.float64)


def points_of_ours(images: ByteArray) -> Floats:
    """Return the points, (N, 68, 2) pixels, of the landmark net that ships."""
    return SIDE * points_of(load_landmarker(), images)[0].astype(np.float64)


@dataclass(frozen=True, eq=False)
class Sequences:
    """The peaks of CK+48 and what simulates rest; sequence ``i`` is row ``i`` of each.

    Parameters
    ----------
    images : (S, 3, 48, 48) ndarray of uint8
    labels : (S,) ndarray of int64
    people : (S,) ndarray of str
    same_face : (S, 48, 48) ndarray of uint8
        The last frame, warped to the shape of the person at rest, one for all sequences of a person.
    """

    images: ByteArray
    labels: IntArray
    people: npt.NDArray[np.str_]
    same_face: ByteArray

    @property
    def others(self) -> npt.NDArray[np.bool_]:
        """Which other sequences show the same person, (S, S)."""
        return np.asarray(self.people[:, None] == self.people) & ~np.eye(len(self.people), dtype=np.bool_)

    def rest_of_others(self) -> ByteArray:
        """Return the simulated resting face of each sequence's person, without that sequence, (S, 48, 48)."""
        return np.stack([_median_face(self.same_face[others]) for others in self.others])


def _median_face(faces: ByteArray) -> ByteArray:
    """Return the median of faces of one shape, all brought to the light of the first; plain gray of none."""
    if not len(faces):
        return np.full((SIDE, SIDE), 128, np.uint8)
    means, spreads = faces.mean(axis=(1, 2), keepdims=True), faces.std(axis=(1, 2), keepdims=True)
    median = np.median((faces - means) / spreads, axis=0) * spreads[0] + means[0]
    return np.asarray(median.clip(0, 255).round(), np.uint8)


def simulated(data: FaceDataset, points: Floats, rest_points: Floats) -> Sequences:
    """Return CK+48 as sequences of three frames, with the points of its faces as they are and at rest."""
    assert data.subjects is not None
    people = data.subjects[::3]
    first = [3 * int(np.argmax(people == person)) for person in people]
    lasts = range(2, len(data), 3)
    same_face = [warped(data.images[k], points[k], rest_points[f]) for k, f in zip(lasts, first, strict=True)]
    return Sequences(data.images.reshape(-1, 3, SIDE, SIDE), data.labels[::3], people, np.stack(same_face))


def of_someone_else(sequences: Sequences, among: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Return which sequences show the same expression of other people, (S, S)."""
    alike = sequences.labels[:, None] == sequences.labels
    strangers = sequences.people[:, None] != sequences.people
    return np.asarray(alike & strangers & among[:, None] & among)


def peaks(net: Recognizer, sequences: Sequences, least_others: int) -> dict[str, Any]:
    """Measure the answers at the peak, without and with a baseline, of people with so many other sequences."""
    tested = sequences.others.sum(axis=1) >= least_others
    labels, people = sequences.labels, sequences.people[tested]
    told = answers(net, sequences.images)
    rest, same_face = (answers(net, faces)[:, None] for faces in (sequences.rest_of_others(), sequences.same_face))
    own, has_baseline = with_baseline(net, rest, told)
    pairs = np.argwhere(of_someone_else(sequences, tested))
    strange, _ = with_baseline(net, rest[pairs[:, 1]], told[pairs[:, 0]])
    strange_sums = np.bincount(pairs[:, 0], _is(labels[pairs[:, 0]], strange), len(labels))
    right = {
        "without": _is(labels, told),
        "own rest": _is(labels, own),
        "someone else's": strange_sums / np.maximum(np.bincount(pairs[:, 0], minlength=len(labels)), 1),
        "same face": _is(labels, with_baseline(net, same_face, told)[0]),
    }
    figures = right | {
        "own rest - without": right["own rest"] - right["without"],
        "own rest - someone else's": right["own rest"] - right["someone else's"],
        "neutral at the peak, without": _is(NEUTRAL, told),
        "neutral at the peak, own rest": _is(NEUTRAL, own),
        "neutral, rest": _is(NEUTRAL, rest),
        "neutral, same face, without": _is(NEUTRAL, same_face),
        "neutral, same face, own rest": _is(NEUTRAL, with_baseline(net, rest, same_face)[0]),
    }
    facts = {"net": net.card.name, "least others": least_others, "sequences": len(people)}
    facts |= {"people": len(set(people.tolist())), "no baseline": float(1 - has_baseline[tested].mean())}
    scores = {name: by_person(values[tested], people) for name, values in figures.items()}
    return facts | _asdict(scores) | {"by label": _by_label(right, labels, tested)}


def _by_label(
    right: Mapping[str, Floats], labels: IntArray, tested: npt.NDArray[np.bool_]
) -> dict[str, dict[str, float]]:
    rows = {name: tested & (labels == index) for index, name in enumerate(EXPRESSIONS) if index != NEUTRAL}
    return {
        name: {"sequences": int(chosen.sum())} | {kind: float(values[chosen].mean()) for kind, values in right.items()}
        for name, chosen in rows.items()
    }


# --- geometry


def relative_geometry(sequences: Sequences, points: Floats, rest_points: Floats) -> list[dict[str, Any]]:
    """Measure what a linear classifier makes of absolute and of relative geometry, on folds by person."""
    columns = [GEOMETRY_NAMES.index(name) for name in RELATIVE_NAMES]
    absolute, resting = (
        geometry(points.astype(np.float32))[:, columns].reshape(-1, 3, len(columns)) for points in (points, rest_points)
    )
    is_known = np.isfinite(absolute + resting).all(axis=(1, 2))
    others, means = sequences.others & is_known, np.nan_to_num(absolute).mean(axis=1)
    tested = is_known & (others.sum(axis=1) >= OTHERS)
    offsets = means - _mean_of(of_someone_else(sequences, is_known), means)
    inputs = {
        "absolute": absolute,
        "from simulated rest": absolute - resting,
        "from the person's other sequences": absolute - _mean_of(others, means)[:, None],
        "from these, each without the mean of its expression": absolute - _mean_of(others, offsets)[:, None],
    }
    labels, people = sequences.labels[tested], sequences.people[tested]
    right = {name: _folds(values[tested], labels, people) for name, values in inputs.items()}
    return [
        {"geometry": name, "accuracy": asdict(by_person(values, people))}
        | {"more than absolute": asdict(by_person(values - right["absolute"], people))}
        for name, values in right.items()
    ]


def _mean_of(chosen: npt.NDArray[np.bool_], values: FloatArray) -> FloatArray:
    """Return for each row of `chosen`, (S, S), the mean of these values, (S, F); 0 of none."""
    return np.asarray(chosen @ values / np.maximum(chosen.sum(axis=1), 1)[:, None], np.float32)


def _folds(values: Floats, labels: IntArray, people: npt.NDArray[np.str_]) -> Floats:
    """Return the share of each sequence's frames, (S, 3, F), that is read right by who has not seen the person."""
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
    told = cross_val_predict(
        model,
        values.reshape(-1, values.shape[2]),
        np.repeat(labels, 3),
        groups=np.repeat(people, 3),
        cv=GroupKFold(FOLDS),
    )
    return np.asarray((told.reshape(-1, 3) == labels[:, None]).mean(axis=1), np.float64)


# --- video


def smile(path: Path) -> list[dict[str, float | None]]:
    """Read a video without and with a baseline; a row for every fifth of a second."""
    pipeline, rows = Pipeline(landmarks=True), []
    baseline = Baseline(VIDEO_REST_S, pipeline.recognizer.card)
    names = ("lip_corner_pull", f"lip_corner_pull{FROM_REST}", f"mouth_width{FROM_REST}")
    for frame in frames(path):
        faces = pipeline(frame.image, frame.time_s).faces
        assert faces.landmarks is not None
        after = baseline.update(faces.measured(GEOMETRY_NAMES, geometry(faces.landmarks)), frame.time_s)
        if frame.index % 6 == 0:
            without, told = faces.to_dicts()[0], after.to_dicts()[0]
            row = {"time_s": frame.time_s, "happy, without": without["happy"], "happy, with": told["happy"]}
            rows.append(row | {name: told[name] if np.isfinite(told[name]) else None for name in names})
    return rows


# --- tables


def measure(data_dir: Path, teacher: Path, video: Path | None, pictures: Path | None) -> Iterator[tuple[str, Any]]:
    """Yield the name and the rows of each table."""
    files = find_data(data_dir)
    fer2013 = load_fer2013(files.need("fer2013"), files.need("ferplus"))
    resting = resting_faces(fer2013, "PublicTest")
    nets = {name: load(name) for name in (*NETS, "paper")}
    yield "typical rest", {name: answers(net, resting).mean(axis=0).tolist() for name, net in nets.items()}
    photos = resting_faces(fer2013, "PrivateTest")[:PHOTOS]
    yield "photos at rest", [photos_at_rest(nets[name], photos) for name in NETS]
    ck48 = load_ck48(files.need("ck48")).of_labels(EXPRESSIONS)
    sources: dict[str, Locate] = {"ours": points_of_ours, "teacher": partial(points_of_teacher, MeshTeacher(teacher))}
    found = {name: _with_rest(locate, resting[:PHOTOS], ck48.images) for name, locate in sources.items()}
    sequences = simulated(ck48, *found["teacher"])
    if pictures:
        write_pictures(sequences, pictures)
    yield "peaks", [peaks(nets[name], sequences, least) for name in NETS for least in (OTHERS, OTHERS + 1)]
    tables = {name: relative_geometry(sequences, *both) for name, both in found.items()}
    yield "geometry", [{"points": name} | row for name, rows in tables.items() for row in rows]
    if video:
        yield "video", smile(video)


def _with_rest(locate: Locate, resting: ByteArray, images: ByteArray) -> tuple[Floats, Floats]:
    """Return the points of faces as they are and at rest, (N, 68, 2) pixels each."""
    shape, points = RestingShape(locate(resting)), locate(images)
    return points, np.stack([shape(face) for face in points])


def write_pictures(sequences: Sequences, folder: Path) -> None:
    """Write, for each expression, eight peaks, each beside the same face and the others of this person at rest."""
    make_folder(folder)
    rest, has_rest = sequences.rest_of_others(), sequences.others.sum(axis=1) >= OTHERS
    for index, name in enumerate(EXPRESSIONS):
        chosen = np.flatnonzero(has_rest & (sequences.labels == index))[::3][:8]
        rows = [np.hstack([sequences.images[row, 2], sequences.same_face[row], rest[row]]) for row in chosen]
        if rows:
            sheet = np.vstack([np.hstack(rows[:4]), np.hstack(rows[4:])]) if len(rows) == 8 else np.vstack(rows)
            cv2.imwrite(str(folder / f"{name}.png"), cv2.resize(sheet, None, fx=3, fy=3, interpolation=cv2.INTER_CUBIC))


def table(rows: list[dict[str, Any]]) -> str:
    """Return rows as Markdown: scores in percent with their intervals."""
    names = [name for name in rows[0] if name != "by label"]
    lines = [f"| {' | '.join(names)} |", f"|{'---|' * len(names)}"]
    return "\n".join([*lines, *(f"| {' | '.join(_cell(row[name]) for name in names)} |" for row in rows)])


def _cell(value: Any) -> str:
    if isinstance(value, dict):
        return f"{100 * value['value']:.1f} ({100 * value['low']:.1f} to {100 * value['high']:.1f})"
    return f"{value:.3f}" if isinstance(value, float) else "" if value is None else str(value)


def main() -> None:
    """Measure, print the tables, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with FER2013, FER+ and CK+48")
    parser.add_argument("--teacher", type=Path, required=True, help="face_landmarker.task of MediaPipe")
    parser.add_argument("--video", type=Path, help="a video in which somebody who rests begins to smile")
    parser.add_argument("--out", type=Path, help="JSON file to write")
    parser.add_argument("--pictures", type=Path, help="folder for pictures of simulated rest")
    arguments = parser.parse_args()
    logging.getLogger("mien").setLevel(logging.ERROR)  # who has no baseline is counted
    record: dict[str, Any] = {"machine": machine()}
    for name, rows in measure(arguments.data, arguments.teacher, arguments.video, arguments.pictures):
        print(f"\n{name}\n\n{table(rows) if isinstance(rows, list) else json.dumps(rows)}", flush=True)
        record[name] = rows
    if arguments.out:
        write_whole(arguments.out, json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
