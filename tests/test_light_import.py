"""What most people import costs little: no framework, no plots, no server."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = ("torch", "matplotlib", "fastapi", "ray", "sklearn", "skimage", "pandas")


def loaded(statement: str, path: Path | None = None) -> set[str]:
    """Return which heavy libraries a new process has loaded after a statement; it may print nothing of its own."""
    code = f"import sys\n{statement}\nprint(*sorted(set({HEAVY!r}) & set(sys.modules)))"
    environment = os.environ | ({"PYTHONPATH": str(path)} if path else {})
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stderr == ""
    (line,) = done.stdout.splitlines()
    return set(line.split())


@pytest.mark.parametrize(
    "statement",
    [
        "import mien",
        "import mien.engine.recognizer",
        "import mien.engine.pipeline",
        "import mien.compat",
        "import mien.app.cli",
        "import mien; mien.load().card; mien.analyze; mien.stream",
    ],
)
def test_nothing_heavy_is_loaded(statement: str) -> None:
    assert loaded(statement) == set()


@pytest.mark.parametrize("library", HEAVY)
def test_each_heavy_library_would_be_noticed(library: str, tmp_path: Path) -> None:
    # A stand-in, since the real one takes seconds or is not installed.
    (tmp_path / f"{library}.py").touch()
    assert loaded(f"import mien, {library}", tmp_path) == {library}


def test_an_import_deep_inside_mien_would_be_noticed() -> None:
    assert "torch" in loaded("import mien.lab.models")
