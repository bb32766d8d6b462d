"""Does the reason hold? To hide the region that mien names must cost the answer more than to hide as much elsewhere.

``python benchmarks/why.py [--data DIR] [--faces N] [--out DIR]`` reads faces of FER2013's ``PublicTest``, in an order
drawn once, and writes why.md and why.json, by default to docs/results, and docs/images/why.png, a NASA portrait. All
3,589 faces take about ten minutes of one thread; what is measured is kept in out/why: a run that was stopped goes on.

On each face the region with the largest share by :class:`mien.engine.explain.Explainer` is hidden, and so is a patch of
its very shape at places drawn at random, where it may cover part of it again. Both are hidden in two ways: behind the
blur that explanations are made with, by which the named region costs most of the four as it was chosen for that, and
behind the mean gray of the crop, which had no part in naming it: that figure is not circular.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from tracking import machine

from mien.app.demo import astronaut_photo
from mien.core import preprocess
from mien.core.labels import EXPRESSIONS
from mien.core.model import Score
from mien.core.types import BoolArray, ByteArray, Faces
from mien.engine import explain
from mien.engine.drawing import draw, heat_map
from mien.engine.explain import STEPS, WHY_NAMES, Explainer, explain_face, hidden, parts_of
from mien.engine.pipeline import analyze
from mien.engine.recognizer import Recognizer, load
from mien.engine.results.writer import make_folder, write_whole
from mien.face import regions
from mien.face.landmarks import load_landmarker
from mien.face.regions import REGIONS
from mien.lab.datasets import SIDE, load_fer2013
from mien.lab.evaluation.intervals import bootstrap

ROOT = Path(__file__).resolve().parents[1]
MOVES = 8  # random places a face
MAPPED = 300  # faces of which the saliency map, 100 answers of the net, names a region too
SEED = 0
WAYS = {"blur": "the blur that explains", "gray": "the crop's mean gray"}


@dataclass(frozen=True)
class Reason:
    """What was measured on one face: by how much the probability of its answer falls; -1 stands for no region.

    Parameters
    ----------
    answer : str
    origin : str
        Where the regions lie, as :attr:`mien.engine.explain.Explanation.regions_from`.
    shares : list of float
        As explained, of brows, eyes, nose, mouth and elsewhere.
    named : int
        The region with the largest share.
    mapped : int or None
        The region in which the saliency map has most; None where that was not asked for.
    blur, gray : list of float
        Falls when each region is hidden.
    blur_moved, gray_moved : list of float
        Falls when a patch as the named region is hidden somewhere.
    """

    answer: str
    origin: str
    shares: list[float]
    named: int
    mapped: int | None
    blur: list[float]
    gray: list[float]
    blur_moved: list[float]
    gray_moved: list[float]


# --- measurement


def in_gray(crop: ByteArray, masks: BoolArray) -> ByteArray:
    """Hide parts of a crop behind its mean gray, as :func:`mien.engine.explain.hidden` does behind its blur."""
    return np.where(masks, np.uint8(crop.mean().round()), crop)


def moved(mask: BoolArray, count: int, generator: np.random.Generator) -> BoolArray:
    """Return a patch, (S, S), at random places where it lies wholly in the crop, (count, S, S)."""
    rows, columns = np.nonzero(mask)
    down = generator.integers(-rows.min(), len(mask) - rows.max(), count)
    right = generator.integers(-columns.min(), len(mask) - columns.max(), count)
    patches = np.zeros((count, *mask.shape), np.bool_)
    for patch, y, x in zip(patches, down, right, strict=True):
        patch[rows + y, columns + x] = True
    return patches


def read(crop: ByteArray, recognizer: Recognizer) -> Faces:
    """Return the face that a crop of FER2013 is, with its expression."""
    box = preprocess.boxes_around(np.array([[SIDE / 2, SIDE / 2, SIDE]], np.float32))
    return recognizer.answer(Faces.detected(box, [1]), recognizer.probabilities([crop]))


def reason(crop: ByteArray, recognizer: Recognizer, seed: int, *, mapped: bool) -> Reason:
    """Explain one face of FER2013 and check what was named."""
    face = load_landmarker().locate(crop, read(crop, recognizer))
    best = int(face.probabilities[0].argmax())
    shares = np.nan_to_num(Explainer(recognizer).update(crop, face, 0.0)[0])  # no region is named on unsure landmarks
    parts, origin = parts_of(crop, face, SIDE)
    shares_of_regions, masks = shares[: len(REGIONS)], parts[: len(REGIONS)]
    named = int(shares_of_regions.argmax()) if shares_of_regions.any() else -1
    patches = moved(masks[named], MOVES, np.random.default_rng((SEED, seed))) if named >= 0 else masks[:0]
    places = np.concatenate([masks, patches])
    answers = recognizer.probabilities(np.concatenate([hidden(crop, places), in_gray(crop, places)]))
    by_blur, by_gray = (face.probabilities[0, best] - answers[:, best]).reshape(2, -1).tolist()
    return Reason(
        answer=recognizer.card.labels[best],
        origin=origin,
        shares=shares.tolist(),
        named=named,
        mapped=_named_by_map(crop, face, recognizer, masks) if mapped else None,
        blur=by_blur[: len(REGIONS)],
        gray=by_gray[: len(REGIONS)],
        blur_moved=by_blur[len(REGIONS) :],
        gray_moved=by_gray[len(REGIONS) :],
    )


def _named_by_map(crop: ByteArray, face: Faces, recognizer: Recognizer, masks: BoolArray) -> int:
    sums = (masks * explain_face(crop, face, recognizer).saliency).sum(axis=(1, 2))
    return int(sums.argmax()) if sums.any() else -1


def reasons(crops: ByteArray, rows: Sequence[int], recognizer: Recognizer, progress: Path) -> Iterator[Reason]:
    """Yield what was measured on faces; what an earlier run has measured is read from the file `progress`."""
    known = read_progress(progress)
    with progress.open("a", encoding="utf-8", buffering=1) as file:
        for place, row in enumerate(rows):
            if row not in known:
                known[row] = reason(crops[row], recognizer, row, mapped=place < MAPPED)
                file.write(json.dumps([row, asdict(known[row])]) + "\n")
            if (place + 1) % 100 == 0:
                print(f"{place + 1} of {len(rows)} faces", flush=True)
            yield known[row]


def read_progress(path: Path) -> dict[int, Reason]:
    """Return what was measured by row of the split; a line that was broken off is dropped from the file."""
    make_folder(path.parent)
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    write_whole(path, text[: text.rfind("\n") + 1])
    return {row: Reason(**values) for row, values in map(json.loads, text[: text.rfind("\n") + 1].splitlines())}


def progress_path(recognizer: Recognizer) -> Path:
    """Return the file of what is measured with these nets and this code."""
    digest = hashlib.sha256((recognizer.model.sha256 + load_landmarker().sha256).encode())
    for path in (explain.__file__, regions.__file__, __file__):
        digest.update(Path(path).read_bytes())
    return ROOT / "out" / "why" / f"{digest.hexdigest()[:12]}.jsonl"


def times_ms(crop: ByteArray, recognizer: Recognizer) -> dict[str, float]:
    """Return the processor time that a face takes whose landmarks are known, median of 20."""
    picture = np.repeat(crop[:, :, None], 3, axis=2)
    face = load_landmarker().locate(picture, read(crop, recognizer))
    ways: dict[str, Callable[[], object]] = {
        "explain": lambda: explain_face(picture, face, recognizer),
        "stream": lambda: Explainer(recognizer).update(picture, face, 0.0),
    }
    return {name: statistics.median(_time_ms(way) for _ in range(20)) for name, way in ways.items()}


def _time_ms(way: Callable[[], object]) -> float:
    start = time.process_time()
    way()
    return 1000 * (time.process_time() - start)


# --- figures


def figures(measured: Sequence[Reason]) -> dict[str, Any]:
    """Return the figures of the report; falls are of probability, with 95 % bootstrap intervals over faces."""
    explained = [face for face in measured if face.named >= 0]
    return {
        "faces": len(measured),
        "explained": len(explained),
        "on_landmarks": sum(face.origin == "landmarks" for face in measured),
        "elsewhere_largest": sum(int(np.argmax(face.shares)) == len(REGIONS) for face in explained),
        "patches": {way: against_patches(explained, way) for way in WAYS},
        "regions": against_regions(explained),
        "expressions": by_expression(explained),
        "map": against_map([face for face in measured if face.mapped is not None]),
    }


def against_patches(faces: Sequence[Reason], way: str) -> dict[str, Score]:
    """Return falls when the named region is hidden and when a patch of its shape is hidden somewhere."""
    named = np.array([getattr(face, way)[face.named] for face in faces])
    patches = np.array([getattr(face, f"{way}_moved") for face in faces])
    return {
        "named": mean(named),
        "patch": mean(patches.mean(axis=1)),
        "more": mean(named - patches.mean(axis=1)),
        "wins": mean(named > patches.mean(axis=1)),
        "wins_a_patch": mean((named[:, None] > patches).mean(axis=1)),
    }


def against_regions(faces: Sequence[Reason]) -> dict[str, Score]:
    """Return falls in gray when the named region is hidden, and when others are that know less of this face."""
    falls, named = np.array([face.gray for face in faces]), np.array([face.named for face in faces])
    counts = {answer: Counter(face.named for face in faces if face.answer == answer) for answer in answers(faces)}
    usual = np.array([counts[face.answer].most_common(1)[0][0] for face in faces])
    every = np.arange(len(faces))
    return {
        "named": mean(falls[every, named]),
        "others": mean((falls.sum(axis=1) - falls[every, named]) / (len(REGIONS) - 1)),
        "usual": mean(falls[every, usual]),
        "more_than_usual": mean(falls[every, named] - falls[every, usual]),
        "mouth": mean(falls[:, REGIONS.index("mouth")]),
        "is_largest": mean(falls.argmax(axis=1) == named),
    }


def by_expression(faces: Sequence[Reason]) -> dict[str, dict[str, Any]]:
    """Return which regions are named for each answer, and what hiding them costs."""
    rows = {}
    for answer in answers(faces):
        chosen = [face for face in faces if face.answer == answer]
        counts = Counter(REGIONS[face.named] for face in chosen)
        shares = {name: counts[name] / len(chosen) for name in REGIONS}
        rows[answer] = {"shares": shares, **{way: against_patches(chosen, way) for way in WAYS}}
    return rows


def against_map(faces: Sequence[Reason]) -> dict[str, Score]:
    """Return falls when the named region is hidden, and when the one is in which the saliency map has most."""
    both = [face for face in faces if face.named >= 0 and (face.mapped or 0) >= 0]
    scores = {"agree": mean(np.array([face.named == face.mapped for face in both]))}
    for way in WAYS:
        scores[f"named_{way}"] = mean(np.array([getattr(face, way)[face.named] for face in both]))
        scores[f"mapped_{way}"] = mean(np.array([getattr(face, way)[face.mapped] for face in both]))
    return scores


def answers(faces: Sequence[Reason]) -> list[str]:
    """Return the answers that there are, in the order of labels."""
    given = {face.answer for face in faces}
    return [label for label in EXPRESSIONS if label in given]


def mean(values: npt.NDArray[Any]) -> Score:
    """Return a mean with its 95 % bootstrap interval over faces."""
    return bootstrap(lambda rows: float(values[rows].mean()), len(values), limits=(-1.0, 1.0))


# --- report


def page(command: str, found: dict[str, Any]) -> str:
    """Return the report."""
    count, explained = found["faces"], found["explained"]
    sure, elsewhere = found["on_landmarks"] / count, found["elsewhere_largest"] / explained
    return f"""# Why: does the reason hold?

`{command}`: `default` on {count:,} faces of `PublicTest`. Regions lie on the landmarks of {100 * sure:.0f} % of them,
on the others where they lie on the mean face. On {count - explained:,} faces there is no region to name, since the
answer gets no less sure when one is hidden: they are left out below. What is elsewhere has a larger share than
any region on {100 * elsewhere:.0f} %.

Falls are of the probability of the answer, in points; in brackets the 95 % interval (bootstrap over faces).

## The named region against a patch of its shape

The patch lies at {MOVES} places of each face drawn at random, where it may cover part of the region again. The blur
also named the region; gray had no part in that, so its row is the check. A face is won where hiding the region costs
more than the patches do on average.

| hidden behind | named region | patch | more | faces won, % | single patches won, % |
|---|---|---|---|---|---|
{_lines([WAYS[way], *_cells(found["patches"][way])] for way in WAYS)}

## Against other regions

Hidden behind gray. *Usual* is the region that is named most often for the same answer: what one knows without a look at
this face.

| named region | the other three | usual | more than usual | mouth on every face | named one costs most, % |
|---|---|---|---|---|---|
{_lines([_cells(found["regions"])])}

## By answer

How often each region is named, in percent, and falls as above.

| answer | faces | {" | ".join(REGIONS)} | blur: named | patch | gray: named | patch | won, gray, % |
|---|---|{"---|" * len(REGIONS)}---|---|---|---|---|
{_lines(_expression_row(answer, row) for answer, row in found["expressions"].items())}

## Against the sum of the map

On the first {found["map"]["agree"].count} of these faces: falls when the named region is hidden, and when the one is in
which the saliency map, made with a window in {STEPS}x{STEPS} places, has most. Both are one region on
{_shown(found["map"]["agree"])} %.

| hidden behind | named region | by the map |
|---|---|---|
{_lines([WAYS[way], *(_shown(found["map"][f"{name}_{way}"]) for name in ("named", "mapped"))] for way in WAYS)}

A face whose landmarks are known takes {found["times_ms"]["stream"]:.0f} ms in a stream and
{found["times_ms"]["explain"]:.0f} ms in `mien.explain`, which also makes the map (processor time, one thread).
"""


def _expression_row(answer: str, row: dict[str, Any]) -> list[str]:
    shares = [f"{100 * share:.0f}" for share in row["shares"].values()]
    blur, gray = ([_shown(row[way][name]) for name in ("named", "patch")] for way in WAYS)
    return [answer, f"{row['gray']['named'].count:,}", *shares, *blur, *gray, _shown(row["gray"]["wins"])]


def _cells(scores: dict[str, Score]) -> list[str]:
    return [_shown(score) for score in scores.values()]


def _shown(score: Score) -> str:
    return f"{100 * score.value:.1f} ({100 * score.low:.1f} to {100 * score.high:.1f})"


def _lines(rows: Iterable[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def picture() -> ByteArray:
    """Return a portrait with the reason for its expression beside the map of the same."""
    photo = astronaut_photo()
    large = np.asarray(cv2.resize(photo, None, fx=2.5, fy=2.5, interpolation=cv2.INTER_CUBIC), np.uint8)
    faces = load_landmarker().locate(large, analyze(large))
    drawn = draw(large, faces.measured(WHY_NAMES, Explainer(load()).update(large, faces, 0.0)), regions=True)
    glow = heat_map(explain_face(large, faces[0], load()))
    window = drawn[60:490, 360:960]
    side = window.shape[0]
    return np.concatenate([window, np.asarray(cv2.resize(glow, (side, side)), np.uint8)], axis=1)


def main() -> None:
    """Measure, and write report, figures and picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--faces", type=int, help="how many; by default all")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "results", help="folder for the two files")
    parser.add_argument("--picture", type=Path, default=ROOT / "docs" / "images" / "why.png")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    recognizer = load()
    crops = load_fer2013(options.data).of_split("PublicTest").images
    order = np.random.default_rng(SEED).permutation(len(crops)).tolist()[: options.faces]
    found = figures(list(reasons(crops, order, recognizer, progress_path(recognizer))))
    found["times_ms"] = times_ms(crops[order[0]], recognizer)
    command = f"python benchmarks/why.py{f' --faces {options.faces}' if options.faces else ''}"
    hashes = {"net": recognizer.model.sha256, "landmarks": load_landmarker().sha256}
    record = {"command": command, "machine": machine(), "sha256": hashes, **found}
    write_whole(options.out / "why.json", json.dumps(record, indent=2, default=asdict) + "\n")
    write_whole(options.out / "why.md", page(command, found))
    make_folder(options.picture.parent)
    cv2.imwrite(str(options.picture), picture()[:, :, ::-1])
    print(page(command, found))


if __name__ == "__main__":
    main()
