"""A person's own resting face: geometry told relative to it, answers corrected by it."""

from __future__ import annotations

import logging
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mien.core.errors import OptionError
from mien.core.model import ModelCard
from mien.core.types import BoolArray, Faces, FloatArray
from mien.engine.tracking import LOST_AFTER_S
from mien.face.boxes import Floats, centers_and_sizes
from mien.face.geometry import GEOMETRY_NAMES, POSE_NAMES
from mien.face.landmarks import are_sure

TYPICAL_REST = {
    "default": (0.0113, 0.0006, 0.0010, 0.0337, 0.0927, 0.0149, 0.8457),
    "fer2013": (0.1175, 0.0040, 0.1339, 0.0575, 0.2438, 0.0262, 0.4171),
    "paper": (0.1404, 0.0115, 0.1454, 0.0781, 0.2270, 0.0469, 0.3507),
}
"""What each net that ships answers on average for resting faces of people at large, columns as ``EXPRESSIONS``:
measured by ``benchmarks/baseline.py`` on the 1,182 faces of `PublicTest` that most taggers of FER+ call neutral."""

TAUGHT = "FER2013 Training"

SURE = 0.8
"""A label with at least this probability stays on top after any correction. So a face that looks like another
expression than neutral with it is no resting face that could be corrected: 1.6 % of those faces do (`default`)."""

LEAST = 1e-3  # a smaller probability says no more than this one
MOVED = 0.2  # of a face's size, within MOVED_S: on two videos of a person who sits, 99 % of frames moved less (0.13)
MOVED_S = 0.5
LEAST_SHARE = 0.5  # of the frames: a median bears no more that are wrong
ROUNDING_S = 1e-6

NEUTRAL = "neutral"
FROM_REST = "_from_rest"
HAS_BASELINE = "has_baseline"
RELATIVE_NAMES = tuple(name for name in GEOMETRY_NAMES if name not in POSE_NAMES)

log = logging.getLogger("mien")


def corrected(
    probabilities: FloatArray, rest: npt.ArrayLike, typical: npt.ArrayLike, *, strength: float = 1.0
) -> FloatArray:
    """Return answers about one person, corrected by what this person's resting face is taken for.

    Each probability is multiplied by ``(typical / rest) ** strength``, but at least by a half and at most by two, and
    all are made to sum to 1 again. So a resting face that looks sad is read less as sad, whatever it does.

    Parameters
    ----------
    probabilities : (N, K) ndarray of float32
        Rows sum to 1.
    rest : (K,) array_like
        Answer for the person's resting face.
    typical : (K,) array_like
        Average answer for resting faces of people at large.
    strength : float
        From 0, no correction, to 1, all of it.

    Returns
    -------
    (N, K) ndarray of float32
        Rows sum to 1.

    Raises
    ------
    OptionError
        If `strength` is not from 0 to 1.

    Notes
    -----
    Correction for other prior probabilities of Saerens, Latinne and Decaestecker 2002,
    https://doi.org/10.1162/089976602753284446. We differ: `rest` and `typical` are answers for resting faces, not how
    often each class occurs; and factors are bounded by ``sqrt(SURE / (1 - SURE))``, which is 2, and its inverse. The
    odds of two labels then change at most by ``SURE / (1 - SURE)``. A label with probability `SURE` has at least
    these odds against each other label, so it stays on top, whatever was taken for rest.

    Examples
    --------
    >>> answers = np.array([[0.5, 0.5], [0.9, 0.1]], np.float32)  # sad, neutral
    >>> corrected(answers, rest=[0.5, 0.5], typical=[0.25, 0.75]).round(2).tolist()
    [[0.25, 0.75], [0.75, 0.25]]
    """
    if not 0 <= strength <= 1:
        raise OptionError(f"strength is {strength!r}: expected 0 (no correction) to 1")
    most = np.sqrt(SURE / (1 - SURE))
    ratios = np.maximum(np.asarray(typical, np.float64), LEAST) / np.maximum(np.asarray(rest, np.float64), LEAST)
    weighted = probabilities * np.clip(ratios**strength, 1 / most, most)
    return np.asarray(weighted / weighted.sum(axis=1, keepdims=True), np.float32)


class Baseline:
    """Learns each person's resting face at the start of the track, then tells what differs from it.

    People are to be asked to rest, looking into the camera, when they come into the picture. The first `rest_s` seconds
    of a track count, without the frames in which the face moves fast, has no sure landmarks, or looks strongly like
    another expression than neutral: of the others the median is taken, of answers and of geometry. Where less than half
    of the frames remain, the person has no baseline; a warning in the log says so. Who is unseen for more than a second
    is somebody else.

    Parameters
    ----------
    rest_s : float
        Seconds, above 0; one to five are of use.
    card : ModelCard
        Of the net that answers. Of a net that is not in :data:`TYPICAL_REST`, or bears such a name but was taught other
        faces, answers are left as they are.

    Raises
    ------
    OptionError
        If `rest_s` is no number, not above 0 or not finite.

    Examples
    --------
    >>> from dataclasses import replace
    >>> from mien.core.labels import EXPRESSIONS
    >>> from mien.engine.recognizer import load
    >>> baseline = Baseline(1.0, load("default").card)
    >>> for time_s in (0.0, 0.5, 1.0):  # a face that looks sad at rest
    ...     faces = Faces.detected([[0, 0, 40, 50]], [1]).recognized([[0, 0, 0, 0, 0.6, 0, 0.4]], EXPRESSIONS)
    ...     faces = baseline.update(replace(faces, track_ids=[1]), time_s)
    ...     print(time_s, faces.expressions[0], faces.features[0].tolist())
    0.0 sad [0.0]
    0.5 sad [0.0]
    1.0 neutral [1.0]
    """

    def __init__(self, rest_s: float, card: ModelCard) -> None:
        try:
            is_time = ROUNDING_S < rest_s < np.inf
        except TypeError:
            is_time = False
        if not is_time:
            raise OptionError(f"baseline_s is {rest_s!r}: expected seconds of rest, above 0")
        self._rest_s, self._card = rest_s, card
        self._is_other = np.array([label != NEUTRAL for label in card.labels])
        self._typical = TYPICAL_REST.get(card.name) if TAUGHT in card.training_data else None
        if self._typical is None:
            log.warning("what the net %r answers for resting faces is not known: answers stay as they are", card.name)
        self._watches: dict[int, _Watch] = {}

    def cut(self) -> None:
        """Forget everyone: another scene begins."""
        self._watches = {}

    def update(self, faces: Faces, time_s: float, *, source: str = "") -> Faces:
        """Return the faces of the next frame as they differ from rest.

        Parameters
        ----------
        faces : Faces
            With answers of the net, `track_ids`, and the features that are asked for: the same ones in each frame.
            Without ids nobody has a baseline.
        time_s : float
            Time of the frame in seconds; where it goes back, everyone is forgotten.
        source : str
            What warnings name.

        Returns
        -------
        Faces
            Whose baseline stands has corrected probabilities, and an expression and confidence that follow from them.
            There are more features: for each of :data:`RELATIVE_NAMES` among them one named ``..._from_rest``, the
            difference from rest in its own unit, NaN until the baseline stands; and ``has_baseline``, 1 where it stands
            and 0 elsewhere.

        Raises
        ------
        OptionError
            If the faces have other labels than the card.
        """
        if faces.labels != self._card.labels:
            raise OptionError(f"faces have the labels {faces.labels}: expected those of the net, {self._card.labels}")
        self._watches = {k: watch for k, watch in self._watches.items() if 0 <= time_s - watch.seen_s <= LOST_AFTER_S}
        names = tuple(name for name in faces.feature_names if name in RELATIVE_NAMES)
        geometry = _columns(faces, names)
        probabilities, relative = faces.probabilities.copy(), np.full_like(geometry, np.nan)
        has_baseline = np.zeros((len(faces), 1), np.float32)
        ids = [] if faces.track_ids is None else faces.track_ids.tolist()
        is_sure = np.ones(len(faces), np.bool_) if faces.landmarks is None else are_sure(faces)
        for row, track_id in enumerate(ids):
            name = f"{source}: track {track_id}" if source else f"track {track_id}"
            watch = self._watches.setdefault(track_id, _Watch(name, time_s, time_s + self._rest_s, self._is_other))
            rest = watch.see(
                _Frame(time_s, faces.boxes_xyxy[row], faces.probabilities[row], geometry[row], is_sure[row])
            )
            if rest is None:
                continue
            relative[row], has_baseline[row] = geometry[row] - rest.geometry, 1
            if self._typical is not None:
                probabilities[row] = corrected(probabilities[row : row + 1], rest.answer, self._typical)[0]
        faces = faces.recognized(probabilities, faces.labels, uncertain_below=self._card.uncertain_below)
        return faces.measured(baseline_names(faces.feature_names), np.hstack([relative, has_baseline]))


def baseline_names(feature_names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names of the columns that :class:`Baseline` adds to these."""
    return (*(f"{name}{FROM_REST}" for name in feature_names if name in RELATIVE_NAMES), HAS_BASELINE)


def _columns(faces: Faces, names: tuple[str, ...]) -> FloatArray:
    if faces.features is None:
        return np.empty((len(faces), 0), np.float32)
    return faces.features[:, [faces.feature_names.index(name) for name in names]]


class _Rest(NamedTuple):
    """A resting face: answer (K,), sums to 1; geometry (G,), NaN where it is not known."""

    answer: FloatArray
    geometry: FloatArray


class _Frame(NamedTuple):
    time_s: float
    box_xyxy: FloatArray
    answer: FloatArray
    geometry: FloatArray
    is_sure: np.bool_


class _Watch:
    """Watches one person until it is known how the resting face looks."""

    def __init__(self, name: str, begin_s: float, end_s: float, is_other: BoolArray) -> None:
        self.seen_s = begin_s
        self._name, self._begin_s, self._end_s, self._is_other = name, begin_s, end_s, is_other
        self._frames: list[_Frame] = []
        self._is_over = False
        self._rest: _Rest | None = None

    def see(self, frame: _Frame) -> _Rest | None:
        """Take the next frame; return the resting face if it is known."""
        self.seen_s = frame.time_s
        if frame.time_s < self._end_s - ROUNDING_S:
            self._frames.append(frame)
        elif not self._is_over:
            self._rest, self._is_over = self._resting_face(), True
            self._frames = []
        return self._rest

    def _resting_face(self) -> _Rest | None:
        times_s, boxes, answers, geometry, is_sure = (np.array(values) for values in zip(*self._frames, strict=True))
        is_resting = is_sure & (answers[:, self._is_other] < SURE).all(axis=1) & (_moved(times_s, boxes) < MOVED)
        if is_resting.mean() < LEAST_SHARE:
            log.warning(
                "%s has no baseline: %d of %d frames from %.1f to %.1f s show a resting face, expected half: "
                "ask people to rest, looking into the camera, when they come into the picture",
                *(self._name, is_resting.sum(), len(is_resting), self._begin_s, self._end_s),
            )
            return None
        answer = np.maximum(np.median(answers[is_resting], axis=0), LEAST)
        return _Rest(answer / answer.sum(), _median_of_known(geometry[is_resting]))


def _moved(times_s: Floats, boxes_xyxy: FloatArray) -> Floats:
    """Return how far each frame's face is, in its own size, from where it was `MOVED_S` before, or was seen last."""
    centers, sizes = centers_and_sizes(boxes_xyxy)
    rows = np.arange(len(times_s))
    before = np.clip(np.searchsorted(times_s, times_s - MOVED_S), 0, np.maximum(rows - 1, 0))
    return np.asarray(np.linalg.norm(centers - centers[before], axis=1) / sizes)


def _median_of_known(values: FloatArray) -> FloatArray:
    """Return the median of each column without NaN; NaN where too much is missing."""
    medians = np.full(values.shape[1], np.nan, np.float32)
    known = np.isfinite(values).mean(axis=0) >= LEAST_SHARE
    medians[known] = np.nanmedian(values[:, known], axis=0)
    return medians
