"""The forest plot of an audit: every difference with its interval."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from matplotlib.figure import Figure

from mien.app.audit.tables import chance
from mien.lab.evaluation.audit import Comparison, measure_names
from mien.lab.figures import COLORS, FAINT, styled

LONGEST = 32  # letters of a group's name


@styled
def forest_plot(comparisons: Sequence[Comparison], label_names: tuple[str, ...]) -> Figure:
    """Draw differences of groups, measure by measure.

    Parameters
    ----------
    comparisons : sequence of Comparison
        Of one column, at least one.
    label_names : tuple of str
        The classes, in their order.
    """
    groups = list(dict.fromkeys(one.group for one in comparisons))
    compared = {one.measure for one in comparisons}
    measures = [name for name in measure_names(label_names) if name in compared]
    rows = sorted(comparisons, key=lambda one: (measures.index(one.measure), groups.index(one.group)))
    places = _places(rows)
    figure = Figure(figsize=(9, 1.9 + 0.22 * places[-1] + 0.2 * len(groups)), layout="constrained")
    axes = figure.subplots()
    axes.axvline(0, color=FAINT, lw=0.8)
    for one, place in zip(rows, places, strict=True):
        color = COLORS[groups.index(one.group) % len(COLORS)]
        low, value, high = (100 * share for share in (one.difference.low, one.difference.value, one.difference.high))
        axes.plot([low, high], [place, place], color=color, lw=1.6, solid_capstyle="butt")
        axes.plot([value], [place], "o", ms=6, color=color, mfc=color if one.is_found else "white")
        axes.plot([100 * one.expected], [place], "|", ms=9, color="black", mew=1.2)
        text = f"{value:+.1f}   p {chance(one.p_holm)}"
        weight = "bold" if one.is_found else "normal"
        axes.text(1.01, place, text, transform=axes.get_yaxis_transform(), va="center", fontsize=8, weight=weight)
    middles = [[place for one, place in zip(rows, places, strict=True) if one.measure == name] for name in measures]
    axes.set_yticks([sum(ends) / len(ends) for ends in middles], measures)
    axes.tick_params(axis="y", length=0)
    axes.set(ylim=(places[-1] + 0.8, -0.8), xlabel=f"difference from {_shown(rows[0].against)}, points")
    axes.set_title(f"{_shown(rows[0].column)}: differences, p after Holm's correction")
    axes.grid(visible=False, axis="y")
    _legend(figure, groups)
    return figure


def _places(rows: Sequence[Comparison]) -> list[float]:
    """Return the height of each row; a gap parts the measures."""
    places, height = [0.0], 0.0
    for before, one in pairwise(rows):
        height += 1.0 if before.measure == one.measure else 1.7
        places.append(height)
    return places


def _legend(figure: Figure, groups: Sequence[str]) -> None:
    axes = figure.axes[0]
    handles = [
        axes.plot([], [], "o-", color=COLORS[number % len(COLORS)], label=_shown(group))[0]
        for number, group in enumerate(groups)
    ]
    handles += [
        axes.plot([], [], "o", color=FAINT, label="found")[0],
        axes.plot([], [], "o", color=FAINT, mfc="white", label="not found")[0],
        axes.plot([], [], "|", ms=9, mew=1.2, color="black", label="expected if both are read alike")[0],
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=3)


def _shown(name: str) -> str:
    """Return a name as matplotlib shows it: a dollar would begin a formula."""
    short = name if len(name) <= LONGEST else f"{name[: LONGEST - 3]}..."
    return short.replace("$", r"\$")
