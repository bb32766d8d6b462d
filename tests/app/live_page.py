"""The live page as a person handles it: buttons, files, and what stands there."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from selenium.common.exceptions import TimeoutException
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait

WAIT_S = 30  # for a machine that does much else
GAP_S = 1.0  # without an answer for so long nobody keeps a number
DESKTOP, PHONE = (1440, 900), (360, 740)
PICTURES = Path(__file__).resolve().parents[2] / "out" / "browser"
"""Where screenshots go, to be looked at."""

AXE = Path(sys.prefix) / "node_modules" / "axe-core" / "axe.min.js"

_PEOPLE = """
const bars = (card) => [...card.querySelectorAll('.bar')].map((bar) => [bar.dataset.label, Number(bar.dataset.value)]);
return [...document.querySelectorAll('#people > .person[data-present=true]')].map((card) => ({
  ...card.dataset, words: card.innerText, why: card.querySelector('.person-why').textContent, bars: bars(card),
}))
"""
_AUDIT = """
const done = arguments[0];
const tags = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];
const where = (nodes) => nodes.map((node) => node.html.slice(0, 120)).join(' | ');
const told = ({ id, impact, nodes }) => ({ id, impact, where: where(nodes) });
axe.run(document, { runOnly: tags, resultTypes: ['violations'] }).then(({ violations }) => done(violations.map(told)));
"""
GRAVE = ("serious", "critical")


@dataclass(frozen=True)
class Person:
    """A card of a face."""

    track_id: str
    expression: str
    confidence: float
    box: tuple[float, ...]
    bars: dict[str, float]
    why: str
    words: str


@dataclass
class LivePage:
    """The page of a service in a browser.

    Parameters
    ----------
    browser : Chrome
    address : str
    expected : list of str
        Patterns of what the console may report, since the test brought it about.
    """

    browser: Chrome
    address: str
    expected: list[str] = field(default_factory=list)

    def open(self, path: str = "") -> LivePage:
        self.browser.get(self.address + path)
        self.until("document.readyState === 'complete'")
        return self

    def run(self, script: str, *arguments: object) -> Any:
        return self.browser.execute_script(script, *arguments)

    def value(self, expression: str) -> Any:
        return self.run(f"return {expression}")

    def until(self, condition: str) -> None:
        """Wait for an expression of JavaScript to be true."""
        self.until_true(lambda: bool(self.value(condition)), condition)

    def until_true(self, condition: Callable[[], bool], words: str) -> None:
        try:
            WebDriverWait(self.browser, WAIT_S, poll_frequency=0.1).until(lambda _: condition())
        except TimeoutException:
            raise AssertionError(f"not within {WAIT_S} s: {words}\n{self._situation()}") from None

    def until_state(self, state: str) -> None:
        self.until(f"document.body.dataset.state === {state!r}")

    @property
    def state(self) -> str:
        return str(self.value("document.body.dataset.state"))

    def part(self, name: str) -> WebElement:
        return self.browser.find_element(By.ID, name)

    def press(self, name: str) -> None:
        self.part(name).click()

    def is_visible(self, name: str) -> bool:
        return self.part(name).is_displayed()

    def choose(self, path: Path) -> None:
        """Choose a file, as the dialog of the browser hands it over."""
        self.part("file-input").send_keys(str(path))

    def start_camera(self) -> None:
        self.press("start-camera")
        self.until_state("live")

    def until_faces(self, count: int) -> list[Person]:
        """Wait for so many faces at once, and return their cards."""
        self.until_true(lambda: len(self.people()) == count, f"{count} faces")
        return self.people()

    def people(self) -> list[Person]:
        """Return the cards of the faces in view."""
        return [
            Person(
                track_id=card["trackId"],
                expression=card["expression"],
                confidence=float(card["confidence"]),
                box=tuple(map(float, card["box"].split(","))),
                bars=dict(card["bars"]),
                why=card["why"],
                words=card["words"],
            )
            for card in self.run(_PEOPLE)
        ]

    @property
    def frame(self) -> int:
        return int(self.value("document.getElementById('stage').dataset.frame ?? -1"))

    def until_frames(self, count: int) -> None:
        """Wait for so many answers more."""
        self.until(f"Number(document.getElementById('stage').dataset.frame) >= {self.frame + count}")

    def until_fluent(self, seconds: float) -> None:
        """Wait until answers have come for so long without a gap, which a busy machine makes."""
        since_s = last_s = -1.0

        def is_fluent() -> bool:
            nonlocal since_s, last_s
            time_s = float(self.value("document.getElementById('stage').dataset.timeS ?? -1"))
            if time_s - last_s > GAP_S:
                since_s = time_s
            last_s = time_s
            return last_s - since_s > seconds

        self.until_true(is_fluent, f"answers for {seconds} s without a gap")

    def until_quiet(self) -> None:
        """Wait until no answer has come for a second."""
        frame, since_s = -1, 0.0

        def is_quiet() -> bool:
            nonlocal frame, since_s
            if self.frame != frame:
                frame, since_s = self.frame, time.monotonic()
            return time.monotonic() - since_s > 1

        self.until_true(is_quiet, "no answer for a second")

    def pause(self) -> None:
        self.press("pause")
        self.until_state("paused")
        self.until_quiet()

    @property
    def rows(self) -> int:
        return int(self.value("document.getElementById('row-count').dataset.rows"))

    def resize(self, size: tuple[int, int]) -> None:
        width, height = size
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": size == PHONE}
        self.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    def prefer(self, **features: str) -> None:
        """Set what the system prefers: color_scheme="dark", reduced_motion="reduce"."""
        named = [{"name": f"prefers-{name.replace('_', '-')}", "value": value} for name, value in features.items()]
        self.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": named})

    def picture(self, name: str) -> None:
        """Write a screenshot to look at."""
        PICTURES.mkdir(parents=True, exist_ok=True)
        self.browser.save_screenshot(str(PICTURES / f"{name}.png"))

    def audit(self, axe: str) -> list[str]:
        """Return what axe-core finds serious or critical."""
        if not self.value("'axe' in window"):
            self.run(axe)
        found = self.browser.execute_async_script(_AUDIT)
        return [f"{one['impact']} {one['id']}: {one['where']}" for one in found if one["impact"] in GRAVE]

    def download(self, folder: Path) -> str:
        """Press the button that downloads the rows, and return the text of the file."""
        for old in folder.iterdir():
            old.unlink()
        self.until("!document.getElementById('download').disabled")
        self.press("download")
        self.until_true(lambda: any(folder.glob("mien-*.csv")), "a CSV file among the downloads")
        (path,) = folder.glob("mien-*.csv")
        return path.read_bytes().decode("utf-8")

    def log(self, kind: str) -> list[dict[str, Any]]:
        """Return what a log of the browser has had since it was last asked for."""
        entries: list[dict[str, Any]] = self.browser.get_log(kind)  # type: ignore[no-untyped-call]
        return entries

    def complaints(self) -> list[str]:
        """Return what the console has complained about since it was last asked, but for what was expected."""
        told = [str(entry["message"]) for entry in self.log("browser") if entry["level"] in ("SEVERE", "WARNING")]
        return [text for text in told if not any(re.search(pattern, text) for pattern in self.expected)]

    def _situation(self) -> str:
        shown = self.value("document.body.innerText.slice(0, 400)")
        return f"state {self.state}, frame {self.frame}, console {self.complaints()}, page:\n{shown}"


Opener = Callable[..., AbstractContextManager[Chrome]]
Inspector = Callable[[LivePage, str], None]
