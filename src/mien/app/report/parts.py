"""What the pages of a video and of an archive have in common."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING

from mien.app.report import figures
from mien.app.report.batches import Run
from mien.app.report.style import SCRIPT, STYLE
from mien.app.report.words import clock, percent
from mien.core.errors import MienError
from mien.core.labels import UNCERTAIN
from mien.core.model import ModelCard
from mien.engine.drawing.colors import color_of
from mien.engine.events import Event
from mien.engine.recognizer import load, model_names
from mien.lab.page import Markup, Section

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

NOT_FEELINGS = "Answers are expressions that a face shows, not what someone feels."


def head(*, has_figures: bool) -> Markup:
    """Return what the head of a page has besides: style, and plotly.js where there are figures."""
    style = f"<style>{STYLE}</style>"
    return Markup(f"{style}<script>{figures.script()}</script><script>{SCRIPT}</script>" if has_figures else style)


def facts(values: Mapping[str, tuple[str, str]]) -> Markup:
    """Return figures that stand for themselves: a value with what it is, and a note below."""
    cells = (
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)}{f'<small>{escape(note)}</small>' if note else ''}</dd></div>"
        for name, (value, note) in values.items()
    )
    return Markup(f'<dl class="facts">{"".join(cells)}</dl>')


def notices(lines: Iterable[str]) -> Markup:
    """Return what a reader must know before anything else."""
    return Markup("".join(f'<p class="notice" role="note">{escape(line)}</p>' for line in lines))


def chip(expression: str) -> Markup:
    """Return an expression with its color."""
    color = figures.css(color_of(expression))
    return Markup(f'<span class="swatch" style="background:{color}"></span>{escape(expression)}')


def key(labels: Iterable[str]) -> Markup:
    """Return which color is which answer."""
    return Markup(f'<ul class="key">{"".join(f"<li>{chip(label)}</li>" for label in labels)}</ul>')


def bar(shares: Sequence[float], labels: Sequence[str]) -> Markup:
    """Return the shares of answers as a bar in a table, told in words too."""
    names = (*labels, UNCERTAIN)
    told = ", ".join(f"{name} {percent(share)}" for name, share in zip(names, shares, strict=True) if share >= 0.005)
    pieces = (
        f'<i style="width:{100 * share:.1f}%;background:{figures.css(color_of(name))}"></i>'
        for name, share in zip(names, shares, strict=True)
        if share > 0
    )
    return Markup(
        f'<span class="bar" role="img" aria-label="{escape(told)}" title="{escape(told)}">{"".join(pieces)}</span>'
    )


class Plots:
    """Puts figures into sections, each with its caption, words for who cannot see it, and its numbers as a table."""

    def __init__(self) -> None:
        self.count = 0

    def put(self, section: Section, figure: Figure, caption: str, *, alternative: str, table: Section) -> None:
        """Append a figure and, folded up, its table."""
        self.count += 1
        name = f"figure-{self.count}"
        section.html(
            Markup(
                f'<figure class="plot"><div role="img" aria-label="{escape(alternative)}">{figures.drawn(figure, name)}'
                f"</div><figcaption>{escape(caption)}</figcaption></figure>"
            )
        )
        section.folded("This figure as a table", table)


def faces(pictures: Mapping[Event, bytes]) -> Markup:
    """Return faces at their apexes, in the order of time."""
    items = []
    for event, content in sorted(pictures.items(), key=lambda item: item[0].apex_s):
        data = base64.b64encode(content).decode("ascii")
        words = f"Person {event.track_id} at {clock(event.apex_s)}: {event.expression}"
        items.append(
            f'<li><img src="data:image/jpeg;base64,{data}" width="112" height="112" alt="{escape(words)}">'
            f"<b>{chip(event.expression)}</b> {percent(event.peak)}<br>"
            f"{clock(event.apex_s)}, person {event.track_id}</li>"
        )
    return Markup(f'<ul class="faces">{"".join(items)}</ul>')


def card_of(run: Run) -> ModelCard | None:
    """Return the card of the model that a run used, if it is one that ships with this mien."""
    if run.model not in model_names():
        return None
    try:
        recognizer = load(run.model)
    except MienError:
        return None
    return recognizer.card if recognizer.model.sha256 == run.sha256 else None


def limits(card: ModelCard | None, run: Run) -> Section:
    """Return what the model cannot do and how the numbers were made."""
    section = Section("Limits, and how this was made").text(NOT_FEELINGS)
    if card is None:
        named = f"{run.model} ({run.sha256[:12]})" if run.model else "a model that these results do not name"
        section.text(f"Read by {named}, whose card is not at hand here: ask whoever made it for its limits.")
    else:
        section.text(card.limits)
        section.text(
            f"The answer is uncertain where no expression reaches a probability of {card.uncertain_below:.2f}; on test "
            f"faces {percent(card.coverage)} were answered at this threshold."
        )
    section.listing(
        (
            "An event begins where the probability of an expression other than neutral reaches 0.5 and ends where it "
            "stays below 0.35, or behind another, for 0.2 s. Its apex is its highest probability.",
            "Ids follow people by motion alone: who is out of sight for more than a second, or is seen after a cut, "
            "gets a new one.",
            "Bands reach from the 10th to the 90th percentile of the frames of a bin. They tell how much answers "
            "vary, not how likely they are right.",
        )
    )
    rows = [("model", f"{run.model}, SHA-256 {run.sha256}")] if run.model else []
    rows += [("mien", run.version)] if run.version else []
    rows += [("weights", card.license)] if card else []
    rows += [(name, value or "none") for name, value in run.options]
    return section.table(("what", "value"), rows, "The run", words=("value",)) if rows else section
