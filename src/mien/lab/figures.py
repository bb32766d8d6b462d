"""Still figures of data and results: each function returns a matplotlib ``Figure``; :func:`save` writes it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import ParamSpec, TypeVar

import numpy as np
import numpy.typing as npt

from mien.core.errors import DatasetError, MissingExtraError, OutputError
from mien.engine.results.writer import whole_file
from mien.lab.datasets import SIDE, FaceDataset
from mien.lab.datasets.files import read_csv
from mien.lab.evaluation import CalibrationBins, RiskCoverage, Robustness

try:
    import matplotlib
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator, PercentFormatter
except ImportError as error:
    raise MissingExtraError("matplotlib", "mien[analysis]") from error

# Okabe and Ito's colors, which people with any kind of color vision can tell apart.
COLORS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9")
FAINT = "#777777"
STYLE = {
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#E5E5E5",
    "legend.frameon": False,
    "figure.dpi": 100,
    "savefig.dpi": 150,
}

P = ParamSpec("P")
R = TypeVar("R")


def styled(draw: Callable[P, R]) -> Callable[P, R]:
    """Make a function draw in the one style of all figures, without changing matplotlib's own settings."""

    @wraps(draw)
    def drawn(*args: P.args, **kwargs: P.kwargs) -> R:
        with matplotlib.rc_context(STYLE):  # type: ignore[arg-type]
            return draw(*args, **kwargs)

    return drawn


@styled
def save(figure: Figure, path: str | Path) -> None:
    """Write a figure; the suffix (.png, .svg, .pdf) is its format.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    try:
        with whole_file(Path(path)) as partial:
            figure.savefig(partial, format=Path(path).suffix[1:])
    except (OSError, ValueError) as error:
        raise OutputError(f"{path}: cannot be written ({error}): expected a path like figure.png") from error


@styled
def training_curves(history: str | Path) -> Figure:
    """Draw accuracy and loss by epoch, as Figs. 8 and 9 of the paper.

    Parameters
    ----------
    history : path_like
        CSV file with the columns ``epoch, train_loss, train_accuracy, val_loss, val_accuracy``, among others; values
        may be empty where nothing was measured.

    Raises
    ------
    DatasetError
        If the file cannot be read, a column is missing, or a value is no number.
    """
    names = ("epoch", "train_accuracy", "val_accuracy", "train_loss", "val_loss")
    rows = [_numbers(Path(history), line, values) for line, values in read_csv(Path(history), names)]
    epoch, *columns = np.array(rows, np.float64).reshape(-1, len(names)).T
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    panels = figure.subplots(1, 2)
    for axes, title, curves in zip(panels, ("Accuracy", "Loss"), (columns[:2], columns[2:]), strict=True):
        for curve, name, color, dash in zip(curves, ("training", "validation"), COLORS, ("--", "-"), strict=False):
            known = np.isfinite(curve)
            axes.plot(epoch[known], curve[known], dash, color=color, label=name, marker="." if known.sum() < 3 else "")
        axes.set(title=title, xlabel="epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    panels[0].yaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))
    panels[1].set_ylabel("cross-entropy, nats")
    panels[0].legend(loc="lower right")
    return figure


def _numbers(path: Path, line: int, values: list[str]) -> list[float]:
    try:
        return [float(value or "nan") for value in values]
    except ValueError as error:
        raise DatasetError(f"{path}, line {line}: {error}: expected numbers or nothing") from error


@styled
def confusion_matrix(confusion: npt.ArrayLike, labels: tuple[str, ...]) -> Figure:
    """Draw a confusion matrix: counts, over shade and share of the row, as Fig. 11 of the paper.

    Parameters
    ----------
    confusion : (K, K) array_like of int
        Row: true class, column: answer.
    labels : tuple of str
        The K classes.
    """
    counts = np.asarray(confusion, np.int64)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = 1.6 + 0.72 * len(labels)
    figure = Figure(figsize=(side, side - 0.2), layout="constrained")
    axes = figure.subplots()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(counts):
        color = "white" if shares[row, column] > 0.5 else "black"
        axes.text(column, row - 0.12, f"{count:,}", ha="center", va="center", color=color)
        share = f"{100 * shares[row, column]:.0f} %"
        axes.text(column, row + 0.22, share, ha="center", va="center", color=color, fontsize=7.5)
    places = range(len(labels))
    axes.set_xticks(places, labels, rotation=45, ha="right", rotation_mode="anchor")
    axes.set_yticks(places, labels)
    axes.set(xlabel="answer", ylabel="label", title=f"Counts, and share of each label ({counts.sum():,} faces)")
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    return figure


@styled
def reliability_diagram(bins: CalibrationBins) -> Figure:
    """Draw how often an answer of some confidence is right, and how many answers have it.

    Parameters
    ----------
    bins : CalibrationBins
        Of :func:`mien.lab.evaluation.calibration_bins`.
    """
    figure = Figure(figsize=(4.8, 5.6), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    left, width, filled = bins.edges[:-1], np.diff(bins.edges), bins.counts > 0
    upper.bar(left[filled], bins.accuracy[filled], width[filled], align="edge", color=COLORS[0], edgecolor="white")
    upper.plot([0, 1], [0, 1], "--", color=FAINT, label="perfectly calibrated")
    upper.plot(
        bins.confidence[filled], bins.accuracy[filled], "o", color=COLORS[4], label="mean of each bin", clip_on=False
    )
    upper.set(ylabel="share of right answers", ylim=(0, 1), xlim=(0, 1))
    upper.set_title(f"Expected calibration error {bins.error:.3f}")
    upper.legend(loc="upper left")
    lower.bar(left, bins.counts, width, align="edge", color=COLORS[5], edgecolor="white")
    lower.set(xlabel="confidence (top probability)", ylabel="faces")
    return figure


@styled
def samples(dataset: FaceDataset, *, per_class: int = 10, seed: int = 0) -> Figure:
    """Draw random faces of each class, as Fig. 6 of the paper; classes without faces are left out.

    Data sets do not allow all of their faces to be published: keep the figure to yourself.

    Parameters
    ----------
    dataset : FaceDataset
    per_class : int
        Faces in each row.
    seed : int
        Seed of the draw.
    """
    generator = np.random.default_rng(seed)
    present = [label for label, count in enumerate(dataset.class_counts().values()) if count]
    step = SIDE + 2
    mosaic = np.full((len(present) * step, per_class * step), 255, np.uint8)
    for row, label in enumerate(present):
        drawn = generator.permutation(np.flatnonzero(dataset.labels == label))[:per_class]
        for column, image in enumerate(dataset.images[drawn]):
            mosaic[row * step : row * step + SIDE, column * step : column * step + SIDE] = image
    figure = Figure(figsize=(1.2 + 0.7 * per_class, 0.7 * max(len(present), 1)), layout="constrained")
    axes = figure.subplots()
    axes.imshow(mosaic, cmap="gray", vmin=0, vmax=255)
    axes.set_xticks([])
    axes.set_yticks([row * step + SIDE / 2 for row in range(len(present))], [dataset.label_names[i] for i in present])
    axes.tick_params(left=False)
    axes.spines[:].set_visible(False)
    axes.grid(visible=False)
    return figure


@styled
def class_histogram(dataset: FaceDataset) -> Figure:
    """Draw the number of faces of each class, stacked by where they come from, as Fig. 7 of the paper."""
    origins = _origins(dataset)
    places, heights = np.arange(len(dataset.label_names)), np.zeros(len(dataset.label_names), np.int64)
    figure = Figure(figsize=(3.8 + 0.85 * len(places), 3.8), layout="constrained")
    axes = figure.subplots()
    for index, origin in enumerate(dict.fromkeys(origins)):
        part = dataset[np.equal(origins, origin)]
        counts = np.array(list(part.class_counts().values()))
        color = COLORS[index % len(COLORS)]
        axes.bar(places, counts, 0.75, bottom=heights, label=f"{origin} ({len(part):,})", color=color)
        heights += counts
    for place, height in zip(places, heights.tolist(), strict=True):
        axes.annotate(f"{height:,}", (place, height), (0, 2), textcoords="offset points", ha="center", fontsize=8.5)
    axes.set_xticks(places, dataset.label_names)
    axes.set(ylabel="faces", ylim=(0, 1.08 * max(heights.max(), 1)))  # room for the counts above the bars
    axes.set(title=f"Faces of each class ({len(dataset):,} in all)")
    axes.grid(visible=False, axis="x")
    figure.legend(loc="outside right upper")
    return figure


def _origins(dataset: FaceDataset) -> list[str]:
    """Return data set and split of each face, as a legend names them."""
    names = {"ck": "CK+48", "fer2013": "FER2013", "folder": "folder"}
    prefixes = (source.partition(":")[0] for source in dataset.source_ids.tolist())
    pairs = zip(prefixes, dataset.split.tolist(), strict=True)
    return [f"{names.get(prefix, prefix)} {split}".strip() for prefix, split in pairs]


@styled
def risk_coverage_curve(curve: RiskCoverage, threshold: float) -> Figure:
    """Draw how often answers are wrong against how many faces are answered, and where `uncertain` begins.

    Parameters
    ----------
    curve : RiskCoverage
        Of :func:`mien.lab.evaluation.risk_coverage`.
    threshold : float
        ``uncertain_below`` of the model's card.
    """
    figure = Figure(figsize=(6.2, 3.8), layout="constrained")
    axes = figure.subplots()
    axes.plot(curve.coverage, curve.risk, color=COLORS[0])
    coverage, risk = curve.at(threshold)
    label = f"uncertain below {threshold:.2f}: {100 * coverage:.0f} % answered, {100 * risk:.1f} % of them wrong"
    axes.plot([coverage], [risk], "o", color=COLORS[4], label=label, clip_on=False)
    axes.set(
        xlabel="share of faces answered, surest first", ylabel="wrong among the answers", xlim=(0, 1), ylim=(0, None)
    )
    axes.set_title(f"Area under the risk-coverage curve {curve.area:.3f}")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))
    axes.legend(loc="upper left")
    return figure


@styled
def robustness_chart(rows: Sequence[Robustness]) -> Figure:
    """Draw the points of accuracy lost under each condition, with 95 % intervals.

    Parameters
    ----------
    rows : sequence of Robustness
        Of :func:`mien.lab.evaluation.robustness`.
    """
    figure = Figure(figsize=(7.2, 1.2 + 0.26 * len(rows)), layout="constrained")
    axes = figure.subplots()
    drops = 100 * np.array([row.drop.value for row in rows])
    ends = 100 * np.array([(row.drop.value - row.drop.low, row.drop.high - row.drop.value) for row in rows]).reshape(
        -1, 2
    )
    places = np.arange(len(rows))
    axes.barh(places, drops, 0.7, color=COLORS[0], xerr=np.maximum(ends.T, 0), ecolor=FAINT, error_kw={"lw": 1})
    axes.set_yticks(places, [row.condition for row in rows])
    axes.invert_yaxis()
    axes.axvline(0, color=FAINT, lw=0.8)
    axes.set(xlabel="points of accuracy lost", title="What is lost when pictures get worse")
    axes.grid(visible=False, axis="y")
    return figure
