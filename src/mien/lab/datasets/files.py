"""Where the data sets are on this machine, and how their files are opened."""

from __future__ import annotations

import csv
import gzip
import io
import lzma
import os
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from mien.core.errors import DatasetError

FER2013_NAMES = tuple(
    name + suffix for name in ("fer2013.csv", "icml_face_data.csv") for suffix in ("", ".xz", ".gz", ".zip")
)
FERPLUS_NAMES = ("fer2013new.csv",)
CK48_NAMES = ("CK+48",)

ORIGINS = {
    "fer2013": "Kaggle, 'Challenges in Representation Learning: Facial Expression Recognition Challenge'",
    "ferplus": "https://github.com/microsoft/FERPlus",
    "ck48": "the CK+48 folders in common use; ask the authors of CK+ for access",
}


@dataclass(frozen=True)
class DataFiles:
    """Paths of the data sets in one directory; None where one is not there.

    Parameters
    ----------
    directory : Path
        Where they were looked for.
    fer2013 : Path or None
        ``fer2013.csv`` or Kaggle's ``icml_face_data.csv``, plain or as .xz, .gz or .zip.
    ferplus : Path or None
        ``fer2013new.csv`` of FER+.
    ck48 : Path or None
        The folder ``CK+48``.
    """

    directory: Path
    fer2013: Path | None
    ferplus: Path | None
    ck48: Path | None

    def need(self, name: str) -> Path:
        """Return the path of ``fer2013``, ``ferplus`` or ``ck48``.

        Raises
        ------
        DatasetError
            If it is not there: what was looked for, where, and where people get it.
        """
        path: Path | None = getattr(self, name)
        if path is None:
            names = {"fer2013": FER2013_NAMES, "ferplus": FERPLUS_NAMES, "ck48": CK48_NAMES}[name]
            raise DatasetError(f"{self.directory}: has none of {', '.join(names)}; to be had from {ORIGINS[name]}")
        return path


def find_data(directory: str | Path | None = None) -> DataFiles:
    """Find the data sets that mien knows.

    Parameters
    ----------
    directory : path_like, optional
        Where to look; by default the environment variable ``MIEN_DATA``.

    Raises
    ------
    DatasetError
        If no directory is given, or it does not exist.
    """
    given = directory or os.environ.get("MIEN_DATA")
    if not given:
        raise DatasetError("no data directory given: pass --data DIR or set MIEN_DATA")
    folder = Path(given)
    if not folder.is_dir():
        raise DatasetError(f"{folder}: is not a directory: expected one that holds fer2013.csv, fer2013new.csv, CK+48")

    def first(names: tuple[str, ...]) -> Path | None:
        return next((folder / name for name in names if (folder / name).exists()), None)

    return DataFiles(folder, first(FER2013_NAMES), first(FERPLUS_NAMES), first(CK48_NAMES))


def read_csv(path: Path, columns: tuple[str, ...]) -> Iterator[tuple[int, list[str]]]:
    """Read chosen columns of a CSV file, compressed or not, whatever their order in the file.

    Parameters
    ----------
    path : Path
        A .csv file, plain or as .xz, .gz or .zip.
    columns : tuple of str
        Names in the header; space around them and their case do not matter.

    Yields
    ------
    line : int
        Number of the line in the file, from 1.
    values : list of str
        One value for each of `columns`.

    Raises
    ------
    DatasetError
        If the file cannot be read or breaks off, or a column or value is missing.
    """
    with _readable(path), _opened(path) as file:
        reader = csv.reader(io.TextIOWrapper(file, "utf-8-sig", newline=""))
        header = [name.strip().lower() for name in next(reader, [])]
        missing = [name for name in columns if name.lower() not in header]
        if missing:
            raise DatasetError(f"{path}: has no column {missing[0]!r}: expected the columns {', '.join(columns)}")
        places = [header.index(name.lower()) for name in columns]
        for row in reader:
            if not row:
                continue
            if len(row) != len(header):
                raise DatasetError(
                    f"{path}, line {reader.line_num}: has {len(row)} values: expected {len(header)}; get the file again"
                )
            yield reader.line_num, [row[place] for place in places]


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Turn what decompression, decoding and the disk may raise into one line."""
    broken = (OSError, EOFError, lzma.LZMAError, zlib.error, zipfile.BadZipFile, UnicodeDecodeError, csv.Error)
    try:
        yield
    except broken as error:
        raise DatasetError(f"{path}: cannot be read ({error}): expected a CSV file, plain, .xz, .gz or .zip") from error


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            tables = [name for name in archive.namelist() if name.endswith(".csv")]
            if len(tables) != 1:
                raise DatasetError(f"{path}: holds {len(tables)} CSV files: expected exactly one")
            with archive.open(tables[0]) as file:
                yield file
    elif path.suffix == ".xz":
        with lzma.open(path) as file:
            yield file
    elif path.suffix == ".gz":
        with gzip.open(path) as unpacked:
            yield cast("IO[bytes]", unpacked)
    else:
        with path.open("rb") as plain:
            yield plain
