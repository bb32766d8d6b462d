"""Segments of a long video as tasks, and their joining: ids are those of the whole video again."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from mien.app.batch.inputs import Input
from mien.app.batch.tasks import Reply, Session, Told, member, packed, source_key, told_of, written
from mien.core.errors import MediaError, OutputError
from mien.core.types import FrameResult
from mien.engine.segments import Record, Segment, in_segments

_RECORD = "record.npz"


@dataclass(frozen=True)
class SegmentTask:
    """A segment to read.

    Parameters
    ----------
    input : Input
    told : Told
        What is known of the video.
    segment : Segment
    """

    input: Input
    told: Told
    segment: Segment

    @property
    def key(self) -> str:  # noqa: D102
        # Of another file in its place nothing is kept that could be joined to this.
        return f"{source_key(self.told.source)}/{self.told.sha256[:16]}-{self.segment.number:05}"

    def done(self, session: Session, folder: Path) -> Reply:  # noqa: D102
        told, frames = self.told, 0
        broken: list[Exception] = []
        try:
            path = session.fetcher.local(self.input.path)
        except MediaError as error:
            told = told.failed("open", session.line(error, told))
            return Reply(self.key, told, packed(told))
        try:
            results = _to_its_end(session.reading(path).results(self.segment, session.recognizer), broken)
            for result in Record(folder / _RECORD).kept(results):
                frames += result.time_s >= self.segment.start_s  # not those by which it warms up
        except OutputError:
            raise
        except Exception as error:  # whatever is in the file
            broken.append(error)
        if broken:
            told = told.failed("read", session.line(broken[0], told))
        return Reply(self.key, told, packed(told, folder), frames)


def _to_its_end(
    results: Generator[FrameResult, None, None], broken: list[Exception]
) -> Generator[FrameResult, None, None]:
    """Yield results; an error is put aside, so that what came before is kept."""
    with closing(results):
        try:
            yield from results
        except Exception as error:  # whatever is in the file
            broken.append(error)


@dataclass(frozen=True)
class JoinTask:
    """The segments of a video, all of them read, to be joined.

    Parameters
    ----------
    input : Input
    told : Told
        What is known of the video.
    segments : tuple of Segment
    files : tuple of Path
        What was kept of each.
    """

    input: Input
    told: Told
    segments: tuple[Segment, ...]
    files: tuple[Path, ...]

    @property
    def key(self) -> str:  # noqa: D102
        return source_key(self.told.source)

    def done(self, session: Session, folder: Path) -> Reply:  # noqa: D102
        records = folder / "records"
        records.mkdir()
        whole, broken = 0, self.told
        for segment, file in zip(self.segments, self.files, strict=True):
            if (record := member(file, _RECORD)) is not None:
                (records / f"{segment.number:05}.npz").write_bytes(record)
                whole += 1
            broken = told_of(file)
            if broken.stage == "open":  # its end was not seen: nothing of it is known until all can be fetched
                told = Told(broken.source, broken.stamp).failed(broken.stage, broken.error)
                return Reply(self.key, told, packed(told))
            if broken.error:  # the video ends here, as it does for who reads it in one stroke
                break
        results = in_segments(
            session.reading(Path(self.input.path)),
            self.segments[:whole],
            records,
            session.recognizer,
            needs_pictures=lambda _segment: False,
        )
        told = written(results, self.told, session, folder)
        told = told.failed(broken.stage, broken.error) if broken.error and not told.error else told
        return Reply(self.key, told, packed(told, folder))
