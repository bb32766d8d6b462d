"""What sources stand for: each file once, whatever way it is named; what cannot be listed says why."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest
from archives import rows_of, run_here
from footage import HEAD, write_photo

from mien.app.batch.inputs import Fetcher, list_inputs, one_line
from mien.core.errors import MediaError, MienError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b.jpg", "a.png", "deeper/c.mp4", "deeper/.hidden.jpg", ".cache/d.jpg", "notes.txt.md"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"content")
    return tmp_path


@pytest.fixture
def memory(folder: Path) -> Iterator[str]:
    """Return a folder in memory with the same files."""
    system = fsspec.filesystem("memory")
    system.put(str(folder), "/archive", recursive=True)
    yield "memory:///archive"
    system.rm("/archive", recursive=True)


def names(*sources: object) -> list[str]:
    found = list_inputs(map(str, sources))
    assert not [one.problem for one in found if one.problem]
    return [Path(one.path).name for one in found]


def problem(source: object) -> str:
    (one,) = list_inputs([str(source)])
    assert "\n" not in one.problem
    return one.problem


def test_a_folder_stands_for_its_media(folder: Path) -> None:
    assert names(folder) == ["a.png", "b.jpg", "c.mp4"]


def test_globs_stand_for_media_that_is_not_hidden(folder: Path) -> None:
    assert names(folder / "*") == ["a.png", "b.jpg"]
    assert names(folder / "**" / "*") == ["a.png", "b.jpg", "c.mp4"]
    assert names(folder / "*.jp*") == ["b.jpg"]


def test_a_file_whose_name_is_like_a_glob_is_that_file(tmp_path: Path) -> None:
    (tmp_path / "[1].jpg").write_bytes(b"content")
    assert names(tmp_path / "[1].jpg") == ["[1].jpg"]


def test_lists_are_relative_to_their_folder(folder: Path) -> None:
    (folder / "list.txt").write_text("\ufeff# a comment\n\nb.jpg\ndeeper\n*.png\n", "utf-8")
    (folder / "list.csv").write_text('number,source\n1,b.jpg\n2,"deeper/c.mp4"\n3,\n', "utf-8")
    assert names(folder / "list.txt") == ["b.jpg", "c.mp4", "a.png"]
    assert names(folder / "list.csv") == ["b.jpg", "c.mp4"]


def test_a_file_that_is_named_twice_is_there_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    assert names("b.jpg", folder, folder / "deeper" / ".." / "b.jpg", f"file://{folder}/b.jpg") == [
        "b.jpg",
        "a.png",
        "c.mp4",
    ]


def test_urls_of_a_file_system(folder: Path, memory: str) -> None:
    assert [one.path for one in list_inputs([memory])] == [
        f"{memory}/{name}" for name in ("a.png", "b.jpg", "deeper/c.mp4")
    ]
    assert names(f"{memory}/*.jpg", f"{memory}/a.png") == ["b.jpg", "a.png"]
    assert all(one.stamp for one in list_inputs([memory]))
    assert names(f"file://{folder}") == ["a.png", "b.jpg", "c.mp4"]


def test_a_stamp_tells_a_file_that_was_written_anew(folder: Path) -> None:
    (before,) = list_inputs([str(folder / "b.jpg")])
    (folder / "b.jpg").write_bytes(b"another")
    (after,) = list_inputs([str(folder / "b.jpg")])
    assert before.stamp != after.stamp


def test_what_cannot_be_listed_says_why(folder: Path, memory: str) -> None:
    (folder / "list.csv").write_text("who\nb.jpg\n", "utf-8")
    (folder / "bytes.txt").write_bytes(b"\xff\xfe\x00")
    (folder / "empty").mkdir()
    assert "is an empty name" in problem("")
    assert "has no end" in problem("camera:0")
    assert "matches no picture" in problem(folder / "*.webm")
    assert "expected a column" in problem(folder / "list.csv")
    assert "is no list in UTF-8" in problem(folder / "bytes.txt")
    (folder / "none.csv").write_text("source\n", "utf-8")
    assert "is an empty list" in problem(folder / "none.csv")
    (folder / "spaced.csv").write_text("Path, note\n one.png , first\n", "utf-8")
    assert [Path(one.path).name for one in list_inputs([str(folder / "spaced.csv")])] == ["one.png"]
    assert "without pictures" in problem(folder / "empty")
    assert "Protocol not known" in problem("rtsp://me:secret@door/1")
    assert "secret" not in problem("rtsp://me:secret@door/1")
    assert "cannot be listed" in problem("memory:///nothing/here.mp4")
    assert "has no picture" in problem(f"{memory}/*.webm")


def test_a_file_system_whose_package_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(_url: str) -> None:
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr("fsspec.core.url_to_fs", missing)
    with pytest.raises(MienError, match="Install s3fs"):
        list_inputs(["s3://bucket/folder"])


def test_a_missing_file_is_told_where_it_is_read(tmp_path: Path) -> None:
    (one,) = list_inputs([str(tmp_path / "missing.mp4")])
    assert (one.stamp, one.problem) == ("", "")


@pytest.mark.parametrize("name", [300 * "a", 300 * "a" + ".txt", 300 * "a" + "*"])
def test_a_name_that_is_too_long_is_a_problem_or_told_where_it_is_read(name: str, tmp_path: Path) -> None:
    (one,) = list_inputs([str(tmp_path / name)])
    assert one.problem or not one.stamp


def test_two_addresses_of_one_source_are_one_input() -> None:
    (one,) = list_inputs(["nothing://me:secret@host/a.mp4", "nothing://you:other@host/a.mp4"])
    assert one.source == "nothing://host/a.mp4"


def test_the_copy_of_a_signed_url_has_the_suffix_of_its_file(memory: str, tmp_path: Path) -> None:
    system = fsspec.filesystem("memory")
    system.pipe(f"/archive/b.jpg?signature={300 * 'a'}.b", b"content")
    fetcher = Fetcher(tmp_path)
    copy = fetcher.local(f"{memory}/b.jpg?signature={300 * 'a'}.b")
    assert (copy.suffix, copy.read_bytes()) == (".jpg", b"content")


def test_of_urls_one_copy_is_kept(memory: str, tmp_path: Path) -> None:
    fetcher = Fetcher(tmp_path)
    first = fetcher.local(f"{memory}/b.jpg")
    assert first.read_bytes() == b"content"
    assert first.suffix == ".jpg"
    assert fetcher.local(f"{memory}/b.jpg") == first
    second = fetcher.local(f"{memory}/a.png")
    assert not first.exists()
    with pytest.raises(MediaError, match="cannot be fetched"):
        fetcher.local(f"{memory}/missing.mp4")
    assert not second.exists()
    assert fetcher.copy is None


def test_a_copy_goes_with_who_fetched_it(memory: str, tmp_path: Path) -> None:
    fetcher = Fetcher(tmp_path)
    copy = fetcher.local(f"{memory}/b.jpg")
    assert copy.exists()
    del fetcher
    assert not copy.exists()


def test_a_batch_of_urls_names_them_and_not_their_copies(tmp_path: Path) -> None:
    photo = write_photo(tmp_path / "photo.jpg", HEAD)
    system = fsspec.filesystem("memory")
    system.put(str(photo), "/album/photo.jpg")
    system.pipe("/album/text.mp4", b"no video")
    outcome, _ = run_here(["memory:///album"], tmp_path / "set")
    assert [row[0] for row in rows_of(tmp_path / "set")] == ["memory:///album/photo.jpg"]
    assert outcome.failures == [
        "memory:///album/text.mp4: holds no picture that can be read: expected an image or video file"
    ]
    _, again = run_here(["memory:///album"], tmp_path / "set")
    assert again.asked == []
    system.rm("/album", recursive=True)


def test_errors_are_one_line() -> None:
    assert one_line(ValueError("two\nlines")) == "ValueError: two lines"
    assert one_line(MediaError("a.mp4: is empty")) == "a.mp4: is empty"
    assert one_line(MemoryError()) == "MemoryError"
