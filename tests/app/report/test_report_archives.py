"""What an archive has beside its rows, source by source."""

from __future__ import annotations

from pathlib import Path

from made_results import picture, video, write_archive

from mien.app.report.archives import Archive


def test_each_source_has_its_own_events_and_people_in_their_order(tmp_path: Path) -> None:
    alone = {
        name: Archive(write_archive(tmp_path / name, video(source=name))).found(name) for name in ("b.mp4", "a.mp4")
    }
    results = [*video(source="b.mp4"), picture("c.jpg", "happy"), *video(source="a.mp4")]
    together = Archive(write_archive(tmp_path / "together", results))
    assert {name: together.found(name) for name in alone} == alone
    assert together.found("c.jpg") == ([], [])
