"""What ``mien compare`` does: rows of nets, then the tables."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

import mien
from mien.engine.results.writer import make_folder, write_whole
from mien.lab.compare import COLUMNS, COMMON, PILOT_STEPS, entries, entries_named, rows_done, run_entries, table
from mien.lab.datasets import FOLDS, find_data, load_ck48
from mien.lab.evaluation import accuracy_score, score_text
from mien.lab.page import markdown_table
from mien.lab.protocol import Trial, run_trials, sequence_answers
from mien.lab.sequences import AVERAGED, RECURRENT, answer_sequences

SEQUENCES = "sequences"
"""The name, beside those of the nets, of the rows on CK+48's sequences."""


def compare_nets(
    names: Sequence[str], data: Path | None, out: Path, console: Console, *, minutes: float, processes: int
) -> Path:
    """Train and measure nets, and write ``compare.md`` with every row that the folder holds.

    Parameters
    ----------
    names : sequence of str
        Rows to make, or ``sequences``; all for none.
    data : Path or None
        Directory of FER2013, FER+ and CK+48; by default ``MIEN_DATA``.
    out : Path
        Folder for the table and one JSON file for each row; a stopped run in it goes on.
    console : Console
        Where progress is shown, if it is a terminal.
    minutes : float
        Budget of one thread for the training of each net.
    processes : int
        Nets at a time.

    Returns
    -------
    Path
        The table.

    Raises
    ------
    DatasetError, OptionError, OutputError
        Before any work.
    """
    asked = entries_named([name for name in names if name != SEQUENCES]) if set(names) != {SEQUENCES} else []
    lacks_sequences = (not names or SEQUENCES in names) and not (out / f"{SEQUENCES}.json").exists()
    found = find_data(data)
    for name in ("fer2013", "ck48", "ferplus") if lacks_sequences else ("fer2013",):
        found.need(name)
    with Progress(console=console, disable=not console.is_terminal, transient=True) as bar:
        task = bar.add_task("nets", total=len(asked))
        for _ in run_entries(asked, data, out, minutes=minutes, processes=processes):
            _write(out, minutes)
            bar.advance(task)
    if lacks_sequences:
        _compare_sequences(data, out, processes)
    return _write(out, minutes)


def _compare_sequences(data: Path | None, out: Path, processes: int) -> None:
    make_folder(out)
    answers = answer_sequences(load_ck48(find_data(data).need("ck48")))
    trials = [Trial("ck48", "", "subject", fold) for fold in range(FOLDS)]
    outcomes = list(run_trials(trials, data, out / "trials", processes=processes))
    rows = {
        "transfer: our trunk, first taught FER2013 and FER+, fine-tuned": sequence_answers(outcomes),
        RECURRENT: (answers.recurrent, answers.labels, answers.subjects),
        AVERAGED: (answers.averaged, answers.labels, answers.subjects),
    }
    content = {
        name: score_text(accuracy_score(table, labels, subjects=subjects), percent=True, unit="sequences")
        for name, (table, labels, subjects) in rows.items()
    }
    write_whole(out / f"{SEQUENCES}.json", json.dumps(content, indent=1))


def sequence_rows(out: Path) -> dict[str, str]:
    """Return the rows on CK+48's sequences that a folder holds: what is right of them as text, by name."""
    path = out / f"{SEQUENCES}.json"
    rows: dict[str, str] = json.loads(path.read_text("utf-8")) if path.exists() else {}
    return rows


def _write(out: Path, minutes: float) -> Path:
    done = rows_done(out)
    names = {row["name"] for row in done}
    sources = [f"* `{row['recipe']['architecture']}`: {row['source']}" for row in done]
    reasons = [f"* `{entry.name}`: {entry.why}" for entry in entries() if entry.why and entry.name in names]
    content = [
        "# Nets compared",
        f"`mien compare --data DIR --minutes {minutes:g}`, mien {mien.__version__}. Every net is trained on FER2013 "
        f"`Training`, original labels, with {COMMON.optimizer.capitalize()} at {COMMON.learning_rate:g}, "
        f"{COMMON.schedule} schedule, batches of {COMMON.batch_size}, `{COMMON.augmentation}` augmentation, moving "
        f"average of the weights. The epochs are as many as {PILOT_STEPS} steps beforehand let expect in {minutes:g} "
        "minutes of one thread, at least one; what it came to are the seconds. To convergence: a fixed number. All "
        "begin with random weights: `default` is the architecture of the net that ships, not the net. Every net is "
        "given the crop alone, `fusion` too: [families](families.md) has it with its measures. Temperature is fitted "
        "on `PublicTest`; 95 % bootstrap intervals; ms is onnxruntime, one face, one thread, single precision. One "
        "seed, nothing tuned.",
        markdown_table(COLUMNS, table(done)),
        "## Sources",
        "\n".join([*dict.fromkeys(sources), *reasons]),
    ]
    rows = list(sequence_rows(out).items())
    if rows:
        content += [
            "## Sequences of CK+48",
            "Ten folds by person, seven classes (contempt, no neutral), 327 sequences of three frames; the trunk "
            "never saw a test person; single frames are answered by their mean. Intervals: people drawn anew.",
            markdown_table(("net", "sequences answered right"), rows),
        ]
    path = out / "compare.md"
    write_whole(path, "\n\n".join(content) + "\n")
    return path
