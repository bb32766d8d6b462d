"""Figures of a report: what is drawn by plotly; the page sets the colors of text and lines, light or dark."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
import numpy.typing as npt

from mien.app.report.batches import DoubleArray
from mien.app.report.seen import Gap
from mien.app.report.timeline import EDGE, Course, Strip
from mien.app.report.words import clipped_names, percent
from mien.core.errors import MissingExtraError
from mien.core.labels import UNCERTAIN
from mien.core.types import FloatArray, IntArray
from mien.engine.drawing.colors import INK, Color, color_of, ink_on
from mien.engine.events import Event

try:
    from plotly.graph_objects import Figure
    from plotly.io import to_html
    from plotly.offline import get_plotlyjs
except ImportError as error:
    raise MissingExtraError("plotly", "mien[analysis]") from error

STRIP_COLUMNS = 400
STRIP_PX, ROW_PX, BAR_PX, AXIS_PX = 30, 62, 34, 56
GRID, BAND, NOBODY = "rgba(128,128,128,0.22)", "rgba(128,128,128,0.45)", (128, 128, 128)
NO_FACE = "no face"
FEW_POINTS = 300  # of which each has some pixels
APEXES = 100  # that are marked: more would hide what is below
LEAST_LABELED = 0.09  # a share that is narrower has no room for its number
CONFIG = {"displayModeBar": False, "responsive": True}


def script() -> str:
    """Return plotly.js, once for a page."""
    return str(get_plotlyjs())


def drawn(figure: Figure, name: str) -> str:
    """Return a figure as HTML, for a page that holds plotly.js; `name` is its id there."""
    return str(to_html(figure, config=CONFIG, include_plotlyjs=False, full_html=False, div_id=name))


def css(color: Color) -> str:
    """Return a color as CSS writes it.

    Examples
    --------
    >>> css((214, 40, 24))
    '#d62818'
    """
    return "#{:02x}{:02x}{:02x}".format(*color)


def strips(
    rows: Sequence[tuple[str, Strip]], labels: Sequence[str], span_s: tuple[float, float], gaps: Sequence[Gap] | None
) -> Figure:
    """Draw a strip for each person or video: the answer over time, blank where there is none.

    Parameters
    ----------
    rows : sequence of (str, Strip)
        Name and answers of each.
    labels : sequence of str
    span_s : tuple of float
        First and last time, in seconds.
    gaps : sequence of Gap, optional
        Time without any face, which gets a strip of its own.
    """
    names = [*labels, UNCERTAIN, NO_FACE]
    width_s = max([(span_s[1] - span_s[0]) / STRIP_COLUMNS, *(strip.width_s for _, strip in rows)])
    count = max(1, math.ceil((span_s[1] - span_s[0]) / width_s))
    lines = [_strip(strip, span_s[0], width_s, count) for _, strip in rows]
    titles = [escape(name, quote=False) for name in clipped_names([name for name, _ in rows])]
    if gaps:
        lines.append(_gap_strip(gaps, span_s[0], width_s, count, len(names) - 1))
        titles.append(NO_FACE)
    unit, seconds = unit_of(span_s[1] - span_s[0])
    colors = [css(color_of(name)) for name in names[:-1]] + [css(NOBODY)]
    heat = {
        "type": "heatmap",
        "x": (span_s[0] + width_s * np.arange(count + 1)) / seconds,
        "y": list(range(len(lines))),
        "z": np.array(lines),
        "text": [[names[int(code)] if code == code else "" for code in line] for line in lines],
        "hovertemplate": "%{x:.2f} " + unit + ": %{text}<extra></extra>",
        "hoverongaps": False,
        "ygap": 5,
        "showscale": False,
        "zmin": -0.5,
        "zmax": len(names) - 0.5,
        "colorscale": [
            (place / len(names), color) for index, color in enumerate(colors) for place in (index, index + 1)
        ],
    }
    layout = _layout(STRIP_PX * len(lines) + AXIS_PX, unit)
    layout["xaxis"]["range"] = [span_s[0] / seconds, max(span_s[1], span_s[0] + width_s) / seconds]
    layout["yaxis"] = _rows_axis(titles) | {"range": [len(lines) - 0.5, -0.5]}
    return Figure({"data": [heat], "layout": layout})


def _strip(strip: Strip, start_s: float, width_s: float, count: int) -> npt.NDArray[np.float64]:
    places = np.clip(((strip.starts_s - start_s) / width_s + EDGE).astype(np.int64), 0, count - 1)
    answers = np.zeros((count, strip.answers.shape[1]), np.int64)
    np.add.at(answers, places, strip.answers)
    return np.where(answers.any(axis=1), answers.argmax(axis=1), np.nan)


def _gap_strip(gaps: Sequence[Gap], start_s: float, width_s: float, count: int, code: int) -> npt.NDArray[np.float64]:
    strip = np.full(count, np.nan)
    for gap in gaps:
        first = round((gap.start_s - start_s) / width_s)
        strip[first : max(first + 1, round((gap.end_s - start_s) / width_s))] = code
    return strip


def courses(
    course: Course, labels: Sequence[str], events: Sequence[Event], span_s: tuple[float, float], gaps: Sequence[Gap]
) -> Figure:
    """Draw the probability of each label over time: mean, the band from the 10th to the 90th percentile, apexes.

    Parameters
    ----------
    course : Course
    labels : sequence of str
    events : sequence of Event
        Whose apexes are marked: of the highest.
    span_s : tuple of float
        First and last time, in seconds.
    gaps : sequence of Gap
        Time without any face, over which nothing is drawn.
    """
    unit, seconds = unit_of(span_s[1] - span_s[0])
    layout = _layout(ROW_PX * len(labels) + AXIS_PX, unit)
    layout["xaxis"] |= {"range": [span_s[0] / seconds, span_s[1] / seconds], "anchor": f"y{len(labels)}"}
    data: list[dict[str, Any]] = []
    stretches = list(_stretches(course, gaps))
    marked = sorted(events, key=lambda event: -event.peak)[:APEXES]
    for index, label in enumerate(labels):
        axis = f"y{index + 1}"
        top, bottom = 1 - index / len(labels), 1 - (index + 1) / len(labels)
        layout[f"yaxis{index + 1}"] = _rows_axis([label]) | {
            "domain": [bottom + 0.1 / len(labels), top],
            "range": [0, 1.04],
            "tickvals": [0.5],
            "zeroline": True,
            "zerolinecolor": BAND,
        }
        data += _course_lines(stretches, index, label, seconds, unit, axis)
        data.append(_apexes([event for event in marked if event.expression == label], seconds, axis))
    return Figure({"data": data, "layout": layout})


def _course_lines(
    stretches: Sequence[_Stretch], index: int, label: str, seconds: float, unit: str, axis: str
) -> list[dict[str, Any]]:
    runs = [(part.times_s, part.mean[:, index], part.low[:, index], part.high[:, index]) for part in stretches]
    times, mean, low, high = (_parted(arrays) for arrays in zip(*runs, strict=True))
    common = {"type": "scatter", "yaxis": axis, "mode": "lines"}
    area = common | {"fill": "toself", "line": {"width": 0}, "hoverinfo": "skip"}
    return [
        area
        | {"fillcolor": css(color_of(label))}
        | _outlines([(x, np.zeros_like(x), middle) for x, middle, _, _ in runs], seconds),
        area | {"fillcolor": BAND} | _outlines([(x, below, above) for x, _, below, above in runs], seconds),
        common
        | {
            "x": times / np.float32(seconds),
            "y": mean,
            "line": {"width": 1.2 if len(times) <= FEW_POINTS else 0.8, "color": css(INK)},
            "customdata": np.stack([low, high], axis=1),
            "hovertemplate": f"%{{x:.2f}} {unit}: {escape(label, quote=False)} %{{y:.0%}} "
            "(%{customdata[0]:.0%} to %{customdata[1]:.0%})<extra></extra>",
        },
    ]


@dataclass(frozen=True, eq=False)
class _Stretch:
    """What is drawn in one piece: times (T,), and mean, low and high (T, K) at these."""

    times_s: FloatArray
    mean: FloatArray
    low: FloatArray
    high: FloatArray


def _stretches(course: Course, gaps: Sequence[Gap]) -> Iterator[_Stretch]:
    """Yield what lies between gaps: the outer edges, and the middles of the bins between."""
    wide = [gap for gap in gaps if gap.length_s >= course.width_s]
    for run in course.runs:
        middles_s = course.starts_s[run] + course.width_s / 2
        first_s, end_s = middles_s[0] - course.width_s / 2, middles_s[-1] + course.width_s / 2
        cuts_s = [(gap.start_s, gap.end_s) for gap in wide if gap.end_s > first_s and gap.start_s < end_s]
        begins_s = [first_s, *(stop_s for _, stop_s in cuts_s)]
        for start_s, stop_s in zip(begins_s, [*(start_s for start_s, _ in cuts_s), end_s], strict=True):
            if stop_s > start_s:
                inner_s = middles_s[(middles_s > start_s) & (middles_s < stop_s)]
                times_s = np.array([start_s, *inner_s, stop_s])
                values = (_between(times_s, middles_s, part[run]) for part in (course.mean, course.low, course.high))
                yield _Stretch(times_s.astype(np.float32), *values)


def _between(times_s: DoubleArray, known_s: DoubleArray, values: FloatArray) -> FloatArray:
    return np.stack([np.interp(times_s, known_s, column) for column in values.T], axis=1).astype(np.float32)


def _outlines(areas: Sequence[tuple[FloatArray, FloatArray, FloatArray]], seconds: float) -> dict[str, FloatArray]:
    """Return the outlines of areas between two curves, of which none reaches into another."""
    return {
        "x": _parted([np.concatenate([x, x[::-1]]) for x, _, _ in areas]) / np.float32(seconds),
        "y": _parted([np.concatenate([above, below[::-1]]) for _, below, above in areas]),
    }


def _parted(parts: Iterable[FloatArray]) -> FloatArray:
    """Return arrays one after another, with a missing number after each."""
    return np.concatenate([np.append(part, np.float32(np.nan)) for part in parts])


def _apexes(events: Sequence[Event], seconds: float, axis: str) -> dict[str, Any]:
    return {
        "type": "scatter",
        "yaxis": axis,
        "mode": "markers",
        "x": np.array([event.apex_s / seconds for event in events], np.float32),
        "y": np.array([event.peak for event in events], np.float32),
        "marker": {"size": 6, "color": css(INK), "line": {"width": 1.2, "color": "#ffffff"}},
        "cliponaxis": False,
        "customdata": np.array([event.track_id for event in events], np.int32),
        "hovertemplate": "apex of person %{customdata}: %{y:.0%}<extra></extra>",
    }


def shares(rows: Sequence[tuple[str, npt.NDArray[np.float64]]], labels: Sequence[str]) -> Figure:
    """Draw the share of each answer as a bar for each row, with the numbers that have room.

    Parameters
    ----------
    rows : sequence of (str, (K + 1,) ndarray)
        Name, and the shares of the labels and of ``uncertain``.
    labels : sequence of str
    """
    data = []
    for index, label in enumerate((*labels, UNCERTAIN)):
        values = np.array([row[index] for _, row in rows], np.float32)
        color = color_of(label)
        data.append(
            {
                "type": "bar",
                "orientation": "h",
                "x": values,
                "y": list(range(len(rows))),
                "marker": {"color": css(color), "line": {"width": 0}},
                "text": [percent(value) if value >= LEAST_LABELED else "" for value in values.tolist()],
                "textposition": "inside",
                "insidetextanchor": "middle",
                "textangle": 0,
                "textfont": {"color": css(ink_on(color)), "size": 12},
                "hovertemplate": f"{escape(label, quote=False)} %{{x:.1%}}<extra></extra>",
            }
        )
    layout = _layout(BAR_PX * len(rows) + AXIS_PX - 12, "") | {"barmode": "stack", "bargap": 0.25}
    layout["xaxis"] |= {"range": [0, 1], "tickformat": ".0%", "fixedrange": True, "nticks": 6}
    names = [escape(name, quote=False) for name in clipped_names([name for name, _ in rows])]
    layout["yaxis"] = _rows_axis(names) | {"range": [len(rows) - 0.5, -0.5]}
    return Figure({"data": data, "layout": layout})


def unit_of(seconds: float) -> tuple[str, float]:
    """Return the unit in which an axis of this length is told, and its seconds."""
    if seconds <= 180:
        return "seconds", 1.0
    return ("minutes", 60.0) if seconds <= 3 * 3600 else ("hours", 3600.0)


def _layout(height: int, title: str) -> dict[str, Any]:
    clear = "rgba(0,0,0,0)"
    return {
        "template": "none",
        "height": height,
        "margin": {"l": 66, "r": 24, "t": 4, "b": AXIS_PX - 4 if title else AXIS_PX - 20},
        "paper_bgcolor": clear,
        "plot_bgcolor": clear,
        "showlegend": False,
        "font": {"family": "system-ui, sans-serif", "size": 12.5, "color": css(INK)},
        "hoverlabel": {"bgcolor": "#ffffff", "font": {"color": css(INK)}},
        "xaxis": {
            "title": {"text": title, "standoff": 8},
            "gridcolor": GRID,
            "zeroline": False,
            "nticks": 9,
            "tickcolor": GRID,
        },
    }


def _rows_axis(names: Sequence[str]) -> dict[str, Any]:
    return {
        "tickvals": list(range(len(names))),
        "ticktext": list(names),
        "fixedrange": True,
        "showgrid": False,
        "zeroline": False,
        "automargin": True,
        "ticklabelstandoff": 6,
        "ticks": "",
    }


def leading(answers: IntArray, labels: Sequence[str]) -> str:
    """Return the most frequent answer, empty where there is none."""
    return str((*labels, UNCERTAIN)[int(answers.argmax())]) if answers.any() else ""
