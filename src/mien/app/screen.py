"""Where the command speaks: answers on standard output, notes on standard error, each in one line."""

from __future__ import annotations

import logging
import os
import re
import sys

from rich.console import Console

# A file may be named "[red].jpg" or ":smile:.png": nothing that is printed is markup.
screen = Console(markup=False, emoji=False, highlight=False)
notes = Console(stderr=True, markup=False, emoji=False, highlight=False)

_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def printable(text: str) -> str:
    r"""Return a text as one line: what a terminal would obey, or could not show, is escaped.

    Examples
    --------
    >>> printable("two\nlines.jpg")
    'two\\nlines.jpg'
    """
    return _UNPRINTABLE.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def counted(number: int, one: str, many: str) -> str:
    """Return a number with its noun.

    Examples
    --------
    >>> counted(1, "person", "people"), counted(1200, "person", "people")
    ('1 person', '1,200 people')
    """
    return f"{number:,} {one if number == 1 else many}"


def complain(line: str, *, style: str = "red") -> None:
    """Print one line on standard error."""
    notes.print(f"mien: {printable(line)}", style=style, soft_wrap=True)


def settle() -> None:
    """Empty standard output; what it does not take goes nowhere, or Python would complain when it ends."""
    if sys.stdout is None:  # closed by whoever started us
        return
    try:
        sys.stdout.flush()
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


class NoteHandler(logging.Handler):
    """Shows what the library logs as the command shows its own notes; a progress bar stays whole."""

    def emit(self, record: logging.LogRecord) -> None:  # noqa: D102
        complain(record.getMessage(), style="yellow")
