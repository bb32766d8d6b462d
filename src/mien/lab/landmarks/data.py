"""What the landmark net is taught with: faces with points, and pictures without a face."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import skimage.data

from mien.core.errors import DatasetError
from mien.core.types import BoolArray, ByteArray, FloatArray
from mien.lab.datasets import FaceDataset

SCENES = ("brick", "cat", "clock", "coffee", "coins", "grass", "gravel", "moon", "page", "rocket", "text")
"""Pictures of scikit-image without a face of a person, all inside its wheel."""

NO_FACES = 4000


@dataclass(frozen=True, eq=False)
class PointedFaces:
    """Faces with the points that a teacher found.

    Parameters
    ----------
    images : (N, 48, 48) ndarray of uint8
    points : (N, 68, 2) ndarray of float32
        In shares of the frame.
    weights : (N,) ndarray of float32
        How much each face counts: more where the teacher misses many of its label.
    """

    images: ByteArray
    points: FloatArray
    weights: FloatArray

    def __len__(self) -> int:
        return len(self.images)


def pointed(faces: FaceDataset, points: FloatArray, found: BoolArray) -> PointedFaces:
    """Return the faces that the teacher found; a label of which it misses many counts as if it had missed none.

    Raises
    ------
    DatasetError
        If it found none.
    """
    if not found.any():
        raise DatasetError(f"the teacher found none of {len(faces)} faces: expected FER2013 and the mesh net")
    rates = np.array(
        [
            found[faces.labels == label].mean() if (faces.labels == label).any() else 1.0
            for label in range(len(faces.label_names))
        ]
    )
    weights = (1 / np.maximum(rates, 0.1))[faces.labels]
    return PointedFaces(faces.images[found], points[found], (weights / weights.mean())[found].astype(np.float32))


def no_faces(faces: ByteArray, size: int, seed: int, count: int = NO_FACES) -> ByteArray:
    """Return pictures that are no face: parts of scenes, drawings, and faces cut into blocks and shuffled.

    Parameters
    ----------
    faces : (N, S, S) ndarray of uint8
    size, seed, count : int

    Returns
    -------
    (count, size, size) ndarray of uint8
    """
    generator = np.random.default_rng(seed)
    scenes = [_gray(getattr(skimage.data, name)()) for name in SCENES]
    made = []
    for index in range(count):
        kind = index % 4
        if kind == 0:
            made.append(_shuffled(faces[generator.integers(len(faces))], size, generator))
        elif kind == 1:
            made.append(_drawn(size, generator))
        else:
            made.append(_part(scenes[generator.integers(len(scenes))], size, generator))
    return np.array(made, np.uint8)


def _gray(picture: ByteArray) -> ByteArray:
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), np.uint8) if picture.ndim == 3 else picture


def _part(scene: ByteArray, size: int, generator: np.random.Generator) -> ByteArray:
    side = int(generator.integers(24, min(scene.shape) + 1))
    top, left = (int(generator.integers(length - side + 1)) for length in scene.shape)
    part = scene[top : top + side, left : left + side]
    return np.asarray(cv2.resize(part, (size, size), interpolation=cv2.INTER_AREA), np.uint8)


def _shuffled(face: ByteArray, size: int, generator: np.random.Generator) -> ByteArray:
    parts = int(generator.choice([2, 3, 4]))
    side = len(face) // parts
    blocks = [face[y * side :, x * side :][:side, :side] for y in range(parts) for x in range(parts)]
    order = generator.permutation(len(blocks))
    rows = [np.hstack([blocks[i] for i in order[row * parts : (row + 1) * parts]]) for row in range(parts)]
    return np.asarray(cv2.resize(np.vstack(rows), (size, size)), np.uint8)


def _drawn(size: int, generator: np.random.Generator) -> ByteArray:
    """Return a round drawn face, or shapes at random."""
    picture = np.full((size, size), generator.integers(256), np.uint8)

    def shade() -> int:
        return int(generator.integers(256))

    def near(x: float, y: float, spread: float = 0.08) -> tuple[int, int]:
        drawn = size * (np.array([x, y]) + generator.normal(0, spread, 2))
        return int(drawn[0]), int(drawn[1])

    if generator.random() < 0.5:
        radius = int(size * generator.uniform(0.25, 0.5))
        cv2.circle(picture, near(0.5, 0.5), radius, shade(), int(generator.choice([-1, 2, 3])))
        for x in (0.35, 0.65):
            cv2.circle(picture, near(x, 0.4, 0.03), int(generator.integers(1, size // 10)), shade(), -1)
        axes = (int(size * generator.uniform(0.1, 0.25)), int(size * generator.uniform(0.03, 0.2)))
        start, end = ((0, 180), (180, 360), (0, 360))[generator.integers(3)]
        cv2.ellipse(picture, near(0.5, 0.65, 0.04), axes, 0, start, end, shade(), 2)
    else:
        for _ in range(int(generator.integers(2, 9))):
            cv2.line(picture, near(0.5, 0.5, 0.4), near(0.5, 0.5, 0.4), shade(), int(generator.integers(1, 8)))
            cv2.circle(picture, near(0.5, 0.5, 0.4), int(generator.integers(1, size // 3)), shade(), -1)
    noise = generator.normal(0, generator.uniform(0, 20), picture.shape)
    return np.asarray(cv2.GaussianBlur(np.clip(picture + noise, 0, 255).astype(np.uint8), (3, 3), 0), np.uint8)
