"""A report that is written with the results: it keeps their rows until all are there."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from mien.app.report.places import check_place
from mien.core.errors import MissingExtraError
from mien.core.model import ModelCard
from mien.core.types import FrameResult, Row, columns
from mien.engine.results import Table
from mien.engine.results.writer import Writer


class Report(Writer):
    """Takes frames, and becomes a report when it is closed.

    Parameters
    ----------
    out : Path
        A page (``.html``) or a folder.
    header : dict
        That of the run, from :func:`~mien.engine.results.table_header`.
    card : ModelCard
    has_faces : bool
        Whether faces are shown at the apexes of events.
    failures : sequence of str
        A line for each source that could not be read, or not to its end; filled by the time that it is closed.

    Raises
    ------
    OutputError, OptionError
        If the place cannot be written.
    MissingExtraError
        If plotly or pyarrow is not installed.
    """

    def __init__(
        self, out: Path, header: Row, card: ModelCard, *, has_faces: bool, failures: Sequence[str] = ()
    ) -> None:
        try:
            import plotly  # noqa: F401 - before the work, not after it
        except ImportError as error:
            raise MissingExtraError("plotly", "mien[analysis]") from error
        check_place(out)
        self._out, self._card, self._has_faces, self._failures = out, card, has_faces, failures
        self._folder = tempfile.TemporaryDirectory(prefix="mien-report-")
        self._rows = Path(self._folder.name) / "rows.parquet"
        self._table = Table(self._rows, header | {"columns": list(columns(tuple(header["labels"])))})
        self._frames = 0

    def write(self, result: FrameResult) -> None:  # noqa: D102
        self._table.write(replace(result, faces=replace(result.faces, features=None, feature_names=())))
        self._frames += 1

    def close(self) -> None:  # noqa: D102
        from mien.app.report.writing import write_report

        with self._folder:
            self._table.close()
            if self._frames:
                out, faces, unread = self._out, self._has_faces, self._failures
                write_report([self._rows], out, has_faces=faces, card=self._card, unread=unread)
