"""The command ``mien report``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mien.app.cli.base import CODES, SOME_FAILED, app, ended_by_signal, file_option, place
from mien.app.screen import complain, screen


@app.command(epilog=CODES)
def report(
    results: Annotated[
        list[Path],
        typer.Argument(help="Files written by mien analyze (.jsonl, .csv, .parquet), folders of mien batch."),
    ],
    out: Annotated[
        str | None,
        file_option("--out", "A page (.html) for one source, else a folder; by default report.html or report."),
    ] = None,
    no_faces: Annotated[bool, typer.Option("--no-faces", help="Show no faces, only numbers.")] = False,
) -> None:
    """Write a page on each video, and one on all: who was seen when, expressions over time, events, what is unsure."""
    from mien.app.report.writing import write_report

    with ended_by_signal():
        written = write_report(results, place("--out", out), has_faces=not no_faces)
    for line in written.failures:
        complain(line)
    screen.print(str(written.page), soft_wrap=True)
    if written.failures:
        raise typer.Exit(SOME_FAILED)
