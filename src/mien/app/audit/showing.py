"""An audit on the screen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.table import Table

from mien.app.audit import Audited
from mien.app.audit.tables import chance, findings, group_table, points, power, remarks
from mien.app.screen import counted, printable
from mien.lab.evaluation.audit import OVERALL, POWER, Comparison

CLOSING = (
    "Labels may be biased themselves, groups differ in more than their name, and the mix of expressions differs: a "
    "difference is no cause, and none found is no certificate. Answers are expressions, not what someone feels; the AI "
    "Act, Art. 5(1)(f), forbids inferring emotions at work and in education. --out DIR writes all of it."
)


def audit_tables(done: Audited) -> Iterator[Table | str]:
    """Yield what the screen shows, part by part: of the recalls only what was found."""
    for column in done.audit.columns:
        head, rows = group_table(column)
        yield _table(column.name, head, rows, names=1)
        compared = done.audit.of_column(column.name)
        shown = [one for one in compared if one.measure in OVERALL or one.is_found]
        if shown:
            yield ""
            yield _differences(shown)
            if len(shown) < len(compared):
                yield f"and {counted(len(compared) - len(shown), 'recall', 'recalls')} of which no difference was found"
        yield ""
    yield from (f"* {printable(line)}" for line in findings(done.audit))
    seen = power(done.audit)
    if seen:
        yield f"Smallest differences that would be found with a chance of {POWER:.0%}:"
        yield from (f"* {printable(line)}" for line in seen)
    yield "Notes:"
    yield from (f"* {printable(line)}" for line in remarks(done.audit, has_people=done.has_people))
    yield CLOSING


def _differences(comparisons: Sequence[Comparison]) -> Table:
    head = ["group", "measure", "points", "95 % interval", "expected", "p, Holm", ""]
    rows = [
        [
            one.group,
            one.measure,
            points(one.difference.value),
            f"{points(one.difference.low)} to {points(one.difference.high)}",
            points(one.expected),
            chance(one.p_holm),
            "found" if one.is_found else "",
        ]
        for one in comparisons
    ]
    return _table(f"against {comparisons[0].against}", head, rows, names=2)


def _table(title: str, head: Sequence[str], rows: Sequence[Sequence[str]], *, names: int) -> Table:
    table = Table(title=printable(title), title_justify="left", box=None, header_style="bold", pad_edge=False)
    filled = [place for place in range(len(head)) if any(row[place] for row in rows)]
    for place, name in ((place, head[place]) for place in filled):
        words = " ".join([name, *(row[place] for row in rows)]).split()
        table.add_column(
            name,
            justify="left" if place < names else "right",
            overflow="fold",
            min_width=0 if place < names else max(map(len, words), default=0),
        )
    for row in rows:
        table.add_row(*(printable(row[place]) for place in filled))
    return table
