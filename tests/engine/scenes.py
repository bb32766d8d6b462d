"""Makers of results without pictures: who shows what, when."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from mien.core.types import Faces, FrameResult

LABELS = ("happy", "sad", "surprise", "neutral")


def showing(label: str, probability: float) -> list[float]:
    """Return probabilities: that of one label, and neutral for the rest; of neutral, the rest is even."""
    others = (1 - probability) / 3 if label == "neutral" else 0.0
    shown = dict.fromkeys(LABELS, others) | {"neutral": 1 - probability} | {label: probability}
    return [shown[name] for name in LABELS]


def result_of(
    time_s: float,
    people: Mapping[int, Sequence[float]],
    *,
    source: str = "talk.mp4",
    labels: tuple[str, ...] = LABELS,
    uncertain_below: float = 0.0,
) -> FrameResult:
    """Return a frame with these people's probabilities."""
    if not people:
        return FrameResult(source, round(time_s * 1000), time_s, None, Faces.empty(labels))
    faces = Faces.detected([[0, 0, 9, 9]] * len(people), [0.9] * len(people))
    faces = faces.recognized(list(people.values()), labels, uncertain_below=uncertain_below)
    return FrameResult(source, round(time_s * 1000), time_s, None, replace(faces, track_ids=np.array([*people])))


def film(people: Mapping[int, Sequence[tuple[str, float, float]]], *, rate: float = 10) -> list[FrameResult]:
    """Return frames of people who show (label, probability, seconds) one after another, and then leave.

    The label ``""`` is out of sight.
    """
    lengths = {track_id: sum(seconds for *_, seconds in parts) for track_id, parts in people.items()}
    results = []
    for index in range(round(max(lengths.values()) * rate) + 1):
        shown = {track_id: _shown(parts, index / rate) for track_id, parts in people.items()}
        results.append(result_of(index / rate, {i: p for i, p in shown.items() if p}))
    return results


def _shown(parts: Sequence[tuple[str, float, float]], time_s: float) -> list[float] | None:
    for label, probability, seconds in parts:
        # A time on the border belongs to what comes after it.
        if time_s < seconds - 1e-9:
            return showing(label, probability) if label else None
        time_s -= seconds
    return None
