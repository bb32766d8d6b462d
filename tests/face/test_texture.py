"""Patterns and edges are counted as the papers define them, whatever the light, and each region for itself."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from mien.core.errors import MissingExtraError, OptionError
from mien.core.preprocess import MEAN_SHAPE, crops
from mien.core.types import ByteArray, FloatArray
from mien.face.regions import REGIONS, region_boxes
from mien.face.texture import CROP_PX, GRIDS, PATTERNS, TEXTURE_NAMES, hog, lbp, texture

POINTS: FloatArray = MEAN_SHAPE * np.float32(CROP_PX)
DARK_PATCHES = arrays.arrays(
    np.uint8, st.tuples(st.integers(4, 24), st.integers(4, 24)), elements=st.integers(0, 80), fill=st.nothing()
)


@pytest.fixture(scope="module")
def crop(astronaut: ByteArray) -> ByteArray:
    return np.asarray(crops(astronaut, np.array([[178.8, 63.6, 270.4, 173.6]], np.float32), CROP_PX)[0])


def named(values: FloatArray) -> dict[str, float]:
    return dict(zip(TEXTURE_NAMES, values.tolist(), strict=True))


def of(part: str, values: FloatArray, family: str = "") -> FloatArray:
    """Return the numbers of one part."""
    start = (f"lbp_{part}_", f"hog_{part}_") if not family else f"{family}_{part}_"
    return values[[name.startswith(start) for name in TEXTURE_NAMES]]


@given(patch=DARK_PATCHES)
def test_shares_of_patterns_sum_to_one(patch: ByteArray) -> None:
    shares = lbp(patch)
    assert shares.shape == (len(PATTERNS),)
    assert shares.min() >= 0
    assert shares.sum() == pytest.approx(1, abs=1e-6)


@given(patch=DARK_PATCHES, brighter=st.integers(1, 175))
@example(patch=np.array([[1, 3, 3, 2], [2, 3, 2, 1], [0, 2, 0, 2], [0, 3, 3, 0]], np.uint8), brighter=7)  # ties
def test_patterns_do_not_depend_on_brightness(patch: ByteArray, brighter: int) -> None:
    assert np.array_equal(lbp(patch + np.uint8(brighter)), lbp(patch))


# A patch of 5x5 has nine counted pixels; most are worked out by hand around the one in the middle.
WORKED: dict[str, tuple[list[str], dict[str, int]]] = {
    "plain": (["....."] * 5, {"8": 9}),
    "a bright spot": ([".....", ".....", "..#..", ".....", "....."], {"0": 1, "8": 8}),
    # Neighbors at a slant are interpolated: beside the spot three of eight are darker, at its corners one.
    "a dark spot": (["#####", "#####", "##.##", "#####", "#####"], {"8": 1, "5": 4, "7": 4}),
    "a level edge": (["#####", "#####", "#####", ".....", "....."], {"5": 3, "8": 6}),
}


@pytest.mark.parametrize("name", WORKED)
def test_patterns_that_can_be_worked_out_by_hand(name: str) -> None:
    drawing, counts = WORKED[name]
    patch = np.array([[200 * (sign == "#") for sign in line] for line in drawing], np.uint8)
    expected = [counts.get(pattern, 0) / 9 for pattern in PATTERNS]
    assert lbp(patch) == pytest.approx(expected)


def test_neighbors_in_two_runs_are_no_uniform_pattern() -> None:
    stripes = (np.arange(7)[:, None] % 2 * np.full((7, 7), 200)).astype(np.uint8)  # bright lines see both of their ends
    shares = dict(zip(PATTERNS, lbp(stripes).tolist(), strict=True))
    assert shares == pytest.approx({**dict.fromkeys(PATTERNS, 0), "other": 3 / 5, "8": 2 / 5})


def test_patterns_hardly_change_when_a_face_is_turned_or_mirrored(crop: ByteArray) -> None:
    for turned in (np.rot90(crop), np.rot90(crop, 2), crop[:, ::-1]):
        assert lbp(turned) == pytest.approx(lbp(crop), abs=0.005)


@given(patch=DARK_PATCHES, times=st.integers(2, 3), brighter=st.integers(0, 15))
def test_edges_do_not_depend_on_contrast_nor_on_brightness(patch: ByteArray, times: int, brighter: int) -> None:
    changed = patch * np.uint8(times) + np.uint8(brighter)
    assert hog(changed) == pytest.approx(hog(patch), abs=1e-4)


@given(patch=DARK_PATCHES, rows=st.integers(1, 4), columns=st.integers(1, 4), orientations=st.integers(1, 9))
def test_edges_have_length_one_or_there_are_none(patch: ByteArray, rows: int, columns: int, orientations: int) -> None:
    numbers = hog(patch, cells=(rows, columns), orientations=orientations)
    assert numbers.shape == (rows * columns * orientations,)
    assert numbers.min() >= 0
    assert np.linalg.norm(numbers) == pytest.approx(1, abs=1e-3) or not numbers.any()


@pytest.mark.parametrize("degrees", range(9, 180, 18))
def test_an_edge_counts_for_the_direction_across_it(degrees: int) -> None:
    y, x = np.mgrid[:32, :32]
    angle = np.deg2rad(degrees)
    ramp = (128 + 5 * (np.cos(angle) * (x - 15.5) + np.sin(angle) * (y - 15.5))).astype(np.float32)
    numbers = hog(ramp.round().astype(np.uint8), cells=(1, 1), orientations=5)
    assert numbers.argmax() == degrees // 36


def test_cells_are_counted_row_by_row() -> None:
    patch = np.zeros((16, 24), np.uint8)
    patch[10:14, 18:22] = 200  # in the last of 2x3 cells
    numbers = hog(patch, cells=(2, 3)).reshape(2, 3, -1)
    assert np.flatnonzero(numbers.any(axis=2)).tolist() == [5]


def histograms(patch: ByteArray, cells: tuple[int, int], orientations: int) -> FloatArray:
    """Return HOG of one block as Dalal and Triggs describe it, in plain numpy."""
    height, width = patch.shape[0] // cells[0], patch.shape[1] // cells[1]
    values = patch[: cells[0] * height, : cells[1] * width].astype(np.float64)
    down, right = np.zeros_like(values), np.zeros_like(values)
    down[1:-1], right[:, 1:-1] = values[2:] - values[:-2], values[:, 2:] - values[:, :-2]
    bins = (np.degrees(np.arctan2(down, right)) % 180 // (180 / orientations)).astype(int)
    counts = np.zeros((*cells, orientations))
    for row, column in np.ndindex(values.shape):
        counts[row // height, column // width, bins[row, column]] += np.hypot(down[row, column], right[row, column])
    counts /= np.sqrt((counts**2).sum()) + 1e-9
    counts = counts.clip(max=0.2)
    return np.asarray(counts.ravel() / (np.sqrt((counts**2).sum()) + 1e-9), np.float32)


@pytest.mark.parametrize(("cells", "orientations"), [((2, 2), 5), ((2, 3), 5), ((4, 4), 9)])
def test_edges_agree_with_an_independent_count(crop: ByteArray, cells: tuple[int, int], orientations: int) -> None:
    expected = histograms(crop, cells, orientations)
    assert hog(crop, cells=cells, orientations=orientations) == pytest.approx(expected, abs=0.01)


def test_every_number_has_a_name_of_its_own(crop: ByteArray) -> None:
    assert len(set(TEXTURE_NAMES)) == len(TEXTURE_NAMES) == 190
    assert texture(crop, POINTS).shape == (190,)
    assert list(GRIDS) == ["face", *REGIONS]
    assert {"lbp_face_0", "lbp_mouth_other", "hog_face_1_1_162", "hog_eyes_0_2_90"} <= set(TEXTURE_NAMES)


def test_a_face_has_the_texture_of_the_whole_and_of_the_box_of_each_region(crop: ByteArray) -> None:
    values = texture(crop, POINTS)
    assert np.array_equal(of("face", values, "lbp"), lbp(crop))
    assert np.array_equal(of("face", values, "hog"), hog(crop, cells=GRIDS["face"]))
    for name, box in region_boxes(POINTS[None]).items():
        left, top, right, bottom = *np.floor(box[0, :2]).astype(int), *np.ceil(box[0, 2:]).astype(int)
        patch = crop[top:bottom, left:right]
        assert np.array_equal(of(name, values, "lbp"), lbp(patch)), name
        assert np.array_equal(of(name, values, "hog"), hog(patch, cells=GRIDS[name])), name


def test_what_changes_in_the_mouth_changes_nothing_of_brows_and_eyes(crop: ByteArray) -> None:
    left, top, right, bottom = region_boxes(POINTS[None])["mouth"][0].round().astype(int)
    changed = crop.copy()
    changed[top + 3 : bottom, left:right] = 255 - changed[top + 3 : bottom, left:right]
    before, after = texture(crop, POINTS), texture(changed, POINTS)
    assert np.array_equal(of("brows", after), of("brows", before))
    assert np.array_equal(of("eyes", after), of("eyes", before))
    assert not np.allclose(of("mouth", after), of("mouth", before), atol=0.05)


def test_names_say_where_an_edge_is() -> None:
    painted = np.full((CROP_PX, CROP_PX), 128, np.uint8)
    left, top, right, bottom = region_boxes(POINTS[None])["mouth"][0]
    x, y = int(0.8 * right + 0.2 * left), int(0.75 * bottom + 0.25 * top)
    painted[y:, x - 2 : x + 4] = 0  # a level edge on the right of the mouth's lower half
    found = named(texture(painted, POINTS))
    mouth = {name: value for name, value in found.items() if name.startswith("hog_mouth")}
    assert mouth["hog_mouth_1_2_90"] == max(mouth.values())
    assert {name for name, value in mouth.items() if value} <= {f"hog_mouth_1_2_{d}" for d in (18, 54, 90, 126, 162)}


def test_where_a_point_is_missing_all_is(crop: ByteArray) -> None:
    points = POINTS.copy()
    points[8] = np.nan
    assert np.isnan(texture(crop, points)).all()


def test_a_region_outside_the_crop_is_missing_and_only_that(crop: ByteArray) -> None:
    points = POINTS.copy()
    points[48:68, 1] += CROP_PX
    values = texture(crop, points)
    assert np.isnan(of("mouth", values)).all()
    assert np.isfinite(np.delete(values, [name.split("_")[1] == "mouth" for name in TEXTURE_NAMES])).all()
    assert np.array_equal(of("face", values), of("face", texture(crop, POINTS)))


@given(
    points=arrays.arrays(np.float32, (68, 2), elements=st.floats(-1e6, 1e6, width=32)),
    patch=arrays.arrays(np.uint8, (CROP_PX, CROP_PX), elements=st.integers(0, 255)),
)
def test_whatever_the_points_are_no_number_is_infinite(points: FloatArray, patch: ByteArray) -> None:
    assert not np.isinf(texture(patch, points)).any()


WRONG: dict[str, Any] = {
    "(H, W, 3)": np.zeros((9, 9, 3), np.uint8),
    "float32": np.zeros((9, 9), np.float32),
    "(3, 9)": np.zeros((3, 9), np.uint8),
    "(0, 0)": np.zeros((0, 0), np.uint8),
}


@pytest.mark.parametrize("measure", [lbp, hog], ids=["lbp", "hog"])
@pytest.mark.parametrize("name", WRONG)
def test_what_is_no_gray_patch_is_refused(name: str, measure: Callable[[ByteArray], FloatArray]) -> None:
    with pytest.raises(OptionError, match=r"patch is .*: expected gray uint8 of shape \(H, W\), at least 4x4"):
        measure(WRONG[name])


@pytest.mark.parametrize("cells", [(5, 1), (1, 9), (0, 2)])
def test_more_cells_than_pixels_are_refused(cells: tuple[int, int]) -> None:
    with pytest.raises(
        OptionError, match=r"cells is \(\d, \d\): expected 1 or more each way, at most a pixel each of 4x8"
    ):
        hog(np.zeros((4, 8), np.uint8), cells=cells)


def test_without_scikit_image_the_extra_is_named(crop: ByteArray, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "skimage", None)
    with pytest.raises(MissingExtraError, match=r"scikit-image is not installed: pip install 'mien\[analysis\]'"):
        texture(crop, POINTS)
