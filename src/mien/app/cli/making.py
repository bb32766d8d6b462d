"""The commands that make and measure nets: ``mien train``, ``evaluate``, ``export``, ``paper``, ``compare`` ..."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mien.app.cli.base import INTERRUPTED, Data, Faces, app, ended_by_signal
from mien.app.screen import notes, screen


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
    if not checkpoint.finished:
        raise typer.Exit(INTERRUPTED)


@app.command()
def evaluate(
    model: Annotated[str, typer.Argument(help="default, fer2013, paper, or a path to an .onnx file.")] = "default",
    data: Faces = None,
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


@app.command("import")
def import_(
    net: Annotated[Path, typer.Argument(help="An .onnx file that somebody else made.")],
    labels: Annotated[str, typer.Option("--labels", help="Of its outputs in their order: neutral,happiness,anger ...")],
    out: Annotated[Path, typer.Option("--out", help="The .onnx file to write.")],
    scale: Annotated[float, typer.Option("--scale", help="What white is to the net, before mean and std.")] = 1.0,
    mean: Annotated[str, typer.Option("--mean", help="Subtracted: one value, or 0.485,0.456,0.406.")] = "0",
    std: Annotated[str, typer.Option("--std", help="Divided by: one value, or 0.229,0.224,0.225.")] = "1",
    side: Annotated[
        int | None, typer.Option("--side", min=8, help="Of a face, px, if the file leaves it open.")
    ] = None,
    name: Annotated[str | None, typer.Option("--name", help="Name on the card; by default the file's.")] = None,
) -> None:
    """Turn somebody else's net into a model file, to run and evaluate it like those of mien."""
    from mien.app.laboratory import import_net

    card = import_net(net, labels, out, scale=scale, mean=mean, std=std, side=side, name=name)
    screen.print(f"{out}: {card.parameters:,} parameters, {', '.join(card.labels)}", soft_wrap=True)


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

    with ended_by_signal():
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

    with ended_by_signal():
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

    with ended_by_signal():
        card = make_landmarks(teacher, data, out, notes, epochs=epochs)
    if card is None:
        screen.print(f"stopped: {out}", soft_wrap=True)
        raise typer.Exit(INTERRUPTED)
    figures = ", ".join(f"{name} {score.value:.4f}" for name, score in card.scores.items())
    screen.print(f"{out / 'landmarks.onnx'}: {figures}", soft_wrap=True)
