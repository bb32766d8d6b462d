"""The net that labels faces with points: the mesh net of MediaPipe's face landmarker, run by OpenCV."""

from __future__ import annotations

import hashlib
import json
import math
import zipfile
from collections.abc import Generator, Iterator
from functools import partial
from pathlib import Path
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from mien.core.errors import ModelError, OptionError
from mien.core.types import BoolArray, ByteArray, FloatArray
from mien.engine.processes import side_by_side
from mien.engine.results.writer import whole_file, write_whole

DoubleArray: TypeAlias = npt.NDArray[np.float64]

NET_NAME = "face_landmarks_detector.tflite"
MESH_NAME, PRESENCE_NAME = "Identity", "Identity_1"
SIDE = 256  # pixels of its input
BORDERS = (0.25, 0.12, 0.45)  # shares of the frame added around it, tried until a face is found
PART = 1000  # faces in one file of labels
MADE_OF_NAME = "made_of.json"
REACH = 1.5  # side of the second look, in sides of the mesh, as MediaPipe's own tracking frames a face
RIGHT_CORNER, LEFT_CORNER = 33, 263  # vertices at the outer corners of the eyes

_RIGHT_JAW = ((127,), (234,), (93,), (132, 58), (58, 172), (136,), (150,), (176,))
_LEFT_JAW = ((400,), (379,), (365,), (397, 288), (361,), (323,), (454,), (356,))
_BROWS = ((70,), (63,), (105,), (66,), (107,), (336,), (296,), (334,), (293,), (300,))
_NOSE = ((168, 6), (197, 195), (5,), (4,), (75,), (97,), (2,), (326,), (305,))
_EYES = ((33,), (160,), (158,), (133,), (153,), (144,), (362,), (385,), (387,), (263,), (373,), (380,))
_OUTER_LIPS = ((61,), (39,), (37,), (0,), (267,), (269,), (291,), (405,), (314,), (17,), (84,), (181,))
_INNER_LIPS = ((78,), (82,), (13,), (312,), (308,), (317,), (14,), (87,))
VERTICES = (*_RIGHT_JAW, (152,), *_LEFT_JAW, *_BROWS, *_NOSE, *_EYES, *_OUTER_LIPS, *_INNER_LIPS)
"""One vertex of the mesh for each of the 68 points, or two whose middle it is: the correspondences of
https://github.com/PeizhiYan/Mediapipe_2_Dlib_Landmarks (2024), on the vertices of MediaPipe's canonical face model."""

_FIRST = np.array([vertices[0] for vertices in VERTICES])
_SECOND = np.array([vertices[-1] for vertices in VERTICES])


class MeshTeacher:
    """Finds 68 points on face crops.

    Kartynnik et al. 2019, "Real-time facial surface geometry from monocular video on mobile GPUs",
    https://doi.org/10.48550/arXiv.1907.06724. A second look is framed by what the first one found, turned upright.

    Parameters
    ----------
    path : Path
        ``face_landmarker.task`` of MediaPipe, or the ``face_landmarks_detector.tflite`` inside it.

    Raises
    ------
    ModelError
        If the file is neither.
    """

    def __init__(self, path: Path) -> None:
        content = _net_inside(path)
        self.sha256 = hashlib.sha256(content).hexdigest()
        try:
            self._net = cv2.dnn.readNetFromTFLite(np.frombuffer(content, np.uint8))
        except cv2.error as error:
            raise ModelError(f"{path}: is no net that OpenCV reads: expected {NET_NAME} of MediaPipe") from error
        self._outputs = self._net.getUnconnectedOutLayersNames()

    def label(self, face: ByteArray) -> tuple[FloatArray, bool]:
        """Return the points of one face, and whether it was found.

        Parameters
        ----------
        face : (S, S) ndarray of uint8
            Gray, framed as FER2013 frames faces.

        Returns
        -------
        points : (68, 2) ndarray of float32
            In shares of the frame; what was seen best where none was found.
        found : bool
        """
        size = len(face)
        looks = (self._look(face, _turned_square(size / 2, size / 2, size * (1 + 2 * b), 0.0)) for b in BORDERS)
        mesh, logit = max(_until_found(looks), key=lambda look: look[1])
        right, left = mesh[RIGHT_CORNER], mesh[LEFT_CORNER]
        low, high = mesh.min(axis=0), mesh.max(axis=0)
        angle = float(np.arctan2(left[1] - right[1], left[0] - right[0]))
        center_x, center_y = (low + high) / 2
        again = self._look(face, _turned_square(center_x, center_y, REACH * float(max(high - low)), angle))
        if again[1] > 0:
            mesh, logit = again
        points: FloatArray = ((mesh[_FIRST] + mesh[_SECOND]) / 2 / size).astype(np.float32)
        return points, logit > 0

    def _look(self, face: ByteArray, transform: DoubleArray) -> tuple[DoubleArray, float]:
        """Return the mesh in pixels of the face, edges at 0 and its size, and how present a face is, as a logit."""
        between_centers = transform.copy()
        between_centers[:, 2] += transform[:, :2].sum(axis=1) / 2 - 0.5
        crop = cv2.warpAffine(
            face, between_centers, (SIDE, SIDE), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
        )
        self._net.setInput(np.repeat(crop[None, None].astype(np.float32) / 255, 3, axis=1))
        outputs = dict(zip(self._outputs, map(np.asarray, self._net.forward(self._outputs)), strict=True))
        mesh = outputs[MESH_NAME].reshape(-1, 3)[:, :2].astype(np.float64)
        inverse = np.asarray(cv2.invertAffineTransform(transform), np.float64)
        return mesh @ inverse[:, :2].T + inverse[:, 2], float(outputs[PRESENCE_NAME].item())


def label_faces(
    faces: ByteArray, path: Path, out: Path, *, processes: int = 2
) -> Generator[int, None, tuple[FloatArray, BoolArray]]:
    """Label many faces, :meth:`MeshTeacher.label` side by side; what is done already is not done again.

    Parameters
    ----------
    faces : (N, S, S) ndarray of uint8
    path : Path
        Of the teacher.
    out : Path
        Folder for one file for each thousand faces.
    processes : int

    Yields
    ------
    int
        Faces labeled so far.

    Returns
    -------
    points : (N, 68, 2) ndarray of float32
    found : (N,) ndarray of bool

    Raises
    ------
    OptionError
        If `out` holds labels by another teacher, or of other faces.
    """
    made_of = {"teacher": MeshTeacher(path).sha256, "faces": hashlib.sha256(faces.tobytes()).hexdigest()}
    _refuse_other_labels(out, made_of)
    write_whole(out / MADE_OF_NAME, json.dumps(made_of))
    parts = range(math.ceil(len(faces) / PART))
    missing = [part for part in parts if not _part_path(out, part).exists()]
    done = len(faces) - PART * len(missing)
    for _ in side_by_side(partial(_label_part, faces=faces, path=path, out=out), missing, processes):
        done += PART
        yield min(done, len(faces))
    return read_labels(out)


def _refuse_other_labels(out: Path, made_of: dict[str, str]) -> None:
    path = out / MADE_OF_NAME
    if path.exists() and (before := json.loads(path.read_text("utf-8"))) != made_of:
        other = " and ".join(name for name in made_of if before.get(name) != made_of[name])
        raise OptionError(f"{out}: holds labels of other {other}: choose another folder (--out)")


def read_labels(out: Path) -> tuple[FloatArray, BoolArray]:
    """Return what :func:`label_faces` left in a folder: points and which were found."""
    parts = [np.load(path) for path in sorted(out.glob("*.npz"))]
    return np.concatenate([part["points"] for part in parts]), np.concatenate([part["found"] for part in parts])


def _label_part(part: int, faces: ByteArray, path: Path, out: Path) -> None:
    cv2.setNumThreads(1)
    teacher = MeshTeacher(path)
    labels = [teacher.label(face) for face in faces[part * PART :][:PART]]
    points, found = zip(*labels, strict=True)
    with whole_file(_part_path(out, part)) as file, file.open("wb") as stream:
        np.savez(stream, points=np.array(points), found=np.array(found))


def _part_path(out: Path, part: int) -> Path:
    return out / f"{part:03}.npz"


def _until_found(looks: Iterator[tuple[DoubleArray, float]]) -> Iterator[tuple[DoubleArray, float]]:
    for look in looks:
        yield look
        if look[1] > 0:
            return


def _turned_square(center_x: float, center_y: float, side: float, angle: float) -> DoubleArray:
    """Return the transform from the picture to the net's input that turns a square upright."""
    cosine, sine = np.cos(angle) * SIDE / side, np.sin(angle) * SIDE / side
    turn = np.array([[cosine, sine], [-sine, cosine]])
    return np.column_stack([turn, SIDE / 2 - turn @ (center_x, center_y)])


def _net_inside(path: Path) -> bytes:
    try:
        content = path.read_bytes()
        if not zipfile.is_zipfile(path):
            return content
        with zipfile.ZipFile(path) as task:
            return task.read(NET_NAME)
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror}): expected face_landmarker.task") from error
    except KeyError as error:
        raise ModelError(f"{path}: holds no {NET_NAME}: expected face_landmarker.task of MediaPipe") from error
