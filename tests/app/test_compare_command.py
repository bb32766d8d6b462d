"""mien compare as a whole: rows, table, what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from footage import write_fer2013
from rich.console import Console

from mien.app.compare import SEQUENCES, compare_nets, sequence_rows
from mien.core.errors import DatasetError, OptionError
from mien.lab.compare import COLUMNS, entries, rows_done


def row(name: str) -> dict[str, object]:
    score = {"value": 0.5, "low": 0.4, "high": 0.6, "count": 10}
    return {
        "name": name,
        "minutes": 0.5,
        "source": f"source of {name}",
        "recipe": {"architecture": name, "epochs": 3},
        "parameters": 123_456,
        "megaflops": 7.0,
        "milliseconds": 0.4,
        "seconds": 29.7,
        "public_accuracy": 0.55,
        **dict.fromkeys(("accuracy", "macro_f1", "calibration_error"), score),
    }


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_fer2013(tmp_path_factory.mktemp("data"))


@pytest.fixture
def done(tmp_path: Path) -> Path:
    for name in ("vgg", "paper"):
        (tmp_path / f"{name}.json").write_text(json.dumps(row(name)), "utf-8")
    return tmp_path


def test_rows_that_are_done_stand_in_the_table_in_its_order(done: Path, data: Path) -> None:
    path = compare_nets(["vgg", "paper"], data, done, Console(), minutes=0.5, processes=1)
    text = path.read_text("utf-8")
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    assert [line.split(" | ")[0] for line in lines] == ["| net", "| ---", "| paper", "| vgg"]
    assert lines[2] == "| paper | 50.0 (40.0 to 60.0) | 55.0 | 0.500 | 0.500 | 0.12 | 7 | 0.4 | 30 | 3 |"
    assert len(COLUMNS) == lines[2].count(" | ") + 1
    assert "* `vgg`: source of vgg" in text
    assert "* `seven-conv, step rate`: beside the cosine" not in text  # its row is not there
    assert "Sequences of CK+48" not in text
    assert [one["name"] for one in rows_done(done)] == ["paper", "vgg"]


def test_a_row_that_differs_says_after_whom(done: Path, data: Path) -> None:
    name = "seven-conv, step rate"
    (done / "seven-conv-step-rate.json").write_text(
        json.dumps(row(name) | {"recipe": {"architecture": "seven-conv", "epochs": 3}}), "utf-8"
    )
    text = compare_nets([name], data, done, Console(), minutes=0.5, processes=1).read_text("utf-8")
    assert f"* `{name}`: beside the cosine" in text


def test_sequences_stand_below(done: Path, data: Path) -> None:
    (done / f"{SEQUENCES}.json").write_text(json.dumps({"some net": "92.0 %"}), "utf-8")
    text = compare_nets([SEQUENCES], data, done, Console(), minutes=0.5, processes=1).read_text("utf-8")
    assert "## Sequences of CK+48" in text
    assert "| some net | 92.0 % |" in text
    assert sequence_rows(done) == {"some net": "92.0 %"}


def test_what_cannot_be_done_is_refused_before_any_work(tmp_path: Path, data: Path) -> None:
    with pytest.raises(OptionError, match="no row 'alexnet': expected one of default"):
        compare_nets(["alexnet"], data, tmp_path / "out", Console(), minutes=1, processes=1)
    with pytest.raises(DatasetError, match=r"has none of fer2013\.csv"):
        compare_nets([], tmp_path, tmp_path / "out", Console(), minutes=1, processes=1)
    with pytest.raises(DatasetError, match=r"has none of CK\+48"):  # its rows come last
        compare_nets([], data, tmp_path / "out", Console(), minutes=1, processes=1)
    assert not (tmp_path / "out").exists()
    assert SEQUENCES not in {entry.name for entry in entries()}
