"""Counts and times of the service as Prometheus reads them (text format 0.0.4)."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SECONDS = (0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5)
FACES = (1, 2, 3, 4, 6, 8)


class Counter:
    """Counts, one number for each value of its label if it has one; may be shared by threads.

    Parameters
    ----------
    name, meaning : str
    label : str
        Name of its label; empty where there is none.
    values : sequence of str
        Values of the label that are shown from the start.
    """

    kind = "counter"

    def __init__(self, name: str, meaning: str, *, label: str = "", values: Sequence[str] = ("",)) -> None:
        self.name, self.meaning, self._label = name, meaning, label
        self._counts: dict[str, int] = dict.fromkeys(values, 0)
        self._lock = threading.Lock()

    def add(self, value: str = "", by: int = 1) -> None:
        """Count."""
        with self._lock:
            self._counts[value] = self._counts.get(value, 0) + by

    def lines(self) -> list[str]:
        """Return its samples."""
        with self._lock:
            return [
                f'{self.name}{{{self._label}="{value}"}} {number}' if self._label else f"{self.name} {number}"
                for value, number in self._counts.items()
            ]


class Gauge(Counter):
    """A count that goes down too."""

    kind = "gauge"


class Histogram:
    """How numbers are distributed; may be shared by threads.

    Parameters
    ----------
    name, meaning : str
    bounds : sequence of float
        Upper bounds of the buckets, growing.
    """

    kind = "histogram"

    def __init__(self, name: str, meaning: str, bounds: Sequence[float]) -> None:
        self.name, self.meaning, self._bounds = name, meaning, bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0
        self._lock = threading.Lock()

    def observe(self, number: float) -> None:
        """Take a number in."""
        with self._lock:
            self._counts[bisect_left(self._bounds, number)] += 1
            self._sum += number

    def lines(self) -> list[str]:
        """Return its samples."""
        with self._lock:
            totals, total = list(accumulate(self._counts)), self._sum
        bounds = [*(f"{bound:g}" for bound in self._bounds), "+Inf"]
        buckets = [f'{self.name}_bucket{{le="{bound}"}} {count}' for bound, count in zip(bounds, totals, strict=True)]
        return [*buckets, f"{self.name}_sum {total}", f"{self.name}_count {totals[-1]}"]


class Metrics:
    """All that the service counts."""

    def __init__(self, codes: Sequence[str]) -> None:
        self.frames = Counter(
            "mien_frames_total", "Frames and pictures that were read.", label="by", values=("stream", "post")
        )
        self.faces = Counter("mien_faces_total", "Faces found in them.")
        self.dropped = Counter("mien_dropped_frames_total", "Frames that a newer one has overtaken.")
        self.errors = Counter("mien_errors_total", "Frames, messages and requests refused.", label="code", values=codes)
        self.closed = Counter(
            "mien_closed_streams_total",
            "Streams that the service has closed, by code of WebSocket.",
            label="code",
            values=(),
        )
        self.clients = Gauge("mien_clients", "Streams that are open.")
        self.seconds = Histogram("mien_frame_seconds", "Seconds from the arrival of a frame to its answer.", SECONDS)
        self.batches = Histogram("mien_batch_faces", "Faces in one run of the net.", FACES)

    def text(self) -> str:
        """Return all as Prometheus reads it."""
        lines: list[str] = []
        for metric in (
            self.frames,
            self.faces,
            self.dropped,
            self.errors,
            self.closed,
            self.clients,
            self.seconds,
            self.batches,
        ):
            lines += [f"# HELP {metric.name} {metric.meaning}", f"# TYPE {metric.name} {metric.kind}", *metric.lines()]
        return "\n".join(lines) + "\n"
