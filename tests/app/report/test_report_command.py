"""``mien report``, and ``mien analyze --report``."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from footage import write_photo
from made_results import video, write, write_clip

from mien.app import cli

FACE = '<img src="data:image/jpeg;base64,'


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "scene.jsonl", video())
    write_clip(tmp_path / "talk.mp4")
    return tmp_path


def run(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr(sys, "argv", ["mien", *words])
    with pytest.raises(SystemExit) as done:
        cli.main()
    assert isinstance(done.value.code, int)
    return done.value.code


def test_it_writes_a_page_and_says_where(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "report", "scene.jsonl") == 0
    assert capsys.readouterr().out == "report.html\n"
    assert FACE in (folder / "report.html").read_text("utf-8")


def test_no_faces_shows_none(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(monkeypatch, "report", "scene.jsonl", "--no-faces", "--out", "plain.html") == 0
    text = (folder / "plain.html").read_text("utf-8")
    assert FACE not in text
    assert "not where it was" not in text


def test_exit_codes(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch, "report", "scene.jsonl", "gone.csv", "--out", "some.html") == 1
    assert (folder / "some.html").exists()
    assert "gone.csv: cannot be read" in capsys.readouterr().err
    for words in (["gone.csv"], ["scene.jsonl", "--out", "no/where.html"], ["scene.jsonl", "--out", ""]):
        assert run(monkeypatch, "report", *words) == 2
        assert len(capsys.readouterr().err.splitlines()) == 1


def test_without_plotly_the_extra_is_named_before_any_work(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in [name for name in sys.modules if name.startswith(("plotly", "mien.app.report."))]:
        monkeypatch.delitem(sys.modules, name)
        if name.startswith("mien"):
            monkeypatch.delattr(name)
    monkeypatch.setitem(sys.modules, "plotly", None)
    for words in (["report", "scene.jsonl"], ["analyze", "talk.mp4", "--report", "talk.html"]):
        assert run(monkeypatch, *words) == 2
        assert capsys.readouterr().err == "mien: plotly is not installed: pip install 'mien[analysis]'\n"
    assert not (folder / "talk.html").exists()


def test_analyze_writes_the_report_of_what_it_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["analyze", "talk.mp4", "--detector", "whole", "--features", "--csv", "talk.csv", "-q"]
    assert run(monkeypatch, *words, "--report", "talk.html") == 0
    text = (folder / "talk.html").read_text("utf-8")
    assert "60 frames" in text
    assert FACE in text
    assert run(monkeypatch, *words[:4], "-q", "--blur-faces", "--report", "talk.html") == 0
    assert FACE not in (folder / "talk.html").read_text("utf-8")
    assert [path.name for path in folder.iterdir() if path.name.startswith(".")] == []


def test_analyze_writes_a_folder_of_several(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_photo(folder / "photo.png")
    words = ["analyze", "talk.mp4", "photo.png", "--detector", "whole", "-q", "--report"]
    assert run(monkeypatch, *words, "pages") == 0
    assert sorted(path.name for path in (folder / "pages").iterdir()) == ["index.html", "talk.mp4.html"]
    for place, reason in {
        "one.html": "2 sources",
        "-": "standard output",
        "no/one.txt": "no name for a report",
    }.items():
        assert run(monkeypatch, *words, place) == 2
        assert reason in capsys.readouterr().err
