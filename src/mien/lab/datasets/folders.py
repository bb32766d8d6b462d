"""Data sets that are folders of pictures: FER2013 as JPEGs, CK+48.

P. Lucey, J. F. Cohn, T. Kanade, J. Saragih, Z. Ambadar, I. Matthews, "The extended Cohn-Kanade dataset (CK+)",
CVPRW 2010, https://doi.org/10.1109/CVPRW.2010.5543262
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from mien.core import preprocess
from mien.core.errors import DatasetError, OptionError
from mien.core.labels import EXPRESSIONS, EXPRESSIONS_AND_CONTEMPT, canonical
from mien.core.types import ByteArray
from mien.lab.datasets.faces import SIDE, FaceDataset

CK48 = "ck:"  # before the file names of its faces, as ids

FOLDER_SPLITS = {
    "train": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
}
"""Folders that are splits, and the names of these."""

SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")


def load_folders(directory: str | Path) -> FaceDataset:
    """Load pictures that lie in ``train/angry/*.jpg``, ``test/happiness/*.png`` and so on, or in ``angry/*.jpg``.

    Parameters
    ----------
    directory : path_like
        Holds ``train``, ``validation`` (``val``, ``valid``) or ``test``, each with one folder for each expression, or
        these folders themselves, under any name that :func:`mien.core.labels.canonical` knows. Pictures may have any
        size; they are made gray and squeezed to 48x48.

    Returns
    -------
    FaceDataset
        `split` is ``train``, ``validation`` or ``test``, ``""`` where there are no such folders. FER2013 in this form
        merges PublicTest and PrivateTest into ``test``, so its figures are none of `PrivateTest`. There is an eighth
        class where there are folders of contempt.

    Raises
    ------
    DatasetError
        If there is no such folder, a folder's name is no expression, or a picture cannot be read.
    """
    root = Path(directory)
    names = [name for name in FOLDER_SPLITS if (root / name).is_dir()] or [""]
    files = [(FOLDER_SPLITS.get(name, ""), path, label) for name in names for path, label in _pictures(root / name)]
    if not files:
        raise DatasetError(
            f"{root}: holds no pictures like train/angry/1.jpg or angry/1.jpg: expected labeled faces, or fer2013.csv"
        )
    labels = np.array([label for _, _, label in files], np.int64)
    return FaceDataset(
        images=np.stack([_read_gray(path) for _, path, _ in files]),
        labels=labels,
        label_names=EXPRESSIONS if labels.max() < len(EXPRESSIONS) else EXPRESSIONS_AND_CONTEMPT,
        split=np.array([name for name, _, _ in files], np.str_),
        source_ids=np.array([f"folder:{path.relative_to(root).as_posix()}" for _, path, _ in files], np.str_),
    )


def load_ck48(directory: str | Path) -> FaceDataset:
    """Load CK+48: the last three frames of each sequence of CK+, cut to 48x48, in one folder for each expression.

    Parameters
    ----------
    directory : path_like
        Holds ``anger``, ``contempt``, ``disgust``, ``fear``, ``happy``, ``sadness``, ``surprise`` with files like
        ``S010_004_00000017.png``.

    Returns
    -------
    FaceDataset
        Eight classes, of which neutral has no faces; `subjects` are the first four characters of the file names. The
        three frames of a sequence are nearly identical: split it by subject.

    Raises
    ------
    DatasetError
        If there is no such folder, a folder's name is no expression, or a picture cannot be read.
    """
    files = _pictures(Path(directory))
    names = [f"{CK48}{path.stem}" for path, _ in files]
    if not files:
        raise DatasetError(f"{directory}: holds no pictures like anger/S010_004_00000017.png: expected CK+48")
    return FaceDataset(
        images=np.stack([_read_gray(path) for path, _ in files]),
        labels=np.array([label for _, label in files], np.int64),
        label_names=EXPRESSIONS_AND_CONTEMPT,
        split=np.full(len(files), "", np.str_),
        source_ids=np.array(names, np.str_),
        subjects=subjects_of(names),
    )


def subjects_of(source_ids: Iterable[str]) -> npt.NDArray[np.str_]:
    """Return the person on each face of CK+48, or of each sequence, by its name; ``""`` for those of other data sets.

    Examples
    --------
    >>> subjects_of(["ck:S010_004_00000017", "fer2013:5"]).tolist()
    ['S010', '']
    """
    return np.array([name[len(CK48) :][:4] if name.startswith(CK48) else "" for name in source_ids], np.str_)


def _pictures(directory: Path) -> list[tuple[Path, int]]:
    """Return the pictures in folders of expressions with their labels, in the order of their paths."""
    if not directory.is_dir():
        return []
    folders = sorted(path for path in directory.iterdir() if path.is_dir() and not path.name.startswith("."))
    found = []
    for folder in folders:
        try:
            label = EXPRESSIONS_AND_CONTEMPT.index(canonical(folder.name))
        except OptionError as error:
            raise DatasetError(f"{folder}: {error}") from error
        found += [(path, label) for path in sorted(folder.iterdir()) if path.suffix.lower() in SUFFIXES]
    return found


def _read_gray(path: Path) -> ByteArray:
    try:
        content = np.frombuffer(path.read_bytes(), np.uint8)  # cv2.imread cannot open every path on Windows
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({error.strerror}): expected a picture") from error
    picture = cv2.imdecode(content, cv2.IMREAD_COLOR_RGB) if len(content) else None
    if picture is None:
        raise DatasetError(f"{path}: is no readable picture: expected one of {', '.join(SUFFIXES)}")
    return preprocess.resize(preprocess.gray(np.asarray(picture, np.uint8)), SIDE)
