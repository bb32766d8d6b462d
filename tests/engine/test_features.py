"""Features of faces: every column for every face, missing values and never nonsense."""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from media import portrait

from mien.core.errors import MissingExtraError, OptionError
from mien.core.preprocess import MEAN_SHAPE, boxes_around
from mien.core.types import Faces, FloatArray
from mien.engine.features import FEATURE_NAMES, FeatureExtractor, measurable
from mien.face.geometry import GEOMETRY_NAMES
from mien.face.landmarks import MEASURABLE
from mien.face.motion import MOTION_NAMES
from mien.face.texture import TEXTURE_NAMES

PICTURE = portrait(360, 480)  # stretched: no matter here
MOTION = slice(len(GEOMETRY_NAMES), len(GEOMETRY_NAMES) + len(MOTION_NAMES))


def placed(*squares: tuple[float, float, float], ids: list[int] | None = None, sure: float = 1.0) -> Faces:
    """Return mean faces in frames as FER2013 cuts them: center x, center y and side of each."""
    frame = np.array(squares, np.float32).reshape(-1, 3)
    points = frame[:, None, :2] + (MEAN_SHAPE - 0.5) * frame[:, None, 2:]
    found = Faces.detected(boxes_around(frame), np.ones(len(frame)))
    return replace(
        found,
        landmarks=points,
        landmark_confidences=np.full(len(frame), sure, np.float32),
        track_ids=None if ids is None else np.array(ids, np.int64),
    )


def values(faces: Faces) -> FloatArray:
    assert faces.features is not None
    return faces.features


HERE, THERE = (120.0, 180.0, 150.0), (340.0, 180.0, 120.0)


def test_every_family_has_columns_of_its_own_names() -> None:
    assert (*GEOMETRY_NAMES, *MOTION_NAMES, *TEXTURE_NAMES) == FEATURE_NAMES
    assert len(set(FEATURE_NAMES)) == len(FEATURE_NAMES)
    faces = FeatureExtractor().update(PICTURE, placed(HERE, THERE), 0.0)
    assert faces.feature_names == FEATURE_NAMES
    assert values(faces).shape == (2, len(FEATURE_NAMES))


def test_all_but_motion_is_known_at_once_and_motion_with_the_second_frame() -> None:
    extractor = FeatureExtractor()
    first = values(extractor.update(PICTURE, placed(HERE, ids=[1]), 0.0))[0]
    assert np.isnan(first[MOTION]).all()
    assert np.isfinite(np.delete(first, np.r_[MOTION])).all()
    second = values(extractor.update(PICTURE, placed(HERE, THERE, ids=[1, 2]), 0.04))
    assert np.isfinite(second[0]).all()
    assert np.isnan(second[1, MOTION]).all()


def test_a_picture_has_no_motion() -> None:
    extractor = FeatureExtractor()
    for _ in range(2):
        found = values(extractor.update(PICTURE, placed(HERE), 0.0))[0]
        assert np.isnan(found[MOTION]).all()
        assert np.isfinite(np.delete(found, np.r_[MOTION])).all()


def test_after_a_cut_motion_is_missing() -> None:
    extractor = FeatureExtractor()
    extractor.update(PICTURE, placed(HERE, ids=[1]), 0.0)
    extractor.cut()
    assert np.isnan(values(extractor.update(PICTURE, placed(HERE, ids=[1]), 0.04))[0, MOTION]).all()


UNMEASURABLE: dict[str, Faces] = {
    "not sure": placed(HERE, sure=MEASURABLE - 0.01),
    "20 px": placed((120, 180, 20 / 0.8)),
    "half outside on the left": placed((0, 180, 150)),
    "half outside on the right": placed((480, 180, 150)),
    "half outside below": placed((120, 360, 150)),
    "wholly outside": placed((-500, -500, 150)),
    "as large as the world": placed((120, 180, 1e8)),
    "points missing": replace(placed(HERE), landmarks=np.full((1, 68, 2), np.nan, np.float32)),
    "all points one": replace(placed(HERE), landmarks=np.full((1, 68, 2), 99, np.float32)),
}


@pytest.mark.parametrize("case", UNMEASURABLE)
def test_what_cannot_be_measured_is_missing_and_the_face_stays(case: str) -> None:
    faces = FeatureExtractor().update(PICTURE, UNMEASURABLE[case], 0.0)
    assert len(faces) == 1
    assert faces.feature_names == FEATURE_NAMES
    assert np.isnan(values(faces)).all()


MEASURABLE_STILL: dict[str, Faces] = {
    "just sure": placed(HERE, sure=MEASURABLE),
    "30 px": placed((120, 180, 30 / 0.8)),
    "an ear outside": placed((65, 180, 150)),
}


@pytest.mark.parametrize("case", MEASURABLE_STILL)
def test_what_is_just_good_enough_is_measured(case: str) -> None:
    found = values(FeatureExtractor().update(PICTURE, MEASURABLE_STILL[case], 0.0))[0]
    assert np.isfinite(np.delete(found, np.r_[MOTION])).all()


def test_one_point_that_is_missing_makes_only_its_own_features_missing() -> None:
    faces = placed(HERE)
    assert faces.landmarks is not None
    points = faces.landmarks.copy()
    points[0, 8] = np.nan  # the chin
    found = FeatureExtractor().update(PICTURE, replace(faces, landmarks=points), 0.0)
    assert not np.isinf(values(found)).any()


def test_faces_are_measured_each_for_itself() -> None:
    mixed = placed(HERE, (0, 180, 150), THERE)
    together = values(FeatureExtractor().update(PICTURE, mixed, 0.0))
    for row, face in enumerate(mixed):
        alone = values(FeatureExtractor().update(PICTURE, face, 0.0))[0]
        assert together[row] == pytest.approx(alone, nan_ok=True)


def test_without_a_face_there_are_columns_and_no_rows() -> None:
    faces = FeatureExtractor().update(PICTURE, placed(), 0.0)
    assert (len(faces), faces.feature_names) == (0, FEATURE_NAMES)


def test_features_come_after_those_that_were_there() -> None:
    before = placed(HERE).measured(("mine",), [[7]])
    after = FeatureExtractor().update(PICTURE, before, 0.0)
    assert after.feature_names == ("mine", *FEATURE_NAMES)
    assert values(after)[0, 0] == 7


def test_faces_without_landmarks_are_refused() -> None:
    with pytest.raises(OptionError, match=r"faces have no landmarks: expected what Landmarker\(\).locate"):
        FeatureExtractor().update(PICTURE, Faces.detected([[0, 0, 9, 9]], [1]), 0.0)


def test_without_scikit_image_it_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "skimage", None)
    with pytest.raises(MissingExtraError, match=r"scikit-image is not installed: pip install 'mien\[analysis\]'"):
        FeatureExtractor()


@given(
    st.floats(-400, 900),
    st.floats(-400, 900),
    st.floats(1, 2000),
    st.floats(0, 1, width=32),
    st.floats(-180, 180),
)
def test_whatever_the_points_are_no_number_is_infinite(
    x: float, y: float, side: float, sure: float, angle: float
) -> None:
    faces = placed((x, y, side), sure=sure, ids=[1])
    turn = np.deg2rad(angle)
    around = np.array([x, y], np.float32)
    assert faces.landmarks is not None
    matrix = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    faces = replace(faces, landmarks=((faces.landmarks - around) @ matrix + around).astype(np.float32))
    extractor = FeatureExtractor()
    for time_s in (0.0, 0.04):
        found = values(extractor.update(PICTURE, faces, time_s))
        assert not np.isinf(found).any()
        assert np.isnan(found).all() or measurable(faces, PICTURE).all()
