"""Videos: true times, upright pixels, nothing lost where a file breaks off."""

from __future__ import annotations

import contextlib
import gc
import itertools
import os
import tempfile
import wave
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from media import (
    cut,
    difference,
    portrait,
    read_until_broken,
    shades,
    turn_by_metadata,
    upright,
    write_still,
    write_video,
)

from mien.core.errors import MediaError
from mien.engine.video import Source, frames, probe, read_picture

FAST_START = {"movflags": "faststart"}


def times_s(path: Path) -> list[float]:
    return [frame.time_s for frame in frames(path)]


def next_descriptor() -> int:
    """Return the lowest free file descriptor; it rises where one has leaked."""
    with Path(os.devnull).open("rb") as file:
        return file.fileno()


# --- times


@settings(max_examples=15)
@given(
    gaps_ms=st.lists(st.integers(1, 3000), min_size=0, max_size=12),
    suffix=st.sampled_from([".mp4", ".mov", ".mkv", ".nut"]),
)
def test_the_times_of_a_variable_rate_come_back_exactly(gaps_ms: list[int], suffix: str) -> None:
    stamps_ms = [0, *itertools.accumulate(gaps_ms)]
    with tempfile.TemporaryDirectory() as folder:
        path = write_video(Path(folder, f"clip{suffix}"), shades(len(stamps_ms)), times_ms=stamps_ms)
        assert times_s(path) == [stamp / 1000 for stamp in stamps_ms]


@settings(max_examples=10)
@given(
    rate=st.sampled_from([Fraction(24), Fraction(30000, 1001), Fraction(50), Fraction(15)]), count=st.integers(1, 20)
)
def test_a_constant_rate_gives_index_over_rate(rate: Fraction, count: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = write_video(Path(folder, "clip.mp4"), shades(count), rate=rate)
        assert times_s(path) == [float(index / rate) for index in range(count)]
        assert probe(path).frame_count == count


@pytest.mark.parametrize(
    ("name", "codec"),
    [("b.avi", "mpeg4"), ("b.mkv", "mpeg4"), ("b.ts", "mpeg4"), ("b.mpg", "mpeg2video"), ("b.m4v", "mpeg4")],
)
def test_frames_that_are_stored_out_of_order_have_their_times(tmp_path: Path, name: str, codec: str) -> None:
    pictures = shades(20)
    path = write_video(tmp_path / name, pictures, codec=codec, codec_options={"bf": "2"})
    read = list(frames(path))
    assert [frame.time_s for frame in read] == pytest.approx([index / 25 for index in range(20)])
    for frame, picture in zip(read, pictures, strict=True):
        assert difference(frame.image, picture) < 5


def test_time_counts_from_the_start_of_the_sound(tmp_path: Path) -> None:
    path = write_video(tmp_path / "late.mov", shades(3), times_ms=[500, 600, 900], sound_s=1.0)
    assert times_s(path) == [0.5, 0.6, 0.9]


def test_time_counts_from_the_first_picture_where_there_is_no_sound(tmp_path: Path) -> None:
    path = write_video(tmp_path / "late.mkv", shades(3), times_ms=[500, 600, 900])
    assert times_s(path) == [0.0, 0.1, 0.4]


def test_time_advances_across_joined_recordings(tmp_path: Path) -> None:
    path = write_video(tmp_path / "joined.ts", shades(50))
    path.write_bytes(path.read_bytes() * 2)
    read = times_s(path)
    assert all(later > earlier for earlier, later in itertools.pairwise(read))
    assert read[-1] == pytest.approx(99 / 25, abs=0.1)


# --- pixels


@pytest.mark.parametrize("orientation", range(1, 9))
def test_turning_by_metadata_equals_turning_the_pixels(tmp_path: Path, orientation: int) -> None:
    path = write_video(tmp_path / "clip.mp4", [portrait()] * 2)
    plain = [frame.image for frame in frames(path)]
    turned = list(frames(turn_by_metadata(path, orientation)))
    for frame, picture in zip(turned, plain, strict=True):
        np.testing.assert_array_equal(frame.image, upright(picture, orientation))
        assert frame.image.flags.c_contiguous


def test_pixels_are_made_square(tmp_path: Path) -> None:
    path = write_video(tmp_path / "wide.mp4", [portrait(96, 64)], aspect=Fraction(3, 2))
    (frame,) = frames(path)
    assert frame.image.shape == (96, 96, 3)
    assert difference(frame.image, np.asarray(cv2.resize(portrait(96, 64), (96, 96)), np.uint8)) < 8


@pytest.mark.parametrize(
    ("name", "codec", "pixels", "is_gray"),
    [
        ("gray.mkv", "ffv1", "gray", True),
        ("gray10.mkv", "ffv1", "gray10le", True),
        ("gray16.mkv", "ffv1", "gray16le", True),
        ("ten.mkv", "ffv1", "yuv444p10le", False),
        ("alpha.mkv", "ffv1", "yuva444p", False),
        ("argb.mov", "qtrle", "argb", False),
        ("rgb.avi", "rawvideo", "bgr24", False),
        ("full.mkv", "ffv1", "bgr0", False),
    ],
)
def test_every_kind_of_pixel_becomes_rgb(tmp_path: Path, name: str, codec: str, pixels: str, *, is_gray: bool) -> None:
    (frame,) = frames(write_video(tmp_path / name, [portrait()], codec=codec, pixels=pixels))
    gray = np.asarray(cv2.cvtColor(portrait(), cv2.COLOR_RGB2GRAY), np.uint8)[..., None].repeat(3, axis=2)
    assert difference(frame.image, gray if is_gray else portrait()) < 3
    assert frame.image.dtype == np.uint8


# --- files that break off


@settings(max_examples=15)
@given(share=st.floats(0.25, 0.85))
def test_a_cut_video_gives_what_came_before_and_then_says_so(share: float) -> None:
    pictures = [np.roll(portrait(), 5 * index, axis=1) for index in range(20)]
    with tempfile.TemporaryDirectory() as folder:
        path = write_video(
            Path(folder, "cut.mov"), pictures, codec="mjpeg", pixels="yuvj420p", container_options=FAST_START
        )
        whole = list(frames(path))
        read, message = read_until_broken(cut(path, share))
    assert f"breaks off after {len(read)} frames" in message
    assert 0 < len(read) < len(whole)
    for frame, expected in zip(read, whole[: len(read)], strict=True):
        assert frame.time_s == expected.time_s
        np.testing.assert_array_equal(frame.image, expected.image)


@pytest.mark.parametrize("name", ["cut.mkv", "cut.avi", "cut.flv"])
def test_containers_that_are_cut_say_so(tmp_path: Path, name: str) -> None:
    pictures = [np.roll(portrait(), 5 * index, axis=1) for index in range(50)]
    codec = "flv" if name.endswith("flv") else "mpeg4"
    read, message = read_until_broken(cut(write_video(tmp_path / name, pictures, codec=codec), 0.6))
    assert f"breaks off after {len(read)} frames" in message
    assert 10 < len(read) < 40


def test_a_video_cut_before_its_index_is_refused(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = cut(write_video(tmp_path / "cut.mp4", shades(20)), 0.6)
    read, message = read_until_broken(path)
    assert read == []
    assert "breaks off before its index" in message
    assert capfd.readouterr() == ("", "")


def test_damage_in_the_middle_is_left_out_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    path = write_video(tmp_path / "clip.avi", [portrait()] * 20, codec="mjpeg", pixels="yuvj420p")
    first, *others = path.read_bytes().split(b"\xff\xd8\xff")
    others[9] = bytes(len(others[9]) - 16) + others[9][-16:]  # the end is the head of the next chunk
    path.write_bytes(b"\xff\xd8\xff".join([first, *others]))
    read = times_s(path)
    assert len(read) == 19
    assert read[-1] == 19 / 25
    assert "1 damaged parts were left out" in caplog.text
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("name", "match"),
    [("no.avi", "has no frame"), ("no.mkv", "holds no picture"), ("no.mp4", "is an MP4 without pictures")],
)
def test_a_video_without_frames_is_refused(tmp_path: Path, name: str, match: str) -> None:
    read, message = read_until_broken(write_video(tmp_path / name, []))
    assert read == []
    assert match in message


def test_sound_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "sound.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(bytes(8000))
    read, message = read_until_broken(path)
    assert read == []
    assert "holds no picture" in message


# --- opening and closing


@pytest.mark.parametrize("name", ["-x.mp4", "a:b.mp4", "%03d.mp4", "ü ☺ x.mp4", "a#b?c.mp4", "no suffix", "clip.jpg"])
def test_odd_names_are_read(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    written = write_video(tmp_path / "plain.mp4", [portrait()])
    try:
        written.rename(name)
    except OSError:
        pytest.skip(f"this system has no files named {name}")
    assert probe(name).kind == "video"
    assert len(list(frames(name))) == 1


def test_files_are_closed_whatever_the_reader_does(tmp_path: Path) -> None:
    whole = write_video(tmp_path / "whole.mp4", shades(20), container_options=FAST_START)
    broken = cut(write_video(tmp_path / "broken.mp4", shades(20), container_options=FAST_START), 0.8)
    before = next_descriptor()
    for _ in range(17):
        list(frames(whole))
        with contextlib.suppress(MediaError):
            list(frames(broken))
        with contextlib.suppress(ZeroDivisionError), contextlib.closing(frames(whole)) as stream:
            next(stream)
            raise ZeroDivisionError
    assert next_descriptor() == before
    whole.unlink()  # Windows refuses that while a file is open
    broken.unlink()


def test_frames_are_freed_as_they_go(tmp_path: Path) -> None:
    path = write_video(tmp_path / "clip.mp4", shades(20))
    gc.collect()
    before = frames_alive()  # of other tests
    gc.disable()  # what only the collector frees costs 190 MB at 720p
    try:
        list(frames(path))
        alive = frames_alive()
    finally:
        gc.enable()
    assert alive <= before + 1


def frames_alive() -> int:
    return sum(type(thing) is av.VideoFrame for thing in gc.get_objects())


def test_a_picture_is_a_stream_of_one_frame(tmp_path: Path) -> None:
    path = write_still(tmp_path / "still.png", portrait())
    (frame,) = frames(path)
    assert (frame.index, frame.time_s) == (0, 0.0)
    np.testing.assert_array_equal(frame.image, portrait())
    assert probe(path) == Source(str(path), "picture", 0.0, 1)


def test_a_video_is_no_picture(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="is a video"):
        read_picture(write_video(tmp_path / "clip.mp4", [portrait()]))


def test_probe_tells_length_and_count(tmp_path: Path) -> None:
    path = write_video(tmp_path / "clip.mkv", shades(50))
    source = probe(path)
    assert (source.kind, source.frame_count) == ("video", 50)
    assert source.length_s == pytest.approx(2.0)


# --- real media


@pytest.mark.data
def test_real_videos_are_read_whole(media_dir: Path) -> None:
    for path in sorted((media_dir / "videos").iterdir()):
        read = times_s(path)
        source = probe(path)
        assert len(read) == source.frame_count, path.name
        assert source.length_s is not None
        assert abs(read[-1] - source.length_s) < 0.1, path.name
        assert all(later > earlier for earlier, later in itertools.pairwise(read)), path.name


@pytest.mark.data
def test_a_turned_video_is_read_as_its_source(media_dir: Path) -> None:
    turned = frames(media_dir / "hard" / "rot90.mp4")
    plain = frames(media_dir / "videos" / "pyfeat__single_face.mp4")
    for frame, expected in zip(turned, plain, strict=True):
        assert frame.time_s == pytest.approx(expected.time_s, abs=0.001)
        assert difference(frame.image, expected.image) < 6
