"""CK+48 as sequences with a simulated resting face, for baseline.py: CK+48 itself has no neutral frames.

A face is warped, piecewise between its landmarks, to the shape that a face with this nose bridge, these eye corners and
these sides of the jaw has at rest (ridge regression on resting faces of `PublicTest`). What is left of the expression
is in the skin: furrows, teeth. So the rest of a sequence is made of the person's *other* sequences, as the median of
each pixel: what only one of them shows is gone. No label is used.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt
from skimage.transform import PiecewiseAffineTransform, SimilarityTransform, warp
from sklearn.linear_model import Ridge

from mien.core.labels import EXPRESSIONS
from mien.core.preprocess import MEAN_SHAPE
from mien.core.types import BoolArray, ByteArray, IntArray
from mien.engine.results.writer import make_folder
from mien.face.boxes import Floats
from mien.face.landmarks import load_landmarker
from mien.lab.datasets import SIDE, FaceDataset
from mien.lab.landmarks.measuring import points_of
from mien.lab.landmarks.teacher import MeshTeacher

People: TypeAlias = npt.NDArray[np.str_]
STEADY = [0, 1, 2, 3, 13, 14, 15, 16, 27, 28, 29, 30, 36, 39, 42, 45]  # sides of the jaw, nose bridge, eye corners
RIDGE = 1.0  # px², beside the variance of a coordinate
BORDER_PX = np.array([(x, y) for x in range(-24, 73, 24) for y in range(-24, 73, 24) if {x, y} & {-24, 72}], np.float64)


def points_of_teacher(teacher: MeshTeacher, images: ByteArray) -> Floats:
    """Return the points, (N, 68, 2) pixels, that the teacher sees best on faces framed as FER2013 frames them."""
    return SIDE * np.stack([teacher.label(image)[0] for image in images]).astype(np.float64)


def points_of_ours(images: ByteArray) -> Floats:
    """Return the points, (N, 68, 2) pixels, of the landmark net that ships."""
    return SIDE * points_of(load_landmarker(), images)[0].astype(np.float64)


def steady_transform(points: Floats, onto: Floats) -> Any:
    """Return the similarity transform that brings the steady points of one face onto those of another."""
    return SimilarityTransform.from_estimate(points[STEADY], onto[STEADY])


def at_rest(faces: Floats, resting: Floats) -> Floats:
    """Return the points of faces, (N, 68, 2) pixels, at rest, told by the points that expressions hardly move."""
    mean = SIDE * MEAN_SHAPE.astype(np.float64)
    aligned = np.stack([steady_transform(points, mean)(points) for points in resting])
    shape = Ridge(alpha=RIDGE * len(aligned)).fit(
        aligned[:, STEADY].reshape(len(aligned), -1), aligned.reshape(-1, 136)
    )
    transforms = [steady_transform(points, mean) for points in faces]
    steady = np.stack([bring(points)[STEADY].ravel() for bring, points in zip(transforms, faces, strict=True)])
    whole = shape.predict(steady).reshape(-1, 68, 2)
    return np.stack([bring.inverse(points) for bring, points in zip(transforms, whole, strict=True)])


def warped(image: ByteArray, points: Floats, onto: Floats) -> ByteArray:
    """Return a face with its points moved, and what is around it turned and scaled alike."""
    around = steady_transform(onto, points)(BORDER_PX)
    # Pixel centers lie at half coordinates here, at whole ones in scikit-image.
    back = PiecewiseAffineTransform.from_estimate(  # type: ignore[no-untyped-call]
        np.concatenate([onto, BORDER_PX]) - 0.5, np.concatenate([points, around]) - 0.5
    )
    moved = warp(image.astype(np.float64), back, order=3, mode="edge", preserve_range=True)  # type: ignore[no-untyped-call]
    return np.asarray(moved.clip(0, 255).round(), np.uint8)


@dataclass(frozen=True, eq=False)
class Sequences:
    """The peaks of CK+48 and what simulates rest; sequence ``i`` is row ``i`` of each.

    Parameters
    ----------
    images : (S, 3, 48, 48) ndarray of uint8
    labels : (S,) ndarray of int64
    people : (S,) ndarray of str
    same_face : (S, 48, 48) ndarray of uint8
        The last frame, warped to the shape of the person at rest, one for all sequences of a person.
    """

    images: ByteArray
    labels: IntArray
    people: People
    same_face: ByteArray

    @property
    def others(self) -> BoolArray:
        """Which other sequences show the same person, (S, S)."""
        return np.asarray(self.people[:, None] == self.people) & ~np.eye(len(self.people), dtype=np.bool_)

    def of_someone_else(self, among: BoolArray) -> BoolArray:
        """Return which sequences show the same expression of other people, (S, S)."""
        alike, strange = (values[:, None] == values for values in (self.labels, self.people))
        return np.asarray(alike & ~strange & among[:, None] & among)

    def rest_of_others(self) -> ByteArray:
        """Return the simulated resting face of each sequence's person, without that sequence, (S, 48, 48)."""
        return np.stack([_median_face(self.same_face[others]) for others in self.others])


def _median_face(faces: ByteArray) -> ByteArray:
    """Return the median of faces of one shape, all brought to the light of the first; plain gray of none."""
    if not len(faces):
        return np.full((SIDE, SIDE), 128, np.uint8)
    means, spreads = faces.mean(axis=(1, 2), keepdims=True), faces.std(axis=(1, 2), keepdims=True)
    median = np.median((faces - means) / spreads, axis=0) * spreads[0] + means[0]
    return np.asarray(median.clip(0, 255).round(), np.uint8)


def simulated(data: FaceDataset, points: Floats, rest_points: Floats) -> Sequences:
    """Return CK+48 as sequences of three frames, with the points of its faces as they are and at rest."""
    assert data.subjects is not None
    people = data.subjects[::3]
    first = [3 * int(np.argmax(people == person)) for person in people]
    lasts = range(2, len(data), 3)
    same_face = [warped(data.images[k], points[k], rest_points[f]) for k, f in zip(lasts, first, strict=True)]
    return Sequences(data.images.reshape(-1, 3, SIDE, SIDE), data.labels[::3], people, np.stack(same_face))


def write_pictures(sequences: Sequences, folder: Path) -> None:
    """Write, for each expression, peaks, each beside the same face and the others of this person at rest."""
    make_folder(folder)
    rest, has_rest = sequences.rest_of_others(), sequences.others.any(axis=1)
    for index, name in enumerate(EXPRESSIONS):
        chosen = np.flatnonzero(has_rest & (sequences.labels == index))[:8]
        if not len(chosen):
            continue
        sheet = np.vstack([np.hstack([sequences.images[k, 2], sequences.same_face[k], rest[k]]) for k in chosen])
        cv2.imwrite(str(folder / f"{name}.png"), cv2.resize(sheet, None, fx=3, fy=3, interpolation=cv2.INTER_CUBIC))
