"""Who may use the service: addresses, origins, tokens; the headers of every answer."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from running_service import Running, plain, running_service, said
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from mien.app.server.security import HEADERS, Addresses, is_loopback
from mien.core.errors import OptionError

TOKEN = "a-token-of-the-tests"
EVERYWHERE, HERE = Addresses.of("0.0.0.0", 8765), Addresses.of("127.0.0.1", 8765)


def refused(running: Running, **options: object) -> int:
    """Return the code with which a stream is refused."""
    with running.stream(**options) as stream, pytest.raises(ConnectionClosed) as ends:
        said(stream)
    assert ends.value.rcvd is not None
    assert ends.value.rcvd.reason
    return ends.value.rcvd.code


# --- addresses


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "127.0.0.1", "[::1]"])
def test_the_names_of_this_machine_are_its_own(running: Running, host: str) -> None:
    assert running.get("/healthz", headers={"Host": f"{host}:{running.port}"}).status_code == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:{port}", "127.0.0.1", "127.0.0.1:1", "localhost.evil:{port}", "", "[::1", "::1"],
)
def test_a_name_that_leads_here_is_not_enough(running: Running, host: str) -> None:
    headers = {"Host": host.format(port=running.port)}
    for path in ("/", "/healthz", "/static/main.js", "/analyze", "/metrics", "/openapi.json"):
        response = running.get(path, headers=headers)
        assert (response.status_code, response.json()["error"]["code"]) == (403, "forbidden"), path
    assert running.post(plain(), headers=headers).status_code == 403


def test_a_stream_under_a_foreign_name_is_refused(running: Running) -> None:
    with running.raw(
        b"GET /stream HTTP/1.1\r\nHost: evil.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    ) as connection:
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
    assert b"hello" not in answer
    assert int.from_bytes(answer.partition(b"\r\n\r\n")[2][2:4]) == 4403


@pytest.mark.parametrize(
    ("host", "asked", "is_own"),
    [
        ("0.0.0.0", "192.168.1.7:80", True),
        ("0.0.0.0", "[fe80::1]:80", True),
        ("0.0.0.0", "evil.example:80", False),
        ("0.0.0.0", "192.168.1.7:81", False),
        ("::", "127.0.0.1:80", True),
        ("127.0.0.1", "localhost", True),
        ("127.0.0.1", "192.168.1.7:80", False),
        ("192.168.1.7", "192.168.1.7:80", True),
        ("192.168.1.7", "192.168.1.7", True),
        ("192.168.1.7", "127.0.0.1:80", False),
        ("::1", "[::1]:80", True),
    ],
)
def test_a_service_for_others_is_asked_by_its_numbers(host: str, asked: str, is_own: bool) -> None:
    assert Addresses.of(host, 80).has(asked) is is_own


@given(st.text())
def test_no_text_breaks_the_comparison_of_addresses(host: str) -> None:
    for addresses in (EVERYWHERE, HERE):
        assert isinstance(addresses.has(host), bool)
        assert isinstance(addresses.is_own(host, host), bool)


@pytest.mark.parametrize(
    ("host", "is_own"), [("127.0.0.1", True), ("127.8.8.8", True), ("::1", True), ("localhost", True)]
)
def test_loopback_is_known(host: str, is_own: bool) -> None:
    assert is_loopback(host)
    assert not is_loopback("0.0.0.0")
    assert not is_loopback("localhost.example")


# --- origins


def test_our_own_page_may_ask(running: Running) -> None:
    for host in ("127.0.0.1", "localhost"):
        own = f"{host}:{running.port}"
        headers = {"Host": own, "Origin": f"http://{own}", "Sec-Fetch-Site": "same-origin"}
        assert running.post(plain(), headers=headers).status_code == 200
    with running.stream(origin=running.url) as stream:
        assert said(stream)["type"] == "hello"


@pytest.mark.parametrize(
    "origin",
    ["http://evil.example", "null", "http://localhost:{port}", "https://127.0.0.1:{port}", "http://127.0.0.1", ""],
)
def test_another_page_may_not(running: Running, origin: str) -> None:
    origin = origin.format(port=running.port)
    response = running.post(plain(), headers={"Origin": origin})
    assert (response.status_code, response.json()["error"]["code"]) == (403, "forbidden")
    if origin:
        assert refused(running, origin=origin) == 4403


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_what_another_page_embeds_is_refused_but_a_link_works(running: Running, site: str) -> None:
    embedded = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "no-cors"}
    assert running.get("/healthz", headers=embedded).status_code == 403
    assert running.get("/", headers=embedded).status_code == 403
    assert running.get("/", headers={"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "navigate"}).status_code == 200
    assert refused(running, additional_headers=embedded) == 4403


def test_a_proxy_that_is_named_may_ask() -> None:
    with running_service(detector="whole", origins=("https://mien.example.org",)) as running:
        headers = {"Host": "mien.example.org", "Origin": "https://mien.example.org"}
        assert running.post(plain(), headers=headers).status_code == 200
        headers["Origin"] = "https://other.example.org"
        assert running.post(plain(), headers=headers).status_code == 403


@pytest.mark.parametrize("origin", ["mien.example.org", "https://", "https://a.example/path", "ftp://a.example"])
def test_an_origin_that_is_none_is_refused(origin: str) -> None:
    with pytest.raises(OptionError, match="--origin"):
        Addresses.of("0.0.0.0", 80, (origin,))


# --- tokens


@pytest.fixture(scope="module")
def guarded() -> object:
    with running_service(token=TOKEN, detector="whole") as running:
        yield running


@pytest.mark.parametrize(
    "headers",
    [{}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Basic {TOKEN}"}, {"Cookie": "mien_token=wrong"},
     {"Cookie": f"other={TOKEN}"}, {"Authorization": f"Bearer {TOKEN}x"}, {"Authorization": "Bearer \xfc"}],
)  # fmt: skip
def test_without_the_token_nothing_is_served(guarded: Running, headers: dict[str, str]) -> None:
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    for path in ("/", "/static/main.js", "/healthz", "/metrics", "/openapi.json", f"/healthz?token={TOKEN}"):
        response = guarded.get(path, headers=raw)
        assert (response.status_code, response.json()["error"]["code"]) == (401, "unauthorized"), path
        assert response.headers["www-authenticate"] == "Bearer"
    assert guarded.post(plain(), headers=raw).status_code == 401
    if str(headers).isascii():
        assert refused(guarded, additional_headers=headers) == 4401


@pytest.mark.parametrize("headers", [{"Authorization": f"Bearer {TOKEN}"}, {"Cookie": f"a=b; mien_token={TOKEN}"}])
def test_with_the_token_all_is_served(guarded: Running, headers: dict[str, str]) -> None:
    for path in ("/", "/healthz", "/metrics", "/openapi.json"):
        assert guarded.get(path, headers=headers).status_code == 200
    assert guarded.post(plain(), headers=headers).status_code == 200
    with guarded.stream(additional_headers=headers) as stream:
        assert said(stream)["type"] == "hello"


def test_the_token_moves_from_the_address_to_a_cookie(guarded: Running) -> None:
    response = guarded.get(f"/?token={TOKEN}")
    assert (response.status_code, response.headers["location"]) == (303, "/")
    cookie = response.headers["set-cookie"]
    assert cookie.startswith(f"mien_token={TOKEN}; ")
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert "Secure" not in cookie
    assert guarded.get("/?token=wrong").status_code == 401


def test_behind_tls_the_cookie_stays_there() -> None:
    with running_service(token=TOKEN, detector="whole", origins=("https://mien.example.org",)) as running:
        response = running.get(f"/?token={TOKEN}", headers={"Host": "mien.example.org"})
        assert "Secure" in response.headers["set-cookie"]


# --- headers


@pytest.mark.parametrize("path", ["/", "/static/nothing.js", "/healthz", "/metrics", "/nothing", "/analyze"])
def test_every_answer_has_the_headers(running: Running, path: str) -> None:
    response = running.get(path)
    assert {name: response.headers[name] for name in HEADERS} == HEADERS
    assert "no-" in response.headers["cache-control"]
    assert "server" not in response.headers


def test_the_policy_allows_nothing_inline_or_foreign() -> None:
    policy = dict(part.strip().split(" ", 1) for part in HEADERS["Content-Security-Policy"].split(";"))
    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == policy["form-action"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert not any(word in str(policy) for word in ("unsafe", "http", "*"))


def test_refusals_have_the_headers_too(running: Running) -> None:
    response = running.get("/", headers={"Host": "evil.example"})
    assert {name: response.headers[name] for name in HEADERS} == HEADERS


def test_a_stream_elsewhere_is_none(running: Running) -> None:
    address = f"ws://127.0.0.1:{running.port}/healthz"
    with pytest.raises(InvalidStatus) as status, connect(address, proxy=None):
        pass
    assert status.value.response.status_code == 403
