"""The calls of the library: what they take, what they give, what they refuse in one line."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from media import cut, mute_server, shades, upright, write_still, write_video
from PIL import Image

from mien import Faces, Pipeline, analyze, analyze_many, explain, load, stream
from mien.core.errors import MediaError, MienError, ModelError, OptionError
from mien.core.types import ByteArray, FloatArray

NOWHERE = np.zeros((40, 50, 3), np.uint8)
FACE_XYXY = (77, 61, 171, 176)  # in `head`


@pytest.fixture(scope="module")
def head(astronaut: ByteArray) -> ByteArray:
    """Return the head of the portrait: enough for a detector, quick to read."""
    return np.ascontiguousarray(astronaut[0:260, 100:340])


@pytest.fixture(scope="module")
def answer(head: ByteArray) -> Faces:
    return analyze(head, detector=Fixed())


class Fixed:
    """A detector that always answers with where the face in `head` is, and keeps what it was shown."""

    def __init__(self) -> None:
        self.seen: list[ByteArray] = []

    def detect(self, image_rgb: ByteArray) -> tuple[FloatArray, FloatArray]:
        self.seen.append(image_rgb)
        return np.array([FACE_XYXY], np.float32), np.ones(1, np.float32)


class Bright:
    """A detector that takes every picture that is not black for a face: a hundred times as fast as a real one."""

    def detect(self, image_rgb: ByteArray) -> tuple[FloatArray, FloatArray]:
        height, width = image_rgb.shape[:2]
        count = int(image_rgb.mean() > 20)
        return np.array([[0, 0, width, height]] * count, np.float32).reshape(-1, 4), np.ones(count, np.float32)


# --- analyze: one picture, whatever form it has


def test_a_smile_is_found_and_read(head: ByteArray) -> None:
    faces = analyze(head)
    assert faces.expressions == ("happy",)
    assert faces.labels == ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
    assert faces.boxes_xyxy == pytest.approx(np.array([FACE_XYXY]), abs=3)
    assert faces.probabilities.sum(axis=1) == pytest.approx([1], abs=1e-5)
    assert faces.confidences == pytest.approx(faces.probabilities.max(axis=1))
    assert faces.track_ids is None
    assert faces.landmarks is None


EXACT: dict[str, Callable[[ByteArray], Any]] = {
    "RGBA": lambda rgb: np.dstack([rgb, np.zeros(rgb.shape[:2], np.uint8)]),
    "PIL": Image.fromarray,
    "PIL RGBA": lambda rgb: Image.fromarray(rgb).convert("RGBA"),
    "not contiguous": lambda rgb: np.flip(np.flip(rgb, 0).copy(), 0),
    "read-only": lambda rgb: np.frombuffer(rgb.tobytes(), np.uint8).reshape(rgb.shape),
}
GRAY_TOLERANCE = 0.05  # the stretch to the full range of a 16-bit picture is its own change
GRAY: dict[str, Callable[[ByteArray], Any]] = {
    "(H, W)": lambda gray: gray,
    "(H, W, 1)": lambda gray: gray[..., None],
    "PIL L": Image.fromarray,
    "12 of 16 bits": lambda gray: gray.astype(np.uint16) * 16 + 256,
    "PIL 16 bits": lambda gray: Image.fromarray(gray.astype(np.uint16) * 257),
}


@pytest.mark.parametrize("form", EXACT)
def test_color_in_every_form(form: str, head: ByteArray, answer: Faces) -> None:
    assert analyze(EXACT[form](head), detector=Fixed()) == answer


@pytest.mark.parametrize("form", GRAY)
def test_gray_in_every_form(form: str, head: ByteArray, answer: Faces) -> None:
    gray = np.asarray(cv2.cvtColor(head, cv2.COLOR_RGB2GRAY), np.uint8)
    faces = analyze(GRAY[form](gray), detector=Fixed())
    assert faces.probabilities == pytest.approx(answer.probabilities, abs=GRAY_TOLERANCE)


def test_bgr_is_told(head: ByteArray, answer: Faces) -> None:
    assert analyze(head[..., ::-1], detector=Fixed(), color="bgr") == answer
    bgra = np.dstack([head[..., ::-1], np.full(head.shape[:2], 255, np.uint8)])
    assert analyze(bgra, detector=Fixed(), color="bgr") == answer


@pytest.mark.parametrize("kind", [str, Path])
@pytest.mark.parametrize("orientation", [1, 6])
def test_a_file_is_read_upright(kind: type, orientation: int, head: ByteArray, answer: Faces, tmp_path: Path) -> None:
    back = {1: 1, 6: 8}[orientation]
    path = write_still(tmp_path / "ä photo.png", upright(head, back), orientation=orientation)
    assert analyze(kind(path), detector=Fixed()) == answer
    with Image.open(path) as image:
        assert analyze(image, detector=Fixed()) == answer


def test_the_picture_stays_as_it_was(head: ByteArray) -> None:
    picture = head.copy()
    analyze(picture, detector=Fixed())
    assert np.array_equal(picture, head)


def test_no_face_is_no_error() -> None:
    faces = analyze(NOWHERE)
    assert len(faces) == 0
    assert faces.probabilities.shape == (0, 7)
    assert faces.to_dicts() == []


# --- analyze_many


def test_many_equal_one_by_one(head: ByteArray, tmp_path: Path) -> None:
    two = np.hstack([head, head[:, ::-1]])
    images = [two, NOWHERE, write_still(tmp_path / "photo.png", head)]
    many = analyze_many(image for image in images)
    assert [len(faces) for faces in many] == [2, 0, 1]
    for image, faces in zip(images, many, strict=True):
        one = analyze(image)
        assert replace(faces, probabilities=one.probabilities, confidences=one.confidences) == one
        assert faces.probabilities == pytest.approx(one.probabilities, abs=1e-5)  # the net sums in another order


def test_many_may_be_none() -> None:
    assert analyze_many([]) == []


# --- stream


def tilted(head: ByteArray) -> list[ByteArray]:
    """Return frames: four with the head a little lower in each, two without."""
    moved = [np.roll(head, 2 * step, axis=0) for step in range(4)]
    return [*moved[:2], np.zeros_like(head), np.zeros_like(head), *moved[2:]]


def test_a_picture_is_a_stream_of_one_frame(head: ByteArray, answer: Faces, tmp_path: Path) -> None:
    path = write_still(tmp_path / "photo.png", head)
    (result,) = stream(path, detector=Fixed())
    assert (result.source, result.frame, result.time_s) == (str(path), 0, 0.0)
    assert result.faces == answer
    assert result.image is not None
    assert np.array_equal(result.image, head)


def test_a_video_keeps_every_frame_and_its_time(head: ByteArray, tmp_path: Path) -> None:
    times_ms = [0, 40, 80, 240, 280, 300]
    path = write_video(tmp_path / "clip.mkv", tilted(head), times_ms=times_ms)
    results = list(stream(str(path), detector=Bright()))
    assert [result.frame for result in results] == list(range(6))
    assert [result.time_s for result in results] == pytest.approx([ms / 1000 for ms in times_ms], abs=1e-6)
    assert [len(result.faces) for result in results] == [1, 1, 0, 0, 1, 1]
    assert [i for r in results if r.faces.track_ids is not None for i in r.faces.track_ids] == [1, 1, 1, 1]
    assert results[2].to_dicts()[0]["track_id"] is None
    assert all(result.faces.labels == load().card.labels for result in results)


def test_a_folder_is_file_after_file(head: ByteArray, tmp_path: Path) -> None:
    video = write_video(tmp_path / "a.mkv", tilted(head))
    (tmp_path / "b").mkdir()
    photo = write_still(tmp_path / "b" / "photo.png", head)
    again = write_video(tmp_path / "c.mkv", tilted(head)[:2])
    results = list(stream(tmp_path, detector=Bright()))
    assert [result.source for result in results] == [str(video)] * 6 + [str(photo)] + [str(again)] * 2
    assert [result.frame for result in results] == [*range(6), 0, 0, 1]
    assert results[6].faces.track_ids is None
    assert [result.faces.track_ids.tolist() for result in results[7:] if result.faces.track_ids is not None] == [
        [1]
    ] * 2


def test_a_tracker_that_is_given_forgets_between_films(head: ByteArray, tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_video(tmp_path / f"{name}.mkv", tilted(head)[:1])
    tracker = Same()
    list(stream(tmp_path, detector=Bright(), tracker=tracker))
    assert tracker.times_s == [-1.0, 0.0, -1.0, 0.0]


def test_pages_are_not_smoothed_into_each_other(head: ByteArray, tmp_path: Path) -> None:
    pages = [Image.fromarray(page) for page in (head, head[:, ::-1])]
    pages[0].save(tmp_path / "pages.tiff", save_all=True, append_images=pages[1:])
    results = list(stream(tmp_path / "pages.tiff", detector=Bright(), smoothing_s=100))
    assert [result.time_s for result in results] == [0, 1]
    assert results[1].faces == analyze(head[:, ::-1], detector=Bright())


def test_smoothing_is_by_half_life(head: ByteArray, tmp_path: Path) -> None:
    path = write_video(tmp_path / "clip.mkv", tilted(head)[:2], codec="ffv1", pixels="bgr0", rate=10)
    plain, smoothed = (list(stream(path, detector=Bright(), smoothing_s=half_life_s)) for half_life_s in (0, 0.1))
    expected = (plain[0].faces.probabilities + plain[1].faces.probabilities) / 2
    assert smoothed[1].faces.probabilities == pytest.approx(expected, abs=1e-5)
    assert not np.array_equal(plain[0].faces.probabilities, plain[1].faces.probabilities)


def test_what_came_before_a_break_is_kept(head: ByteArray, tmp_path: Path) -> None:
    path = cut(write_video(tmp_path / "clip.mkv", [head] * 12, codec="mjpeg", pixels="yuvj420p", rate=5), 0.7)
    read: list[int] = []
    with pytest.raises(MediaError, match="breaks off after"):
        read.extend(result.frame for result in stream(path, detector=Bright()))
    assert read == list(range(len(read)))
    assert 2 <= len(read) < 12


def test_a_url_is_given_up_in_time() -> None:
    with mute_server() as address, pytest.raises(MediaError, match=r"does not answer within 0.3 s"):
        next(stream(f"http://{address}/live", timeout_s=0.3))


# --- Pipeline


class Same:
    """A tracker that takes everybody for number 42."""

    def __init__(self) -> None:
        self.times_s: list[float] = []

    def update(self, faces: Faces, time_s: float) -> Faces:
        self.times_s.append(time_s)
        return replace(faces, track_ids=np.full(len(faces), 42, np.int64))

    def cut(self) -> None:
        self.times_s.append(-1.0)


def test_a_pipeline_of_names(head: ByteArray) -> None:
    pipeline = Pipeline(detector="auto", recognizer="default", tracker="default", smoothing_s=0.3)
    first, second = pipeline(head, 0.0), pipeline(Image.fromarray(head), 0.04, source="camera")
    assert (first.frame, first.time_s, first.source) == (0, 0.0, "")
    assert (second.frame, second.time_s, second.source) == (1, 0.04, "camera")
    assert first.faces.boxes_xyxy == pytest.approx(analyze(head).boxes_xyxy, abs=5)  # searched closer, at another scale
    assert first.faces.expressions == ("happy",)
    assert second.faces.track_ids is not None
    assert second.faces.track_ids.tolist() == [1]
    assert second.faces.probabilities == pytest.approx(first.faces.probabilities, abs=1e-6)


def test_a_pipeline_of_objects(head: ByteArray) -> None:
    detector, tracker, recognizer = Fixed(), Same(), load("fer2013")
    pipeline = Pipeline(detector=detector, recognizer=recognizer, tracker=tracker, smoothing_s=0)
    result = pipeline(head[..., 0], 0.5)
    assert np.array_equal(detector.seen[0], np.repeat(head[..., :1], 3, axis=2))
    assert result.faces.boxes_xyxy.tolist() == [list(FACE_XYXY)]
    assert result.to_dicts()[0]["track_id"] == 42
    assert tracker.times_s == [0.5]
    assert pipeline.recognizer is recognizer
    assert pipeline.detector is detector


def test_without_a_tracker_there_are_no_ids(head: ByteArray) -> None:
    pipeline = Pipeline(detector=Bright(), tracker=None)
    for step, picture in enumerate((head, head[:, ::-1])):
        assert pipeline(picture, step / 100).faces == analyze(picture, detector=Bright())


def test_a_model_by_object_and_path(head: ByteArray, answer: Faces) -> None:
    recognizer = load("default")
    for model in (recognizer, recognizer.model.path, str(recognizer.model.path)):
        assert analyze(head, detector=Fixed(), model=model) == answer


def test_a_detector_of_another_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, head: ByteArray) -> None:
    code = "class Far:\n    def detect(self, image_rgb):\n        return [[60, 40, 180, 200]], [0.5]\n"
    (tmp_path / "mien_far.py").write_text(code, "utf-8")
    (tmp_path / "mien_far-1.dist-info").mkdir()
    (tmp_path / "mien_far-1.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: mien-far\nVersion: 1\n")
    (tmp_path / "mien_far-1.dist-info" / "entry_points.txt").write_text("[mien.detectors]\nfar = mien_far:Far\n")
    monkeypatch.syspath_prepend(tmp_path)
    faces = analyze(head, detector="far")
    assert faces.boxes_xyxy.tolist() == [[60, 40, 180, 200]]
    assert len(faces.expressions) == 1


def test_a_net_that_was_replaced_is_read_again(tmp_path: Path, head: ByteArray) -> None:
    path = tmp_path / "net.onnx"
    names = ("default", "fer2013")
    expected = [analyze(head, detector="whole", model=name).probabilities for name in names]
    for name, probabilities in zip(names, expected, strict=True):
        path.write_bytes(load(name).model.path.read_bytes())
        assert np.array_equal(analyze(head, detector="whole", model=path).probabilities, probabilities)


# --- refusals


class Sure:
    """A detector whose score is its own."""

    def __init__(self, score: float) -> None:
        self.score = score

    def detect(self, _: ByteArray) -> tuple[FloatArray, FloatArray]:
        return np.array([[0, 0, 30, 30]], np.float32), np.array([self.score], np.float32)


def pil_image(*, keep: float = 1, closed: bool = False) -> Image.Image:
    """Return an image that PIL has opened and not decoded, of a file that is cut or closed."""
    content = io.BytesIO()
    Image.effect_noise((90, 90), 50).save(content, "PNG")
    image = Image.open(io.BytesIO(content.getvalue()[: round(keep * content.tell())]))
    if closed:
        image.close()
    return image


WRONG: dict[str, tuple[Callable[[], object], type[MienError], str]] = {
    "list": (lambda: analyze([[1, 2], [3, 4]]), OptionError, "picture is a list: expected a path, a PIL image"),
    "None": (lambda: analyze(None), OptionError, "picture is a NoneType"),
    "bytes": (lambda: analyze(b"photo.jpg"), OptionError, "picture is a bytes"),
    "floats": (lambda: analyze(np.zeros((9, 9, 3))), OptionError, "dtype float64"),
    "two channels": (lambda: analyze(np.zeros((9, 9, 2), np.uint8)), OptionError, r"shape \(9, 9, 2\)"),
    "a stack": (lambda: analyze(np.zeros((2, 9, 9, 3), np.uint8)), OptionError, "expected .H, W., "),
    "color": (lambda: analyze(NOWHERE, color="rbg"), OptionError, "color is 'rbg': expected 'rgb' or 'bgr'"),
    "missing": (lambda: analyze("missing.jpg"), MediaError, "missing.jpg: cannot be read"),
    "a path as many": (lambda: analyze_many("photo.jpg"), OptionError, "images is a str: expected several"),
    "a Path as many": (lambda: analyze_many(Path("a.jpg")), OptionError, "expected several pictures"),  # type: ignore[arg-type]
    "one of many": (lambda: analyze_many([NOWHERE, 3]), OptionError, "picture is a int"),
    "detector": (lambda: analyze(NOWHERE, detector="face"), OptionError, "unknown detector 'face'"),
    "detector object": (lambda: analyze(NOWHERE, detector=3), OptionError, "detector is a int"),  # type: ignore[arg-type]
    "model": (lambda: analyze(NOWHERE, model="big"), ModelError, "no model 'big'"),
    "model object": (lambda: analyze(NOWHERE, model=3), OptionError, "model is a int"),  # type: ignore[arg-type]
    "tracker": (lambda: Pipeline(tracker="sort"), OptionError, "no tracker 'sort'"),
    "smoothing": (lambda: Pipeline(smoothing_s=-1), OptionError, "smoothing_s is -1"),
    "frame": (lambda: Pipeline()([1, 2], 0.0), OptionError, "picture is a list"),
    "no time": (lambda: Pipeline()(NOWHERE, None), OptionError, "time_s is None: expected"),  # type: ignore[arg-type]
    "a word as time": (lambda: Pipeline()(NOWHERE, "x"), OptionError, "time_s is 'x'"),  # type: ignore[arg-type]
    "NaN as time": (lambda: Pipeline()(NOWHERE, np.nan), OptionError, "time_s is nan"),
    "endless time": (lambda: Pipeline()(NOWHERE, np.inf), OptionError, "time_s is inf"),
    "empty": (lambda: analyze(""), OptionError, "picture is an empty string"),
    "empty source": (lambda: next(stream("")), OptionError, "source is an empty string"),
    "cut PIL image": (lambda: analyze(pil_image(keep=0.5)), MediaError, "PIL image cannot be read"),
    "closed PIL image": (lambda: analyze(pil_image(closed=True)), MediaError, "PIL image cannot be read"),
    "score": (lambda: analyze(NOWHERE, detector=Sure(99)), OptionError, "Faces.scores holds 99.0: expected"),
    "source": (lambda: next(stream(NOWHERE)), OptionError, "source is a ndarray"),  # type: ignore[arg-type]
    "no source": (lambda: next(stream("missing.mp4")), MediaError, "missing.mp4: cannot be read"),
    "stream's detector": (lambda: next(stream("a.mp4", detector="face")), OptionError, "unknown detector"),
    "explain": (lambda: explain(3, Faces.empty()), OptionError, "picture is a int"),
    "explain's color": (lambda: explain(NOWHERE, Faces.empty(), color="rbg"), OptionError, "color is 'rbg'"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_said_in_one_line(case: str) -> None:
    call, kind, match = WRONG[case]
    with pytest.raises(kind, match=match) as error:
        call()
    assert "\n" not in str(error.value)


# --- silence


@pytest.fixture
def damaged(tmp_path: Path) -> Path:
    """Return a video whose middle is overwritten, of which the library logs a warning."""
    path = write_video(tmp_path / "damaged.avi", shades(12), codec="mjpeg", pixels="yuvj420p")
    content = bytearray(path.read_bytes())
    middle = content.index(b"00dc", len(content) // 2)
    content[middle + 8 : middle + 400] = bytes(392)
    path.write_bytes(content)
    return path


def test_the_library_logs_and_never_prints(
    damaged: Path, head: ByteArray, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "mien"):
        results = list(stream(damaged, detector="whole"))
    explain(head, analyze(head, detector="haar"))
    assert 9 <= len(results) < 12
    assert [record.name for record in caplog.records] == ["mien"]
    assert "damaged" in caplog.records[0].getMessage()
    assert logging.getLogger("mien").handlers == []
    assert capfd.readouterr() == ("", "")
