from __future__ import annotations

from pathlib import Path

import cv2
import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure

from mien.core.errors import DatasetError, OutputError
from mien.core.labels import EXPRESSIONS
from mien.core.types import IntArray
from mien.lab import figures
from mien.lab.datasets import FaceDataset
from mien.lab.evaluation import calibration_bins

CURVES = "epoch,lr,train_loss,train_accuracy,val_loss,val_accuracy\n1,0.1,2.0,0.2,1.9,0.25\n2,0.1,1.5,0.4,,\n"


@pytest.fixture
def dataset() -> FaceDataset:
    labels: IntArray = np.array([0, 0, 0, 3, 3, 6], np.int64)
    return FaceDataset(
        images=np.arange(6, dtype=np.uint8)[:, None, None] * np.full((6, 48, 48), 40, np.uint8),
        labels=labels,
        label_names=EXPRESSIONS,
        split=np.array(["", "", "Training", "Training", "Training", "PublicTest"], np.str_),
        source_ids=np.array(["ck:a", "ck:b", "fer2013:0", "fer2013:1", "fer2013:2", "fer2013:3"], np.str_),
    )


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def test_training_curves_leave_out_what_was_not_measured(tmp_path: Path) -> None:
    path = tmp_path / "curves.csv"
    path.write_text(CURVES)
    accuracy, loss = figures.training_curves(path).axes
    training, validation = (np.asarray(line.get_xydata()) for line in accuracy.lines)
    assert training.tolist() == [[1, 0.2], [2, 0.4]]
    assert validation.tolist() == [[1, 0.25]]
    assert np.asarray(loss.lines[0].get_xydata()).tolist() == [[1, 2.0], [2, 1.5]]


def test_curves_that_are_none_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "curves.csv"
    path.write_text(CURVES.replace("1.5", "much"))
    with pytest.raises(DatasetError, match=r"curves\.csv, line 3: .*'much'"):
        figures.training_curves(path)
    path.write_text("epoch,loss\n1,2\n")
    with pytest.raises(DatasetError, match="has no column 'train_accuracy'"):
        figures.training_curves(path)


def test_confusion_shows_counts_and_shares_of_rows() -> None:
    figure = figures.confusion_matrix([[1500, 500], [0, 0]], ("happy", "sad"))
    assert texts(figure) == ["1,500", "75 %", "500", "25 %", "0", "0 %", "0", "0 %"]


def test_reliability_shows_the_error() -> None:
    table = np.array([[0.9, 0.1], [0.9, 0.1]], np.float32)
    figure = figures.reliability_diagram(calibration_bins(table, np.array([0, 1])))
    assert figure.axes[0].get_title("left") == "Expected calibration error 0.400"
    assert len(figure.axes[0].patches) == 1
    assert len(figure.axes[1].patches) == 15


def test_samples_have_a_row_for_each_class_present(dataset: FaceDataset) -> None:
    axes = figures.samples(dataset, per_class=4).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["angry", "happy", "neutral"]
    mosaic = np.asarray(axes.images[0].get_array())
    assert mosaic.shape == (3 * 50, 4 * 50)
    assert {int(value) for value in np.unique(mosaic)} == {0, 40, 80, 120, 160, 200, 255}


def test_histogram_is_stacked_by_origin(dataset: FaceDataset) -> None:
    figure = figures.class_histogram(dataset)
    assert texts(figure) == ["3", "0", "0", "2", "0", "0", "1"]
    (legend,) = figure.legends
    names = [text.get_text() for text in legend.get_texts()]
    assert names == ["CK+48 (2)", "FER2013 Training (3)", "FER2013 PublicTest (1)"]


def test_figures_are_written(tmp_path: Path, dataset: FaceDataset) -> None:
    before = dict(matplotlib.rcParams)
    figures.save(figures.class_histogram(dataset), tmp_path / "histogram.png")
    figures.save(figures.samples(dataset), tmp_path / "samples.svg")
    picture = cv2.imread(str(tmp_path / "histogram.png"))
    assert picture is not None
    assert min(picture.shape[:2]) > 300
    assert picture.std() > 10
    assert (tmp_path / "samples.svg").stat().st_size > 1000
    assert dict(matplotlib.rcParams) == before


@pytest.mark.parametrize("name", ["figure.docx", "file/figure.png"])
def test_a_figure_that_cannot_be_written_is_one_line(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"cannot be written|is a file") as error:
        figures.save(figures.confusion_matrix([[1]], ("happy",)), tmp_path / name)
    assert "\n" not in str(error.value)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
