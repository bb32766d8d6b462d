"""Faces through time: ids that stay with a person, probabilities that do not flicker."""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

import numpy as np

from mien.core.errors import OptionError
from mien.core.types import Faces, FloatArray
from mien.face.boxes import Floats, centers_and_sizes

LOST_AFTER_S = 1.0 + 1e-6  # one second, whatever rounding makes of the difference of two times
REACH = 0.65  # of a face's size: how far from where it is expected a face may be found
REACH_GROWTH = 2.0  # face sizes a second, while it is not seen
NOISE = 0.04  # of a face's size: spread of a detector's box around the face
SPEED = 1.5  # face sizes a second: spread of people's velocities
MOTION_LIFE_S = 1.0


class Tracker(Protocol):
    """What gives faces their ids; one object follows one stream."""

    def update(self, faces: Faces, time_s: float) -> Faces:
        """Return the faces of the next frame with `track_ids`."""

    def cut(self) -> None:
        """Forget whom it follows: another scene begins, in which no id may come again."""


class _Track:
    """One person: where the face was, how it moves.

    A Kalman filter for the center, in units of the face's size (Kalman 1960, https://doi.org/10.1115/1.3662552): people
    keep going for about a second, at about :data:`SPEED`, and a detector's box is some hundredths off.
    """

    def __init__(self, track_id: int, box_xyxy: FloatArray, time_s: float) -> None:
        self.track_id = track_id
        self.seen_s = time_s
        center, self.size = centers_and_sizes(box_xyxy)
        self._state = np.stack([center, np.zeros(2)])  # position and velocity a second
        self._covariance = np.diag([NOISE**2, SPEED**2])  # of each axis

    def expected(self, time_s: float) -> Floats:
        """Return where the center of the face should be, (2,) pixels."""
        return np.asarray((_motion(time_s - self.seen_s) @ self._state)[0])

    def see(self, box_xyxy: FloatArray, time_s: float) -> None:
        """Take a face as this person's."""
        center, size = centers_and_sizes(box_xyxy)
        motion = _motion(time_s - self.seen_s)
        covariance = motion @ self._covariance @ motion.T
        covariance[1, 1] += SPEED**2 * (1 - motion[1, 1] ** 2)  # what keeps speeds about SPEED
        gain = covariance[:, 0] / (covariance[0, 0] + NOISE**2)
        state = motion @ self._state
        self._state = state + np.outer(gain, center - state[0])
        self._covariance = covariance - np.outer(gain, covariance[0])
        self.size = (self.size + size) / 2
        self.seen_s = time_s


def _motion(ahead_s: float) -> Floats:
    """Return what time does to position and velocity: who is not seen slows down."""
    left = np.exp(-ahead_s / MOTION_LIFE_S)
    return np.array([[1.0, MOTION_LIFE_S * (1 - left)], [0.0, left]])


class MotionTracker:
    """Gives a face the id of the person who is expected where it is; a person is forgotten after a second unseen.

    Each track expects its face where its motion leads; pairs of track and face are taken in order of nearness, in
    units of the face's size, greedily. So ids are kept when people cross and one hides the other; who turns back while
    hidden may take the other's id: looks are not compared. ``docs/results/tracking.md`` compares it with others.

    Examples
    --------
    >>> tracker = MotionTracker()
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
        owners = self._owners(faces, time_s)
        ids = [self._seen(owner, box, time_s) for owner, box in zip(owners, faces.boxes_xyxy, strict=True)]
        return replace(faces, track_ids=np.array(ids, np.int64))

    def cut(self) -> None:
        """Forget whom it follows: ids go on counting."""
        self._tracks = []

    def _owners(self, faces: Faces, time_s: float) -> list[_Track | None]:
        owners: list[_Track | None] = [None] * len(faces)
        farness = self._farness(faces.boxes_xyxy, time_s)
        for _ in range(min(farness.shape)):
            track, face = np.unravel_index(int(farness.argmin()), farness.shape)
            if farness[track, face] > 1.0:
                break
            owners[int(face)] = self._tracks[int(track)]
            farness[track, :] = farness[:, face] = np.inf
        return owners

    def _farness(self, boxes_xyxy: FloatArray, time_s: float) -> Floats:
        """Return how far each face is from where each track expects its own, (tracks, faces); above 1 out of reach."""
        if not self._tracks or not len(boxes_xyxy):
            return np.empty((len(self._tracks), len(boxes_xyxy)))
        centers, sizes = centers_and_sizes(boxes_xyxy)
        expected = np.stack([track.expected(time_s) for track in self._tracks])
        known = np.array([track.size for track in self._tracks])
        unseen_s = np.array([time_s - track.seen_s for track in self._tracks])
        reach = (REACH + REACH_GROWTH * unseen_s)[:, None] * np.sqrt(known[:, None] * sizes)
        distances = np.linalg.norm(expected[:, None] - centers, axis=2) / reach
        resized = np.abs(np.log2(known[:, None] / sizes))  # 1 where a face is twice or half as large
        return np.asarray(np.hypot(distances, resized))

    def _seen(self, track: _Track | None, box_xyxy: FloatArray, time_s: float) -> int:
        if track is None:
            track = _Track(self._next_id, box_xyxy, time_s)
            self._next_id += 1
            self._tracks.append(track)
        else:
            track.see(box_xyxy, time_s)
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

    def cut(self) -> None:
        """Forget all that was seen."""
        self._known = {}

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


def load_tracker(tracker: str | Tracker | None) -> Tracker | None:
    """Return the tracker of this name (``"default"``), the object as it is, or None for no ids.

    Raises
    ------
    OptionError
        If it is none of these.
    """
    if tracker == "default":
        return MotionTracker()
    if isinstance(tracker, str) or not (
        tracker is None or all(callable(getattr(tracker, name, None)) for name in ("update", "cut"))
    ):
        raise OptionError(
            f"no tracker {tracker!r}: expected 'default', None or an object with update(faces, time_s) and cut()"
        )
    return tracker
