"""Pages of results: one HTML file with its figures inside, which opens anywhere, without network."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from io import BytesIO
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STYLE = """
:root { color-scheme: light dark; --text: #1c2024; --faint: #60646c; --line: #d9dce0; --paper: #ffffff; --soft: #f6f7f9;
  --accent: #0072b2; }
@media (prefers-color-scheme: dark) { :root { --text: #e8eaed; --faint: #a0a6ad; --line: #3a3f45; --paper: #16181b;
  --soft: #1f2226; --accent: #56b4e9; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--text); font: 16px/1.55 system-ui, sans-serif; }
main { max-width: 62rem; margin: 0 auto; padding: 2rem 1.25rem 4rem; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .4rem; }
h2 { font-size: 1.3rem; margin: 2.6rem 0 .6rem; padding-top: 1rem; border-top: 1px solid var(--line); }
h3 { font-size: 1.05rem; margin: 1.6rem 0 .4rem; }
p, li { max-width: 46rem; }
.lead, figcaption, caption { color: var(--faint); }
a { color: var(--accent); }
nav ul { columns: 2 16rem; padding-left: 1.1rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .93rem; font-variant-numeric: tabular-nums; margin: .6rem 0; }
caption { text-align: left; padding-bottom: .3rem; }
th, td { padding: .3rem .8rem .3rem 0; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap; }
th:first-child, td:first-child, .text { text-align: left; }
td.text { white-space: normal; }
figure { margin: 1rem 0; }
figure img { display: block; max-width: 100%; height: auto; background: #fff; border-radius: 6px; padding: 6px; }
pre { overflow-x: auto; background: var(--soft); padding: .8rem 1rem; border-radius: 6px; font-size: .85rem; }
@media print { h2 { break-after: avoid; } figure, table { break-inside: avoid; } }
"""


class Markup(str):
    """Text that is HTML already: it is not escaped again."""

    __slots__ = ()


NO_MARKUP = Markup()
CLASS = {False: "", True: ' class="text"'}


@dataclass
class Section:
    """A part of a page: a title, and what stands below it, in order.

    Parameters
    ----------
    title : str
    blocks : list of str
        HTML, as the methods append it.
    """

    title: str
    blocks: list[str] = field(default_factory=list)

    def heading(self, text: str) -> Section:
        """Append a heading of a lower level."""
        self.blocks.append(f"<h3>{escape(text)}</h3>")
        return self

    def text(self, text: str) -> Section:
        """Append a paragraph."""
        self.blocks.append(f"<p>{escape(text)}</p>")
        return self

    def listing(self, items: Sequence[str]) -> Section:
        """Append a list."""
        self.blocks.append("<ul>" + "".join(f"<li>{escape(item)}</li>" for item in items) + "</ul>")
        return self

    def code(self, text: str) -> Section:
        """Append text whose spaces and lines are kept, such as a report or commands."""
        self.blocks.append(f"<pre>{escape(text)}</pre>")
        return self

    def html(self, markup: Markup) -> Section:
        """Append what is HTML already."""
        self.blocks.append(markup)
        return self

    def folded(self, title: str, inside: Section) -> Section:
        """Append what another section holds, folded up under a title."""
        self.blocks.append(f"<details><summary>{escape(title)}</summary>{''.join(inside.blocks)}</details>")
        return self

    def table(
        self,
        columns: Sequence[str],
        rows: Sequence[Sequence[object]],
        caption: str = "",
        *,
        words: Sequence[str] = (),
    ) -> Section:
        """Append a table; texts that are longer than a figure may break, and columns of words stand to the left."""
        left = [column in words for column in columns]
        titles = zip(columns, left, strict=True)
        head = "".join(f'<th scope="col"{CLASS[is_text]}>{escape(column)}</th>' for column, is_text in titles)
        lines = ("".join(map(_cell, row, left)) for row in rows)
        body = "".join(f"<tr>{line}</tr>" for line in lines)
        title = f"<caption>{escape(caption)}</caption>" if caption else ""
        # Wider than a phone, it scrolls by itself: reachable by keyboard too.
        table = f"<table>{title}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        self.blocks.append(f'<div class="wide" tabindex="0">{table}</div>')
        return self

    def figure(self, figure: Figure, caption: str, *, alternative: str) -> Section:
        """Append a figure; `alternative` says in words what it shows."""
        content = BytesIO()
        figure.savefig(content, format="png")
        width = round(figure.get_figwidth() * 100)
        data = base64.b64encode(content.getvalue()).decode("ascii")
        self.blocks.append(
            f'<figure><img src="data:image/png;base64,{data}" width="{width}" alt="{escape(alternative)}">'
            f"<figcaption>{escape(caption)}</figcaption></figure>"
        )
        return self


def _cell(value: object, is_text: bool) -> str:
    if isinstance(value, Markup):
        return f"<td{CLASS[is_text]}>{value}</td>"
    text = escape(str(value))
    return f"<td{CLASS[is_text or len(text) > 28]}>{text}</td>"


def page(title: str, lead: str, sections: Sequence[Section], *, head: Markup = NO_MARKUP) -> str:
    """Return a whole HTML page.

    Parameters
    ----------
    title : str
    lead : str
        One or two sentences below the title.
    sections : sequence of Section
    head : Markup
        What the head has besides, such as more style.
    """
    links = "".join(f'<li><a href="#s{n}">{escape(s.title)}</a></li>' for n, s in enumerate(sections))
    body = "".join(
        f'<section><h2 id="s{n}">{escape(s.title)}</h2>{"".join(s.blocks)}</section>' for n, s in enumerate(sections)
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style>{head}</head><body><main>"
        f'<h1>{escape(title)}</h1><p class="lead">{escape(lead)}</p>'
        f'<nav aria-label="Contents"><ul>{links}</ul></nav>{body}</main></body></html>\n'
    )


def markdown_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return rows of text as a table in Markdown."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
