"""The public surface is frozen: a change here is announced in CHANGELOG.md."""

from __future__ import annotations

import inspect
import subprocess
import sys
from collections.abc import Callable

import pytest

import mien

NAMES = [
    "Explanation",
    "Faces",
    "FrameResult",
    "MienError",
    "ModelCard",
    "Pipeline",
    "Recognizer",
    "__version__",
    "analyze",
    "analyze_many",
    "explain",
    "load",
    "stream",
    "watch",
]


def test_the_public_names_are_these() -> None:
    assert sorted(mien.__all__) == NAMES


@pytest.mark.parametrize("name", [name for name in NAMES if name != "__version__"])
def test_each_name_is_there_listed_and_documented(name: str) -> None:
    value = getattr(mien, name)
    assert value.__name__ == name
    assert value.__module__.startswith("mien.")
    assert inspect.getdoc(value)
    assert name in dir(mien)


@pytest.mark.parametrize(
    ("call", "positional"),
    [
        (mien.analyze, ["image"]),
        (mien.analyze_many, ["images"]),
        (mien.stream, ["source"]),
        (mien.load, ["name_or_path"]),
        (mien.Pipeline, []),
        (mien.explain, ["picture", "face"]),
    ],
)
def test_options_are_keyword_only(call: Callable[..., object], positional: list[str]) -> None:
    parameters = inspect.signature(call).parameters.values()
    assert [p.name for p in parameters if p.kind is not p.KEYWORD_ONLY] == positional


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'mien' has no attribute 'read'"):
        mien.read  # noqa: B018


def test_everything_comes_with_a_star() -> None:
    code = "from mien import *; print(*sorted(name for name in globals() if name == '__version__' or name[0] != '_'))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.split() == NAMES
