"""How good the landmark net is: its errors against the teacher, what it doubts, its speed, its points through time.

``python benchmarks/landmarks.py --labels runs/landmarks/labels [--data DIR] [--media DIR --teacher TASK]`` writes
docs/results/landmarks.md and .json. The labels are those that ``mien landmarks`` leaves. Errors are mean distances from
the teacher's points as shares of the distance between the outer corners of the eyes, on faces that the net was not
trained on and on which the teacher finds a mesh.

* *turned*: the face in its frame turned left or right, the border repeated; *box off*: the frame moved and scaled by as
  much as detectors differ (a deviation of 4 % of its side each).
* *measured*: faces whose confidence is at least the threshold below which nothing is measured.
* *through time*: the clips of tests/engine/mouths.py, one face 200 px wide at 30 frames a second, through the pipeline.
* *photos*: faces that the detector finds in real photos, on which the net was never trained, against the teacher.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from mien.core.preprocess import boxes_around, crop_squares, crops
from mien.core.types import ByteArray, Faces, FloatArray
from mien.engine.results.writer import write_whole
from mien.engine.video import read_picture
from mien.face.detectors import detect, load_detector
from mien.face.landmarks import MEASURABLE, Landmarker
from mien.lab.datasets import FaceDataset, find_data, load_fer2013
from mien.lab.evaluation import bootstrap, range_text
from mien.lab.evaluation.robustness import CONDITIONS
from mien.lab.landmarks.data import no_faces
from mien.lab.landmarks.measuring import errors, points_of
from mien.lab.landmarks.teacher import MeshTeacher, read_labels
from mien.lab.page import markdown_table

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "engine"))

import mouths
from test_landmark_stream import delay_frames, lip_gap, points_through, trembling

WORSE = ("face of 24 px", "JPEG quality 20", "blur, sigma 1.5", "noise, sigma 8")
TURNS = (15, 30, 45)
BOX_OFF = 0.04
SIZES_PX = (48, 24, 16, 12, 8, 6)
FRAME_PX = 256  # side of a photo's face as the teacher sees it

Row = tuple[str, ...]


def percent(values: FloatArray) -> str:
    """Return the mean of shares in percent with its interval."""
    score = bootstrap(lambda rows: float(values[rows].mean()), len(values))
    return f"{100 * score.value:.2f} ({range_text(score)})"


def turned(face: ByteArray, points: FloatArray, degrees: float) -> tuple[ByteArray, FloatArray]:
    """Return a face turned in its frame, and its points."""
    side = len(face)
    transform = cv2.getRotationMatrix2D(((side - 1) / 2, (side - 1) / 2), degrees, 1.0)
    picture = np.asarray(cv2.warpAffine(face, transform, (side, side), borderMode=cv2.BORDER_REPLICATE), np.uint8)
    turn = transform[:, :2].astype(np.float32)
    return picture, ((points - 0.5) @ turn.T + 0.5).astype(np.float32)


def accuracy(landmarker: Landmarker, faces: FaceDataset, points: FloatArray) -> Iterator[Row]:
    """Yield rows of the first table: what, error, within a tenth, measured."""

    def row(what: str, images: ByteArray, wanted: FloatArray) -> Row:
        found, confidences = points_of(landmarker, images)
        error = errors(found, wanted)
        return (
            what,
            percent(error),
            f"{100 * (error < 0.1).mean():.1f}",
            f"{100 * (confidences >= MEASURABLE).mean():.1f}",
        )

    for split in ("PublicTest", "PrivateTest"):
        rows = faces.split == split
        yield row(f"{split}, upright ({rows.sum():,})", faces.images[rows], points[rows])
    private = faces.split == "PrivateTest"
    images, wanted = faces.images[private], points[private]
    for label, name in enumerate(faces.label_names[:7]):
        rows = faces.labels[private] == label
        yield row(f"of these {name} ({rows.sum():,})", images[rows], wanted[rows])
    generator = np.random.default_rng(0)
    for degrees in TURNS:
        signs = generator.choice((-1, 1), len(images))
        pairs = [turned(*one, degrees * s) for one, s in zip(zip(images, wanted, strict=True), signs, strict=True)]
        yield row(f"turned by {degrees} degrees", np.array([p for p, _ in pairs]), np.array([w for _, w in pairs]))
    for name in WORSE:
        yield row(name, np.array([CONDITIONS[name](image, generator) for image in images]), wanted)
    yield _box_off(landmarker, images, wanted, generator)


def _box_off(landmarker: Landmarker, images: ByteArray, wanted: FloatArray, generator: np.random.Generator) -> Row:
    found, confidences = np.empty_like(wanted), np.empty(len(images), np.float32)
    side = images.shape[1]
    for index, image in enumerate(images):
        x, y, scale = generator.normal(0, BOX_OFF, 3)
        square = np.array([[side * (0.5 + x), side * (0.5 + y), side * np.exp(scale)]], np.float32)
        faces = landmarker.locate(image, Faces.detected(boxes_around(square), [1.0]))
        assert faces.landmarks is not None
        assert faces.landmark_confidences is not None
        found[index], confidences[index] = faces.landmarks[0] / side, faces.landmark_confidences[0]
    error = errors(found, wanted)
    measured = f"{100 * (confidences >= MEASURABLE).mean():.1f}"
    return "box off", percent(error), f"{100 * (error < 0.1).mean():.1f}", measured


def doubts(landmarker: Landmarker, faces: FaceDataset) -> Iterator[Row]:
    """Yield rows of the second table: what is shown, measured."""
    images = faces.images[faces.split == "PrivateTest"]
    half = images.shape[2] // 2

    def row(what: str, shown: ByteArray) -> Row:
        return what, f"{100 * (points_of(landmarker, shown)[1] >= MEASURABLE).mean():.1f}"

    yield row("upright face", images)
    yield row("upside down", images[:, ::-1])
    yield row("left half beyond the picture", images[:, :, half:].repeat(2, axis=2))
    for size in SIZES_PX:
        small = [cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA) for image in images]
        yield row(f"face in {size} px", np.array(small, np.uint8))
    yield row("no face: scenes, drawings, shuffled blocks", no_faces(images, 64, seed=1, count=1000))


def speed(landmarker: Landmarker, runs: int = 300) -> dict[str, float]:
    """Return milliseconds for one face on one thread, of the net and with its crop; median."""
    picture = np.random.default_rng(0).integers(0, 256, (720, 1280, 3)).astype(np.uint8)
    face = Faces.detected([[500, 200, 700, 460]], [1.0])
    squares = crop_squares(face.boxes_xyxy)
    crop = crops(picture, boxes_around(squares), landmarker.card.input_size)

    def median(call: Callable[[], object]) -> float:
        times = []
        for _ in range(runs):
            started = time.perf_counter()
            call()
            times.append(1000 * (time.perf_counter() - started))
        return float(np.median(times))

    return {"net": median(lambda: landmarker.run(crop)), "locate": median(lambda: landmarker.locate(picture, face))}


def through_time() -> dict[str, float]:
    """Return how much a still face trembles and how late a mouth is that opens twice a second."""
    still, moving = points_through(mouths.still(4.0)), points_through(mouths.talking(4.0))
    true = mouths.opening(np.arange(len(moving)) / mouths.RATE)
    settled = slice(round(mouths.RATE), None)
    return {
        "trembling_px": trembling(still[settled]),
        "delay_frames": delay_frames(lip_gap(moving)[settled], true[settled]),
    }


def photos(landmarker: Landmarker, media: Path, teacher: MeshTeacher) -> dict[str, Any]:
    """Return errors on faces of real photos, as the detector frames them."""
    detector, found = load_detector("auto"), []
    for path in sorted((media / "photos").iterdir()):
        picture = read_picture(str(path))
        faces = landmarker.locate(picture, detect(detector, picture))
        assert faces.landmarks is not None
        assert faces.landmark_confidences is not None
        squares = crop_squares(faces.boxes_xyxy)
        views = crops(picture, faces.boxes_xyxy, FRAME_PX)
        for index, (x, y, side) in enumerate(squares.tolist()):
            points, is_found = teacher.label(views[index])
            wanted = points * np.float32(side) + np.array([x - side / 2, y - side / 2], np.float32)
            if is_found:
                error = float(errors(faces.landmarks[index : index + 1], wanted[None])[0])
                found.append((error, float(faces.landmark_confidences[index]), side))
    table = np.array(found, np.float32)
    sure = table[table[:, 1] >= MEASURABLE]
    return {
        "faces": len(table),
        "measured": len(sure),
        "error": percent(table[:, 0]),
        "median": f"{100 * np.median(table[:, 0]):.2f}",
        "error_of_measured": percent(sure[:, 0]),
        "error_of_others": percent(table[table[:, 1] < MEASURABLE][:, 0]) if len(sure) < len(table) else "",
    }


def main() -> None:
    """Measure, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--labels", type=Path, required=True)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--media", type=Path)
    parser.add_argument("--teacher", type=Path)
    parser.add_argument("--model", type=Path, help="by default the net that ships")
    parser.add_argument("--out", type=Path, default=Path("docs/results"))
    asked = parser.parse_args()
    landmarker = Landmarker(asked.model)
    faces = load_fer2013(find_data(asked.data).need("fer2013"))
    points, is_found = read_labels(asked.labels)
    results: dict[str, Any] = {
        "model": landmarker.sha256,
        "accuracy": list(accuracy(landmarker, faces[is_found], points[is_found])),
        "doubts": list(doubts(landmarker, faces[is_found])),
        "milliseconds": speed(landmarker),
        "megabytes": landmarker.path.stat().st_size / 1e6,
        "time": through_time(),
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
    }
    if asked.media and asked.teacher:
        results["photos"] = photos(landmarker, asked.media, MeshTeacher(asked.teacher))
    write_whole(asked.out / "landmarks.json", json.dumps(results, indent=1))
    write_whole(asked.out / "landmarks.md", page(results, landmarker))


def page(results: dict[str, Any], landmarker: Landmarker) -> str:
    """Return the page of docs/results."""
    times, stream = results["milliseconds"], results["time"]
    content = [
        "# The landmark net",
        f"`python benchmarks/landmarks.py --labels runs/landmarks/labels`; {landmarker.card.parameters / 1e6:.2f} "
        f"million weights, {results['megabytes']:.1f} MB, {landmarker.card.mflops:.0f} MFLOPs; {times['net']:.1f} ms a "
        f"face on one thread, {times['locate']:.1f} ms with its crop from a 720p picture (load {results['load']:.1f}). "
        "Errors are mean distances from the teacher's 68 points in percent of the distance between the outer corners "
        "of the eyes, on faces that were not trained on; 95 % bootstrap intervals. The teacher's own error on "
        "independent annotation is about 4.3 %, which none of these figures contains.",
        markdown_table(("faces", "error, %", "within a tenth, %", "measured, %"), results["accuracy"]),
        "## What is doubted",
        f"Nothing is measured on a face whose confidence is below {MEASURABLE:g}: its features are missing values. "
        "The scenes without a face are those of training, cut in other places.",
        markdown_table(("shown", "measured, %"), results["doubts"]),
        "## Through time",
        f"One face 200 px wide at 30 frames a second in a camera's noise: the worst of 68 points stays within "
        f"{stream['trembling_px']:.2f} px of its mean in 95 % of the frames (target: 2), a mouth that opens twice a "
        f"second is seen {stream['delay_frames']:.2f} frames late (target: 1).",
    ]
    if "photos" in results:
        shown = results["photos"]
        content += [
            "## Real photos",
            f"{shown['faces']} faces of real photos, boxes of the detector, the teacher on the same frames: error "
            f"{shown['error']} %, median {shown['median']} %; {shown['measured']} are measured, "
            f"{shown['error_of_measured']} %; the others {shown['error_of_others']} %.",
        ]
    return "\n\n".join(content) + "\n"


if __name__ == "__main__":
    main()
