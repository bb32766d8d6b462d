"""``groups.csv``: which group each labeled face belongs to, checked row by row."""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mien.core.errors import DatasetError

FILE, SUBJECT = "file", "subject"
UNKNOWN = ("", "na", "n/a", "nan", "unknown")
"""What a cell without a group holds, in any case."""
EXPECTED = "expected UTF-8, commas, and a first line such as file,subject,sex,age"
FEW = 3  # names in a message


@dataclass(frozen=True, eq=False)
class Groups:
    """The groups of each face, in the order of the faces.

    Parameters
    ----------
    columns : dict of str to list of str
        ``""`` where the group is unknown.
    subjects : (N,) ndarray of str or None
        The person on each picture, ``""`` where unknown; None where the file has no such column.
    notes : tuple of str
        What was left out, for people.
    """

    columns: dict[str, list[str]]
    subjects: npt.NDArray[np.str_] | None
    notes: tuple[str, ...]


def read_groups(path: Path, files: Sequence[str], others: Collection[str] = ()) -> Groups:
    """Read the groups of faces.

    Parameters
    ----------
    path : Path
        A CSV file with the column ``file``, a column for each way to group the faces, and perhaps ``subject``.
    files : sequence of str
        Paths of the faces below their folder, with slashes.
    others : collection of str
        Further faces of the folder, which may be named and are left out.

    Raises
    ------
    DatasetError
        If it cannot be read, has no header or no groups, or names files that are not there or one file twice.
    """
    header, rows = _table(path)
    place = header.index(FILE)
    known, lines = dict[str, list[str]](), dict[str, int]()
    for line, cells in rows:
        name = _name(cells[place])
        if name in lines:
            raise DatasetError(
                f"{path}, line {line}: names {name!r} as line {lines[name]} does: expected one row a file"
            )
        known[name], lines[name] = [cell.strip() for cell in cells], line
    _check_names(path, known, {*files, *others})
    nothing = [""] * len(header)
    table = [known.get(name, nothing) for name in files]
    columns = {
        name: [_group(row[place]) for row in table] for place, name in enumerate(header) if name not in (FILE, SUBJECT)
    }
    subjects = None
    if SUBJECT in header:
        subjects = np.array([_group(row[header.index(SUBJECT)]) for row in table], np.str_)
    return Groups(columns, subjects, tuple(_notes(path, known, files, subjects)))


def _table(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    if not path.is_file():
        problem = "is no file" if path.exists() else "no such file"
        raise DatasetError(f"{path}: {problem}: expected a CSV file with a first line such as file,subject,sex,age")
    try:
        text = path.read_bytes().decode("utf-8-sig")
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        header = [name.strip() for name in next(reader, [])]
        rows = [(reader.line_num, cells) for cells in reader if any(map(str.strip, cells))]
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({error.strerror}): expected a CSV file") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"{path}: cannot be read ({error}): {EXPECTED}") from error
    header = [name.lower() if name.lower() in (FILE, SUBJECT) else name for name in header]
    if FILE not in header:
        raise DatasetError(f"{path}: its first line, {_few(header)}, has no column {FILE!r}: {EXPECTED}")
    if "" in header or len(set(header)) < len(header):
        raise DatasetError(f"{path}: its first line, {_few(header)}, names a column twice or not at all: {EXPECTED}")
    if not set(header) - {FILE, SUBJECT}:
        raise DatasetError(f"{path}: has no column of groups: {EXPECTED}")
    for line, cells in rows:
        if len(cells) != len(header):
            raise DatasetError(
                f"{path}, line {line}: has {len(cells)} values: expected {len(header)}, as its first line"
            )
    return header, rows


def _name(cell: str) -> str:
    return cell.strip().replace("\\", "/").removeprefix("./")


def _group(cell: str) -> str:
    return "" if cell.lower() in UNKNOWN else cell


def _check_names(path: Path, named: Collection[str], there: Collection[str]) -> None:
    missing = [name for name in named if name not in there]
    if missing:
        example = min(there)
        raise DatasetError(
            f"{path}: {len(missing):,} of its files are no labeled faces of the folder ({_few(missing)}): "
            f"expected paths below it, such as {example}"
        )


def _notes(
    path: Path, named: Collection[str], files: Sequence[str], subjects: npt.NDArray[np.str_] | None
) -> Iterator[str]:
    left_out, without = len(set(named) - set(files)), len(set(files) - set(named))
    if left_out:
        yield f"{left_out:,} rows of {path.name} are left out: of another split, or an expression the net does not know"
    if without:
        yield f"{without:,} of {len(files):,} faces have no row in {path.name}: their groups are unknown"
    if subjects is not None and (alone := int((subjects == "").sum())):
        yield f"of {alone:,} faces it is unknown whose they are: each counts as a person of its own"


def _few(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:FEW])
    return f"{shown} ..." if len(names) > FEW else shown or "which is empty"
