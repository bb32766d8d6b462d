"""What an archive costs: throughput of ``mien batch``, what a file and an hour of video take, what a cluster would.

``python benchmarks/scale.py [--out DIR] [--quick]`` writes scale.json and scale.md, by default to docs/results. It
takes about ten minutes on a quiet machine; ``--quick`` shows that all works, and its figures mean nothing. Other work
on the machine changes wall time much and CPU time little: both are told, and the load. CPU time is read as Linux tells
it.

The videos are one NASA portrait that sways on a wall, 1280x720, H.264, 25 frames a second.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from budgets import ROOT
from simulated_cluster import (
    Cluster,
    finished_s,
    in_segments,
    in_waves_s,
    videos_s,
)
from tracking import machine

import mien
from mien.app.analysis import Options
from mien.app.batch.inputs import list_inputs
from mien.app.batch.ray_engine import BLOCKS_A_WORKER, TASKS_A_WORKER
from mien.app.batch.store import Store
from mien.app.batch.tasks import Plan, Reply, Session, SourceTask, Told, packed, source_key, written
from mien.core.types import ByteArray, Faces, FrameResult
from mien.engine.pipeline import Pipeline
from mien.engine.recognizer import load
from mien.engine.results.writer import write_whole
from mien.engine.video import frames
from mien.face.detectors import resolve

sys.path.insert(0, str(ROOT / "tests" / "engine"))

from media import portrait, write_still, write_video

RATE = 25
TICKS = os.sysconf("SC_CLK_TCK")
Row = dict[str, str | float | None]


@dataclass(frozen=True)
class Size:
    """How much is measured."""

    clips: int = 4
    clip_s: int = 20
    files: tuple[int, int] = (20, 220)
    rows: int = 60_000
    lengths_s: tuple[int, ...] = (20, 60, 1200)
    cores: int = 200
    hours_a_core: tuple[float, ...] = (5.0, 40.0)


QUICK = Size(2, 1, (2, 6), 200, (1, 2), 4, (1.0,))


def swaying(count: int) -> Iterator[ByteArray]:
    """Yield frames of a portrait that sways on a wall lit from one side."""
    wall = np.linspace(90, 190, 1280)[None, :, None] * np.ones((720, 1, 3))
    head = portrait(300, 200)
    for number in range(count):
        picture = wall.astype(np.uint8)
        left, top = round(500 + 80 * np.sin(number / 20)), round(200 + 20 * np.sin(number / 13))
        picture[top : top + 300, left : left + 200] = head
        yield picture


@dataclass(frozen=True)
class Cost:
    """What a command took."""

    wall_s: float
    cpu_s: float


def cost(*options: object) -> Cost:
    """Run ``mien batch`` and tell what it and all processes below it took."""
    command = [sys.executable, "-m", "mien", "batch", *map(str, options)]
    begin_s = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=os.environ | {"OMP_NUM_THREADS": "1"})
    spent: dict[int, float] = {}
    done = threading.Event()
    watch = threading.Thread(target=_watch, args=(process.pid, spent, done))
    watch.start()
    code = process.wait()
    done.set()
    watch.join()
    if code:
        raise SystemExit(f"mien batch ended with {code}")
    return Cost(time.perf_counter() - begin_s, sum(spent.values()))


def _watch(pid: int, spent: dict[int, float], done: threading.Event) -> None:
    while not done.wait(0.1):
        for process in _family(pid):
            try:
                fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
            except OSError:  # it has ended
                continue
            spent[process] = (int(fields[11]) + int(fields[12])) / TICKS


def _family(pid: int) -> Iterator[int]:
    yield pid
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return
    for child in children:
        yield from _family(int(child))


ENGINES = [(engine, workers) for engine in ("local", "ray") for workers in (1, 2)]


def throughput(folder: Path, size: Size) -> list[Row]:
    """Read the same clips with each engine and 1 and 2 workers."""
    for number in range(size.clips):
        write_video(folder / f"{number}.mp4", list(swaying(size.clip_s * RATE)), codec="libx264", rate=RATE)
    write_stills(folder / "stills", size.clips)
    hours = size.clips * size.clip_s / 3600
    rows: list[Row] = []
    for engine, workers in ENGINES:
        by = ("--engine", engine, "--workers", workers)
        start = cost(folder / "stills", "--out", folder / f"start-{engine}{workers}", *by)
        whole = cost(*folder.glob("*.mp4"), "--out", folder / f"set-{engine}{workers}", *by)
        count = size.clips * size.clip_s * RATE
        rows.append(
            {
                "engine": engine,
                "workers": workers,
                "load": os.getloadavg()[0],
                "wall s": whole.wall_s,
                "of it to begin and end": start.wall_s,
                "frames a second, wall": count / max(whole.wall_s - start.wall_s, 1e-9),
                "cpu s": whole.cpu_s,
                "cpu s to begin and end": start.cpu_s,
                "cpu ms a frame": 1000 * (whole.cpu_s - start.cpu_s) / count,
                "cpu minutes an hour of video": (whole.cpu_s - start.cpu_s) / hours / 60,
            }
        )
        print(rows[-1], flush=True)
    return rows


def write_stills(folder: Path, count: int) -> None:
    """Write small pictures of one face."""
    folder.mkdir()
    for number in range(count):
        write_still(folder / f"{number:05}.png", portrait())


def files(folder: Path, size: Size) -> list[Row]:
    """Tell what a file takes besides being read: of small pictures that are each a face, many less few."""
    few, many = size.files
    for name, count in {"few": few, "many": many}.items():
        write_stills(folder / name, count)
    paths = [str(path) for path in (folder / "few").iterdir()]
    recognizer = load()
    read = cpu_s(lambda: [mien.analyze(path, detector="whole", model=recognizer) for path in paths]) / few
    rows: list[Row] = [{"engine": "mien.analyze, in one process", "cpu ms a file": 1000 * read}]
    for engine in ("local", "ray"):
        costs = [
            cost(
                folder / name,
                "--detector",
                "whole",
                "--out",
                folder / f"{name}-{engine}",
                "--engine",
                engine,
                "--workers",
                1,
            )
            for name in ("few", "many")
        ]
        rows.append(
            {
                "engine": engine,
                "load": os.getloadavg()[0],
                "cpu ms a file": 1000 * (costs[1].cpu_s - costs[0].cpu_s) / (many - few),
            }
        )
        print(rows[-1], flush=True)
    return rows


def cpu_s(function: Callable[[], object]) -> float:
    """Return the CPU time that a call takes in this process, all threads."""
    begin_s = time.process_time()
    function()
    return time.process_time() - begin_s


@contextmanager
def session() -> Iterator[tuple[Session, Plan]]:
    """Open what a worker opens."""
    plan = Plan("default", load().model.sha256, Options(detector=resolve("auto")))
    with closing(Session(plan)) as opened:
        yield opened, plan


def stages(clip: Path) -> list[Row]:
    """Tell the CPU time of an hour of video in each stage of a worker."""
    pictures = list(frames(clip))
    pipeline, count = Pipeline(), len(pictures)
    (one,) = list_inputs([str(clip)])
    with session() as (opened, _):
        opened(SourceTask(one))
        whole = cpu_s(lambda: opened(SourceTask(one)))
    parts = {
        "decoding": cpu_s(lambda: [None for _ in frames(clip)]),
        "finding, reading, following faces": cpu_s(lambda: [pipeline(f.image, f.time_s) for f in pictures]),
        "hash of the file": cpu_s(lambda: hashlib.sha256(clip.read_bytes()).hexdigest()),
    }
    return [
        {
            "stage": name,
            "cpu minutes an hour of video": spent / count * RATE * 60,
            "cpu ms a frame": 1000 * spent / count,
        }
        for name, spent in {**parts, "all": whole}.items()
    ]


def driver(folder: Path, size: Size) -> list[Row]:
    """Tell what the process takes that keeps replies and writes the data set, for sources of several lengths."""
    with session() as (opened, plan):
        header = plan.header(opened.recognizer)
        return [kept(length_s, folder / f"driver-{length_s}", size.rows, opened, header) for length_s in size.lengths_s]


def kept(length_s: int, folder: Path, rows: int, opened: Session, header: dict[str, Any]) -> Row:
    """Write the tables of a source as a worker does, then keep so many of the same as the driver does."""
    folder.mkdir()
    told = Told("", sha256="0")
    tables_s = cpu_s(lambda: written(drawn(length_s, opened), told, opened, folder))
    reply = Reply("", replace(told, rows=length_s * RATE), packed(told, folder))
    replies = [_renamed(reply, f"{number}.mp4") for number in range(max(rows // reply.told.rows, 1))]
    with Store(folder / "set", header) as store:
        kept_s = cpu_s(lambda: deque(map(store.keep_source, replies), 0))
        part_s = cpu_s(store.complete_part)
    hours = len(replies) * length_s / 3600
    return {
        "source, s": length_s,
        "worker: tables, cpu s an hour": tables_s / length_s * 3600,
        "driver: keep a reply, cpu ms": 1000 * kept_s / len(replies),
        "driver: write a part, cpu s an hour": part_s / hours,
        "rows, MB an hour": (folder / "rows.parquet").stat().st_size / length_s * 3600 / 1e6,
        "replies, MB an hour": len(reply.content) / length_s * 3600 / 1e6,
    }


def drawn(length_s: int, opened: Session) -> Generator[FrameResult, None, None]:
    """Yield results of one face with numbers by chance."""
    generator = np.random.default_rng(0)
    for frame in range(length_s * RATE):
        found = Faces.detected(generator.random((1, 4)) * 500, [0.9])
        answers = generator.random((1, len(opened.recognizer.card.labels)), np.float32)
        faces = opened.recognizer.answer(found, answers / answers.sum())
        yield FrameResult("", frame, frame / RATE, None, replace(faces, track_ids=np.array([1])))


def _renamed(reply: Reply, source: str) -> Reply:
    return replace(reply, key=source_key(source), told=replace(reply.told, source=source))


def simulated(minutes_an_hour: float, size: Size) -> list[Row]:
    """Tell which share of a cluster's time is spent on video that is read once."""
    rows: list[Row] = []
    for hours in size.hours_a_core:
        for name, cluster in {
            "none": Cluster(size.cores),
            "stragglers": Cluster(size.cores, 0.15, 0.02),
            "stragglers, a death in 6 hours": Cluster(size.cores, 0.15, 0.02, 6 * 3600.0),
        }.items():
            generator = np.random.default_rng(7)
            speeds = cluster.speeds(generator)
            lengths = videos_s(hours * size.cores, generator)
            needed = minutes_an_hour / 60
            whole = lengths * needed
            split = in_segments(lengths) * needed
            ideal_s = whole.sum() / speeds.sum()
            row: Row = {"hours a core": hours, "what goes wrong": name}
            row["whole files"] = ideal_s / finished_s(whole.tolist(), cluster, speeds, generator)
            row["segments"] = ideal_s / finished_s(split.tolist(), cluster, speeds, generator)
            for tasks, blocks in ((100, 8), (TASKS_A_WORKER, BLOCKS_A_WORKER)):
                took_s = in_waves_s(
                    split.tolist(), cluster, speeds, generator, tasks_a_worker=tasks, blocks_a_worker=blocks
                )
                row[f"Ray, {blocks} blocks of {tasks} tasks"] = ideal_s / took_s
            rows.append(row)
    return rows


TITLES = {
    "Throughput": "The same clips with each engine. CPU time is that of all processes; of Ray's own too.",
    "A file": "Small pictures, each one face, the detector is `whole`. Many less a few: without start and end.",
    "Stages": "CPU time of one worker, one face, 720p; measured one after another, so the parts need not add up.",
    "Driver": "What one process does for all workers, one face, 25 frames a second; and tables, by workers.",
    "Cluster": "Simulated: which share of the cores' time is spent on reading each second of video once.",
}


def table(rows: list[Row]) -> str:
    """Return rows as a Markdown table."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    lines = [names, ["---"] * len(names)]
    lines += [[_cell(row.get(name)) for name in names] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(value: str | float | None) -> str:
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"
    return "" if value is None else str(value)


def main() -> None:
    """Measure, print, write JSON and Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="by default docs/results, of a quick look runs/quick")
    parser.add_argument("--quick", action="store_true")
    arguments = parser.parse_args()
    size = QUICK if arguments.quick else Size()
    facts = machine() | {name: version(name) for name in ("ray", "pyarrow", "onnxruntime", "av")}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (folder / "clips").mkdir()
        measured = {"Throughput": throughput(folder / "clips", size)}
        clip = folder / "clips" / "0.mp4"
        measured |= {"A file": files(folder, size), "Stages": stages(clip), "Driver": driver(folder, size)}
    hour = float(measured["Stages"][-1]["cpu minutes an hour of video"] or 0)
    measured["Cluster"] = simulated(hour, size)
    command = "python benchmarks/scale.py" + " --quick" * arguments.quick
    out = arguments.out or ROOT / ("runs/quick" if arguments.quick else "docs/results")
    write(out, {"command": command, "machine": facts, "size": asdict(size), **measured})


def write(out: Path, record: dict[str, Any]) -> None:
    """Write what was measured as JSON and Markdown."""
    told = ", ".join(f"{name} {value}" for name, value in record["machine"].items() if value is not None)
    page = f"# Scale\n\n`{record['command']}`; {told}.\n"
    for title, about in TITLES.items():
        page += f"\n## {title}\n\n{about}\n\n{table(record[title])}\n"
    print(page)
    write_whole(out / "scale.json", json.dumps(record, indent=2) + "\n")
    write_whole(out / "scale.md", page)


if __name__ == "__main__":
    main()
