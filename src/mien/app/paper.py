"""What ``mien paper`` does: the trials of the protocol, then the page."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.progress import Progress

import mien
from mien.app.compare import sequence_rows
from mien.app.demo import astronaut_photo
from mien.core.errors import DatasetError
from mien.core.labels import EXPRESSIONS
from mien.engine.results.writer import make_folder
from mien.lab.compare import interval_text, rows_done
from mien.lab.datasets import (
    FaceDataset,
    draw_paper_set,
    ferplus_majority,
    find_data,
    load_ck48,
    load_fer2013,
)
from mien.lab.paper import Book, write_book, write_set
from mien.lab.protocol import Outcome, Trial, run_trials, trials

QUICK_SEEDS, QUICK_EPOCHS, QUICK_FACES, FACES = 1, 0.1, 2, 12


def rebuild_paper(
    data: Path | None, out: Path, compared: Path, console: Console, *, seeds: int = 10, quick: bool = False
) -> Path:
    """Train what the paper trains, measure it, and write one page about all of it.

    Parameters
    ----------
    data : Path or None
        Directory of FER2013, FER+ and CK+48; by default ``MIEN_DATA``.
    out : Path
        Folder for ``paper.html``, ``paper.json``, the set (``set/``, ``set.csv``, ``manifest.json``) and ``trials/``; a
        stopped run in it goes on.
    compared : Path
        Folder of ``mien compare``, whose nets stand in Table 1; it may be missing.
    console : Console
        Where progress is shown, if it is a terminal.
    seeds : int
        Draws of the paper's set, from seed 0.
    quick : bool
        One seed, splits at random and a tenth of the epochs, in ``quick/`` of the folder: a look, no result.

    Returns
    -------
    Path
        The page.

    Raises
    ------
    DatasetError, MissingExtraError, OutputError
        Before any work.
    """
    files = find_data(data)
    sources = [files.need(name) for name in ("fer2013", "ferplus", "ck48")]
    photo, ck48 = astronaut_photo(), load_ck48(sources[2])
    fer2013 = load_fer2013(*sources[:2])
    out = out / "quick" if quick else out
    make_folder(out)
    chosen = draw_paper_set(ck48, fer2013, seed=0)
    write_set(chosen, sources, out)
    looked_at = doubly_labeled(fer2013.of_split("PublicTest"))
    asked = asked_trials(seeds, quick=quick)
    outcomes: list[Outcome] = []
    with Progress(console=console, disable=not console.is_terminal, transient=True) as bar:
        task = bar.add_task("training", total=len(asked))
        for outcome in run_trials(asked, data, out / "trials", epochs_share=QUICK_EPOCHS if quick else 1.0):
            outcomes.append(outcome)
            bar.advance(task)
    book = Book(
        photo=photo,
        faces=mien.analyze(photo, landmarks=True),
        chosen=chosen,
        looked_at=looked_at,
        outcomes=outcomes,
        per_class=QUICK_FACES if quick else FACES,
        compared={row["name"]: interval_text(row["accuracy"]) for row in rows_done(compared)} | sequence_rows(compared),
        is_quick=quick,
    )
    return write_book(book, out)


def asked_trials(seeds: int, *, quick: bool) -> list[Trial]:
    """Return the trials of these seeds; for a quick look those of one seed that are split at random."""
    if quick:
        return [trial for trial in trials(range(QUICK_SEEDS)) if trial.by == "random"]
    return trials(range(seeds))


def doubly_labeled(faces: FaceDataset) -> FaceDataset:
    """Return the faces whose label is the majority of FER+: `default` was taught both.

    Raises
    ------
    DatasetError
        If an expression has none.
    """
    assert faces.votes is not None
    chosen = faces[faces.labels == ferplus_majority(faces.votes)]
    counts = chosen.class_counts()
    for name in EXPRESSIONS:
        if counts[name] == 0:
            raise DatasetError(
                f"no face of PublicTest is {name} by FER2013 and FER+ both: expected at least one of each"
            )
    return chosen
