"""What was seen, as a table for people."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.table import Table

from mien.app.screen import printable
from mien.core.types import Faces, FrameResult
from mien.engine.explain import shares_of, worded

MOST_ROWS = 40  # of the printed table; files always hold everything
FEW_ROWS = 5  # so few more are shown: a line that says what is left out saves nothing


@dataclass
class Person:
    """What was seen of one face: of a track in a video, of a row in a still."""

    frames: int = 0
    first_s: float = 0.0
    last_s: float = 0.0
    confidence_sum: float = 0.0
    expressions: Counter[str] = field(default_factory=Counter)
    shares: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))  # sums over frames

    def add(self, time_s: float, face: Faces) -> None:
        """Count one more frame, of which this is the face."""
        if not self.frames:
            self.first_s = time_s
        self.frames, self.last_s = self.frames + 1, time_s
        self.confidence_sum += float(face.confidences[0])
        self.expressions[face.expressions[0]] += 1
        for region, share in shares_of(face).items():
            self.shares[region] += share

    @property
    def why(self) -> str:
        """What made the answers, over all frames."""
        whole = sum(self.shares.values()) or 1.0  # nothing did, or nobody asked
        return worded({region: share / whole for region, share in self.shares.items()})


@dataclass
class Summary:
    """What was seen in one source; a few numbers for each person, however long it is."""

    source: str
    frames: int = 0
    first_s: float = 0.0
    last_s: float = 0.0
    people: dict[int, Person] = field(default_factory=lambda: defaultdict(Person))

    def add(self, result: FrameResult) -> None:
        """Count one more frame."""
        if not self.frames:
            self.first_s = result.time_s
        self.frames, self.last_s = self.frames + 1, result.time_s
        faces = result.faces
        names = range(len(faces)) if faces.track_ids is None else faces.track_ids.tolist()
        for name, face in zip(names, faces, strict=True):
            self.people[name].add(result.time_s, face)


def summary_table(summaries: Sequence[Summary], *, written: Path | None = None) -> Table:
    """Return what was seen as a table for people: a row for each face of a picture and each person of a video.

    Parameters
    ----------
    summaries : sequence of Summary
    written : Path, optional
        File that holds everything, to be named where this table leaves something out.
    """
    table = Table(box=None, header_style="bold", pad_edge=False)
    titles = ["source", "face", "expression", "confidence", "frames", "seen", "why"]
    shared = Counter(Path(summary.source).name for summary in summaries)
    rows = [row for summary in summaries for row in _rows(summary, shared)]
    if not any(why for *_, why in rows):
        titles.remove("why")
    for title in titles:
        table.add_column(
            title, justify="right" if title in ("face", "confidence", "frames") else "left", overflow="fold"
        )
    shown = rows if len(rows) <= MOST_ROWS + FEW_ROWS else rows[:MOST_ROWS]
    for row in shown:
        table.add_row(*row[: len(titles)])
    if len(shown) < len(rows):
        place = f"everything is in {printable(str(written))}" if written else "write them with --csv FILE"
        table.caption = f"and {len(rows) - len(shown)} more rows: {place}"
    return table


def _rows(summary: Summary, shared: Counter[str]) -> Iterator[tuple[str, ...]]:
    last = Path(summary.source).name
    name = printable(last if shared[last] == 1 else summary.source)
    if not summary.people:
        yield name, "", "no face", "", f"0/{summary.frames}", "", ""
    for face, person in sorted(summary.people.items()):
        shares = [f"{label} {count / person.frames:.0%}" for label, count in person.expressions.most_common(2)]
        is_still = summary.frames == 1
        yield (
            name,
            str(face),
            next(iter(person.expressions)) if is_still else ", ".join(shares),
            f"{person.confidence_sum / person.frames:.2f}",
            f"{person.frames}/{summary.frames}",
            "" if is_still else f"{person.first_s:.1f}-{person.last_s:.1f} s",
            person.why,
        )
        name = ""  # a long name on every row hides who is who
