"""What leaves the live page, and what stays behind it: nothing."""

from __future__ import annotations

import json
from urllib.parse import urlsplit

import clips
from live_page import LivePage, Opener
from services import Service

LEFT_BEHIND = """
const done = arguments[0];
(async () => done({
  local: Object.keys(localStorage), session: Object.keys(sessionStorage), cookies: document.cookie,
  bases: (await indexedDB.databases()).length, caches: (await caches.keys()).length,
  workers: (await navigator.serviceWorker.getRegistrations()).length,
}))();
"""
ASKED = ("Network.requestWillBeSent", "Network.webSocketCreated")


def test_no_other_host_is_asked(open_browser: Opener, service: Service, camera: clips.Camera) -> None:
    camera.show(clips.one_face)
    logs = {"browser": "ALL", "performance": "ALL"}
    with open_browser(f"--use-file-for-fake-video-capture={camera.path}", logs=logs) as browser:
        page = LivePage(browser, service.address).open()
        browser.set_permissions("camera", "granted")
        page.start_camera()
        page.until_faces(1)
        page.press("why")
        page.until("document.querySelector('.person-why').textContent.includes('%')")
        page.press("about-open")
        events = [json.loads(entry["message"])["message"] for entry in page.log("performance")]
        addresses = [_address(event["params"]) for event in events if event["method"] in ASKED]
        assert not page.complaints()
    hosts = {urlsplit(address).netloc for address in addresses if not address.startswith(("data:", "blob:"))}
    assert hosts == {f"127.0.0.1:{service.port}"}
    assert f"ws://127.0.0.1:{service.port}/stream" in addresses


def _address(parameters: dict[str, dict[str, str]]) -> str:
    return str(parameters["request"]["url"] if "request" in parameters else parameters["url"])


def test_nothing_is_kept_but_the_theme(page: LivePage) -> None:
    page.press("theme-toggle")
    page.start_camera()
    page.until_faces(1)
    page.press("stop")
    page.until_state("start")
    left = page.browser.execute_async_script(LEFT_BEHIND)
    assert left == {"local": ["mien-theme"], "session": [], "cookies": "", "bases": 0, "caches": 0, "workers": 0}
    page.open()
    assert page.rows == 0


def test_script_that_was_slipped_in_does_not_run(page: LivePage) -> None:
    """The policy is there, and the console tells of it: so the clean console of all other tests means something."""
    page.run(
        "const script = document.createElement('script');"
        "script.textContent = 'window.isRun = true';"
        "document.body.append(script)"
    )
    assert page.value("window.isRun") is None
    (complaint,) = page.complaints()
    assert "Content Security Policy" in complaint
