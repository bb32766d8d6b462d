"""What ``mien paper`` asks for before any work."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mien.app.paper import asked_trials, doubly_labeled
from mien.core.errors import DatasetError
from mien.core.labels import EXPRESSIONS, EXPRESSIONS_AND_CONTEMPT
from mien.lab.datasets import FaceDataset, ferplus_majority
from mien.lab.protocol import trials


def test_a_quick_look_is_one_seed_split_at_random() -> None:
    asked = asked_trials(10, quick=True)
    assert {(trial.seed, trial.by) for trial in asked} == {(0, "random")}
    assert {(trial.plan, trial.draw) for trial in asked} == {(trial.plan, trial.draw) for trial in trials(range(1))}
    assert asked_trials(3, quick=False) == trials(range(3))


def test_faces_count_that_both_label_sets_name_alike(made_faces: FaceDataset) -> None:
    assert made_faces.votes is not None
    seven = made_faces.of_labels(EXPRESSIONS)
    faces = replace(seven, distributions=None, label_names=EXPRESSIONS_AND_CONTEMPT)  # FER2013 with FER+ has eight
    votes = np.zeros((len(faces), 10), np.int64)
    votes[np.arange(len(faces)), faces.labels] = 10
    votes[0] = np.roll(votes[0], 1)
    chosen = doubly_labeled(replace(faces, votes=votes))
    assert chosen.source_ids.tolist() == faces.source_ids[1:].tolist()
    assert chosen.votes is not None
    assert (ferplus_majority(chosen.votes) == chosen.labels).all()
    with pytest.raises(DatasetError, match="no face of PublicTest is happy by FER2013 and FER\\+ both"):
        doubly_labeled(replace(faces, votes=votes)[faces.labels != EXPRESSIONS.index("happy")])
