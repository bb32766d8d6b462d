from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mien.core.errors import MissingExtraError, OptionError
from mien.core.labels import EXPRESSIONS, UNCERTAIN
from mien.core.types import FACE_COLUMNS, Faces, FrameResult, columns

ARRAYS = (
    *("boxes_xyxy", "scores", "probabilities", "confidences"),
    *("landmarks", "track_ids", "landmark_confidences", "features"),
)


def make_faces(count: int, *, seed: int = 0, labels: tuple[str, ...] = EXPRESSIONS, complete: bool = True) -> Faces:
    """Return faces with random numbers; `complete` ones have landmarks, track ids and two features."""
    rng = np.random.default_rng(seed)
    corners = rng.uniform(-50, 500, (count, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(1, 300, (count, 2))], axis=1)
    faces = Faces.detected(boxes, rng.uniform(0, 1, count))
    faces = faces.recognized(rng.dirichlet(np.ones(len(labels)), count), labels, uncertain_below=0.3)
    if not complete:
        return faces
    faces = replace(
        faces,
        landmarks=rng.random((count, 68, 2), np.float32),
        track_ids=rng.integers(0, 2**60, count),
        landmark_confidences=rng.random(count, np.float32),
    )
    return faces.measured(("mouth_openness", "why_mouth"), rng.normal(size=(count, 2)))


faces_strategy = st.builds(
    make_faces, st.integers(0, 6), seed=st.integers(0, 2**32 - 1), complete=st.booleans(), labels=st.just(EXPRESSIONS)
)


def test_columns_are_those_of_the_contract() -> None:
    expected = "source frame time_s track_id face x1 y1 x2 y2 score expression confidence happy sad"
    assert columns(("happy", "sad")) == tuple(expected.split())
    more = columns(("happy", "sad"), landmarks=True, feature_names=("roll_deg", "why_mouth"))
    assert more[: len(expected.split())] == tuple(expected.split())
    points = tuple(f"landmark_{point}_{axis}" for point in range(68) for axis in "xy")
    assert more[len(expected.split()) :] == ("landmark_confidence", *points, "roll_deg", "why_mouth")


# ----------------------------------------------------------------------------------------------------- construction


def test_recognized_takes_the_top_label_or_is_uncertain() -> None:
    faces = Faces.detected([[0, 0, 10, 10]] * 3, [1, 0.5, 0])
    faces = faces.recognized([[0.75, 0.25], [0.5, 0.5], [0.375, 0.625]], ("happy", "sad"), uncertain_below=0.625)
    assert faces.expressions == ("happy", UNCERTAIN, "sad")
    assert faces.confidences.tolist() == [0.75, 0.5, 0.625]
    assert faces.probabilities.dtype == faces.boxes_xyxy.dtype == faces.scores.dtype == np.float32


def test_detected_faces_have_no_answer_yet() -> None:
    faces = Faces.detected([[0, 0, 10, 10]], [0.9])
    assert faces.expressions == ("",)
    assert faces.labels == ()
    assert faces.probabilities.shape == (1, 0)
    assert np.isnan(faces.confidences).all()


@pytest.mark.parametrize("labels", [(), EXPRESSIONS])
def test_empty_faces_keep_their_columns(labels: tuple[str, ...]) -> None:
    faces = Faces.empty(labels)
    assert len(faces) == 0
    assert faces.boxes_xyxy.shape == (0, 4)
    assert faces.boxes_xywh.shape == (0, 4)
    assert faces.probabilities.shape == (0, len(labels))
    assert faces.to_dicts() == []
    assert Faces.empty().recognized([], labels) == faces


def test_arrays_are_read_only_copies() -> None:
    boxes, scores = np.array([[1, 2, 3, 4]], np.float32), np.array([0.5], np.float32)
    faces = Faces.detected(boxes, scores)
    boxes[:] = 0
    scores[:] = 0
    assert faces.boxes_xyxy.tolist() == [[1, 2, 3, 4]]
    assert faces.scores.tolist() == [0.5]
    complete = make_faces(2)
    for name in ARRAYS:
        with pytest.raises(ValueError, match="read-only"):
            getattr(complete, name)[...] = 0


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"boxes_xyxy": np.zeros((2, 5))}, r"boxes_xyxy has shape \(2, 5\): expected \(2, 4\)"),
        ({"boxes_xyxy": np.zeros((3, 4))}, r"probabilities has shape|scores has shape \(2,\): expected \(3,\)"),
        ({"scores": np.zeros(3)}, r"scores has shape \(3,\): expected \(2,\)"),
        ({"probabilities": np.zeros((2, 6))}, r"probabilities has shape \(2, 6\): expected \(2, 7\)"),
        ({"confidences": np.zeros((2, 1))}, r"confidences has shape \(2, 1\)"),
        ({"landmarks": np.zeros((2, 5, 2))}, r"landmarks has shape \(2, 5, 2\): expected \(2, 68, 2\)"),
        ({"track_ids": [1]}, r"track_ids has shape \(1,\): expected \(2,\)"),
        ({"expressions": ("happy",)}, "expressions has 1 entries: expected 2"),
        ({"boxes_xyxy": np.full((2, 4), np.nan)}, "NaN or infinity"),
        ({"boxes_xyxy": np.full((2, 4), np.inf)}, "NaN or infinity"),
        ({"scores": [0.5, 1.5]}, "Faces.scores holds 1.5: expected how sure the detector is, from 0 to 1"),
        ({"scores": [-1, 0.5]}, "Faces.scores holds -1.0"),
        ({"scores": [0.5, np.nan]}, "Faces.scores holds nan"),
        ({"landmarks": np.full((2, 68, 2), np.inf)}, "Faces.landmarks holds infinity: expected finite numbers, or NaN"),
        ({"landmark_confidences": [0.5]}, r"landmark_confidences has shape \(1,\): expected \(2,\)"),
        ({"landmark_confidences": [0.5, 1.5]}, "landmark_confidences holds 1.5: expected how sure the landmark net is"),
        ({"landmark_confidences": [0.5, np.nan]}, "landmark_confidences holds nan"),
        ({"features": np.zeros((2, 3))}, r"features has shape \(2, 3\): expected \(2, 2\)"),
        ({"features": np.zeros((3, 2))}, r"features has shape \(3, 2\): expected \(2, 2\)"),
        ({"features": np.full((2, 2), -np.inf)}, "Faces.features holds infinity"),
        ({"features": None}, "feature_names has 2 entries: expected features for them"),
        ({"feature_names": ("happy", "why")}, "Faces has several columns 'happy': expected names that differ"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        replace(make_faces(2), **changed)


@pytest.mark.parametrize("boxes", [5.0, [1, 2, 3, 4], [[1, 2, 3]], [[[1, 2, 3, 4]]]])
def test_boxes_of_another_rank_are_refused(boxes: Any) -> None:
    with pytest.raises(OptionError, match="boxes_xyxy"):
        Faces.detected(boxes, [1.0])


def test_boxes_xywh() -> None:
    faces = Faces.detected([[10, 20, 50, 80], [-5, 0, 5, 1]], [1, 1])
    assert faces.boxes_xywh.tolist() == [[10, 20, 40, 60], [-5, 0, 10, 1]]


# --------------------------------------------------------------------------------------------------------- indexing


@given(faces_strategy, st.data())
def test_a_mask_its_list_and_its_integers_choose_the_same(faces: Faces, data: st.DataObject) -> None:
    mask = np.array(data.draw(st.lists(st.booleans(), min_size=len(faces), max_size=len(faces))), bool)
    indices = np.flatnonzero(mask)
    assert faces[mask] == faces[indices]
    assert len(faces[mask]) == mask.sum()
    for position, index in enumerate(indices.tolist()):
        assert faces[mask][position] == faces[index]


@given(faces_strategy, st.slices(6), st.slices(6))
def test_a_slice_of_a_slice_is_the_slice_of_its_indices(faces: Faces, first: slice, second: slice) -> None:
    assert faces[first][second] == faces[np.arange(len(faces))[first][second]]


@given(faces_strategy)
def test_indexing_identities(faces: Faces) -> None:
    assert faces[:] == faces
    assert faces[::-1][::-1] == faces
    assert len(faces[:0]) == 0
    assert faces[:0].labels == faces.labels
    assert [len(face) for face in faces] == [1] * len(faces)
    for index, face in enumerate(faces):
        assert face == faces[index] == faces[index - len(faces)] == faces[index : index + 1]
        assert face.boxes_xyxy[0].tolist() == faces.boxes_xyxy[index].tolist()
        assert face.expressions == (faces.expressions[index],)


def test_an_index_out_of_range_is_an_index_error() -> None:
    with pytest.raises(IndexError):
        make_faces(2)[2]


def test_an_empty_list_chooses_no_face() -> None:
    assert len(make_faces(2)[[]]) == 0


def test_equality_sees_every_field() -> None:
    faces = make_faces(2)
    assert faces == make_faces(2)
    assert faces != faces[::-1]
    assert faces != replace(faces, landmarks=None)
    assert faces != replace(faces, landmark_confidences=np.zeros(2, np.float32))
    assert faces != replace(faces, features=np.zeros((2, 2), np.float32))
    assert faces != replace(faces, feature_names=("a", "b"))
    assert faces != replace(faces, track_ids=np.array([7, 8]))
    assert faces != "faces"
    assert Faces.detected([[0, 0, 1, 1]], [1]) == Faces.detected([[0, 0, 1, 1]], [1])


# ------------------------------------------------------------------------------------------------------------- rows


@given(faces_strategy)
def test_rows_have_the_columns_of_the_contract_and_the_numbers_of_the_arrays(faces: Faces) -> None:
    result = FrameResult("talk.mp4", 7, 0.28, None, faces)
    rows = result.to_dicts()
    assert len(rows) == max(len(faces), 1)
    for row in rows:
        has_landmarks = faces.landmarks is not None
        assert tuple(row) == columns(faces.labels, landmarks=has_landmarks, feature_names=faces.feature_names)
    for index, row in enumerate(faces.to_dicts()):
        assert rows[index] == {"source": "talk.mp4", "frame": 7, "time_s": 0.28} | row
        assert np.float32(row["x2"]) == faces.boxes_xyxy[index, 2]
        assert [np.float32(row[name]) for name in faces.labels] == faces.probabilities[index].tolist()
        if faces.landmarks is not None and faces.landmark_confidences is not None and faces.features is not None:
            assert row["landmark_confidence"] == faces.landmark_confidences[index]
            assert (row["landmark_0_x"], row["landmark_67_y"]) == tuple(faces.landmarks[index].ravel()[[0, -1]])
            assert [row[name] for name in faces.feature_names] == faces.features[index].tolist()
        assert all(type(value) in (str, int, float, type(None)) for value in row.values())


def test_a_frame_without_a_face_is_one_row_with_empty_face_columns() -> None:
    (row,) = FrameResult("a.jpg", 0, 0.0, None, Faces.empty(("happy",))).to_dicts()
    assert row == {"source": "a.jpg", "frame": 0, "time_s": 0.0} | dict.fromkeys((*FACE_COLUMNS, "happy"))


def test_a_frame_without_a_face_has_every_column_that_was_asked_for() -> None:
    faces = make_faces(2)
    (nobody,) = FrameResult("a.jpg", 0, 0.0, None, faces[[]]).to_dicts()
    assert tuple(nobody) == tuple(FrameResult("a.jpg", 0, 0.0, None, faces).to_dicts()[0])
    assert {nobody[name] for name in faces.columns} == {None}
    assert list(faces[[]].to_pandas()) == list(faces.to_pandas()) == list(faces.columns)


def test_what_is_missing_is_nan_and_what_is_measured_later_comes_after() -> None:
    faces = Faces.detected([[0, 0, 9, 9]] * 2, [1, 1]).measured(("a",), np.array([[0.5], [np.nan]]))
    faces = faces.measured(("b", "c"), np.array([[1, 2], [3, np.nan]])).measured((), np.empty((2, 0)))
    assert faces.feature_names == ("a", "b", "c")
    assert [str(row[name]) for row in faces.to_dicts() for name in "abc"] == ["0.5", "1.0", "2.0", "nan", "3.0", "nan"]
    with pytest.raises(OptionError, match=r"features has shape \(2, 1\): expected \(2, 2\)"):
        faces.measured(("d", "e"), [[1], [2]])


def test_points_without_a_confidence_have_none_in_their_row() -> None:
    faces = replace(make_faces(1), landmark_confidences=None)
    assert np.isnan(faces.to_dicts()[0]["landmark_confidence"])


def test_to_pandas_without_pandas_names_the_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingExtraError, match="pip install 'pandas'"):
        make_faces(1).to_pandas()


def test_a_result_is_told_in_one_line() -> None:
    faces = Faces.detected([[0, 0, 10, 10]] * 2, [1, 0.5])
    assert repr(faces) == "<Faces 2: not read, not read>"
    faces = faces.recognized([[0.75, 0.25], [0.5, 0.5]], ("happy", "sad"), uncertain_below=0.6)
    assert repr(faces) == "<Faces 2: happy 0.75, uncertain 0.50>"
    picture = np.zeros((36, 64, 3), np.uint8)
    told = "<FrameResult 'talk.mp4' frame 3 at 0.120 s, 64x36, <Faces 2: happy 0.75, uncertain 0.50>>"
    assert repr(FrameResult("talk.mp4", 3, 0.12, picture, faces)) == told
    assert (
        repr(FrameResult("a", 0, 0.0, None, Faces.empty()))
        == "<FrameResult 'a' frame 0 at 0.000 s, no image, <Faces 0>>"
    )
