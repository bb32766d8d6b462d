"""Trials: what they train on, that they go on where they were stopped, what they answer."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mien.core.errors import DatasetError, OptionError
from mien.core.labels import EXPRESSIONS, EXPRESSIONS_AND_CONTEMPT
from mien.lab import protocol
from mien.lab.datasets import FaceDataset
from mien.lab.models import FaceNet
from mien.lab.protocol import (
    PLANS,
    Outcome,
    Trial,
    by_plan,
    mirrored_answers,
    read_outcome,
    recipe_of_trial,
    refuse_seen,
    run_trial,
    run_trials,
    sequence_answers,
    trials,
)
from mien.lab.recipes import Recipe

PARTS = (slice(60), slice(60, 90))  # training and test


def recipe_of_plan(plan: str) -> Recipe:
    recipe = PLANS[plan].recipe
    assert isinstance(recipe, Recipe)
    return recipe


def outcome(trial: Trial, answers: list[int], labels: list[int], names: list[str] | None = None) -> Outcome:
    probabilities = np.eye(7, dtype=np.float32)[answers]
    return Outcome(trial, np.array(names or [f"made:{n}" for n in range(len(labels))]), np.array(labels), probabilities)


def test_every_seed_meets_every_plan_draw_and_split() -> None:
    asked = trials(range(10))
    assert len({trial.name for trial in asked}) == len(asked) == 3 * 2 * 2 * 10 + 2 * 10
    assert {trial.plan for trial in asked} == set(PLANS)
    assert [trial.seed for trial in asked] == sorted(trial.seed for trial in asked)  # whole seeds first
    assert len(trials(range(20))) == 3 * 2 * 2 * 20 + 2 * 10  # CK+48 has ten folds, however many seeds


def test_a_picture_that_was_trained_on_is_refused(made_faces: FaceDataset) -> None:
    training, test = made_faces[:20], made_faces[20:30]
    refuse_seen(test, training)
    copied = replace(test, images=np.concatenate([test.images[:9], training.images[:1]]))
    with pytest.raises(DatasetError, match="1 test pictures were trained on, made:29 first: expected none"):
        refuse_seen(copied, made_faces[40:], training)


def test_a_face_and_its_mirror_image_are_answered_alike(made_faces: FaceDataset) -> None:
    net = FaceNet("paper", {"fer2013": 7})
    first = mirrored_answers(net, "fer2013", made_faces.images)
    second = mirrored_answers(net, "fer2013", np.ascontiguousarray(made_faces.images[:, :, ::-1]))
    np.testing.assert_allclose(first, second, atol=1e-6)
    np.testing.assert_allclose(first.sum(axis=1), 1, atol=1e-5)


def test_outcomes_stand_in_one_order_however_they_came() -> None:
    some = [
        outcome(Trial(plan, "random", "random", seed), [0], [0]) for plan in ("ours", "paper") for seed in (2, 0, 1)
    ]
    groups = by_plan(some)
    assert list(groups) == [("paper", "random", "random"), ("ours", "random", "random")]
    assert [one.trial.seed for one in groups["ours", "random", "random"]] == [0, 1, 2]


def test_a_sequence_is_answered_by_the_mean_of_its_frames() -> None:
    names = ["ck:S010_001_00000012", "ck:S010_001_00000013", "ck:S010_001_00000014", "ck:S011_001_00000012"]
    one = outcome(Trial("ck48", "", "subject", 0), [3, 3, 0, 5], [3, 3, 3, 4], names)
    assert one.accuracy == 0.5
    answers, labels, people = sequence_answers([one])
    assert answers.argmax(axis=1).tolist() == [3, 5]
    assert (labels.tolist(), people.tolist()) == ([3, 4], ["S010", "S011"])
    parts = [
        outcome(Trial("ck48", "", "random", fold), [answer], [3], [names[fold]])
        for fold, answer in enumerate((3, 3, 0))
    ]
    answers, labels, _ = sequence_answers(parts)  # at random, the frames of a sequence are in several folds
    assert (answers.argmax(axis=1).tolist(), labels.tolist()) == ([3], [3])


@pytest.fixture
def _made_data(made_faces: FaceDataset, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the trials find a CK+48 of eight persons with three expressions each, and a small FER2013."""
    ck48 = replace(
        made_faces[:24],
        labels=np.repeat([0, 7, 3], 8),
        label_names=EXPRESSIONS_AND_CONTEMPT,
        subjects=np.array([f"S{person:03}" for person in range(8)] * 3),
    )
    monkeypatch.setattr(protocol, "_loaded", lambda _: (ck48, made_faces))


@pytest.mark.usefixtures("_made_data")
def test_a_trial_writes_what_it_answered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny = replace(recipe_of_plan("paper"), heads=("ferplus",), epochs=1, batch_size=4)
    monkeypatch.setitem(protocol.PLANS, "ck48", replace(PLANS["ck48"], recipe=tiny, init=None))
    trial = Trial("ck48", "", "random", 3)
    out = tmp_path / "out"
    run_trial(trial, None, out)
    assert [path.name for path in out.iterdir()] == ["ck48-random-3.json"]
    done = read_outcome(out, trial)
    assert done.probabilities.shape == (len(done.labels), 8)
    assert set(done.labels.tolist()) <= {0, 3, 7}
    content = json.loads((out / "ck48-random-3.json").read_text("utf-8"))
    assert content["recipe"]["seed"] == 3
    assert len(content["curves"]) == 2
    assert [one.trial for one in run_trials([trial], None, out)] == [trial]  # done already: nothing is trained
    del content["recipe"]["frozen"]  # of a time before that option
    (out / "ck48-random-3.json").write_text(json.dumps(content), "utf-8")
    assert [one.trial for one in run_trials([trial], None, out)] == [trial]


@pytest.mark.usefixtures("_made_data")
@pytest.mark.parametrize("changed", [{"recipe": {"epochs": 2}}, {"weights": {"default": "of another net"}}])
def test_a_trial_of_another_plan_is_refused(
    changed: dict[str, dict[str, object]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny = replace(recipe_of_plan("paper"), heads=("ferplus",), epochs=1, batch_size=4)
    monkeypatch.setitem(protocol.PLANS, "ck48", replace(PLANS["ck48"], recipe=tiny, init=None))
    trial = Trial("ck48", "", "random", 3)
    run_trial(trial, None, tmp_path)
    path = tmp_path / "ck48-random-3.json"
    content = json.loads(path.read_text("utf-8"))
    path.write_text(
        json.dumps({key: value | changed.get(key, {}) if key in changed else value for key, value in content.items()}),
        "utf-8",
    )
    with pytest.raises(OptionError, match="is of another recipe, or other nets, than now: give another folder"):
        list(run_trials([trial], None, tmp_path))


@pytest.mark.parametrize("plan", ["paper-scratch", "ours"])
def test_a_trial_of_the_paper_answers_with_seven(
    plan: str, made_faces: FaceDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = [replace(made_faces.of_labels(EXPRESSIONS)[rows], distributions=None, votes=None) for rows in PARTS]
    monkeypatch.setattr(protocol, "_paper_parts", lambda *_: parts)
    tiny = replace(recipe_of_plan("paper-scratch"), epochs=1, batch_size=8)
    monkeypatch.setitem(protocol.PLANS, "paper-scratch", replace(PLANS["paper-scratch"], recipe=tiny))
    trial = Trial(plan, "random", "random", 0)
    run_trial(trial, None, tmp_path)
    done = read_outcome(tmp_path, trial, recipe_of_trial(trial))
    assert done.probabilities.shape == (len(done.labels), len(EXPRESSIONS))
    assert done.labels.tolist() == parts[1].labels.tolist()
    np.testing.assert_allclose(done.probabilities.sum(axis=1), 1, atol=1e-4)


@pytest.mark.usefixtures("_made_data")
@pytest.mark.parametrize("by", ["subject", "random"])
def test_the_folds_are_all_of_ck48_and_share_no_picture(by: str) -> None:
    folds = [protocol._ck48_fold(Trial("ck48", "", by, n), None) for n in range(10)]
    tested = [name for _, test in folds for name in test.source_ids.tolist()]
    assert len(tested) == len(set(tested)) == 24
    for training, test in folds:
        assert len(training) + len(test) == 24
        if by == "subject":
            assert training.subjects is not None
            assert test.subjects is not None
            assert not set(training.subjects.tolist()) & set(test.subjects.tolist())
