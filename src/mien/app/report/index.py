"""The page of an archive: what was seen in all sources, each with a link to its own page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from urllib.parse import quote

import numpy as np

from mien.app.report import figures, parts
from mien.app.report.batches import DoubleArray, Run
from mien.app.report.seen import Seen
from mien.app.report.timeline import Strip
from mien.app.report.words import length, percent, shown
from mien.app.screen import counted
from mien.core.labels import UNCERTAIN
from mien.core.model import ModelCard
from mien.core.types import IntArray
from mien.lab.page import Markup, Section, page

SIDE_BY_SIDE = 40  # videos that have a strip: the longest
PICTURES = 500  # rows of their table


@dataclass(frozen=True, eq=False)
class Entry:
    """What an archive's page says of one source.

    Parameters
    ----------
    source : str
    name : str
        Its short name, which no other source has.
    run : Run
    file : str
        Name of its own page; empty for a picture, which has none.
    length_s, with_face : float
        Seconds, and the share of them in which a face was in view.
    faces, people, events : int
        Counts.
    answers : (K + 1,) ndarray of int64
        How often each label, and after them ``uncertain``, was the answer.
    strip : Strip
    span_s : tuple of float
        When the first frame begins and the last one ends, in seconds.
    notices : tuple of str
    """

    source: str
    name: str
    run: Run
    file: str
    length_s: float
    with_face: float
    faces: int
    people: int
    events: int
    answers: IntArray
    strip: Strip
    span_s: tuple[float, float]
    notices: tuple[str, ...]

    @classmethod
    def of(cls, seen: Seen, name: str, file: str) -> Entry:
        """Return what is kept of a source."""
        return cls(
            seen.source,
            name,
            seen.run,
            file,
            seen.length_s,
            seen.with_face,
            seen.faces,
            len(seen.people),
            len(seen.events),
            seen.answers,
            seen.timeline.course().coarser(figures.STRIP_COLUMNS),
            (seen.first_s, seen.end_s),
            tuple(seen.notices),
        )

    @property
    def shares(self) -> DoubleArray:
        """Share of the answers of each label, and after them ``uncertain``, (K + 1,)."""
        return np.asarray(self.answers / max(self.faces, 1), np.float64)


def index_page(
    entries: Sequence[Entry], cards: Sequence[tuple[Run, ModelCard | None]], unread: Sequence[str], title: str
) -> str:
    """Return the page of an archive.

    Parameters
    ----------
    entries : sequence of Entry
        One for each source.
    cards : sequence of (Run, ModelCard or None)
        The runs that read them, each with its model's card where that is known.
    unread : sequence of str
        A line for each source and file that could not be read.
    title : str
    """
    labels = tuple(dict.fromkeys(label for entry in entries for label in entry.run.labels))
    videos = [entry for entry in entries if entry.file]
    pictures = [entry for entry in entries if not entry.file]
    plots = parts.Plots()
    sections = [_in_short(entries, videos, unread)]
    if videos:
        sections += [_videos(videos), _side_by_side(videos, labels, plots)]
    sections += [_shares(entries, videos, labels, plots)]
    if pictures:
        sections += [_pictures(pictures)]
    if unread or any(entry.notices for entry in entries):
        sections += [_problems(entries, unread)]
    sections += [parts.limits(card, run) for run, card in cards]
    lead = f"Facial expressions in {counted(len(entries), 'source', 'sources')}. {parts.NOT_FEELINGS}"
    return page(title, lead, sections, head=parts.head(has_figures=plots.count > 0))


def _in_short(entries: Sequence[Entry], videos: Sequence[Entry], unread: Sequence[str]) -> Section:
    section = Section("In short")
    if unread:
        section.html(
            parts.notices([f"{counted(len(unread), 'input', 'inputs')} could not be read in full: see below."])
        )
    facts: dict[str, tuple[str, str]] = {}
    faces = sum(entry.faces for entry in entries)
    if videos:
        total_s = sum(entry.length_s for entry in videos)
        with_face_s = sum(entry.with_face * entry.length_s for entry in videos)
        facts["videos"] = (f"{len(videos):,}", f"together {length(total_s)}")
        facts["a face in view"] = (percent(with_face_s / total_s) if total_s else "", "of their time")
        facts["people"] = (f"{sum(entry.people for entry in videos):,}", "by their ids, in each video anew")
        facts["events"] = (f"{sum(entry.events for entry in videos):,}", "expressions other than neutral")
    if len(videos) < len(entries):
        facts["pictures"] = (f"{len(entries) - len(videos):,}", "")
    unsure = sum(int(entry.answers[-1]) for entry in entries)
    facts["uncertain"] = (percent(unsure / faces) if faces else "", f"of {counted(faces, 'answer', 'answers')}")
    return section.html(parts.facts(facts))


def _videos(videos: Sequence[Entry]) -> Section:
    columns = ("video", "length", "in view", "people", "events", "answers", "most frequent", "uncertain")
    rows = [
        (
            Markup(f'<a href="{escape(quote(video.file))}" title="{escape(shown(video.source))}">'
                   f"{escape(video.name)}</a>"),
            length(video.length_s),
            percent(video.with_face),
            f"{video.people:,}",
            f"{video.events:,}",
            parts.bar(video.shares.tolist(), video.run.labels),
            _top(video),
            percent(float(video.shares[-1])),
        )
        for video in videos
    ]  # fmt: skip
    return Section("Videos").table(columns, rows, words=("answers", "most frequent"))


def _top(entry: Entry) -> Markup | str:
    name = figures.leading(entry.answers, entry.run.labels)
    return parts.chip(name) if name else "no face"


def _side_by_side(videos: Sequence[Entry], labels: tuple[str, ...], plots: parts.Plots) -> Section:
    section = Section("Side by side")
    chosen = sorted(videos, key=lambda video: -video.length_s)[:SIDE_BY_SIDE]
    strips = [
        Strip(v.strip.starts_s - v.span_s[0], v.strip.width_s, _aligned(v, v.strip.answers, labels)) for v in chosen
    ]
    rows = [(video.name, strip) for video, strip in zip(chosen, strips, strict=True)]
    figure = figures.strips(rows, labels, (0.0, max(video.length_s for video in chosen)), None)
    section.html(parts.key([*labels, UNCERTAIN]))
    caption = (
        "The most frequent answer of all faces over time, from the first frame of each video; blank without a face."
    )
    if len(videos) > len(chosen):
        caption += f" The {len(chosen)} longest of {len(videos):,}."
    table = Section("").table(("video", *labels, UNCERTAIN), [_told(video, labels) for video in chosen])
    alternative = f"A strip for each of {counted(len(chosen), 'video', 'videos')}, colored by the most frequent answer"
    plots.put(section, figure, caption, alternative=alternative, table=table)
    return section


def _aligned(entry: Entry, answers: IntArray, labels: tuple[str, ...]) -> IntArray:
    """Return counts of answers in the columns of all labels of the archive, and after them ``uncertain``."""
    wide = np.zeros((*answers.shape[:-1], len(labels) + 1), np.int64)
    wide[..., [*(labels.index(label) for label in entry.run.labels), len(labels)]] = answers
    return wide


def _told(entry: Entry, labels: tuple[str, ...]) -> tuple[object, ...]:
    answers = _aligned(entry, entry.answers, labels)
    return (entry.name, *(percent(float(count) / max(entry.faces, 1)) for count in answers))


def _shares(entries: Sequence[Entry], videos: Sequence[Entry], labels: tuple[str, ...], plots: parts.Plots) -> Section:
    section = Section("Shares")
    total = np.array([_aligned(entry, entry.answers, labels) for entry in entries]).sum(axis=0)
    if not total.sum():
        return section.text("No face was found in any source.")
    rows = [("all faces", total / total.sum())]
    if len(videos) < len(entries) and videos:
        groups = {"videos": videos, "pictures": [entry for entry in entries if not entry.file]}
        for name, group in groups.items():
            counts = np.array([_aligned(entry, entry.answers, labels) for entry in group]).sum(axis=0)
            rows.append((name, counts / max(int(counts.sum()), 1)))
    names = (*labels, UNCERTAIN)
    told = ", ".join(f"{name} {percent(float(share))}" for name, share in zip(names, rows[0][1], strict=True))
    cells = [(name, *(percent(float(value)) for value in values)) for name, values in rows]
    section.html(parts.key(names))
    plots.put(
        section,
        figures.shares(rows, labels),
        "How often each answer was given, by the number of faces: long videos count for more.",
        alternative=f"Shares of the answers: {told}",
        table=Section("").table(("", *names), cells),
    )
    return section


def _pictures(pictures: Sequence[Entry]) -> Section:
    section = Section("Pictures")
    rows = [(_named(entry), f"{entry.faces:,}", _answers(entry)) for entry in pictures[:PICTURES]]
    section.table(("picture", "faces", "answers"), rows, words=("answers",))
    if len(pictures) > PICTURES:
        section.text(f"and {len(pictures) - PICTURES:,} more, which are counted above.")
    return section


def _named(entry: Entry) -> Markup:
    return Markup(f'<span title="{escape(shown(entry.source))}">{escape(entry.name)}</span>')


def _answers(entry: Entry) -> str:
    names = (*entry.run.labels, UNCERTAIN)
    counts = zip(names, entry.answers.tolist(), strict=True)
    told = [name if count == 1 else f"{count} {name}" for name, count in counts if count]
    return ", ".join(told) or "no face"


def _problems(entries: Sequence[Entry], unread: Sequence[str]) -> Section:
    section = Section("What could not be read, and notes")
    lines = [shown(line) for line in unread]
    lines += [f"{entry.name}: {notice}" for entry in entries for notice in entry.notices]
    section.listing(lines[:PICTURES])
    if len(lines) > PICTURES:
        section.text(f"and {len(lines) - PICTURES:,} more.")
    return section
