"""How far a batch is, where there is a terminal."""

from __future__ import annotations

from typing import Self

import rich.progress
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn

from mien.app.batch.tasks import Told


class Progress:
    """A bar: files done, frames a second, errors, time left.

    Parameters
    ----------
    console : Console
        Nothing is shown where it is no terminal.
    """

    def __init__(self, console: Console) -> None:
        columns = (
            TextColumn("files"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[speed]}"),
            TimeRemainingColumn(),
        )
        self._bar = rich.progress.Progress(
            *columns, console=console, disable=not console.is_terminal, transient=True, speed_estimate_period=600.0
        )
        self._frames = self._errors = 0

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._bar.stop()

    def begin(self, files: int) -> None:
        """Say how many files are to be read."""
        self._task = self._bar.add_task("files", total=files, speed="")

    def add(self, frames: int, told: Told | None) -> None:
        """Count frames that were read, and a source that is done."""
        self._frames += frames
        self._errors += told is not None and bool(told.error)
        seconds = self._bar.tasks[self._task].elapsed or 1.0
        speed = f"{self._frames / seconds:.0f} frames/s, {self._errors} errors"
        self._bar.update(self._task, advance=told is not None, speed=speed)
