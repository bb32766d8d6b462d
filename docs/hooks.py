"""What mkdocs adds to the pages: the help of every command, the cards inside the nets, pages that lie elsewhere.

So none of these is written twice. ``mkdocs.yml`` names this file; the site is built by ``make docs``.
"""

from __future__ import annotations

import json
import posixpath
import re
from pathlib import Path

import typer
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from typer.cli import get_docs_for_click
from typer.core import TyperGroup
from typer.main import get_command

import mien
from mien.app.cli import app
from mien.app.cli.base import CODES
from mien.core.model import ModelCard, Score
from mien.engine.recognizer import load, model_names
from mien.face.landmarks import LandmarkCard, load_landmarker

ROOT = Path(__file__).resolve().parents[1]
# Files of the repository that are read on the site too, and the pages that they become.
ELSEWHERE = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "src/mien/weights/LICENSE": "terms.md",
}
LOGO = ROOT / "src" / "mien" / "app" / "server" / "static" / "icon.svg"
LINK = re.compile(r"(?<=\]\()(?![a-z]+:|#)([^)\s#]+)")
# A reference in a docstring, :func:`mien.load`, as mkdocstrings leaves it; ~ shows the last part alone.
ROLE = re.compile(r":(?:class|func|meth|mod|data|attr|exc):<code>(~?)([^<]+)</code>")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that lie elsewhere in the repository, and the picture of the live page."""
    for name, page in ELSEWHERE.items():
        if page != "index.md":
            text = (ROOT / name).read_text("utf-8")
            content = text if name.endswith(".md") else f"# Terms of the nets\n\n```text\n{text}```\n"
            files.append(File.generated(config, page, content=content))
    files.append(File.generated(config, "images/logo.svg", abs_src_path=str(LOGO)))
    return files


def on_page_markdown(markdown: str, *, page: Page, **_: object) -> str:
    """Write what is generated in the place of its mark, and lead links of the repository to pages of the site."""
    for mark, write in {"<!-- commands -->": commands, "<!-- cards -->": cards}.items():
        if mark in markdown:
            markdown = markdown.replace(mark, write())
    uri = page.file.src_uri
    source = next((name for name, target in ELSEWHERE.items() if target == uri), f"docs/{uri}")
    return LINK.sub(lambda link: _led(link[1], source, uri), markdown)


def on_page_content(html: str, **_: object) -> str:
    """Turn references in docstrings into links where they lead somewhere, and take out marks of literal blocks."""
    return ROLE.sub(lambda role: _reference(role[2], is_short=bool(role[1])), html.replace("<p>::</p>", ""))


def _reference(name: str, *, is_short: bool) -> str:
    shown = name.rpartition(".")[2] if is_short else name
    identifier = f"mien.{name}" if name in mien.__all__ else name
    return f'<autoref optional identifier="{identifier}"><code>{shown}</code></autoref>'


def _led(link: str, source: str, uri: str) -> str:
    """Return the link of a page that is ``source`` in the repository and ``uri`` on the site."""
    target = posixpath.normpath(posixpath.join(posixpath.dirname(source), link))
    place = ELSEWHERE.get(target, target.removeprefix("docs/"))
    return posixpath.relpath(place, posixpath.dirname(uri) or ".")


def commands() -> str:
    """Return the help of every command, as typer itself writes it down."""
    group = get_command(app)
    assert isinstance(group, TyperGroup)
    context = typer.Context(group, info_name="mien")
    texts = [
        get_docs_for_click(obj=command, ctx=context, name=f"mien {name}", indent=1)
        for name, command in group.commands.items()
    ]
    text = "\n".join(texts).replace("```console\n$ ", "```text\n")
    for known in ("* `--help`: Show this message and exit.\n", CODES):
        text = text.replace(known, "")
    return text


def cards() -> str:
    """Return the cards inside the nets that ship, one section for each."""
    nets = [_card(load(name).card) for name in model_names()]
    return "\n\n".join([*nets, _landmark_card(load_landmarker().card)])


def _card(card: ModelCard) -> str:
    facts = {
        "version": f"{card.version}, by mien {card.code_version}",
        "labels": ", ".join(card.labels),
        "taught": card.head,
        "input": f"gray, {card.input_size} x {card.input_size}",
        "weights": f"{card.parameters:,}",
        "operations for a face": f"{card.mflops:,.0f} million",
        "computes": ", ".join(
            [
                "face and mirror image" if card.is_mirrored else "the face once",
                "8-bit integers" if card.is_quantized else "floating point",
            ]
        ),
        "temperature": f"{card.temperature:.3f}",
        "uncertain below": f"{card.uncertain_below:.3f}, so {100 * card.coverage:.0f} % of `PublicTest` are answered",
        "seed": str(card.seed),
        "limits": card.limits,
        "terms": card.license,
    }
    recipe = json.dumps(card.recipe, indent=2, sort_keys=True)
    folded = f"```json\n{recipe}\n```".replace("\n", "\n    ")
    parts = [f"## {card.name}", _facts(facts), _scores(card.scores), _hashes(card.training_data)]
    return "\n\n".join([*parts, f'??? note "Recipe"\n\n    {folded}'])


def _landmark_card(card: LandmarkCard) -> str:
    facts = {
        key: str(value) for key, value in json.loads(card.to_json()).items() if isinstance(value, str | int | float)
    }
    return "\n\n".join([f"## {card.name}", _facts(facts), _scores(card.scores), _hashes(card.training_data)])


def _facts(facts: dict[str, str]) -> str:
    return "\n".join(["| field | value |", "|---|---|", *(f"| {name} | {value} |" for name, value in facts.items())])


def _scores(scores: dict[str, Score]) -> str:
    rows = [
        f"| `{name}` | {score.value:.4f} | {score.low:.4f} to {score.high:.4f} | {score.count:,} |"
        for name, score in sorted(scores.items())
    ]
    return "\n".join(["| figure | value | 95 % interval | faces |", "|---|---|---|---|", *rows])


def _hashes(training_data: dict[str, str]) -> str:
    rows = [f"| {name} | `{digest}` |" for name, digest in training_data.items()]
    return "\n".join(["| taught by | SHA-256 |", "|---|---|", *rows])
