"""Chromium, the service and the page for the tests in a browser; tests/system.sh installs what they need.

One browser and one service serve them all: both take seconds to start."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import clips
import pytest
from live_page import AXE, DESKTOP, PHONE, Inspector, LivePage, Opener
from selenium import webdriver
from selenium.webdriver.chrome.service import Service as Driver
from services import Service

FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",  # 64 MB in a container
    "--autoplay-policy=no-user-gesture-required",
    "--use-fake-device-for-media-stream",
)
LOGS = {"browser": "ALL"}


@pytest.fixture(scope="session")
def axe() -> str:
    """Return the script of axe-core, or an empty one."""
    return AXE.read_text("utf-8") if AXE.is_file() else ""


@pytest.fixture
def inspect(axe: str) -> Inspector:
    """Return what looks at the page as it stands: a screenshot and axe-core, on desktop and phone, light and dark."""

    def inspected(page: LivePage, name: str) -> None:
        for size, device in ((DESKTOP, "desktop"), (PHONE, "phone")):
            page.resize(size)
            for theme in ("light", "dark"):
                page.prefer(color_scheme=theme, reduced_motion="reduce")
                page.until(f"document.documentElement.dataset.theme === '{theme}'")
                page.picture(f"{name}-{device}-{theme}")
                found = page.audit(axe) if axe else []
                assert not found, f"{name}, {device}, {theme}: axe-core finds\n" + "\n".join(found)
            assert page.value("document.documentElement.scrollWidth <= innerWidth"), f"{name}: wider than a {device}"
        page.resize(DESKTOP)
        page.prefer(color_scheme="light", reduced_motion="no-preference")

    return inspected


@pytest.fixture(scope="session")
def camera(tmp_path_factory: pytest.TempPathFactory) -> clips.Camera:
    return clips.Camera(tmp_path_factory.mktemp("camera"))


@pytest.fixture(scope="session")
def open_browser(chromium: tuple[str, str]) -> Opener:
    """Return a context manager that opens a browser with further flags and logs, and closes it."""

    @contextmanager
    def opened(*flags: str, downloads: Path | None = None, logs: dict[str, str] = LOGS) -> Iterator[webdriver.Chrome]:
        options = webdriver.ChromeOptions()
        options.binary_location = chromium[0]
        for flag in (*FLAGS, *flags):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", logs)
        if downloads:
            options.add_experimental_option("prefs", {"download.default_directory": str(downloads)})
        browser = webdriver.Chrome(options=options, service=Driver(executable_path=chromium[1]))
        try:
            yield browser
        finally:
            browser.quit()

    return opened


@pytest.fixture(scope="session")
def downloads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("downloads")


@pytest.fixture(scope="session")
def browser(open_browser: Opener, camera: clips.Camera, downloads: Path) -> Iterator[webdriver.Chrome]:
    """Return a browser whose camera is `camera`."""
    with open_browser(f"--use-file-for-fake-video-capture={camera.path}", downloads=downloads) as browser:
        yield browser


@pytest.fixture(scope="session")
def service(chromium: tuple[str, str]) -> Iterator[Service]:
    service = Service().start()
    yield service
    service.stop()


@pytest.fixture
def page(browser: webdriver.Chrome, service: Service, camera: clips.Camera) -> Iterator[LivePage]:
    """Return the page, just opened, the camera allowed; at the end its console must be clean."""
    camera.show(clips.one_face)
    page = LivePage(browser, service.address)
    page.prefer(color_scheme="light", reduced_motion="no-preference")
    page.resize(DESKTOP)
    page.open()
    browser.set_permissions("camera", "granted")
    yield page
    complaints = page.complaints()
    if browser.current_url.startswith("http"):
        page.run("localStorage.clear()")
    browser.get("about:blank")
    assert not complaints
