"""What ``mien demo`` does: the whole way on a NASA photo and a short video made from it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from rich.console import Console

from mien.app.analysis import Options, Outputs, analyze_sources
from mien.app.summary import summary_table
from mien.core.errors import MediaError, MissingExtraError
from mien.core.types import ByteArray, Faces, FrameResult
from mien.engine.recognizer import load
from mien.engine.results import AnnotatedPicture, AnnotatedVideo
from mien.engine.results.writer import make_folder

RATE, FRAMES = 25, 75
WIDTH, HEIGHT = 640, 360


def run_demo(out: Path, screen: Console, notes: Console) -> None:
    """Make photo and video, read both, print the table, and leave everything in a folder.

    Parameters
    ----------
    out : Path
        Folder; gets ``photo.png``, ``video.mp4``, ``results.jsonl`` and ``annotated/``.
    screen, notes : Console
        For the table, and for progress.

    Raises
    ------
    MissingExtraError
        If scikit-image, whose wheel holds the photo, is not installed.
    OutputError
        If the folder cannot be written.
    MediaError
        If what was made cannot be read.
    """
    photo = astronaut_photo()
    make_folder(out)
    sources = [str(out / "photo.png"), str(out / "video.mp4")]
    with AnnotatedPicture(sources[0]) as picture:
        picture.write(FrameResult(sources[0], 0, 0.0, photo, Faces.empty()))
    with AnnotatedVideo(sources[1]) as video:
        for index, image in enumerate(clip(photo)):
            video.write(FrameResult(sources[1], index, index / RATE, image, Faces.empty()))
    outputs = Outputs(jsonl=out / "results.jsonl", annotate=out / "annotated")
    outcome = analyze_sources(sources, load(), Options(), outputs, notes)
    screen.print(summary_table(outcome.summaries))
    if outcome.failures:
        raise MediaError(outcome.failures[0])
    screen.print(f"\nrows: {outputs.jsonl}\nannotated: {outputs.annotate}", soft_wrap=True)


def clip(photo: ByteArray) -> Iterator[ByteArray]:
    """Yield the frames of three seconds in which the camera comes near, sways, and looks away in the last half second.

    Parameters
    ----------
    photo : (512, 512, 3) ndarray of uint8
        The portrait, RGB.
    """
    for index in range(FRAMES):
        share = index / FRAMES
        zoom = 1.1 + 0.9 * share
        angle = 6 * np.sin(2 * np.pi * share * 2)
        x, y = (224.0, 130.0) if share < 5 / 6 else (470.0, 420.0)
        transform = cv2.getRotationMatrix2D((x, y), float(angle), zoom)
        transform[:, 2] += np.array([WIDTH / 2 - x, HEIGHT / 2 - y])
        moved = cv2.warpAffine(photo, transform, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REPLICATE)
        yield np.asarray(moved, np.uint8)


def astronaut_photo() -> ByteArray:
    """Return NASA's portrait of Eileen Collins, (512, 512, 3) uint8 RGB, from the wheel of scikit-image.

    Raises
    ------
    MissingExtraError
        If scikit-image is not installed.
    """
    try:
        from skimage.data import astronaut
    except ImportError as error:
        raise MissingExtraError("scikit-image", "scikit-image") from error
    photo: ByteArray = np.asarray(astronaut(), np.uint8)  # type: ignore[no-untyped-call]
    return photo
