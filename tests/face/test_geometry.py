from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from heads import turned
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from mien.core.errors import OptionError
from mien.core.preprocess import boxes_around
from mien.core.types import Faces, FloatArray
from mien.face.geometry import GEOMETRY_NAMES, MEASURES, POSE_NAMES, geometry
from mien.face.landmarks import MIRROR, load_landmarker
from mien.face.pose import MEAN_HEAD

PAGE = Path(__file__).resolve().parents[2] / "docs" / "geometry.md"
EXPRESSIVE = [name not in POSE_NAMES for name in GEOMETRY_NAMES]


def measured(landmarks: FloatArray) -> dict[str, float]:
    return dict(zip(GEOMETRY_NAMES, geometry(landmarks[None])[0].tolist(), strict=True))


def someone(seed: int) -> FloatArray:
    """Return a head that is not the mean, nor symmetric."""
    return MEAN_HEAD + np.random.default_rng(seed).normal(0, 0.02, (68, 3)).astype(np.float32)


seeds = st.integers(0, 10_000)


@given(
    seed=seeds, roll=st.floats(-179, 179), scale=st.floats(0.02, 30), x=st.floats(-2000, 2000), y=st.floats(-500, 500)
)
def test_place_size_and_tilt_in_the_picture_change_nothing(
    seed: int, roll: float, scale: float, x: float, y: float
) -> None:
    upright, head = turned(0, 12, -8, head=someone(seed)), someone(seed)
    moved = turned(roll, 12, -8, head=head) * np.float32(scale) + np.array([x, y], np.float32)
    change = geometry(moved[None])[0] - geometry(upright[None])[0]
    assert change[EXPRESSIVE] == pytest.approx(0, abs=0.01)
    assert abs((change[~np.array(EXPRESSIVE)] - (roll, 0, 0) + 180) % 360 - 180) == pytest.approx(0, abs=1)


@given(yaw=st.floats(-40, 40), pitch=st.floats(-30, 30))
def test_a_turn_of_the_head_is_no_expression(yaw: float, pitch: float) -> None:
    change = geometry(turned(0, yaw, pitch)[None])[0] - geometry(turned()[None])[0]
    assert change[EXPRESSIVE] == pytest.approx(0, abs=2e-3)


@given(seed=seeds, roll=st.floats(-90, 90), yaw=st.floats(-30, 30))
def test_the_mirror_swaps_the_sides(seed: int, roll: float, yaw: float) -> None:
    landmarks = turned(roll, yaw, 5, head=someone(seed))
    here, there = measured(landmarks), measured((landmarks * np.array([-1, 1], np.float32))[list(MIRROR)])
    for name, value in here.items():
        sign = -1 if name in ("mouth_asymmetry", "head_roll", "head_yaw") else 1
        side = "_left" if name.endswith("_right") else "_right"
        other = re.sub("_(right|left)$", side, name)
        assert there[other] == pytest.approx(sign * value, abs=1e-3), name


# What moves by (to the person's left, up), in eye distances, and what changes by how much; nothing else may.
BROWS, LIPS = range(17, 27), range(48, 68)
ACTIONS: dict[str, tuple[list[tuple[list[int], float, float]], dict[str, float]]] = {
    "AU1": (
        [([21, 22], 0, 0.05)],
        {"inner_brow_raise": 0.05, "brow_slope": 0.05}
        | dict.fromkeys(["brow_raise", "brow_raise_right", "brow_raise_left"], 0.01),
    ),
    "AU1+2": (
        [(list(BROWS), 0, 0.1)],
        dict.fromkeys(
            ["brow_raise", "brow_raise_right", "brow_raise_left", "inner_brow_raise", "outer_brow_raise"], 0.1
        ),
    ),
    "AU4": (
        [([19, 20, 21], 0.02, 0), ([22, 23, 24], -0.02, 0)],
        {"brow_distance": -0.04},
    ),
    "AU5": (
        [([37, 38, 43, 44], 0, 0.03)],
        dict.fromkeys(["eye_openness", "eye_openness_right", "eye_openness_left"], 0.03),
    ),
    "AU46 of the right eye, a wink": (
        [([37, 38], 0, -0.06), ([40, 41], 0, 0.02)],
        {"eye_openness": -0.04, "eye_openness_right": -0.08},
    ),
    "AU10": ([([49, 50, 51, 52, 53], 0, 0.03)], {"nose_to_lip": -0.03, "lip_thickness": 0.015}),
    "AU12": (
        [([48, 60], -0.06, 0.06), ([54, 64], 0.06, 0.06)],
        {"mouth_width": 0.12, "lip_curvature": 0.06, "lip_corner_pull": 0.12 / np.sqrt(2)},
    ),
    "AU15": ([([48, 60, 54, 64], 0, -0.05)], {"lip_curvature": -0.05, "lip_corner_pull": -0.05 / np.sqrt(2)}),
    "L12, a smirk": (
        [([54, 64], 0.04, 0.04)],
        {
            "mouth_width": 0.04,
            "lip_curvature": 0.02,
            "mouth_asymmetry": 0.04,
            "lip_corner_pull": 0.04 / np.sqrt(2),
        },
    ),
    "AU18": (
        [([48, 60], 0.05, 0), ([54, 64], -0.05, 0)],
        {"mouth_width": -0.1, "lip_corner_pull": -0.05 / np.sqrt(2)},
    ),
    "AU24": ([([50, 51, 52], 0, -0.04), ([56, 57, 58], 0, 0.04)], {"lip_thickness": -0.04, "nose_to_lip": 0.04}),
    "AU25+26": (
        [([55, 56, 57, 58, 59, 65, 66, 67], 0, -0.2), (list(range(3, 14)), 0, -0.2)],
        {"mouth_openness": 0.2, "lip_curvature": 0.1, "jaw_drop": 0.2},
    ),
}


@pytest.mark.parametrize(("moves", "changes"), ACTIONS.values(), ids=ACTIONS.keys())
def test_an_action_moves_its_measures_and_no_others(
    moves: list[tuple[list[int], float, float]], changes: dict[str, float]
) -> None:
    head = MEAN_HEAD.copy()
    for points, x, y in moves:
        head[points, :2] += np.array([x, y], np.float32)
    before, after = measured(turned()), measured(turned(head=head))
    for name in GEOMETRY_NAMES:
        assert after[name] - before[name] == pytest.approx(changes.get(name, 0), abs=1e-3), name


def test_a_wrinkled_nose_is_shorter() -> None:
    head = MEAN_HEAD.copy()
    head[31:36, 1] += 0.04  # AU9; a bit of it looks like a nod
    assert measured(turned(head=head))["nose_to_eyes"] - measured(turned())["nose_to_eyes"] == pytest.approx(
        -0.04, abs=0.02
    )


def test_the_resting_face_by_hand() -> None:
    rest = measured(turned())
    by_hand = {
        "brow_distance": 2 * 0.169,
        "brow_raise": (0.184 + 0.242 + 0.269 + 0.255 + 0.226) / 5 - (0 - 0.025) / 2,
        "inner_brow_raise": 0.226 + 0.025,
        "outer_brow_raise": 0.184,
        "brow_slope": 0.226 - 0.184,
        "eye_openness": (0.042 + 0.046 + 0.044 + 0.047) / 2,
        "nose_to_eyes": 0.487 - 0.025,
        "nose_to_lip": 0.694 - 0.528,
        "mouth_openness": (0.030 + 0.032 + 0.030) / 3,
        "mouth_width": 2 * 0.278,
        "lip_corner_pull": (0.278 - 0.777 + 0.528) / np.sqrt(2),
        "lip_curvature": (0.762 + 0.794) / 2 - 0.777,
        "mouth_asymmetry": 0,
        "jaw_drop": 1.229 - 0.528,
    }
    assert {name: rest[name] for name in by_hand} == pytest.approx(by_hand, abs=1e-3)
    assert [rest[name] for name in POSE_NAMES] == pytest.approx([0, 0, 0], abs=1e-3)


floats32 = st.floats(width=32, allow_nan=True, allow_infinity=True)


@given(points=arrays.arrays(np.float32, (2, 68, 2), elements=floats32, fill=st.just(np.float32(3))))
@example(points=np.full((2, 68, 2), 3e38, np.float32) * np.array([1, -1], np.float32))
@example(points=np.stack([turned() * np.float32(1e-42), turned() * np.float32(1e35)]))
def test_any_numbers_give_a_face_or_nothing(points: FloatArray) -> None:
    values = geometry(points)
    assert values.dtype == np.float32
    assert (np.isnan(values) | (np.abs(values) <= 180)).all()


@pytest.mark.parametrize("yaw", [-60, 60])
def test_of_a_profile_only_the_turn_is_told(yaw: float) -> None:
    values = measured(turned(0, yaw, 0))
    assert [name for name, value in values.items() if not np.isnan(value)] == list(POSE_NAMES)
    assert values["head_yaw"] == pytest.approx(yaw, abs=0.1)


def test_one_missing_point_leaves_nothing_of_its_face_and_all_of_the_others() -> None:
    landmarks = np.stack([turned(), turned(3, 4, 5), turned()])
    landmarks[1, 60, 0] = np.nan
    values = geometry(landmarks)
    assert np.isnan(values).all(axis=1).tolist() == [False, True, False]
    assert np.array_equal(values[0], geometry(turned()[None])[0])


def test_no_faces_have_columns_too() -> None:
    assert geometry(np.empty((0, 68, 2), np.float32)).shape == (0, len(GEOMETRY_NAMES))


@pytest.mark.parametrize("shape", [(68, 2), (1, 5, 2), (1, 68, 3)])
def test_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(OptionError, match=r"expected \(N, 68, 2\)"):
        geometry(np.zeros(shape, np.float32))


def test_landmarks_are_left_as_they_were() -> None:
    landmarks = turned()[None]
    landmarks.setflags(write=False)
    assert np.isfinite(geometry(landmarks)).all()


def test_the_page_tells_of_each_measure_what_the_table_does() -> None:
    rows = re.findall(r"^\| `(\w+)` \| ([^|]+) \| ([^|]+) \|", PAGE.read_text("utf-8"), re.MULTILINE)
    assert rows == [(name, measure.action_units, measure.meaning) for name, measure in MEASURES.items()]


@pytest.mark.data
def test_expressions_are_where_facs_has_them(data_dir: Path) -> None:
    from mien.lab.datasets import load_ck48

    faces = load_ck48(data_dir / "CK+48")
    apexes = range(2, len(faces), 3)  # the last frame of each sequence
    landmarker, whole = load_landmarker(), Faces.detected(boxes_around(np.array([[24, 24, 48]], np.float32)), [1])
    found = [landmarker.locate(faces.images[apex], whole) for apex in apexes]
    values = np.concatenate([geometry(np.asarray(face.landmarks)) for face in found])
    names = np.array(faces.label_names)[faces.labels[apexes]]

    def most(measure: str, sign: int = 1) -> str:
        column = sign * values[:, GEOMETRY_NAMES.index(measure)]
        return str(max(set(names), key=lambda name: np.nanmean(column[names == name])))

    assert most("lip_corner_pull") == most("mouth_width") == most("lip_curvature") == "happy"
    assert most("mouth_openness") == most("jaw_drop") == most("brow_raise") == most("eye_openness") == "surprise"
    assert {most("inner_brow_raise", -1), most("brow_raise", -1)} <= {"angry", "disgust"}
    assert most("nose_to_lip", -1) in ("happy", "disgust")
