"""Sequences of three frames: which belong together, and that nobody is in both parts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mien.core.errors import DatasetError
from mien.core.labels import EXPRESSIONS_AND_CONTEMPT
from mien.lab.datasets import FaceDataset, load_ck48
from mien.lab.sequences import answer_sequences, sequences_of


def made_ck48(people: int = 12) -> FaceDataset:
    """Return two sequences of each person, in the shuffled order of a folder; frame, person and label in the pixels."""
    names, labels, images = [], [], []
    for person in range(people):
        for sequence in (0, 1):
            label = (person + 3 * sequence) % 6
            for frame in range(3):
                names.append(f"ck:S{person:03}_00{sequence}_{frame:08}")
                labels.append(label)
                image = np.full((48, 48), 40 * label, np.uint8)
                image[:8, :8], image[-8:, -8:] = person, 100 * frame
                images.append(image)
    order = np.random.default_rng(0).permutation(len(names))
    return FaceDataset(
        images=np.array(images)[order],
        labels=np.array(labels)[order],
        label_names=EXPRESSIONS_AND_CONTEMPT,
        split=np.full(len(names), ""),
        source_ids=np.array(names)[order],
        subjects=np.array([name[3:7] for name in names])[order],
    )


def test_frames_of_a_sequence_stand_in_their_order() -> None:
    sequences = sequences_of(made_ck48())
    assert sequences.images.shape == (24, 3, 48, 48)
    assert sequences.images[:, :, -1, -1].tolist() == [[0, 100, 200]] * 24
    assert (sequences.images[:, :, 20, 20] == 40 * sequences.labels[:, None]).all()
    people = sequences.images[:, 0, 0, 0]
    assert sequences.subjects.tolist() == [f"S{person:03}" for person in people]
    for person in range(12):
        assert len(set(sequences.folds[people == person].tolist())) == 1


def test_a_sequence_that_lacks_a_frame_is_refused() -> None:
    with pytest.raises(DatasetError, match="24 sequences, not all of three frames"):
        sequences_of(made_ck48()[1:])


def test_every_sequence_is_answered() -> None:
    answers = answer_sequences(made_ck48(), epochs=1)
    for table in (answers.recurrent, answers.averaged):
        assert table.shape == (24, 8)
        np.testing.assert_allclose(table.sum(axis=1), 1, atol=1e-5)
    assert answers.labels.shape == (24,)


@pytest.mark.data
def test_the_real_sequences(data_dir: Path) -> None:
    sequences = sequences_of(load_ck48(data_dir / "CK+48"))
    assert sequences.images.shape == (327, 3, 48, 48)
    assert set(sequences.folds.tolist()) == set(range(10))
