"""The live page for those who use no mouse, see little, hear it, or want it calm."""

from __future__ import annotations

import itertools
import time
from pathlib import Path
from typing import Any

import clips
import pytest
from live_page import AXE, Inspector, LivePage
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys

CALM_S = 3.5  # the least time between two utterances; measured by timers, which are late by a little
MOST_STOPS = 60

STOPS = """
const wanted = 'a[href], button, select, summary, input, [tabindex]';
const isReached = (part) => part.tabIndex >= 0 && !part.disabled && part.checkVisibility({ visibilityProperty: true });
const name = (part) => part.id || part.className || part.tagName;
"""
FOCUS = (
    STOPS
    + """
const part = document.activeElement;
const style = getComputedStyle(part);
const isSeen = (style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) > 0) || style.boxShadow !== 'none';
return part === document.body ? null : { name: name(part), isSeen, isInside: part.closest('dialog') !== null };
"""
)
ALL_STOPS = STOPS + "return [...document.querySelectorAll(wanted)].filter(isReached).map(name);"

LISTEN = """
window.heard = [];
const region = document.getElementById('live-region');
new MutationObserver(() => window.heard.push({ atS: performance.now() / 1000, text: region.textContent }))
  .observe(region, { childList: true, characterData: true, subtree: true });
"""
MOVING = "document.getAnimations().filter((one) => one.playState === 'running').map((one) => one.constructor.name)"
IS_INSTANT = "[...document.querySelectorAll('*')].every((one) => getComputedStyle(one).transitionDuration === '0s')"


def press(page: LivePage, *keys: str) -> None:
    ActionChains(page.browser).send_keys(*keys).perform()


def focus(page: LivePage) -> dict[str, Any] | None:
    found: dict[str, Any] | None = page.run(FOCUS)
    return found


def focused(page: LivePage) -> str:
    return str(page.value("document.activeElement.id"))


def walk(page: LivePage) -> list[str]:
    """Press Tab from the top of the page to its end; return where it stopped, each place seen to have the focus."""
    page.run("document.body.tabIndex = -1; document.body.focus(); document.body.removeAttribute('tabindex')")
    names: list[str] = []
    for _ in range(MOST_STOPS):
        press(page, Keys.TAB)
        found = focus(page)
        if found is None or found["name"] == (names[0] if names else None):
            return names
        assert found["isSeen"], f"nobody sees the focus on {found['name']}"
        names.append(str(found["name"]))
    raise AssertionError(f"Tab never comes to the end: {names}")


def test_axe_core_is_here(axe: str) -> None:
    if not axe:
        pytest.skip(f"no {AXE}: npm is needed, and sh tests/system.sh; all other tests run without this check")
    assert "axe" in axe


def test_the_start_is_sound(page: LivePage, inspect: Inspector) -> None:
    inspect(page, "start")


def test_a_session_is_sound(page: LivePage, camera: clips.Camera, inspect: Inspector) -> None:
    camera.show(clips.two_faces)
    page.start_camera()
    page.until_faces(2)
    inspect(page, "live")
    page.press("landmarks")
    page.press("why")
    page.until("document.querySelector('.person-why').textContent.includes('%')")
    page.pause()
    page.run("document.getElementById('timeline-table').open = true")
    inspect(page, "paused")


def test_the_dialog_is_sound(page: LivePage, inspect: Inspector) -> None:
    page.start_camera()
    page.until_faces(1)
    page.press("about-open")
    page.until("document.getElementById('about').open")
    inspect(page, "about")


def test_no_width_needs_scrolling_to_the_side(page: LivePage) -> None:
    for view in ("start", "live"):
        if view == "live":
            page.start_camera()
            page.until_faces(1)
        for width in (320, 768, 1024, 2560):
            page.resize((width, 800))
            assert page.value("document.documentElement.scrollWidth <= innerWidth"), f"{view} at {width} pixels"
            page.picture(f"{view}-{width}")


def test_tab_reaches_everything_at_the_start(page: LivePage) -> None:
    everything = page.run(ALL_STOPS)
    assert walk(page) == everything
    assert everything[0] == "skip"
    order = [name for name in everything if name in ("about-open", "start-camera", "choose-file", "about-open-footer")]
    assert order == ["about-open", "start-camera", "choose-file", "about-open-footer"]


def test_tab_reaches_everything_in_a_session(page: LivePage) -> None:
    page.start_camera()
    page.until_faces(1)
    page.until("document.querySelector('.lane-track') !== null")
    page.pause()
    everything = page.run(ALL_STOPS)
    assert walk(page) == everything
    controls = {"pause", "mirror", "landmarks", "why", "camera", "other-file", "stop", "download", "lane-track"}
    assert controls <= set(everything)


def test_the_skip_link_leads_to_the_content(page: LivePage) -> None:
    press(page, Keys.TAB, Keys.ENTER)
    page.until("document.activeElement.id === 'main'")
    press(page, Keys.TAB)
    assert focused(page) == "start-camera"


def test_a_session_by_keys_alone(page: LivePage, camera: clips.Camera) -> None:
    page.run("document.getElementById('start-camera').focus()")
    press(page, Keys.ENTER)
    page.until_state("live")
    assert focused(page) == "stage"
    press(page, Keys.TAB)
    assert focused(page) == "pause"
    press(page, Keys.SPACE)
    page.until_state("paused")
    press(page, Keys.ENTER)
    page.until_state("live")
    press(page, Keys.TAB, Keys.SPACE)
    assert page.part("mirror").get_attribute("aria-pressed") == "false"
    press(page, Keys.TAB, Keys.ENTER)
    assert page.part("landmarks").get_attribute("aria-pressed") == "true"
    page.run("document.getElementById('stop').focus()")
    press(page, Keys.ENTER)
    page.until_state("start")
    assert focused(page) == "start-camera"


def test_a_file_is_chosen_by_keys(page: LivePage) -> None:
    page.run(
        "document.getElementById('file-input').addEventListener('click', (event) => {"
        " event.preventDefault(); window.isAsked = true; })"
    )
    page.run("document.getElementById('choose-file').focus()")
    press(page, Keys.ENTER)
    assert page.value("window.isAsked") is True


def test_what_went_wrong_gets_the_focus(page: LivePage, tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("no picture at all")
    page.choose(path)
    page.until_state("unreadable")
    assert focused(page) == "panel-title"
    press(page, Keys.TAB)
    assert focused(page) == "panel-action"


@pytest.mark.parametrize("opener", ["about-open", "about-open-footer"])
def test_the_dialog_keeps_the_focus_and_gives_it_back(page: LivePage, opener: str) -> None:
    page.run(f"document.getElementById('{opener}').focus()")
    press(page, Keys.ENTER)
    page.until("document.getElementById('about').open")
    for _ in range(6):
        found = focus(page)
        assert found is None or found["isInside"]  # None: the browser's own bar is on the way around
        press(page, Keys.TAB)
    press(page, Keys.ESCAPE)
    page.until("!document.getElementById('about').open")
    assert focused(page) == opener


def test_changes_are_spoken_calmly(page: LivePage) -> None:
    page.run(LISTEN)
    begun_s = time.monotonic()
    page.start_camera()
    page.until("window.heard.some(({ text }) => text.includes('happy'))")
    for name in ("pause", "pause", "pause", "pause"):  # states change faster than anybody listens
        page.press(name)
    page.until("window.heard.length >= 3")
    heard = page.value("window.heard")
    times = [float(one["atS"]) for one in heard]
    assert min(after - before for before, after in itertools.pairwise(times)) >= CALM_S
    assert len(heard) <= 1 + (time.monotonic() - begun_s) / CALM_S
    assert page.value("document.querySelectorAll('[aria-live]:not([aria-live=off]), [role=status]').length") == 1


@pytest.mark.parametrize("wish", ["reduce", "no-preference"])
def test_motion_is_reduced_where_it_is_asked_for(page: LivePage, wish: str) -> None:
    page.prefer(color_scheme="light", reduced_motion=wish)
    page.run("navigator.mediaDevices.getUserMedia = () => new Promise(() => {})")
    page.press("start-camera")
    page.until_state("requesting")
    is_calm = wish == "reduce"
    assert (page.value(MOVING) == []) == is_calm
    assert page.value(IS_INSTANT) == is_calm


def test_dark_and_light(page: LivePage) -> None:
    theme = "document.documentElement.dataset.theme"
    page.prefer(color_scheme="dark")
    page.until(f"{theme} === 'dark'")
    assert page.part("theme-toggle").get_attribute("aria-pressed") == "true"
    assert page.value("localStorage.length") == 0
    page.press("theme-toggle")
    assert page.value(theme) == "light"
    assert page.value("Object.entries(localStorage)") == [["mien-theme", "light"]]
    page.open()
    assert page.value(theme) == "light"  # as it was chosen, whatever the system prefers
    assert page.part("theme-toggle").get_attribute("aria-pressed") == "false"
