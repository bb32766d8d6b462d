"""Where a report goes: a page, or a folder of pages."""

from __future__ import annotations

from pathlib import Path

from mien.core.errors import OptionError
from mien.engine.results.writer import PartialFile, make_folder

INDEX = "index.html"
SUFFIXES = (".html", ".htm")


def is_page(out: Path) -> bool:
    """Return whether a path names a page, not a folder of pages."""
    return out.suffix.lower() in SUFFIXES


def check_place(out: Path) -> None:
    """Refuse a place that cannot be written, before any work.

    Raises
    ------
    OutputError
        If it cannot be written.
    OptionError
        If it is the name of a file of another kind.
    """
    if is_page(out):
        PartialFile(out).finish(keep=False)
    elif out.suffix and not out.is_dir():
        raise OptionError(f"{out}: is no name for a report: expected one like report.html, or a folder")
    else:
        make_folder(out)
        PartialFile(out / INDEX).finish(keep=False)
