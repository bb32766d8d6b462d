"""The house of DESIGN section 1 stands: imports go one way only."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
from importlinter.cli import lint_imports

import mien

ROOT = Path(__file__).resolve().parents[1]
PYPROJECT = ROOT / "pyproject.toml"


def house() -> dict[str, Any]:
    contracts: list[dict[str, Any]] = tomllib.loads(PYPROJECT.read_text("utf-8"))["tool"]["importlinter"]["contracts"]
    return contracts[0]


def test_every_contract_is_kept() -> None:
    assert lint_imports(config_filename=str(PYPROJECT), no_cache=True) == 0


def test_every_folder_with_code_has_its_layer() -> None:
    package = Path(mien.__file__).parent
    folders = {f"mien.{path.parent.name}" for path in package.glob("*/__init__.py")} - {"mien.weights"}
    assert folders == set(house()["layers"])


def test_a_broken_layer_is_noticed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    upside_down = ", ".join(f'"{layer}"' for layer in reversed(house()["layers"]))
    config = tmp_path / "importlinter.toml"
    config.write_text(
        '[tool.importlinter]\nroot_package = "mien"\n'
        f'[[tool.importlinter.contracts]]\nname = "upside down"\ntype = "layers"\nlayers = [{upside_down}]\n',
        "utf-8",
    )
    assert lint_imports(config_filename=str(config), no_cache=True) == 1
    assert "mien.engine is not allowed to import mien.core" in capsys.readouterr().out
