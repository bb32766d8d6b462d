"""Cameras and live URLs that break off, stall, come back or stay away."""

from __future__ import annotations

import errno
import http.server
import itertools
import math
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import rtsp_server
from hypothesis import given
from hypothesis import strategies as st
from media import portrait, shades, write_video
from test_video_sources import FakeCamera, file_server

from mien.core.errors import MediaError
from mien.engine.video import Frame, frames
from mien.engine.video.camera import camera_frames, why_closed
from mien.engine.video.live import Course, growing_waits, retried

COUNT = 250
"""Frames of the stream that is sent: libav studies the first seconds of a stream before it gives the first frame."""

PATIENCE_S = 30.0


def check_course(read: Sequence[Frame]) -> None:
    assert [frame.index for frame in read] == list(range(len(read)))
    assert all(later.time_s > earlier.time_s for earlier, later in itertools.pairwise(read))
    assert all(frame.is_live for frame in read)


def until_gone(stream: Iterable[Frame]) -> tuple[list[Frame], str]:
    read: list[Frame] = []
    with pytest.raises(MediaError) as error:
        read.extend(stream)
    assert "\n" not in str(error.value)
    return read, str(error.value)


def until(is_so: Callable[[], bool], stream: Iterable[Frame]) -> Iterator[Frame]:
    end_s = time.monotonic() + PATIENCE_S
    for frame in stream:
        yield frame
        assert time.monotonic() < end_s
        if is_so():
            return


def wait_until(is_so: Callable[[], bool]) -> None:
    end_s = time.monotonic() + PATIENCE_S
    while not is_so():
        assert time.monotonic() < end_s
        time.sleep(0.01)


# --- the course of a source over its connections


@given(
    connections=st.lists(
        st.tuples(st.floats(0, 9), st.lists(st.floats(0.01, 1), min_size=1, max_size=5)), min_size=1, max_size=5
    )
)
def test_numbers_go_on_and_times_go_on_by_the_clock(connections: list[tuple[float, list[float]]]) -> None:
    now_s = 100.0
    course = Course("camera:0", clock=lambda: now_s)
    placed = []
    for delay_s, gaps_s in connections:
        now_s += 1 + delay_s
        own_s = delay_s  # a stream need not start at 0
        for index, gap_s in enumerate(gaps_s):
            placed.append((course.place(index, own_s), now_s))
            now_s, own_s = now_s + gap_s, own_s + gap_s
        course.lose()
    (_, first_s), first_now_s = placed[0]
    for count, ((index, time_s), at_s) in enumerate(placed):
        assert index == count
        assert time_s - first_s == pytest.approx(at_s - first_now_s)


def test_waits_grow_up_to_15_seconds() -> None:
    assert list(itertools.islice(growing_waits(math.inf), 7)) == [1, 2, 4, 8, 15, 15, 15]
    assert list(growing_waits(0)) == []


def test_what_is_refused_at_the_start_is_not_tried_again() -> None:
    tries = []

    def connect(course: Course) -> Iterator[int]:
        course.is_live = True
        tries.append(course)
        raise MediaError("camera:0: is not there")
        yield 0

    with pytest.raises(MediaError, match="is not there"):
        next(retried("camera:0", connect, reconnect_s=60, closed=threading.Event()))
    assert len(tries) == 1


# --- cameras


class Hurried(threading.Event):
    """Notes the waits instead of waiting."""

    def __init__(self) -> None:
        super().__init__()
        self.waits_s: list[float | None] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.waits_s.append(timeout)
        return False


def camera(counts: Sequence[int | None], closed: threading.Event, reconnect_s: float) -> Generator[Frame, None, None]:
    """Return the frames of a camera that gives so many at each opening and then stops; None where it does not open."""
    opened: list[FakeCamera] = []
    left = iter(counts)

    def open_camera(number: int) -> FakeCamera | None:
        assert number == 7
        assert all(device.is_released for device in opened)
        count = next(left)
        if count is None:
            return None
        opened.append(FakeCamera([portrait(6, 4)] * count))
        return opened[-1]

    def connect(course: Course) -> Iterator[Frame]:
        return camera_frames("camera:7", course, open_camera=open_camera)

    return retried("camera:7", connect, reconnect_s=reconnect_s, closed=closed)


def test_a_camera_that_comes_back_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    closed = Hurried()
    stream = camera([3, None, 0, 2, 1, None], closed, 60)
    read = list(itertools.islice(stream, 6))
    check_course(read)
    assert closed.waits_s == [1, 2, 4, 1]
    assert [message.removeprefix("camera:7: ").split(":")[0] for message in caplog.messages] == [
        "stopped after 3 frames",
        "cannot be opened",
        "stopped after 0 frames",
        "is back after 0.0 s",
        "stopped after 2 frames",
        "is back after 0.0 s",
    ]


def test_a_camera_that_stays_away_is_given_up(caplog: pytest.LogCaptureFixture) -> None:
    read, message = until_gone(camera([3, None, None], threading.Event(), 0.2))
    assert len(read) == 3
    assert message.startswith("camera:7: is gone since ")
    assert "after 3 frames, and was not back within 0.2 s: cannot be opened" in message
    assert len(caplog.messages) == 1


def test_a_camera_is_not_tried_again_where_nobody_wants_that(caplog: pytest.LogCaptureFixture) -> None:
    read, message = until_gone(camera([3], threading.Event(), 0))
    assert len(read) == 3
    assert "stopped after 3 frames" in message
    assert caplog.messages == []


def linux(root: Path, names: dict[int, tuple[str, str]]) -> Path:
    """Make the files by which Linux tells its cameras: number -> name and index."""
    for number, (name, index) in names.items():
        about = root / f"sys/class/video4linux/video{number}"
        about.mkdir(parents=True)
        (about / "name").write_text(f"{name}\n")
        (about / "index").write_text(f"{index}\n")
        (root / "dev").mkdir(exist_ok=True)
        (root / f"dev/video{number}").touch()
    return root


def test_a_camera_that_is_missing_says_which_there_are(tmp_path: Path) -> None:
    names = {10: ("Capture Card", "0"), 0: ("Integrated Webcam", "0"), 1: ("Integrated Webcam", "1")}
    reason = why_closed(3, root=linux(tmp_path, names))
    assert reason.startswith("cannot be opened: there are camera:0 (Integrated Webcam), camera:10 (Capture Card); ")
    assert "no camera was found" in why_closed(3, root=tmp_path / "empty")
    assert "gives no picture" in why_closed(0, root=tmp_path)


@pytest.mark.parametrize(("code", "match"), [(errno.EBUSY, "in use elsewhere"), (errno.EACCES, "may not be opened")])
def test_a_camera_that_is_busy_or_forbidden_says_so(tmp_path: Path, code: int, match: str) -> None:
    def refuse(path: Path, flags: int) -> int:
        raise OSError(code, os.strerror(code), str(path))

    assert match in why_closed(0, root=tmp_path, open_device=refuse)


# --- streams over HTTP


class Feed(http.server.BaseHTTPRequestHandler):
    """Sends a stream without saying how long it is, and then falls silent or ends, as the server's script says."""

    server: FeedServer

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(self.server.content)
        self.wfile.flush()
        if next(self.server.script, "silent") == "silent":
            self.server.is_over.wait(20)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the base's
        pass


class FeedServer(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, content: bytes, script: Iterable[str]) -> None:
        super().__init__(("127.0.0.1", 0), Feed)
        self.content, self.script, self.is_over = content, iter(script), threading.Event()

    def handle_error(self, request: object, client_address: object) -> None:
        """The reader has gone: nothing to tell."""


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("live") / "clip.ts"
    return write_video(path, shades(COUNT), codec="mpeg2video").read_bytes()


@contextmanager
def feed(content: bytes, script: Iterable[str]) -> Iterator[tuple[str, FeedServer]]:
    with FeedServer(content, script) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield "http://{}:{}/camera".format(*server.server_address), server
        finally:
            server.is_over.set()
            server.shutdown()


def test_a_stream_that_stalls_or_ends_is_tried_again(clip: bytes, caplog: pytest.LogCaptureFixture) -> None:
    with feed(clip, ["silent", "ends"]) as (url, server):
        stream = frames(url, timeout_s=1, reconnect_s=1.5)
        read = list(itertools.islice(stream, COUNT + 10))
        server.shutdown()
        server.server_close()
        rest, message = until_gone(stream)
    check_course([*read, *rest])
    count = len(read) + len(rest)
    assert 2 * COUNT - 5 < count <= 2 * COUNT  # libav keeps the last of what has no end
    gap_s = max(later.time_s - earlier.time_s for earlier, later in itertools.pairwise(read))
    assert 2 < gap_s < 10  # the time-out and the first wait
    stalled, back, ended, refused = caplog.messages
    assert "does not answer within 1 s after" in stalled
    assert stalled.endswith("; trying again in 1 s")
    assert back.endswith(f"is back after {gap_s:.1f} s")
    assert "breaks off after" in ended
    assert "cannot be opened (Connection refused)" in refused
    assert f"after {count} frames, and was not back within 1.5 s: cannot be opened" in message


def test_a_stream_that_waits_may_be_closed_at_once(clip: bytes, caplog: pytest.LogCaptureFixture) -> None:
    read: list[Frame] = []
    with feed(clip, ["ends"] * 9) as (url, _):
        stream = frames(url, timeout_s=1, reconnect_s=60)
        thread = threading.Thread(target=lambda: read.extend(stream))
        thread.start()
        wait_until(lambda: len(caplog.messages) == 1)
        started = time.monotonic()
        stream.close()
        thread.join(5)
    assert time.monotonic() - started < 0.9
    assert not thread.is_alive()
    assert len(read) > COUNT - 5
    assert next(stream, None) is None
    assert len(caplog.messages) == 1


@pytest.mark.parametrize(
    ("name", "is_live"), [("clip.ts", False), ("clip.mkv", False), ("over.m3u8", False), ("now.m3u8", True)]
)
def test_only_what_has_neither_length_nor_size_is_live(
    tmp_path: Path, clip: bytes, name: str, *, is_live: bool
) -> None:
    (tmp_path / "clip.ts").write_bytes(clip)
    playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:{COUNT // 25}\n#EXTINF:{COUNT / 25},\nclip.ts\n"
    (tmp_path / "now.m3u8").write_text(playlist)
    (tmp_path / "over.m3u8").write_text(playlist + "#EXT-X-ENDLIST\n")
    write_video(tmp_path / "clip.mkv", shades(COUNT), container_options={"live": "1"})  # states no length
    with file_server(tmp_path) as server, closing(frames(f"{server}/{name}", timeout_s=1)) as stream:
        read = list(itertools.islice(stream, 1 if is_live else None))
    assert read[0].is_live == is_live
    assert is_live or len(read) == COUNT


# --- RTSP


class Server:
    """A real RTSP server, a process of its own."""

    def __init__(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._port = free.getsockname()[1]
        self.url = f"rtsp://127.0.0.1:{self._port}/camera"
        self.start()

    def start(self) -> None:
        command = ["/usr/bin/python3", rtsp_server.__file__, str(self._port)]
        try:
            self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        except FileNotFoundError:
            pytest.skip(rtsp_server.NEEDED)
        assert self._process.stdout is not None
        if self._process.stdout.readline() != "ready\n":
            _, reason = self._process.communicate()
            if reason.startswith(rtsp_server.NEEDED):
                pytest.skip(reason.strip())
            pytest.fail(reason)

    def tell(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def end(self) -> None:
        self._process.kill()
        self._process.communicate()


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.end()


def test_a_server_that_is_killed_and_started_again_goes_on(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    with closing(frames(server.url, timeout_s=5, reconnect_s=30)) as stream:
        read = list(itertools.islice(stream, 10))
        assert read[0].image.shape == (120, 160, 3)
        server.end()
        server.start()
        read.extend(until(lambda: "is back after" in caplog.text, stream))
        read.extend(itertools.islice(stream, 10))
    check_course(read)
    broken, back = caplog.messages
    assert "breaks off after" in broken
    assert broken.endswith("; trying again in 1 s")
    assert "is back after" in back
    assert max(later.time_s - earlier.time_s for earlier, later in itertools.pairwise(read)) > 1


def test_a_server_that_stays_away_is_given_up(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    stream = frames(server.url, timeout_s=5, reconnect_s=1.5)
    read = list(itertools.islice(stream, 10))
    server.end()
    started = time.monotonic()
    rest, message = until_gone(stream)
    assert 1.5 <= time.monotonic() - started < 8
    check_course([*read, *rest])
    assert len(caplog.messages) == 2
    assert f"after {len(read) + len(rest)} frames, and was not back within 1.5 s: cannot be opened" in message


def test_a_server_that_falls_silent_is_left_after_the_time_out(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    def wake() -> None:
        wait_until(lambda: len(caplog.messages) > 0)
        server.tell(signal.SIGCONT)

    with closing(frames(server.url, timeout_s=1.5, reconnect_s=30)) as stream:
        read = list(itertools.islice(stream, 10))
        server.tell(signal.SIGSTOP)
        stopped_s = time.time()
        waker = threading.Thread(target=wake)
        waker.start()
        read.extend(until(lambda: "is back after" in caplog.text, stream))
        read.extend(itertools.islice(stream, 10))
        waker.join()
    check_course(read)
    assert "does not answer within 1.5 s after" in caplog.messages[0]
    assert 1.4 < caplog.records[0].created - stopped_s < 2.9  # libav itself would take the time twice
    assert "is back after" in caplog.messages[-1]


def test_a_server_that_stays_silent_is_given_up(server: Server) -> None:
    stream = frames(server.url, timeout_s=1.5, reconnect_s=0.5)
    read = list(itertools.islice(stream, 10))
    server.tell(signal.SIGSTOP)
    started = time.monotonic()
    rest, message = until_gone(stream)
    assert 3.4 < time.monotonic() - started < 8  # the time-out, the wait, and the time-out of the last try
    check_course([*read, *rest])
    assert "was not back within 0.5 s: does not answer within 1.5 s" in message
