"""Data sets that the tests of the laboratory share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from mien.core.labels import EXPRESSIONS, EXPRESSIONS_AND_CONTEMPT
from mien.lab.datasets import OFFICIAL_SPLITS, FaceDataset, ferplus_distribution, load_fer2013


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """Keep torch to one thread: on a busy machine two wait for each other, and a second becomes five."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def real_fer2013(data_dir: Path) -> FaceDataset:
    """Return FER2013 joined with FER+, loaded once."""
    return load_fer2013(data_dir)


@pytest.fixture(scope="session")
def made_faces() -> FaceDataset:
    """Return 96 "faces" that a small net can learn: each of the seven classes is bright in another place.

    48 of `Training`, 24 of `PublicTest`, 24 of `PrivateTest`, with the votes of FER+: seven for the label, three for
    the next class.
    """
    generator = np.random.default_rng(0)
    labels = generator.integers(0, len(EXPRESSIONS), 96)
    images = generator.integers(0, 100, (96, 48, 48)).astype(np.uint8)
    for image, label in zip(images, labels, strict=True):
        row, column = divmod(int(label), 3)
        image[16 * row : 16 * row + 16, 16 * column : 16 * column + 16] += 150
    votes = np.zeros((96, 10), np.int64)
    votes[np.arange(96), labels] = 7
    votes[np.arange(96), (labels + 1) % len(EXPRESSIONS)] = 3
    return FaceDataset(
        images=images,
        labels=labels,
        label_names=EXPRESSIONS_AND_CONTEMPT,
        split=np.repeat(OFFICIAL_SPLITS, (48, 24, 24)),
        source_ids=np.array([f"made:{index}" for index in range(96)]),
        distributions=ferplus_distribution(votes),
        votes=votes,
    )
