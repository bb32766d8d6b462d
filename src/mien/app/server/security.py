"""The gate before the service: who may ask, from which page, under which address; and the headers of every answer."""

from __future__ import annotations

import hmac
import ipaddress
import json
import socket
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mien.app.server.metrics import Counter
from mien.app.server.protocol import FOREIGN, NO_TOKEN, SUBPROTOCOL, RefusedError
from mien.core.errors import OptionError

COOKIE = "mien_token"
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
ANYWHERE = ("0.0.0.0", "::")
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=(), display-capture=(), usb=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def is_loopback(host: str) -> bool:
    """Return whether only this machine reaches a host to listen at."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@dataclass(frozen=True)
class Addresses:
    """Under which addresses the service is asked.

    Parameters
    ----------
    hosts : frozenset of str
        Values of the header Host.
    origins : frozenset of str
        Of a proxy before the service, as ``https://mien.example.org``.
    port : int
    takes_numbers : bool
        Whether a number of any network is taken: where the service listens at all of them. A page that rebinds its
        name has a name.
    """

    hosts: frozenset[str]
    origins: frozenset[str] = frozenset()
    port: int = 0
    takes_numbers: bool = False

    @classmethod
    def of(cls, host: str, port: int, origins: tuple[str, ...] = ()) -> Addresses:
        """Return the addresses of a service that listens at a host and port, and those of proxies.

        Raises
        ------
        OptionError
            If an origin is none.
        """
        is_anywhere = host in ANYWHERE
        names = {*LOOPBACK} if is_loopback(host) or is_anywhere else {f"[{host}]" if ":" in host else host.lower()}
        if is_anywhere:
            names.add(socket.gethostname().lower())
        hosts = {f"{name}:{port}" for name in names} | (names if port == 80 else set())
        for origin in origins:
            parts = urlsplit(origin)
            if (
                parts.scheme not in ("http", "https")
                or not parts.netloc
                or origin != f"{parts.scheme}://{parts.netloc}"
            ):
                raise OptionError(f"--origin {origin}: expected an address without a path, as https://mien.example.org")
            hosts.add(parts.netloc.lower())
        return cls(frozenset(hosts), frozenset(origin.lower() for origin in origins), port, is_anywhere)

    def has(self, host: str) -> bool:
        """Return whether the service is asked under this host."""
        host = host.lower()
        if host in self.hosts or not self.takes_numbers:
            return host in self.hosts
        name, _, port = host.rpartition(":")
        try:
            ipaddress.ip_address(name.strip("[]"))
        except ValueError:
            return False
        return port == str(self.port)

    def is_own(self, origin: str, host: str) -> bool:
        """Return whether a page of this origin is one of ours."""
        return origin.lower() in self.origins | {f"http://{host.lower()}"}


class Gate:
    """Lets through who may ask, and puts the headers on every answer.

    Parameters
    ----------
    app : ASGI application
    addresses : Addresses
    token : str or None
        None where everybody who reaches the service may use it.
    errors : Counter
        Of what is refused.
    """

    def __init__(self, app: ASGIApp, *, addresses: Addresses, token: str | None, errors: Counter) -> None:
        self._app, self._addresses, self._token, self._errors = app, addresses, token, errors

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request or stream."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        try:
            self._check(scope)
        except RefusedError as error:
            self._errors.add(error.code)
            await self._refuse(scope, receive, send, error)
            return
        if scope["type"] == "websocket":
            await self._app(scope, receive, send)
        else:
            await self._answer(scope, receive, _with_headers(send))

    def _check(self, scope: Scope) -> None:
        headers = Headers(scope=scope)
        host, origin = headers.get("host", ""), headers.get("origin")
        if not self._addresses.has(host):
            raise RefusedError(
                "forbidden", "this address is not the service's own: open the one that it has printed", 403
            )
        is_visit = headers.get("sec-fetch-mode") == "navigate" and scope["path"] == "/"
        is_foreign = headers.get("sec-fetch-site") in ("cross-site", "same-site") and not is_visit
        if is_foreign or (origin is not None and not self._addresses.is_own(origin, host)):
            raise RefusedError("forbidden", "the request comes from another page: open the service's own", 403)
        if self._token is not None and not self._is_known(scope, headers):
            raise RefusedError(
                "unauthorized", "token missing or wrong: send 'Authorization: Bearer TOKEN', or open /?token=TOKEN", 401
            )

    def _is_known(self, scope: Scope, headers: Headers) -> bool:
        given = [headers.get("authorization", "").removeprefix("Bearer "), _cookie(headers)]
        if scope["path"] == "/" and scope["type"] == "http":
            given += _query_tokens(scope)
        return any(self._is_token(one) for one in given)

    def _is_token(self, given: str) -> bool:
        assert self._token is not None
        return hmac.compare_digest(given.encode(), self._token.encode())

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._token is None or scope["path"] != "/" or not any(map(self._is_token, _query_tokens(scope))):
            await self._app(scope, receive, send)
            return
        # The token leaves the address bar, the history and what is copied from them.
        secure = "; Secure" if any(origin.startswith("https:") for origin in self._addresses.origins) else ""
        cookie = f"{COOKIE}={self._token}; HttpOnly; SameSite=Strict; Path=/{secure}"
        headers = [(b"location", b"/"), (b"set-cookie", cookie.encode()), (b"content-length", b"0")]
        await send({"type": "http.response.start", "status": 303, "headers": headers})
        await send({"type": "http.response.body", "body": b""})

    async def _refuse(self, scope: Scope, receive: Receive, send: Send, error: RefusedError) -> None:
        if scope["type"] == "websocket":
            await receive()
            # A page sees no code of a handshake that fails, and Chromium fails one that echoes no subprotocol.
            known = SUBPROTOCOL if SUBPROTOCOL in scope["subprotocols"] else None
            await send({"type": "websocket.accept", "subprotocol": known})
            code = NO_TOKEN if error.status == 401 else FOREIGN
            await send({"type": "websocket.close", "code": code, "reason": str(error)})
            return
        body = error_body(error)
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        if error.status == 401:
            headers.append((b"www-authenticate", b"Bearer"))
        send = _with_headers(send)
        await send({"type": "http.response.start", "status": error.status, "headers": headers})
        await send({"type": "http.response.body", "body": body})


def error_body(error: RefusedError) -> bytes:
    """Return the JSON of an error of HTTP."""
    return json.dumps({"error": {"code": error.code, "message": str(error)}}, ensure_ascii=False).encode()


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers[name] = value
            headers.setdefault("Cache-Control", "no-store")
        await send(message)

    return sending


def _cookie(headers: Headers) -> str:
    try:
        cookies = SimpleCookie(headers.get("cookie", ""))
    except CookieError:
        return ""
    return cookies[COOKIE].value if COOKIE in cookies else ""


def _query_tokens(scope: Scope) -> list[str]:
    return parse_qs(scope["query_string"].decode("latin-1")).get("token", [])
