"""The calls of fer's README, timed: ``PYTHON fer_readme.py PHOTO ANSWERS``, run by ``realtime.py --fer PYTHON``.

Needs fer and what comes with it, nothing of mien. Prints one line of JSON. fer 25.10 has no ``from fer import FER``,
which its README begins with: the class is taken from where all versions have it. Peak memory needs Linux.
"""

import json
import sys
import time
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path


def main() -> None:
    """Answer a photo several times; print faces found, milliseconds of each answer, and peak memory."""
    photo, answers = sys.argv[1], int(sys.argv[2])
    detector = import_module("fer.fer").FER(mtcnn=False)
    picture = import_module("cv2").imread(photo)
    faces, times_ms = 0, []
    for _ in range(answers):
        start = time.perf_counter()
        faces = len(detector.detect_emotions(picture))
        times_ms.append(1000 * (time.perf_counter() - start))
    figures = {"version": _version(), "faces": faces, "times_ms": times_ms, "peak_mb": _peak_mb()}
    print("\n" + json.dumps(figures))  # its libraries print too, not always with an end of line


def _version() -> str:
    try:
        return version("fer")
    except PackageNotFoundError:
        return ""


def _peak_mb() -> float:
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:"))


if __name__ == "__main__":
    main()
