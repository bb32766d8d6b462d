"""The command from outside: one line and a code for all that can go wrong, a bar where there is a terminal."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from archives import rows_of
from footage import cut, write_photo
from rich.console import Console

from mien.app.batch.progress import Progress
from mien.app.batch.tasks import Told
from mien.app.cli import MISUSE, SOME_FAILED, main


class Ended(NamedTuple):
    """How a run of the command ended."""

    code: object
    out: str
    notes: str


Run = Callable[..., Ended]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """Return what runs ``mien batch`` in this process."""

    def run_batch(*arguments: object) -> Ended:
        monkeypatch.setattr(sys, "argv", ["mien", "batch", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            main()
        out, notes = capfd.readouterr()
        return Ended(end.value.code, out, notes)

    return run_batch


def test_it_sums_up_and_names_what_failed(run: Run, tmp_path: Path) -> None:
    photo, out = write_photo(tmp_path / "photo.jpg"), tmp_path / "set"
    ended = run(photo, "--out", out, "--workers", 1, "--detector", "whole")
    assert ended == (0, f"{out}: 1 source (1 read now), 1 frame, 1 face, 0.00 hours of video, 0 errors\n", "")
    for number in range(12):
        cut(write_photo(tmp_path / "broken" / f"{number:02}.jpg"), 0.5)
    ended = run(photo, tmp_path / "broken", "--out", out, "--workers", 1, "--detector", "whole")
    assert (ended.code, len(ended.notes.splitlines())) == (SOME_FAILED, 11)
    assert f"mien: and 2 more errors: all are in {out / 'errors'}" in ended.notes
    assert "13 sources (12 read now), 1 frame, 1 face" in ended.out
    assert len(rows_of(out, "errors")) == 12
    ended = run(photo, "--out", out, "--every", "1s", "--detector", "whole")
    assert ended.code == MISUSE
    assert "was made with every_s 0.0, not 1.0" in ended.notes


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--out", "s3://bucket/set"), "expected a folder of its own"),
        (("--out", "."), "expected a folder of its own"),
        (("--out", "set", "--address", "auto"), "give --engine ray too"),
        (("--out", "set", "--gpus", "0.5"), "give --engine ray too"),
        (("--out", "set", "--detector", "nobody"), "unknown detector"),
        (("--out", "set", "--model", "nobody"), "no model"),
    ],
)
def test_misuse_is_refused_before_any_work(
    options: tuple[str, ...], said: str, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ended = run("photo.jpg", *options)
    assert (ended.code, ended.notes.count("\n")) == (MISUSE, 1)
    assert said in ended.notes
    assert list(tmp_path.iterdir()) == []


def test_without_the_extra_it_is_named(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fsspec", None)
    ended = run("photo.jpg", "--out", tmp_path / "set")
    assert (ended.code, ended.notes) == (MISUSE, "mien: fsspec is not installed: pip install 'mien[analysis]'\n")


def test_a_bar_tells_files_speed_and_errors() -> None:
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=100)
    with Progress(console) as progress:
        progress.begin(2)
        progress.add(50, None)
        progress.add(0, Told("a.mp4").failed("read", "broken"))
    assert "1/2" in screen.getvalue()
    assert "frames/s, 1 errors" in screen.getvalue()
