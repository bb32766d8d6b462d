"""What ``mien models`` shows: the nets with their cards' figures, the detectors with theirs."""

from __future__ import annotations

from rich.table import Table

from mien.core.model import ModelCard
from mien.engine.recognizer import load, model_names
from mien.face.detectors import detectors_in_use

LEGEND = """\
FER2013: accuracy on PrivateTest, original labels. FER+: accuracy on its test rows, majority, 7 classes.
calibration: expected error on the labels that the net was taught. answered: faces not called uncertain.
mien models NAME shows the whole card, with intervals."""


def model_table() -> Table:
    """Return the nets that ship with mien as a table."""
    table = Table(title="nets", title_justify="left", box=None, header_style="bold", pad_edge=False)
    for title in ("name", "FER2013", "FER+", "calibration", "answered", "size"):
        table.add_column(title, justify="left" if title == "name" else "right", no_wrap=True)
    for name in model_names():
        recognizer = load(name)
        size = f"{recognizer.model.path.stat().st_size / 1e6:.1f} MB"
        table.add_row(name, *_figures(recognizer.card), size)
    return table


def _figures(card: ModelCard) -> tuple[str, ...]:
    def percent(name: str) -> str:
        return f"{100 * card.scores[name].value:.1f} %" if name in card.scores else ""

    labels = "calibration_ferplus" if card.head == "ferplus" else "calibration_fer2013"
    error = f"{card.scores[labels].value:.3f}" if labels in card.scores else ""
    return percent("fer2013"), percent("ferplus_7"), error, f"{100 * card.coverage:.0f} %"


def detector_table() -> Table:
    """Return the detectors as a table; the one in use is marked."""
    table = Table(title="detectors", title_justify="left", box=None, header_style="bold", pad_edge=False)
    for title in ("name", "", "measured"):
        table.add_column(title, overflow="fold")
    for info in detectors_in_use():
        table.add_row(info.name, "in use" if info.in_use else "", info.problem or info.figure)
    return table
