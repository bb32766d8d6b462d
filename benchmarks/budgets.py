"""Measures what DESIGN section 8 budgets: install, import, first answer, one face, memory, file sizes.

Run: ``python benchmarks/budgets.py`` (add ``--install`` to make a fresh environment and weigh it; takes minutes).
Writes docs/results/budgets.md.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable
from pathlib import Path

import numpy as np
from skimage.data import astronaut
from tracking import machine

from mien.app.demo import clip
from mien.core.types import ByteArray, Faces, FrameResult
from mien.engine.recognizer import load, model_names
from mien.engine.results import AnnotatedPicture, AnnotatedVideo

ROOT = Path(__file__).resolve().parents[1]
REPEATS = 7

IMPORT = "import time; t = time.perf_counter(); import mien; print(time.perf_counter() - t)"
ANALYZE = "import mien, sys; assert mien.analyze(sys.argv[1]).expressions"
STREAM = """
import mien, sys
for result in mien.stream(sys.argv[1]):
    pass
print(next(int(line.split()[1]) / 1024 for line in open('/proc/self/status') if line.startswith('VmHWM')))
"""


def main() -> None:
    """Measure, print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--install", action="store_true", help="make a fresh environment and weigh it")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        photo, video = _media(Path(folder))
        answer_ms = 1000 * _median(lambda: first_answer_s(photo))
        rows = [
            ("`import mien`, ms", "200", f"{1000 * _median(lambda: float(output_of(IMPORT))):.0f}"),
            ("first answer for one image, cold process, ms", "800", f"{answer_ms:.0f}"),
            ("`default`, one face, one thread, ms", "5", f"{_face_ms():.2f}"),
            ("peak memory of a 720p stream of 1,500 frames, MB", "300", f"{float(output_of(STREAM, str(video))):.0f}"),
        ]
    rows += [(f"`{name}.onnx`, MB", "10", f"{_size_mb(load(name).model.path):.1f}") for name in model_names()]
    if arguments.install:
        rows.insert(0, ("core install beyond an empty environment, MB", "470", f"{_install_mb():.0f}"))
    _write(rows)


def _media(folder: Path) -> tuple[Path, Path]:
    picture: ByteArray = np.asarray(astronaut(), np.uint8)  # type: ignore[no-untyped-call]
    photo, video = folder / "photo.png", folder / "video.mp4"
    with AnnotatedPicture(photo) as writer:
        writer.write(FrameResult("photo", 0, 0.0, picture, Faces.empty()))
    with AnnotatedVideo(video) as writer:
        frames = [np.repeat(np.repeat(frame, 2, axis=0), 2, axis=1) for frame in clip(picture)]
        for index in range(1500):
            writer.write(FrameResult("video", index, index / 25, frames[index % len(frames)], Faces.empty()))
    return photo, video


def output_of(code: str, *arguments: str) -> str:
    """Return what a program prints, run in a fresh process of this Python."""
    return subprocess.run([sys.executable, "-c", code, *arguments], check=True, capture_output=True, text=True).stdout


def first_answer_s(photo: Path) -> float:
    """Return how long a fresh process takes to read a photo, from its start to its end."""
    start = time.perf_counter()
    output_of(ANALYZE, str(photo))
    return time.perf_counter() - start


def _median(measure: Callable[[], float]) -> float:
    return statistics.median(measure() for _ in range(REPEATS))


def _face_ms() -> float:
    recognizer = load("default", threads=1)
    face = [np.random.default_rng(0).integers(0, 256, (48, 48)).astype(np.uint8)]
    times = []
    for _ in range(200):
        start = time.perf_counter()
        recognizer.probabilities(face)
        times.append(time.perf_counter() - start)
    return 1000 * statistics.median(times)


def _install_mb() -> float:
    with tempfile.TemporaryDirectory() as folder:
        environment = Path(folder) / "venv"
        venv.create(environment, with_pip=True)
        before = _size_mb(environment)
        python = environment / ("Scripts" if sys.platform == "win32" else "bin") / "python"
        subprocess.run([python, "-m", "pip", "install", "-q", "--no-compile", str(ROOT)], check=True)
        return _size_mb(environment) - before


def _size_mb(path: Path) -> float:
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file() and not file.is_symlink()]
    return sum(file.stat().st_size for file in files) / 1e6


def _write(rows: list[tuple[str, str, str]]) -> None:
    lines = [
        "# Budgets",
        "",
        f"`python benchmarks/budgets.py --install`; medians of {REPEATS} runs; "
        f"{', '.join(f'{name} {fact}' for name, fact in machine().items())}. The time of a frame is in "
        "[realtime.md](realtime.md).",
        "",
        "| what | budget | measured |",
        "|---|---|---|",
        *(f"| {' | '.join(row)} |" for row in rows),
    ]
    text = "\n".join(lines) + "\n"
    print(text)
    (ROOT / "docs" / "results" / "budgets.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
