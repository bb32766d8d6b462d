"""What an audit found, as rows of text and sentences, which screen, page and Markdown share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mien.core.model import Score
from mien.lab.evaluation import range_text
from mien.lab.evaluation.audit import FEWEST_OF_CLASS, OVERALL, Audit, AuditedColumn, Comparison, Group

DIFFERENCE_COLUMNS = (
    "group",
    "measure",
    "group, %",
    "others, %",
    "difference",
    "95 % interval",
    "expected",
    "p",
    "p, Holm",
    "smallest",
)
SMALL_FOR_CALIBRATION = 450  # 30 faces for each of 15 bins


def group_table(column: AuditedColumn) -> tuple[list[str], list[list[str]]]:
    """Return a row for each group: how many faces, and the measures over all classes in percent."""
    has_people = any(group.people is not None for group in column.groups)
    head = ["group", "faces", *(["people"] if has_people else []), *(f"{name}, %" for name in OVERALL), "not judged"]
    rows = []
    for group in column.groups:
        people = [f"{group.people:,}"] if has_people else []
        figures = [percent(group.figures[name]) for name in OVERALL]
        rows.append([group.name or "unknown", f"{group.faces:,}", *people, *figures, _why_not(group)])
    return head, rows


def _why_not(group: Group) -> str:
    return "" if group.problem == "unknown" else group.problem


def recall_table(column: AuditedColumn, label_names: Sequence[str]) -> tuple[list[str], list[list[str]]]:
    """Return a row for each class that has faces: its recall in each group in percent."""
    head = ["recall of", *(group.name or "unknown" for group in column.groups)]
    rows = []
    for name in label_names:
        scores = [group.figures.get(f"recall of {name}") for group in column.groups]
        if any(scores):
            rows.append(
                [name, *("no faces" if score is None else f"{percent(score)} of {score.count:,}" for score in scores)]
            )
    return head, rows


def percent(score: Score) -> str:
    """Return a share in percent with its interval: ``64.4 (61.2 to 67.4)``."""
    return f"{100 * score.value:.1f} ({range_text(score)})"


def points(share: float) -> str:
    """Return a difference of shares in points, with its sign."""
    return f"{round(100 * share, 1) + 0:+.1f}"  # 0 is added to -0.0


def chance(p: float) -> str:
    """Return a p-value with three digits."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def detectable(share: float) -> str:
    """Return the smallest difference in points; one of 100 is none that could be found."""
    return "more than any" if share >= 1 else f"{100 * share:.1f}"


def difference_row(one: Comparison) -> list[str]:
    """Return the cells of :data:`DIFFERENCE_COLUMNS`."""
    return [
        one.group,
        one.measure,
        f"{100 * one.value:.1f}",
        f"{100 * one.other:.1f}",
        points(one.difference.value),
        f"{points(one.difference.low)} to {points(one.difference.high)}",
        points(one.expected),
        chance(one.p),
        chance(one.p_holm) + (", found" if one.is_found else ""),
        "" if one.detectable is None else detectable(one.detectable),
    ]


def findings(audit: Audit) -> list[str]:
    """Return what was found as sentences."""
    total = len(audit.comparisons)
    if not total:
        return ["Nothing could be compared: no group is large enough, or has what to be compared with."]
    lines = [
        f"{one.column}, {one.group} against {one.against}: {one.measure} {100 * one.value:.1f} % and "
        f"{100 * one.other:.1f} %, {points(one.difference.value)} points (95 % interval "
        f"{points(one.difference.low)} to {points(one.difference.high)}; p {chance(one.p_holm)} corrected for "
        f"{total} comparisons; {points(one.expected)} expected if the net read both alike)"
        for one in audit.found
    ]
    return lines or [
        f"Of {total} comparisons none differs by more than chance explains. This does not show that there is no "
        "difference, only that none was large enough to be seen."
    ]


def power(audit: Audit) -> list[str]:
    """Return the smallest differences in accuracy that the audit could have seen, as sentences."""
    return [
        f"{one.column}, {one.group} against {one.against}: "
        + (f"{detectable(one.detectable)} points of accuracy" if one.detectable < 1 else "no difference in accuracy")
        for one in audit.comparisons
        if one.measure == "accuracy" and one.detectable is not None
    ]


def remarks(audit: Audit, *, has_people: bool) -> Iterator[str]:
    """Yield what to know of groups before their figures are read."""
    if not has_people:
        yield (
            "people are not named (a column subject): several pictures of one count as several people, intervals are "
            "too narrow then and too much is found"
        )
    for column in audit.columns:
        known = [group for group in column.groups if group.name]
        for group in known:
            if group.problem:
                yield f"{column.name}, {group.name}: {group.problem}, told but not judged"
            if group.missing:
                yield (
                    f"{column.name}, {group.name}: has no faces of {', '.join(group.missing)}; macro F1 is compared "
                    "over the classes that both have"
                )
        if not audit.of_column(column.name):
            yield f"{column.name}: nothing to compare; put groups together until they are large enough"
        small = [group.name for group in known if group.faces < SMALL_FOR_CALIBRATION]
        if small:
            yield (
                f"{column.name}: the calibration error of fewer than {SMALL_FOR_CALIBRATION} faces "
                f"({', '.join(small)}) comes out too high; its difference is to be read beside what is expected"
            )
    yield f"a recall is compared where both sides have {FEWEST_OF_CLASS} faces of the class"
