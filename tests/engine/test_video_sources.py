"""URLs, cameras and folders."""

from __future__ import annotations

import contextlib
import functools
import http.server
import itertools
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from media import difference, mute_server, portrait, shades, upright, write_still, write_video

from mien.core.errors import MediaError
from mien.core.types import ByteArray
from mien.engine.video import Source, expand, frames, probe
from mien.engine.video.camera import captured
from mien.engine.video.sources import without_secrets

FAST_START = {"movflags": "faststart"}


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


def test_a_picture_url_is_read_and_refused_as_the_file_is(tmp_path: Path) -> None:
    whole = write_still(tmp_path / "whole.png", portrait())
    cut = write_still(tmp_path / "cut.jpg", portrait(), quality=95)
    cut.write_bytes(cut.read_bytes()[:-2000])
    (tmp_path / "text.jpg").write_text("no picture")
    with file_server(tmp_path) as server:
        assert probe(f"{server}/whole.png?size=1") == Source(f"{server}/whole.png?size=1", "picture", 0.0, 1)
        (frame,) = frames(f"{server}/whole.png?size=1")
        np.testing.assert_array_equal(frame.image, next(frames(whole)).image)
        for name, reason in (("cut.jpg", "truncated"), ("text.jpg", "holds no picture"), ("none.jpg", "answers 404")):
            with pytest.raises(MediaError, match=reason) as error:
                list(frames(f"{server}/{name}"))
            assert str(error.value).startswith(f"{server}/{name}: ")
    with mute_server() as address, pytest.raises(MediaError, match=r"does not answer within 0.4 s"):
        list(frames(f"http://{address}/photo.jpg", timeout_s=0.4))
    with pytest.raises(MediaError, match="cannot be reached"):
        list(frames(f"http://{address}/photo.jpg", timeout_s=1))


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
        assert [frame.time_s for frame in frames(f"{address}/clip.mp4")] == [frame.time_s for frame in frames(path)]
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


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("https://host/a.mp4?X-Amz-Algorithm=A&X-Amz-Signature=9f#t=3", "https://host/a.mp4#t=3"),
        ("https://host/a.mp4?sig=1&id=2", "https://host/a.mp4?id=2"),
        ("https://host/a.mp4?id=2&Signature=1%2B", "https://host/a.mp4?id=2"),
        ("https://host/a.mp4?design=3&keyframe=1", "https://host/a.mp4?design=3&keyframe=1"),
        ("rtsp://door:secret@host/1?password=secret", "rtsp://host/1"),
        ("404, url='https://host/a.mp4?token=3'", "404, url='https://host/a.mp4'"),
        ("holiday?token=3.mp4", "holiday?token=3.mp4"),
    ],
)
def test_what_signs_a_url_is_not_shown(name: str, shown: str) -> None:
    assert without_secrets(name) == shown
