"""Videos, URLs, cameras, folders: true times, upright pixels, nothing lost where a file breaks off."""

from __future__ import annotations

import contextlib
import functools
import http.server
import itertools
import os
import socket
import tempfile
import threading
import time
import wave
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from media import (
    cut,
    difference,
    mute_server,
    portrait,
    read_until_broken,
    shades,
    turn_by_metadata,
    upright,
    write_still,
    write_video,
)

from mien.core.errors import MediaError
from mien.core.types import ByteArray
from mien.engine.video import Source, expand, frames, probe, read_picture
from mien.engine.video.camera import captured

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


# --- URLs


@pytest.mark.parametrize("scheme", ["http", "rtsp"])
def test_a_url_that_never_answers_is_given_up(scheme: str, capfd: pytest.CaptureFixture[str]) -> None:
    with mute_server() as address:
        started = time.monotonic()
        with pytest.raises(MediaError, match=r"does not answer within 0.4 s") as error:
            list(frames(f"{scheme}://{address}/stream", timeout_s=0.4))
    assert time.monotonic() - started < 2
    assert "\n" not in str(error.value)
    assert capfd.readouterr() == ("", "")


def test_a_url_that_refuses_is_told(capfd: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = "{}:{}".format(*server.getsockname())
    with pytest.raises(MediaError, match="cannot be opened"):
        list(frames(f"http://{address}/clip.mp4", timeout_s=1))
    assert capfd.readouterr() == ("", "")


def test_an_unknown_scheme_is_told() -> None:
    with pytest.raises(MediaError, match="gopher is not offered: expected one of http"):
        list(frames("gopher://example.org/clip.mp4"))


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the base's
        pass


@contextlib.contextmanager
def file_server(folder: Path) -> Iterator[str]:
    handler = functools.partial(_Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield "http://{}:{}".format(*server.server_address)
        server.shutdown()


def test_a_url_is_read_as_the_file(tmp_path: Path) -> None:
    path = write_video(tmp_path / "clip.mp4", shades(10), container_options=FAST_START)
    write_still(tmp_path / "turned.jpg", portrait(), orientation=6, quality=95)
    with file_server(tmp_path) as address:
        assert probe(f"{address}/clip.mp4") == Source(f"{address}/clip.mp4", "url")
        assert [frame.time_s for frame in frames(f"{address}/clip.mp4")] == times_s(path)
        (still,) = frames(f"{address}/turned.jpg")
    assert difference(still.image, upright(portrait(), 6)) < 4


# --- cameras


class FakeCamera:
    """A camera that delivers these pictures (BGR) and then stops."""

    def __init__(self, pictures: Sequence[ByteArray]) -> None:
        self._pictures = iter(pictures)
        self.is_released = False

    def read(self) -> tuple[bool, ByteArray | None]:
        picture = next(self._pictures, None)
        return picture is not None, picture

    def release(self) -> None:
        self.is_released = True


def test_a_camera_is_timed_by_the_clock_and_released() -> None:
    camera = FakeCamera([portrait()[..., ::-1]] * 3)
    clock = iter([100.0, 100.25, 101.0])
    stream = captured(camera, "camera:0", clock=lambda: next(clock))
    read = list(itertools.islice(stream, 3))
    assert [(frame.index, frame.time_s) for frame in read] == [(0, 0.0), (1, 0.25), (2, 1.0)]
    np.testing.assert_array_equal(read[0].image, portrait())
    with pytest.raises(MediaError, match="camera:0: stopped after 3 frames"):
        next(stream)
    assert camera.is_released


def test_a_camera_is_released_when_the_reader_stops() -> None:
    camera = FakeCamera([portrait()] * 3)
    stream = captured(camera, "camera:0")
    next(stream)
    del stream
    assert camera.is_released


@pytest.mark.parametrize(("name", "match"), [("camera:97", "cannot be opened"), ("camera:front", "expected camera:0")])
def test_a_camera_that_is_not_there_is_told(name: str, match: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert probe(name).kind == "camera"
    with pytest.raises(MediaError, match=match):
        next(iter(frames(name)))
    assert capfd.readouterr() == ("", "")


# --- folders


def test_a_folder_is_its_media_in_order(tmp_path: Path) -> None:
    for name in ("b.JPG", "a/z.png", "a/deep/y.tiff", ".hidden/x.png", ".x.png", "no suffix"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        suffix = Path(name).suffix.lower() or ".png"
        write_still(tmp_path / f"made{suffix}", portrait(8, 8)).rename(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no media", encoding="utf-8")
    (tmp_path / "broken.mp4").write_bytes(b"")
    (tmp_path / "empty").write_bytes(b"")
    names = [Path(name).relative_to(tmp_path).as_posix() for name in expand(tmp_path)]
    assert names == ["a/deep/y.tiff", "a/z.png", "b.JPG", "broken.mp4", "no suffix"]


def test_what_is_no_folder_stands_for_itself() -> None:
    for source in ("camera:0", "rtsp://host/stream", "missing.jpg"):
        assert expand(source) == [source]


def test_a_folder_without_media_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no media", encoding="utf-8")
    with pytest.raises(MediaError, match="folder without pictures or videos"):
        expand(tmp_path)
    for read in (probe, lambda folder: list(frames(folder))):
        with pytest.raises(MediaError, match="is a folder"):
            read(tmp_path)


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
