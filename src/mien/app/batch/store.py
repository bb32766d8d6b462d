"""The data set: what is in it is whole, and each source is in it once, whenever its writer is killed.

::

    DIR/manifest.json     model card, version, options, inputs
    DIR/rows/             Parquet, the schema of all tables of mien; so events/ and tracks/
    DIR/errors/           source, stage, error
    DIR/inputs/           source, bytes, sha256 ...
    DIR/.tasks/           replies that are in no part yet

Replies are kept as they come, a file each. Once there are enough, they become a *part*: a file of one number in each
of the tables. That in ``inputs`` is written last: files of other numbers belong to a part that was not completed, and
are removed. So are replies that are in a part.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, Self

import filelock
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mien.app.batch.tasks import RESULTS, Reply, Told, member, place, source_key, told_of
from mien.core.errors import OutputError
from mien.core.types import Faces, FrameResult
from mien.engine.results.writer import make_folder, whole_file, write_whole

PART_VALUES = 10_000_000
"""Of a part, rows times columns: half a million rows of 20 columns, 25 MB."""

PART_SOURCES = 20_000
"""Of a part at most; so many small files are waiting."""

GROUP_ROWS = 100_000

_TYPES = {"str": pa.string(), "int": pa.int64(), "float": pa.float64()}
_INPUTS = pa.schema([(f.name, _TYPES[str(f.type)]) for f in fields(Told) if f.name not in ("stage", "error")])
_ERRORS = pa.schema([(name, pa.string()) for name in ("source", "stage", "error")])


class Store:
    """A data set that is open for writing, by one process at a time.

    Parameters
    ----------
    folder : Path
    header : mapping
        That of the tables.

    Raises
    ------
    OutputError
        If another process writes to it, or the folder cannot be written.
    """

    def __init__(self, folder: Path, header: Mapping[str, Any]) -> None:
        self.folder, self.tasks = folder, folder / ".tasks"
        self.scratch = self.tasks / "scratch"
        self._header = dict(header)
        self._lock = filelock.FileLock(folder / ".lock")
        self._done: dict[str, tuple[Told, str]] = {}  # and the part it is in
        self._waiting: dict[str, Told] = {}  # for a part
        self._waiting_rows = 0
        self._next_part = 0
        self._restamped: set[str] = set()  # parts

    def __enter__(self) -> Self:
        make_folder(self.folder)
        try:
            self._lock.acquire(timeout=0)
        except filelock.Timeout as error:
            raise OutputError(f"{self.folder}: another mien batch writes there: wait for its end or stop it") from error
        except OSError as error:
            raise OutputError(f"{self.folder}: cannot be written ({error.strerror}): name a folder of yours") from error
        try:
            self._open()
        except BaseException:
            self._lock.release()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        shutil.rmtree(self.scratch, ignore_errors=True)
        self._lock.release()

    def _open(self) -> None:
        """Put in order what a killed writer left."""
        shutil.rmtree(self.scratch, ignore_errors=True)
        make_folder(self.scratch)
        self._schemas = _schemas(self.scratch, self._header)
        make_folder(self.folder / "inputs")
        parts = sorted(path.stem for path in (self.folder / "inputs").glob("part-*.parquet"))
        for name in self._schemas:
            make_folder(self.folder / name)
            for path in (self.folder / name).glob("*part-*"):
                if path.stem not in parts:
                    path.unlink()
        for part in parts:
            self._next_part = int(part.removeprefix("part-")) + 1
            self._done |= {told.source: (told, part) for told in self._told(part)}
        if self._journal.exists():
            self._drop(json.loads(self._journal.read_text("utf-8")))
        for path in self.tasks.glob("*.zip"):
            self._take_waiting(path)
        for folder in self.tasks.iterdir():
            if folder.is_dir() and folder != self.scratch:
                self._tidy_segments(folder)

    @property
    def _journal(self) -> Path:
        return self.tasks / "dropped.json"

    def _file(self, name: str, part: str) -> Path:
        return place(self.folder / name, part)

    def _told(self, part: str) -> Iterator[Told]:
        errors = {row["source"]: row for row in pq.read_table(self._file("errors", part)).to_pylist()}
        for row in pq.read_table(self._file("inputs", part)).to_pylist():
            yield Told(**row | errors.get(row["source"], {}))

    def _take_waiting(self, path: Path) -> None:
        told = told_of(path)
        self._forget_segments(told)
        done, _ = self._done.get(told.source, (None, ""))
        if told.mien != self._header["mien"] or told == done:
            path.unlink()  # of another version, or in a part already
        else:
            self._waiting[told.source] = told
            self._waiting_rows += told.rows

    def _tidy_segments(self, folder: Path) -> None:
        for path in folder.iterdir():
            told = told_of(path) if path.suffix == ".zip" else None
            if told is None or told.mien != self._header["mien"] or told.stage == "open":
                path.unlink()  # what could not be fetched is tried again
        if not any(folder.iterdir()):
            folder.rmdir()

    def known(self, source: str) -> Told | None:
        """Return what is known of an input, None where it has not been read."""
        done, _ = self._done.get(source, (None, ""))
        return self._waiting.get(source, done)

    def all_known(self) -> list[Told]:
        """Return what is known of all inputs, in order of their names."""
        known = {source: told for source, (told, _) in self._done.items()} | self._waiting
        return [known[source] for source in sorted(known)]

    def file_of(self, key: str) -> Path:
        """Return the file that keeps a reply; it is there once the task is done."""
        return self.tasks / f"{key}.zip"

    def keep(self, reply: Reply) -> None:
        """Keep the reply to a task for a part of a source."""
        with whole_file(self.file_of(reply.key)) as partial:
            partial.write_bytes(reply.content)

    def keep_source(self, reply: Reply) -> None:
        """Keep the reply that is all of a source; complete a part of the data set once there is enough for one."""
        self.keep(reply)
        self._waiting[reply.told.source] = reply.told
        self._waiting_rows += reply.told.rows
        values = self._waiting_rows * len(self._header["columns"])
        if values >= PART_VALUES or len(self._waiting) >= PART_SOURCES:
            self.complete_part()

    def restamp(self, told: Told) -> None:
        """Note the stamp of a file that was written anew and is the one that was read."""
        known, part = self._done.get(told.source, (None, ""))
        if waiting := self._waiting.get(told.source):
            self._waiting[told.source] = replace(waiting, stamp=told.stamp)
        elif known and known.stamp != told.stamp:
            self._done[told.source] = replace(known, stamp=told.stamp), part
            self._restamped.add(part)

    def drop(self, sources: Iterable[str]) -> None:
        """Remove all that is known of inputs."""
        gone = set(sources)
        for source in gone & self._waiting.keys():
            self.file_of(source_key(source)).unlink()
            self._waiting_rows -= self._waiting.pop(source).rows
        if held := sorted(gone & self._done.keys()):
            write_whole(self._journal, json.dumps(held))
            self._drop(held)

    def _drop(self, sources: Sequence[str]) -> None:
        """Remove inputs from the parts that they are in; what ends here is done again, by the journal if killed."""
        gone = set(sources)
        parts = {part for source, (_, part) in self._done.items() if source in gone}
        left = {part for source, (_, part) in self._done.items() if source not in gone}
        for part in sorted(parts - left):
            for name in reversed(self._schemas):  # without that of inputs, the others belong to no part
                self._file(name, part).unlink(missing_ok=True)
        for part in sorted(parts & left):
            for name, schema in self._schemas.items():
                table = pq.read_table(self._file(name, part))
                is_gone = pc.is_in(table["source"], value_set=pa.array(sources, pa.string()))
                _write(self._file(name, part), schema, [table.filter(pc.invert(is_gone))])
        self._journal.unlink(missing_ok=True)
        for source in gone:
            self._done.pop(source, None)

    def complete_part(self) -> None:
        """Make a part of all that waits for one, in place of what was known of the same sources."""
        if self._waiting:
            self._write_part()
        for part in self._restamped & {part for _, part in self._done.values()}:
            told = [told for told, of in self._done.values() if of == part]
            _write(self._file("inputs", part), _INPUTS, [_told_table(told, _INPUTS)])
        self._restamped = set()

    def _write_part(self) -> None:
        waiting = [self._waiting[source] for source in sorted(self._waiting)]
        if held := sorted(self._waiting.keys() & self._done.keys()):
            write_whole(self._journal, json.dumps(held))
            self._drop(held)
        part = f"part-{self._next_part:06}"
        for name, schema in self._schemas.items():
            _write(self._file(name, part), schema, self._tables(name, schema, waiting))
        self._done |= {told.source: (told, part) for told in waiting}
        self._next_part += 1
        self._waiting, self._waiting_rows = {}, 0
        for told in waiting:
            self._forget_segments(told)
            self.file_of(source_key(told.source)).unlink()

    def _forget_segments(self, told: Told) -> None:
        """Remove what a reply was joined from, if it was; before the reply, which tells that they are of no use."""
        if told.stage != "open":
            shutil.rmtree(self.tasks / source_key(told.source), ignore_errors=True)

    def _tables(self, name: str, schema: pa.Schema, waiting: Sequence[Told]) -> Iterator[pa.Table]:
        if name in RESULTS:
            for told in waiting:
                content = member(self.file_of(source_key(told.source)), place(Path(), name).name)
                if content is not None:
                    yield pq.read_table(pa.BufferReader(content))
            return
        yield _told_table([told for told in waiting if name == "inputs" or told.error], schema)


def _schemas(scratch: Path, header: Mapping[str, Any]) -> dict[str, pa.Schema]:
    """Return the schema of each table, that of inputs last: as the tables of a frame without faces have it."""
    frame = FrameResult("", 0, 0.0, None, Faces.empty(tuple(header["labels"])))
    schemas = {}
    for name, table in RESULTS.items():
        path = place(scratch, name)
        with table(path, dict(header)) as writer:
            writer.write(frame)
        schemas[name] = pq.read_schema(path)
        path.unlink()
    return schemas | {"errors": _ERRORS, "inputs": _INPUTS}


def _told_table(inputs: Iterable[Told], schema: pa.Schema) -> pa.Table:
    return pa.Table.from_pylist([{name: getattr(told, name) for name in schema.names} for told in inputs], schema)


def _write(path: Path, schema: pa.Schema, tables: Iterable[pa.Table]) -> None:
    """Write a Parquet file in row groups of a good size, however small the tables are."""
    with whole_file(path) as partial, pq.ParquetWriter(partial, schema, compression="zstd") as writer:
        waiting: list[pa.Table] = []
        for table in tables:
            waiting.append(table.cast(schema))
            if sum(map(len, waiting)) >= GROUP_ROWS:
                writer.write_table(pa.concat_tables(waiting))
                waiting = []
        if waiting:
            writer.write_table(pa.concat_tables(waiting))
