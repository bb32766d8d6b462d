"""Whose track goes on in a stream, and when it is over."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Generic, Protocol, TypeVar

from mien.core.types import FloatArray, FrameResult
from mien.engine.tracking import LOST_AFTER_S


class Person(Protocol):
    """What is kept of one person."""

    seen_s: float
    """Time of the last frame with this person."""


P = TypeVar("P", bound=Person)


class People(Generic[P]):
    """Those whose track goes on.

    A track is over when its person is unseen for more than a second, the source changes or time goes back.

    Parameters
    ----------
    begin : callable
        Returns what is to be kept of a new person, from the first frame and the id.
    """

    def __init__(self, begin: Callable[[FrameResult, int], P]) -> None:
        self._begin = begin
        self._open: dict[int, P] = {}
        self._source, self._time_s = "", -math.inf

    def __iter__(self) -> Iterator[P]:
        return iter(self._open.values())

    def gone(self, result: FrameResult) -> list[P]:
        """Return those whose track is over by the time of this frame, and forget them."""
        is_other = result.source != self._source or result.time_s < self._time_s
        self._source, self._time_s = result.source, result.time_s
        over = [k for k, person in self._open.items() if is_other or result.time_s - person.seen_s > LOST_AFTER_S]
        return [self._open.pop(track_id) for track_id in over]

    def all_gone(self) -> list[P]:
        """Return all, and forget them."""
        people, self._open = list(self._open.values()), {}
        return people

    def present(self, result: FrameResult) -> Iterator[tuple[P, FloatArray, str]]:
        """Yield those who are in this frame, each with probabilities and expression."""
        faces = result.faces
        if faces.track_ids is None or not faces.labels:
            return
        for track_id, *shown in zip(faces.track_ids.tolist(), faces.probabilities, faces.expressions, strict=True):
            if track_id not in self._open:
                self._open[track_id] = self._begin(result, track_id)
            yield self._open[track_id], *shown
