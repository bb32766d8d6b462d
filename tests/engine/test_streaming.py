"""Streams: read ahead, closed at once, with true frame numbers; live ones drop what there is no time for."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from crossings import crossings as crossings_of
from crossings import crossings_kept, cut_frames, rendered
from media import shades, write_video

from mien import FrameResult, Pipeline, stream, watch
from mien.core.errors import MediaError, OptionError
from mien.core.types import ByteArray, Faces, FloatArray
from mien.engine import pipeline as pipeline_module
from mien.engine.video import Frame


class Slow:
    """A detector that finds nobody, and takes its time."""

    def __init__(self, pause_s: float = 0.0) -> None:
        self._pause_s = pause_s

    def detect(self, _: ByteArray) -> tuple[FloatArray, FloatArray]:
        time.sleep(self._pause_s)
        return np.empty((0, 4), np.float32), np.empty(0, np.float32)


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return write_video(tmp_path / "clip.mp4", shades(50))


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("mien")]


@pytest.fixture
def live(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have `frames` give those of a camera that delivers 100 a second for a second."""

    def frames(*_: object, **__: object) -> Iterator[Frame]:
        for index in range(100):
            time.sleep(0.01)
            yield Frame(index, index / 100, np.zeros((48, 64, 3), np.uint8), is_live=True)

    monkeypatch.setattr(pipeline_module, "frames", frames)


# --- frames


def test_a_file_is_read_whole_however_slow_the_analysis_is(clip: Path) -> None:
    results = list(stream(clip, detector=Slow(0.01)))
    assert [result.frame for result in results] == list(range(50))
    assert threads() == []


@pytest.mark.usefixtures("live")
def test_a_camera_is_never_queued_and_what_is_dropped_is_told(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "mien"):
        results = list(stream("camera:0", detector=Slow(0.05)))
    numbers = [result.frame for result in results]
    assert numbers == sorted(set(numbers))
    assert len(numbers) < 40
    assert results[-1].frame == 99
    assert f"camera:0: {100 - len(numbers)} frames were left out to keep up" in caplog.text


@pytest.mark.usefixtures("live")
def test_what_was_dropped_is_told_also_when_a_stream_is_closed(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "mien"):
        results = stream("camera:0", detector=Slow(0.05))
        assert [next(results).frame for _ in range(4)] != [0, 1, 2, 3]
        results.close()
    assert "frames were left out to keep up" in caplog.text


def test_a_part_of_a_video_keeps_its_numbers_and_times(clip: Path) -> None:
    results = list(stream(clip, detector=Slow(), start_s=0.4, end_s=1.2, every_s=0.2))
    assert [(result.frame, result.time_s) for result in results] == [(10, 0.4), (15, 0.6), (20, 0.8), (25, 1.0)]
    with pytest.raises(OptionError, match="end_s"):
        list(stream(clip, detector=Slow(), start_s=1.0, end_s=0.5))


def test_a_pipeline_counts_frames_or_takes_their_numbers() -> None:
    pipeline, black = Pipeline(detector=Slow(), recognizer="paper"), np.zeros((48, 64, 3), np.uint8)
    assert [pipeline(black, n / 25).frame for n in range(2)] == [0, 1]
    assert pipeline(black, 1.0, frame=40).frame == 40
    assert pipeline(black, 1.1).frame == 41


def test_a_password_in_a_url_is_shown_nowhere() -> None:
    with pytest.raises(MediaError, match=r"rtsp://127\.0\.0\.1:9/door") as told:
        list(stream("rtsp://admin:secret@127.0.0.1:9/door", detector=Slow(), timeout_s=2.0))
    assert "secret" not in str(told.value)


# --- the end


def test_a_function_that_raises_ends_the_stream_within_two_seconds(clip: Path) -> None:
    seen: list[int] = []

    def broken(result: FrameResult) -> None:
        seen.append(result.frame)
        if result.frame == 3:
            raise ZeroDivisionError

    began_s = time.monotonic()
    with pytest.raises(ZeroDivisionError):
        watch(clip, broken, detector=Slow())
    assert time.monotonic() - began_s < 2.0
    assert seen == [0, 1, 2, 3]
    assert threads() == []


@pytest.mark.usefixtures("live")
def test_the_same_of_a_camera() -> None:
    def broken(_: FrameResult) -> None:
        raise ZeroDivisionError

    began_s = time.monotonic()
    with pytest.raises(ZeroDivisionError):
        watch("camera:0", broken, detector=Slow())
    assert time.monotonic() - began_s < 2.0
    assert threads() == []


def test_watching_tells_how_many_frames_there_were(clip: Path, tmp_path: Path) -> None:
    seen: list[FrameResult] = []
    assert watch(clip, seen.append, detector=Slow()) == len(seen) == 50
    with pytest.raises(MediaError, match="missing"):
        watch(tmp_path / "missing.mp4", seen.append)


# --- people


def ids(faces: Faces) -> set[int]:
    return set() if faces.track_ids is None else set(faces.track_ids.tolist())


def test_a_cut_starts_new_ids_and_nothing_of_the_old_scene_is_left() -> None:
    pipeline = Pipeline(recognizer="paper", smoothing_s=5.0)
    frames = [frame for number, frame in enumerate(cut_frames()) if number % 5 == 0]
    results = [pipeline(frame.image, frame.truth.time_s) for frame in frames]
    first = next(number for number, frame in enumerate(frames) if set(frame.truth.people) == {2, 3})
    assert ids(results[first - 1].faces) == {1, 2}
    assert ids(results[first].faces) == {3, 4}
    alone = Pipeline(recognizer="paper")(frames[first].image, 0.0)
    assert np.array_equal(results[first].faces.probabilities, alone.faces.probabilities)


def test_ids_stay_through_a_crossing_read_by_a_pipeline() -> None:
    truths = crossings_of()[:60]
    pipeline = Pipeline(recognizer="paper")
    answers = [pipeline(frame.image, frame.truth.time_s).faces for frame in rendered(truths)]
    assert crossings_kept(truths, answers) == 1
    assert set().union(*map(ids, answers)) == {1, 2}


def test_frames_that_change_their_size_are_another_scene(astronaut: ByteArray) -> None:
    pipeline = Pipeline(recognizer="paper")
    first, second = pipeline(astronaut, 0.0), pipeline(np.ascontiguousarray(astronaut[:400]), 0.04)
    assert (ids(first.faces), ids(second.faces)) == ({1}, {2})
