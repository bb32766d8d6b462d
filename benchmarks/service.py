"""How many clients one process of the service keeps up with, and how long their frames take.

``python benchmarks/service.py [--out DIR] [--quick]`` writes service.json and service.md, by default to docs/results.
It takes about seven minutes; ``--quick`` takes seconds, shows that all works, and its figures mean nothing. Nothing
else should run meanwhile: the load in the file tells.

The service is ``mien serve`` in one process; the clients are in another, as streams over loopback that each send 10
frames a second by the clock, whether or not the frame before was answered: 640x480 JPEG, one NASA portrait that sways
before a wall, as in ``realtime.py``. Delay is from the time at which a frame is due to its answer, so that time lost by
the clients counts too; a frame that was dropped has no answer and counts as late.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import struct
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from urllib.request import urlopen

import cv2
import numpy as np
from budgets import ROOT
from realtime import Row, environment, scene, table
from websockets.asyncio.client import connect

from mien.app.server.batching import BatchingRecognizer
from mien.core.types import FloatArray
from mien.engine.finding import LOOK_EVERY_S
from mien.engine.processes import cores
from mien.engine.recognizer import Recognizer, load
from mien.engine.results.writer import write_whole

RATE = 10.0  # frames a second of each client
ASKED_MS = 100.0
PERIOD = 50  # pictures after which the scene begins anew
BATCH = re.compile(r'^mien_batch_faces_bucket\{le="([^"]+)"\} (\d+)$', re.MULTILINE)

SECTIONS = {
    "clients": (
        "Clients",
        "Delays at the clients, empty where so many frames were dropped; `late` is the share of frames above 100 ms or "
        "dropped, `busy` the cores that the service has used, `alone` the share of runs of the net with one face.",
    ),
    "what": (
        "What each client asks for",
        "With 4 clients: landmarks and reasons cost time of the net too.",
    ),
    "waiting": (
        "Whether waiting for company pays",
        "The net run by hand from as many threads as cores, each with one face after the other: faces a second where "
        "nobody waits, as the service does it, and where a face waits for others on purpose.",
    ),
}


@dataclass(frozen=True)
class Effort:
    """How much is measured: the clients side by side, seconds of each, faces of each thread."""

    clients: Sequence[int]
    warm_up_s: float
    timed_s: float
    faces: int


FULL = Effort((1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16), 3.0, 20.0, faces=300)
QUICK = Effort((1, 2), 0.5, 1.0, faces=5)


# --- the service


@contextmanager
def service() -> Iterator[tuple[str, int]]:
    """Run the service in a process of its own; yields its address and process."""
    command = [sys.executable, "-m", "mien", "serve", "--port", "0", "--max-clients", "64"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip(), process.pid
        finally:
            process.terminate()


def cpu_s(pid: int) -> float:
    """Return the seconds that all threads of a process have worked, as Linux tells it."""
    fields = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def batches(address: str) -> dict[str, int]:
    """Return how many runs of the net had at most so many faces."""
    with urlopen(f"{address}metrics") as answer:
        return {bound: int(count) for bound, count in BATCH.findall(answer.read().decode())}


# --- the clients


async def client(address: str, pictures: Sequence[bytes], start_s: float, end_s: float, asked: str) -> list[float]:
    """Return the delay of each frame in milliseconds, infinite where it was dropped."""
    delays: list[float] = []
    async with connect(f"{address.replace('http', 'ws')}stream", subprotocols=["mien.v1"], proxy=None) as stream:  # type: ignore[list-item]
        await stream.recv()
        await stream.send(asked)

        async def send() -> None:
            due_s = start_s
            while due_s < end_s:
                await asyncio.sleep(due_s - time.monotonic())
                await stream.send(struct.pack(">d", due_s) + pictures[round(due_s * RATE) % len(pictures)])
                due_s += 1 / RATE

        sending = asyncio.create_task(send())
        while not sending.done() or len(delays) < round((end_s - start_s) * RATE):
            answer = json.loads(await asyncio.wait_for(stream.recv(), 30))
            is_read = answer["type"] == "result"
            delays.append(1000 * (time.monotonic() - answer["time_s"]) if is_read else float("inf"))
            assert not is_read or answer["rows"][0]["track_id"] is not None
        await sending
    return delays


def clients(address: str, pictures: Sequence[bytes], count: int, seconds: float, asked: str) -> list[float]:
    """Return the delays of all frames of several clients, who begin one after the other.

    They are spread over the time between two searches of a whole picture, as people come at times of their own.
    """

    async def main() -> list[list[float]]:
        start_s = time.monotonic() + 0.5
        starts = [start_s + index / count * LOOK_EVERY_S for index in range(count)]
        return await asyncio.gather(*(client(address, pictures, one, one + seconds, asked) for one in starts))

    return [delay for delays in asyncio.run(main()) for delay in delays]


def streams(address: str, pid: int, count: int, effort: Effort, asked: str = '{"type":"options"}') -> Row:
    """Return what several clients see, who run in a process of their own."""
    pictures = _pictures()
    with get_context("spawn").Pool(1) as process:
        process.apply(clients, (address, pictures, count, effort.warm_up_s, asked))
        before, before_s, start_s = batches(address), cpu_s(pid), time.monotonic()
        delays = np.array(process.apply(clients, (address, pictures, count, effort.timed_s, asked)), np.float32)
        used_s, passed_s, after = cpu_s(pid) - before_s, time.monotonic() - start_s, batches(address)
    runs = {bound: after[bound] - before[bound] for bound in after}
    answered = delays[np.isfinite(delays)]
    return {
        "clients": count,
        "frames": len(delays),
        "dropped": len(delays) - len(answered),
        **{f"p{share}_ms": _quantile(delays, share / 100) for share in (50, 90, 95, 99)},
        "longest_ms": float(answered.max()),
        "late": float((delays > ASKED_MS).mean()),
        "busy": used_s / passed_s,
        "alone": runs["1"] / max(runs["+Inf"], 1),
        "server_ms_a_frame": 1000 * used_s / len(delays),
    }


def _quantile(delays: FloatArray, share: float) -> float | None:
    delay = float(np.quantile(delays, share, method="higher"))
    return delay if np.isfinite(delay) else None


def _pictures() -> list[bytes]:
    bgr = (cv2.cvtColor(picture, cv2.COLOR_RGB2BGR) for picture in scene(640, 480, 1, PERIOD))
    return [cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 85])[1].tobytes() for picture in bgr]


# --- waiting for company


class Waiting(BatchingRecognizer):
    """Waits before each run, so that more faces may come."""

    def __init__(self, recognizer: Recognizer, wait_s: float) -> None:
        super().__init__(recognizer)
        self._wait_s = wait_s

    def _run(self) -> None:
        if self._wait_s:
            time.sleep(self._wait_s)
        super()._run()


def waiting(threads: int, wait_ms: float | None, effort: Effort) -> Row:
    """Return how fast faces go through the net from several threads; None is without batching."""
    recognizer = load() if wait_ms is None else Waiting(load(), wait_ms / 1000)
    size = recognizer.card.input_size
    faces = np.random.default_rng(0).integers(0, 256, (effort.faces, 1, size, size)).astype(np.uint8)
    times_ms: list[float] = []

    def work(_: int) -> None:
        for face in faces:
            start_s = time.perf_counter()
            recognizer.probabilities(face)
            times_ms.append(1000 * (time.perf_counter() - start_s))

    start_s = time.perf_counter()
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, range(threads)))
    passed_s = time.perf_counter() - start_s
    return {
        "threads": threads,
        "waits": "net for each" if wait_ms is None else f"{wait_ms:g} ms",
        "faces_a_second": threads * effort.faces / passed_s,
        "p50_ms": float(np.quantile(times_ms, 0.5)),
        "p95_ms": float(np.quantile(times_ms, 0.95)),
    }


# --- report


def measure(effort: Effort) -> Iterator[tuple[str, list[Row]]]:
    """Yield the rows of each section as they are measured."""
    with service() as (address, pid):
        yield "clients", [streams(address, pid, count, effort) for count in effort.clients]
        rows: list[Row] = []
        for name in ("nothing more", "landmarks", "why"):
            asked = json.dumps({"type": "options"} | ({} if name == "nothing more" else {name: True}))
            row: Row = {"asked": name}
            rows.append(row | streams(address, pid, min(4, max(effort.clients)), effort, asked))
        yield "what", rows
    yield "waiting", [waiting(threads, ms, effort) for threads in (1, cores()) for ms in (None, 0.0, 2.0, 5.0)]


def section(title: str, note: str, rows: Sequence[Row]) -> str:
    """Return a section of the page: title, what it shows, table."""
    return f"## {title}\n\n{note}\n\n{table(rows)}\n"


def page(facts: Row, command: str, measured: dict[str, list[Row]]) -> str:
    """Return the whole page."""
    head = f"# The service\n\n`{command}`; {', '.join(f'{name} {fact}' for name, fact in facts.items())}."
    within = [row["clients"] for row in measured["clients"] if float(row["p95_ms"] or "inf") < ASKED_MS]
    most = max((int(count or 0) for count in within), default=0)
    found = f"{most} clients at {RATE:g} frames a second have a 95th percentile of the delay below {ASKED_MS:g} ms, "
    found += "frames that are dropped counted as later; the target was 4."
    return "\n\n".join([head, found, *(section(*SECTIONS[name], measured[name]).strip() for name in SECTIONS)]) + "\n"


def main() -> None:
    """Measure all, print each section when it is done, write both files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "results", help="folder for the two files")
    parser.add_argument("--quick", action="store_true", help="see that all works; the figures mean nothing")
    arguments = parser.parse_args()
    facts = environment()
    measured: dict[str, list[Row]] = {}
    for name, rows in measure(QUICK if arguments.quick else FULL):
        measured[name] = rows
        print(section(*SECTIONS[name], rows), flush=True)
    command = f"python benchmarks/service.py{' --quick' * arguments.quick}"
    record = {"command": command, "machine": facts, **measured}
    write_whole(arguments.out / "service.json", json.dumps(record, indent=2, allow_nan=False) + "\n")
    write_whole(arguments.out / "service.md", page(facts, command, measured))


if __name__ == "__main__":
    main()
