"""Sound in annotated videos, parts that become one, and faces that are not shown."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import numpy.typing as npt
import pytest
from av.video.stream import VideoStream
from media import cut, difference, shades, write_video

from mien.core.errors import MediaError, MienError, OptionError, OutputError
from mien.core.labels import EXPRESSIONS
from mien.core.types import ByteArray, Faces, FrameResult
from mien.engine.drawing import draw
from mien.engine.results import AnnotatedVideo, Writer, join_videos, open_annotation
from mien.engine.video import frames

BEEP_S, BEEP_LENGTH_S = 1.0, 0.2
STEADY = tuple(index / 25 for index in range(60))
UNEVEN = (0, 0.02, 0.07, 0.15, 0.17, 0.3, 0.65, 0.7, 0.95, 0.967, 1, 1.02, 1.1, 1.2, 1.234, 1.5, 1.9, 2.1, 2.15, 2.3)


def write_talk(
    path: Path,
    times_s: Sequence[float] = UNEVEN,
    *,
    codec: str = "aac",
    rate: int = 48_000,
    layout: str = "mono",
    languages: Sequence[str] = ("eng",),
    beep_s: float = BEEP_S,
    begin_s: float = 0.0,
) -> Path:
    """Write a clip that is black and silent but for white pictures and a beep at the same time.

    Parameters
    ----------
    begin_s : float
        What the stamps call the start, as in recordings of a broadcast.
    """
    length_s = times_s[-1] + 0.1
    unit = Fraction(1, 25 if path.suffix == ".avi" else 1000)
    with av.open(path, "w") as container:
        pictures = container.add_stream("mpeg4", rate=25)
        assert isinstance(pictures, VideoStream)
        pictures.width, pictures.height, pictures.pix_fmt = 64, 48, "yuv420p"
        pictures.codec_context.time_base = unit
        for language in languages:
            sound = container.add_stream(codec, rate=rate, layout=layout)
            sound.metadata.update(language=language)
        container.start_encoding()
        at_s = np.arange(int(length_s * rate)) / rate
        is_on = (at_s >= beep_s) & (at_s < beep_s + BEEP_LENGTH_S)
        wave = (16_000 * np.sin(2 * np.pi * 1000 * at_s) * is_on).astype(np.int16)
        for sound in container.streams.audio:
            for start in range(0, len(wave), 1024):
                samples = np.repeat(wave[start : start + 1024], sound.channels)[None]
                piece = av.AudioFrame.from_ndarray(samples, format="s16", layout=layout)
                piece.sample_rate, piece.time_base = rate, Fraction(1, rate)
                piece.pts = start + round(begin_s * rate)
                container.mux(sound.encode(piece))
            container.mux(sound.encode(None))
        for time_s in times_s:
            value = 255 if beep_s <= time_s < beep_s + BEEP_LENGTH_S else 0
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), value, np.uint8), format="rgb24")
            frame.pts, frame.time_base = round((time_s + begin_s) / unit), unit
            container.mux(pictures.encode(frame))
        container.mux(pictures.encode(None))
    return path


def results_of(source: Path, start_s: float = 0.0, end_s: float = 1e9) -> list[FrameResult]:
    read = [frame for frame in frames(source) if start_s <= frame.time_s < end_s]
    return [FrameResult(str(source), frame.index, frame.time_s, frame.image, Faces.empty()) for frame in read]


def annotate(path: Path, results: Sequence[FrameResult], **options: Any) -> Path:
    with AnnotatedVideo(path, **options) as video:
        for result in results:
            video.write(result)
    return path


def hearing(path: Path, track: int = 0) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the time of each sample of a sound track in seconds, and its height in [-1, 1]."""
    times, heights = [], []
    with av.open(path) as container:
        for frame in container.decode(audio=track):
            assert frame.time is not None
            samples = frame.to_ndarray().astype(np.float64)
            channels = samples if frame.format.is_planar else samples.reshape(-1, frame.layout.nb_channels).T
            heights.append(channels[0] / (32_768 if frame.format.bytes == 2 else 1))
            times.append(frame.time + np.arange(len(heights[-1])) / frame.sample_rate)
    return np.concatenate(times), np.concatenate(heights)


def beep_of(path: Path, track: int = 0) -> float:
    """Return when the sound of a video first is loud, in seconds."""
    times, heights = hearing(path, track)
    return float(times[np.abs(heights) > 0.1][0])


def seeing(path: Path) -> tuple[list[float], list[ByteArray]]:
    with av.open(path) as container:
        read = [(float(frame.time or 0), frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)]
    return [time_s for time_s, _ in read], [np.asarray(picture, np.uint8) for _, picture in read]


def flash_of(path: Path) -> float:
    """Return the time of the first white picture of a video, in seconds."""
    return next(time_s for time_s, picture in zip(*seeing(path), strict=True) if picture.mean() > 128)


def sound_tracks(path: Path) -> list[tuple[str, int, int]]:
    """Return codec, rate and channels of each sound track of a video."""
    with av.open(path) as container:
        tracks = container.streams.audio
        return [(track.codec_context.codec.canonical_name, track.sample_rate, track.channels) for track in tracks]


def sound_bytes(path: Path) -> list[bytes]:
    with av.open(path) as container:
        return [bytes(packet) for packet in container.demux(audio=0) if packet.size]


def files_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# ----------------------------------------------------------------------------------------------------------- sound


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize(
    ("source", "options", "in_mp4", "in_mkv"),
    [
        ("a.mp4", {}, "aac", "aac"),
        ("a.mkv", {}, "aac", "aac"),
        ("a.ts", {}, "aac", "aac"),
        ("a.ts", {"begin_s": 5.0}, "aac", "aac"),
        ("a.mkv", {"begin_s": 5.0, "codec": "flac"}, "aac", "flac"),
        ("a.mp4", {"rate": 22_050}, "aac", "aac"),
        ("a.mkv", {"rate": 22_050, "layout": "stereo"}, "aac", "aac"),
        ("a.mkv", {"codec": "libopus"}, "opus", "opus"),
        ("a.mkv", {"codec": "flac"}, "aac", "flac"),
        ("a.mkv", {"codec": "pcm_s16le", "rate": 22_050}, "aac", "pcm_s16le"),
        ("a.avi", {"codec": "pcm_s16le", "layout": "stereo", "times_s": STEADY}, "aac", "pcm_s16le"),
    ],
    ids=[
        "mp4",
        "mkv",
        "ts",
        "late ts",
        "late mkv",
        "mp4 22 kHz",
        "mkv 22 kHz stereo",
        "opus",
        "flac",
        "mkv pcm 22 kHz",
        "avi pcm stereo",
    ],
)
def test_a_video_has_the_sound_of_its_source_in_time(
    tmp_path: Path, source: str, options: dict[str, Any], in_mp4: str, in_mkv: str, suffix: str
) -> None:
    results = results_of(write_talk(tmp_path / source, **options))
    video = annotate(tmp_path / f"out{suffix}", results)
    channels = 2 if "layout" in options else 1
    assert sound_tracks(video) == [(in_mp4 if suffix == ".mp4" else in_mkv, options.get("rate", 48_000), channels)]
    times = [result.time_s for result in results]
    assert seeing(video)[0] == pytest.approx(times, abs=1 / 90_000 if suffix == ".mp4" else 0.0006)
    assert flash_of(video) == pytest.approx(BEEP_S, abs=0.05)  # a transport stream counts from where its sound begins
    assert beep_of(video) == pytest.approx(flash_of(video), abs=0.002)
    heard, _ = hearing(video)
    assert heard[0] < 0.1  # whole packets are copied, of FLAC 96 ms
    shown_s = min(times[-1] - times[-2], 0.1)  # as long as the picture before, and the source has 0.1 s of sound
    assert heard[-1] == pytest.approx(times[-1] + shown_s, abs=0.06)
    assert files_in(tmp_path) == sorted([source, video.name])


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize("source", ["a.mp4", "a.mkv", "a.avi"])
def test_a_range_starts_at_0_with_its_own_sound(tmp_path: Path, source: str, suffix: str) -> None:
    codec = "pcm_s16le" if source == "a.avi" else "aac"
    talk = write_talk(tmp_path / source, [index / 25 for index in range(240)], codec=codec, beep_s=8.0)
    results = results_of(talk, 7.5, 9.1)
    video = annotate(tmp_path / f"out{suffix}", results, start_s=7.5)
    assert seeing(video)[0][0] == pytest.approx(results[0].time_s - 7.5, abs=0.001)
    assert seeing(video)[0][0] < 0.04
    assert flash_of(video) == pytest.approx(0.5, abs=0.001)
    assert beep_of(video) == pytest.approx(0.5, abs=0.002)
    heard, heights = hearing(video)
    assert heard[0] < 0.06
    assert heard[-1] == pytest.approx(1.6, abs=0.06)
    assert (np.abs(heights) > 0.1).sum() == pytest.approx(BEEP_LENGTH_S * 48_000, rel=0.2)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_the_last_picture_is_shown_and_heard_as_long_as_the_one_before(tmp_path: Path, suffix: str) -> None:
    results = results_of(write_talk(tmp_path / "a.mp4", STEADY))
    video = annotate(tmp_path / f"out{suffix}", results[:40:13])
    assert seeing(video)[0][-1] == pytest.approx(1.56, abs=0.001)
    assert hearing(video)[0][-1] == pytest.approx(1.56 + 0.52, abs=0.03)


@pytest.mark.parametrize("codec", ["aac", "flac"])
def test_without_a_start_a_range_keeps_the_times_of_its_source(tmp_path: Path, codec: str) -> None:
    results = results_of(write_talk(tmp_path / "a.mkv", codec=codec), 0.9)
    video = annotate(tmp_path / "out.mp4", results)
    assert seeing(video)[0] == pytest.approx([result.time_s for result in results], abs=1 / 90_000)
    assert beep_of(video) == pytest.approx(BEEP_S, abs=0.002)
    assert 0.92 <= hearing(video)[0][0] < 0.98  # an encoder begins a packet early


@pytest.mark.parametrize("source", ["a.mkv", "a.mp4"])
def test_a_range_does_not_read_what_lies_long_before_it(
    tmp_path: Path, source: str, caplog: pytest.LogCaptureFixture
) -> None:
    times_s = [index / 25 for index in range(240)]
    talk = write_talk(tmp_path / source, times_s, codec="flac", beep_s=8.0)
    results = results_of(talk, 7.5, 9.1)
    damage(talk, slice(0, 5))
    with caplog.at_level(logging.WARNING, "mien"):
        video = annotate(tmp_path / "out.mp4", results, start_s=7.5)
    assert beep_of(video) == pytest.approx(0.5, abs=0.002)
    assert caplog.records == []


def test_sound_that_players_take_is_copied_and_not_encoded_again(tmp_path: Path) -> None:
    talk = write_talk(tmp_path / "a.mp4")
    video = annotate(tmp_path / "out.mp4", results_of(talk))
    # The first packet only fills the decoder and lies before the pictures.
    packets = sound_bytes(talk)[1:]
    written = sound_bytes(video)
    assert written == packets[: len(written)]
    assert len(packets) - len(written) <= 5


def test_opus_becomes_aac_in_mov_whose_players_do_not_know_it(tmp_path: Path) -> None:
    video = annotate(tmp_path / "out.mov", results_of(write_talk(tmp_path / "a.mkv", codec="libopus")))
    assert sound_tracks(video) == [("aac", 48_000, 1)]
    assert beep_of(video) == pytest.approx(flash_of(video), abs=0.002)


@pytest.mark.parametrize("codec", ["aac", "flac"])
def test_all_sound_tracks_come_with_their_languages(tmp_path: Path, codec: str) -> None:
    talk = write_talk(tmp_path / "a.mkv", codec=codec, languages=("ger", "eng"))
    video = annotate(tmp_path / "out.mp4", results_of(talk))
    with av.open(video) as container:
        assert [track.language for track in container.streams.audio] == ["ger", "eng"]
    assert [beep_of(video, track) for track in (0, 1)] == pytest.approx([BEEP_S] * 2, abs=0.002)


@pytest.mark.parametrize("source", ["a.mkv", "camera:0", "http://127.0.0.1:9/live.mp4", "missing.mp4"])
def test_what_has_no_sound_stays_without(
    tmp_path: Path, source: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_video(tmp_path / "a.mkv", shades(3))
    results = [FrameResult(source, index, index / 25, shades(3)[index], Faces.empty()) for index in range(3)]
    assert sound_tracks(annotate(tmp_path / "out.mp4", results)) == []
    assert caplog.records == []


def test_sound_can_be_left_out(tmp_path: Path) -> None:
    results = results_of(write_talk(tmp_path / "a.mp4"))
    assert sound_tracks(annotate(tmp_path / "out.mp4", results, sound=False)) == []


def test_a_run_that_breaks_off_has_the_sound_up_to_there(tmp_path: Path) -> None:
    results = [result for result in results_of(write_talk(tmp_path / "a.mp4")) if result.time_s < 1.15]

    def break_off(video: Writer) -> None:
        with video:
            for result in results:
                video.write(result)
            raise MienError

    with pytest.raises(MienError):
        break_off(AnnotatedVideo(tmp_path / "out.mp4"))
    assert len(seeing(tmp_path / "out.mp4")[0]) == len(results)
    assert beep_of(tmp_path / "out.mp4") == pytest.approx(BEEP_S, abs=0.002)
    assert hearing(tmp_path / "out.mp4")[0][-1] == pytest.approx(1.18, abs=0.03)


# --- sound that is damaged


def damage(path: Path, packets: slice) -> Path:
    """Overwrite what these packets of the sound hold."""
    content = bytearray(path.read_bytes())
    with av.open(path) as container:
        for packet in [packet for packet in container.demux(audio=0) if packet.size][packets]:
            assert packet.pos is not None
            start = content.index(bytes(packet), packet.pos)
            content[start : start + packet.size] = bytes(packet.size)
    path.write_bytes(content)
    return path


def test_damaged_sound_is_left_out_and_what_follows_keeps_its_time(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    talk = write_talk(tmp_path / "a.mkv", codec="flac")
    results = results_of(talk)
    damage(talk, slice(2, 5))
    with caplog.at_level(logging.WARNING, "mien"):
        video = annotate(tmp_path / "out.mp4", results)
    assert "damaged parts of its sound were left out" in caplog.text
    heard, _ = hearing(video)
    assert np.diff(heard).max() < 2 / 48_000  # silence instead of a gap, over which players stumble
    assert seeing(video)[0] == pytest.approx([result.time_s for result in results], abs=1 / 90_000)
    assert beep_of(video) == pytest.approx(BEEP_S, abs=0.002)


@pytest.mark.parametrize("share", [0.0, 0.2, 0.5, 0.9])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_source_that_was_cut_since_costs_no_picture(
    tmp_path: Path, share: float, suffix: str, caplog: pytest.LogCaptureFixture
) -> None:
    talk = write_talk(tmp_path / "a.mkv", codec="flac")
    results = results_of(talk)
    cut(talk, share)
    with caplog.at_level(logging.WARNING, "mien"):
        video = annotate(tmp_path / f"out{suffix}", results)
    assert len(seeing(video)[0]) == len(results)
    assert share or f"{talk}: its sound is left out" in caplog.text


def test_a_packet_that_is_cut_short_is_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    talk = write_talk(tmp_path / "a.avi", STEADY, codec="pcm_s16le")
    results = results_of(talk)
    whole = sound_bytes(talk)
    cut(talk, 0.5)
    with caplog.at_level(logging.WARNING, "mien"):
        written = sound_bytes(annotate(tmp_path / "out.mkv", results))
    assert "a.avi: 1 damaged parts of its sound were left out" in caplog.text
    assert written == whole[: len(written)]
    assert len(written) > 10


def test_stamps_that_are_set_back_cost_no_picture(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    once = write_talk(tmp_path / "once.ts", STEADY).read_bytes()
    (tmp_path / "twice.ts").write_bytes(once + once)
    results = results_of(tmp_path / "twice.ts")
    assert results[-1].time_s > 4.7
    with caplog.at_level(logging.WARNING, "mien"):
        video = annotate(tmp_path / "out.mp4", results)
    assert len(seeing(video)[0]) == len(results)
    assert beep_of(video) == pytest.approx(flash_of(video), abs=0.002)
    assert "damaged parts of its sound were left out" in caplog.text


@contextmanager
def room_of(size: int) -> Iterator[None]:
    """Let no file grow beyond a size in bytes."""
    resource = pytest.importorskip("resource", reason="only POSIX limits the size of files")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_disk_without_room_for_the_sound_costs_no_picture(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    talk = write_talk(tmp_path / "a.mkv", codec="pcm_s16le")
    results = results_of(talk)
    silent = annotate(tmp_path / "silent.mkv", results, sound=False)
    size = silent.stat().st_size + 50_000
    with caplog.at_level(logging.WARNING, "mien"), room_of(size):
        annotate(tmp_path / "out.mkv", results)
        join_videos([silent], tmp_path / "joined.mkv", sound=str(talk))
    for name in ("out.mkv", "joined.mkv"):
        assert f"{name}: is without sound" in caplog.text
        assert len(seeing(tmp_path / name)[0]) == len(results)
    with room_of(1000), pytest.raises(OutputError, match=r"full\.mkv: cannot be written"):
        join_videos([silent], tmp_path / "full.mkv")
    assert files_in(tmp_path) == ["a.mkv", "joined.mkv", "out.mkv", "silent.mkv"]


# ------------------------------------------------------------------------------------------------------------ join


def write_parts(
    folder: Path, results: Sequence[FrameResult], count: int, *, suffix: str = ".mp4", **options: Any
) -> list[Path]:
    bounds = np.linspace(0, len(results), count + 1).round().astype(int)
    return [
        annotate(folder / f"part{index}{suffix}", results[start:end], sound=False, **options)
        for index, (start, end) in enumerate(pairwise(bounds))
    ]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize("start_s", [0.0, 0.05])
def test_joined_parts_have_the_frames_of_the_parts_and_the_sound_of_the_source(
    tmp_path: Path, suffix: str, start_s: float
) -> None:
    talk = write_talk(tmp_path / "a.mp4", STEADY)
    results = results_of(talk, start_s)
    parts = write_parts(tmp_path, results, 4, suffix=suffix, start_s=start_s)
    join_videos(parts, tmp_path / f"out{suffix}", sound=str(talk), start_s=start_s)
    times, pictures = seeing(tmp_path / f"out{suffix}")
    expected = [seeing(part) for part in parts]
    assert times == pytest.approx([time_s for part, _ in expected for time_s in part], abs=1e-6)
    assert times == pytest.approx([result.time_s - start_s for result in results], abs=0.0006)
    assert np.array_equal(pictures, [picture for _, part in expected for picture in part])
    assert beep_of(tmp_path / f"out{suffix}") == pytest.approx(BEEP_S - start_s, abs=0.002)
    assert flash_of(tmp_path / f"out{suffix}") == pytest.approx(BEEP_S - start_s, abs=0.001)


def test_a_part_that_starts_at_any_time_keeps_it_to_the_tick(tmp_path: Path) -> None:
    results = [FrameResult("a", 0, 1 / 3 + index / 30, shades(3)[index], Faces.empty()) for index in range(3)]
    parts = write_parts(tmp_path, results, 3)
    join_videos(parts, tmp_path / "out.mp4")
    assert seeing(tmp_path / "out.mp4")[0] == pytest.approx([1 / 3, 11 / 30, 0.4], abs=1 / 90_000)
    assert sound_tracks(tmp_path / "out.mp4") == []


def test_stamps_advance_where_parts_overlap(tmp_path: Path) -> None:
    results = [FrameResult("a", 0, time_s, shades(1)[0], Faces.empty()) for time_s in (0.0, 0.5, 0.5, 0.6)]
    join_videos(write_parts(tmp_path, results, 2), tmp_path / "out.mp4")
    assert seeing(tmp_path / "out.mp4")[0] == pytest.approx([0, 0.5, 0.5 + 1 / 90_000, 0.6], abs=2e-6)


def test_parts_of_frames_that_change_size_join_when_they_are_given_one(tmp_path: Path) -> None:
    results = [
        FrameResult("a", index, index / 25, np.full((*size, 3), 200, np.uint8), Faces.empty())
        for index, size in enumerate([(48, 63), (96, 128)])
    ]
    with pytest.raises(OptionError, match=r"part1\.mp4: differs in size or coding from .*part0\.mp4"):
        join_videos(write_parts(tmp_path, results, 2), tmp_path / "out.mp4")
    assert not (tmp_path / "out.mp4").exists()
    join_videos(write_parts(tmp_path, results, 2, size=(63, 48)), tmp_path / "out.mp4")
    assert [picture.shape for picture in seeing(tmp_path / "out.mp4")[1]] == [(48, 64, 3)] * 2


def test_what_cannot_be_joined_leaves_the_older_file(tmp_path: Path) -> None:
    (part,) = write_parts(tmp_path, [FrameResult("a", 0, 0.0, shades(1)[0], Faces.empty())], 1)
    (tmp_path / "out.mp4").write_text("older")
    (tmp_path / "text.mp4").write_text("no video")
    with pytest.raises(OptionError, match="no parts"):
        join_videos([], tmp_path / "out.mp4")
    for missing in ("missing.mp4", "text.mp4"):
        for parts in ([tmp_path / missing, part], [part, tmp_path / missing, part]):
            with pytest.raises(MediaError, match=rf"{missing}: cannot be read .*expected an annotated video"):
                join_videos(parts, tmp_path / "out.mp4")
    assert (tmp_path / "out.mp4").read_text() == "older"
    with pytest.raises(OptionError, match=r"unknown kind of video '\.xyz'"):
        join_videos([part], tmp_path / "out.xyz")
    (tmp_path / "folder.mp4").mkdir()
    with pytest.raises(OutputError, match="no plain file"):
        join_videos([part], tmp_path / "folder.mp4")
    assert files_in(tmp_path) == ["folder.mp4", "out.mp4", "part0.mp4", "text.mp4"]


# ------------------------------------------------------------------------------------------------------------ blur


def detail(picture: ByteArray) -> float:
    """Return the variance of the Laplacian of the astronaut's face."""
    gray = cv2.cvtColor(np.ascontiguousarray(picture[70:170, 185:260]), cv2.COLOR_RGB2GRAY)
    return float(cv2.Laplacian(gray, cv2.CV_64F).var())


@pytest.mark.parametrize(("name", "frame_count"), [("out.png", 1), ("out.mp4", 2), ("out", 1), ("out", 2)])
def test_every_annotation_can_hide_the_faces(tmp_path: Path, astronaut: ByteArray, name: str, frame_count: int) -> None:
    faces = Faces.detected([[178, 63, 270, 173]], [1]).recognized([np.eye(7)[3]], EXPRESSIONS)
    with open_annotation(tmp_path / name, ["a.jpg"], bars=False, blur=True) as writer:
        for index in range(frame_count):
            writer.write(FrameResult("a.jpg", index, index / 25, astronaut, faces))
    path = next((tmp_path / name).iterdir()) if name == "out" else tmp_path / name
    shown = next(frames(path)).image
    assert detail(shown) < 0.03 * detail(astronaut)
    assert difference(shown, draw(astronaut, faces, bars=False, blur=True)) < 5


def test_a_folder_and_a_video_start_where_their_range_does(tmp_path: Path) -> None:
    results = results_of(write_talk(tmp_path / "a.mp4", STEADY), 0.6)
    for name in ("out", "out.mp4"):
        with open_annotation(tmp_path / name, [tmp_path / "a.mp4"], start_s=0.6) as writer:
            for result in results:
                writer.write(result)
    for path in (tmp_path / "out.mp4", tmp_path / "out" / "a.annotated.mp4"):
        assert seeing(path)[0][0] == pytest.approx(0, abs=0.001)
        assert beep_of(path) == pytest.approx(0.4, abs=0.002)
