"""Classic readers of features, to measure the nets against: a linear support vector machine, one shallow tree.

A missing feature counts as the mean of the faces that were learned from, and a column of its own says that it is
missing.
"""

from __future__ import annotations

from collections.abc import Sequence

from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier, export_text

DEPTH = 5  # at most 32 answers: what fits on a page
FEWEST_FACES = 5  # behind an answer of the tree


def support_vector_machine(features: int) -> Pipeline:
    """Return a linear support vector machine on standardized features, each class against all others.

    Fan et al. 2008, LIBLINEAR, https://www.jmlr.org/papers/v9/fan08a.html. The cost of a mistake is one over the mean
    squared length of a face's features, as is the default of Joachims' SVM-light: 20 features and 2,000 are held alike.

    Parameters
    ----------
    features : int
        Features of a face.
    """
    return make_pipeline(_filled(), StandardScaler(), LinearSVC(C=1 / features, random_state=0))


def shallow_tree() -> Pipeline:
    """Return one tree of at most five questions in a row, which a person can read (:func:`rules`).

    Mliki, Fourati, Smaoui and Hammami, "Automatic facial expression recognition system", AICCSA 2013, the [12] of the
    paper that we implement, makes rules of distances between points as well. Features keep their units, since scale
    does not matter to a tree.
    """
    tree = DecisionTreeClassifier(max_depth=DEPTH, min_samples_leaf=FEWEST_FACES, random_state=0)
    return make_pipeline(_filled(), tree)


def rules(tree: Pipeline, feature_names: Sequence[str], label_names: Sequence[str], *, depth: int) -> str:
    """Return the first questions of a fitted :func:`shallow_tree` as text.

    Parameters
    ----------
    tree : Pipeline
        Fitted to labels that are indices into `label_names`.
    feature_names, label_names : sequence of str
    depth : int
        Questions in a row; of what is left out, the text says how deep it is.
    """
    filled, questions = tree
    columns = filled.get_feature_names_out(list(feature_names))
    classes = [label_names[label] for label in questions.classes_]
    text: str = export_text(questions, feature_names=columns, class_names=classes, max_depth=depth - 1)
    return text


def size_of(reader: Pipeline) -> int:
    """Return the numbers that a fitted reader keeps: weights of a machine, questions and answers of a tree."""
    last = reader[-1]
    return int(
        last.tree_.node_count if isinstance(last, DecisionTreeClassifier) else last.coef_.size + last.intercept_.size
    )


def _filled() -> SimpleImputer:
    return SimpleImputer(add_indicator=True, keep_empty_features=True)
