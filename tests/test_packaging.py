"""What is handed out: the wheel holds the nets, the types and both licenses, and no data set; it works on its own."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest

import mien
from mien.engine.recognizer import model_names

ROOT = Path(__file__).resolve().parents[1]
SUFFIXES = {
    ".py",
    ".onnx",
    ".typed",
    "",
    ".html",
    ".css",
    ".js",
    ".svg",
}  # of what may be in the package; photos and tables may not


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=300)
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def contents(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.fixture(scope="module")
def metadata(contents: dict[str, bytes]) -> Message:
    return Parser().parsestr(contents[f"{dist_info()}/METADATA"].decode())


def dist_info() -> str:
    return f"mien-{mien.__version__}.dist-info"


def test_it_holds_the_package_and_nothing_else(contents: dict[str, bytes]) -> None:
    package = {name for name in contents if not name.startswith(f"{dist_info()}/")}
    assert {Path(name).suffix for name in package} <= SUFFIXES
    source = ROOT / "src"
    expected = {
        path.relative_to(source).as_posix()
        for path in (source / "mien").rglob("*")
        if path.is_file() and path.suffix in SUFFIXES
    }
    assert package == expected
    assert "mien/py.typed" in package


@pytest.mark.parametrize("name", model_names())
def test_each_net_is_in_it_as_it_is_here(contents: dict[str, bytes], name: str) -> None:
    assert contents[f"mien/weights/{name}.onnx"] == (ROOT / "src/mien/weights" / f"{name}.onnx").read_bytes()
    assert len(contents[f"mien/weights/{name}.onnx"]) <= 10_000_000


@pytest.mark.parametrize(
    ("file", "words"),
    [("LICENSE", "Apache License"), ("src/mien/weights/LICENSE", "research")],
)
def test_both_licenses_are_in_it(contents: dict[str, bytes], metadata: Message, file: str, words: str) -> None:
    assert file in metadata.get_all("License-File", [])
    assert contents[f"{dist_info()}/licenses/{file}"] == (ROOT / file).read_bytes()
    assert words in contents[f"{dist_info()}/licenses/{file}"].decode()


def test_the_metadata_says_what_pip_needs(contents: dict[str, bytes], metadata: Message) -> None:
    assert metadata["Requires-Python"] == ">=3.11"
    assert "mien = mien.app.cli:main" in contents[f"{dist_info()}/entry_points.txt"].decode()
    core = [line for line in metadata.get_all("Requires-Dist", []) if "extra ==" not in line]
    assert not [line for line in core if line.startswith(("torch", "pandas", "matplotlib", "scikit"))]


def test_it_reads_a_face_from_where_it_is_unpacked(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    code = (
        "import mien, numpy as np\n"
        "recognizer = mien.load('default')\n"
        "print(mien.__file__, recognizer.probabilities([np.zeros((48, 48), np.uint8)]).shape)"
    )
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True, timeout=120)
    assert done.stdout.split(maxsplit=1) == [str(tmp_path / "mien" / "__init__.py"), "(1, 7)\n"]
