"""An audit as a page, as Markdown, as JSON, with a figure for each column."""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TypeVar

import mien
from mien.app.audit import Audited
from mien.app.audit.forest import forest_plot
from mien.app.audit.tables import (
    DIFFERENCE_COLUMNS,
    difference_row,
    findings,
    group_table,
    power,
    recall_table,
    remarks,
)
from mien.engine.results.writer import write_whole
from mien.lab.evaluation.audit import ALPHA, POWER, AuditedColumn
from mien.lab.figures import save
from mien.lab.page import Section, markdown_table, page

SCHEMA = 1
T = TypeVar("T")
CAPTION = (
    "Difference of each group with its 95 % bootstrap interval; filled where one was found. The upright "
    "line is what is expected if the net reads both alike."
)
LIMITS = (
    "It compares answers with labels, and people gave the labels. Annotators read the same face otherwise in one group "
    "than in another (Chen and Joo 2021, https://doi.org/10.48550/arXiv.2108.08504). A bias that net and labels share "
    "is not seen here; one that only the labels have looks like the net's.",
    "Expressions are mixed otherwise in each group. Accuracy, macro F1, calibration and the share of uncertain answers "
    "follow that mix. The column 'expected' says what the exchanges make of it; recalls hardly depend on it.",
    "Groups differ in more than their name: age, light, camera and pose go together. A difference is no cause.",
    "A difference that is not found may be there: see what could have been seen.",
    "It holds for these faces, cut as they are. Faces that a detector would have missed are not among them, and people "
    "who were never photographed are in no group.",
    "Sex, age, skin and origin in a table are mostly what somebody saw or guessed, not what people say of themselves.",
    "Groups that are read alike do not make a use right or lawful; no difference found is no certificate.",
    "Where all or none of few faces are right, the bootstrap gives an interval without width, and where a handful is "
    "wrong a narrow one: go by p there.",
)
LAW = (
    "In the European Union, Regulation (EU) 2024/1689 (the AI Act) applies. Art. 5(1)(f) forbids systems that infer "
    "emotions of people at work and in education, except for medical or safety reasons. Elsewhere such systems are "
    "high-risk (Annex III, 1(c)); for those Art. 10 asks that data be examined for biases. Art. 50(3) asks whoever "
    "runs one to tell the people exposed to it.",
    "Pictures of faces are personal data; origin and health are special categories (Regulation (EU) 2016/679, Art. 9), "
    "also in a table of groups. Keep that table as you keep the pictures. Of it, this report holds the names and sizes "
    "of groups only.",
    "Answers are expressions, not what someone feels, and no ground for decisions about people.",
    "This is no legal advice.",
)


def write_audit(done: Audited, out: Path) -> None:
    """Write ``audit.html``, ``audit.md``, ``audit.json`` and a forest plot for each column that was compared."""
    sections = [Section("What was found").listing(findings(done.audit))]
    markdown = ["# How groups are read", _lead(done), "## What was found", _bullets(findings(done.audit))]
    for number, column in enumerate(done.audit.columns, 1):
        sections.append(_column_section(done, column, out / _figure_name(number, column.name)))
        markdown += _column_markdown(done, column, _figure_name(number, column.name))
    for title, lines in _closing(done).items():
        sections.append(Section(title).listing(lines))
        markdown += [f"## {title}", _bullets(lines)]
    write_whole(out / "audit.html", _drawn(lambda: page("How groups are read", _lead(done), sections)))
    write_whole(out / "audit.md", "\n\n".join(markdown) + "\n")
    write_whole(out / "audit.json", json.dumps(_content(done), ensure_ascii=False, indent=2))


def _lead(done: Audited) -> str:
    by = "people" if done.has_people else "faces"
    return (
        f"{done.recognizer.card.name} ({done.recognizer.model.sha256[:12]}) on {done.faces:,} faces of {done.folder}, "
        f"grouped by {done.groups.name}; resampled by {by}. Answers are expressions, not what someone feels."
    )


def _column_section(done: Audited, column: AuditedColumn, path: Path) -> Section:
    section = Section(column.name)
    section.table(*group_table(column), "With 95 % intervals; the top answer counts, uncertain or not")
    compared = done.audit.of_column(column.name)
    if compared:
        figure = forest_plot(compared, done.recognizer.card.labels)
        _drawn(lambda: save(figure, path))
        _drawn(lambda: section.figure(figure, CAPTION, alternative=f"Differences of the groups of {column.name}"))
        section.table(
            DIFFERENCE_COLUMNS,
            [difference_row(one) for one in compared],
            f"Differences from {compared[0].against}, in points",
        )
    return section.table(*recall_table(column, done.recognizer.card.labels), "Recall in percent, of so many faces")


def _column_markdown(done: Audited, column: AuditedColumn, figure: str) -> list[str]:
    compared = done.audit.of_column(column.name)
    parts = [f"## {_plain(column.name)}", _table(*group_table(column))]
    if compared:
        parts += [f"![Differences]({figure})", f"Differences from {_plain(compared[0].against)}, in points:"]
        parts += [_table(DIFFERENCE_COLUMNS, [difference_row(one) for one in compared])]
    return [*parts, _table(*recall_table(column, done.recognizer.card.labels))]


def _closing(done: Audited) -> dict[str, list[str]]:
    """Return what stands below the figures: titles, and the lines below each."""
    total = len(done.audit.comparisons)
    exchanged = (
        "a person's pictures of one expression that are in both groups change groups among themselves; the other "
        "pictures of who is in both do as a whole, by expression, with such pictures of others; who is in one only "
        "does as a whole person with others of whom this is so. The last two change the sizes of the groups, so these "
        "faces also change groups one by one within their expression, and the larger of both p-values counts"
        if done.has_people
        else "faces of the same expression change groups: does an answer, its label given, depend on the group"
    )
    seen = power(done.audit)
    if seen:
        seen.append(
            f"with a chance of {POWER:.0%}, all {total} comparisons considered; other measures are in the tables"
        )
    return {
        "What this audit could have seen": seen
        or ["no figure: nothing was compared, or every exchange gives the same"],
        "What to know of these groups": [*done.notes, *remarks(done.audit, has_people=done.has_people)],
        "What an audit can and cannot show": list(LIMITS),
        "How": [
            f"p-values: {done.audit.exchanges:,} random exchanges, two-sided; {exchanged}. None can be below "
            f"{2 / (done.audit.exchanges + 1):.4f}, before it is corrected.",
            f"Found is what stays below {ALPHA} after Holm's correction over all {total} comparisons.",
            "Intervals: bootstrap in each group by itself, percentiles, of the calibration error less the bias of "
            "the draws; not corrected for the number of comparisons.",
            "DiCiccio et al. 2020, https://doi.org/10.1145/3394486.3403199; Phipson and Smyth 2010, "
            "https://doi.org/10.2202/1544-6115.1585; Berger 1982 (the larger of both); Holm 1979; Bloom 1995, "
            "https://doi.org/10.1177/0193841X9501900504.",
        ],
        "Limits of the net": [done.recognizer.card.limits],
        "Law": list(LAW),
    }


def _content(done: Audited) -> dict[str, object]:
    return {
        "schema": SCHEMA,
        "mien": mien.__version__,
        "model": {"name": done.recognizer.card.name, "sha256": done.recognizer.model.sha256},
        "folder": str(done.folder),
        "groups": done.groups.name,
        "faces": done.faces,
        "resampled_by": "people" if done.has_people else "faces",
        "exchanges": done.audit.exchanges,
        "notes": [*done.notes, *remarks(done.audit, has_people=done.has_people)],
        "columns": [asdict(column) for column in done.audit.columns],
        "comparisons": [asdict(one) | {"found": one.is_found} for one in done.audit.comparisons],
    }


def _figure_name(number: int, column: str) -> str:
    return f"forest_{number}_{re.sub(r'[^A-Za-z0-9]+', '_', column)[:40]}.png"


def _drawn(work: Callable[[], T]) -> T:
    """Draw without a complaint for each letter that the font of figures lacks; pages and tables have them."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        return work()


def _bullets(lines: Sequence[str]) -> str:
    return "\n".join(f"- {_plain(line)}" for line in lines)


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return markdown_table([_plain(cell) for cell in columns], [[_plain(cell) for cell in row] for row in rows])


def _plain(text: str) -> str:
    """Return a text that Markdown shows as it is: groups may have any name."""
    return re.sub(r"([\\|<>`*_\[\]])", r"\\\1", " ".join(text.split()))
