"""Reads tables back as rows, whatever their format."""

from __future__ import annotations

import csv
from pathlib import Path

import pyarrow.parquet

from mien.core.types import Row
from mien.engine.results import read_jsonl

TEXTS = ("source", "expression")
WHOLE_NUMBERS = ("frame", "track_id", "face", "frames", "second")


def read_csv(path: Path) -> list[Row]:
    def value(name: str, text: str) -> object:
        if not text or name in TEXTS:
            return text or None
        return int(text) if name in WHOLE_NUMBERS else float(text)

    with path.open(encoding="utf-8", newline="") as file:
        return [{name: value(name, text) for name, text in row.items()} for row in csv.DictReader(file)]


def read_table(path: Path) -> list[Row]:
    if path.suffix == ".csv":
        return read_csv(path)
    if path.suffix == ".parquet":
        rows: list[Row] = pyarrow.parquet.read_table(path).to_pylist()
        return rows
    return read_jsonl(path)[1]


def files_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())
