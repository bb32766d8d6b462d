"""Bad clients, bounded, on loopback: they get what they deserve, and the others do not notice."""

from __future__ import annotations

import asyncio
import errno
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any
from unittest.mock import Mock

import pytest
from running_service import SOON_S, Running, asked, frame, plain, said, service_apart, wait_until
from websockets.exceptions import ConnectionClosed

from mien.app.server.connections import _Transport

LIMITS: dict[str, Any] = {
    "head_s": 1.0,
    "request_s": 3.0,
    "body_s": 1.0,
    "idle_s": 3.0,
    "send_s": 1.0,
    "connections": 20,
}
PATIENCE_S = 3.0  # far above the 20 ms of a free machine, far below what the faults last
HEAD = "POST /analyze HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
UPGRADE = (
    "GET /stream HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)


@pytest.fixture(scope="module")
def strict() -> Iterator[Running]:
    """Run a service that has little patience."""
    with service_apart(detector="whole", **LIMITS) as running:
        yield running


@contextmanager
def unnoticed(running: Running) -> Iterator[None]:
    """Let a good client work meanwhile: each of its frames must be answered, and soon."""
    is_over, has_begun = threading.Event(), threading.Event()
    delays_s, problems = list[float](), list[BaseException]()

    def work() -> None:
        try:
            with running.stream() as stream:
                said(stream)
                index = 0
                while not is_over.is_set() or index < 3:
                    start_s = time.monotonic()
                    answer = asked(stream, float(index), plain())
                    delays_s.append(time.monotonic() - start_s)
                    assert (answer["type"], answer["time_s"]) == ("result", index)
                    index += 1
                    has_begun.set()
                    time.sleep(0.02)
        except BaseException as error:  # raised in the thread of the test
            problems.append(error)
            has_begun.set()

    thread = threading.Thread(target=work)
    thread.start()
    assert has_begun.wait(SOON_S)
    try:
        yield
    finally:
        is_over.set()
        thread.join(SOON_S)
    if problems:
        raise problems[0]
    assert max(delays_s) < PATIENCE_S


def ends(connection: socket.socket) -> bytes:
    """Return what the service sends until it closes the connection."""
    received = b""
    try:
        while chunk := connection.recv(65536):
            received += chunk
    except ConnectionError:
        pass
    return received


def until_cut_off(connection: socket.socket, content: bytes, *, pause_s: float = 0.0) -> None:
    """Send over and over until the service has had enough."""
    end_s = time.monotonic() + SOON_S

    def send() -> None:
        while time.monotonic() < end_s:
            connection.sendall(content)
            time.sleep(pause_s)

    with pytest.raises(ConnectionError):
        send()


def masked(opcode: int, content: bytes = b"", *, is_last: bool = True) -> bytes:
    """Return a frame of WebSocket, as short as it can be."""
    assert len(content) < 126
    return bytes([opcode | (0x80 if is_last else 0), 0x80 | len(content)]) + bytes(4) + content


def upgraded(running: Running) -> socket.socket:
    """Return a connection that has become a stream, without a library that behaves."""
    connection = running.raw(UPGRADE.format(port=running.port).encode())
    received = b""
    while b"hello" not in received:
        received += connection.recv(65536)
    return connection


# --- slow ones


def test_a_connection_that_says_nothing_is_cut_off(strict: Running) -> None:
    with unnoticed(strict), strict.raw() as connection:
        assert ends(connection) == b""


def test_a_head_that_comes_byte_by_byte_is_cut_off(strict: Running) -> None:
    with unnoticed(strict), strict.raw(b"GET / HTTP/1.1\r\n") as connection:
        until_cut_off(connection, b"X-a: b\r\n", pause_s=0.05)


def test_a_second_head_on_the_same_connection_has_no_more_time(strict: Running) -> None:
    whole = f"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1:{strict.port}\r\n\r\n".encode()
    with unnoticed(strict), strict.raw(whole + b"GET / HT") as connection:
        received = ends(connection)
    assert received.count(b"HTTP/1.1 200") == 1


def test_more_silent_connections_than_allowed_push_out_the_oldest(strict: Running) -> None:
    with unnoticed(strict), ExitStack() as connections:
        silent = [connections.enter_context(strict.raw()) for _ in range(60)]
        assert strict.get("/healthz").status_code == 200
        assert ends(silent[0]) == b""


@pytest.mark.parametrize("length", ["Content-Length: 1000", "Transfer-Encoding: chunked"])
def test_a_body_that_does_not_come_is_answered_and_cut_off(strict: Running, length: str) -> None:
    head = HEAD.format(port=strict.port) + f"{length}\r\n\r\n"
    with unnoticed(strict), strict.raw(head.encode()) as connection:
        received = ends(connection)
    assert received.startswith(b"HTTP/1.1 408")
    assert b"too_slow" in received


def test_bodies_that_stop_in_the_middle_do_not_keep_others_out() -> None:
    with service_apart(detector="whole", pictures=2, picture_bytes=50_000, **LIMITS | {"body_s": 5.0}) as running:
        head = HEAD.format(port=running.port) + "Content-Length: 50000\r\n\r\n"
        with unnoticed(running), ExitStack() as connections:
            stopped = [connections.enter_context(running.raw(head.encode() + bytes(49_000))) for _ in range(2)]
            time.sleep(0.1)
            assert running.post(plain()).status_code == 200
            assert running.post(plain() + bytes(40_000)).status_code == 200
            assert ends(stopped[0]).startswith(b"HTTP/1.1 408")


def test_a_stream_that_sends_its_frame_byte_by_byte_is_idle(strict: Running) -> None:
    with unnoticed(strict), upgraded(strict) as connection:
        connection.sendall(b"\x82\xfe\x03\xe8" + bytes(4))
        until_cut_off(connection, b"x", pause_s=0.05)


# --- those that do not read


def test_a_stream_that_never_reads_is_given_up(strict: Running) -> None:
    with unnoticed(strict):
        with strict.raw() as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.sendall(UPGRADE.format(port=strict.port).encode())
            connection.settimeout(SOON_S)
            until_cut_off(connection, masked(2, bytes(9)) * 10, pause_s=0.02)
        wait_until(lambda: strict.get("/healthz").json()["clients"] <= 1)


def test_an_answer_that_is_never_taken_is_given_up() -> None:
    limits = LIMITS | {"request_s": 1.0}
    with service_apart(detector="whole", **limits) as running, unnoticed(running), running.raw() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        until_cut_off(connection, f"GET /openapi.json HTTP/1.1\r\nHost: 127.0.0.1:{running.port}\r\n\r\n".encode())


# --- floods and garbage


@pytest.mark.parametrize(
    "flood",
    [
        masked(9),
        masked(10),
        masked(1, b"{}"),
        masked(2, bytes(9)),
        masked(2, is_last=False) + masked(0, is_last=False) * 50,
    ],
    ids=["pings", "pongs", "texts", "binaries", "pings between fragments"],
)
def test_a_flood_of_the_smallest_messages_ends_the_stream(strict: Running, flood: bytes) -> None:
    with unnoticed(strict), upgraded(strict) as connection:
        reader = threading.Thread(target=ends, args=(connection,))
        reader.start()
        until_cut_off(connection, flood * 200)
        reader.join(SOON_S)
        assert not reader.is_alive()


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x00" * 1000,
        b"hello\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"A" * 200_000,
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"POST /analyze HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\nzzz\r\n",
    ],
    ids=["zeros", "text", "version", "endless", "hosts", "chunks"],
)
def test_what_is_no_request_is_refused(strict: Running, garbage: bytes) -> None:
    with unnoticed(strict), strict.raw(garbage) as connection:
        received = ends(connection)
    assert b"200 OK" not in received
    assert b"Traceback" not in received


@pytest.mark.parametrize(
    "frame_of_websocket", [b"\x83\x80\0\0\0\0", b"\x82\x01x", b"\x81\x81\0\0\0\0\xff", b"\xf2\x80\0\0\0\0"]
)
def test_what_is_no_websocket_ends_the_stream(strict: Running, frame_of_websocket: bytes) -> None:
    with unnoticed(strict), upgraded(strict) as connection:
        connection.sendall(frame_of_websocket)
        assert struct.unpack(">H", ends(connection)[2:4])[0] in (1002, 1007)


def test_garbage_frames_and_bombs_are_answered_and_nobody_notices(strict: Running) -> None:
    bomb = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + struct.pack(">II", 30_000, 30_000) + b"\x08\0\0\0\0" + bytes(4)
    with unnoticed(strict), strict.stream() as stream:
        said(stream)
        codes = [asked(stream, 0.0, content)["code"] for content in (b"x" * 1000, bomb, plain()[:200]) * 5]
    assert set(codes) <= {"bad_frame", "too_many_pixels"}


def test_a_flood_of_the_smallest_chunks_is_cut_off(strict: Running) -> None:
    head = HEAD.format(port=strict.port) + "Transfer-Encoding: chunked\r\n\r\n"
    with unnoticed(strict), strict.raw(head.encode()) as connection:
        until_cut_off(connection, b"1\r\nx\r\n" * 2000)


def test_a_client_that_sends_as_fast_as_it_can_does_not_slow_others() -> None:
    with (
        service_apart(detector="whole", clients=4) as running,
        unnoticed(running),
        running.stream(close_timeout=0.5) as stream,
    ):
        message = frame(0.0, plain(1280, 960))
        start_s = time.monotonic()
        with suppress(ConnectionClosed):
            while time.monotonic() - start_s < 3:
                stream.send(message)


def test_a_stream_that_breaks_off_in_the_middle_frees_its_place(strict: Running) -> None:
    with unnoticed(strict):
        for _ in range(10):
            connection = upgraded(strict)
            connection.sendall(b"\x82\xfe\x03\xe8" + bytes(4) + b"x" * 100)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.close()
        wait_until(lambda: strict.get("/healthz").json()["clients"] <= 1)


def test_a_stream_that_talks_before_it_is_open_is_cut_off(strict: Running) -> None:
    with unnoticed(strict), strict.raw(UPGRADE.format(port=strict.port).encode() + masked(9) * 2000) as connection:
        assert b"hello" not in ends(connection)


def test_a_head_that_only_http_takes_is_cut_off(strict: Running) -> None:
    head = UPGRADE.format(port=strict.port).replace("\r\n\r\n", "\r\n" + "X-a: b\r\n" * 200 + "\r\n")
    with unnoticed(strict), strict.raw(head.encode()) as connection:
        assert b"101" not in ends(connection)


def test_a_connection_that_the_client_has_ended_is_let_go() -> None:
    transport = Mock(spec=asyncio.Transport)
    transport.is_closing.return_value = False
    transport.write_eof.side_effect = OSError(errno.ENOTCONN, "not connected")
    ended = _Transport(transport, Mock(spec=asyncio.AbstractEventLoop))
    ended.close()
    transport.abort.assert_called_once_with()
