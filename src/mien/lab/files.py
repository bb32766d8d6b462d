"""Files that are whole or not there: what was in their place stays until then."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mien.engine.results.writer import PartialFile, as_output_error


def make_folder(path: Path) -> None:
    """Make a folder and those above it, where they are not there yet.

    Raises
    ------
    OutputError
        If it cannot be made.
    """
    with as_output_error(path):
        path.mkdir(parents=True, exist_ok=True)


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give a path beside `path` to write to; it takes its place when the block ends and goes away when it fails.

    Raises
    ------
    OutputError
        If the place cannot be written; at once, before the block has computed for it.
    """
    make_folder(path.parent)
    file = PartialFile(path)
    complete = False
    try:
        with as_output_error(path):
            yield file.partial
        complete = True
    finally:
        file.finish(keep=complete)
