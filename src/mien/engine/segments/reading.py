"""Parts of a video, how they are read, and what is kept of them."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import astuple, dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

import mien
from mien.core.types import Faces, FrameResult
from mien.engine.measuring import NOTHING, Asked
from mien.engine.pipeline import stream
from mien.engine.recognizer import Recognizer
from mien.engine.results.writer import whole_file
from mien.engine.video import Frame, frames, timeline
from mien.face.landmarks import load_landmarker

SEGMENT_S = 60.0
WARM_UP_S = 5.0
KEPT = ("boxes_xyxy", "scores", "probabilities", "track_ids", "landmarks", "landmark_confidences", "features")


@dataclass(frozen=True)
class Segment:
    """A part of a video, in seconds; its end is left out.

    Parameters
    ----------
    number : int
        From 0.
    start_s, end_s : float
    enter_s : float
        Where reading begins.
    seam_s : float
        Where that of the next one begins.
    """

    number: int
    start_s: float
    end_s: float
    enter_s: float
    seam_s: float


@dataclass(frozen=True)
class Reading:
    """What is read of a video, and by what: all that its results depend on.

    Parameters
    ----------
    source : str
        Path of a video file.
    model, detector : str
        As :func:`mien.stream` takes them.
    smoothing_s, start_s, end_s, every_s : float
        Likewise.
    asked : Asked
        What is measured besides. A baseline belongs to the whole video: segments are read without.
    """

    source: str
    model: str
    detector: str
    smoothing_s: float
    start_s: float
    end_s: float
    every_s: float
    asked: Asked = NOTHING

    def key(self, recognizer: Recognizer) -> str:
        """Return a name for this very reading: of this file as it is now, with these options and weights."""
        state = Path(self.source).stat()
        file = (str(Path(self.source).resolve()), state.st_size, state.st_mtime_ns)
        weights = (recognizer.model.sha256, load_landmarker().sha256 if self.asked.needs_landmarks else "")
        parts = (*astuple(self), *file, *weights, mien.__version__)
        return hashlib.sha256(repr(parts).encode("utf-8", "backslashreplace")).hexdigest()[:16]

    def segments(self) -> list[Segment]:
        """Return the parts in which it is read; none where it is short, or cannot be entered in the middle."""
        line = timeline(self.source)
        if line is None:
            return []
        end_s = min(self.end_s, line.length_s)
        count = math.ceil((end_s - self.start_s) / SEGMENT_S)
        if count < 2:
            return []
        edges = [self.start_s + number * SEGMENT_S for number in range(count)] + [self.end_s]
        return [
            Segment(number, start, end, self._entry(start), self._entry(end))
            for number, (start, end) in enumerate(pairwise(edges))
        ]

    def _entry(self, start_s: float) -> float:
        """Return where to enter for a segment: on the grid on which frames are chosen."""
        enter_s = max(self.start_s, start_s - WARM_UP_S)
        if not self.every_s or math.isinf(start_s):
            return enter_s
        return self.start_s + self.every_s * math.floor((enter_s - self.start_s) / self.every_s)

    def results(self, segment: Segment, recognizer: Recognizer) -> Generator[FrameResult, None, None]:
        """Read a segment."""
        return stream(
            self.source,
            detector=self.detector,
            model=recognizer,
            smoothing_s=self.smoothing_s,
            landmarks=self.asked.needs_landmarks,
            features=self.asked.features,
            why=self.asked.why,
            start_s=segment.enter_s,
            end_s=segment.end_s,
            every_s=self.every_s,
        )

    def pictures(self, segment: Segment) -> Generator[Frame, None, None]:
        """Read the pictures of a segment alone."""
        return frames(self.source, start_s=segment.enter_s, end_s=segment.end_s, every_s=self.every_s)


class Record:
    """The results of the frames of a segment, as arrays in one file; pictures are left out.

    Parameters
    ----------
    path : Path
        ``.npz``; there once the segment is whole.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def kept(self, results: Generator[FrameResult, None, None]) -> Generator[FrameResult, None, None]:
        """Yield results as they come, and keep them when all have come."""
        frame, time_s, faces = [], [], []
        with closing(results):
            for result in results:
                frame.append(result.frame)
                time_s.append(result.time_s)
                faces.append(result.faces)
                yield result
        columns = {name: [value for one in faces if (value := getattr(one, name)) is not None] for name in KEPT}
        arrays: dict[str, Any] = {name: np.concatenate(values) for name, values in columns.items() if values}
        with whole_file(self.path) as partial, partial.open("wb") as file:
            np.savez_compressed(
                file,
                frame=np.array(frame, np.int64),
                time_s=np.array(time_s, np.float64),
                end=np.cumsum([len(one) for one in faces], dtype=np.int64),
                feature_names=np.array(faces[0].feature_names if faces else (), np.str_),
                **arrays,
            )

    def results(self, source: str, recognizer: Recognizer) -> Iterator[FrameResult]:
        """Yield what was kept."""
        with np.load(self.path) as kept:
            arrays = dict(kept)
        names = tuple(arrays["feature_names"].tolist())
        for row, (start, end) in enumerate(pairwise([0, *arrays["end"].tolist()])):
            values = {name: arrays[name][start:end] for name in KEPT if name in arrays}
            answers = values.pop("probabilities")
            found = Faces.detected(values.pop("boxes_xyxy"), values.pop("scores"))
            faces = recognizer.answer(replace(found, feature_names=names, **values), answers)
            yield FrameResult(source, int(arrays["frame"][row]), float(arrays["time_s"][row]), None, faces)
