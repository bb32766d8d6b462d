"""Draws what :mod:`mien.engine.drawing.layout` has placed: box, label, panel, strip."""

from __future__ import annotations

import numpy as np

from mien.core.types import ByteArray
from mien.engine.drawing.colors import FADED, GROOVE, INK, PAPER, color_of, ink_on
from mien.engine.drawing.layout import Mark
from mien.engine.drawing.strokes import Area, fill, outline, write

SMALLEST_SHOWN = 0.005  # a probability below has no bar


def paint_shade(shade: ByteArray, mark: Mark) -> None:
    """Paint what shines through: a dark edge around box and strip, for bright backgrounds, and the panel's ground."""
    outline(shade, mark.box, mark.radius, INK, 3 * mark.stroke_px)
    fill(shade, mark.panel, 0.8 * mark.small_px, INK)
    if mark.strip.size:
        fill(shade, mark.strip.grown(mark.stroke_px), mark.strip.height, INK)


def paint_box(canvas: ByteArray, mark: Mark) -> None:
    """Paint the box, and the strip of a face without a panel."""
    outline(canvas, mark.box, mark.radius, mark.color, mark.stroke_px)
    ends = np.cumsum(mark.face.probabilities[0]) * mark.strip.width + mark.strip.left
    # From the last label to the first, each over the rest: every color ends round.
    for name, end in reversed(list(zip(mark.face.labels, ends.tolist(), strict=True))):
        fill(canvas, mark.strip._replace(right=end), mark.strip.height / 2, color_of(name))


def paint_label(canvas: ByteArray, mark: Mark) -> None:
    """Paint what the face shows and, below it, why."""
    capitals, small, ink = mark.capitals_px, mark.small_px, ink_on(mark.color)
    left, baseline = mark.label.left + 0.75 * capitals, mark.label.top + 1.55 * capitals
    fill(canvas, mark.label, 0.5 * capitals, mark.color)
    write(canvas, mark.text, left, baseline, capitals, ink)
    if mark.reason:
        write(canvas, mark.reason, left, baseline + 1.7 * small, small, ink)


def paint_panel(canvas: ByteArray, mark: Mark) -> None:
    """Paint the name and the bar of each expression, where the face has a panel."""
    if not mark.panel.size:
        return
    unit = mark.small_px
    names, probabilities = mark.face.labels, mark.face.probabilities[0].tolist()
    top_name = names[int(np.argmax(probabilities))]
    bar_left, bar_right = mark.panel.right - 6.9 * unit, mark.panel.right - 0.9 * unit
    for index, (name, probability) in enumerate(zip(names, probabilities, strict=True)):
        baseline = mark.panel.top + (1.9 * index + 2.05) * unit
        ink = PAPER if name == top_name else FADED
        write(canvas, name, mark.panel.left + 0.9 * unit, baseline, unit, ink)
        bar = Area(bar_left, baseline - 0.8 * unit, bar_right, baseline - 0.2 * unit)
        fill(canvas, bar, bar.height / 2, GROOVE)
        if probability >= SMALLEST_SHOWN:
            # A bar shorter than it is thick would lose its round ends.
            length = max(probability * bar.width, bar.height)
            fill(canvas, bar._replace(right=bar.left + length), bar.height / 2, color_of(name))
