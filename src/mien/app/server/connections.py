"""The connections under HTTP and WebSocket: uvicorn's, with what it leaves to a proxy.

uvicorn waits for ever for the head of a request and for who takes none of an answer, parses at once all that has come
while everybody else waits, and closes a stream before what it said last was read.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from mien.app.server.limits import Bucket, Limits

PIECE = 4096  # bytes that are parsed at once: hundreds of the smallest messages, 5 ms
TURN = 32  # parts after which the others are let in; a frame is one or two, whatever its bytes
PART = 1024  # bytes of a part that costs no more than its bytes
PARTS_PER_S = 1000  # smaller ones of a connection
NO_LINGER = struct.pack("hh" if os.name == "nt" else "ii", 1, 0)  # on, for no time: else 4 MB stay for minutes
LINGER_S = 2.0  # for the goodbye to be read, and what was under way meanwhile


def http_connection(limits: Limits) -> type[H11Protocol]:
    """Return the class of connections, with these limits."""
    return type("HttpConnection", (_HttpConnection,), {"limits": limits, "silent": {}})


def stream_connection() -> type[WebSocketsSansIOProtocol]:
    """Return the class of connections that have become a stream."""
    return _StreamConnection


class _Transport:
    """A transport that hands over its bytes piece by piece, and whose end is read by the client.

    Parameters
    ----------
    transport : asyncio.Transport
    loop : asyncio.AbstractEventLoop
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport, self._loop = transport, loop
        self._take: Callable[[bytes], None] = lambda _: None
        self._waiting = bytearray()
        self._next: asyncio.Handle | None = None
        self._is_held = self._is_closing = False
        self._small = Bucket(PARTS_PER_S)
        self._turn = 0  # parts of it so far

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def lead_to(self, take: Callable[[bytes], None]) -> None:
        """Hand pieces to this function from now on."""
        self._take = take

    def receive(self, data: bytes) -> None:
        """Take in what has come; the first piece is parsed at once."""
        if self.is_closing():
            return
        self._waiting += data
        if self._next is None and not self._is_held:
            self._parse()

    @property
    def is_waiting(self) -> bool:
        """Whether something has come that is not handed over yet."""
        return bool(self._waiting)

    def pause_reading(self) -> None:
        self._is_held = True
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        self._is_held = False
        if self._waiting:
            self._parse_soon()
        else:
            self._transport.resume_reading()

    def is_closing(self) -> bool:
        return self._is_closing or self._transport.is_closing()

    def abort(self) -> None:
        """End the connection at once, and have the system throw away what the client has not taken."""
        connection = self._transport.get_extra_info("socket")
        with suppress(OSError, AttributeError):  # it may be closed already
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER)
        self._transport.abort()

    def close(self) -> None:
        """End the connection, but read on until the client ends it too: else the system takes the goodbye back."""
        if self.is_closing():
            return
        self._is_closing = True
        try:
            self._transport.write_eof()
        except OSError:  # the client has ended it, and we have not heard of it yet
            self.abort()
            return
        self._transport.resume_reading()
        self._loop.call_later(LINGER_S, self.abort)

    def count(self, parts: int, length: int) -> None:
        """Cut off who sends too many small parts: parsing them takes a hundred times as long as their bytes would."""
        self._turn += parts
        if not self._small.takes(time.monotonic(), max(0.0, parts - length / PART)):
            self.abort()

    def _parse(self) -> None:
        self._next, self._turn = None, 0
        while self._waiting and self._turn < TURN and not self._is_held and not self.is_closing():
            piece = bytes(self._waiting[:PIECE])
            del self._waiting[:PIECE]
            self._take(piece)
        if self._is_held or self.is_closing():
            return
        if self._waiting:
            self._parse_soon()
        else:
            self._transport.resume_reading()

    def _parse_soon(self) -> None:
        """Let the others in before the next piece."""
        if self._next is None and not self.is_closing():
            self._transport.pause_reading()
            self._next = self._loop.call_soon(self._parse)


class _HttpConnection(H11Protocol):
    """A connection that is cut off where no request comes, or an answer is not taken."""

    limits: Limits
    silent: dict[_HttpConnection, None]  # without a request, the oldest first
    transport: Any

    _timer: asyncio.TimerHandle | None = None
    _cycle: object = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        own: Any = _Transport(transport, self.loop)
        own.lead_to(self._parse)
        super().connection_made(own)
        self.silent[self] = None
        self._cut_off_in(self.limits.head_s)
        if len(self.silent) > self.limits.connections:
            oldest = next(iter(self.silent))
            oldest._forget()
            oldest.transport.abort()

    def data_received(self, data: bytes) -> None:
        self.transport.receive(data)

    def _parse(self, piece: bytes) -> None:
        parts = 0
        next_event = self.conn.next_event

        def counted() -> Any:
            nonlocal parts
            parts += 1
            return next_event()

        self.conn.next_event = counted  # type: ignore[method-assign]
        super().data_received(piece)
        self.conn.next_event = next_event  # type: ignore[method-assign]
        self.transport.count(parts - 2, len(piece))
        self._see_request()

    def on_response_complete(self) -> None:
        self._cut_off_in(self.limits.head_s)
        super().on_response_complete()
        self._see_request()  # which may have been sent before the answer to the one before was read

    def handle_websocket_upgrade(self, event: Any) -> None:
        self._forget()
        if self.conn.trailing_data[0] or self.transport.is_waiting:  # nobody may talk before the stream is open
            self.transport.abort()
            return
        super().handle_websocket_upgrade(event)

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget()
        super().connection_lost(exc)

    def _see_request(self) -> None:
        if self.cycle is not self._cycle:
            self._cycle = self.cycle
            self.silent.pop(self, None)
            self._cut_off_in(self.limits.request_s)

    def _cut_off_in(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self.loop.call_later(seconds, self.transport.abort)

    def _forget(self) -> None:
        self.silent.pop(self, None)
        if self._timer is not None:
            self._timer.cancel()


class _StreamConnection(WebSocketsSansIOProtocol):
    """A stream; it is made of a connection that has been parsed by :class:`_HttpConnection` so far."""

    transport: Any

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.close_timeout = LINGER_S  # uvicorn's own, for the client to close too

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.transport.lead_to(self._parse)

    def data_received(self, data: bytes) -> None:
        if self.handshake_initiated:
            self.transport.receive(data)
            return
        with suppress(AssertionError):  # uvicorn's, of a head that is one to HTTP but not to WebSocket
            super().data_received(data)
        if not self.handshake_initiated:
            self.transport.abort()

    def _parse(self, piece: bytes) -> None:
        parts = 0
        events_received = self.conn.events_received

        def counted() -> Any:
            nonlocal parts
            events = events_received()
            parts += len(events)
            return events

        self.conn.events_received = counted  # type: ignore[method-assign]
        super().data_received(piece)
        self.conn.events_received = events_received  # type: ignore[method-assign]
        self.transport.count(parts, len(piece))
