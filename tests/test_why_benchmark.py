"""The check of explanations counts right; what its figures are is no test's business."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mien.core import preprocess
from mien.core.types import ByteArray
from mien.engine.recognizer import load

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"


@pytest.fixture(scope="module")
def why() -> ModuleType:
    """Return the program as a module."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(BENCHMARKS)
        import why

        return why


@pytest.fixture(scope="module")
def crops(astronaut: ByteArray) -> ByteArray:
    boxes = np.array([[175, 62, 267, 176], [165, 62, 257, 176]], np.float32)
    return preprocess.crops(astronaut, boxes, 48)


@given(seed=st.integers(0, 999))
def test_a_moved_patch_keeps_its_shape(seed: int, why: ModuleType) -> None:
    generator = np.random.default_rng(seed)
    mask = np.zeros((48, 48), np.bool_)
    top, left = generator.integers(0, 30, 2)
    mask[top : top + 18, left : left + 18] = generator.random((18, 18)) < 0.2
    for patch in why.moved(mask, 5, generator):
        assert np.array_equal(cut_out(patch), cut_out(mask))


def cut_out(mask: np.ndarray[Any, np.dtype[np.bool_]]) -> np.ndarray[Any, np.dtype[np.bool_]]:
    rows, columns = np.nonzero(mask)
    return mask[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]


def test_patches_go_everywhere(why: ModuleType) -> None:
    mask = np.zeros((9, 9), np.bool_)
    mask[4:6, 4:6] = True
    assert why.moved(mask, 2000, np.random.default_rng(0)).any(axis=0).all()


def test_a_face_is_measured_and_read_back(why: ModuleType, crops: ByteArray, tmp_path: Path) -> None:
    progress = tmp_path / "progress" / "faces.jsonl"
    (first,) = why.reasons(crops, [1], load(), progress)
    assert (first.answer, first.origin, first.named) == ("happy", "landmarks", 3)
    assert len(first.blur_moved) == len(first.gray_moved) == why.MOVES
    # Blur named the region, so by blur it costs most.
    assert first.blur[first.named] == max(first.blur)
    # A run that was stopped within a line: that face is measured again, the others are not.
    known = json.dumps([0, asdict(first) | {"answer": "sad"}])
    progress.write_text(f'{known}\n[1, {{"answer": "ha', encoding="utf-8")
    again = list(why.reasons(crops, [0, 1], load(), progress))
    assert [face.answer for face in again] == ["sad", "happy"]
    assert again[1] == first
    assert [json.loads(line)[0] for line in progress.read_text("utf-8").splitlines()] == [0, 1]


def test_the_figures_are_means_over_faces(why: ModuleType) -> None:
    def face(answer: str, named: int, gray: list[float], moved: list[float]) -> Any:
        shares = [float(index == named) for index in range(5)]
        return why.Reason(answer, "frame", shares, named, 3, gray, gray, moved, moved)

    faces = [
        face("happy", 3, [0.0, 0.0, 0.0, 0.6], [0.2, 0.2]),
        face("happy", 3, [0.0, 0.0, 0.0, 0.2], [0.0, 0.3]),
        face("happy", 0, [0.1, 0.0, 0.0, 0.4], [0.0, 0.4]),
        face("sad", -1, [0.0, 0.0, 0.0, 0.0], []),
    ]
    found = why.figures(faces)
    assert (found["faces"], found["explained"], found["on_landmarks"]) == (4, 3, 0)
    values = {name: score.value for name, score in found["patches"]["gray"].items()}
    assert values == pytest.approx(
        {"named": 0.3, "patch": 1.1 / 6, "more": 0.7 / 6, "wins": 2 / 3, "wins_a_patch": 2 / 3}
    )
    values = {name: score.value for name, score in found["regions"].items()}
    others = {"named": 0.3, "others": 0.4 / 9, "usual": 0.4, "more_than_usual": -0.1, "mouth": 0.4, "is_largest": 2 / 3}
    assert values == pytest.approx(others)
    assert found["expressions"]["happy"]["shares"] == pytest.approx(
        {"brows": 1 / 3, "eyes": 0, "nose": 0, "mouth": 2 / 3}
    )
    page = why.page("command", found | {"times_ms": {"stream": 1.0, "explain": 2.0}})
    assert "| the crop's mean gray | 30.0 (" in page
