"""The two values that pass through every stage: the faces of one picture, and the result of one frame."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from mien.core.errors import MissingExtraError, OptionError
from mien.core.labels import UNCERTAIN

if TYPE_CHECKING:
    import pandas

ByteArray: TypeAlias = npt.NDArray[np.uint8]
FloatArray: TypeAlias = npt.NDArray[np.float32]
IntArray: TypeAlias = npt.NDArray[np.int64]
BoolArray: TypeAlias = npt.NDArray[np.bool_]
Row: TypeAlias = dict[str, Any]

FRAME_COLUMNS = ("source", "frame", "time_s")
FACE_COLUMNS = ("track_id", "face", "x1", "y1", "x2", "y2", "score", "expression", "confidence")
LANDMARKS = 68
LANDMARK_COLUMNS = ("landmark_confidence", *(f"landmark_{point}_{axis}" for point in range(LANDMARKS) for axis in "xy"))


def columns(
    labels: tuple[str, ...], *, landmarks: bool = False, feature_names: tuple[str, ...] = ()
) -> tuple[str, ...]:
    """Return the column names of every table of faces that mien writes, in their order.

    Parameters
    ----------
    labels : tuple of str
        The labels on the model's card; each has a column of probabilities.
    landmarks : bool
        Whether the points have columns.
    feature_names : tuple of str
        What was asked for besides.

    Examples
    --------
    >>> columns(("happy", "sad"), feature_names=("mouth_openness",))[-4:]
    ('confidence', 'happy', 'sad', 'mouth_openness')
    """
    return (*FRAME_COLUMNS, *_face_columns(labels, landmarks, feature_names))


def _face_columns(labels: tuple[str, ...], landmarks: bool, feature_names: tuple[str, ...]) -> tuple[str, ...]:
    return (*FACE_COLUMNS, *labels, *(LANDMARK_COLUMNS if landmarks else ()), *feature_names)


def _array(value: npt.ArrayLike, dtype: type, shape: tuple[int, ...], name: str) -> npt.NDArray[Any]:
    """Return a read-only copy of the shape that the face count demands; -1 is any length."""
    array: npt.NDArray[Any] = np.array(value, dtype=dtype)
    if array.size == 0 and array.ndim <= 1 and shape[0] == 0:
        array = array.reshape([max(length, 0) for length in shape])
    if array.ndim != len(shape) or any(e not in (-1, a) for e, a in zip(shape, array.shape, strict=True)):
        expected = str(tuple("any" if length < 0 else length for length in shape)).replace("'", "")
        raise OptionError(f"Faces.{name} has shape {array.shape}: expected {expected}, one row for each face")
    array.setflags(write=False)
    return array


def _refuse_no_share(values: FloatArray, name: str, sure: str) -> None:
    wrong = values[~((values >= 0) & (values <= 1))]  # NaN is among them
    if len(wrong):
        raise OptionError(f"Faces.{name} holds {wrong[0]}: expected how sure the {sure} is, from 0 to 1")


@dataclass(frozen=True, eq=False)
class Faces:
    """The faces of one picture as aligned arrays; face ``i`` is row ``i`` of each.

    Every stage takes and returns ``Faces``. The arrays are read-only copies. A detector fills boxes and scores
    (:meth:`detected`), a recognizer adds its answer (:meth:`recognized`), others what was asked for besides
    (:meth:`measured`).

    Parameters
    ----------
    boxes_xyxy : (N, 4) array_like of float32
        Left, top, right, bottom in pixels of the picture; right and bottom are exclusive. Boxes follow mien's
        convention (forehead and brows to chin) whatever detector found them, and may reach outside the picture.
    scores : (N,) array_like of float32
        How sure the detector is, in [0, 1].
    probabilities : (N, K) array_like of float32
        Calibrated probabilities, rows sum to 1; K is 0 before recognition.
    labels : tuple of str
        The K column names of `probabilities`.
    expressions : tuple of str
        Top label of each face, ``"uncertain"`` below the model's threshold, ``""`` before recognition.
    confidences : (N,) array_like of float32
        Top probability of each face; NaN before recognition.
    landmarks : (N, 68, 2) array_like of float32 or None
        x, y in pixels, in iBUG order; NaN where one is missing.
    track_ids : (N,) array_like of int64 or None
        Ids that stay with a person through a stream.
    landmark_confidences : (N,) array_like of float32 or None
        Probability that the landmarks are right, in [0, 1].
    features : (N, F) array_like of float32 or None
        What was measured besides; NaN where it is missing.
    feature_names : tuple of str
        The F column names of `features`.

    Raises
    ------
    OptionError
        If the arrays do not agree on the number of faces, labels or features, a box is not finite, a landmark or
        feature infinite, a score or landmark confidence not in [0, 1], or two columns have one name.

    Examples
    --------
    >>> faces = Faces.detected([[10, 20, 50, 80]], [0.9])
    >>> faces = faces.recognized([[0.8, 0.2]], ("happy", "sad"), uncertain_below=0.5)
    >>> faces.expressions, len(faces), faces.boxes_xywh.tolist()
    (('happy',), 1, [[10.0, 20.0, 40.0, 60.0]])
    """

    boxes_xyxy: FloatArray
    scores: FloatArray
    probabilities: FloatArray
    labels: tuple[str, ...]
    expressions: tuple[str, ...]
    confidences: FloatArray
    landmarks: FloatArray | None = None
    track_ids: IntArray | None = None
    landmark_confidences: FloatArray | None = None
    features: FloatArray | None = None
    feature_names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        boxes = np.asarray(self.boxes_xyxy)
        count = len(boxes) if boxes.ndim else 0

        def put(name: str, value: object) -> None:
            object.__setattr__(self, name, value)

        for name in ("labels", "expressions", "feature_names"):
            put(name, tuple(getattr(self, name)))
        put("boxes_xyxy", _array(self.boxes_xyxy, np.float32, (count, 4), "boxes_xyxy"))
        put("scores", _array(self.scores, np.float32, (count,), "scores"))
        put("probabilities", _array(self.probabilities, np.float32, (count, len(self.labels)), "probabilities"))
        put("confidences", _array(self.confidences, np.float32, (count,), "confidences"))
        optional: dict[str, tuple[type, tuple[int, ...]]] = {
            "landmarks": (np.float32, (count, LANDMARKS, 2)),
            "track_ids": (np.int64, (count,)),
            "landmark_confidences": (np.float32, (count,)),
            "features": (np.float32, (count, len(self.feature_names))),
        }
        for name, (dtype, shape) in optional.items():
            if getattr(self, name) is not None:
                put(name, _array(getattr(self, name), dtype, shape, name))
        self._refuse_wrong_values()

    def _refuse_wrong_values(self) -> None:
        if len(self.expressions) != len(self):
            raise OptionError(f"Faces.expressions has {len(self.expressions)} entries: expected {len(self)}")
        if not np.isfinite(self.boxes_xyxy).all():
            raise OptionError("Faces.boxes_xyxy holds NaN or infinity: expected finite pixels")
        _refuse_no_share(self.scores, "scores", "detector")
        if self.landmark_confidences is not None:
            _refuse_no_share(self.landmark_confidences, "landmark_confidences", "landmark net")
        for name, values in (("landmarks", self.landmarks), ("features", self.features)):
            if values is not None and np.isinf(values).any():
                raise OptionError(f"Faces.{name} holds infinity: expected finite numbers, or NaN for what is missing")
        if self.features is None and self.feature_names:
            raise OptionError(f"Faces.feature_names has {len(self.feature_names)} entries: expected features for them")
        if len(set(self.columns)) < len(self.columns):
            ((name, _),) = Counter(self.columns).most_common(1)
            raise OptionError(f"Faces has several columns {name!r}: expected names that differ")

    @classmethod
    def detected(cls, boxes_xyxy: npt.ArrayLike, scores: npt.ArrayLike) -> Faces:
        """Return faces that have been found but not yet recognized."""
        count = len(np.atleast_1d(boxes_xyxy))
        return cls(
            boxes_xyxy=np.asarray(boxes_xyxy, np.float32),
            scores=np.asarray(scores, np.float32),
            probabilities=np.empty((count, 0), np.float32),
            labels=(),
            expressions=("",) * count,
            confidences=np.full(count, np.nan, np.float32),
        )

    @classmethod
    def empty(cls, labels: tuple[str, ...] = ()) -> Faces:
        """Return no faces, with the columns of `labels`."""
        return replace(cls.detected([], []), probabilities=np.empty((0, len(labels)), np.float32), labels=labels)

    def recognized(
        self, probabilities: npt.ArrayLike, labels: tuple[str, ...], *, uncertain_below: float = 0.0
    ) -> Faces:
        """Return these faces with probabilities and, derived from them, expressions and confidences.

        Parameters
        ----------
        probabilities : (N, K) array_like of float32
            Rows sum to 1.
        labels : tuple of str
            The K column names.
        uncertain_below : float
            A face whose top probability is lower answers ``"uncertain"``.
        """
        table = _array(probabilities, np.float32, (len(self), len(labels)), "probabilities")
        confidences = table.max(axis=1) if len(self) else np.empty(0, np.float32)
        best = table.argmax(axis=1) if len(self) else np.empty(0, np.int64)
        expressions = tuple(
            labels[index] if confidence >= uncertain_below else UNCERTAIN
            for index, confidence in zip(best, confidences, strict=True)
        )
        return replace(self, probabilities=table, labels=labels, expressions=expressions, confidences=confidences)

    def measured(self, names: tuple[str, ...], values: npt.ArrayLike) -> Faces:
        """Return these faces with more features, after those that they have.

        Parameters
        ----------
        names : tuple of str
            F column names.
        values : (N, F) array_like of float32
            NaN where one is missing.

        Examples
        --------
        >>> faces = Faces.detected([[10, 20, 50, 80]], [0.9]).measured(("mouth_openness",), [[0.25]])
        >>> faces.to_dicts()[0]["mouth_openness"]
        0.25
        """
        more = _array(values, np.float32, (len(self), len(names)), "features")
        features = more if self.features is None else np.concatenate([self.features, more], axis=1)
        return replace(self, features=features, feature_names=(*self.feature_names, *names))

    def __len__(self) -> int:
        return len(self.boxes_xyxy)

    def __getitem__(self, index: int | slice | npt.NDArray[Any] | list[int]) -> Faces:
        """Return the chosen faces as ``Faces``; an int gives one face, a mask or list gives several."""
        chosen = np.atleast_1d(np.arange(len(self))[index])
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        rows: dict[str, Any] = {name: value[chosen] for name, value in values.items() if isinstance(value, np.ndarray)}
        return replace(self, expressions=tuple(self.expressions[i] for i in chosen), **rows)

    def __iter__(self) -> Iterator[Faces]:
        return (self[index] for index in range(len(self)))

    def __repr__(self) -> str:
        told = [
            f"{expression} {confidence:.2f}" if expression else "not read"
            for expression, confidence in zip(self.expressions, self.confidences.tolist(), strict=True)
        ]
        return f"<Faces {len(self)}{': ' if told else ''}{', '.join(told)}>"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Faces):
            return NotImplemented
        return all(_same(getattr(self, field.name), getattr(other, field.name)) for field in fields(self))

    __hash__ = None  # type: ignore[assignment]

    @property
    def boxes_xywh(self) -> FloatArray:
        """Left, top, width, height in pixels, (N, 4) float32."""
        return np.concatenate([self.boxes_xyxy[:, :2], self.boxes_xyxy[:, 2:] - self.boxes_xyxy[:, :2]], axis=1)

    def to_dicts(self) -> list[Row]:
        """Return one dict for each face: the face's columns of :func:`columns`, numbers unrounded, NaN for missing."""
        return [self._row(index) for index in range(len(self))]

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns of :meth:`to_dicts`, also where there is no face."""
        return _face_columns(self.labels, self.landmarks is not None, self.feature_names)

    def _row(self, index: int) -> Row:
        track_id = None if self.track_ids is None else int(self.track_ids[index])
        score, confidence = float(self.scores[index]), float(self.confidences[index])
        values = [track_id, index, *self.boxes_xyxy[index].tolist(), score, self.expressions[index], confidence]
        values += self.probabilities[index].tolist()
        if self.landmarks is not None:
            sure = np.nan if self.landmark_confidences is None else float(self.landmark_confidences[index])
            values += [sure, *self.landmarks[index].ravel().tolist()]
        if self.features is not None:
            values += self.features[index].tolist()
        return dict(zip(self.columns, values, strict=True))

    def to_pandas(self) -> pandas.DataFrame:
        """Return the rows of :meth:`to_dicts` as a data frame.

        Raises
        ------
        MissingExtraError
            If pandas is not installed; mien itself never needs it.
        """
        return pandas_if_any().DataFrame(self.to_dicts(), columns=list(self.columns))


def pandas_if_any() -> Any:
    """Return the module pandas where the user has it; mien itself never needs it.

    Raises
    ------
    MissingExtraError
        If it is not installed.
    """
    try:
        import pandas
    except ImportError as error:
        raise MissingExtraError("pandas", "pandas") from error
    return pandas


def _same(first: object, second: object) -> bool:
    if isinstance(first, np.ndarray) and isinstance(second, np.ndarray):
        return bool(np.array_equal(first, second, equal_nan=True))
    # An array compared with None is an array, which has no truth value.
    return first is second or (type(first) is type(second) and bool(first == second))


@dataclass(frozen=True)
class FrameResult:
    """What was found in one frame of a source; a frame without a face is a result too.

    Parameters
    ----------
    source : str
        Path, URL or camera name as it was given.
    frame : int
        Index of the frame in its source, from 0.
    time_s : float
        Presentation time in seconds from the start of the source; 0.0 for a still picture.
    image : (H, W, 3) ndarray of uint8 or None
        The frame, RGB, upright; None where pictures were not asked for.
    faces : Faces
        The faces of this frame, possibly none.
    """

    source: str
    frame: int
    time_s: float
    image: ByteArray | None
    faces: Faces

    def __repr__(self) -> str:
        size = "no image" if self.image is None else f"{self.image.shape[1]}x{self.image.shape[0]}"
        return f"<FrameResult {self.source!r} frame {self.frame} at {self.time_s:.3f} s, {size}, {self.faces}>"

    def to_dicts(self) -> list[Row]:
        """Return the flat rows of this frame: one for each face, or one with empty face columns (None)."""
        start = dict(zip(FRAME_COLUMNS, (self.source, self.frame, self.time_s), strict=True))
        if len(self.faces):
            return [start | row for row in self.faces.to_dicts()]
        return [start | dict.fromkeys(self.faces.columns)]
