"""A service on loopback in a thread of the tests, and clients of it."""

from __future__ import annotations

import json
import os
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import cv2
import httpx
import numpy as np
from websockets.sync.client import ClientConnection, connect

from mien.app.server.application import application
from mien.app.server.limits import Limits
from mien.app.server.running import listen, server
from mien.app.server.security import Addresses
from mien.app.server.service import Service
from mien.core.types import ByteArray
from mien.engine.recognizer import Recognizer, load

SOON_S = 30.0  # what comes at all comes within it, on a busy machine too


@dataclass(frozen=True)
class Running:
    """A service that runs; in a process of its own, nothing is known of its inside."""

    port: int
    service: Service | None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def stream(self, **options: Any) -> ClientConnection:
        """Open a stream; what the service says first is not read yet."""
        options = {"subprotocols": ["mien.v1"], "proxy": None, "max_size": None} | options
        return connect(f"ws://127.0.0.1:{self.port}/stream", **options)

    def get(self, path: str, **options: Any) -> httpx.Response:
        with httpx.Client(base_url=self.url, trust_env=False, timeout=SOON_S) as client:
            return client.get(path, **options)

    def post(self, content: Any, path: str = "/analyze", **options: Any) -> httpx.Response:
        with httpx.Client(base_url=self.url, trust_env=False, timeout=SOON_S) as client:
            return client.post(path, content=content, **options)

    def raw(self, content: bytes = b"") -> socket.socket:
        """Open a connection and send bytes."""
        opened = socket.create_connection(("127.0.0.1", self.port), timeout=SOON_S)
        opened.sendall(content)
        return opened

    def counts(self) -> dict[str, float]:
        """Return the samples of /metrics."""
        lines = self.get("/metrics").text.splitlines()
        return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if line[0] != "#")}


@contextmanager
def running_service(
    *,
    token: str | None = None,
    detector: str = "auto",
    origins: tuple[str, ...] = (),
    recognizer: Recognizer | None = None,
    **limits: Any,
) -> Iterator[Running]:
    """Run a service at a free port until the block is left."""
    given = Limits(**{"clients": 8} | limits)
    service = Service(recognizer or load(), detector=detector, limits=given, is_local=True)
    with listen("127.0.0.1", 0) as listening:
        port = listening.getsockname()[1]
        app = application(service, addresses=Addresses.of("127.0.0.1", port, origins), token=token)
        serving = server(app, given)
        thread = threading.Thread(target=serving.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            wait_until(lambda: serving.started)
            yield Running(port, service)
        finally:
            serving.should_exit = True
            thread.join(SOON_S)
            assert not thread.is_alive()


@contextmanager
def service_apart(**options: Any) -> Iterator[Running]:
    """Run a service in a process of its own, so that what clients do here takes no time from it."""
    command = [sys.executable, "-W", "error", __file__, json.dumps(options)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield Running(int(process.stdout.readline()), None)
        finally:
            process.stdin.close()
            process.wait(SOON_S)


def wait_until(condition: Any) -> None:
    """Wait for something that is to happen soon."""
    end_s = time.monotonic() + SOON_S
    while not condition():
        assert time.monotonic() < end_s, "did not happen"
        time.sleep(0.01)


def jpeg(image_rgb: ByteArray, quality: int = 90) -> bytes:
    done, content = cv2.imencode(
        ".jpg", cv2.cvtColor(image_rgb, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality]
    )
    assert done
    return content.tobytes()


def plain(width: int = 64, height: int = 48) -> bytes:
    """Return a JPEG without anything on it."""
    return jpeg(np.full((height, width, 3), 90, np.uint8))


def frame(time_s: float, picture: bytes) -> bytes:
    """Return the message with a frame."""
    return struct.pack(">d", time_s) + picture


def said(stream: ClientConnection, timeout_s: float = SOON_S) -> dict[str, Any]:
    """Return the next message of the service."""
    message = stream.recv(timeout_s)
    assert isinstance(message, str)
    content: dict[str, Any] = json.loads(message)
    return content


def asked(stream: ClientConnection, time_s: float, picture: bytes) -> dict[str, Any]:
    """Send a frame and return the answer."""
    stream.send(frame(time_s, picture))
    return said(stream)


if __name__ == "__main__":
    with running_service(**json.loads(sys.argv[1])) as apart:
        print(apart.port, flush=True)  # noqa: T201
        sys.stdin.read()
