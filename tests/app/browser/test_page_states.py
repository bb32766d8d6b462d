"""What the live page says where something is missing: a camera, a permission, the service."""

from __future__ import annotations

import http.server
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import clips
import pytest
from live_page import Inspector, LivePage, Opener
from selenium.webdriver import Chrome
from services import Service
from websockets.sync.client import connect

LOST = "WebSocket connection to .* failed|ERR_CONNECTION_REFUSED"
OVER_TLS = "Cross-Origin-Opener-Policy header has been ignored"
TOKEN = "a-token-of-the-tests"

COUNT_TRIALS = """
window.trials = 0;
window.WebSocket = class extends WebSocket {
  constructor(...parts) {
    super(...parts);
    window.trials++;
  }
};
"""

OwnPage = Callable[..., tuple[Service, LivePage]]


@pytest.fixture
def own(page: LivePage) -> Iterator[OwnPage]:
    """Return what starts a service of the test's own, with options, and opens the page of it."""
    begun = []

    def start(*options: str) -> tuple[Service, LivePage]:
        service = Service(options).start()
        begun.append(service)
        page.address = service.address
        page.open()
        page.browser.set_permissions("camera", "granted")
        return service, page

    yield start
    page.browser.get("about:blank")
    for service in begun:
        service.stop()


def says(page: LivePage, *words: str) -> None:
    """Check that the panel shows, with these words."""
    assert page.is_visible("panel")
    assert not page.is_visible("start-view")
    assert page.part("panel").get_attribute("data-state") == page.state
    text = page.part("panel").text.lower()
    assert all(word in text for word in words), text


def test_a_camera_that_is_refused_shows_help(page: LivePage, inspect: Inspector) -> None:
    page.browser.set_permissions("camera", "denied")
    page.press("start-camera")
    page.until_state("refused")
    says(page, "not allowed", "chrome", "another browser")
    assert page.is_visible("panel-help")
    inspect(page, "refused")
    page.browser.set_permissions("camera", "granted")
    page.press("panel-action")
    page.until_state("live")


def test_without_a_camera_the_page_says_so(page: LivePage, camera: clips.Camera, inspect: Inspector) -> None:
    camera.unplug()
    page.press("start-camera")
    page.until_state("no-camera")
    says(page, "no camera", "photo")
    inspect(page, "no-camera")
    camera.show(clips.one_face)
    page.press("panel-action")
    page.until_state("live")
    page.press("stop")
    page.until_state("start")


def test_a_camera_that_is_unplugged_is_missed(page: LivePage) -> None:
    page.start_camera()
    page.run("document.getElementById('video').srcObject.getVideoTracks()[0].dispatchEvent(new Event('ended'))")
    page.until_state("no-camera")
    says(page, "unplugged")
    page.press("panel-home")
    page.until_state("start")


def test_a_camera_in_use_says_so(page: LivePage, inspect: Inspector) -> None:
    """Chromium's camera of a file is never in use: the answer of the browser is put in its place."""
    page.run(
        "navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('in use', 'NotReadableError'))"
    )
    page.press("start-camera")
    page.until_state("busy")
    says(page, "in use", "another program")
    inspect(page, "busy")


def test_a_question_of_the_browser_is_waited_for(page: LivePage, inspect: Inspector) -> None:
    """Without a screen Chromium asks nobody: a question that nobody answers is put in its place."""
    page.run("navigator.mediaDevices.getUserMedia = () => new Promise(() => {})")
    page.press("start-camera")
    page.until_state("requesting")
    says(page, "allow")
    inspect(page, "requesting")
    page.press("panel-home")
    page.until_state("start")


def test_a_service_that_was_stopped_is_found_again(own: OwnPage, inspect: Inspector) -> None:
    service, page = own()
    page.expected.append(LOST)
    page.run(COUNT_TRIALS)
    page.start_camera()
    page.until_faces(1)
    rows = page.rows
    known = {person.track_id for person in page.people()}
    service.stop()
    page.until_state("reconnecting")
    assert page.is_visible("banner")
    inspect(page, "reconnecting")
    page.until("/ in ([2-9]|1\\d) s/.test(document.getElementById('banner-text').textContent)")
    trials = page.value("window.trials")
    page.press("banner-action")
    assert page.value("window.trials") == trials + 1  # now, and not in so many seconds
    service.start()
    page.until_state("live")
    page.until_true(lambda: page.rows > rows, "more rows")
    (person,) = page.until_faces(1)
    assert not page.is_visible("banner")
    assert person.track_id not in known  # ids begin again with the service; not so on the page


def test_a_photo_without_the_service_says_so(own: OwnPage, tmp_path: Path, inspect: Inspector) -> None:
    service, page = own()
    page.expected.append(LOST)
    service.stop()
    page.choose(clips.write_photo(tmp_path / "pair.png", clips.two_faces))
    page.until_state("reconnecting")
    says(page, "does not answer")
    inspect(page, "photo-without-service")
    service.start()
    page.press("panel-action")
    page.until_state("photo")
    page.until_faces(2)


def test_a_full_service_says_so_and_lets_in_later(own: OwnPage, inspect: Inspector) -> None:
    service, page = own("--max-clients", "1")
    with connect(f"ws://127.0.0.1:{service.port}/stream", subprotocols=["mien.v1"]) as other:  # type: ignore[list-item]
        other.recv()
        page.press("start-camera")
        page.until_state("full")
        assert page.is_visible("banner")
        assert "full" in page.part("banner-text").text
        inspect(page, "full")
    page.until_state("live")
    page.until_faces(1)


def test_a_token_is_asked_for(own: OwnPage, inspect: Inspector) -> None:
    service, page = own("--token", TOKEN)
    page.expected += ["401", "favicon", LOST]
    assert "token" in page.value("document.body.innerText")
    page.open(f"?token={TOKEN}")
    assert page.browser.current_url == service.address
    assert TOKEN not in page.value("document.cookie")
    page.start_camera()
    page.until_faces(1)
    service.stop()
    service.options = ("--token", TOKEN[::-1])
    service.start()
    page.until_state("unauthorized")
    assert "token" in page.part("banner-text").text
    inspect(page, "unauthorized")


def test_an_address_without_a_camera_says_so(open_browser: Opener, tmp_path: Path, inspect: Inspector) -> None:
    """A page of another machine without TLS: browsers give it no camera; photos work."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    service = Service(("--origin", f"http://mien.test:{port}", "--token", TOKEN), port).start()
    try:
        with open_browser("--host-resolver-rules=MAP mien.test 127.0.0.1") as browser:
            page = LivePage(browser, f"http://mien.test:{port}/", [OVER_TLS]).open(f"?token={TOKEN}")
            assert "nothing leaves" not in page.part("main").text
            page.press("start-camera")
            page.until_state("insecure")
            says(page, "https")
            inspect(page, "insecure")
            page.choose(clips.write_photo(tmp_path / "pair.png", clips.two_faces))
            page.until_state("photo")
            page.until_faces(2)
            assert not page.complaints()
    finally:
        service.stop()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments: object) -> None:
        pass


@contextmanager
def another_site(folder: Path) -> Iterator[str]:
    """Serve a folder as somebody else's page."""
    (folder / "index.html").write_text("<!doctype html><title>elsewhere</title><p>A page of somebody else")

    def handler(*arguments: object) -> _Quiet:
        return _Quiet(*arguments, directory=str(folder))  # type: ignore[arg-type]

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join()


OPEN_STREAM = """
const done = arguments[1];
const socket = new WebSocket(arguments[0], ['mien.v1']);
const heard = [];
socket.onmessage = (event) => heard.push(event.data);
socket.onclose = (event) => done({ code: event.code, heard });
socket.onopen = () => socket.send(new Uint8Array(16));
setTimeout(() => done({ code: 0, heard }), 20000);
"""
ASK = """
const done = arguments[2];
fetch(arguments[0], { method: arguments[1], mode: 'no-cors' })
  .then(async (answer) => done(answer.type + (await answer.text())), () => done('refused'));
"""


def test_a_page_of_somebody_else_gets_nothing(browser: Chrome, service: Service, tmp_path: Path) -> None:
    with another_site(tmp_path) as address:
        for host in ("127.0.0.1", "localhost"):
            browser.get(address.replace("127.0.0.1", host))
            browser.set_script_timeout(30)
            stream = browser.execute_async_script(OPEN_STREAM, f"ws://127.0.0.1:{service.port}/stream")
            assert stream == {"code": 4403, "heard": []}
            assert browser.execute_async_script(ASK, service.address + "healthz", "GET") in ("refused", "opaque")
            assert browser.execute_async_script(ASK, service.address + "analyze", "POST") in ("refused", "opaque")
        LivePage(browser, address).complaints()  # Chromium's own, about what was refused
