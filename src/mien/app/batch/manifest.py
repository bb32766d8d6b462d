"""What made a data set: one model with one set of options; and what is in it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mien.app.batch.tasks import Told
from mien.core.errors import OptionError
from mien.core.types import Row
from mien.engine.results.writer import make_folder, write_whole

NAME = "manifest.json"
INPUT_COLUMNS = ("source", "bytes", "sha256", "frames", "faces", "seconds", "mien", "stage", "error")


def begin(folder: Path, manifest: Row) -> None:
    """Begin a data set, or go on with one of the same model and options.

    Parameters
    ----------
    folder : Path
    manifest : dict
        ``model`` with ``name`` and ``sha256``, ``options``, and what else is to be told.

    Raises
    ------
    OptionError
        If there is another data set, or something else, in the folder.
    """
    path = folder / NAME
    if not path.exists():
        if folder.exists() and (not folder.is_dir() or any(not file.name.startswith(".") for file in folder.iterdir())):
            raise OptionError(f"{folder}: is no data set of mien batch: name a new or an empty folder")
        make_folder(folder)
        finish(folder, manifest, [])
        return
    try:
        before = json.loads(path.read_text("utf-8"))
        differing = _differing(before, manifest)
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise OptionError(f"{path}: is no manifest of mien batch: name a new or an empty folder") from error
    if differing:
        raise OptionError(
            f"{folder}: was made with {'; '.join(differing)}: give what it was made with, or name another folder"
        )


def _differing(before: Row, now: Row) -> list[str]:
    told = []
    if before["model"]["sha256"] != now["model"]["sha256"]:
        models = [f"{one['model']['name']} ({one['model']['sha256'][:8]})" for one in (before, now)]
        hint = " (--gpus takes one of its own)" if before["model"]["name"] == now["model"]["name"] else ""
        told.append(f"model {models[0]}, not {models[1]}{hint}")
    options = {**now["options"], **before["options"]}
    for name in options:
        values = [one["options"].get(name) for one in (before, now)]
        if values[0] != values[1]:
            told.append(f"{name} {json.dumps(values[0])}, not {json.dumps(values[1])}")
    return told


def finish(folder: Path, manifest: Row, inputs: Sequence[Told]) -> None:
    """Write the manifest with all inputs, one on a line."""
    head = json.dumps(manifest, indent=2, ensure_ascii=False).removesuffix("\n}")
    lines = [json.dumps(_input(told), ensure_ascii=False) for told in inputs]
    rows = ",\n    ".join(lines)
    write_whole(folder / NAME, f'{head},\n  "inputs": [{f"{chr(10)}    {rows}{chr(10)}  " if lines else ""}]\n}}\n')


def _input(told: Told) -> dict[str, Any]:
    row = {name: getattr(told, name) for name in INPUT_COLUMNS}
    return {name: value for name, value in row.items() if value != "" or name == "sha256"}
