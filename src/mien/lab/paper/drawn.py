"""The drawn set as files: pictures that ``mien train`` reads, a table of them, and what they were drawn from."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path

import cv2

from mien.core.types import ByteArray
from mien.engine.results.writer import as_output_error, whole_file, write_whole
from mien.lab.datasets import FaceDataset, manifest

FOLDER = "set"
SPLITS = ("train", "test")  # as load_folders names them
COLUMNS = ("file", "split", "expression", "source_id")


def write_set(chosen: tuple[FaceDataset, FaceDataset], sources: Sequence[Path], out: Path) -> None:
    """Write ``set/train/angry/*.png`` and so on, ``set.csv`` and ``manifest.json`` into a folder.

    Pictures of an earlier set that are not in this one are removed.

    Parameters
    ----------
    chosen : tuple of FaceDataset
        Training and test part.
    sources : sequence of Path
        Files and folders that they were drawn from.
    out : Path

    Raises
    ------
    OutputError
        If a file cannot be written.
    """
    rows = []
    for split, faces in zip(SPLITS, chosen, strict=True):
        for image, label, source in zip(faces.images, faces.labels, faces.source_ids.tolist(), strict=True):
            expression = faces.label_names[label]
            file = f"{FOLDER}/{split}/{expression}/{source.replace(':', '-')}.png"  # no colon in a name on Windows
            _write_picture(out / file, image)
            rows.append((file, split, expression, source))
    _remove(set((out / FOLDER).glob("*/*/*.png")) - {out / file for file, *_ in rows})
    table = io.StringIO()
    csv.writer(table, lineterminator="\n").writerows([COLUMNS, *rows])
    write_whole(out / "set.csv", table.getvalue())
    content = manifest(sources, {"training": chosen[0], "test": chosen[1]})
    write_whole(out / "manifest.json", json.dumps(content, indent=2))


def _write_picture(path: Path, image: ByteArray) -> None:
    with whole_file(path) as partial:
        partial.write_bytes(cv2.imencode(".png", image)[1].tobytes())


def _remove(paths: set[Path]) -> None:
    for path in paths:
        with as_output_error(path):
            path.unlink()
