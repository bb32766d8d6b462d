"""The commands that read: ``mien analyze``, ``models``, ``demo``."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated

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
    file_option,
    place,
    time_option,
)
from mien.app.screen import complain, counted, notes, screen
from mien.core.errors import OptionError


@app.command(epilog=CODES)
def analyze(
    sources: Annotated[list[str], typer.Argument(help="Pictures, videos, folders, URLs, or camera:0.")],
    json: Annotated[str | None, file_option("--json", "Write JSON Lines here; - is standard output.")] = None,
    csv: Annotated[str | None, file_option("--csv", "Write CSV here; - is standard output.")] = None,
    parquet: Annotated[str | None, file_option("--parquet", "Write Parquet here.")] = None,
    events: Annotated[
        str | None, file_option("--events", "Write when expressions begin, peak and end (.csv, .jsonl, .parquet).")
    ] = None,
    tracks: Annotated[str | None, file_option("--tracks", "Write a summary of each person (.csv, .jsonl ...).")] = None,
    group: Annotated[
        str | None, file_option("--group", "Write a row a second for all people together (.csv, .jsonl, .parquet).")
    ] = None,
    subtitles: Annotated[str | None, file_option("--subtitles", "Write subtitles of one video (.srt, .vtt).")] = None,
    annotate: Annotated[
        str | None, file_option("--annotate", "Write the annotated picture, video, or folder of them here.")
    ] = None,
    report: Annotated[
        str | None,
        file_option("--report", "Write a page on one source (.html), or a folder of pages, here; shows faces."),
    ] = None,
    blur_faces: Annotated[
        bool, typer.Option("--blur-faces", help="Make faces unrecognizable in every picture written.")
    ] = False,
    landmarks: Landmarks = False,
    features: Features = False,
    regions: Annotated[bool, typer.Option("--regions", help="Draw brows, eyes, nose, mouth and landmarks.")] = False,
    why: Annotated[
        bool, typer.Option("--why", help="Tell the part of each region in the answer: columns, table, drawn.")
    ] = False,
    baseline: Baseline = 0.0,
    start: Annotated[float, time_option("--from", "Read videos from here (90, 1:30).")] = 0.0,
    end: Annotated[float | None, time_option("--to", "Read videos to here.")] = None,
    every: Every = 0.0,
    smoothing: Smoothing = 0.3,
    detector: Detector = "auto",
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
        "--report": report,
    }
    outputs = Outputs(*(place(option, name) for option, name in named.items()))
    is_shown = {"--blur-faces": blur_faces and report is None, "--regions": regions}
    for option, is_given in is_shown.items():
        if is_given and annotate is None:
            raise OptionError(f"{option}: nothing is drawn: name a picture, video or folder with --annotate")
    for option, is_given in {"--landmarks": landmarks, "--features": features}.items():
        if is_given and not (json or csv or parquet):
            raise OptionError(f"{option}: adds columns to no table: name one with --csv, --json or --parquet")
    if end is not None and end <= start:
        raise OptionError(f"--to is {end:g} s: expected more than --from, which is {start:g} s")
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
    with ended_by_signal():
        outcome = analyze_sources(sources, load(model), options, outputs, notes)
        if outcome.summaries and not quiet and not outputs.take_stdout:
            written = next(iter(outputs.tables().values()), None)
            screen.print(summary_table(outcome.summaries, written=written))
        if short := [one.source for one in outcome.summaries if one.last_s - one.first_s < baseline]:
            count = counted(len(short), "source", "sources")
            complain(
                f"--baseline: without effect on {count}, {short[0]} first: expected videos longer than {baseline:g} s",
                style="yellow",
            )
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
def demo(
    out: Annotated[Path, typer.Option("--out", help="Folder for what the demo writes.")] = Path("out/demo"),
) -> None:
    """Read a NASA photo and a short video made from it; needs scikit-image, whose wheel holds the photo."""
    from mien.app.demo import run_demo

    run_demo(out, screen, notes)
