"""An archive to read, and what an undisturbed run makes of it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).resolve().parents[1]))

from archives import Rows, run_here, tables_of, write_archive


@pytest.fixture(scope="session")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_archive(tmp_path_factory.mktemp("archive"))


@pytest.fixture(scope="session")
def unbroken(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Rows]:
    """Return the tables of a run that nothing disturbed."""
    out = tmp_path_factory.mktemp("unbroken") / "set"
    run_here([str(archive)], out)
    return tables_of(out)
