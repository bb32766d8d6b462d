"""Listens and serves until it is stopped."""

from __future__ import annotations

import errno
import re
import secrets
import socket
from collections.abc import Callable
from dataclasses import dataclass

import uvicorn

from mien.app.server.application import application
from mien.app.server.connections import http_connection, stream_connection
from mien.app.server.limits import CLIENTS_PER_CORE, Limits
from mien.app.server.protocol import CLOCK
from mien.app.server.security import ANYWHERE, Addresses, is_loopback
from mien.app.server.service import Service
from mien.core.errors import OptionError
from mien.engine.processes import cores
from mien.engine.recognizer import load

GRACE_S = 3  # for answers that are under way when the service is stopped
_TOKEN = re.compile(r"[\w.~-]{16,200}", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How the service runs.

    Parameters
    ----------
    host : str
        Address to listen at.
    port : int
        0 takes one that is free.
    detector, model : str
        As :class:`mien.engine.pipeline.Pipeline` and :func:`mien.load` take them.
    token : str or None
        Who asks must have it; where other machines reach the service, one is made if none is given.
    origins : tuple of str
        Of proxies before the service, as ``https://mien.example.org``.
    clients : int or None
        Streams at once; None is what the cores allow.

    Raises
    ------
    OptionError
        If the token is too short or could not stand in an address.
    """

    host: str = "127.0.0.1"
    port: int = 8765
    detector: str = "auto"
    model: str = "default"
    token: str | None = None
    origins: tuple[str, ...] = ()
    clients: int | None = None

    def __post_init__(self) -> None:
        if self.token is not None and not _TOKEN.fullmatch(self.token):
            raise OptionError("--token: expected 16 to 200 letters, digits and . _ ~ -; leave it out and one is made")


def run(settings: Settings, on_ready: Callable[[str, str | None], object]) -> None:
    """Serve until Ctrl-C or SIGTERM.

    Parameters
    ----------
    settings : Settings
    on_ready : callable
        Called with the address of the page and the token, once the service listens.

    Raises
    ------
    OptionError
        If it cannot listen there.
    MienError
        If model or detector cannot be opened.
    """
    is_local = is_loopback(settings.host) and not settings.origins  # a proxy brings whoever reaches it
    token = settings.token if is_local else settings.token or secrets.token_urlsafe(32)
    recognizer = load(settings.model)
    limits = Limits(clients=settings.clients or CLIENTS_PER_CORE * cores())
    service = Service(recognizer, detector=settings.detector, limits=limits, is_local=is_local)
    with listen(settings.host, settings.port) as listening:
        port = listening.getsockname()[1]
        addresses = Addresses.of(settings.host, port, settings.origins)
        app = application(service, addresses=addresses, token=token)
        on_ready(page_address(settings.host, port), token)
        server(app, limits).run(sockets=[listening])


def server(app: object, limits: Limits) -> uvicorn.Server:
    """Return the server of an application; it logs no address that anybody asked for, for it may hold the token."""
    return uvicorn.Server(
        uvicorn.Config(
            app,  # type: ignore[arg-type]
            http=http_connection(limits),
            ws=stream_connection(),
            ws_max_size=2 * limits.frame_bytes + CLOCK.size,  # up to it, an error tells what is wrong
            ws_max_queue=1,
            ws_per_message_deflate=False,  # pictures are compressed; text could be a bomb
            loop="asyncio",
            log_config=None,
            log_level="error",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=GRACE_S,
        )
    )


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens.

    Raises
    ------
    OptionError
        If the port is taken or not allowed, or the host is none of this machine.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        return socket.create_server((str(address[0]), port), family=family)
    except (OSError, OverflowError, UnicodeError) as error:
        code = error.errno if isinstance(error, OSError) else None
        if code == errno.EADDRINUSE:
            raise OptionError(f"--port {port}: is in use: give another, or 0 for any that is free") from error
        if code == errno.EACCES:
            raise OptionError(f"--port {port}: is not allowed to you: give one above 1023") from error
        raise OptionError(f"--host {host}: is none of this machine: give 127.0.0.1, or 0.0.0.0 for all") from error


def page_address(host: str, port: int) -> str:
    """Return where the page is."""
    host = socket.gethostname() if host in ANYWHERE else host
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/"
