"""The live page with a camera: what it shows of whoever is before it."""

from __future__ import annotations

import csv
import io
import math
from pathlib import Path

import clips
import numpy as np
import pytest
from live_page import GAP_S, LivePage, Opener
from PIL import Image
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.select import Select
from services import Service

from mien.core.labels import EXPRESSIONS
from mien.core.types import LANDMARK_COLUMNS, ByteArray, columns
from mien.engine.explain import WHY_NAMES

NEAR_PX = 20  # she moves up to 31 pixels a second, and an answer is of a frame before the one that is shown
HAPPY = (250, 232, 70)

MARKER = """
const [video, canvas] = [document.getElementById('video'), document.createElement('canvas')];
[canvas.width, canvas.height] = [video.videoWidth, video.videoHeight];
const context = canvas.getContext('2d');
context.drawImage(video, 0, 0);
const line = context.getImageData(0, arguments[0], canvas.width, 1).data;
for (let x = 0; x < canvas.width; x++) if (line[4 * x] < 90 && line[4 * x + 1] > 200 && line[4 * x + 2] < 90) return x;
"""


def overlay(page: LivePage) -> ByteArray:
    """Return what is drawn over the picture, (height, width, 4) uint8 RGBA."""
    drawn = page.browser.execute_async_script(
        "const done = arguments[0];"
        "document.getElementById('overlay').toBlob(async (blob) => done([...new Uint8Array(await blob.arrayBuffer())]))"
    )
    return decoded(bytes(drawn))


def decoded(picture: bytes) -> ByteArray:
    """Return a picture file as (height, width, 4) uint8 RGBA."""
    with Image.open(io.BytesIO(picture)) as image:
        return np.asarray(image.convert("RGBA"), np.uint8)


def on_overlay(box: tuple[float, ...], drawn: ByteArray, *, is_mirrored: bool) -> tuple[float, ...]:
    """Return where a box of the frame lies on the overlay; it covers the stage as object-fit: contain does."""
    height, width = drawn.shape[:2]
    scale = min(width / clips.WIDTH, height / clips.HEIGHT)
    left, top = (width - scale * clips.WIDTH) / 2, (height - scale * clips.HEIGHT) / 2
    x1, y1, x2, y2 = box
    if is_mirrored:
        x1, x2 = clips.WIDTH - x2, clips.WIDTH - x1
    return left + scale * x1, top + scale * y1, left + scale * x2, top + scale * y2


def has_color(drawn: ByteArray, x: float, y: float) -> bool:
    """Return whether the color of `happy` is at or beside a place."""
    around = drawn[round(y) - 2 : round(y) + 3, round(x) - 2 : round(x) + 3]
    return bool(np.any(np.all(np.abs(around.astype(int) - (*HAPPY, 255)) < 12, axis=-1)))


def is_clear(drawn: ByteArray, x: float, y: float) -> bool:
    return bool(drawn[round(y), round(x), 3] == 0)


def table(downloads: Path, page: LivePage) -> tuple[str, list[dict[str, str]]]:
    """Download the rows; return the text as it is and the rows."""
    text = page.download(downloads)
    return text, list(csv.DictReader(io.StringIO(text, newline="")))


def test_the_page_opens(page: LivePage) -> None:
    assert page.state == "start"
    assert page.browser.title == "mien"
    for name in ("start-camera", "choose-file", "about-open", "theme-toggle"):
        assert page.is_visible(name)
    assert "nothing leaves" in page.part("main").text
    assert not page.part("download").is_enabled()


def test_a_face_gets_its_box_and_expression(page: LivePage) -> None:
    page.start_camera()
    page.until_faces(1)
    page.until_frames(5)
    page.pause()
    (person,) = page.people()
    assert person.expression == "happy"
    assert "happy" in person.words
    assert person.confidence > 0.8
    assert tuple(person.bars) == EXPRESSIONS
    assert sum(person.bars.values()) == pytest.approx(1, abs=1e-3)
    assert person.bars["happy"] == pytest.approx(person.confidence, abs=1e-3)
    left = page.run(MARKER, clips.TOP + clips.MARKER_PX // 2)
    expected = np.add(clips.FACE, (left, clips.TOP) * 2)
    np.testing.assert_allclose(person.box, expected, atol=NEAR_PX)


def check_box(drawn: ByteArray, box: tuple[float, ...], *, is_mirrored: bool) -> None:
    """Check that a box is drawn where it belongs, and nothing in and beside it."""
    x1, y1, x2, y2 = on_overlay(box, drawn, is_mirrored=is_mirrored)
    middle, center = (y1 + y2) / 2, (x1 + x2) / 2
    assert has_color(drawn, x1, middle)
    assert has_color(drawn, x2, middle)
    assert has_color(drawn, center, y2)
    assert is_clear(drawn, center, middle)
    assert is_clear(drawn, x1 - 12, middle)
    assert is_clear(drawn, x2 + 12, middle)


def test_mirror_turns_the_picture_and_the_boxes_and_not_the_text(page: LivePage) -> None:
    page.start_camera()
    page.until_faces(1)
    page.pause()
    (person,) = page.people()
    marker = page.run(MARKER, clips.TOP + clips.MARKER_PX // 2) + clips.MARKER_PX / 2
    words = []
    for is_mirrored in (True, False):
        assert page.part("stage").get_attribute("data-mirrored") == str(is_mirrored).lower()
        assert page.part("mirror").get_attribute("aria-pressed") == str(is_mirrored).lower()
        assert seen_marker(page) == pytest.approx(clips.WIDTH - marker if is_mirrored else marker, abs=6)
        drawn = overlay(page)
        check_box(drawn, person.box, is_mirrored=is_mirrored)
        words.append(chip_ink(drawn, person.box, is_mirrored=is_mirrored))
        page.press("mirror")
    assert agreement(words[0], words[1]) > 0.6
    assert agreement(words[0], words[1][:, ::-1]) < 0.45


def seen_marker(page: LivePage) -> float:
    """Return the middle of the green square in a screenshot of the picture, in pixels of the frame."""
    shown = decoded(page.part("stage").screenshot_as_png).astype(int)
    height, width = shown.shape[:2]
    red, green, blue = shown[..., 0], shown[..., 1], shown[..., 2]
    place = np.nonzero(green - np.maximum(red, blue) > 80)[1]  # a picture that stands still is dimmed
    scale = min(width / clips.WIDTH, height / clips.HEIGHT)
    return float((place.mean() - (width - scale * clips.WIDTH) / 2) / scale)


def chip_ink(drawn: ByteArray, box: tuple[float, ...], *, is_mirrored: bool) -> ByteArray:
    """Return the dark pixels of the words above a box, cut out."""
    x1, y1, _, _ = on_overlay(box, drawn, is_mirrored=is_mirrored)
    band = drawn[round(y1) - 25 : round(y1) - 6, round(x1) + 4 : round(x1) + 150]
    ink = (band[..., :3].sum(axis=-1) < 300) & (band[..., 3] > 240)
    inside = np.flatnonzero(ink.any(axis=0))
    return np.asarray(ink[:, inside[0] : inside[-1] + 1], np.uint8)


def agreement(first: ByteArray, second: ByteArray) -> float:
    """Return the share of ink that two cuts have in common, 0 to 1, one pixel beside allowed."""
    width = min(first.shape[1], second.shape[1])
    one, other = first[:, :width] > 0, second[:, :width] > 0
    return max(
        float((one & np.roll(other, shift, 1)).sum() / (one | np.roll(other, shift, 1)).sum()) for shift in (-1, 0, 1)
    )


def pieces(rows: list[dict[str, str]]) -> list[list[dict[str, str]]]:
    """Return the rows in pieces that no gap divides in which people lose their numbers."""
    parts: list[list[dict[str, str]]] = []
    time_s = -math.inf
    for row in rows:
        if float(row["time_s"]) - time_s > GAP_S:
            parts.append([])
        parts[-1].append(row)
        time_s = float(row["time_s"])
    return parts


def test_one_person_keeps_the_number(page: LivePage, downloads: Path) -> None:
    page.start_camera()
    page.until_fluent(3)
    (person,) = page.until_faces(1)
    _, rows = table(downloads, page)
    parts = pieces(rows)
    assert all(len({row["track_id"] for row in part}) == 1 for part in parts)
    assert max(map(len, parts)) >= 6
    lefts = [float(row["x1"]) for row in rows]
    assert max(lefts) - min(lefts) > clips.SWING_PX
    assert page.part("people-count").text == "1"
    assert page.browser.find_elements(By.CSS_SELECTOR, f".lane[data-track-id='{person.track_id}']")
    assert page.value("Number(document.getElementById('fps').dataset.value)") > 1
    assert page.value("Number(document.getElementById('delay').dataset.value)") > 0


def test_two_people_keep_their_numbers(page: LivePage, camera: clips.Camera, downloads: Path) -> None:
    camera.show(clips.two_faces)
    page.start_camera()
    page.until_fluent(2)
    first, second = page.until_faces(2)
    assert first.track_id != second.track_id
    _, rows = table(downloads, page)
    parts = pieces(rows)
    assert max(map(len, parts)) >= 10
    for part in parts:
        sides = {(row["track_id"], float(row["x1"]) < clips.WIDTH / 2) for row in part}
        assert sorted(is_left for _, is_left in sides) == [False, True]
        assert len({number for number, _ in sides}) == 2


def test_nobody_is_said_to_be_nobody(page: LivePage, camera: clips.Camera) -> None:
    camera.show(clips.nobody)
    page.start_camera()
    page.until("!document.getElementById('no-face').hidden")
    assert page.people() == []
    page.picture("nobody")


def test_rows_are_downloaded(page: LivePage, downloads: Path) -> None:
    page.start_camera()
    page.until_faces(1)
    page.until_frames(10)
    page.pause()
    text, rows = table(downloads, page)
    assert tuple(rows[0]) == columns(EXPRESSIONS)
    assert len(rows) == page.rows >= 10
    assert text.count("\r\n") == len(rows) + 1
    assert "\n" not in text.replace("\r\n", "")
    assert {row["source"] for row in rows} == {"camera"}
    times = [float(row["time_s"]) for row in rows]
    assert times == sorted(times)
    (person,) = page.people()
    last = [float(rows[-1][name]) for name in ("x1", "y1", "x2", "y2")]
    np.testing.assert_allclose(last, person.box, atol=0.06)
    assert rows[-1]["expression"] == "happy"


def test_landmarks_and_why_add_columns(page: LivePage, downloads: Path) -> None:
    page.start_camera()
    page.until_faces(1)
    page.until_frames(3)
    page.press("landmarks")
    page.until_frames(5)
    page.press("why")
    page.until("document.querySelector('.person-why').textContent.includes('%')")
    page.until_frames(3)
    assert page.part("landmarks").get_attribute("aria-pressed") == "true"
    page.pause()
    page.picture("landmarks-why")
    _, rows = table(downloads, page)
    assert tuple(rows[0]) == (*columns(EXPRESSIONS), *LANDMARK_COLUMNS, *WHY_NAMES)
    assert rows[0]["landmark_30_x"] == rows[0]["why_mouth"] == ""
    last = rows[-1]
    assert float(last["x1"]) < float(last["landmark_30_x"]) < float(last["x2"])  # the tip of the nose
    assert sum(float(last[name]) for name in WHY_NAMES) == pytest.approx(1, abs=1e-3)


def test_pause_stops_the_frames_and_goes_on(page: LivePage) -> None:
    page.start_camera()
    page.until_faces(1)
    page.pause()
    assert page.part("pause").text == "Resume"
    rows, frame = page.rows, page.frame
    page.until_quiet()
    assert (page.rows, page.frame) == (rows, frame)
    page.press("pause")
    page.until_state("live")
    page.until_true(lambda: page.rows > rows, "more rows")


def test_stop_switches_the_camera_off(page: LivePage) -> None:
    page.start_camera()
    page.until_faces(1)
    track = "document.getElementById('video').srcObject.getVideoTracks()[0]"
    page.run(f"window.track = {track}")
    assert page.value("window.track.readyState") == "live"
    page.press("stop")
    page.until_state("start")
    assert page.value("window.track.readyState") == "ended"
    page.until("!document.getElementById('download').disabled")  # the rows stay until the page is left


def test_the_timeline_is_read_by_hand_and_by_keys(page: LivePage) -> None:
    page.start_camera()
    page.until_faces(1)
    page.until("Number(document.getElementById('stage').dataset.timeS) > 2")
    page.pause()
    lane = page.browser.find_element(By.CSS_SELECTOR, ".lane-track[role=slider]")
    lane.send_keys(Keys.END)
    latest = lane.get_attribute("aria-valuetext")
    assert latest is not None
    assert "happy" in latest
    page.until("!document.getElementById('timeline-tip').hidden")
    lane.send_keys(Keys.ARROW_LEFT)
    assert lane.get_attribute("aria-valuetext") != latest
    page.browser.find_element(By.CSS_SELECTOR, "#timeline-table summary").click()
    page.until("document.querySelectorAll('#timeline-table tbody tr').length > 0")
    cells = page.value(
        "[...document.querySelectorAll('#timeline-table tbody tr:first-child > *')].map(c => c.innerText)"
    )
    assert cells[0].startswith("Person")
    assert cells[3] == "happy"


def test_another_camera_is_chosen(open_browser: Opener, service: Service) -> None:
    with open_browser("--use-fake-device-for-media-stream=device-count=2,fps=5") as browser:
        page = LivePage(browser, service.address).open()
        browser.set_permissions("camera", "granted")
        page.start_camera()
        used = "document.getElementById('video').srcObject.getVideoTracks()[0].getSettings().deviceId"
        page.until("document.getElementById('camera').options.length === 2")
        choice = Select(page.part("camera"))
        assert choice.first_selected_option.get_attribute("value") == page.value(used)
        other = next(option for option in choice.options if not option.is_selected())
        value = other.get_attribute("value")
        choice.select_by_value(str(value))
        page.until(f"document.getElementById('video').srcObject && {used} === {value!r}")
        page.until_state("live")
        assert page.part("camera").get_attribute("value") == value
        assert not page.complaints()
