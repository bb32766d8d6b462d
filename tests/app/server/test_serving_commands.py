"""The commands `mien serve` and `mien live`, run as people run them."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

import httpx
import pytest
from running_service import SOON_S
from typer.testing import CliRunner
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from mien.app.cli import app
from mien.app.server.running import Settings, listen, page_address
from mien.core.errors import OptionError

TOKEN = "a-token-of-the-tests"


@contextmanager
def command(*words: str, **environment: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run a command that serves; yields its process and what it prints first."""
    arguments = [sys.executable, "-W", "error", "-m", "mien", *words]
    process = subprocess.Popen(
        arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ | environment
    )
    with process:
        try:
            yield process, line_of(process.stdout)
        finally:
            process.kill()


def line_of(stream: IO[str] | None) -> str:
    assert stream is not None
    return stream.readline().strip()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_the_service_prints_its_address_and_ends_when_it_is_told(number: signal.Signals, code: int) -> None:
    with command("serve", "--port", "0", "--detector", "whole") as (process, address):
        assert re.fullmatch(r"http://127\.0\.0\.1:[1-9]\d+/", address)
        assert httpx.get(f"{address}healthz", trust_env=False, timeout=SOON_S).json()["status"] == "ok"
        with connect(f"{address.replace('http', 'ws')}stream", proxy=None) as stream:
            stream.recv(SOON_S)
            process.send_signal(number)
            with pytest.raises(ConnectionClosed) as ends:
                stream.recv(SOON_S)
        assert ends.value.rcvd is not None
        assert ends.value.rcvd.code == 1012
        assert process.wait(SOON_S) == code
        assert process.stderr is not None
        assert process.stderr.read() == ""


def test_beyond_this_machine_a_token_is_made_and_printed_once() -> None:
    with command("serve", "--host", "0.0.0.0", "--port", "0", "--detector", "whole") as (process, address):
        found = re.fullmatch(r"http://[^/]+:(\d+)/\?token=([\w-]{43})", address)
        assert found is not None
        local = f"http://127.0.0.1:{found[1]}/"
        with httpx.Client(trust_env=False, timeout=SOON_S) as client:
            assert client.get(local).status_code == 401
            assert client.get(f"{local}?token={found[2]}").status_code == 303
            assert client.get(local).status_code == 200
        process.terminate()
        _, errors = process.communicate(timeout=SOON_S)
    assert "TLS" in errors
    assert found[2] not in errors


def test_a_token_that_is_given_is_not_printed() -> None:
    options = ("serve", "--port", "0", "--detector", "whole")
    with command(*options, MIEN_TOKEN=TOKEN) as (process, address):
        assert TOKEN not in address
        assert httpx.get(address, trust_env=False).status_code == 401
        known = {"Authorization": f"Bearer {TOKEN}"}
        assert httpx.get(address, trust_env=False, headers=known).status_code == 200
        process.terminate()
        assert TOKEN not in "".join(process.communicate(timeout=SOON_S))


def test_a_port_that_is_in_use_is_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        words = ["serve", "--port", str(port), "--detector", "whole"]
        done = subprocess.run(
            [sys.executable, "-m", "mien", *words], capture_output=True, text=True, timeout=60, check=False
        )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == f"mien: --port {port}: is in use: give another, or 0 for any that is free\n"


def test_a_host_that_is_not_ours_is_refused() -> None:
    with pytest.raises(OptionError, match=r"--host 192\.0\.2\.1"):
        listen("192.0.2.1", 0)
    with pytest.raises(OptionError, match="--host no such name"):
        listen("no such name", 0)


@pytest.mark.parametrize("token", ["short", "a token with spaces", "a-token-with;semicolon", "ä" * 20, ""])
def test_a_token_that_could_not_be_sent_is_refused(token: str) -> None:
    with pytest.raises(OptionError, match="--token"):
        Settings(token=token)


def test_the_address_of_the_page_can_be_opened() -> None:
    assert page_address("127.0.0.1", 80) == "http://127.0.0.1:80/"
    assert page_address("::1", 8765) == "http://[::1]:8765/"
    assert page_address("0.0.0.0", 8765) == f"http://{socket.gethostname()}:8765/"


@pytest.mark.parametrize(("more", "opened"), [([], ["http://127.0.0.1:7/"]), (["--no-browser"], [])])
def test_live_opens_the_browser_unless_told_not_to(
    more: list[str], opened: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Settings] = []
    seen: list[str] = []

    def run(settings: Settings, on_ready: object) -> None:
        asked.append(settings)
        assert callable(on_ready)
        on_ready("http://127.0.0.1:7/", None)

    class AtOnce:
        def __init__(self, *, target: object, args: tuple[str], daemon: bool) -> None:
            assert callable(target)
            assert daemon
            self.start = lambda: target(*args)

    monkeypatch.setattr("mien.app.server.running.run", run)
    monkeypatch.setattr("threading.Thread", AtOnce)
    monkeypatch.setattr("webbrowser.open", seen.append)
    done = CliRunner().invoke(app, ["live", "--port", "7", *more])
    assert done.exit_code == 0, done.output
    assert asked == [Settings(host="127.0.0.1", port=7)]
    assert seen == opened
    assert done.output.startswith("http://127.0.0.1:7/")


def test_the_commands_load_no_server_until_they_serve() -> None:
    code = "import sys, mien.app.cli; print(*{'fastapi', 'uvicorn', 'websockets', 'starlette'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "\n"
