from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from mien.core import preprocess
from mien.core.errors import OptionError
from mien.core.preprocess import BOX_CENTER_SHARE, BOX_SIZE_SHARE, as_rgb, batch, crop_squares, crops, gray, resize
from mien.core.types import ByteArray, FloatArray

pictures = arrays.arrays(np.uint8, st.tuples(st.integers(1, 12), st.integers(1, 12), st.just(3)))
gray_pictures = arrays.arrays(np.uint8, arrays.array_shapes(min_dims=2, max_dims=2, max_side=12))


def box_of_square(left: float, top: float, side: float) -> FloatArray:
    """Return the box whose crop square has this corner and side: the inverse of ``crop_squares``, (1, 4)."""
    width, height = BOX_SIZE_SHARE[0] * side, BOX_SIZE_SHARE[1] * side
    center_x, center_y = left + BOX_CENTER_SHARE[0] * side, top + BOX_CENTER_SHARE[1] * side
    box = [center_x - width / 2, center_y - height / 2, center_x + width / 2, center_y + height / 2]
    return np.array([box], np.float32)


def noise(height: int, width: int, *, seed: int = 0) -> ByteArray:
    return np.random.default_rng(seed).integers(0, 256, (height, width), dtype=np.uint8)


# ----------------------------------------------------------------------------------------------------------- as_rgb


@given(pictures)
def test_rgb_stays_and_bgr_is_its_reverse(picture: ByteArray) -> None:
    assert np.array_equal(as_rgb(picture), picture)
    assert np.array_equal(as_rgb(picture[:, :, ::-1], color="bgr"), picture)
    assert np.array_equal(as_rgb(as_rgb(picture)), picture)


@given(pictures)
def test_the_result_is_a_new_array(picture: ByteArray) -> None:
    before = picture.copy()
    result = as_rgb(picture)
    assert result.flags.c_contiguous
    result ^= 255
    assert np.array_equal(picture, before)


@given(pictures, st.integers(0, 255))
def test_alpha_is_ignored(picture: ByteArray, alpha: int) -> None:
    channel = np.full((*picture.shape[:2], 1), alpha, np.uint8)
    with_alpha = np.concatenate([picture, channel], axis=2)
    assert np.array_equal(as_rgb(with_alpha), picture)
    assert np.array_equal(as_rgb(with_alpha, color="bgr"), picture[:, :, ::-1])


@given(gray_pictures)
def test_gray_becomes_three_equal_channels(picture: ByteArray) -> None:
    for shaped in (picture, picture[:, :, None]):
        result = as_rgb(shaped)
        assert result.shape == (*picture.shape, 3)
        assert (result == picture[:, :, None]).all()
    assert np.array_equal(gray(as_rgb(picture)), picture)


def test_16_bit_is_stretched_to_its_own_range() -> None:
    picture = np.array([[1000, 1510, 2020]], np.uint16)
    assert as_rgb(picture)[0, :, 0].tolist() == [0, 128, 255]
    assert as_rgb(np.full((2, 2), 5000, np.uint16)).max() == 0


def test_a_mask_becomes_black_and_white() -> None:
    assert as_rgb(np.array([[True, False]]))[0].tolist() == [[255] * 3, [0] * 3]


@pytest.mark.parametrize("shape", [(4,), (4, 4, 2), (4, 4, 5), (0, 4, 3), (4, 0), (1, 4, 4, 3)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(OptionError, match="picture has shape"):
        as_rgb(np.zeros(shape, np.uint8))


def test_other_types_and_orders_are_refused() -> None:
    with pytest.raises(OptionError, match=r"float64.*image \* 255"):
        as_rgb(np.zeros((4, 4, 3)))
    with pytest.raises(OptionError, match="color is 'hsv'"):
        as_rgb(np.zeros((4, 4, 3), np.uint8), color="hsv")


# ------------------------------------------------------------------------------------------------- gray, resize, batch


def test_gray_is_the_luma_of_bt601() -> None:
    picture = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]]], np.uint8)
    assert gray(picture).tolist() == [[76, 150, 29, 255]]
    with pytest.raises(OptionError, match=r"\(2, 2, 4\)"):
        gray(np.zeros((2, 2, 4), np.uint8))


def test_resize_averages_areas_where_it_shrinks() -> None:
    picture = np.array([[10, 20, 0, 0], [30, 40, 0, 0], [0, 0, 100, 0], [0, 0, 0, 100]], np.uint8)
    assert resize(picture, 2).tolist() == [[25, 0], [0, 50]]
    assert resize(picture, 4) is picture
    assert resize(picture[:2, :2], 4)[[0, 0, 3, 3], [0, 3, 0, 3]].tolist() == [10, 20, 30, 40]


@given(gray_pictures, st.integers(1, 16))
def test_resize_stays_within_the_range_of_the_picture(picture: ByteArray, size: int) -> None:
    result = resize(picture, size)
    assert result.shape == (size, size)
    assert picture.min() <= result.min() <= result.max() <= picture.max()


def test_batch_stacks_crops_of_any_size_and_color() -> None:
    crop = noise(8, 8)
    stacked = batch([crop, as_rgb(crop), np.repeat(np.repeat(crop, 2, 0), 2, 1)], 8)
    assert stacked.shape == (3, 1, 8, 8)
    assert stacked.flags.c_contiguous
    assert (stacked == crop).all()
    assert np.array_equal(batch(stacked[:, 0], 8), stacked)


def test_batch_of_nothing() -> None:
    assert batch([], 48).shape == (0, 1, 48, 48)


@pytest.mark.parametrize(
    "crop",
    [np.zeros((4, 4)), np.zeros((0, 4), np.uint8), np.zeros(4, np.uint8), np.zeros((1, 4, 4, 3), np.uint8)],
    ids=["float", "empty", "line", "stack"],
)
def test_batch_names_the_crop_that_does_not_fit(crop: Any) -> None:
    with pytest.raises(OptionError, match="crop 1 is"):
        batch([np.zeros((4, 4), np.uint8), crop], 4)


# ------------------------------------------------------------------------------------------------------------ crops


@given(st.floats(-300, 300), st.floats(-300, 300), st.floats(5, 2000))
def test_crop_squares_inverts_the_calibration(left: float, top: float, side: float) -> None:
    ((center_x, center_y, found),) = crop_squares(box_of_square(left, top, side)).tolist()
    assert found == pytest.approx(side, rel=1e-3, abs=1e-3)
    assert center_x - found / 2 == pytest.approx(left, abs=1e-3 * side + 1e-2)
    assert center_y - found / 2 == pytest.approx(top, abs=1e-3 * side + 1e-2)


@pytest.mark.parametrize("size", [16, 48, 64])
def test_a_square_of_the_crops_size_is_cut_out_exactly(size: int) -> None:
    picture = noise(size + 20, size + 30)
    (crop,) = crops(picture, box_of_square(7, 5, size), size)
    assert np.array_equal(crop, picture[5 : 5 + size, 7 : 7 + size])


@given(st.integers(0, 150), st.integers(0, 150))
def test_the_exact_cut_does_not_depend_on_the_place(left: int, top: int) -> None:
    """Float32 makes the side of some squares 48.000004: that must not change the grid."""
    picture = noise(200, 200)
    (crop,) = crops(picture, box_of_square(left, top, 48), 48)
    assert np.array_equal(crop[: 200 - top, : 200 - left], picture[top : top + 48, left : left + 48])


@pytest.mark.parametrize("size", [16, 48])
def test_a_square_that_is_the_whole_picture_gives_the_gray_picture(size: int) -> None:
    picture = np.stack([noise(size, size, seed=seed) for seed in range(3)], axis=2)
    (crop,) = crops(picture, box_of_square(0, 0, size), size)
    assert np.array_equal(crop, gray(picture))


@pytest.mark.parametrize("multiple", [2, 3])
def test_a_multiple_of_the_crops_size_is_averaged(multiple: int) -> None:
    picture = noise(48 * multiple, 48 * multiple)
    (crop,) = crops(picture, box_of_square(0, 0, 48 * multiple), 48)
    means = picture.reshape(48, multiple, 48, multiple).mean(axis=(1, 3))
    assert np.abs(crop - means).max() <= 1


@given(st.integers(0, 40), st.integers(0, 30), st.floats(30, 130))
def test_a_shift_by_whole_pixels_changes_nothing(right: int, down: int, side: float) -> None:
    picture = cv2.GaussianBlur(noise(220, 240), (0, 0), 1.5).astype(np.uint8)
    box = box_of_square(30.25, 40.5, side)
    shifted = cv2.copyMakeBorder(picture, down, 0, right, 0, cv2.BORDER_REPLICATE).astype(np.uint8)
    difference = crops(picture, box, 24).astype(int) - crops(shifted, box + np.array([right, down] * 2, np.float32), 24)
    assert np.abs(difference).max() <= 1


@given(
    st.integers(0, 255),
    st.lists(st.tuples(*[st.floats(-1e4, 1e4, width=32)] * 4), max_size=3),
    st.sampled_from([(20, 30), (1, 1), (1, 50, 3), (64, 48, 3)]),
)
def test_a_constant_picture_gives_constant_crops_wherever_the_boxes_are(
    value: int, boxes: list[tuple[float, ...]], shape: tuple[int, ...]
) -> None:
    # Boxes without area are among them.
    boxes_xyxy = np.array([(*box[:2], *np.add(box[:2], np.abs(box[2:]) % 200)) for box in boxes], np.float32)
    result = crops(np.full(shape, value, np.uint8), boxes_xyxy.reshape(-1, 4), 12)
    assert result.shape == (len(boxes), 12, 12)
    assert (result == value).all()


@pytest.mark.parametrize("side", [97.0, 144.0, 200.0, 333.0])
def test_a_checkerboard_finer_than_the_crop_averages_to_gray(side: float) -> None:
    checkerboard = (np.indices((400, 400)).sum(axis=0) % 2 * 255).astype(np.uint8)
    (crop,) = crops(checkerboard, box_of_square(20, 20, side), 48)
    assert np.abs(crop.astype(int) - 127.5).max() < 40
    assert np.abs(crop.mean() - 127.5) < 2


@pytest.mark.parametrize("side", [48.0, 30.0, 100.0, 131.3])
@pytest.mark.parametrize("turns", [1, 2, 3])
def test_a_turned_picture_gives_a_turned_crop(side: float, turns: int) -> None:
    size = 160
    picture = cv2.GaussianBlur(noise(size, size), (0, 0), 1.0).astype(np.uint8)
    left, top = 12.5, 20.25
    # Where the corner of the square lies after each quarter turn, counterclockwise as rot90 turns.
    for _ in range(turns):
        left, top = top, size - left - side
    (turned,) = crops(np.rot90(picture, turns), box_of_square(left, top, side), 24)
    (straight,) = crops(picture, box_of_square(12.5, 20.25, side), 24)
    assert np.abs(np.rot90(straight, turns).astype(int) - turned).max() <= 2


def test_beyond_the_picture_its_border_is_repeated() -> None:
    picture = np.tile(np.arange(48, dtype=np.uint8) * 5, (48, 1))
    (crop,) = crops(picture, box_of_square(-24, 0, 48), 48)
    assert (crop[:, :24] == 0).all()
    assert np.array_equal(crop[:, 24:], picture[:, :24])
    (outside,) = crops(picture, box_of_square(1000, 10, 48), 48)
    assert (outside == picture[0, -1]).all()


@pytest.mark.parametrize("reach", [1e5, 1e9, 1e38])
def test_a_box_beyond_all_bounds_is_cut_with_bounded_memory(reach: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preprocess, "MOST_GRID_PX", 960)
    box = np.array([[-reach, -reach, reach, reach]], np.float32)
    assert (crops(np.full((20, 30), 7, np.uint8), box, 48) == 7).all()


def test_the_largest_picture_is_sampled_pixel_by_pixel() -> None:
    assert preprocess.MOST_GRID_PX // 48 * 48 >= 10_000  # 100 megapixels as one face: no face's grid is cut short


def test_gray_first_or_last_is_the_same(astronaut: ByteArray) -> None:
    boxes = np.array([[170, 60, 265, 180], [0, 0, 40, 60], [-30, 400, 100, 560]], np.float32)
    before = astronaut.copy()
    assert np.array_equal(crops(astronaut, boxes, 48), crops(gray(astronaut), boxes, 48))
    assert np.array_equal(astronaut, before)


def test_each_face_is_cut_as_if_it_were_alone(astronaut: ByteArray) -> None:
    boxes = np.array([[170, 60, 265, 180], [-30, 400, 100, 560]], np.float32)
    together = crops(astronaut, boxes, 48)
    for index in range(len(boxes)):
        assert np.array_equal(together[index], crops(astronaut, boxes[[index]], 48)[0])


def test_no_box_gives_no_crop() -> None:
    assert crops(np.zeros((9, 9, 3), np.uint8), np.empty((0, 4), np.float32), 48).shape == (0, 48, 48)


def test_a_box_lies_in_its_crop_where_the_calibration_says() -> None:
    box = box_of_square(100, 100, 96).round().astype(int)[0]
    picture = np.zeros((300, 300), np.uint8)
    picture[box[1] : box[3], box[0] : box[2]] = 255
    (crop,) = crops(picture, box_of_square(100, 100, 96), 48)
    for axis in (0, 1):
        inside = np.flatnonzero(crop.max(axis=axis) > 127)
        edges = 48 * (BOX_CENTER_SHARE[axis] + np.array([-0.5, 0.5]) * BOX_SIZE_SHARE[axis])
        assert [inside[0], inside[-1] + 1] == pytest.approx(edges.clip(0, 48), abs=1)
