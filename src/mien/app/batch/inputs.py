"""What a batch is to read: folders, globs, lists, URLs of any file system that fsspec knows."""

from __future__ import annotations

import csv
import glob
import os
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from weakref import finalize

import fsspec
from fsspec.implementations.local import LocalFileSystem

from mien.core.errors import MediaError, MienError
from mien.engine.video import expand
from mien.engine.video.pictures import sniff
from mien.engine.video.sources import SUFFIXES, without_secrets

LISTS = (".txt", ".csv")
LIST_COLUMNS = ("source", "path", "file")
MARKS = ("size", "mtime", "LastModified", "ETag", "created", "updated")
"""What file systems tell of a file that changes when it is written."""

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")


@dataclass(frozen=True)
class Input:
    """One file to read.

    Parameters
    ----------
    path : str
        Absolute path or URL: neither name nor identity depend on where the command was given.
    stamp : str
        Changes when the file is written; empty where unknown.
    problem : str
        Why there is nothing to read, in one line; empty where there is.
    """

    path: str
    stamp: str = ""
    problem: str = ""

    @property
    def source(self) -> str:
        """Its name in all tables."""
        return as_text(without_secrets(self.path))


def as_text(text: str) -> str:
    r"""Return a text that UTF-8 can hold: file names may hold bytes that are no text.

    Examples
    --------
    >>> as_text("caf\udce9.jpg")
    'caf\\udce9.jpg'
    """
    return text.encode("utf-8", "backslashreplace").decode()


def one_line(error: BaseException) -> str:
    """Return what an error says as one line; where it says nothing, its kind."""
    text = without_secrets(" ".join(str(error).split()))
    known = isinstance(error, MienError) and text
    return as_text(text if known else f"{type(error).__name__}: {text}" if text else type(error).__name__)


def list_inputs(sources: Iterable[str]) -> list[Input]:
    """Return all that sources stand for, each file once, in the order given.

    Parameters
    ----------
    sources : iterable of str
        Files; folders with all that is in them; globs (``**`` too); lists (.txt: one source a line, ``#`` begins a
        comment; .csv: a column ``source``, ``path`` or ``file``; relative to the list's folder); the same as URLs of
        a file system that fsspec knows: ``s3://``, ``gs://``, ``file://`` ...

    Returns
    -------
    list of Input
        What cannot be listed is one with a problem.

    Raises
    ------
    MienError
        If the package for a kind of URL is not installed.
    """
    found: dict[str, Input] = {}
    for source in sources:
        for entry in _entries(source):
            for one in _expanded(entry):
                found.setdefault(one.source, one)
    return list(found.values())


def names_of(sources: Iterable[str]) -> set[str]:
    """Return the names by which a problem with sources, or with what lists have, is told: all that is asked for."""
    entries = (entry for source in sources for entry in (source, *_entries(source)))
    return {entry.source if isinstance(entry, Input) else _named(entry).source for entry in entries}


def _named(entry: str) -> Input:
    path = entry.removeprefix("file://")
    return Input(path if _URL.match(path) else os.path.abspath(path))  # noqa: PTH100 - as where it is expanded


def _entries(source: str) -> Iterator[str | Input]:
    """Yield what is in a list, or the source itself."""
    path = Path(source)
    if _URL.match(source) or path.suffix.lower() not in LISTS or not _is_file(source):
        yield source
        return
    lines: list[str] = []
    problem = "is an empty list: expected a source"
    try:
        lines = _listed(path)
    except UnicodeDecodeError:
        problem = "is no list in UTF-8: save it as UTF-8"
    except (MediaError, OSError, ValueError, csv.Error) as error:
        problem = f"cannot be read as a list ({one_line(error)})"
    if not lines:
        yield Input(os.path.abspath(source), problem=f"{source}: {problem}")  # noqa: PTH100
    for line in lines:
        yield line if _URL.match(line) else str(path.parent / line)


def _listed(path: Path) -> list[str]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        if path.suffix.lower() == ".txt":
            lines = [line.strip() for line in file]
            return [line for line in lines if line and not line.startswith("#")]
        table = csv.DictReader(file)
        names = {name.strip().lower(): name for name in table.fieldnames or ()}
        name = next((names[name] for name in LIST_COLUMNS if name in names), None)
        if name is None:
            there = ", ".join(names) or "none"
            raise MediaError(f"expected a column {' or '.join(LIST_COLUMNS)}, between commas: it has {there}")
        cells = ((row[name] or "").strip() for row in table)
        return [cell for cell in cells if cell]


def _expanded(entry: str | Input) -> Iterator[Input]:
    if isinstance(entry, Input):
        yield entry
    elif not entry:  # to pathlib it is the current folder
        yield Input("", problem="'': is an empty name: expected a file, a folder, a glob, a list or a URL")
    elif entry.startswith("camera:"):
        yield Input(entry, problem=f"{entry}: has no end: expected files; mien live reads cameras")
    elif _URL.match(entry):
        yield from _of_url(entry)
    else:
        yield from _of_path(entry)


def _of_path(name: str) -> Iterator[Input]:
    path = os.path.abspath(name)  # noqa: PTH100 - links stay as they are: mounts move, names stay
    try:
        if glob.has_magic(path) and not os.path.lexists(path):
            matches = sorted(glob.glob(path, recursive=True))  # noqa: PTH207 - pathlib's shows what is hidden
            files = [match for match in matches if _is_file(match) and _is_media(match)]
        else:
            files = expand(path)
    except (MediaError, ValueError) as error:  # ValueError: a null character
        yield Input(path, problem=one_line(error))
        return
    if not files:
        yield Input(path, problem=f"{name}: matches no picture or video: expected at least one")
    for file in files:
        yield Input(file, _file_stamp(file))


def _is_file(path: str) -> bool:
    return os.path.isfile(path)  # noqa: PTH113 - Path's refuses names that are too long or not to be looked at


def _is_media(path: str) -> bool:
    if Path(path).suffix.lower() in SUFFIXES:
        return True
    try:
        return sniff(path) is not None
    except MediaError:
        return False


def _file_stamp(path: str) -> str:
    try:
        status = os.stat(path)  # noqa: PTH116 - of a million files
    except (OSError, ValueError):
        return ""
    return f"{status.st_size} {status.st_mtime_ns}"


def _of_url(url: str) -> Iterator[Input]:
    try:
        system, path = fsspec.core.url_to_fs(url)
    except ImportError as error:
        raise MienError(f"{without_secrets(url)}: {one_line(error)} (with pip install)") from error
    except ValueError as error:
        yield Input(url, problem=f"{without_secrets(url)}: {one_line(error)}: expected one that fsspec knows")
        return
    if isinstance(system, LocalFileSystem):
        yield from _of_path(path)
        return
    try:
        found = _found(system, path)
    except Exception as error:  # each file system fails in its own way
        yield Input(url, problem=f"{without_secrets(url)}: cannot be listed ({one_line(error)})")
        return
    if not found:
        yield Input(url, problem=f"{without_secrets(url)}: has no picture or video: expected at least one")
    for name, told in sorted(found.items()):
        marks = [str(told[mark]) for mark in MARKS if told.get(mark) is not None]
        yield Input(system.unstrip_protocol(name), " ".join(marks))


def _found(system: Any, path: str) -> dict[str, dict[str, Any]]:
    """Return files and what is told of them, by one listing, not a question for each."""
    if glob.has_magic(path):
        listed = system.glob(path, detail=True)
    else:
        told = system.info(path)
        if told["type"] != "directory":
            return {path: told}
        listed = system.find(path, detail=True)
    is_hidden = re.compile(r"(^|/)\.").search
    return {
        name: told
        for name, told in listed.items()
        if told["type"] == "file" and Path(name).suffix.lower() in SUFFIXES and not is_hidden(name[len(path) :])
    }


def _suffix(url: str) -> str:
    """Return the suffix of a file's name; what a signed address has behind it can be longer than names may be."""
    return Path(url.partition("?")[0]).suffix


class Fetcher:
    """Brings files here, one at a time: a URL's is kept until another is asked for.

    Parameters
    ----------
    folder : Path or None
        Where files are kept meanwhile; None is the system's own for such.

    Attributes
    ----------
    copy : Path or None
        Of the URL that was fetched last.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._url = ""
        self.copy: Path | None = None
        self._remove: Callable[[], object] | None = None

    def local(self, path: str) -> Path:
        """Return where a file is that the system can open.

        Raises
        ------
        MediaError
            If it cannot be fetched.
        """
        if not _URL.match(path):
            return Path(path)
        if self.copy is None or self._url != path:
            self.forget()
            handle, name = tempfile.mkstemp(_suffix(path), "mien-", self._folder)
            os.close(handle)
            self._url, self.copy = path, Path(name)
            # By itself too: nobody closes a session whose process Ray ends.
            self._remove = finalize(self, self.copy.unlink, missing_ok=True)
            try:
                system, place = fsspec.core.url_to_fs(path)
                system.get_file(place, name)
            except Exception as error:  # each file system fails in its own way
                self.forget()
                raise MediaError(f"{without_secrets(path)}: cannot be fetched ({one_line(error)})") from error
        return self.copy

    def forget(self) -> None:
        """Remove what was fetched."""
        if self._remove is not None:
            self._remove()
        self.copy = None
