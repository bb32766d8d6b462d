"""From a frame to its result, and the calls that most people need: analyze, analyze_many, stream, watch, explain."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterable
from contextlib import closing
from functools import lru_cache
from itertools import accumulate
from math import inf, isfinite
from os import PathLike, fspath
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from mien.core import preprocess
from mien.core.errors import MediaError, OptionError
from mien.core.types import ByteArray, Faces, FrameResult
from mien.engine.cuts import CutFinder
from mien.engine.explain import Explanation, explain_face
from mien.engine.finding import Finder
from mien.engine.measuring import Asked, Measurer
from mien.engine.recognizer import Recognizer, load, model_path
from mien.engine.threads import Ahead
from mien.engine.tracking import Smoother, Tracker, load_tracker
from mien.engine.video import expand, frames, probe, read_picture
from mien.engine.video.sources import RECONNECT_S, TIMEOUT_S, without_secrets
from mien.face.detectors import Detector, detect, load_detector

Picture: TypeAlias = Any  # path, PIL image, or array: PIL is not imported to say so
STILL_KINDS = ("picture", "pages")

log = logging.getLogger("mien")


class Pipeline:
    """Reads the frames of one stream: finds faces, follows them, reads their expressions, smooths them in time.

    All faces of a frame go through the net in one batch.

    Parameters
    ----------
    detector : str or Detector
        Name as ``mien models`` lists them, or an object with ``detect(image_rgb) -> (boxes_xyxy, scores)``.
    recognizer : str, path_like or Recognizer
        Name or path as :func:`mien.load` takes it, or what it returned.
    tracker : {"default"}, Tracker or None
        What gives ids. None takes each frame for itself: no ids, no smoothing, the whole picture searched for faces;
        with ids, that is done on a schedule and when a face is lost (:class:`mien.engine.finding.Finder`).
    smoothing_s : float
        Half-life of past answers in seconds; 0 turns smoothing off.
    landmarks : bool
        Locate 68 points of each face, steadied in time.
    features : bool
        Measure geometry, motion and texture of each face (:data:`mien.engine.features.FEATURE_NAMES`); needs
        ``mien[analysis]``.
    why : bool
        Tell the part of each region in the answer (:data:`mien.engine.explain.WHY_NAMES`), anew every half second.
    baseline_s : float
        Seconds of each person's resting face, by which the answers are corrected and geometry is told
        (:class:`mien.engine.baseline.Baseline`); 0 is none.

    Examples
    --------
    >>> import numpy as np
    >>> pipeline = Pipeline()
    >>> result = pipeline(np.zeros((120, 160, 3), np.uint8), 0.0)
    >>> len(result.faces), result.faces.labels[3]
    (0, 'happy')
    """

    def __init__(
        self,
        *,
        detector: str | Detector = "auto",
        recognizer: str | Path | Recognizer = "default",
        tracker: str | Tracker | None = "default",
        smoothing_s: float = 0.3,
        landmarks: bool = False,
        features: bool = False,
        why: bool = False,
        baseline_s: float = 0.0,
    ) -> None:
        self.detector = load_detector(detector)
        self.recognizer = _recognizer(recognizer)
        self._tracker = load_tracker(tracker)
        self._smoother = Smoother(smoothing_s)
        self._measurer = Measurer(Asked(landmarks, features, why, baseline_s), self.recognizer)
        self._finder, self._cuts = Finder(self.detector), CutFinder()
        self._frame, self._time_s = -1, -inf

    def __call__(self, picture: Picture, time_s: float, *, source: str = "", frame: int | None = None) -> FrameResult:
        """Read the next frame.

        Parameters
        ----------
        picture : (H, W, 3) ndarray of uint8
            RGB; whatever else :func:`mien.analyze` takes is taken too.
        time_s : float
            Time of the frame in seconds; where it goes back, ids and smoothing begin anew.
        source : str
            What the result is to name as its source.
        frame : int, optional
            Number of the frame in its source; by default frames are counted from 0.

        Returns
        -------
        FrameResult
        """
        _refuse_wrong_time(time_s)
        image = _picture(picture, "rgb")
        faces = detect(self.detector, image) if self._tracker is None else self._found(image, time_s, self._tracker)
        faces = self._measurer.locate(image, faces, time_s)
        crops = preprocess.crops(image, faces.boxes_xyxy, self.recognizer.card.input_size)
        probabilities = self._smoother.update(faces, self.recognizer.probabilities(crops), time_s)
        faces = self._measurer.measure(image, self.recognizer.answer(faces, probabilities), time_s, source)
        self._frame = self._frame + 1 if frame is None else frame
        return FrameResult(source, self._frame, time_s, image, faces)

    def _found(self, image: ByteArray, time_s: float, tracker: Tracker) -> Faces:
        """Return the faces of a frame with their ids; another scene has other ids."""
        is_back, self._time_s = time_s < self._time_s, time_s
        if self._cuts.is_cut(image) or is_back:
            self._finder.cut()
            tracker.cut()
            self._smoother.cut()
            self._measurer.cut()
        return tracker.update(self._finder.find(image, time_s), time_s)


def analyze(
    image: Picture,
    *,
    detector: str | Detector = "auto",
    model: str | Path | Recognizer = "default",
    color: str = "rgb",
    landmarks: bool = False,
    features: bool = False,
    why: bool = False,
) -> Faces:
    """Read the expressions in one picture.

    Parameters
    ----------
    image : path_like, PIL image or ndarray
        A picture file; or (H, W), (H, W, 3) or (H, W, 4) uint8, uint16 or bool.
    detector : str or Detector
        Name as ``mien models`` lists them, or an object with ``detect(image_rgb) -> (boxes_xyxy, scores)``.
    model : str, path_like or Recognizer
        As :func:`mien.load` takes it, or what it returned.
    color : {"rgb", "bgr"}
        Order of the channels of an array; OpenCV reads BGR.
    landmarks, features, why : bool
        As :class:`Pipeline` takes them. Motion is missing: one picture has none.

    Returns
    -------
    Faces
        The surest detection first.

    Raises
    ------
    MediaError
        If a file or PIL image is no picture that can be read.
    OptionError
        If an array or option is not as described.
    ModelError
        If there is no such model.

    Examples
    --------
    >>> from skimage.data import astronaut
    >>> faces = analyze(astronaut())
    >>> faces.expressions
    ('happy',)
    """
    options = {"landmarks": landmarks, "features": features, "why": why}
    return analyze_many([image], detector=detector, model=model, color=color, **options)[0]


def analyze_many(
    images: Iterable[Picture],
    *,
    detector: str | Detector = "auto",
    model: str | Path | Recognizer = "default",
    color: str = "rgb",
    landmarks: bool = False,
    features: bool = False,
    why: bool = False,
) -> list[Faces]:
    """Read the expressions in several pictures; the faces of all of them go through the net in batches.

    Parameters are those of :func:`analyze`; pictures are read one at a time, only crops are kept. Where more than
    expressions is asked for, there is a batch for each picture.

    Returns
    -------
    list of Faces
        One for each picture, in order.
    """
    if isinstance(images, (str, PathLike)) or not isinstance(images, Iterable):
        raise OptionError(f"images is a {type(images).__name__}: expected several pictures; mien.analyze reads one")
    finder, recognizer = load_detector(detector), _recognizer(model)
    if landmarks or features or why:
        asked = {"landmarks": landmarks, "features": features, "why": why}
        pipeline = Pipeline(detector=finder, recognizer=recognizer, tracker=None, **asked)
        return [pipeline(_picture(image, color), 0.0).faces for image in images]
    found: list[Faces] = []
    crops: list[ByteArray] = []
    for image in images:
        picture = _picture(image, color)
        found.append(detect(finder, picture))
        crops.extend(preprocess.crops(picture, found[-1].boxes_xyxy, recognizer.card.input_size))
    probabilities = recognizer.probabilities(crops)
    ends = accumulate(len(faces) for faces in found)
    return [
        recognizer.answer(faces, probabilities[end - len(faces) : end]) for faces, end in zip(found, ends, strict=True)
    ]


def stream(
    source: str | Path,
    *,
    detector: str | Detector = "auto",
    model: str | Path | Recognizer = "default",
    tracker: str | Tracker | None = "default",
    smoothing_s: float = 0.3,
    landmarks: bool = False,
    features: bool = False,
    why: bool = False,
    baseline_s: float = 0.0,
    timeout_s: float = TIMEOUT_S,
    reconnect_s: float = RECONNECT_S,
    start_s: float = 0.0,
    end_s: float = inf,
    every_s: float = 0.0,
) -> Generator[FrameResult, None, None]:
    """Read the expressions in a video, camera, URL, picture or folder, frame by frame, as they come.

    Frames are read in a thread of their own. Those of a camera or a live URL that there is no time for are dropped, and
    told in the log at the end; those of files never are. To end a stream at once, close it (``contextlib.closing``).

    Parameters
    ----------
    source : str or path_like
        Path of a file or folder, URL (http, rtsp ...), or ``"camera:0"``.
    detector, model, tracker, smoothing_s, landmarks, features, why, baseline_s
        As :class:`Pipeline` takes them. Still pictures have neither ids nor smoothing, motion nor baseline.
    timeout_s : float
        For a URL: seconds to wait for an answer, at the opening and at each frame.
    reconnect_s : float
        For a camera or a live URL: seconds for which it may be gone once frames came; 0 ends with the first failure.
    start_s, end_s : float
        Part of each video that is read, in seconds; its end is left out.
    every_s : float
        Read a frame at most this often; 0 reads all.

    Yields
    ------
    FrameResult
        One for each frame, also where there is no face; of a folder, file after file by name. `frame` is the number of
        the frame in its source, whatever was left out before.

    Raises
    ------
    MediaError
        If a source cannot be read, or a video breaks off: after what came before has been yielded.
    """
    if not isinstance(source, (str, PathLike)):
        raise OptionError(f"source is a {type(source).__name__}: expected a path, a URL or 'camera:0'")
    if source == "":  # which would be the current folder
        raise OptionError("source is an empty string: expected a path, a URL or 'camera:0'")
    finder, recognizer = load_detector(detector), _recognizer(model)
    asked: dict[str, Any] = {"landmarks": landmarks, "features": features, "why": why, "baseline_s": baseline_s}
    for name in expand(source):
        follow = load_tracker(None if probe(name).kind in STILL_KINDS else tracker)
        if follow is not None:
            follow.cut()  # one that was given may have followed another film before
        pipeline = Pipeline(detector=finder, recognizer=recognizer, tracker=follow, smoothing_s=smoothing_s, **asked)
        read = frames(name, timeout_s=timeout_s, reconnect_s=reconnect_s, start_s=start_s, end_s=end_s, every_s=every_s)
        with closing(Ahead(read, may_drop=lambda frame: frame.is_live)) as ahead:
            try:
                for frame in ahead:
                    yield pipeline(frame.image, frame.time_s, source=without_secrets(name), frame=frame.index)
            finally:
                if ahead.dropped:
                    log.warning("%s: %d frames were left out to keep up", without_secrets(name), ahead.dropped)


def watch(source: str | Path, function: Callable[[FrameResult], object], **options: Any) -> int:
    """Call a function with the result of each frame of a stream, and return how many there were.

    Parameters
    ----------
    source : str or path_like
        As :func:`stream` takes it.
    function : callable
        If it raises, the stream is closed within two seconds and what it raised goes on.
    **options
        As :func:`stream` takes them.

    Returns
    -------
    int
        Frames read.
    """
    count = 0
    with closing(stream(source, **options)) as results:
        for result in results:
            function(result)
            count += 1
    return count


def explain(
    picture: Picture, face: Faces, *, model: str | Path | Recognizer = "default", color: str = "rgb"
) -> Explanation:
    """Tell which part of a face made the answer; the saliency map takes 100 answers of the net, about 0.4 s.

    Parameters
    ----------
    picture : path_like, PIL image or ndarray
        As :func:`analyze` takes it.
    face : Faces
        One face of it, for example ``faces[0]``.
    model : str, path_like or Recognizer
        As :func:`mien.load` takes it, or what it returned.
    color : {"rgb", "bgr"}
        Order of the channels of an array; OpenCV reads BGR.

    Returns
    -------
    Explanation
        Shares of brows, eyes, nose, mouth and elsewhere, and a saliency map.
    """
    return explain_face(_picture(picture, color), face, _recognizer(model))


def _refuse_wrong_time(time_s: float) -> None:
    try:
        is_time = isfinite(time_s)
    except TypeError:
        is_time = False
    if not is_time:
        raise OptionError(f"time_s is {time_s!r}: expected the time of the frame in seconds")


def _picture(image: Picture, color: str) -> ByteArray:
    if isinstance(image, str) and not image:
        raise OptionError("picture is an empty string: expected a path, a PIL image or a numpy array")
    if isinstance(image, (str, PathLike)):
        return read_picture(fspath(image))
    if isinstance(image, np.ndarray):
        return preprocess.as_rgb(image, color=color)
    if type(image).__module__.startswith("PIL."):
        return preprocess.as_rgb(_pil_pixels(image))
    raise OptionError(f"picture is a {type(image).__name__}: expected a path, a PIL image or a numpy array")


def _pil_pixels(image: Any) -> np.ndarray[Any, Any]:
    from PIL import ImageOps

    try:
        upright = ImageOps.exif_transpose(image)
        # Of more than 8 bits, convert would cut off all that is brighter than 255.
        return np.asarray(upright, np.uint16) if upright.mode.startswith("I") else np.asarray(upright.convert("RGB"))
    except Exception as error:  # PIL decodes only here, and each format fails in its own way
        raise MediaError(f"PIL image cannot be read ({error}): expected one that is whole and open") from error


def _recognizer(model: str | Path | Recognizer) -> Recognizer:
    if isinstance(model, Recognizer):
        return model
    if not isinstance(model, (str, PathLike)):
        raise OptionError(f"model is a {type(model).__name__}: expected a name, a path or what mien.load returns")
    path = model_path(model)
    return _loaded(path, path.stat().st_mtime_ns)


@lru_cache(maxsize=4)
def _loaded(path: Path, _modified_ns: int) -> Recognizer:
    # One call for each picture is how people write loops: opening the net takes longer than reading a face.
    return load(path)
