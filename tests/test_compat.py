"""Programs written for fer or deepface run on mien: same calls, shapes, label names and scales."""

from __future__ import annotations

import base64
import csv
import functools
import http.server
import io
import logging
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mien
from mien.compat import FER, DeepFace, PictureError, Video
from mien.compat.reading import rectangles
from mien.core.errors import MediaError, MissingExtraError, OptionError
from mien.core.labels import EXPRESSIONS
from mien.core.types import ByteArray, Faces, FloatArray, FrameResult
from mien.engine.results import AnnotatedVideo

NOBODY = np.full((120, 160, 3), 90, np.uint8)
FACE_XYWH = [77, 61, 94, 116]  # in `head`
BLUR = 7  # sigma: the face is found, less surely than a sharp one
ROUNDING = len(EXPRESSIONS) * 0.005 + 1e-9
FRAMES = 6
EMPTY_FRAME = 2
RATE = 2  # frames a second


@pytest.fixture(scope="module")
def head(astronaut: ByteArray) -> ByteArray:
    """Return the head of the portrait as OpenCV reads it, (260, 240, 3) uint8 BGR."""
    return np.ascontiguousarray(astronaut[0:260, 100:340, ::-1])


@pytest.fixture(scope="module")
def photo(head: ByteArray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("photo") / "photo.png"
    assert cv2.imwrite(str(path), head)
    return path


@pytest.fixture(scope="module")
def couple(head: ByteArray) -> ByteArray:
    """Return a large blurred face beside a small sharp one, of which the detector is surer."""
    small = cv2.resize(head, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    picture = np.full((260, 480, 3), 127, np.uint8)
    picture[:, :240] = cv2.GaussianBlur(head, (0, 0), BLUR)
    picture[:130, 240:360] = small
    return picture


@pytest.fixture(scope="module")
def clip(head: ByteArray, couple: ByteArray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a video of six frames: two people in the first, nobody in the third."""
    path = tmp_path_factory.mktemp("clip") / "talk.mkv"
    with AnnotatedVideo(path) as video:
        for index in range(FRAMES):
            picture = np.full((260, 480, 3), 127, np.uint8)
            if index != EMPTY_FRAME:
                picture[:, 4 * index : 240 + 4 * index] = head
            shown = couple if index == 0 else picture
            rgb = np.ascontiguousarray(shown[..., ::-1])
            video.write(FrameResult("talk.mkv", index, index / RATE, rgb, Faces.empty()))
    return path


@pytest.fixture(scope="module")
def detector() -> FER:
    return FER(mtcnn=True)


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


# --- what both take for a picture


def as_base64(photo: Path) -> str:
    return "data:image/png;base64," + base64.b64encode(photo.read_bytes()).decode()


def read_bgr(photo: Path) -> ByteArray:
    return np.asarray(cv2.imread(str(photo)), np.uint8)


FORMS: dict[str, Callable[[Path], Any]] = {
    "str": str,
    "Path": lambda photo: photo,
    "base64": as_base64,
    "file": lambda photo: io.BytesIO(photo.read_bytes()),
    "BGRA": lambda photo: np.dstack([read_bgr(photo), np.zeros((260, 240), np.uint8)]),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_picture_may_come_in_any_form(form: str, photo: Path, head: ByteArray, detector: FER) -> None:
    given = FORMS[form](photo)
    assert detector.detect_emotions(given) == detector.detect_emotions(head)
    assert DeepFace.analyze(given) == DeepFace.analyze(head)


def test_a_url_is_read(photo: Path, head: ByteArray, detector: FER) -> None:
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(photo.parent))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = "http://{}:{}".format(*server.server_address)
        assert detector.detect_emotions(f"{address}/photo.png") == detector.detect_emotions(head)
        with pytest.raises(PictureError, match="the server answers 404"):
            detector.detect_emotions(f"{address}/missing.png")
        server.shutdown()


def test_who_has_looked_into_a_file_may_still_give_it(photo: Path, head: ByteArray, detector: FER) -> None:
    with photo.open("rb") as file:
        file.read(8)
        assert detector.detect_emotions(file) == detector.detect_emotions(head)


def test_gray_is_read(head: ByteArray, detector: FER) -> None:
    gray = np.asarray(cv2.cvtColor(head, cv2.COLOR_BGR2GRAY), np.uint8)
    assert detector.top_emotion(gray)[0] == "happy"
    assert detector.find_faces(gray, bgr=False) == detector.find_faces(gray)
    assert DeepFace.analyze(gray)[0]["dominant_emotion"] == "happy"


def test_arrays_are_bgr(head: ByteArray, detector: FER) -> None:
    rgb = np.ascontiguousarray(head[..., ::-1])
    (native,) = mien.analyze(rgb).probabilities.tolist()
    assert list(DeepFace.analyze(head)[0]["emotion"].values()) == pytest.approx([100 * p for p in native], abs=1e-4)
    assert DeepFace.analyze(rgb)[0]["emotion"] != DeepFace.analyze(head)[0]["emotion"]
    assert detector.find_faces(rgb, bgr=False) == detector.find_faces(head)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("missing.jpg", "missing.jpg: cannot be read"),
        ("data:image/png;base64,AAA", "picture: is no base64"),
        ("data:image/png;base64,AAAA", "picture: holds no picture"),
        (io.BytesIO(b"no picture"), "picture: holds no picture"),
        (io.StringIO("no picture"), "picture: holds no picture"),
    ],
)
def test_what_cannot_be_read_is_refused_in_one_line(given: Any, message: str, detector: FER) -> None:
    for call in (detector.detect_emotions, DeepFace.analyze):
        with pytest.raises(PictureError) as error:
            call(given)
        assert str(error.value).startswith(message)
        assert "\n" not in str(error.value)
        assert isinstance(error.value, ValueError)
        assert isinstance(error.value, MediaError)


@pytest.mark.parametrize("given", [None, 3, np.zeros((40, 50, 3)), np.zeros((2, 3, 4, 5), np.uint8)])
def test_what_is_no_picture_is_refused(given: Any, detector: FER) -> None:
    with pytest.raises(OptionError, match="picture"):
        detector.detect_emotions(given)


corners = st.tuples(*[st.floats(-50, 150, width=32)] * 2, *[st.floats(16, 300, width=32)] * 2)


@given(corners)
def test_rectangles_are_inside_and_never_empty(corner: tuple[float, float, float, float]) -> None:
    x, y, width, height = corner
    box = np.array([[x, y, x + width, y + height]], np.float32)
    if (box[0, 2:] <= 0).any() or x >= 160 or y >= 120:
        return  # no detector gives a box outside the picture
    ((left, top, w, h),) = rectangles(box, NOBODY)
    assert 0 <= left < left + w <= 160
    assert 0 <= top < top + h <= 120
    inside = box[0].clip(0, [160, 120, 160, 120])
    assert np.abs(np.array([left, top, left + w, top + h]) - inside).max() < 1


# --- fer: pictures


def test_the_readme_of_fer(head: ByteArray) -> None:
    detector = FER()
    (face,) = detector.detect_emotions(head)
    assert list(face) == ["box", "emotions"]
    assert face["box"] == pytest.approx(FACE_XYWH, abs=2)
    assert type(face["box"]) is list
    assert {type(value) for value in face["box"]} == {int}
    assert tuple(face["emotions"]) == EXPRESSIONS
    assert {type(value) for value in face["emotions"].values()} == {float}
    emotion, score = detector.top_emotion(head)
    assert (emotion, score) == ("happy", face["emotions"]["happy"])


def test_scores_are_those_of_mien_rounded_to_two_places(couple: ByteArray, detector: FER) -> None:
    native = mien.analyze(couple, color="bgr")
    expected = {tuple(round(p, 2) for p in row) for row in native.probabilities.tolist()}
    assert {tuple(face["emotions"].values()) for face in detector.detect_emotions(couple)} == expected


def test_without_a_face_there_is_nothing(detector: FER) -> None:
    assert detector.detect_emotions(NOBODY) == []
    assert detector.find_faces(NOBODY) == []
    assert detector.top_emotion(NOBODY) == (None, None)


def test_the_largest_face_comes_first(couple: ByteArray, detector: FER) -> None:
    sharp, blurred = mien.analyze(couple, color="bgr").boxes_xyxy  # the surest first
    assert sharp[0] > 240 > blurred[2]
    large, small = detector.find_faces(couple)
    assert large[0] + large[2] < 240 < small[0]
    assert [face["box"] for face in detector.detect_emotions(couple)] == [large, small]
    only = detector.detect_emotions(couple, [large])[0]["emotions"]
    assert detector.top_emotion(couple)[1] == pytest.approx(max(only.values()), abs=0.02)
    assert [face["region"]["x"] for face in DeepFace.analyze(couple)] == [large[0], small[0]]


def test_small_faces_are_left_out_where_asked(couple: ByteArray) -> None:
    heights = [height for _, _, _, height in FER().find_faces(couple)]
    assert len(FER(min_face_size=heights[0] - 2).detect_emotions(couple)) == 1
    assert len(FER(min_face_size=heights[1] - 2).detect_emotions(couple)) == 2


def test_several_pictures_are_answered_in_order(head: ByteArray, photo: Path, detector: FER) -> None:
    one = detector.detect_emotions(head)
    assert detector.batch_detect_emotions([NOBODY, str(photo), head]) == [[], one, one]


# --- fer: rectangles of the caller


def test_found_faces_may_be_given_back(couple: ByteArray, detector: FER) -> None:
    found = detector.detect_emotions(couple)
    again = detector.detect_emotions(couple, detector.find_faces(couple))
    for first, second in zip(found, again, strict=True):
        assert first["box"] == second["box"]
        assert list(first["emotions"].values()) == pytest.approx(list(second["emotions"].values()), abs=0.03)


def test_squares_of_a_cascade_are_framed_as_by_the_detector_haar(couple: ByteArray, detector: FER) -> None:
    cascade = cv2.CascadeClassifier(f"{Path(cv2.__file__).parent}/data/haarcascade_frontalface_default.xml")
    head = np.ascontiguousarray(couple[:, :240])
    gray = cv2.cvtColor(head, cv2.COLOR_BGR2GRAY)
    squares = np.asarray(cascade.detectMultiScale(gray, 1.1, 5, minSize=(50, 50)))
    (face,) = detector.detect_emotions(head, squares)
    assert face["box"] == squares[0].tolist()
    by_haar = mien.analyze(head, detector="haar", color="bgr").probabilities[0].tolist()
    assert list(face["emotions"].values()) == pytest.approx(by_haar, abs=0.03)


# Parts of the portrait without a face: answers that are not all but sure tell one frame from another.
@pytest.mark.parametrize(("x", "y", "side"), [(300, 200, 144), (20, 250, 192), (60, 300, 96)])
def test_a_square_is_read_as_that_crop(x: int, y: int, side: int, astronaut: ByteArray, detector: FER) -> None:
    expected = mien.load().probabilities([np.ascontiguousarray(astronaut[y : y + side, x : x + side])])[0].tolist()
    (face,) = detector.detect_emotions(astronaut[..., ::-1], [(x, y, side, side)])
    assert list(face["emotions"].values()) == pytest.approx(expected, abs=0.006)


@pytest.mark.parametrize(("x", "y", "width", "height"), [(300, 200, 108, 144), (20, 250, 150, 192)])
def test_another_rectangle_is_read_as_a_box_of_mien(
    x: int, y: int, width: int, height: int, astronaut: ByteArray, detector: FER
) -> None:
    class There:
        def detect(self, image_rgb: ByteArray) -> tuple[FloatArray, FloatArray]:
            assert np.array_equal(image_rgb, astronaut)
            return np.array([[x, y, x + width, y + height]], np.float32), np.ones(1, np.float32)

    expected = mien.analyze(astronaut, detector=There()).probabilities[0].tolist()
    (face,) = detector.detect_emotions(astronaut[..., ::-1], np.array([[x, y, width, height]]))
    assert list(face["emotions"].values()) == pytest.approx(expected, abs=0.0051)


def test_rectangles_that_show_nothing_are_left_out(
    head: ByteArray, detector: FER, caplog: pytest.LogCaptureFixture
) -> None:
    given = [(0, 0, 0, 50), FACE_XYWH, (240, 0, 50, 50), (-60, 0, 50, 50)]
    assert [face["box"] for face in detector.detect_emotions(head, given)] == [FACE_XYWH]
    assert warnings(caplog) == ["3 of face_rectangles are empty or outside the picture: left out"]
    assert detector.detect_emotions(head, []) == []
    assert detector.detect_emotions(head, ()) == []


@pytest.mark.parametrize("given", [[(1, 2, 3)], "faces", [None]])
def test_what_is_no_rectangle_is_refused(given: Any, head: ByteArray, detector: FER) -> None:
    with pytest.raises(OptionError, match=r"face_rectangles is .*: expected \(x, y, w, h\) for each face"):
        detector.detect_emotions(head, given)


areas = st.tuples(st.integers(0, 200), st.integers(0, 200), st.integers(20, 240), st.integers(20, 260))


@settings(max_examples=15)
@given(st.lists(areas, min_size=1, max_size=3))
def test_emotions_sum_to_one_and_the_top_is_their_highest(
    astronaut: ByteArray, given: list[tuple[int, int, int, int]]
) -> None:
    faces = FER().detect_emotions(astronaut, given)
    assert [tuple(face["box"]) for face in faces] == given
    for face in faces:
        scores = list(face["emotions"].values())
        assert scores == [round(score, 2) for score in scores]
        assert sum(scores) == pytest.approx(1, abs=ROUNDING)


# --- fer: arguments without a meaning


def test_what_is_ignored_is_said_once(caplog: pytest.LogCaptureFixture, clip: Path, detector: FER) -> None:
    for _ in range(2):
        FER(cascade_file="own.xml", offsets=(20, 20), scale_factor=1.3)
        Video(clip, outdir="elsewhere", tempfile="elsewhere.mp4")
        Video(clip).analyze(detector, display=True, max_results=1)
        DeepFace.analyze(NOBODY, detector_backend="skip", expand_percentage=10)
    cure = "docs/migrate.md says what mien does instead"
    assert warnings(caplog) == [
        f"FER ignores cascade_file, scale_factor, offsets: {cure}",
        f"Video ignores outdir, tempfile: {cure}",
        f"Video.analyze ignores display: {cure}",
        f"DeepFace.analyze ignores expand_percentage: {cure}",
    ]


def test_what_surprises_nobody_is_ignored_silently(head: ByteArray, caplog: pytest.LogCaptureFixture) -> None:
    FER(None, True, use_tflite=False, compile=True)
    DeepFace.analyze(head, ("emotion",), True, "retinaface", False, 0, True, False)
    assert caplog.records == []


# --- fer: videos


def test_the_video_of_the_readme_of_fer(clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    detector = FER(mtcnn=True)
    raw_data = Video(str(clip)).analyze(detector, display=True)
    assert list(tmp_path.iterdir()) == []  # fer writes ./output and ./data.csv
    assert type(raw_data) is list
    assert len(raw_data) == FRAMES - 1  # as in fer, a frame without a face has no row
    first, *others = raw_data
    assert list(first) == [f"{name}{face}" for face in (0, 1) for name in ("box", *EXPRESSIONS)]
    assert all(list(row) == [f"{name}0" for name in ("box", *EXPRESSIONS)] for row in others)
    assert others[-1]["box0"] == pytest.approx([FACE_XYWH[0] + 4 * (FRAMES - 1), *FACE_XYWH[1:]], abs=4)


def test_a_row_is_what_the_detector_says_of_the_frame(clip: Path, detector: FER) -> None:
    seen: list[ByteArray] = []

    class Listening:
        def detect_emotions(self, img: ByteArray) -> Any:
            seen.append(img)
            return detector.detect_emotions(img)

    rows = Video(clip).analyze(Listening(), max_results=2)
    capture = cv2.VideoCapture(str(clip))
    for index, row in enumerate(rows):
        _, frame = capture.read()
        assert np.abs(seen[index].astype(int) - frame).mean() < 2  # BGR as OpenCV reads it
        for number, face in enumerate(detector.detect_emotions(seen[index])):
            assert row[f"box{number}"] == face["box"]
            assert {label: row[f"{label}{number}"] for label in EXPRESSIONS} == face["emotions"]
    assert len(rows) == len(seen) == 2


class Counting:
    """Answers with the number of the call, so that a row tells which frame it is of."""

    def __init__(self) -> None:
        self.shapes: list[tuple[int, ...]] = []

    def detect_emotions(self, img: ByteArray) -> Any:
        self.shapes.append(img.shape)
        return [{"box": [len(self.shapes), 0, 20, 20], "emotions": {"happy": 1.0}}]


@pytest.mark.parametrize(
    ("options", "count"),
    [
        ({}, FRAMES),
        ({"frequency": 1}, FRAMES),
        ({"frequency": 4}, 2),
        ({"frequency": 2, "max_results": 2}, 2),
        ({"save_fps": 1}, 3),
        ({"save_fps": 0.5, "frequency": 3}, 2),
        ({"max_results": 100}, FRAMES),
    ],
)
def test_frames_are_chosen_as_in_fer(options: dict[str, Any], count: int, clip: Path) -> None:
    assert len(Video(clip).analyze(Counting(), **options)) == count


def test_a_detection_box_is_searched_and_answered_in_the_frame(clip: Path, detector: FER) -> None:
    counting = Counting()
    box = {"x_min": 30, "x_max": 280, "y_min": 20, "y_max": 240}
    rows = Video(clip).analyze(counting, detection_box=box)
    assert set(counting.shapes) == {(220, 250, 3)}
    assert rows[0] == {"box0": [31, 20, 20, 20], "happy0": 1.0}
    whole, part = (Video(clip).analyze(detector, frequency=5, detection_box=area)[-1]["box0"] for area in (None, box))
    assert part == pytest.approx(whole, abs=4)


@pytest.mark.parametrize("option", ["save_frames", "save_video", "include_audio"])
def test_writing_pictures_is_refused_with_the_command_that_does_it(option: str, clip: Path) -> None:
    on: dict[str, Any] = {option: True}
    with pytest.raises(OptionError, match=f"not offered.*mien analyze .*{clip.name} --annotate"):
        Video(clip).analyze(Counting(), **on)
    off: dict[str, Any] = {option: False}
    assert Video(clip).analyze(Counting(), max_results=1, **off)


def test_an_unknown_output_or_file_is_refused(clip: Path, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"output is 'json': expected 'csv' \(a list of dicts\) or 'pandas'"):
        Video(clip).analyze(Counting(), output="json")
    with pytest.raises(MediaError, match=r"missing\.mp4"):
        Video(tmp_path / "missing.mp4")


def test_a_video_that_breaks_off_keeps_its_rows(clip: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    content = clip.read_bytes()
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(content[: len(content) * 2 // 3])
    rows = Video(cut).analyze(Counting())
    assert 0 < len(rows) < FRAMES
    assert "breaks off" in warnings(caplog)[-1]


def test_rows_become_a_csv(clip: Path, tmp_path: Path, detector: FER) -> None:
    rows = Video(clip).analyze(detector, max_results=2)
    path = tmp_path / "new" / "data.csv"
    assert Video.to_csv(rows, path) == rows
    with path.open(encoding="utf-8", newline="") as file:
        read = list(csv.DictReader(file))
    assert list(read[0]) == list(rows[0])
    assert [float(row["happy0"]) for row in read] == [row["happy0"] for row in rows]
    assert read[1]["box1"] == ""


def test_pandas_is_asked_for_only_where_it_is_needed(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    rows = Video(clip).analyze(Counting(), max_results=1)
    with pytest.raises(MissingExtraError, match="pip install 'pandas'"):
        Video(clip).to_pandas(rows)
    with pytest.raises(MissingExtraError, match="pip install 'pandas'"):
        Video(clip).analyze(Counting(), output="pandas")


def test_rows_become_a_data_frame(clip: Path, detector: FER) -> None:
    video = Video(clip)
    rows = video.analyze(detector)
    df = video.to_pandas(rows)
    assert list(df.columns) == ["box", *EXPRESSIONS]
    assert df["happy"].tolist() == [row["happy0"] for row in rows]
    assert list(video.get_emotions(df).columns) == list(EXPRESSIONS)
    assert video.get_first_face(df) is df
    assert video.to_pandas(df) is df
    assert video.to_pandas([]).empty
    every = Video(clip, first_face_only=False).analyze(detector, output="pandas")
    assert list(every.columns) == list(rows[0])
    assert every["happy1"].isna().tolist() == [False, *[True] * (FRAMES - 2)]
    pandas.testing.assert_frame_equal(video.get_first_face(every), df)


# --- deepface


def test_the_readme_of_deepface(photo: Path) -> None:
    objs = DeepFace.analyze(img_path=str(photo), actions=["emotion"])
    assert type(objs) is list
    (face,) = objs
    assert list(face) == ["emotion", "dominant_emotion", "region", "face_confidence"]
    assert tuple(face["emotion"]) == EXPRESSIONS
    assert {type(value) for value in face["emotion"].values()} == {float}
    assert face["dominant_emotion"] == "happy"
    assert list(face["region"]) == ["x", "y", "w", "h", "left_eye", "right_eye"]
    assert [face["region"][key] for key in "xywh"] == pytest.approx(FACE_XYWH, abs=2)
    assert {type(face["region"][key]) for key in "xywh"} == {int}
    assert face["region"]["left_eye"] is None
    assert type(face["face_confidence"]) is float
    assert 0.7 <= face["face_confidence"] <= 1
    assert round(face["face_confidence"], 2) == face["face_confidence"]


def test_without_actions_the_emotion_is_told(head: ByteArray) -> None:
    answers = [DeepFace.analyze(head, actions=actions) for actions in ("emotion", ["emotion"], ("emotion",))]
    assert answers == [DeepFace.analyze(head)] * 3


@pytest.mark.parametrize("actions", ["age", ["age"], ("emotion", "gender"), ["race", "emotion"], (), None, "smile"])
def test_another_action_is_refused_in_one_line(actions: Any, head: ByteArray) -> None:
    with pytest.raises(OptionError) as error:
        DeepFace.analyze(head, actions=actions)
    assert str(error.value) == f"actions is {actions!r}: mien reads expressions only; give actions=['emotion']"
    assert isinstance(error.value, ValueError)


def test_spoofing_is_not_told(head: ByteArray) -> None:
    with pytest.raises(OptionError, match="anti_spoofing is not offered"):
        DeepFace.analyze(head, anti_spoofing=True)


def test_without_a_face_there_is_a_value_error(tmp_path: Path) -> None:
    path = tmp_path / "wall.png"
    assert cv2.imwrite(str(path), NOBODY)
    for img, name in ((str(path), str(path)), (NOBODY, "picture")):
        with pytest.raises(ValueError, match="enforce_detection=False") as error:
            DeepFace.analyze(img)
        assert str(error.value).startswith(f"{name}: no face is found")
        assert isinstance(error.value, mien.MienError)


def test_where_detection_is_not_enforced_the_whole_picture_is_the_face(head: ByteArray) -> None:
    (wall,) = DeepFace.analyze(NOBODY, enforce_detection=False)
    assert wall["region"] == {"x": 0, "y": 0, "w": 160, "h": 120, "left_eye": None, "right_eye": None}
    assert wall["face_confidence"] == 0
    assert DeepFace.analyze(head, enforce_detection=False) == DeepFace.analyze(head)


def test_who_skips_detection_gives_a_crop(astronaut: ByteArray) -> None:
    crop = np.ascontiguousarray(astronaut[200:344, 300:444, ::-1])
    (face,) = DeepFace.analyze(crop, detector_backend="skip")
    native = mien.analyze(crop, color="bgr", detector="whole").probabilities[0].tolist()
    assert list(face["emotion"].values()) == pytest.approx([100 * p for p in native], abs=1e-4)
    assert face["face_confidence"] == 0
    assert [face["region"][key] for key in "xywh"] == [0, 0, 144, 144]


def test_several_pictures_give_a_list_for_each(head: ByteArray, photo: Path) -> None:
    one = DeepFace.analyze(head)
    assert DeepFace.analyze([str(photo), head]) == [one, one]
    assert DeepFace.analyze(np.stack([head, head])) == [one, one]
    with pytest.raises(PictureError):
        DeepFace.analyze([head, NOBODY])


@settings(max_examples=15)
@given(areas)
def test_emotions_sum_to_a_hundred_and_the_dominant_one_is_the_highest(
    astronaut: ByteArray, area: tuple[int, int, int, int]
) -> None:
    x, y, width, height = area
    (face,) = DeepFace.analyze(astronaut[y : y + height, x : x + width], detector_backend="skip")
    scores = face["emotion"]
    assert sum(scores.values()) == pytest.approx(100, abs=1e-9)
    assert min(scores.values()) >= 0
    assert face["dominant_emotion"] == EXPRESSIONS[int(np.argmax(list(scores.values())))]
