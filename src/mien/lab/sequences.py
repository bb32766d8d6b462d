"""The three frames of a CK+48 sequence read by a CNN-RNN, by person: the paper's [11] and [13]."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor
from torch.nn import functional

from mien.core.errors import DatasetError
from mien.core.labels import EXPRESSIONS_AND_CONTEMPT
from mien.core.types import ByteArray, FloatArray, IntArray
from mien.engine.recognizer import model_path
from mien.lab.augmentation import augmenter
from mien.lab.datasets import FOLDS, FaceDataset, subjects_of, ten_folds
from mien.lab.evaluation import Subjects
from mien.lab.graph import read_weights
from mien.lab.models import HEADS, FaceNet, SequenceNet, load_weights

RECURRENT = "CNN-RNN (after Ebrahimi Kahou et al. 2015): GRU over the features of our trunk, which stays"
AVERAGED = "the same features, mean over the frames, logistic regression"
FRAMES = 3
VIEWS = 8  # of each sequence that the RNN learns from: as it is, and seven times turned and shifted
EPOCHS, BATCH, LEARNING_RATE = 40, 32, 1e-3


@dataclass(frozen=True, eq=False)
class Sequences:
    """Faces as sequences of three frames.

    Parameters
    ----------
    images : (N, 3, S, S) ndarray of uint8
    labels : (N,) ndarray of int64
    folds : (N,) ndarray of int64
        Of ten, in which each sequence is tested; all sequences of a person are in one.
    subjects : (N,) ndarray of str
    """

    images: ByteArray
    labels: IntArray
    folds: IntArray
    subjects: Subjects


@dataclass(frozen=True, eq=False)
class SequenceAnswers:
    """What was answered over the ten folds, each sequence by nets that did not see its person.

    Parameters
    ----------
    labels : (N,) ndarray of int64
    subjects : (N,) ndarray of str
    recurrent : (N, 8) ndarray of float32
        Probabilities of the CNN-RNN.
    averaged : (N, 8) ndarray of float32
        Those of a logistic regression on the mean of the same features over the frames: what recurrence has to beat.
    """

    labels: IntArray
    subjects: Subjects
    recurrent: FloatArray
    averaged: FloatArray


def sequences_of(ck48: FaceDataset) -> Sequences:
    """Return the sequences of CK+48 in the order of their names, with the ten folds by person of all our figures.

    Raises
    ------
    DatasetError
        If a sequence has not three frames of one label.
    """
    fold = np.full(len(ck48), -1)
    for number, part in enumerate(ten_folds(ck48)):
        fold[np.isin(ck48.source_ids, part.source_ids)] = number
    order = np.argsort(ck48.source_ids, kind="stable")
    names = np.array([name.rpartition("_")[0] for name in ck48.source_ids[order].tolist()])
    unique, counts = np.unique(names, return_counts=True)
    rows = order[: len(order) // FRAMES * FRAMES].reshape(-1, FRAMES)
    if (counts != FRAMES).any() or (ck48.labels[rows] != ck48.labels[rows[:, :1]]).any():
        raise DatasetError(f"CK+48 has {len(unique)} sequences, not all of three frames with one label: get it again")
    return Sequences(ck48.images[rows], ck48.labels[rows[:, 0]], fold[rows[:, 0]], subjects_of(unique.tolist()))


def answer_sequences(ck48: FaceDataset, *, epochs: int = EPOCHS) -> SequenceAnswers:
    """Train and test a CNN-RNN on CK+48, ten folds by person; the CNN is ``default`` as it ships, its weights stay.

    Parameters
    ----------
    ck48 : FaceDataset
    epochs : int
        Of the RNN.
    """
    sequences = sequences_of(ck48)
    net = FaceNet("default", {"ferplus": HEADS["ferplus"]})
    load_weights(net, read_weights(model_path("default")))
    views = [_features(net.eval(), images) for images in _views(sequences.images)]
    recurrent = np.zeros((len(sequences.labels), len(EXPRESSIONS_AND_CONTEMPT)), np.float32)
    averaged = np.zeros_like(recurrent)
    for fold in range(FOLDS):
        tested = sequences.folds == fold
        if not tested.any():
            continue
        labels = torch.from_numpy(sequences.labels[~tested])
        seen = torch.cat([view[~tested] for view in views])
        recurrent[tested] = _recurrent(seen, labels.repeat(len(views)), views[0][tested], epochs, seed=fold)
        averaged[tested] = _averaged(seen, labels.repeat(len(views)), views[0][tested])
    return SequenceAnswers(sequences.labels, sequences.subjects, recurrent, averaged)


def _views(images: ByteArray) -> list[ByteArray]:
    """Return sequences as they are, and turned and shifted; all frames of a sequence in the same way."""
    torch.manual_seed(0)
    change = augmenter("geometry")
    frames_as_channels = torch.from_numpy(images).float() / 255
    changed = [(change(frames_as_channels) * 255).to(torch.uint8).numpy() for _ in range(VIEWS - 1)]
    return [images, *changed]


def _features(net: FaceNet, images: ByteArray) -> Tensor:
    """Return the features of each frame, (N, 3, F) float32."""
    faces = torch.from_numpy(images).reshape(-1, 1, *images.shape[2:])
    with torch.inference_mode():
        parts = [net.features(part.float()) for part in torch.split(faces, 256)]
    return torch.cat(parts).reshape(len(images), FRAMES, -1).clone()


def _recurrent(seen: Tensor, labels: Tensor, asked: Tensor, epochs: int, *, seed: int) -> FloatArray:
    torch.manual_seed(seed)
    mean, deviation = seen.mean(dim=(0, 1)), seen.std(dim=(0, 1)) + 1e-3
    net = SequenceNet(seen.shape[2], len(EXPRESSIONS_AND_CONTEMPT))
    optimizer = torch.optim.AdamW(net.parameters(), lr=LEARNING_RATE, weight_decay=0.01)
    for _ in range(epochs):
        for rows in torch.split(torch.randperm(len(seen)), BATCH * VIEWS):
            loss = functional.cross_entropy(net((seen[rows] - mean) / deviation), labels[rows])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    net.eval()
    with torch.inference_mode():
        return torch.softmax(net((asked - mean) / deviation), dim=1).numpy()


def _averaged(seen: Tensor, labels: Tensor, asked: Tensor) -> FloatArray:
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=500))
    model.fit(seen.mean(dim=1).numpy(), labels.numpy())
    table = np.zeros((len(asked), len(EXPRESSIONS_AND_CONTEMPT)), np.float32)
    table[:, model.classes_] = model.predict_proba(asked.mean(dim=1).numpy())
    return table
