"""The classes ``FER`` and ``Video`` of the package ``fer``."""
# ruff: noqa: A002, ARG002  # arguments without a meaning here are taken, since the calls that exist give them

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypedDict

import numpy as np
import numpy.typing as npt

from mien.compat.reading import Picture, expressions, find, log, read_any, rectangles, top, warn_of_ignored
from mien.core.errors import MediaError, OptionError
from mien.core.preprocess import boxes_around
from mien.core.types import ByteArray, FloatArray, Row, pandas_if_any
from mien.engine.results.writer import write_whole
from mien.engine.video import frames, probe

if TYPE_CHECKING:
    import pandas


class DetectedFace(TypedDict):
    """A face: ``[x, y, w, h]`` in whole pixels, and label -> 0 to 1, rounded to two places."""

    box: list[int]
    emotions: dict[str, float]


class FER:
    """Finds faces and reads their expressions.

    Parameters
    ----------
    cascade_file, tfserving, emotion_model, scale_factor, min_neighbors, offsets
        Ignored, with one warning.
    mtcnn, use_tflite, compile
        Ignored.
    min_face_size : int, optional
        Least height of a face in pixels; by default all are kept that are found, from 16 px on.

    Examples
    --------
    >>> from skimage.data import astronaut
    >>> label, score = FER(mtcnn=True).top_emotion(astronaut()[..., ::-1])
    >>> label
    'happy'
    """

    def __init__(
        self,
        cascade_file: str | None = None,
        mtcnn: bool = False,
        *,
        tfserving: bool = False,
        use_tflite: bool = True,
        emotion_model: str | None = None,
        scale_factor: float | None = None,
        min_face_size: int | None = None,
        min_neighbors: int | None = None,
        offsets: tuple[int, int] | None = None,
        compile: bool = False,
    ) -> None:
        warn_of_ignored(
            "FER",
            cascade_file=cascade_file,
            tfserving=tfserving,
            emotion_model=emotion_model,
            scale_factor=scale_factor,
            min_neighbors=min_neighbors,
            offsets=offsets,
        )
        self._least_px = min_face_size or 0

    def find_faces(self, img: Picture, bgr: bool = True) -> list[list[int]]:
        """Return ``[x, y, w, h]`` of each face, the largest first.

        Parameters
        ----------
        img : path, URL, base64 string, file or ndarray
            An array is gray or BGR.
        bgr : bool
            False where an array is RGB.
        """
        picture = read_any(img, color="bgr" if bgr else "rgb")
        return rectangles(self._boxes(picture), picture)

    def detect_emotions(self, img: Picture, face_rectangles: npt.ArrayLike | None = None) -> list[DetectedFace]:
        """Return box and emotions of each face, the largest first.

        Parameters
        ----------
        img : path, URL, base64 string, file or ndarray
            An array is gray or BGR.
        face_rectangles : sequence of (x, y, w, h) or (N, 4) ndarray, optional
            Where the faces are, in the order in which they are answered. A square is taken as a Haar cascade frames a
            face, anything else as from forehead to chin. Empty ones and those outside the picture are left out, with a
            warning.

        Raises
        ------
        PictureError
            If the picture cannot be read.
        OptionError
            If it is none of these, or the rectangles are none.
        """
        picture = read_any(img)
        if face_rectangles is None:
            boxes = self._boxes(picture)
            places = rectangles(boxes, picture)
        else:
            given = _seen(face_rectangles, picture)
            boxes, places = _boxes_of(given), given.round().astype(int).tolist()
        return [
            {"box": place, "emotions": {label: round(value, 2) for label, value in probabilities.items()}}
            for place, probabilities in zip(places, expressions(picture, boxes), strict=True)
        ]

    def batch_detect_emotions(self, imgs: Sequence[Picture]) -> list[list[DetectedFace]]:
        """Return :meth:`detect_emotions` of each picture."""
        return [self.detect_emotions(img) for img in imgs]

    def top_emotion(self, img: Picture) -> tuple[str, float] | tuple[None, None]:
        """Return the largest face's emotion with the highest score, and that score; ``(None, None)`` without a face."""
        faces = self.detect_emotions(img)
        if not faces:
            return None, None
        emotions = faces[0]["emotions"]
        return top(emotions), emotions[top(emotions)]

    def _boxes(self, picture: ByteArray) -> FloatArray:
        faces = find(picture)
        return faces.boxes_xyxy[faces.boxes_xywh[:, 3] >= self._least_px]


class EmotionDetector(Protocol):
    """What :meth:`Video.analyze` needs: a :class:`FER`, or anything that answers as it does."""

    def detect_emotions(self, img: ByteArray) -> list[DetectedFace]:
        """Return box and emotions of each face of a BGR picture."""


class Video:
    """Reads the expressions in a video; writes nothing but what :meth:`to_csv` is asked to.

    Parameters
    ----------
    video_file : path_like
    outdir, tempfile
        Ignored, with one warning.
    first_face_only : bool
        Whether :meth:`to_pandas` keeps only the first face of each frame.

    Raises
    ------
    MediaError
        If the file is missing or cannot be read.
    """

    def __init__(
        self,
        video_file: str | Path,
        outdir: str | None = None,
        first_face_only: bool = True,
        tempfile: str | None = None,
    ) -> None:
        warn_of_ignored("Video", outdir=outdir, tempfile=tempfile)
        self._source = probe(video_file).name
        self.first_face_only = first_face_only

    def analyze(
        self,
        detector: EmotionDetector,
        display: bool = False,
        output: str = "csv",
        frequency: int | None = None,
        max_results: int | None = None,
        save_fps: float | None = None,
        video_id: str | None = None,
        save_frames: bool = False,
        save_video: bool = False,
        annotate_frames: bool = True,
        zip_images: bool = True,
        detection_box: Mapping[str, int] | None = None,
        lang: str = "en",
        include_audio: bool = False,
        size_multiplier: int = 1,
        batch_size: int = 1,
        use_async_io: bool = True,
    ) -> Any:
        """Return a row for each frame that has a face.

        Parameters
        ----------
        detector : FER
        display
            Ignored, with one warning: no window is opened.
        output : {"csv", "pandas"}
            ``"csv"`` gives the rows as dicts, ``"pandas"`` what :meth:`to_pandas` makes of them.
        frequency : int, optional
            Of so many frames one is read.
        max_results : int, optional
            At most so many frames are read.
        save_fps : float, optional
            So many frames of a second are read; `frequency` is not looked at then.
        save_frames, save_video, include_audio : bool
            Refused where they are true: ``mien analyze --annotate`` writes pictures and videos.
        detection_box : dict, optional
            ``x_min``, ``x_max``, ``y_min``, ``y_max`` in pixels: the part of the frame in which faces are searched.
        video_id, annotate_frames, zip_images, lang, size_multiplier, batch_size, use_async_io
            Ignored: they are about files that are not written.

        Returns
        -------
        list of dict, or pandas.DataFrame
            ``box0``, then ``angry0`` to ``neutral0``, then ``box1`` and so on.

        Raises
        ------
        OptionError
            If an option is refused.
        MediaError
            If the video breaks off before there is a row; later, it ends there with a warning.
        """
        if save_frames or save_video or include_audio:
            raise OptionError(
                "save_frames, save_video and include_audio are not offered: leave them out; for a video with boxes run "
                f"mien analyze {self._source} --annotate FILE.mp4"
            )
        if output not in ("csv", "pandas"):
            raise OptionError(f"output is {output!r}: expected 'csv' (a list of dicts) or 'pandas'")
        warn_of_ignored("Video.analyze", display=display)
        step = 1 if save_fps else int(frequency or 1)
        area = detection_box or {}
        left, top_px = area.get("x_min", 0), area.get("y_min", 0)
        part = slice(top_px, area.get("y_max")), slice(left, area.get("x_max"))
        rows: list[Row] = []
        try:
            with closing(frames(self._source, every_s=1 / save_fps if save_fps else 0.0)) as stream:
                for frame in islice((frame for frame in stream if frame.index % step == 0), max_results or None):
                    if faces := detector.detect_emotions(np.ascontiguousarray(frame.image[part][..., ::-1])):
                        rows.append(_row(faces, left, top_px))
        except MediaError as error:
            if not rows:
                raise
            log.warning("%s", error)
        return self.to_pandas(rows) if output == "pandas" else rows

    def to_pandas(self, data: list[Row] | pandas.DataFrame) -> pandas.DataFrame:
        """Return rows as a data frame; of the first face only, unless the video was opened otherwise.

        Raises
        ------
        MissingExtraError
            If pandas is not installed; mien itself never needs it.
        """
        pandas = pandas_if_any()
        if isinstance(data, pandas.DataFrame):
            return data
        frame = pandas.DataFrame(data)
        return self.get_first_face(frame) if self.first_face_only else frame

    @staticmethod
    def get_first_face(df: pandas.DataFrame) -> pandas.DataFrame:
        """Return the columns of the first face, without their number; a frame of one face is returned as it is."""
        first = {name: name[:-1] for name in df.columns if re.fullmatch(r"\D+0", name)}
        return df[list(first)].rename(columns=first) if first else df

    @staticmethod
    def get_emotions(df: pandas.DataFrame) -> pandas.DataFrame:
        """Return the columns that hold no box."""
        return df[[name for name in df.columns if "box" not in name]]

    @staticmethod
    def to_csv(data: list[Row], filename: str | Path = "data.csv") -> list[Row]:
        """Write rows as CSV, and return them.

        Raises
        ------
        OutputError
            If the file cannot be written.
        """
        text = io.StringIO()
        table = csv.DictWriter(text, max(data, key=len, default={}), lineterminator="\n")
        table.writeheader()
        table.writerows(data)
        write_whole(Path(filename), text.getvalue())
        return data


def _seen(face_rectangles: npt.ArrayLike, picture: ByteArray) -> FloatArray:
    """Return the rectangles that show something of the picture, (N, 4)."""
    try:
        given = np.asarray(face_rectangles, np.float32).reshape(-1, 4)
    except (TypeError, ValueError) as error:
        raise OptionError(f"face_rectangles is {face_rectangles!r}: expected (x, y, w, h) for each face") from error
    start_xy, sides = given[:, :2], given[:, 2:]
    is_seen = ((sides > 0) & (start_xy < picture.shape[1::-1]) & (start_xy + sides > 0)).all(axis=1)
    if not is_seen.all():
        log.warning("%d of face_rectangles are empty or outside the picture: left out", np.count_nonzero(~is_seen))
    return given[is_seen]


def _boxes_of(rectangles_xywh: FloatArray) -> FloatArray:
    """Return boxes of mien's convention; FER2013's frame is the square of the Haar cascade that cut it."""
    start_xy, sides = rectangles_xywh[:, :2], rectangles_xywh[:, 2:]
    of_squares = boxes_around(np.concatenate([start_xy + sides / 2, sides[:, :1]], axis=1))
    as_given = np.concatenate([start_xy, start_xy + sides], axis=1)
    return np.where(sides[:, :1] == sides[:, 1:], of_squares, as_given)


def _row(faces: list[DetectedFace], left: int, top_px: int) -> Row:
    row: Row = {}
    for index, face in enumerate(faces):
        x, y, width, height = face["box"]
        row[f"box{index}"] = [x + left, y + top_px, width, height]
        row |= {f"{label}{index}": score for label, score in face["emotions"].items()}
    return row
