"""Numbers as people read them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from mien.app.screen import printable

JOINT = "\u00a0"  # at which no line breaks
_BACKSLASH = re.compile(r"\\(?!u[0-9a-f]{4})")  # of Windows; a name that is no text holds bytes as \udce9


def clock(time_s: float) -> str:
    """Return a time of a video as a player shows it.

    Examples
    --------
    >>> clock(61.26), clock(36000)
    ('1:01.3', '10:00:00')
    """
    tenths = round(time_s * 10)
    hours, rest = divmod(tenths, 36_000)
    minutes, rest = divmod(rest, 600)
    if hours:
        return f"{hours}:{minutes:02d}:{rest // 10:02d}"
    return f"{minutes}:{rest // 10:02d}.{rest % 10}"


def length(seconds: float) -> str:
    r"""Return a length of time.

    Examples
    --------
    >>> length(2.96), length(75), length(36000)
    ('3.0\xa0s', '1\xa0min 15\xa0s', '10\xa0h 0\xa0min')
    """
    if seconds < 60:
        return f"{seconds:.1f}{JOINT}s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    large, small = ((hours, "h"), (minutes, "min")) if hours else ((minutes, "min"), (rest, "s"))
    return f"{large[0]}{JOINT}{large[1]} {small[0]}{JOINT}{small[1]}"


def percent(share: float) -> str:
    r"""Return a share in percent; what is there is never 0, what is missing never 100.

    Examples
    --------
    >>> percent(0.124), percent(0.001), percent(0.999), percent(0), percent(1)
    ('12\xa0%', '<\xa01\xa0%', '>\xa099\xa0%', '0\xa0%', '100\xa0%')
    """
    if 0 < share < 0.005:
        return f"<{JOINT}1{JOINT}%"
    if 0.995 <= share < 1:
        return f">{JOINT}99{JOINT}%"
    return f"{100 * share:.0f}{JOINT}%"


def shown(source: str) -> str:
    """Return a source as one line that every screen shows."""
    return printable(source)


def short_names(sources: Iterable[str]) -> dict[str, str]:
    r"""Return for each path or URL its last parts, as few as tell it from the others.

    Examples
    --------
    >>> short_names(["films/talk.mp4", "camera:0"])
    {'films/talk.mp4': 'talk.mp4', 'camera:0': 'camera:0'}
    >>> list(short_names(["/films/d1/talk.mp4", "/films/d2/talk.mp4", "talk.mp4"]).values())
    ['d1/talk.mp4', 'd2/talk.mp4', 'talk.mp4']
    >>> list(short_names([r"C:\films\talk.mp4", r"/films/caf\udce9.mp4"]).values())
    ['talk.mp4', 'caf\\udce9.mp4']
    """
    paths = {source: _BACKSLASH.sub("/", source).rstrip("/").split("/") for source in sources}
    ends = {source: ["/".join(parts[-count:]) for count in range(1, len(parts) + 1)] for source, parts in paths.items()}
    counts = Counter(end for some in ends.values() for end in some)
    return {
        source: shown(next((end for end in some if end and counts[end] == 1), source)) for source, some in ends.items()
    }


def clipped_names(names: Sequence[str], most: int = 20) -> list[str]:
    """Return names that are short enough for a figure, of as many letters as it takes to tell them apart.

    Examples
    --------
    >>> clipped_names(["the-long-name-of-d1/a-film.mp4", "the-long-name-of-d2/a-film.mp4"])
    ['the-long-n…1/a-film.mp4', 'the-long-n…2/a-film.mp4']
    """
    different = len(set(names))
    lengths = range(most, max(map(len, names), default=most))
    most = next(
        (some for some in lengths if len({clipped(name, some) for name in names}) == different), max(lengths.stop, most)
    )
    return [clipped(name, most) for name in names]


def clipped(name: str, most: int = 20) -> str:
    """Return a name that is short enough for a figure, its middle left out.

    Examples
    --------
    >>> clipped("a-very-long-name-of-a-film.mp4")
    'a-very-lo…a-film.mp4'
    """
    if len(name) <= most:
        return name
    return f"{name[: most // 2 - 1]}…{name[-(most - most // 2) :]}"
