"""A report in Chromium: it asks nobody, fits wide and narrow screens, and reads on paper."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator

import pytest
from made_results import video, write, write_clip
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

from mien.app.report.writing import write_report

FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars")
FIGURES = "return document.querySelectorAll('.js-plotly-plot .main-svg').length"


@pytest.fixture(scope="module")
def browser(chromium: tuple[str, str]) -> Iterator[webdriver.Chrome]:
    """Return a browser that logs what it asks for."""
    options = webdriver.ChromeOptions()
    options.binary_location = chromium[0]
    for flag in FLAGS:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    opened = webdriver.Chrome(options=options, service=Service(chromium[1]))
    try:
        yield opened
    finally:
        opened.quit()


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("pages")
    write_clip(folder / "talk.mp4")
    return write_report([write(folder / "scene.jsonl", video())], folder / "report.html").page.as_uri()


def see(browser: webdriver.Chrome, page: str, width: int, scheme: str = "light") -> None:
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    browser.get(page)


def test_it_asks_nobody_and_has_no_error(browser: webdriver.Chrome, page: str) -> None:
    see(browser, page, 1000)
    assert browser.execute_script(FIGURES) > 6
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]  # type: ignore[no-untyped-call]
    asked = [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]
    assert {url.split(":", 1)[0] for url in asked} <= {"file", "data", "blob"}
    assert page in asked
    assert browser.get_log("browser") == []  # type: ignore[no-untyped-call]


@pytest.mark.parametrize("width", [400, 1400])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_the_screen_and_its_letters_stand_out(
    browser: webdriver.Chrome, page: str, width: int, scheme: str
) -> None:
    see(browser, page, width, scheme)
    assert browser.execute_script("return document.documentElement.scrollWidth") == width
    wider = (
        "return [...document.querySelectorAll('.main-svg')].filter(s => s.getBoundingClientRect().right > innerWidth)"
    )
    assert browser.execute_script(wider) == []
    fills = "return [...document.querySelectorAll('.y2tick text, .ytick text')].map(t => getComputedStyle(t).fill)"
    ink = "rgb(28, 32, 36)" if scheme == "light" else "rgb(232, 234, 237)"
    assert set(browser.execute_script(fills)) == {ink}


def test_on_paper_figures_are_as_wide_as_the_page(browser: webdriver.Chrome, page: str) -> None:
    see(browser, page, 1400, "dark")
    printed = browser.execute_cdp_cmd("Page.printToPDF", {"paperWidth": 8.27, "paperHeight": 11.7})
    assert base64.b64decode(printed["data"]).startswith(b"%PDF")
    browser.execute_script("dispatchEvent(new Event('beforeprint'))")
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print", "features": []})
    size = {"width": 680, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    boxes = browser.execute_script(
        "return [...document.querySelectorAll('.plot')].map(p => {"
        " const svg = p.querySelector('.main-svg').getBoundingClientRect(), all = p.getBoundingClientRect();"
        " return [svg.right <= all.right + 1, all.height - svg.height < 60] })"
    )
    assert len(boxes) == 6
    assert all(all(box) for box in boxes)
    assert browser.execute_script("return getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
