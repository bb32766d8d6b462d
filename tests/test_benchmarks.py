"""The benchmark of real time runs and says what it measured; what the figures are is no test's business."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from mien.engine.video import frames

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"

STAND_IN = """
class FER:
    def __init__(self, mtcnn):
        assert mtcnn is False

    def detect_emotions(self, img):
        assert img.shape == (720, 1280, 3)
        print("WARNING: no end of line", end="")
        return [{"box": [1, 2, 3, 4], "emotions": {"happy": 1.0}}]
"""


@dataclass(frozen=True)
class Run:
    """What a run wrote."""

    record: dict[str, Any]
    page: str


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Return what a quick run writes where fer, or what looks like it, can be imported."""
    out, packages = tmp_path_factory.mktemp("out"), tmp_path_factory.mktemp("packages")
    (packages / "fer").mkdir()
    (packages / "fer" / "__init__.py").touch()
    (packages / "fer" / "fer.py").write_text(STAND_IN, "utf-8")
    command = [sys.executable, "-W", "error", str(BENCHMARKS / "realtime.py"), "--quick", "--fer", sys.executable]
    environment = os.environ | {"PYTHONPATH": str(packages)}
    subprocess.run([*command, "--out", str(out)], env=environment, check=True, capture_output=True, timeout=300)
    return Run(json.loads((out / "realtime.json").read_text("utf-8")), (out / "realtime.md").read_text("utf-8"))


@pytest.fixture(scope="module")
def realtime() -> ModuleType:
    """Return the program as a module."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(BENCHMARKS)
        import realtime

        return realtime


def test_every_figure_is_above_zero(run: Run) -> None:
    for name in ("stages", "net", "cold_start", "memory", "ids", "fer"):
        numbers = [value for row in run.record[name] for value in row.values() if not isinstance(value, str)]
        assert numbers, name
        assert min(numbers) > 0, name
    for row in run.record["frames"]:
        assert all(value > 0 for name, value in row.items() if name.endswith(("ms", "second"))), row


def test_each_stage_size_and_batch_has_its_row(run: Run) -> None:
    assert {"detect, whole picture", "detect, window", "crop", "net", "track", "draw"} <= {
        row["stage"] for row in run.record["stages"]
    }
    sizes = [(size, faces) for size in ("640x480", "1280x720", "1920x1080") for faces in (0, 1, 5, 20)]
    assert [(row["size"], row["faces"]) for row in run.record["frames"]] == sizes
    assert [row["batch"] for row in run.record["net"]] == [1, 2, 4, 8, 16, 32, 64]
    assert [row["frames"] for row in run.record["memory"]] == [100, 200, 300]
    assert {"platform", "python", "cores", "load", "processor", "onnxruntime"} <= run.record["machine"].keys()


def test_frames_show_as_many_faces_as_they_say(run: Run) -> None:
    for row in run.record["frames"]:
        assert row["found"] == row["stream_found"] == row["faces"], row


def test_what_was_asked_stands_beside_what_was_measured(run: Run) -> None:
    assert [row["target"] for row in run.record["targets"]] == [12, None, 0.8, 300, 20]
    assert [row["fer"] is not None for row in run.record["targets"]] == [True, False, True, True, False]
    assert run.record["targets"][0]["mien"] == run.record["frames"][5]["ms"]


def test_the_page_holds_the_figures(run: Run, realtime: ModuleType) -> None:
    record = dict(run.record)
    command, facts = record.pop("command"), record.pop("machine")
    assert run.page == realtime.page(facts, command, record)
    assert "`python benchmarks/realtime.py --quick --fer PYTHON`" in run.page
    for row in record["memory"]:
        assert f"| {row['frames']} | {row['resident_mb']:.1f} | {row['peak_mb']:.1f} |" in run.page
    assert run.page.count("\n## ") == len(record)


def test_without_fer_its_column_is_empty(run: Run, realtime: ModuleType, tmp_path: Path) -> None:
    assert realtime.fer(None, tmp_path / "no.png", realtime.QUICK) == []
    assert all(row["fer"] is None for row in realtime.targets(run.record | {"fer": []}))
    assert "| what | target | mien | fer |" in realtime.page({}, "", {**run.record, "fer": []})


def test_a_loop_shows_its_pictures_over_and_over_without_a_gap(realtime: ModuleType, tmp_path: Path) -> None:
    path = realtime.write_loop(tmp_path / "loop.mp4", realtime.scene(320, 240, 1, 10), 35)
    read = [(frame.index, round(frame.time_s, 3)) for frame in frames(path)]
    assert read == [(index, index / 25) for index in range(40)]
