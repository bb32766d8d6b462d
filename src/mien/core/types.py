"""The two values that pass through every stage: the faces of one picture, and the result of one frame."""

from __future__ import annotations

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


def columns(labels: tuple[str, ...]) -> tuple[str, ...]:
    """Return the column names of every table that mien writes, in their order.

    Parameters
    ----------
    labels : tuple of str
        The labels on the model's card; each has a column of probabilities.

    Examples
    --------
    >>> columns(("happy", "sad"))[-4:]
    ('expression', 'confidence', 'happy', 'sad')
    """
    return (*FRAME_COLUMNS, *FACE_COLUMNS, *labels)


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


@dataclass(frozen=True, eq=False)
class Faces:
    """The faces of one picture as aligned arrays; face ``i`` is row ``i`` of each.

    Every stage takes and returns ``Faces``. The arrays are read-only copies. A detector fills boxes and scores
    (:meth:`detected`), a recognizer adds the rest (:meth:`recognized`).

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
        x, y in pixels, in iBUG order.
    track_ids : (N,) array_like of int64 or None
        Ids that stay with a person through a stream.

    Raises
    ------
    OptionError
        If the arrays do not agree on the number of faces or labels, a box is not finite, or a score not in [0, 1].

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

    def __post_init__(self) -> None:
        boxes = np.asarray(self.boxes_xyxy)
        count = len(boxes) if boxes.ndim else 0

        def put(name: str, value: object) -> None:
            object.__setattr__(self, name, value)

        put("labels", tuple(self.labels))
        put("expressions", tuple(self.expressions))
        put("boxes_xyxy", _array(self.boxes_xyxy, np.float32, (count, 4), "boxes_xyxy"))
        put("scores", _array(self.scores, np.float32, (count,), "scores"))
        put("probabilities", _array(self.probabilities, np.float32, (count, len(self.labels)), "probabilities"))
        put("confidences", _array(self.confidences, np.float32, (count,), "confidences"))
        if self.landmarks is not None:
            put("landmarks", _array(self.landmarks, np.float32, (count, 68, 2), "landmarks"))
        if self.track_ids is not None:
            put("track_ids", _array(self.track_ids, np.int64, (count,), "track_ids"))
        if len(self.expressions) != count:
            raise OptionError(f"Faces.expressions has {len(self.expressions)} entries: expected {count}")
        if not np.isfinite(self.boxes_xyxy).all():
            raise OptionError("Faces.boxes_xyxy holds NaN or infinity: expected finite pixels")
        wrong = self.scores[~((self.scores >= 0) & (self.scores <= 1))]  # NaN is among them
        if len(wrong):
            raise OptionError(f"Faces.scores holds {wrong[0]}: expected how sure the detector is, from 0 to 1")

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

    def __len__(self) -> int:
        return len(self.boxes_xyxy)

    def __getitem__(self, index: int | slice | npt.NDArray[Any] | list[int]) -> Faces:
        """Return the chosen faces as ``Faces``; an int gives one face, a mask or list gives several."""
        chosen = np.atleast_1d(np.arange(len(self))[index])
        return replace(
            self,
            boxes_xyxy=self.boxes_xyxy[chosen],
            scores=self.scores[chosen],
            probabilities=self.probabilities[chosen],
            expressions=tuple(self.expressions[i] for i in chosen),
            confidences=self.confidences[chosen],
            landmarks=None if self.landmarks is None else self.landmarks[chosen],
            track_ids=None if self.track_ids is None else self.track_ids[chosen],
        )

    def __iter__(self) -> Iterator[Faces]:
        return (self[index] for index in range(len(self)))

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
        """Return one dict for each face: the face's columns of :func:`columns`, numbers unrounded."""
        return [self._row(index) for index in range(len(self))]

    def _row(self, index: int) -> Row:
        track_id = None if self.track_ids is None else int(self.track_ids[index])
        box = (float(value) for value in self.boxes_xyxy[index])
        score, confidence = float(self.scores[index]), float(self.confidences[index])
        values = (track_id, index, *box, score, self.expressions[index], confidence)
        probabilities = (float(value) for value in self.probabilities[index])
        return dict(zip((*FACE_COLUMNS, *self.labels), (*values, *probabilities), strict=True))

    def to_pandas(self) -> pandas.DataFrame:
        """Return the rows of :meth:`to_dicts` as a data frame.

        Raises
        ------
        MissingExtraError
            If pandas is not installed; mien itself never needs it.
        """
        return pandas_if_any().DataFrame(self.to_dicts(), columns=[*FACE_COLUMNS, *self.labels])


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

    def to_dicts(self) -> list[Row]:
        """Return the flat rows of this frame: one for each face, or one with empty face columns (None)."""
        start = dict(zip(FRAME_COLUMNS, (self.source, self.frame, self.time_s), strict=True))
        if len(self.faces):
            return [start | row for row in self.faces.to_dicts()]
        return [start | dict.fromkeys((*FACE_COLUMNS, *self.faces.labels))]
