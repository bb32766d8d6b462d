"""The command that asks whether groups are read alike: ``mien audit``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mien.app.cli.base import CODES, Model, app, ended_by_signal
from mien.app.screen import complain, notes, screen


@app.command(epilog=CODES)
def audit(
    folder: Annotated[Path, typer.Argument(help="Labeled faces, happy/1.jpg; of train and test, test is read.")],
    groups: Annotated[
        Path, typer.Option("--groups", help="CSV: file, a column for each grouping, and subject if people are known.")
    ],
    model: Model = "default",
    reference: Annotated[
        list[str] | None,
        typer.Option("--reference", metavar="COLUMN=GROUP", help="Compare with this group instead of the rest."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Write a report (HTML, Markdown, JSON) with its figures here.")
    ] = None,
) -> None:
    """Measure whether a net reads groups of labeled faces alike, and which differences chance does not explain.

    Labels may be biased themselves, and what is not found may be there: the report says what could be seen.
    """
    from mien.app.audit import audit_faces
    from mien.app.audit.showing import audit_tables

    with ended_by_signal():
        done = audit_faces(folder, groups, model, reference or [], out, notes)
    for line in done.notes:
        complain(line, style="yellow")
    for part in audit_tables(done):
        screen.print(part, soft_wrap=isinstance(part, str))
    if out is not None:
        screen.print(f"written to {out}", soft_wrap=True)
