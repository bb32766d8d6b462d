r"""Motion of a face's regions between the frames of a stream, the motion of the head taken out.

::

    frame before -> aligned crop --+                      +--------+
                                   +--> optical flow ->   | -    - |   - head's rest = each region's own motion
    frame now ----> aligned crop --+   (a shift for each  |   ||   |
                                       pixel)             |  \__/  |   mouth: speed, spread, x, y
                                                          +--------+

``docs/texture-and-motion.md`` has the columns, the formulas and what was compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from mien.core.preprocess import STABLE_POINTS, aligned_crops, points_in_crops
from mien.core.types import ByteArray, Faces, FloatArray
from mien.face.landmarks import LEFT_EYE_CORNER, RIGHT_EYE_CORNER, are_sure
from mien.face.regions import REGIONS, region_masks

MOTION_NAMES = tuple(f"motion_{region}_{kind}" for region in REGIONS for kind in ("speed", "spread", "x", "y"))
"""For each region: mean speed, how much the velocities of its parts differ, and its mean velocity to the right and down
in the upright face; all in eye distances a second."""

CROP_PX = 96  # where a mouth moves by 6 % of the eye distance, flow errs by 0.7 % on 64 pixels, by 0.4 % on 96
LONGEST_GAP_S = 1.0 + 1e-6  # a tracker forgets who is unseen for longer
LEAST_STABLE_PX = 16  # of eyes and nose, which have about 900 in a face's crop
STATISTICS = ("mean", "peak", "spread")


def motion(before: ByteArray, now: ByteArray, points: FloatArray, *, gap_s: float) -> FloatArray:
    """Return how the regions of a face moved from one aligned crop to the next.

    Dense optical flow by inverse search [1]_ on the finest scale, less the similarity transform that eyes and nose
    follow most alike (least median of squares [2]_), which is the head's motion as far as the landmarks missed it.

    Parameters
    ----------
    before, now : (S, S) ndarray of uint8
        From :func:`mien.core.preprocess.aligned_crops`; :data:`CROP_PX` is the size meant.
    points : (68, 2) ndarray of float32
        x, y in pixels of `before`, in iBUG order.
    gap_s : float
        Seconds from `before` to `now`, above 0.

    Returns
    -------
    (16,) ndarray of float32
        In the order of :data:`MOTION_NAMES`; NaN where a point is missing or a region is not in the crop. Direction
        is a vector's components, which can be averaged: the mean of angles around 180 degrees points nowhere, and the
        angle of what rests is noise.

    References
    ----------
    .. [1] Kroeger, Timofte, Dai and Van Gool, "Fast optical flow using dense inverse search", ECCV 2016,
       doi:10.1007/978-3-319-46493-0_29
    .. [2] Rousseeuw, "Least median of squares regression", Journal of the American Statistical Association 79, 1984,
       doi:10.1080/01621459.1984.10477105
    """
    if not np.isfinite(points).all():
        return np.full(len(MOTION_NAMES), np.nan, np.float32)
    shifts = _shifts(before, now)
    shifts -= _head_shifts(shifts, points)
    unit = gap_s * np.linalg.norm(points[RIGHT_EYE_CORNER] - points[LEFT_EYE_CORNER])
    masks = region_masks(points, shifts.shape[:2])
    return np.concatenate([_summary(shifts[mask] / unit) for mask in masks.values()])


def _shifts(before: ByteArray, now: ByteArray) -> FloatArray:
    """Return where each pixel went, (S, S, 2) pixels."""
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
    search.setFinestScale(0)  # left alone it ends on a quarter of 96 px, and finds half of a mouth's shift
    return np.asarray(search.calc(before, now, np.zeros((*before.shape, 2), np.float32)), np.float32)


def _head_shifts(shifts: FloatArray, points: FloatArray) -> FloatArray:
    """Return where the head took each pixel, (S, S, 2) pixels, as eyes and nose show; NaN where they are a dot."""
    mask = np.zeros(shifts.shape[:2], np.uint8)
    cv2.fillConvexPoly(mask, cv2.convexHull(points[STABLE_POINTS]).round().astype(np.int32), 1)
    places = np.stack(np.meshgrid(*map(np.arange, mask.shape)), axis=-1).astype(np.float32)
    is_stable = mask.astype(np.bool_)
    if np.count_nonzero(is_stable) < LEAST_STABLE_PX:
        return np.full_like(shifts, np.nan)
    transform, _ = cv2.estimateAffinePartial2D(places[is_stable], (places + shifts)[is_stable], method=cv2.LMEDS)
    return np.asarray(cv2.transform(places, transform) - places, np.float32)


def _summary(velocities: FloatArray) -> FloatArray:
    """Return speed, spread and mean, (4,), of (K, 2) velocities."""
    if not len(velocities):
        return np.full(4, np.nan, np.float32)
    mean = velocities.mean(axis=0)
    speed = np.linalg.norm(velocities, axis=1).mean()
    spread = np.sqrt(((velocities - mean) ** 2).sum(axis=1).mean())
    return np.array([speed, spread, *mean], np.float32)


@dataclass(frozen=True, eq=False)
class _Sight:
    """A face when it was last seen: its aligned crop, and its points in pixels of it."""

    time_s: float
    crop: ByteArray
    points: FloatArray


class MotionMeter:
    """Measures the motion of the faces of one stream, each from the last frame in which it was sure.

    Examples
    --------
    >>> meter = MotionMeter()
    >>> meter.update(np.zeros((90, 160, 3), np.uint8), Faces.empty(), 0.0).shape
    (0, 16)
    """

    def __init__(self) -> None:
        self._seen: dict[int, _Sight] = {}

    def cut(self) -> None:
        """Forget all that was seen: another scene begins."""
        self._seen = {}

    def update(self, picture: ByteArray, faces: Faces, time_s: float) -> FloatArray:
        """Return the motion of the faces of the next frame.

        Parameters
        ----------
        picture : (H, W, 3) or (H, W) ndarray of uint8
            RGB if it has channels.
        faces : Faces
            Faces of it, with `landmarks` and `track_ids`.
        time_s : float
            Time of the frame in seconds; where it does not go on, all that was seen is forgotten.

        Returns
        -------
        (N, 16) ndarray of float32
            Columns :data:`MOTION_NAMES`. NaN for a face without id or sure landmarks, and for one that was not seen
            with them within the second before.
        """
        values = np.full((len(faces), len(MOTION_NAMES)), np.nan, np.float32)
        if faces.landmarks is None or faces.track_ids is None:
            return values
        self._seen = {k: sight for k, sight in self._seen.items() if 0 < time_s - sight.time_s <= LONGEST_GAP_S}
        rows = np.flatnonzero(are_sure(faces))
        crops = aligned_crops(picture, faces.landmarks[rows], CROP_PX)
        points = points_in_crops(faces.landmarks[rows], CROP_PX)
        for row, track_id, crop, marks in zip(rows, faces.track_ids[rows].tolist(), crops, points, strict=True):
            if track_id in self._seen:
                before = self._seen[track_id]
                values[row] = motion(before.crop, crop, before.points, gap_s=time_s - before.time_s)
            self._seen[track_id] = _Sight(time_s, crop, marks)
        return values


def clip_names(names: Sequence[str]) -> tuple[str, ...]:
    """Return the names of the numbers of :func:`clip_statistics`.

    Examples
    --------
    >>> clip_names(["mouth_x"])
    ('mouth_x_mean', 'mouth_x_peak', 'mouth_x_spread')
    """
    return tuple(f"{name}_{statistic}" for statistic in STATISTICS for name in names)


def clip_statistics(rows: FloatArray) -> FloatArray:
    """Return one vector for a clip of any length: mean, peak and spread over time of each column.

    Parameters
    ----------
    rows : (T, M) ndarray of float32
        Features of one face, frame by frame; NaN where not measured.

    Returns
    -------
    (3 * M,) ndarray of float32
        The means of the columns, then their peaks, the values farthest from 0 with their signs, then their standard
        deviations, of what was measured; NaN where nothing was. :func:`clip_names` has the names.

    Examples
    --------
    >>> clip_statistics(np.array([[np.nan], [1.0], [-3.0]], np.float32)).tolist()
    [-1.0, -3.0, 2.0]
    """
    known = np.isfinite(rows)
    counts = known.sum(axis=0).astype(np.float32)
    counts[counts == 0] = np.nan
    means = np.where(known, rows, 0).sum(axis=0) / counts
    highest, lowest = rows.max(axis=0, initial=0, where=known), rows.min(axis=0, initial=0, where=known)
    peaks = np.where(highest >= -lowest, highest, lowest) + 0 * counts
    spreads = np.sqrt(np.where(known, (rows - means) ** 2, 0).sum(axis=0) / counts)
    return np.concatenate([means, peaks, spreads]).astype(np.float32)
