"""Landmarks through time: points that do not tremble on a still face and do not lag behind a moving one."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from mien.core.types import Faces, FloatArray
from mien.engine.tracking import LOST_AFTER_S
from mien.face.boxes import Floats
from mien.face.landmarks import LEFT_EYE_CORNER, RIGHT_EYE_CORNER

# On a face 200 px wide at 30 frames a second, noise of 1 px becomes 0.5 px, and a mouth that opens by a tenth of the
# distance between the eyes twice a second is shown 0.9 frames late; of 240 settings those that do best at both.
STILL_HZ = 0.3  # cutoff for a point that rests
HZ_PER_SPEED = 4.0  # added to it for each distance between the eyes a second
SPEED_HZ = 3.0  # cutoff for the speed itself
LEAST_S = 1e-3  # between two frames; cameras give several the same time


@dataclass(frozen=True)
class _Seen:
    """The points of one person when they were seen last."""

    points: Floats  # (68, 2), steadied
    speed: Floats  # (68, 2) distances between the eyes a second, steadied
    time_s: float

    @classmethod
    def first(cls, points: FloatArray, time_s: float) -> _Seen:
        return cls(points.astype(np.float64), np.zeros(points.shape), time_s)

    def followed(self, points: FloatArray, time_s: float) -> _Seen:
        """Return where the points are now; one that was missing, or is, begins anew."""
        passed_s = max(time_s - self.time_s, LEAST_S)
        eyes_px = max(float(np.linalg.norm(points[LEFT_EYE_CORNER] - points[RIGHT_EYE_CORNER])), 1.0)
        moved = points - self.points
        speed = self.speed + _share(SPEED_HZ, passed_s) * (moved / eyes_px / passed_s - self.speed)
        cutoff_hz = STILL_HZ + HZ_PER_SPEED * np.linalg.norm(speed, axis=1, keepdims=True)
        steady = self.points + _share(cutoff_hz, passed_s) * moved
        is_known = np.isfinite(steady)
        return _Seen(np.where(is_known, steady, points), np.where(is_known, speed, 0.0), time_s)


def _share(cutoff_hz: float | Floats, passed_s: float) -> Floats:
    """Return how much of a change a low-pass filter of the first order follows in this time."""
    return np.asarray(-np.expm1(-2 * np.pi * passed_s * cutoff_hz))


class Steadier:
    """Smooths the landmarks of each track: strongly while a point rests, hardly while it moves.

    G. Casiez, N. Roussel and D. Vogel, "1 euro filter: a simple speed-based low-pass filter for noisy input in
    interactive systems", CHI 2012, https://doi.org/10.1145/2207676.2208639. We differ in that speed is that of a point
    and not of a coordinate, in units of the distance between the outer corners of the eyes, so that neither a turn nor
    the size of the picture changes anything; and weights follow exactly from seconds, whatever the frame rate.

    Examples
    --------
    >>> steadier, rng = Steadier(), np.random.default_rng(0)
    >>> face = replace(Faces.detected([[0, 0, 200, 260]], [1.0]), track_ids=np.array([1]))
    >>> points = rng.uniform(0, 200, (68, 2))
    >>> frames = [replace(face, landmarks=points[None] + rng.normal(size=(1, 68, 2))) for _ in range(90)]
    >>> steady = [steadier.update(faces, frame / 30).landmarks for frame, faces in enumerate(frames)]
    >>> bool(np.std(steady[30:], axis=0).mean() < 0.5)
    True
    """

    def __init__(self) -> None:
        self._known: dict[int, _Seen] = {}

    def cut(self) -> None:
        """Forget all that was seen."""
        self._known = {}

    def update(self, faces: Faces, time_s: float) -> Faces:
        """Return the faces of the next frame with steady `landmarks`.

        Parameters
        ----------
        faces : Faces
            With `landmarks` and `track_ids`; without either, they are returned as they are.
        time_s : float
            Time of the frame in seconds; where it goes back, all that was seen is forgotten.
        """
        if faces.landmarks is None or faces.track_ids is None:
            return faces
        self._known = {k: seen for k, seen in self._known.items() if 0 <= time_s - seen.time_s <= LOST_AFTER_S}
        for track_id, points in zip(faces.track_ids.tolist(), faces.landmarks, strict=True):
            seen = self._known.get(track_id)
            self._known[track_id] = _Seen.first(points, time_s) if seen is None else seen.followed(points, time_s)
        steady = [self._known[track_id].points for track_id in faces.track_ids.tolist()]
        return replace(faces, landmarks=np.reshape(steady, faces.landmarks.shape).astype(np.float32))
