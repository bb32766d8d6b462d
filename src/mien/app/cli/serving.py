"""The commands that serve: ``mien live`` and ``mien serve``."""

from __future__ import annotations

import threading
import webbrowser
from collections.abc import Callable
from typing import Annotated, Any

import typer

from mien.app.cli.base import CODES, Detector, Model, app, ended_by_signal
from mien.app.screen import notes, screen

Port = Annotated[int, typer.Option("--port", min=0, max=65535, help="0 takes one that is free.")]


@app.command(epilog=CODES)
def live(
    port: Port = 8765,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Only print the address.")] = False,
    detector: Detector = "auto",
    model: Model = "default",
) -> None:
    """Open the live page: the camera, read in the browser's tab by this machine alone."""

    def ready(address: str, _: str | None) -> None:
        screen.print(f"{address}  (Ctrl-C ends it)", soft_wrap=True)
        if not no_browser:
            # In a thread, since a browser of the terminal keeps us waiting until it is closed.
            threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()

    _run(ready, host="127.0.0.1", port=port, detector=detector, model=model)


@app.command(epilog=CODES)
def serve(
    host: Annotated[str, typer.Option("--host", help="Address to listen at; beyond this machine it takes a token.")] = (
        "127.0.0.1"
    ),
    port: Port = 8765,
    token: Annotated[
        str | None, typer.Option("--token", envvar="MIEN_TOKEN", help="What clients must send; by default one is made.")
    ] = None,
    origin: Annotated[
        list[str] | None, typer.Option("--origin", help="Address of a proxy before it: https://mien.example.org.")
    ] = None,
    max_clients: Annotated[
        int | None, typer.Option("--max-clients", min=1, help="Streams at once; by default 4 for each core.")
    ] = None,
    detector: Detector = "auto",
    model: Model = "default",
) -> None:
    """Serve the live page, pictures over HTTP and streams over WebSocket: docs/protocol.md describes them."""

    def ready(address: str, used: str | None) -> None:
        is_made = used is not None and used != token
        screen.print(f"{address}?token={used}" if is_made else address, soft_wrap=True)
        if used is not None:
            given = "" if is_made else "The token is the one that was given. "
            notes.print(f"{given}Traffic is not encrypted: TLS belongs in front, see --origin.", soft_wrap=True)

    _run(
        ready,
        host=host,
        port=port,
        token=token,
        origins=tuple(origin or ()),
        clients=max_clients,
        detector=detector,
        model=model,
    )


def _run(ready: Callable[[str, str | None], object], **settings: Any) -> None:
    from mien.app.server.running import Settings, run

    with ended_by_signal():
        run(Settings(**settings), ready)
