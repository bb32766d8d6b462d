"""What was asked for besides, in tables and on pictures: columns that are known before the first row."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
from media import portrait
from read_back import read_table

from mien.core.errors import OptionError
from mien.core.types import LANDMARK_COLUMNS, Faces, FrameResult, Row, columns
from mien.engine.results import TABLES, AnnotatedFolder, AnnotatedVideo, Table, open_annotation, table_header
from mien.engine.video import frames

LABELS = ("happy", "sad")
NAMES = ("mouth_openness", "why_mouth")


def header(*, landmarks: bool, names: tuple[str, ...] = NAMES) -> Row:
    return table_header(LABELS, model="m", sha256="00", landmarks=landmarks, feature_names=names)


def measured(frame: int, count: int) -> FrameResult:
    """Return a frame whose last face could not be measured."""
    rng = np.random.default_rng(frame)
    faces = Faces.detected(rng.uniform(0, 99, (count, 4)), np.ones(count))
    faces = faces.recognized(rng.dirichlet(np.ones(2), count), LABELS)
    faces = replace(
        faces,
        landmarks=rng.uniform(0, 99, (count, 68, 2)).astype(np.float32),
        landmark_confidences=rng.uniform(0, 1, count).astype(np.float32),
    )
    values = rng.normal(size=(count, 2))
    values[-1:] = np.nan
    return FrameResult("talk.mp4", frame, frame / 3, None, faces.measured(NAMES, values))


RESULTS = [measured(0, 0), measured(1, 2), measured(2, 0), measured(3, 1)]


def write(path: Path, head: Row) -> Path:
    with Table(path, head) as table:
        for result in RESULTS:
            table.write(result)
    return path


def expected(names: tuple[str, ...]) -> list[Row]:
    """Return the rows with these columns, what is missing as None."""
    rows = [row for result in RESULTS for row in result.to_dicts()]
    return [{name: None if row[name] != row[name] else row[name] for name in names} for row in rows]


@pytest.mark.parametrize("suffix", TABLES)
@pytest.mark.parametrize("landmarks", [True, False])
def test_points_and_features_come_back_to_the_bit_and_what_is_missing_is_empty(
    suffix: str, landmarks: bool, tmp_path: Path
) -> None:
    head = header(landmarks=landmarks)
    names = columns(LABELS, landmarks=landmarks, feature_names=NAMES)
    assert head["columns"] == list(names)
    rows = read_table(write(tmp_path / f"a{suffix}", head))
    assert [tuple(row) for row in rows] == [names] * 5
    assert rows == expected(names)
    assert [row["why_mouth"] is None for row in rows] == [True, False, True, True, True]


def test_the_header_comes_before_the_first_row_and_names_every_column(tmp_path: Path) -> None:
    head = header(landmarks=True)
    for suffix in (".csv", ".jsonl", ".parquet"):
        with Table(tmp_path / f"a{suffix}", head) as table:
            table.write(measured(0, 0))
    with (tmp_path / "a.csv").open(newline="", encoding="utf-8") as file:
        assert next(csv.reader(file)) == head["columns"]
    with (tmp_path / "a.jsonl").open(encoding="utf-8") as file:
        first, second = (json.loads(line) for line in file)
    assert first["columns"] == list(second) == head["columns"]
    schema = pyarrow.parquet.read_schema(tmp_path / "a.parquet")
    assert schema.names == head["columns"]
    assert {str(schema.field(name).type) for name in (*LANDMARK_COLUMNS, *NAMES)} == {"float"}


def test_a_table_without_the_features_that_faces_have_refuses_them(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="has no column 'mouth_openness'"):
        write(tmp_path / "a.csv", header(landmarks=True, names=()))


def drawn(regions: bool, path: Path) -> Path:
    """Write a face that is sure, three times as a video, and return where."""
    picture = portrait(192, 128)
    faces = replace(measured(1, 1).faces, landmark_confidences=np.ones(1, np.float32))
    points = np.random.default_rng(0).uniform(30, 100, (1, 68, 2)).astype(np.float32)
    faces = replace(faces, boxes_xyxy=np.array([[30, 30, 100, 120]], np.float32), landmarks=points)
    with open_annotation(path, ["talk.mp4"], bars=False, regions=regions) as writer:
        assert isinstance(writer, (AnnotatedFolder, AnnotatedVideo))
        for frame in range(3):
            writer.write(FrameResult("talk.mp4", frame, frame / 10, picture, faces))
    return path / "talk.annotated.mp4" if path.is_dir() else path


@pytest.mark.parametrize("name", ["drawn", "drawn.mp4"])
def test_regions_are_drawn_on_request(name: str, tmp_path: Path) -> None:
    pictures = []
    for regions in (False, True):
        (tmp_path / str(regions)).mkdir()
        video = drawn(regions, tmp_path / str(regions) / name)
        pictures.append(next(frames(video)).image.astype(int))
    assert np.abs(pictures[1] - pictures[0])[30:120, 30:100].mean() > 2
