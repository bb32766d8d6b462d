"""The live page with photos and video files."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import clips
import numpy as np
import pytest
from live_page import Inspector, LivePage

from mien.core.labels import EXPRESSIONS
from mien.core.types import LANDMARK_COLUMNS, columns
from mien.engine.explain import WHY_NAMES


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of files that one may choose."""
    folder = tmp_path_factory.mktemp("files")
    clips.write_photo(folder / "pair.png", clips.two_faces)
    clips.write_photo(folder / "nobody.jpg", clips.nobody)
    clips.write_webm(folder / "talk.webm", clips.one_face, 2)
    (folder / "broken.jpg").write_bytes((folder / "nobody.jpg").read_bytes()[:200])
    (folder / "broken.webm").write_bytes((folder / "talk.webm").read_bytes()[:100])
    (folder / "notes.txt").write_text("no picture at all")
    (folder / "empty.png").write_bytes(b"")
    return folder


def test_a_photo_is_analyzed(page: LivePage, files: Path, downloads: Path, inspect: Inspector) -> None:
    page.choose(files / "pair.png")
    page.until_state("photo")
    people = page.until_faces(2)
    assert [person.expression for person in people] == ["happy", "happy"]
    assert [person.track_id for person in people] == ["", ""]
    left = min(people, key=lambda person: person.box[0])
    np.testing.assert_allclose(left.box, np.add(clips.FACE, (20, clips.TOP) * 2), atol=8)
    assert not page.is_visible("pause")
    assert not page.is_visible("mirror")
    rows = list(csv.DictReader(io.StringIO(page.download(downloads), newline="")))
    assert [row["source"] for row in rows] == ["pair.png", "pair.png"]
    inspect(page, "photo")


def test_a_photo_is_read_again_for_landmarks_and_why(page: LivePage, files: Path, downloads: Path) -> None:
    page.choose(files / "pair.png")
    page.until_state("photo")
    for name in ("landmarks", "why"):
        page.press(name)
        page.until_state("photo")
    page.until("[...document.querySelectorAll('.person-why')].every((why) => why.textContent.includes('%'))")
    (_, *rows) = csv.reader(io.StringIO(page.download(downloads), newline=""))
    header = page.download(downloads).split("\r\n", 1)[0].split(",")
    assert tuple(header) == (*columns(EXPRESSIONS), *LANDMARK_COLUMNS, *WHY_NAMES)
    assert len(rows) == 2  # not two for each time that it was read
    assert all(all(row[len(columns(EXPRESSIONS)) :]) for row in rows)


def test_a_photo_without_a_face_says_so(page: LivePage, files: Path) -> None:
    page.choose(files / "nobody.jpg")
    page.until_state("photo")
    page.until("!document.getElementById('no-face').hidden")
    assert page.people() == []


def test_a_video_is_analyzed_to_its_end(page: LivePage, files: Path, downloads: Path, inspect: Inspector) -> None:
    page.choose(files / "talk.webm")
    page.until_state("ended")
    text = page.download(downloads)
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert {row["source"] for row in rows} == {"talk.webm"}
    assert {row["expression"] for row in rows} == {"happy"}
    times = [float(row["time_s"]) for row in rows]
    assert times == sorted(times)
    assert 0 <= times[0] < times[-1] < 2  # the time of the video, not of the clock
    assert page.part("stage").get_attribute("data-mirrored") == "false"
    inspect(page, "video-ended")
    page.press("pause")
    page.until_state("live")
    page.until_state("ended")


@pytest.mark.parametrize("name", ["broken.jpg", "broken.webm", "notes.txt", "empty.png"])
def test_a_file_that_cannot_be_read_says_so(page: LivePage, files: Path, name: str, inspect: Inspector) -> None:
    page.choose(files / name)
    page.until_state("unreadable")
    assert page.is_visible("panel")
    assert name in page.part("panel-text").text
    if name == "broken.jpg":
        inspect(page, "unreadable")
    page.choose(files / "pair.png")
    page.until_state("photo")
    page.until_faces(2)


def test_a_file_takes_the_place_of_the_camera(page: LivePage, files: Path) -> None:
    page.start_camera()
    page.until_faces(1)
    page.run("window.track = document.getElementById('video').srcObject.getVideoTracks()[0]")
    page.choose(files / "pair.png")
    page.until_state("photo")
    page.until_faces(2)
    assert page.value("window.track.readyState") == "ended"
