"""Numbers as people read them."""

from __future__ import annotations

from pathlib import PurePath

from mien.app.screen import printable

JOINT = "\u00a0"  # at which no line breaks


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


def counted(number: int, one: str, many: str) -> str:
    """Return a number with its noun.

    Examples
    --------
    >>> counted(1, "person", "people"), counted(1200, "person", "people")
    ('1 person', '1,200 people')
    """
    return f"{number:,} {one if number == 1 else many}"


def shown(source: str) -> str:
    """Return a source as one line that every screen shows."""
    return printable(source)


def short_name(source: str) -> str:
    """Return the last part of a path or URL.

    Examples
    --------
    >>> short_name("films/talk.mp4"), short_name("camera:0")
    ('talk.mp4', 'camera:0')
    """
    return shown(PurePath(source.replace("\\", "/")).name or source)


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
