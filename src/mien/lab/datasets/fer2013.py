"""FER2013 as people have it: 35,887 gray faces of 48x48 pixels in one CSV file.

I. Goodfellow et al., "Challenges in representation learning: a report on three machine learning contests",
ICONIP 2013, https://doi.org/10.1007/978-3-642-42051-1_16
"""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mien.core.errors import DatasetError
from mien.core.labels import EXPRESSIONS, EXPRESSIONS_AND_CONTEMPT
from mien.core.types import ByteArray, IntArray
from mien.lab.datasets.faces import SIDE, FaceDataset
from mien.lab.datasets.ferplus import ferplus_distribution, read_ferplus
from mien.lab.datasets.files import find_data, read_csv

OFFICIAL_SPLITS = ("Training", "PublicTest", "PrivateTest")

# emotion 0-6 is mien's own order, which was taken from here.
_CODES = {str(code): code for code in range(len(EXPRESSIONS))}


def load_fer2013(source: str | Path | None = None, ferplus: str | Path | None = None) -> FaceDataset:
    """Load FER2013, joined with the votes of FER+ where they are at hand.

    Parameters
    ----------
    source : path_like, optional
        ``fer2013.csv`` or Kaggle's ``icml_face_data.csv``, plain or as .xz, .gz or .zip; or the directory that holds
        one of them, in which ``fer2013new.csv`` is found too; by default the directory ``MIEN_DATA``.
    ferplus : path_like, optional
        ``fer2013new.csv``; needed only where `source` is a file.

    Returns
    -------
    FaceDataset
        Rows in the order of the file. Labels are the original ones. With FER+ there are eight classes (the original
        labels never use the eighth, contempt), `votes`, and `distributions` of :func:`ferplus_distribution`.

    Raises
    ------
    DatasetError
        If a file is missing or malformed; the row is named.
    """
    path, votes_path = _paths(source, ferplus)
    images, labels, split = _read(path)
    ids = np.array([f"fer2013:{row}" for row in range(len(labels))], np.str_)
    if votes_path is None:
        return FaceDataset(images, labels, EXPRESSIONS, split, ids)
    votes = read_ferplus(votes_path, split)
    return FaceDataset(
        images=images,
        labels=labels,
        label_names=EXPRESSIONS_AND_CONTEMPT,
        split=split,
        source_ids=ids,
        distributions=ferplus_distribution(votes),
        votes=votes,
    )


def _paths(source: str | Path | None, ferplus: str | Path | None) -> tuple[Path, Path | None]:
    votes = Path(ferplus) if ferplus else None
    if source is not None and not Path(source).is_dir():
        return Path(source), votes
    files = find_data(source)
    return files.need("fer2013"), votes or files.ferplus


def _read(path: Path) -> tuple[ByteArray, IntArray, npt.NDArray[np.str_]]:
    rows: list[ByteArray] = []
    labels, split = [], []
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # numpy stops at what is no number and only warns
        for line, (emotion, usage, pixels) in read_csv(path, ("emotion", "Usage", "pixels")):
            place = f"{path}, row {len(rows)} (line {line})"
            if emotion.strip() not in _CODES:
                raise DatasetError(f"{place}: emotion {emotion!r}: expected 0 to {len(EXPRESSIONS) - 1}")
            if usage.strip() not in OFFICIAL_SPLITS:
                raise DatasetError(f"{place}: Usage {usage!r}: expected one of {', '.join(OFFICIAL_SPLITS)}")
            labels.append(_CODES[emotion.strip()])
            split.append(usage.strip())
            rows.append(_pixels(pixels, place))
    if not rows:
        raise DatasetError(f"{path}: has no rows: expected FER2013's 35,887 faces")
    return np.stack(rows), np.array(labels, np.int64), np.array(split, np.str_)


def _pixels(text: str, place: str) -> ByteArray:
    """Return one face; text mode of ``np.fromstring`` takes 1.5 s for all rows, splitting them 6 s."""
    try:
        values = np.fromstring(text, np.int64, sep=" ")
    except (ValueError, DeprecationWarning) as error:
        wrong = next((word for word in text.split() if not word.isdecimal()), text[:20])
        raise DatasetError(f"{place}: pixel {wrong!r}: expected whole numbers from 0 to 255") from error
    if len(values) != SIDE * SIDE:
        raise DatasetError(f"{place}: has {len(values)} pixels: expected {SIDE * SIDE}; get the file again")
    if values.min() < 0 or values.max() > 255:
        wrong = str(values[(values < 0) | (values > 255)][0])
        raise DatasetError(f"{place}: pixel {wrong}: expected whole numbers from 0 to 255")
    return values.astype(np.uint8).reshape(SIDE, SIDE)
