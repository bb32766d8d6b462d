"""How many faces each detector finds on the photos of record, how many it makes up, and how long it takes.

``python benchmarks/detectors.py [--media ../shared/media]`` writes the section "Finding" of docs/results/detectors.md,
and to out/detectors each photo with a miss or a false face. ``MIEN_YUNET=path`` adds YuNet.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from mien.core.types import ByteArray, FloatArray
from mien.face.detectors import Detector, detect, detectors_in_use, load_detector

ROOT = Path(__file__).resolve().parents[1]
REPORT = ROOT / "docs" / "results" / "detectors.md"
OVERLAP = 0.3  # intersection over union from which a face counts as found


@dataclass(frozen=True)
class Photo:
    """A photo with its true faces; boxes xyxy in pixels."""

    name: str
    picture: ByteArray
    faces: FloatArray
    ignored: FloatArray


@dataclass
class Count:
    """What one detector did on all photos."""

    faces: int = 0
    found: int = 0
    false: int = 0
    times_ms: list[float] = field(default_factory=list)

    def __str__(self) -> str:
        return f"{self.found} of {self.faces} faces, {self.false} false"


def photos(media: Path) -> Iterator[Photo]:
    """Yield the photos of ``boxes.json``."""
    for name, truth in json.loads((media / "boxes.json").read_text(encoding="utf-8")).items():
        picture = cv2.imread(str(media / "photos" / name), cv2.IMREAD_COLOR)
        if picture is None:
            raise SystemExit(f"{name}: OpenCV cannot read it")
        rgb = np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), np.uint8)
        yield Photo(name, rgb, _corners(truth["faces"]), _corners(truth["ignore"]))


def _corners(boxes_xywh: list[list[float]]) -> FloatArray:
    boxes = np.array(boxes_xywh, np.float32).reshape(-1, 4)
    return np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)


def overlaps(first: FloatArray, second: FloatArray) -> FloatArray:
    """Return intersection over union, (N, M), of boxes xyxy."""
    corner = np.maximum(first[:, None, :2], second[None, :, :2])
    opposite = np.minimum(first[:, None, 2:], second[None, :, 2:])
    shared = np.prod((opposite - corner).clip(min=0), axis=2)
    areas = [np.prod(boxes[:, 2:] - boxes[:, :2], axis=1) for boxes in (first, second)]
    return np.asarray(shared / (areas[0][:, None] + areas[1][None] - shared), np.float32)


def matches(boxes: FloatArray, photo: Photo) -> tuple[dict[int, int], list[int]]:
    """Return the detection of each found face, one to one and closest first, and the false detections."""
    table = overlaps(photo.faces, boxes)
    pairs: dict[int, int] = {}
    for index in np.argsort(-table, axis=None):
        face, box = (int(i) for i in np.unravel_index(index, table.shape))
        if table[face, box] >= OVERLAP and face not in pairs and box not in pairs.values():
            pairs[face] = box
    rest = [box for box in range(len(boxes)) if box not in pairs.values()]
    return pairs, [box for box in rest if not _ignored(boxes[box], photo.ignored)]


def _ignored(box: FloatArray, regions: FloatArray) -> bool:
    center = (box[:2] + box[2:]) / 2
    return bool(((regions[:, :2] <= center) & (center <= regions[:, 2:])).all(axis=1).any())


def count(detector: Detector, media: Path, pictures: Path | None = None) -> Count:
    """Run a detector on all photos; photos with a miss or a false face are drawn into the folder `pictures`."""
    result = Count()
    for photo in photos(media):
        start = time.perf_counter()
        boxes = detect(detector, photo.picture).boxes_xyxy
        result.times_ms.append((time.perf_counter() - start) * 1000)
        pairs, false = matches(boxes, photo)
        result.faces += len(photo.faces)
        result.found += len(pairs)
        result.false += len(false)
        if pictures and (false or len(pairs) < len(photo.faces)):
            _draw(photo, boxes, false, pictures / f"{photo.name}.png")
    return result


def _draw(photo: Photo, boxes: FloatArray, false: list[int], path: Path) -> None:
    """Draw truth in white, ignored regions in gray, detections in green, false ones in red."""
    picture = np.ascontiguousarray(photo.picture[:, :, ::-1])
    colors = [(0, 0, 255) if index in false else (0, 200, 0) for index in range(len(boxes))]
    drawn = [(box, (255, 255, 255)) for box in photo.faces] + [(box, (128, 128, 128)) for box in photo.ignored]
    for box, color in [*drawn, *zip(boxes, colors, strict=True)]:
        x1, y1, x2, y2 = (round(float(value)) for value in box)
        cv2.rectangle(picture, (x1, y1), (x2, y2), color, 2)
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), picture)


def write_section(title: str, text: str, report: Path = REPORT) -> None:
    """Put a section into the report in place of the one of the same title."""
    before = report.read_text(encoding="utf-8") if report.exists() else "# Detectors\n"
    sections = before.split("\n## ")
    kept = [section.strip() for section in sections if not section.startswith(f"{title}\n")]
    report.parent.mkdir(parents=True, exist_ok=True)
    report.write_text("\n\n## ".join([*kept, f"{title}\n\n{text.strip()}"]) + "\n", encoding="utf-8")


def main() -> None:
    """Count, and write the report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--media", type=Path, default=ROOT.parent / "shared" / "media")
    media = parser.parse_args().media
    cv2.setNumThreads(1)
    rows = ["| detector | faces found | false | ms a picture (median) |", "|---|---|---|---|"]
    for info in detectors_in_use():
        if info.problem or info.name == "whole":
            continue
        result = count(load_detector(info.name), media, ROOT / "out" / "detectors" / info.name)
        name = f"{info.name} (`auto`)" if info.in_use else info.name
        share = f"{result.found} of {result.faces} ({result.found / result.faces:.1%})"
        rows.append(f"| {name} | {share} | {result.false} | {np.median(result.times_ms):.0f} |")
    text = (
        f"Found at an overlap (intersection over union) of at least {OVERLAP} with `boxes.json` of the photos of\n"
        "record; regions marked `ignore` count neither way. Each photo is scaled to long side 640, which the time\n"
        "includes. One thread (`OMP_NUM_THREADS=1`). Command: `python benchmarks/detectors.py`.\n\n" + "\n".join(rows)
    )
    write_section("Finding", text)
    print(text)


if __name__ == "__main__":
    main()
