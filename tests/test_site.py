"""The site builds without a warning and without network, needs no other host, and all of its links lead somewhere."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag

import pytest
from typer.core import TyperGroup
from typer.main import get_command

import mien
from mien.app.cli import app
from mien.engine.recognizer import model_names

ROOT = Path(__file__).resolve().parents[1]
ABROAD = re.compile(r"^(?:[a-z]+:)?//", re.IGNORECASE)
# Elements that fetch what their attribute names; of links, those that do not only point.
FETCHED = {
    "script": "src",
    "img": "src",
    "iframe": "src",
    "source": "src",
    "video": "src",
    "audio": "src",
    "object": "data",
}
POINTERS = {"canonical", "prev", "next", "edit", "alternate"}
BUILD = """
import socket, sys
def refuse(*arguments):
    raise OSError("the site is to be built without network")
socket.socket.connect = socket.getaddrinfo = refuse
from mkdocs.__main__ import cli
cli(["build", "--strict", "--site-dir", sys.argv[1]])
"""


@dataclass
class Content(HTMLParser):
    """What a page of the site names: anchors, links, files that a browser fetches by itself."""

    anchors: set[str] = field(default_factory=set)
    links: list[str] = field(default_factory=list)
    fetched: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.anchors |= {values[name] for name in ("id", "name") if name in values}
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        if tag == "link" and values.get("rel") not in POINTERS:
            self.fetched.append(values["href"])
        if tag in FETCHED and FETCHED[tag] in values:
            self.fetched.append(values[FETCHED[tag]])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the site, built as ``make docs`` builds it."""
    folder = tmp_path_factory.mktemp("site")
    words = [sys.executable, "-W", "error", "-c", BUILD, str(folder)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(
        words, cwd=ROOT, env=environment, capture_output=True, encoding="utf-8", check=False, timeout=120
    )
    strange = [line for line in (done.stdout + done.stderr).splitlines() if not line.startswith("INFO")]
    assert (done.returncode, strange) == (0, [])
    return folder


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Content]:
    """Return what each page names."""
    found = {}
    for path in site.rglob("*.html"):
        found[path] = Content()
        found[path].feed(path.read_text("utf-8"))
    return found


def test_every_page_of_the_folder_is_on_the_site(site: Path) -> None:
    sources = {path.relative_to(ROOT / "docs") for path in (ROOT / "docs").rglob("*.md")}
    expected = {
        path.with_name("index.html") if path.name == "README.md" else path.with_suffix(".html") for path in sources
    }
    assert expected <= {path.relative_to(site) for path in site.rglob("*.html")}
    assert not (site / "hooks.py").exists()


def test_no_page_needs_another_host(site: Path, pages: dict[Path, Content]) -> None:
    assert {name for content in pages.values() for name in content.fetched if ABROAD.match(name)} == set()
    styles = {path: path.read_text("utf-8") for path in site.rglob("*.css")}
    assert {
        path for path, text in styles.items() if re.search(r"(?:url\(|@import)\s*[\"']?(?:https?:)?//", text)
    } == set()


def test_every_link_and_every_anchor_leads_somewhere(site: Path, pages: dict[Path, Content]) -> None:
    missing = []
    for path, content in pages.items():
        if path.name == "404.html":  # its links count from the root of a server
            continue
        for link in {*content.links, *content.fetched}:
            place, anchor = urldefrag(link)
            if ABROAD.match(link) or link.startswith(("mailto:", "javascript:")):
                continue
            target = (path.parent / unquote(place)).resolve() if place else path
            if not target.is_file() or (anchor and target in pages and unquote(anchor) not in pages[target].anchors):
                missing.append(f"{path.relative_to(site)}: {link}")
    assert missing == []


def test_the_command_line_page_has_every_command_and_option(site: Path, pages: dict[Path, Content]) -> None:
    path = site / "reference" / "commands.html"
    page = path.read_text("utf-8")
    group = get_command(app)
    assert isinstance(group, TyperGroup)
    for name, command in group.commands.items():
        assert f"mien-{name}" in pages[path].anchors
        for parameter in command.params:
            assert all(option.startswith("--help") or option in page for option in parameter.opts)


def test_the_page_of_cards_has_the_figures_inside_the_nets(site: Path) -> None:
    page = (site / "reference" / "cards.html").read_text("utf-8")
    for name in model_names():
        card = mien.load(name).card
        assert f'id="{name}"' in page
        for score in card.scores.values():
            assert f"<td>{score.value:.4f}</td>" in page
        assert all(digest in page for digest in card.training_data.values())


def test_the_reference_has_every_public_name(pages: dict[Path, Content]) -> None:
    anchors = {
        anchor for path, content in pages.items() if path.parent.name == "reference" for anchor in content.anchors
    }
    assert {f"mien.{name}" for name in mien.__all__ if name != "__version__"} - anchors <= {"mien.MienError"}
    assert "mien.core.errors.MienError" in anchors


def test_docstrings_leave_no_marks_of_another_language(site: Path) -> None:
    pages = {path.name: path.read_text("utf-8") for path in (site / "reference").glob("*.html")}
    assert [name for name, text in pages.items() if re.search(r":(?:class|func|meth|data|mod):|<p>::</p>", text)] == []


def test_figures_of_limits_stand_on_the_pages_they_name() -> None:
    page = ROOT / "docs" / "limits.md"
    rows = re.findall(r"^\|.*\|(.*)\| \[\w+\]\((\S+)\) \|$", page.read_text("utf-8"), re.MULTILINE)
    assert len(rows) > 10
    for text, link in rows:
        source = (page.parent / link).read_text("utf-8")
        strange = [figure for figure in re.findall(r"\d+\.\d+", text) if figure not in source]
        assert strange == [], f"{link} does not have what {text!r} says"


def test_the_search_knows_the_pages(site: Path) -> None:
    index = json.loads((site / "search" / "search_index.json").read_text("utf-8"))
    places = {entry["location"] for entry in index["docs"] if "lip_corner_pull" in entry["text"]}
    assert any(place.startswith("geometry.html") for place in places)


def test_the_search_works_on_pages_opened_from_the_disk(site: Path, chromium: tuple[str, str], tmp_path: Path) -> None:
    address = f"{(site / 'guides' / 'photo.html').as_uri()}?q=baseline"
    options = ["--headless", "--no-sandbox", f"--user-data-dir={tmp_path}", "--virtual-time-budget=8000", "--dump-dom"]
    command = [chromium[0], *options, address]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=True, timeout=120)
    assert re.search(r"\d+ matching documents", done.stdout)
    assert "A person's own <mark>baseline</mark>" in done.stdout
