"""How well trackers keep ids, and what an update costs: mien's own and those that can be imported.

``python benchmarks/tracking.py [--scenes 10] [--out tracking.json]`` prints the table of docs/results/tracking.md and
writes it with facts of the machine as JSON. The faces are those of tests/engine/crossings.py, without pictures: boxes
with noise of 1.5 px at 25 frames a second, scores of 0.8 to 0.95, no face while it is hidden.

* *crossings kept*: in how many both people have one id each from side to side, of 20 in each scene. First as a test
  asks for it, 3 of the 20 at one height; then with half of the frames left out at random, as where analysis is slower
  than the camera; with a frame every 0.2 s; with a tenth of the faces missed; and with all 20 at one height, as stated
  and with half of the frames.
* *wrong ids*: in the other scenes, how often a person gets another id, or comes with an id that was another's.
* *ms*: median of an update, for 2 and for 20 faces.

Trackers that count frames are told how many a second the source has, and to forget after a second; ids are asked for
from the first frame on, where that is an option; all else is as it comes. The other trackers belong in an environment
of their own: `trackers` puts OpenCV 5 in place of ours, norfair asks for an older rich or numpy::

    pip install -e '.[analysis]'
    pip install trackers 'supervision==0.30.9' motpy 'filterpy<2'
    pip install --no-deps 'norfair==2.1.1'
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import date
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from mien.core.types import Faces
from mien.engine.results.writer import write_whole
from mien.engine.tracking import load_tracker

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "engine"))

from crossings import (
    CROSSINGS,
    HIDING,
    RATE,
    Truth,
    coming_and_going,
    crossings,
    crossings_kept,
    detected,
    id_switches,
    occlusion,
    standing,
)

# What keeps most ids on scenes 100 to 102, of three or more values each; the table is of scenes 0 to 9.
LEAST_GIOU = -0.5
MATCHING = 0.99
DISTANCES = {"iou": 0.99, "mean_euclidean": 100.0}
NOISE = {"q_var_pos": 5000.0, "r_var_pos": 0.1}
ALWAYS_HIDING = {number: number % 2 for number in range(CROSSINGS)}

Update: TypeAlias = Callable[[Faces, float], Faces]
"""Takes the faces of the next frame and its time in seconds, returns those that have an id."""


@dataclass(frozen=True)
class Candidate:
    """A tracker: what it is called, where it comes from, and what begins a stream of so many frames a second."""

    name: str
    package: str
    start: Callable[[int], Update]


@dataclass(frozen=True)
class Row:
    """What was measured of one tracker; the keys of the dicts are the columns of the table."""

    tracker: str
    version: str
    crossings: int
    kept: dict[str, int]
    wrong_ids: dict[str, int]
    ms: dict[str, float]


# --- trackers


def candidates() -> Iterator[Candidate]:
    """Yield mien's tracker and those of the packages that are here."""
    yield Candidate("mien, default", "mien", _ours)
    for name in ("ByteTrackTracker", "OCSORTTracker"):
        yield Candidate(f"trackers, {name}", "trackers", partial(_of_trackers, name))
        generalized = partial(_of_trackers, name, is_generalized=True)
        yield Candidate(f"trackers, {name} from GIoU {LEAST_GIOU}", "trackers", generalized)
    yield Candidate("trackers, CBIoUTracker", "trackers", partial(_of_trackers, "CBIoUTracker"))
    for matching in (0.8, MATCHING):
        yield Candidate(f"supervision, ByteTrack to {matching}", "supervision", partial(_of_supervision, matching))
    for distance, most in DISTANCES.items():
        yield Candidate(f"norfair, {distance} to {most:g}", "norfair", partial(_of_norfair, distance, most))
    yield Candidate("motpy", "motpy", partial(_of_motpy, {}))
    yield Candidate(f"motpy, noise {NOISE['q_var_pos']:g}", "motpy", partial(_of_motpy, NOISE))


def _ours(_rate: int) -> Update:
    tracker = load_tracker("default")
    assert tracker is not None
    return tracker.update


def _of_trackers(name: str, rate: int, *, is_generalized: bool = False) -> Update:
    supervision, trackers = importlib.import_module("supervision"), importlib.import_module("trackers")
    options = {"iou": trackers.GIoU(), "minimum_iou_threshold": LEAST_GIOU} if is_generalized else {}
    tracker = getattr(trackers, name)(frame_rate=rate, minimum_consecutive_frames=1, **options)

    def update(faces: Faces, time_s: float) -> Faces:
        detections = supervision.Detections(faces.boxes_xyxy.copy(), confidence=faces.scores.copy())
        return _of_detections(tracker.update(detections, timestamp=time_s))

    return update


def _of_supervision(matching: float, rate: int) -> Update:
    supervision = importlib.import_module("supervision")
    tracker = supervision.ByteTrack(frame_rate=rate, minimum_matching_threshold=matching)

    def update(faces: Faces, _time_s: float) -> Faces:
        detections = supervision.Detections(faces.boxes_xyxy.copy(), confidence=faces.scores.copy())
        return _of_detections(tracker.update_with_detections(detections))

    return update


def _of_detections(detections: Any) -> Faces:
    return _known(detections.xyxy, detections.tracker_id)


def _of_norfair(distance: str, most: float, rate: int) -> Update:
    norfair = importlib.import_module("norfair")
    tracker = norfair.Tracker(distance, most, hit_counter_max=rate, initialization_delay=0)

    def update(faces: Faces, _time_s: float) -> Faces:
        corners = faces.boxes_xyxy.reshape(-1, 2, 2).astype(np.float64)
        points = corners if distance == "iou" else corners.mean(axis=1, keepdims=True)
        detections = [norfair.Detection(place, data=box) for place, box in zip(points, faces.boxes_xyxy, strict=True)]
        tracks = tracker.update(detections)
        seen = [track for track in tracks if any(track.last_detection is one for one in detections)]
        return _known([track.last_detection.data for track in seen], [track.id for track in seen])

    return update


def _of_motpy(noise: Mapping[str, float], rate: int) -> Update:
    motpy = importlib.import_module("motpy")
    model = {"order_pos": 1, "dim_pos": 2, "order_size": 0, "dim_size": 2, **noise}
    tracker = motpy.MultiObjectTracker(1 / rate, model_spec=model, tracker_kwargs={"max_staleness": rate})
    numbers: dict[str, int] = {}

    def update(faces: Faces, _time_s: float) -> Faces:
        found = zip(faces.boxes_xyxy.astype(np.float64), faces.scores.tolist(), strict=True)
        tracks = tracker.step([motpy.Detection(box, score) for box, score in found])
        ids = [numbers.setdefault(track.id, len(numbers)) for track in tracks]
        return _known([track.box for track in tracks], ids)

    return update


def _known(boxes_xyxy: npt.ArrayLike, ids: npt.ArrayLike) -> Faces:
    """Return faces with their ids; without those that have none (-1)."""
    track_ids = np.asarray(ids, np.int64)
    faces = Faces.detected(boxes_xyxy, np.ones(len(track_ids)))
    return replace(faces, track_ids=track_ids)[track_ids >= 0]


# --- measurement


@dataclass(frozen=True)
class Stream:
    """What a tracker is given of a scene, and the truth of these frames."""

    truths: list[Truth]
    faces: list[Faces]
    rate: int = RATE

    def follow(self, candidate: Candidate) -> list[Faces]:
        """Return what a tracker answers."""
        update = candidate.start(self.rate)
        return [update(faces, truth.time_s) for faces, truth in zip(self.faces, self.truths, strict=True)]

    def update_ms(self, candidate: Candidate) -> float:
        """Return the median time that a tracker takes for a frame."""
        update, times_s = candidate.start(self.rate), []
        for faces, truth in zip(self.faces, self.truths, strict=True):
            start = time.perf_counter()
            update(faces, truth.time_s)
            times_s.append(time.perf_counter() - start)
        return 1000 * statistics.median(times_s)


def whole(truths: list[Truth]) -> Stream:
    """Return all of a scene."""
    return Stream(truths, detected(truths))


def part(
    seed: int, *, hiding: Mapping[int, int] = HIDING, share: float = 1.0, every: int = 1, missed: float = 0.0
) -> Stream:
    """Return a scene of crossings with a share of its frames, at random, or with one of several."""
    truths = crossings(seed, hiding=hiding)[::every]
    is_given = np.random.default_rng(seed).random(len(truths)) < share
    given = [truth for truth, is_in in zip(truths, is_given, strict=True) if is_in]
    return Stream(given, detected(given, seed=seed, missed=missed), RATE // every)


CROSSING_STREAMS: dict[str, Callable[[int], Stream]] = {
    "all frames": part,
    "half": partial(part, share=0.5),
    "every 0.2 s": partial(part, every=5),
    "a tenth missed": partial(part, missed=0.1),
    "one height": partial(part, hiding=ALWAYS_HIDING),
    "one height, half": partial(part, hiding=ALWAYS_HIDING, share=0.5),
}
OTHER_SCENES = {"occlusion": occlusion(), "coming, going": coming_and_going(), "20 standing": standing(20)}
TIMED_SCENES = {"2 faces": standing(2), "20 faces": standing(20)}


def measure(candidate: Candidate, count: int) -> Row:
    """Measure a tracker on `count` scenes of crossings and on the others."""
    kept = dict.fromkeys(CROSSING_STREAMS, 0)
    for name, stream_of in CROSSING_STREAMS.items():
        for seed in range(count):
            stream = stream_of(seed)
            kept[name] += crossings_kept(stream.truths, stream.follow(candidate))
    wrong = {name: id_switches(truths, whole(truths).follow(candidate)) for name, truths in OTHER_SCENES.items()}
    ms = {name: whole(truths).update_ms(candidate) for name, truths in TIMED_SCENES.items()}
    return Row(candidate.name, version(candidate.package), count * CROSSINGS, kept, wrong, ms)


def machine() -> dict[str, str | float | None]:
    """Return what the times depend on."""
    return {
        "date": date.today().isoformat(),
        "processor": _processor(),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
    }


def _processor() -> str:
    """Return the name of the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")


def main() -> None:
    """Measure all trackers that are here, print the table, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=int, default=10, help="of 20 crossings each")
    parser.add_argument("--out", type=Path, help="JSON file to write")
    arguments = parser.parse_args()
    columns = ["tracker", *CROSSING_STREAMS, *OTHER_SCENES, *(f"ms, {name}" for name in TIMED_SCENES)]
    print(f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}")
    warnings.simplefilter("ignore")  # those of other people's packages
    rows = []
    for candidate in candidates():
        try:
            candidate.start(RATE)
        except ImportError:
            continue
        row = measure(candidate, arguments.scenes)
        figures = [*row.kept.values(), *row.wrong_ids.values(), *(f"{ms:.2f}" for ms in row.ms.values())]
        print(f"| {row.tracker} {row.version} | {' | '.join(map(str, figures))} |", flush=True)
        rows.append(asdict(row))
    if arguments.out:
        write_whole(arguments.out, json.dumps({"machine": machine(), "rows": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
