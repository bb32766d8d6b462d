"""The page of one video or picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

import numpy as np

from mien.app.report import figures, parts
from mien.app.report.seen import Seen
from mien.app.report.timeline import EDGE, Course
from mien.app.report.words import clock, length, percent, short_names, shown
from mien.app.screen import counted
from mien.core.labels import UNCERTAIN
from mien.core.model import ModelCard
from mien.engine.events import Event, TrackSummary
from mien.lab.page import Markup, Section, page

STRIPS, BARS, COURSES = 24, 12, 4  # people who have one: those seen longest
ROWS = 200  # of a table that is folded up
EVENTS = 30  # of one that is not
BINS_TOLD = 40  # rows of the table below a timeline
PAIRS, STRETCHES = 5, 10
UNSURE = 0.5  # share of a bin's answers from which it is told as uncertain


def video_page(
    seen: Seen, card: ModelCard | None, pictures: Mapping[Event, bytes], *, name: str = "", back: str = ""
) -> str:
    """Return the page of one source.

    Parameters
    ----------
    seen : Seen
    card : ModelCard or None
        Of the model that read it, where that is known.
    pictures : mapping of Event to bytes
        Faces at the apexes.
    name : str
        What tells the source from the others of an archive; by default the last part of its path.
    back : str
        Address of the archive's page, where there is one.
    """
    plots = parts.Plots()
    people = sorted(seen.people, key=lambda person: -person.seen_s)
    followed = [person for person in people if person.track_id in seen.timeline.track_ids]
    sections = [_in_short(seen, back)]
    if len(seen.timeline.course()) and seen.length_s:
        sections += [_who(seen, followed, plots), _over_time(seen, followed, plots)]
    if seen.faces:
        sections += [_shares(seen, people, plots)]
    if seen.length_s:
        sections += [_events(seen, pictures), _gaps(seen)]
    sections += [_uncertain(seen, people), parts.limits(card, seen.run)]
    head = parts.head(has_figures=plots.count > 0)
    lead = f"Facial expressions in {shown(seen.source)}. {parts.NOT_FEELINGS}"
    return page(name or short_names([seen.source])[seen.source], lead, sections, head=head)


def _in_short(seen: Seen, back: str) -> Section:
    section = Section("In short")
    if back:
        section.html(Markup(f'<p><a href="{escape(back)}">All sources</a></p>'))
    section.html(parts.notices(seen.notices))
    section.html(parts.facts(_facts(seen)))
    for sentence in _sentences(seen):
        section.text(sentence)
    return section


def _facts(seen: Seen) -> dict[str, tuple[str, str]]:
    if not seen.length_s:
        return {"faces": (f"{seen.faces:,}", ""), "uncertain": (percent(float(seen.shares[-1])), "of the faces")}
    longest = max((gap.length_s for gap in seen.gaps), default=0.0)
    return {
        "length": (length(seen.length_s), counted(seen.frames, "frame", "frames")),
        "people": (f"{len(seen.people):,}", "by their ids"),
        "a face in view": (percent(seen.with_face), f"longest gap {length(longest)}" if longest else "no gap of 1 s"),
        "events": (f"{len(seen.events):,}", "expressions other than neutral"),
        "uncertain": (percent(float(seen.shares[-1])), "of the answers"),
    }


def _sentences(seen: Seen) -> list[str]:
    if not seen.faces:
        return ["No face was found. Either nobody is to be seen, or faces are too small, too dark or turned away."]
    names = (*seen.run.labels, UNCERTAIN)
    order = [index for index in np.argsort(-seen.shares, kind="stable") if seen.shares[index] > 0]
    told = [f"{names[index]} ({percent(float(seen.shares[index]))})" for index in order[:3]]
    sentences = [f"The most frequent {'answers were' if len(told) > 1 else 'answer was'} {', '.join(told)}."]
    if seen.events:
        strongest = max(seen.events, key=lambda event: event.peak)
        sentences.append(
            f"The clearest moment is {strongest.expression} at {clock(strongest.apex_s)}, person {strongest.track_id}, "
            f"with a probability of {percent(strongest.peak)}."
        )
    if seen.small_faces:
        sentences.append(
            f"{percent(seen.small_faces / seen.faces)} of the faces are narrower than 48 pixels, less than the nets "
            "were trained on: take what was read from these with more care."
        )
    return sentences


def _who(seen: Seen, people: Sequence[TrackSummary], plots: parts.Plots) -> Section:
    section = Section("Who was seen, and when")
    chosen = sorted(people[:STRIPS], key=lambda person: (person.first_s, person.track_id))
    rows = [(f"person {person.track_id}", seen.timeline.course(person.track_id)) for person in chosen]
    if len(rows) != 1:
        rows.insert(0, ("all faces", seen.timeline.course()))
    figure = figures.strips(rows, seen.run.labels, (seen.first_s, seen.end_s), seen.gaps)
    section.html(parts.key([*seen.run.labels, UNCERTAIN]))
    width = length(seen.timeline.width_s)
    caption = f"The most frequent answer over time, to within {width}; blank where the person is not in view."
    if len(people) > STRIPS:
        caption += f" Of {len(people):,} people, the {STRIPS} who were seen longest."
    table = Section("").table(*_people_table(people), words=("most frequent",))
    plots.put(section, figure, caption, alternative=_who_in_words(chosen), table=_rest(table, len(people)))
    return section


def _who_in_words(chosen: Sequence[TrackSummary]) -> str:
    if not chosen:
        return "A strip colored by the most frequent answer of all faces"
    told = [f"person {p.track_id} from {clock(p.first_s)} to {clock(p.last_s)}" for p in chosen[:6]]
    return f"A strip for each person, colored by the most frequent answer: {', '.join(told)}"


def _people_table(people: Sequence[TrackSummary]) -> tuple[Sequence[str], list[Sequence[object]]]:
    columns = ("person", "from", "to", "seen", "frames", "most frequent", "share", "uncertain", "changes a minute")
    rows: list[Sequence[object]] = []
    for person in people[:ROWS]:
        top = max(person.shares, key=person.shares.__getitem__)
        pace = "" if person.changes_per_minute is None else f"{person.changes_per_minute:.1f}"
        times = clock(person.first_s), clock(person.last_s), length(person.seen_s), f"{person.frames:,}"
        told = parts.chip(top), percent(person.shares[top]), percent(person.shares[UNCERTAIN])
        rows.append((person.track_id, *times, *told, pace))
    return columns, rows


def _rest(section: Section, count: int) -> Section:
    if count > ROWS:
        section.text(f"and {count - ROWS:,} more: mien analyze --tracks and --events write all of them.")
    return section


def _over_time(seen: Seen, people: Sequence[TrackSummary], plots: parts.Plots) -> Section:
    section = Section("Expressions over time")
    width = length(seen.timeline.width_s)
    section.text(
        f"Each row runs from 0 to 100 %: the mean probability in bins of {width} (line and color), the band from the "
        "10th to the 90th percentile of the frames in a bin (gray), and the apexes of events (dots; of more than "
        f"{figures.APEXES} the highest). Drag to look closer, double-click to go back."
    )
    span_s = (seen.first_s, seen.end_s)
    if len(people) != 1:
        section.heading("All faces together")
        _course(section, seen.timeline.course(), seen, seen.events, plots, "all faces")
    for person in people[:COURSES]:
        name = f"person {person.track_id}"
        if len(people) > 1:
            section.heading(f"Person {person.track_id}, seen for {length(person.seen_s)}")
            span_s = (person.first_s, person.last_s)
        mine = [event for event in seen.events if event.track_id == person.track_id]
        _course(section, seen.timeline.course(person.track_id), seen, mine, plots, name, span_s)
    if len(people) > COURSES:
        section.text(f"The {COURSES} people who were seen longest have a timeline of their own.")
    return section


def _course(
    section: Section,
    course: Course,
    seen: Seen,
    events: Sequence[Event],
    plots: parts.Plots,
    name: str,
    span_s: tuple[float, float] | None = None,
) -> None:
    span_s = span_s or (seen.first_s, seen.end_s)
    labels = seen.run.labels
    figure = figures.courses(course, labels, events, span_s, seen.gaps)
    table = Section("").table(("from", *labels), _course_rows(course), "Mean probability in percent")
    means = (course.mean * course.answers.sum(axis=1, keepdims=True)).sum(axis=0) / course.answers.sum()
    told = ", ".join(f"{label} {percent(float(mean))}" for label, mean in zip(labels, means, strict=True))
    alternative = f"Probability of each expression over time, {name}. Means: {told}"
    plots.put(section, figure, f"Probabilities of {name}.", alternative=alternative, table=table)


def _course_rows(course: Course) -> list[Sequence[object]]:
    count = course.answers.sum(axis=1, keepdims=True)
    span_s = course.starts_s[-1] - course.starts_s[0] + course.width_s
    width_s = max(course.width_s, span_s / BINS_TOLD)
    places = ((course.starts_s - course.starts_s[0]) / width_s + EDGE).astype(np.int64)
    rows: list[Sequence[object]] = []
    for place in np.unique(places):
        mine = places == place
        mean = (course.mean[mine] * count[mine]).sum(axis=0) / count[mine].sum()
        rows.append((clock(course.starts_s[0] + place * width_s), *(f"{100 * value:.0f}" for value in mean)))
    return rows


def _shares(seen: Seen, people: Sequence[TrackSummary], plots: parts.Plots) -> Section:
    section = Section("Shares")
    labels = (*seen.run.labels, UNCERTAIN)
    rows = [("all faces", seen.shares)]
    if len(people) > 1:
        own = [(p, np.array([p.shares[label] for label in labels])) for p in people[:BARS]]
        rows += [(f"person {person.track_id}", values) for person, values in own]
    section.html(parts.key(labels))
    caption = "How often each answer was given: of all faces by number"
    caption += ", of each person by time." if len(rows) > 1 else "."
    if len(people) > BARS:
        caption += f" The {BARS} people who were seen longest."
    cells = [(name, *(percent(float(value)) for value in values)) for name, values in rows]
    top = max(range(len(labels)), key=lambda index: float(seen.shares[index]))
    alternative = (
        f"Bars of the shares of answers; of all faces most are {labels[top]}, {percent(float(seen.shares[top]))}"
    )
    table = Section("").table(("", *labels), cells)
    plots.put(section, figures.shares(rows, seen.run.labels), caption, alternative=alternative, table=table)
    return section


def _events(seen: Seen, pictures: Mapping[Event, bytes]) -> Section:
    section = Section("Events")
    if not seen.events:
        return section.text("No expression other than neutral lasted for 0.2 s.")
    if pictures:
        section.text("Faces at the apex of their event, with the probability there.").html(parts.faces(pictures))
    if len(seen.events) <= EVENTS:
        return section.table(*_event_table(seen.events), words=("expression",))
    clearest = sorted(seen.events, key=lambda event: -event.peak)[:EVENTS]
    section.table(*_event_table(clearest), f"The {EVENTS} with the highest peaks", words=("expression",))
    whole = Section("").table(*_event_table(seen.events), words=("expression",))
    return section.folded(
        f"The first {ROWS}" if len(seen.events) > ROWS else "All of them", _rest(whole, len(seen.events))
    )


def _event_table(events: Sequence[Event]) -> tuple[Sequence[str], list[Sequence[object]]]:
    columns = ("onset", "apex", "offset", "person", "expression", "mean", "peak")
    rows: list[Sequence[object]] = []
    for event in sorted(events, key=lambda event: event.onset_s)[:ROWS]:
        times = clock(event.onset_s), clock(event.apex_s), clock(event.offset_s)
        told = parts.chip(event.expression), percent(event.confidence), percent(event.peak)
        rows.append((*times, event.track_id, *told))
    return columns, rows


def _gaps(seen: Seen) -> Section:
    section = Section("Gaps without a face")
    if not seen.gaps:
        return section.text("There is no stretch of a second or more without any face.")
    total = sum(gap.length_s for gap in seen.gaps)
    section.text(
        f"{counted(len(seen.gaps), 'stretch', 'stretches')} of a second or more, together {length(total)}, "
        f"{percent(total / seen.length_s)} of the time. Nobody was in view there, or no face was found."
    )
    longest = sorted(seen.gaps, key=lambda gap: -gap.length_s)[:STRETCHES]
    rows = [(clock(gap.start_s), clock(gap.end_s), length(gap.length_s)) for gap in longest]
    return section.table(("from", "to", "length"), rows, "The longest first" if len(seen.gaps) > 1 else "")


def _uncertain(seen: Seen, people: Sequence[TrackSummary]) -> Section:
    section = Section("What was uncertain")
    count = int(seen.answers[-1])
    if not count:
        return section.text("No answer was uncertain." if seen.faces else "There was no face to be uncertain about.")
    section.text(f"{count:,} of {seen.faces:,} answers, {percent(count / seen.faces)}, were uncertain.")
    labels = seen.run.labels
    both = np.triu(seen.undecided + seen.undecided.T, 1)
    order = np.argsort(-both, axis=None, kind="stable")[:PAIRS]
    pairs = [(labels[i // len(labels)], labels[i % len(labels)], int(both.flat[i])) for i in order.tolist()]
    rows = [(f"{first} or {second}", f"{n:,}", percent(n / count)) for first, second, n in pairs if n]
    section.table(("between", "answers", "share"), rows, "Between which two most were undecided")
    stretches = sorted(_stretches(seen, people[:STRIPS]), key=lambda row: row[1] - row[2])[:STRETCHES]
    if stretches:
        lines = [(name, clock(start_s), clock(end_s), length(end_s - start_s)) for name, start_s, end_s in stretches]
        section.table(
            ("who", "from", "to", "length"), lines, f"The longest stretches, to within {length(seen.timeline.width_s)}"
        )
    return section


def _stretches(seen: Seen, people: Sequence[TrackSummary]) -> list[tuple[str, float, float]]:
    """Return where most answers of a person were uncertain, for a second or more."""
    found = []
    for person in people:
        course = seen.timeline.course(person.track_id)
        unsure = course.answers[:, -1] > UNSURE * course.answers.sum(axis=1)
        starts_s = course.starts_s[unsure]
        breaks = np.flatnonzero(np.diff(starts_s) > 1.5 * course.width_s) + 1
        for part in np.split(starts_s, breaks):
            if len(part) and part[-1] + course.width_s - part[0] >= 1:
                end_s = min(float(part[-1] + course.width_s), person.last_s)
                found.append((f"person {person.track_id}", float(part[0]), end_s))
    return found
