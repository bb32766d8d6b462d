"""What ``mien audit`` does: whether a net reads some groups of faces worse than others."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from mien.app.audit.groups import read_groups
from mien.core.errors import DatasetError, OptionError
from mien.engine.processes import cores
from mien.engine.recognizer import Recognizer, load
from mien.engine.results.writer import make_folder
from mien.lab.datasets import FaceDataset, find_data, load_folders
from mien.lab.evaluation import in_batches
from mien.lab.evaluation.audit import Audit, audit


@dataclass(frozen=True, eq=False)
class Audited:
    """An audit with what it is of.

    Parameters
    ----------
    folder, groups : Path
        Of the faces, and the file of their groups.
    recognizer : Recognizer
    faces : int
        How many were read.
    has_people : bool
        Whether pictures of one person were drawn together.
    notes : tuple of str
        What was left out.
    audit : Audit
    """

    folder: Path
    groups: Path
    recognizer: Recognizer
    faces: int
    has_people: bool
    notes: tuple[str, ...]
    audit: Audit


def audit_faces(
    folder: Path, groups: Path, model: str, references: Sequence[str], out: Path | None, console: Console
) -> Audited:
    """Compare how well a net reads groups of labeled faces; with `out`, write all of it.

    Parameters
    ----------
    folder : Path
        Labeled faces, ``happy/1.jpg``, of which only ``test`` is read where it has one.
    groups : Path
        CSV file with the column ``file``, columns of groups, and perhaps ``subject``.
    model : str
        Name or path, as :func:`mien.load` takes it.
    references : sequence of str
        ``column=group``: what the other groups of a column are compared with.
    out : Path or None
        Folder for ``audit.html``, ``audit.md``, ``audit.json`` and a figure for each column.
    console : Console
        Where it is shown that work goes on, if it is a terminal.

    Raises
    ------
    ModelError, DatasetError, OptionError, OutputError
        Before any work.
    """
    recognizer = load(model, threads=cores())
    if out is not None:
        make_folder(out)
    there = _faces_of(folder)
    faces = there.tested().of_labels(recognizer.card.labels)
    if not len(faces):
        raise OptionError(f"{folder}: no face has a label of {model}: expected {', '.join(recognizer.card.labels)}")
    read = read_groups(groups, _files(faces), _files(there))
    asked = _references(references, read.columns)
    with console.status("comparing groups") if console.is_terminal else nullcontext():
        compared = audit(
            in_batches(recognizer, faces.images),
            faces.labels,
            faces.label_names,
            read.columns,
            subjects=read.subjects,
            uncertain_below=recognizer.card.uncertain_below,
            references=asked,
        )
    done = Audited(folder, groups, recognizer, len(faces), read.subjects is not None, read.notes, compared)
    if out is not None:
        from mien.app.audit.report import write_audit  # matplotlib, which the screen does not need

        write_audit(done, out)
    return done


def _faces_of(folder: Path) -> FaceDataset:
    if not folder.is_dir():
        problem = "is no folder" if folder.exists() else "no such folder"
        raise DatasetError(f"{folder}: {problem}: expected one of labeled faces, happy/1.jpg")
    found = find_data(folder)
    if found.fer2013 is not None or found.ck48 is not None:
        raise DatasetError(
            f"{folder}: holds data sets: expected one folder of labeled faces, happy/1.jpg, as CK+48 is; FER2013 has "
            "no files that groups could name: write its faces as pictures first"
        )
    return load_folders(folder)


def _files(faces: FaceDataset) -> list[str]:
    return [source.removeprefix("folder:") for source in faces.source_ids.tolist()]


def _references(asked: Sequence[str], columns: dict[str, list[str]]) -> dict[str, str]:
    references = {}
    for text in asked:
        column, sign, group = text.partition("=")
        if not sign or column not in columns:
            raise OptionError(f"--reference {text}: expected COLUMN=GROUP, the column one of {', '.join(columns)}")
        references[column] = group
    return references
