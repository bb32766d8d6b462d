"""The command ``mien batch``."""

from __future__ import annotations

from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mien.app.cli.base import (
    CODES,
    SOME_FAILED,
    Baseline,
    Detector,
    Every,
    Features,
    Landmarks,
    Model,
    Smoothing,
    app,
    ended_by_signal,
)
from mien.app.screen import complain, counted, notes, screen
from mien.core.errors import MissingExtraError, OptionError

if TYPE_CHECKING:
    from mien.app.batch.job import Engine
    from mien.app.batch.tasks import Plan

MOST_LINES = 10  # of errors; the table has all


class EngineName(StrEnum):
    """What does the work."""

    local = "local"
    ray = "ray"


@app.command(epilog=CODES)
def batch(
    sources: Annotated[
        list[str],
        typer.Argument(help="Pictures, videos, folders, globs, lists (.txt, .csv), URLs as s3://bucket/folder."),
    ],
    out: Annotated[
        str, typer.Option("--out", metavar="DIR", help="Folder of the data set; a stopped or killed run in it goes on.")
    ],
    engine: Annotated[
        EngineName, typer.Option("--engine", help="local: processes here; ray: Ray Data, here or on a cluster.")
    ] = EngineName.local,
    address: Annotated[
        str | None,
        typer.Option("--address", help="Of a Ray cluster; sources and DIR must be the same paths on all its machines."),
    ] = None,
    workers: Annotated[
        int | None, typer.Option("--workers", min=1, help="Processes; by default one for each core.")
    ] = None,
    gpus: Annotated[
        float,
        typer.Option("--gpus", min=0, max=1, help="Share of a GPU for each worker of Ray; needs onnxruntime-gpu."),
    ] = 0.0,
    retry: Annotated[bool, typer.Option("--retry", help="Read inputs again that had an error.")] = False,
    every: Every = 0.0,
    smoothing: Smoothing = 0.3,
    detector: Detector = "auto",
    model: Model = "default",
    landmarks: Landmarks = False,
    features: Features = False,
    why: Annotated[bool, typer.Option("--why", help="Tell the part of each region in the answer as columns.")] = False,
    baseline: Baseline = 0.0,
) -> None:
    """Read an archive into a Parquet data set; each input exactly once, whatever is killed.

    The same command goes on where it was. Inputs that are new or have changed are read, all others are not read again.
    """
    _need_batch()
    if address is not None and engine is not EngineName.ray:
        raise OptionError(f"--address {address}: is of a Ray cluster: give --engine ray too")
    if gpus and engine is not EngineName.ray:
        raise OptionError(f"--gpus {gpus:g}: are given out by Ray: give --engine ray too")
    if "://" in out or not out.strip("./"):
        raise OptionError(f"--out {out}: expected a folder of its own; on a cluster one that all machines see")
    from mien.app.analysis import Options
    from mien.app.batch.job import run_batch
    from mien.engine.measuring import Asked

    asked = Asked(landmarks, features, why, baseline)
    options = Options(detector=detector, smoothing_s=smoothing, every_s=every, asked=asked)
    with ended_by_signal():
        opened = partial(_engine, engine, address=address, workers=workers, gpus=gpus)
        outcome = run_batch(sources, Path(out).absolute(), model, options, opened, notes, retry=retry, on_gpu=gpus > 0)
        for line in outcome.failures[:MOST_LINES]:
            complain(line)
        if len(outcome.failures) > MOST_LINES:
            complain(f"and {len(outcome.failures) - MOST_LINES} more errors: all are in {Path(out) / 'errors'}")
        screen.print(
            f"{out}: {counted(outcome.sources, 'source', 'sources')} ({outcome.read:,} read now), "
            f"{counted(outcome.frames, 'frame', 'frames')}, {counted(outcome.faces, 'face', 'faces')}, "
            f"{outcome.hours:.2f} hours of video, {counted(len(outcome.failures), 'error', 'errors')}",
            soft_wrap=True,
        )
        if outcome.stopped:
            complain("stopped: what was read by then is kept, the same command goes on")
            raise KeyboardInterrupt
    if outcome.failures:
        raise typer.Exit(SOME_FAILED)


def _need_batch() -> None:
    try:
        import filelock  # noqa: F401
        import fsspec  # noqa: F401
        import pyarrow  # noqa: F401
    except ImportError as error:
        raise MissingExtraError(error.name or "a package", "mien[analysis]") from error


def _engine(
    name: EngineName, plan: Plan, scratch: Path, *, address: str | None, workers: int | None, gpus: float
) -> Engine:
    from mien.app.batch.tasks import Session

    if name is EngineName.ray:
        from mien.app.batch.ray_engine import RayEngine

        return RayEngine(partial(Session, plan), workers=workers, address=address, gpus=gpus)
    from mien.app.batch.local import Pool
    from mien.engine.processes import cores

    return Pool(partial(Session, plan, scratch), workers or cores())
