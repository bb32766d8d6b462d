"""What stands on the pages, and that nothing on them is markup but what we wrote."""

from __future__ import annotations

import json
import re
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import pytest
from made_results import HAPPY, NEUTRAL, frame, picture, seen_in, video, write, write_archive

from mien.app.report import figures
from mien.app.report.parts import card_of
from mien.app.report.seen import Seen
from mien.app.report.video import EVENTS, video_page
from mien.app.report.writing import write_report
from mien.core.errors import DatasetError, OptionError, OutputError
from mien.engine.drawing.colors import COLORS
from mien.engine.recognizer import load
from mien.lab.page import Markup, Section, page

SCRIPT = "<script>alert(1)</script>.mp4"
VOID = {"meta", "img", "br"}


class Read(HTMLParser):
    """What a browser would see of a page: text, tags, scripts; fails where a tag is not closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.words: list[str] = []
        self.feed(text)
        assert self.open == []
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] != ["style"]:
            (self.scripts if self.open[-1:] == ["script"] else self.words).append(data)

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(autouse=True)
def _without_plotly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out plotly.js, which is most of a page and not ours to test."""
    monkeypatch.setattr(figures, "script", lambda: "")


def read(seen: Seen) -> Read:
    return Read(video_page(seen, card_of(seen.run), {}))


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Seen:
    (one,) = seen_in(write(tmp_path_factory.mktemp("scene") / "scene.jsonl", video()))
    return one


def test_a_page_tells_who_was_seen_what_happened_and_what_was_unsure(seen: Seen) -> None:
    text = read(seen).text
    for told in (
        "length 6.0 s 60 frames",
        "people 3",
        "a face in view 67 % longest gap 1.5 s",
        "events 2",
        "The most frequent answers were happy (40 %), surprise (20 %), neutral (20 %).",
        "1 stretch of a second or more, together 1.5 s",
        "0:03.0 0:04.5 1.5 s",
        "10 of 50 answers, 20 %, were uncertain",
        "0:01.0 0:01.0 0:02.9 1 happy 90 % 90 %",
        "2 0:04.5 0:05.4 0.9 s 10 uncertain 100 %",
        "Answers are expressions that a face shows, not what someone feels.",
        "Not for inferring emotions at work",
    ):
        assert told in text, told


def test_every_figure_has_words_and_a_table(seen: Seen) -> None:
    found = read(seen)
    plots = [one for one in found.of("figure") if one["class"] == "plot"]
    named = [one for one in found.of("div") if one.get("role") == "img"]
    assert len(plots) == len(named) == found.text.count("This figure as a table") == 6
    assert all(one["aria-label"] for one in named)


def test_it_is_one_page_that_fetches_nothing(seen: Seen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    text = video_page(seen, None, {})
    found = Read(text)
    assert not [one for one in found.of("script") if one.get("src")]
    assert not found.of("link")
    assert {one["href"][:1] for one in found.of("a") if one["href"]} == {"#"}
    assert sum("plotly.js v" in script[:200] for script in found.scripts) == 1


def test_colors_are_those_that_are_drawn(seen: Seen) -> None:
    text = video_page(seen, None, {})
    for label in (*seen.run.labels, "uncertain"):
        red, green, blue = COLORS[label]
        assert f"background:#{red:02x}{green:02x}{blue:02x}" in text


def test_names_are_never_markup(tmp_path: Path) -> None:
    results = [*video(source=SCRIPT), *video(source='"><img src=x onerror=1>.mp4'), picture("</style><b>.jpg", "sad")]
    written = write_report([write(tmp_path / "all.jsonl", results)], tmp_path / "out")
    assert written.pages == 3
    for path in (tmp_path / "out").iterdir():
        text = path.read_text("utf-8")
        assert "<script>alert" not in text
        found = Read(text)
        assert "x" not in [one.get("src") for one in found.of("img")]
        assert not found.of("b")
        if path.name == "index.html":
            assert SCRIPT.split("/")[-1] in found.text
            assert "style><b>.jpg" in found.text


def test_strange_names_are_shown(tmp_path: Path) -> None:
    results = video(source="two\nlines-\udcff.mp4")
    write_report([write(tmp_path / "strange.jsonl", results)], tmp_path / "strange.html")
    assert "two\\nlines-\\udcff.mp4" in (tmp_path / "strange.html").read_text("utf-8")


def test_a_video_without_any_face(tmp_path: Path) -> None:
    (nobody,) = seen_in(write(tmp_path / "nobody.csv", video([(30, {})])))
    found = read(nobody)
    assert "No face was found." in found.text
    assert "0:00.0 0:03.0 3.0 s" in found.text
    assert not found.scripts


def test_one_frame_and_a_picture(tmp_path: Path) -> None:
    (one,) = seen_in(write(tmp_path / "one.jsonl", [frame(0, {1: HAPPY})]))
    assert not one.is_still
    assert "The most frequent answer was happy" in read(one).text
    (still,) = seen_in(write(tmp_path / "still.jsonl", [picture("a.jpg", "happy", "sad")]))
    assert still.is_still
    assert "faces 2" in read(still).text


def test_many_people_and_events_are_cut_short_and_counted(tmp_path: Path) -> None:
    scene = [part for number in range(1, 41) for part in ((5, {number: HAPPY}), (12, {}))]
    (crowd,) = seen_in(write(tmp_path / "crowd.jsonl", video(scene)))
    assert len(crowd.events) == 40
    text = read(crowd).text
    assert f"The {EVENTS} with the highest peaks" in text
    assert "Of 40 people, the 24 who were seen longest" in text


def test_of_a_model_that_is_not_at_hand_the_page_says_so(tmp_path: Path) -> None:
    path = write(tmp_path / "other.jsonl", video())
    path.write_text(path.read_text("utf-8").replace('"sha256": "', '"sha256": "0', 1), "utf-8")
    (seen,) = seen_in(path)
    assert card_of(seen.run) is None
    assert "whose card is not at hand" in read(seen).text


def test_an_archive_has_the_card_of_its_model(tmp_path: Path) -> None:
    archive = write_archive(tmp_path / "set", video())
    card = json.loads(load().card.to_json()) | {"limits": "Only for <cats>."}
    (archive / "manifest.json").write_text(json.dumps({"model": {"name": "default", "card": card}}), "utf-8")
    page = write_report([archive], tmp_path / "cats.html").page.read_text("utf-8")
    assert "Only for &lt;cats&gt;." in page
    (archive / "manifest.json").write_text("{}", "utf-8")
    assert "Not for inferring" in write_report([archive], tmp_path / "cats.html").page.read_text("utf-8")


def test_an_archive_links_its_pages_and_counts_its_pictures(tmp_path: Path) -> None:
    results = [*video(source="a/talk.mp4"), *video(source="b/Talk.mp4"), picture("one.jpg", "happy", "happy", "sad")]
    written = write_report([write_archive(tmp_path / "set", results)], tmp_path / "out")
    assert (written.page, written.pages, written.failures) == (tmp_path / "out" / "index.html", 3, [])
    index = Read((tmp_path / "out" / "index.html").read_text("utf-8"))
    links = [one["href"] for one in index.of("a") if not str(one["href"]).startswith("#")]
    assert links == ["Talk.mp4.html", "talk.mp4-2.html"]
    for link in links:
        back = Read((tmp_path / "out" / str(link)).read_text("utf-8"))
        assert "index.html" in [one["href"] for one in back.of("a")]
    for told in ("videos 2 together 12.0 s", "pictures 1", "one.jpg 3 2 happy, sad", "uncertain 19 % of 103 answers"):
        assert told in index.text, told


def test_sources_of_one_name_are_told_apart_everywhere(tmp_path: Path) -> None:
    folder = tmp_path / "films"
    results = [part for name in ("d1", "d2") for part in video(source=f"{folder}/{name}/talk.mp4")]
    results += [picture(f"{folder}/{name}/a.jpg", "sad") for name in ("d1", "d2")]
    results += [picture(f"{folder}/d1/only.jpg", "sad")]
    for index, path in enumerate((write_archive(tmp_path / "set", results), write(tmp_path / "all.csv", results))):
        out = tmp_path / f"out-{index}"
        write_report([path], out)
        page = (out / "index.html").read_text("utf-8")
        index_text = Read(page).text
        for name in ("d1/talk.mp4", "d2/talk.mp4"):
            assert index_text.count(name) >= 3, name  # table, strip, the strip's table
            own = Read((out / f"{name.replace('/', '-')}.html").read_text("utf-8"))
            assert own.text.startswith(f"{name} {name}")  # title and heading
        for name in ("d1/a.jpg", "d2/a.jpg", "only.jpg"):
            assert f">{name}</span>" in page
        assert str(folder) not in index_text


def test_an_archive_tells_what_is_missing(tmp_path: Path) -> None:
    one = write(tmp_path / "one.jsonl", video(source="one.mp4"))
    one.write_bytes(one.read_bytes()[:-10])
    two = write(tmp_path / "two.jsonl", video(source="two.mp4"))
    written = write_report([one, two, tmp_path / "gone.csv"], tmp_path / "out")
    assert len(written.failures) == 2
    text = Read((tmp_path / "out" / "index.html").read_text("utf-8")).text
    assert "2 inputs could not be read in full" in text
    assert "gone.csv: cannot be read" in text
    assert "one.mp4: one.jsonl breaks off at row 70" in text


def test_models_with_other_labels_stand_in_one_archive(tmp_path: Path) -> None:
    path = tmp_path / "calm.csv"
    lines = ["source,frame,time_s,track_id,face,x1,y1,x2,y2,score,expression,confidence,calm,happy"]
    lines += [f"calm.mp4,{i},{i / 10},1,0,0,0,60,60,1,calm,0.75,0.75,0.25" for i in range(20)]
    path.write_text("\n".join(lines) + "\n", "utf-8")
    scene = write(tmp_path / "scene.jsonl", video())
    text = Read(write_report([path, scene], tmp_path / "out").page.read_text("utf-8")).text
    assert "calm.mp4 0 % 0 % 0 % 0 % 0 % 0 % 0 % 0 %" not in text
    assert "a model that these results do not name" in text
    assert re.search(r"all faces 29 % 29 % 0 % 0 %", text)  # calm, happy


def test_a_page_is_for_one_source_and_a_folder_for_any(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = write(tmp_path / "one.jsonl", video())
    two = write(tmp_path / "two.jsonl", [*video(), picture("a.jpg", "sad")])
    with pytest.raises(OptionError, match="several sources"):
        write_report([two], tmp_path / "two.html")
    assert not (tmp_path / "two.html").exists()
    assert write_report([one], tmp_path / "folder").page == tmp_path / "folder" / "index.html"
    monkeypatch.chdir(tmp_path)
    assert write_report([one]).page == Path("report.html")
    assert write_report([two]).page == Path("report/index.html")


def test_a_place_that_cannot_be_written_is_refused_and_nothing_is_lost(tmp_path: Path) -> None:
    results = write(tmp_path / "one.jsonl", video())
    (tmp_path / "file").write_text("mine", "utf-8")
    for out in (tmp_path / "no" / "page.html", tmp_path / "file" / "pages"):
        with pytest.raises(OutputError, match="cannot be written"):
            write_report([results], out)
    with pytest.raises(OptionError, match=r"expected one like report\.html"):
        write_report([results], tmp_path / "report.pdf")
    (tmp_path / "old.html").write_text("mine", "utf-8")
    with pytest.raises(DatasetError):
        write_report([tmp_path / "gone.jsonl"], tmp_path / "old.html")
    assert (tmp_path / "old.html").read_text("utf-8") == "mine"
    assert (tmp_path / "file").read_text("utf-8") == "mine"


def test_a_reader_may_be_a_person_with_one_face_all_along(tmp_path: Path) -> None:
    (calm,) = seen_in(write(tmp_path / "calm.jsonl", video([(30, {1: NEUTRAL})])))
    text = read(calm).text
    assert "No expression other than neutral lasted" in text
    assert "There is no stretch of a second or more without any face." in text
    assert "No answer was uncertain." in text


def test_sections_take_markup_and_fold() -> None:
    inside = Section("").table(("word", "n"), [(Markup("<i>a</i>"), 1)], words=("word",))
    text = page("t", "l", [Section("s").folded("<more>", inside).html(Markup("<hr>"))], head=Markup("<style></style>"))
    assert "<details><summary>&lt;more&gt;</summary>" in text
    assert '<th scope="col" class="text">word</th>' in text
    assert '<td class="text"><i>a</i></td><td>1</td>' in text
    assert "<hr>" in unescape(text)
