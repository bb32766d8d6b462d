"""What all that is written has in common: the shape of writers, files that are whole or not there, folders."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from mien.core.errors import OutputError
from mien.core.types import FrameResult

STDOUT = "-"


class Writer(ABC):
    """Something that takes the results of frames and ends as files."""

    @abstractmethod
    def write(self, result: FrameResult) -> None:
        """Add one frame.

        Raises
        ------
        OutputError
            If it cannot be written, as when the disk is full.
        OptionError
            If the frame has other columns than the table, or no picture to draw on.
        """

    @abstractmethod
    def close(self) -> None:
        """Complete what was written and put it in its place."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


@contextmanager
def as_output_error(path: str | Path, *kinds: type[Exception]) -> Iterator[None]:
    """Turn what the system or a library says about a path into one line."""
    expected: tuple[type[Exception], ...] = (OSError, *kinds)
    try:
        yield
    except expected as error:
        reason = getattr(error, "strerror", None) or " ".join(str(error).split()) or type(error).__name__
        name, cure = str(path), "the folder must exist, have room, and be yours to write to"
        if name == STDOUT:
            name, cure = "standard output", "lead it where there is room"
        raise OutputError(f"{name}: cannot be written ({reason}): {cure}") from error


class PartialFile:
    """A file beside the place that it takes in the end; refuses a place that cannot be written at once.

    Parameters
    ----------
    path : path_like

    Attributes
    ----------
    partial : Path
        What to write to.
    is_whole : bool
        Whether all that was written arrived; what is not whole never takes its place.
    """

    def __init__(self, path: str | Path) -> None:
        self._given = path
        self.is_whole = True
        self.path = Path(path).resolve()
        self.partial = self.path.with_name(f".{self.path.name}.partial")
        # A device would be replaced by a plain file, a folder cannot be.
        if self.path.exists() and not self.path.is_file():
            raise OutputError(f"{path}: is there and is no plain file: name a file")
        with as_output_error(path):
            self.partial.write_bytes(b"")

    @contextmanager
    def writing(self, *kinds: type[Exception]) -> Iterator[None]:
        """Turn what goes wrong into one line, as :func:`as_output_error` does; the file is not whole then."""
        try:
            with as_output_error(self._given, *kinds):
                yield
        except OutputError:
            self.is_whole = False
            raise

    def cut(self, length: int) -> None:
        """Cut the file, which nobody has open, back to its first bytes, which are whole."""
        with as_output_error(self._given):
            os.truncate(self.partial, length)
        self.is_whole = True

    def finish(self, *, keep: bool) -> None:
        """Put the file in its place, or remove it and leave what is there; what is not whole is removed."""
        with as_output_error(self.path):
            if keep and self.is_whole:
                self.partial.replace(self.path)
            else:
                self.partial.unlink(missing_ok=True)


def make_folder(path: Path) -> None:
    """Make a folder and those above it, where they are not there yet.

    Raises
    ------
    OutputError
        If it is a file, or cannot be made.
    """
    if path.is_file():
        raise OutputError(f"{path}: is a file: expected a folder, there or new")
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


def write_whole(path: Path, text: str) -> None:
    """Write a text file, UTF-8, that takes its place only when it is whole.

    Raises
    ------
    OutputError
        If the place cannot be written.
    """
    with whole_file(path) as partial:
        partial.write_text(text, encoding="utf-8")
