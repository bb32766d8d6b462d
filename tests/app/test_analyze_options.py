"""What ``mien analyze`` offers for videos: parts of them, events, people, the group, subtitles, blurred faces."""

from __future__ import annotations

import csv
from pathlib import Path

import cv2
import numpy as np
import pytest
from footage import HEAD, write_photo, write_video
from typer.testing import CliRunner

from mien.app.cli import app
from mien.core.errors import OptionError
from mien.engine.video import frames


def analyze(*arguments: object) -> str:
    done = CliRunner().invoke(app, ["analyze", *map(str, arguments)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def talk(tmp_path: Path) -> Path:
    """Return four seconds of a smile, ten frames a second."""
    return write_video(tmp_path / "talk.mkv", [HEAD] * 40)


def test_what_lasts_longer_than_a_frame(talk: Path, tmp_path: Path) -> None:
    names = {name: tmp_path / f"{name}.csv" for name in ("events", "tracks", "group")}
    cues = tmp_path / "talk.vtt"
    options = [part for name, path in names.items() for part in (f"--{name}", path)]
    analyze(talk, "--detector", "whole", "--subtitles", cues, *options)
    (event,) = table(names["events"])
    assert (event["track_id"], event["expression"]) == ("1", "happy")
    assert float(event["onset_s"]) == 0
    assert 3.8 < float(event["offset_s"]) <= 4
    (track,) = table(names["tracks"])
    assert float(track["share_happy"]) == pytest.approx(1)
    assert [row["second"] for row in table(names["group"])] == ["0", "1", "2", "3"]
    assert cues.read_text("utf-8").startswith("WEBVTT\n\n1\n00:00:00.000 --> 00:00:03.9")


def test_a_part_of_a_video(talk: Path, tmp_path: Path) -> None:
    rows = tmp_path / "rows.csv"
    for start, end, every in (("1", "3", "0.5"), ("1s", "3.0s", "0.5s"), ("0:01", "00:00:03", "0:00.5")):
        analyze(talk, "--detector", "whole", "--from", start, "--to", end, "--every", every, "--csv", rows)
        assert [(row["frame"], float(row["time_s"])) for row in table(rows)] == [
            ("10", 1.0),
            ("15", 1.5),
            ("20", 2.0),
            ("25", 2.5),
        ]


def test_without_smoothing_each_frame_stands_for_itself(tmp_path: Path) -> None:
    masked = HEAD.copy()
    masked[90:150, 50:130] = 120
    clip = write_video(tmp_path / "flicker.mkv", [HEAD, masked] * 4, rate=100)
    spreads = []
    for smoothing in ("0", "1"):
        analyze(clip, "--detector", "whole", "--smoothing", smoothing, "--csv", tmp_path / "rows.csv")
        spreads.append(np.std([float(row["happy"]) for row in table(tmp_path / "rows.csv")][1:]))
    assert spreads[0] > 5 * spreads[1]


def detail(picture: np.ndarray) -> float:
    return float(cv2.Laplacian(picture, cv2.CV_64F).var())


def test_faces_are_blurred_in_pictures_and_videos(talk: Path, tmp_path: Path) -> None:
    photo = write_photo(tmp_path / "photo.png")
    for blur in ([], ["--blur-faces"]):
        analyze(photo, talk, "--annotate", tmp_path / f"drawn{len(blur)}", *blur)
    kept, gone = tmp_path / "drawn0", tmp_path / "drawn1"
    face = np.s_[60:110, 60:110]
    for name in ("photo.annotated.png",):
        pictures = [cv2.imread(str(folder / name)) for folder in (kept, gone)]
        assert detail(pictures[1][face]) < 0.05 * detail(pictures[0][face])  # type: ignore[index]
    videos = [next(frames(folder / "talk.annotated.mp4")).image for folder in (kept, gone)]
    assert detail(videos[1][face]) < 0.05 * detail(videos[0][face])


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--every", "often"], "'often' is no time: expected seconds"),
        (["--from", "1:2:3:4"], "'1:2:3:4' is no time"),
        (["--to", "-3"], "'-3' is no time"),
        (["--workers", "0"], "workers"),
    ],
)
def test_a_time_that_is_none_is_misuse(options: list[str], reason: str, talk: Path) -> None:
    done = CliRunner().invoke(app, ["analyze", str(talk), *options])
    assert done.exit_code == 2
    assert reason in done.output.replace("\n", " ")


def test_misuse_is_told_before_any_work(talk: Path, tmp_path: Path) -> None:
    for options, reason in (
        (["--from", "3", "--to", "2"], "--to is 2 s: expected more than --from, which is 3 s"),
        (["--blur-faces"], "--blur-faces: nothing is drawn"),
        (["--events", str(tmp_path / "events.mp4")], "is no name for a table: expected one like results.csv"),
        (["--subtitles", str(tmp_path / "cues.txt")], "unknown kind of file '.txt': expected one of .srt, .vtt"),
    ):
        with pytest.raises(OptionError, match=reason):
            CliRunner().invoke(app, ["analyze", str(talk), *options], catch_exceptions=False)


def test_subtitles_are_of_one_video(talk: Path, tmp_path: Path) -> None:
    other = write_video(tmp_path / "other.mkv", [HEAD] * 3)
    with pytest.raises(OptionError, match="subtitles are of one video, not of 2 sources"):
        CliRunner().invoke(
            app, ["analyze", str(talk), str(other), "--subtitles", str(tmp_path / "a.srt")], catch_exceptions=False
        )
    assert not (tmp_path / "a.srt").exists()
