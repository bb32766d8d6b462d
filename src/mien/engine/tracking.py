"""Faces through time: ids that stay with a person, probabilities that do not flicker."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import numpy.typing as npt

from mien.core.errors import OptionError
from mien.core.types import Faces, FloatArray

LEAST_OVERLAP = 0.2
LOST_AFTER_S = 1.0 + 1e-6  # one second, whatever rounding makes of the difference of two times


class Tracker(Protocol):
    """What gives faces their ids; one object follows one stream."""

    def update(self, faces: Faces, time_s: float) -> Faces:
        """Return the faces of the next frame with `track_ids`."""


@dataclass
class _Track:
    track_id: int
    box_xyxy: FloatArray
    seen_s: float


class OverlapTracker:
    """Gives a face the id of the track that it overlaps most; a track is forgotten after a second unseen.

    Pairs of track and face are taken in order of overlap (intersection over union), greedily: for the few faces of a
    frame that equals the best assignment except where people cross. Bochinski et al. 2017,
    https://doi.org/10.1109/AVSS.2017.8078516; we differ in keeping tracks through short gaps.

    Examples
    --------
    >>> tracker = OverlapTracker()
    >>> first = tracker.update(Faces.detected([[0, 0, 40, 50]], [0.9]), 0.0)
    >>> later = tracker.update(Faces.detected([[90, 0, 130, 50], [4, 0, 44, 50]], [0.9, 0.9]), 0.1)
    >>> first.track_ids.tolist(), later.track_ids.tolist()
    ([1], [2, 1])
    """

    def __init__(self) -> None:
        self._tracks: list[_Track] = []
        self._next_id = 1

    def update(self, faces: Faces, time_s: float) -> Faces:
        """Return the faces of the next frame with `track_ids`.

        Parameters
        ----------
        faces : Faces
        time_s : float
            Time of the frame in seconds; where it goes back, another stream begins and all tracks are forgotten.
        """
        self._tracks = [track for track in self._tracks if 0 <= time_s - track.seen_s <= LOST_AFTER_S]
        overlaps = intersection_over_union(self._boxes(), faces.boxes_xyxy)
        owners: list[_Track | None] = [None] * len(faces)
        for _ in range(min(overlaps.shape)):
            track, face = np.unravel_index(int(overlaps.argmax()), overlaps.shape)
            if overlaps[track, face] < LEAST_OVERLAP:
                break
            owners[int(face)] = self._tracks[int(track)]
            overlaps[track, :] = overlaps[:, face] = -1.0
        ids = [self._seen(owner, box, time_s) for owner, box in zip(owners, faces.boxes_xyxy, strict=True)]
        return replace(faces, track_ids=np.array(ids, np.int64))

    def _boxes(self) -> FloatArray:
        return np.array([track.box_xyxy for track in self._tracks], np.float32).reshape(-1, 4)

    def _seen(self, track: _Track | None, box_xyxy: FloatArray, time_s: float) -> int:
        if track is None:
            track = _Track(self._next_id, box_xyxy, time_s)
            self._next_id += 1
            self._tracks.append(track)
        track.box_xyxy, track.seen_s = box_xyxy, time_s
        return track.track_id


class Smoother:
    """Averages the probabilities of each track over time, whatever the frame rate.

    What was seen `half_life_s` ago weighs half as much as what is seen now: an exponential moving average whose
    weights follow from seconds, not from frames.

    Parameters
    ----------
    half_life_s : float
        Seconds; 0 leaves probabilities as they are.

    Raises
    ------
    OptionError
        If `half_life_s` is no number, negative or not finite.
    """

    def __init__(self, half_life_s: float) -> None:
        try:
            is_length = 0 <= half_life_s < np.inf
        except TypeError:
            is_length = False
        if not is_length:
            raise OptionError(f"smoothing_s is {half_life_s!r}: expected seconds, 0 (off) or more")
        self._half_life_s = half_life_s
        self._known: dict[int, tuple[float, FloatArray]] = {}

    def update(self, faces: Faces, probabilities: FloatArray, time_s: float) -> FloatArray:
        """Return the smoothed probabilities of the faces of the next frame.

        Parameters
        ----------
        faces : Faces
            With `track_ids`; without, nothing is smoothed.
        probabilities : (N, K) ndarray of float32
        time_s : float
            Time of the frame in seconds; where it goes back, all that was seen is forgotten.

        Returns
        -------
        (N, K) ndarray of float32
            Rows sum to 1 where those given do.
        """
        if faces.track_ids is None or self._half_life_s == 0:
            return probabilities
        self._known = {k: known for k, known in self._known.items() if 0 <= time_s - known[0] <= LOST_AFTER_S}
        smoothed = probabilities.copy()
        for row, track_id in enumerate(faces.track_ids.tolist()):
            if track_id in self._known:
                before_s, before = self._known[track_id]
                weight = np.float32(0.5 ** ((time_s - before_s) / self._half_life_s))
                smoothed[row] = weight * before + (1 - weight) * probabilities[row]
            self._known[track_id] = (time_s, smoothed[row])
        return smoothed


def intersection_over_union(first_xyxy: FloatArray, second_xyxy: FloatArray) -> npt.NDArray[np.float64]:
    """Return the overlap of every pair of boxes, 0 to 1.

    Parameters
    ----------
    first_xyxy : (M, 4) ndarray of float32
    second_xyxy : (N, 4) ndarray of float32

    Returns
    -------
    (M, N) ndarray of float64
    """
    first, second = first_xyxy[:, None, :].astype(np.float64), second_xyxy[None, :, :].astype(np.float64)
    corner = np.minimum(first[..., 2:], second[..., 2:]) - np.maximum(first[..., :2], second[..., :2])
    common = np.prod(np.clip(corner, 0, None), axis=2)
    areas = [np.prod(np.clip(b[..., 2:] - b[..., :2], 0, None), axis=2) for b in (first, second)]
    return np.asarray(common / np.maximum(areas[0] + areas[1] - common, 1e-9), np.float64)


def load_tracker(tracker: str | Tracker | None) -> Tracker | None:
    """Return the tracker of this name (``"default"``), the object as it is, or None for no ids.

    Raises
    ------
    OptionError
        If it is none of these.
    """
    if tracker == "default":
        return OverlapTracker()
    if isinstance(tracker, str) or not (tracker is None or callable(getattr(tracker, "update", None))):
        raise OptionError(f"no tracker {tracker!r}: expected 'default', None or an object with update(faces, time_s)")
    return tracker
