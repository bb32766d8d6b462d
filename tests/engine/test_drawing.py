from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.color import deltaE_ciede2000, rgb2lab

from mien.core.labels import EXPRESSIONS, EXPRESSIONS_AND_CONTEMPT, UNCERTAIN
from mien.core.preprocess import MEAN_SHAPE, crop_squares
from mien.core.types import ByteArray, Faces, FloatArray
from mien.engine.drawing import COLORS, OTHER_COLOR, color_of, contrast, draw, heat_map, ink_on
from mien.engine.drawing.layout import WIDEST_REASON, plan
from mien.engine.drawing.regions import MOST_TINT
from mien.engine.drawing.strokes import Area, text_width
from mien.engine.explain import WHY_NAMES, Explanation
from mien.face.regions import REGIONS, polygons, region_masks

# Full color blindness in linear RGB after Machado, Oliveira and Fernandes (2009), doi:10.1109/TVCG.2009.113
VISION = {
    "normal": np.eye(3),
    "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritan": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
HAPPY = [0.01, 0.02, 0.03, 0.9, 0.01, 0.01, 0.02]


def happy_faces(*boxes: tuple[float, float, float, float]) -> Faces:
    return Faces.detected(boxes, np.ones(len(boxes))).recognized([HAPPY] * len(boxes), EXPRESSIONS)


def gray_picture(height: int, width: int) -> ByteArray:
    return np.full((height, width, 3), 90, np.uint8)


def count_of(color: tuple[int, int, int], picture: ByteArray) -> int:
    return int((picture == np.array(color)).all(axis=2).sum())


# ----------------------------------------------------------------------------------------------------------- colors


@pytest.mark.parametrize("vision", VISION)
def test_any_two_expressions_can_be_told_apart(vision: str) -> None:
    shares = np.array(list(COLORS.values())) / 255
    linear = np.where(shares <= 0.04045, shares / 12.92, ((shares + 0.055) / 1.055) ** 2.4)
    seen = np.clip(linear @ np.array(VISION[vision]).T, 0, 1)
    encoded = np.where(seen <= 0.0031308, seen * 12.92, 1.055 * seen ** (1 / 2.4) - 0.055)
    lab = rgb2lab(encoded[None])[0]
    for (first, a), (second, b) in combinations(zip(COLORS, lab, strict=True), 2):
        assert deltaE_ciede2000(a, b) > 13, (first, second)  # type: ignore[no-untyped-call]


@pytest.mark.parametrize("name", COLORS)
def test_text_on_every_color_has_the_contrast_of_wcag_aa(name: str) -> None:
    assert contrast(ink_on(COLORS[name]), COLORS[name]) >= 4.5


def test_contrast_is_that_of_wcag() -> None:
    assert contrast((0, 0, 0), (255, 255, 255)) == pytest.approx(21)
    assert contrast((255, 0, 0), (255, 255, 255)) == pytest.approx(3.998, abs=1e-3)
    assert contrast((9, 9, 9), (9, 9, 9)) == 1


def test_every_expression_has_its_color_and_uncertain_is_gray() -> None:
    assert set(COLORS) == {*EXPRESSIONS_AND_CONTEMPT, UNCERTAIN}
    assert len(set(COLORS[UNCERTAIN])) == 1
    assert color_of("bored") == color_of("") == OTHER_COLOR


# ------------------------------------------------------------------------------------------------------------- draw


def test_draws_on_a_copy(astronaut: ByteArray) -> None:
    before = astronaut.copy()
    faces = happy_faces((170, 60, 265, 180))
    drawn = draw(astronaut, faces)
    assert drawn.shape == astronaut.shape
    assert drawn.dtype == np.uint8
    assert np.array_equal(astronaut, before)
    assert not np.array_equal(drawn, astronaut)
    assert np.array_equal(draw(astronaut, faces), drawn)


def test_without_a_face_nothing_changes(astronaut: ByteArray) -> None:
    drawn = draw(astronaut, Faces.empty(EXPRESSIONS))
    assert np.array_equal(drawn, astronaut)
    assert not np.shares_memory(drawn, astronaut)


def test_a_gray_picture_gets_colors() -> None:
    drawn = draw(gray_picture(240, 320)[:, :, 0], happy_faces((100, 80, 180, 180)))
    assert drawn.shape == (240, 320, 3)
    assert count_of(COLORS["happy"], drawn) > 100


@pytest.mark.parametrize(
    ("faces", "name"),
    [
        (happy_faces((100, 80, 180, 180)), "happy"),
        (
            Faces.detected([[100, 80, 180, 180]], [1]).recognized([HAPPY], EXPRESSIONS, uncertain_below=0.95),
            UNCERTAIN,
        ),
        (Faces.detected([[100, 80, 180, 180]], [0.9]), ""),
    ],
    ids=["happy", "uncertain", "not recognized"],
)
def test_the_box_has_the_color_of_the_expression(faces: Faces, name: str) -> None:
    drawn = draw(gray_picture(240, 320), faces, bars=False)
    assert count_of(color_of(name), drawn) > 400
    assert sum(count_of(COLORS[other], drawn) for other in COLORS if COLORS[other] != color_of(name)) == 0
    # The border, half way down on the left, to the pixel.
    assert np.abs(drawn[130, 100].astype(int) - color_of(name)).max() < 40


def test_the_face_itself_stays_as_it_is(astronaut: ByteArray) -> None:
    drawn = draw(astronaut, happy_faces((170, 60, 265, 180)))
    assert np.array_equal(drawn[70:170, 180:255], astronaut[70:170, 180:255])


@pytest.mark.parametrize("size", [(240, 320), (480, 640), (1080, 1920), (2160, 3840)])
def test_text_grows_with_the_picture(size: tuple[int, int]) -> None:
    height, width = size
    faces = happy_faces((0.4 * width, 0.4 * height, 0.6 * width, 0.8 * height))
    (mark,) = plan(faces, width, height, bars=True)
    assert mark.capitals_px >= 8
    # Seen on a screen of 1080 lines it never falls below 8 pixels.
    assert mark.capitals_px * 1080 / max(height, 1080) >= 8
    assert mark.label.height < 0.1 * height
    assert mark.panel.size > 0


def test_track_ids_are_written() -> None:
    faces = happy_faces((100, 80, 180, 180))
    (mark,) = plan(replace(faces, track_ids=np.array([12])), 320, 240, bars=True)
    assert mark.text == "#12 happy 90%"


def test_bars_are_as_long_as_the_probabilities() -> None:
    picture, faces = gray_picture(480, 640), happy_faces((100, 80, 200, 200))
    (mark,) = plan(faces, 640, 480, bars=True)
    drawn = draw(picture, faces)
    left, top, right, bottom = (int(value) for value in mark.panel)
    yellow = (drawn[top:bottom, left:right] == np.array(COLORS["happy"])).all(axis=2)
    length = np.ptp(np.flatnonzero(yellow.any(axis=0))) + 1
    assert length == pytest.approx(0.9 * 6 * mark.small_px, abs=2)


# ---------------------------------------------------------------------------------------------- why, regions, points

BOX = (200.0, 120.0, 440.0, 420.0)
WORDS = "mouth 62 %, brows 25 %, eyes 13 %"


def measured_face(*, confidence: float = 0.9, shares: tuple[float, ...] | None = (0.25, 0.13, 0.0, 0.62, 0.0)) -> Faces:
    """Return one happy face with landmarks where the mean face has them and, if given, shares of its regions."""
    faces = happy_faces(BOX)
    x, y, side = crop_squares(faces.boxes_xyxy)[0]
    points = np.array([x - side / 2, y - side / 2]) + MEAN_SHAPE * side
    faces = replace(faces, landmarks=points[None], landmark_confidences=np.array([confidence], np.float32))
    return faces if shares is None else faces.measured(WHY_NAMES, [shares])


def color_inside(region: str, faces: Faces, drawn: ByteArray) -> FloatArray:
    """Return the median color of a region, (3,)."""
    assert faces.landmarks is not None
    mask = region_masks(faces.landmarks[0], (drawn.shape[0], drawn.shape[1]))[region]
    return np.asarray(np.median(drawn[mask], axis=0), np.float32)


def test_why_is_a_second_line_of_the_label() -> None:
    (plain,) = plan(measured_face(shares=None), 640, 480, bars=True)
    (mark,) = plan(measured_face(), 640, 480, bars=True)
    assert (plain.reason, mark.reason) == ("", WORDS)
    assert mark.label.height > plain.label.height + mark.small_px
    picture = gray_picture(480, 640)
    left, _, right, bottom = (int(value) for value in mark.label)
    line = draw(picture, measured_face())[int(bottom - 1.5 * mark.small_px) : bottom, left:right]
    inked = (np.abs(line.astype(int) - ink_on(COLORS["happy"])).max(axis=2) < 60).any(axis=0)
    assert np.ptp(np.flatnonzero(inked)) == pytest.approx(text_width(WORDS) * mark.small_px, abs=4)


@pytest.mark.parametrize(
    ("face_width", "width", "reason"), [(220, 640, WORDS), (80, 640, "mouth 62 %"), (200, 160, "")]
)
def test_a_reason_too_wide_for_face_or_picture_is_cut_short(face_width: int, width: int, reason: str) -> None:
    box = np.array([[10, 120, 10 + face_width, 220]], np.float32)
    (plain,) = plan(replace(measured_face(shares=None), boxes_xyxy=box), width, 480, bars=False)
    (mark,) = plan(replace(measured_face(), boxes_xyxy=box), width, 480, bars=False)
    assert mark.reason.startswith(reason)
    assert mark.label.width <= max(plain.label.width, min(width, WIDEST_REASON * face_width))


@pytest.mark.parametrize(("face_width", "has_points"), [(60, False), (120, True)])
def test_small_faces_have_no_blot_of_points(face_width: int, has_points: bool) -> None:
    face = measured_face(shares=None)
    face = replace(face, boxes_xyxy=np.array([[10, 120, 10 + face_width, 220]], np.float32))
    picture = gray_picture(480, 640)
    assert face.landmarks is not None
    x, y = face.landmarks[0, 30].astype(int)
    drawn = draw(picture, face, bars=False, regions=True)[y - 1 : y + 2, x - 1 : x + 2]
    assert bool((drawn > 200).any()) == has_points


def test_regions_are_tinted_by_their_shares() -> None:
    faces, picture = measured_face(), gray_picture(480, 640)
    drawn = draw(picture, faces, bars=False)
    away = {name: float(np.abs(color_inside(name, faces, drawn) - 90).sum()) for name in REGIONS}
    assert away["mouth"] > away["brows"] > away["eyes"] > away["nose"] == 0
    yellow = np.array(COLORS["happy"]) - 90
    assert color_inside("mouth", faces, drawn) - 90 == pytest.approx(0.62 * MOST_TINT * yellow, abs=2)


@pytest.mark.parametrize("options", [{}, {"regions": True}])
@pytest.mark.parametrize("faces", [measured_face(confidence=0.4), happy_faces(BOX)], ids=["unsure", "none"])
def test_landmarks_that_are_not_sure_are_not_drawn(faces: Faces, options: dict[str, bool]) -> None:
    drawn = draw(gray_picture(480, 640), faces, bars=False, **options)
    assert (drawn[180:400, 220:420] == 90).all()


def test_regions_and_points_are_drawn_on_request() -> None:
    faces, picture = measured_face(shares=None), gray_picture(480, 640)
    assert np.array_equal(draw(picture, faces)[180:400, 220:420], picture[180:400, 220:420])
    drawn = draw(picture, faces, regions=True, bars=False)
    assert faces.landmarks is not None
    for x, y in faces.landmarks[0].astype(int).tolist():
        assert drawn[y - 1 : y + 2, x - 1 : x + 2].max() > 200, (x, y)
    for outline in polygons(faces.landmarks[0])["mouth"]:
        for x, y in outline.round().astype(int).tolist():
            assert drawn[y - 1 : y + 2, x - 1 : x + 2].max() > 140, (x, y)


def test_no_landmark_crashes() -> None:
    for scale in (0.0, 1.0, 1e3, 1e9, np.nan):
        faces = measured_face()
        assert faces.landmarks is not None
        assert draw(gray_picture(60, 80), replace(faces, landmarks=faces.landmarks * scale), regions=True).size


def test_a_heat_map_glows_where_the_answer_falls() -> None:
    saliency = np.zeros((48, 48), np.float32)
    saliency[30:36, 12:18] = 0.2
    crop = np.full((48, 48), 90, np.uint8)
    glowing = heat_map(Explanation("happy", {}, saliency, crop, "frame"))
    side = len(glowing)
    y, x, _ = np.argwhere(glowing == glowing.max()).mean(axis=0) * 48 / side
    assert (30 < y < 36, 12 < x < 18) == (True, True)
    assert (glowing[: side // 2] == 90).all()
    assert (heat_map(Explanation("happy", {}, 0 * saliency, crop, "frame")) == 90).all()


# ----------------------------------------------------------------------------------------------------------- layout


def overlap(first: Area, second: Area) -> float:
    return first.common(second).size


@pytest.mark.parametrize(
    "box", [(0, 0, 60, 80), (580, 0, 640, 80), (0, 400, 60, 480), (580, 400, 640, 480), (300, 2, 380, 100)]
)
def test_at_the_borders_label_and_panel_stay_inside_and_off_the_face(box: tuple[float, float, float, float]) -> None:
    (mark,) = plan(happy_faces(box), 640, 480, bars=True)
    for area in (mark.label, mark.panel):
        assert area.size > 0
        assert overlap(area, Area(0, 0, 640, 480)) == pytest.approx(area.size)
        assert overlap(area, mark.box) == 0
    assert overlap(mark.label, mark.panel) == 0


def test_a_row_of_faces_gets_labels_that_cover_neither_faces_nor_each_other() -> None:
    boxes = [(20.0 + 150 * index, 150.0, 100.0 + 150 * index, 260.0) for index in range(4)]
    marks = plan(happy_faces(*boxes), 640, 480, bars=True)
    areas = [area for mark in marks for area in (mark.label, mark.panel, mark.strip, mark.box)]
    assert max(overlap(first, second) for first, second in combinations(areas, 2)) == 0


def test_where_one_face_has_no_room_for_its_panel_all_have_strips() -> None:
    boxes = [(80.0 * x + 4, 90.0 * y + 30, 80.0 * x + 64, 90.0 * y + 100) for x in range(8) for y in range(5)]
    marks = plan(happy_faces(*boxes), 640, 480, bars=True)
    assert all(mark.panel.size == 0 and mark.strip.size > 0 for mark in marks)
    drawn = draw(gray_picture(480, 640), happy_faces(*boxes))
    (x0, y0, x1, y1) = (int(value) for value in marks[0].strip)
    assert count_of(COLORS["happy"], drawn[y0:y1, x0:x1]) > 0.5 * (x1 - x0)


@settings(max_examples=40)
@given(
    st.lists(st.tuples(*[st.floats(-1e6, 1e6, width=32)] * 4), max_size=4),
    st.sampled_from([(1, 1), (3, 200), (48, 48), (240, 320)]),
)
def test_no_box_and_no_size_of_picture_crashes(
    boxes: list[tuple[float, float, float, float]], shape: tuple[int, int]
) -> None:
    picture = gray_picture(*shape)
    assert draw(picture, happy_faces(*boxes)).shape == picture.shape


def test_a_face_outside_the_picture_draws_nothing() -> None:
    picture = gray_picture(240, 320)
    assert np.array_equal(draw(picture, happy_faces((400, 50, 500, 150), (50, -200, 90, -10))), picture)
