"""What other trainings show of the nets that ship, written on their cards: the paper's protocol, CK+48 in ten folds.

``python benchmarks/cards.py [--data DIR] [--trials runs/paper/trials]`` reads the trials that ``mien paper --out
runs/paper`` has done, and rewrites the cards in src/mien/weights; the graphs stay as they are. What it writes:

* ``paper_protocol_random`` and ``paper_protocol_agree``: accuracy on the 140 test faces of the paper's set, split at
  random, mean of the seeds with the 95 % interval of that mean (Student's t);
* ``ck48_7_folds``: CK+48 in its seven classes, ten folds by person, of the trunk after training on the other nine;
* ``ck48_6``: never trained on it, six classes; people are drawn anew for both intervals.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy import stats

from mien.core.labels import EXPRESSIONS
from mien.core.model import ModelCard, Score
from mien.engine.recognizer import load
from mien.engine.results.writer import whole_file
from mien.lab.datasets import FOLDS, FaceDataset, find_data, load_ck48
from mien.lab.evaluation import accuracy_score, in_batches, score_text
from mien.lab.graph import with_card
from mien.lab.protocol import Outcome, Trial, face_answers, read_outcome, recipe_of_trial

ROOT = Path(__file__).resolve().parents[1]
SEEDS = range(10)
PLANS = {"default": "ours", "fer2013": "ours", "paper": "paper"}
"""The plan of the protocol that began with each net; `default` and `fer2013` have one trunk."""


def outcomes_of(folder: Path, plan: str, draw: str, by: str, numbers: Sequence[int]) -> list[Outcome]:
    """Return what trials of one plan answered; they are of the nets that ship, or refused."""
    asked = [Trial(plan, draw, by, number) for number in numbers]
    return [read_outcome(folder, trial, recipe_of_trial(trial)) for trial in asked]


def mean_of_seeds(outcomes: Sequence[Outcome]) -> Score:
    """Return the mean accuracy of trials with the interval of that mean."""
    shares = [one.accuracy for one in outcomes]
    mean = float(np.mean(shares))
    half = float(stats.t.ppf(0.975, len(shares) - 1) * np.std(shares, ddof=1) / np.sqrt(len(shares)))
    return Score(mean, mean - half, min(mean + half, 1.0), sum(len(one.labels) for one in outcomes))


def of_folds(outcomes: Sequence[Outcome]) -> Score:
    """Return the accuracy over the ten folds, people drawn anew."""
    table, labels, people = face_answers(outcomes)
    return accuracy_score(table, labels, subjects=people)


def scores_of(name: str, trials: Path, ck48: FaceDataset) -> dict[str, Score]:
    """Return the scores of a net that this program writes."""
    shared = ck48.of_labels(EXPRESSIONS)
    answers = in_batches(load(name), shared.images)
    scores = {"ck48_6": accuracy_score(answers, shared.labels, subjects=shared.subjects)}
    for draw in ("random", "agree"):
        outcomes = outcomes_of(trials, PLANS[name], draw, "random", SEEDS)
        scores[f"paper_protocol_{draw}"] = mean_of_seeds(outcomes)
    if PLANS[name] == "ours":
        scores["ck48_7_folds"] = of_folds(outcomes_of(trials, "ck48", "", "subject", range(FOLDS)))
    return scores


def rewrite(path: Path, card: ModelCard) -> None:
    """Replace the card of a model file."""
    content = with_card(path.read_bytes(), card)
    with whole_file(path) as partial:
        partial.write_bytes(content)


def main() -> None:
    """Measure, and rewrite the cards."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="directory of FER2013 and CK+48, by default MIEN_DATA")
    parser.add_argument("--trials", type=Path, default=ROOT / "runs" / "paper" / "trials", help="of mien paper")
    options = parser.parse_args()
    ck48 = load_ck48(find_data(options.data).need("ck48"))
    for name in PLANS:
        model = load(name).model
        scores = scores_of(name, options.trials, ck48)
        rewrite(model.path, replace(model.card, scores=model.card.scores | scores))
        for score_name, score in scores.items():
            print(f"{name}: {score_name} {score_text(score, percent=True)}")


if __name__ == "__main__":
    main()
