"""Pages that open anywhere."""

from __future__ import annotations

import re
from html.parser import HTMLParser

from matplotlib.figure import Figure

from mien.lab.page import Section, page

VOID = {"meta", "img", "br"}


class Balance(HTMLParser):
    """Fails where a tag is not closed, or closed twice."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)
        self.ids += [value for name, value in attrs if name == "id" and value]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def made() -> str:
    section = Section("Faces & <numbers>").text("a < b").listing(["one", "<two>"]).code("x = '<1>'").heading("More")
    section.table(("name", "value"), [("<b>", 0.5), ("a text that is longer than any figure would be", 1)], "A & B")
    figure = Figure(figsize=(2, 1))
    section.figure(figure, "a caption", alternative='what "it" shows')
    return page("A <title>", "What it is.", [section, Section("Second")])


def test_it_is_one_whole_page() -> None:
    parser = Balance()
    text = made()
    parser.feed(text)
    assert parser.open == []
    assert parser.ids == ["s0", "s1"]
    assert text.startswith("<!doctype html>")


def test_it_needs_no_network_and_no_script() -> None:
    text = made()
    assert "<script" not in text
    assert not re.search(r"(src|href)=\"(?!data:image/png;base64,|#)", text)


def test_text_is_never_markup() -> None:
    text = made()
    for escaped in (
        "A &lt;title&gt;",
        "Faces &amp; &lt;numbers&gt;",
        "&lt;two&gt;",
        "x = &#x27;&lt;1&gt;&#x27;",
        "&lt;b&gt;",
    ):
        assert escaped in text
    assert 'alt="what &quot;it&quot; shows"' in text


def test_long_texts_may_break_and_figures_may_not() -> None:
    text = made()
    assert '<td class="text">a text that is longer' in text
    assert "<td>0.5</td>" in text
