"""A source as a task: it says what to read, a session reads it, its reply is kept.

A task does not depend on who does it, or when. A long video is only opened by it: its segments are tasks of their own,
and so is joining them (:mod:`mien.app.batch.joining`).
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Callable, Generator
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from typing import Any, NoReturn, Protocol

import cv2

import mien
from mien.app.analysis import Options
from mien.app.batch.inputs import Fetcher, Input, one_line
from mien.core.errors import MediaError, MienError, ModelError, OutputError
from mien.core.types import FrameResult
from mien.engine.pipeline import stream
from mien.engine.recognizer import Recognizer, float_path, load, model_path
from mien.engine.results import EventTable, Table, TrackTable, Writer, table_header
from mien.engine.results.writer import as_output_error
from mien.engine.segments import Reading, Segment
from mien.engine.video import probe
from mien.face.detectors import load_detector

RESULTS: dict[str, Callable[[Path, dict[str, Any]], Writer]] = {
    "rows": Table,
    "events": EventTable,
    "tracks": TrackTable,
}
"""What writes each table of results."""

GPU = ("CUDAExecutionProvider", "CPUExecutionProvider")  # what the first does not know the second does

_TOLD = "told.json"


def net_path(model: str, *, on_gpu: bool) -> Path:
    """Return the file of a model by name or path; a GPU is given real numbers: integers are for processors."""
    path = model_path(model)
    return float_path(path) if on_gpu else path


@dataclass(frozen=True)
class Plan:
    """How all sources are read, and by what.

    Parameters
    ----------
    model : str
        Name or path, as :func:`mien.load` takes it.
    sha256 : str
        Hash of its file.
    options : Options
        Its detector is named, not ``auto``.
    on_gpu : bool
        Whether the net runs on a GPU, its weights as real numbers.
    """

    model: str
    sha256: str
    options: Options
    on_gpu: bool = False

    def recognizer(self) -> Recognizer:
        """Open the model where a worker runs.

        Raises
        ------
        ModelError
            If it is another one than the plan's, or onnxruntime has no GPU.
        """
        providers = GPU if self.on_gpu else None
        recognizer = load(net_path(self.model, on_gpu=self.on_gpu), providers=providers)
        if recognizer.model.sha256 != self.sha256:
            raise ModelError(f"{self.model}: is another model where a worker runs: install the same mien there")
        return recognizer

    def header(self, recognizer: Recognizer) -> dict[str, Any]:
        """Return the header of all tables."""
        return table_header(
            recognizer.card.labels,
            model=recognizer.card.name,
            sha256=self.sha256,
            options=self.options.told(),
            landmarks=self.options.asked.landmarks,
            feature_names=self.options.asked.feature_names,
        )


@dataclass(frozen=True, slots=True)
class Told:
    """What is known of an input.

    Parameters
    ----------
    source : str
        Its name in all tables.
    stamp : str
        As :class:`Input` has it.
    bytes : int
        Size.
    sha256 : str
        Hash; empty where it could not be read.
    rows, frames, faces : int
    seconds : float
        From the first frame to the last.
    mien : str
        Version that read it.
    stage : str
        Where it failed: ``list``, ``open``, ``read``, ``worker``; empty where it did not.
    error : str
        Why, in one line.
    """

    source: str
    stamp: str = ""
    bytes: int = 0
    sha256: str = ""
    rows: int = 0
    frames: int = 0
    faces: int = 0
    seconds: float = 0.0
    mien: str = field(default=mien.__version__)
    stage: str = ""
    error: str = ""

    def failed(self, stage: str, error: str) -> Told:
        """Return it with what went wrong."""
        return replace(self, stage=stage, error=error)


@dataclass(frozen=True)
class Reply:
    """What became of a task.

    Parameters
    ----------
    key : str
        Of the task.
    told : Told
    content : bytes
        What is to be kept, packed; empty where there is nothing.
    frames : int
        That were read for it.
    segments : tuple of Segment
        Those of a long video, still to be read.
    is_known : bool
        Whether the file is the one that was read before.
    """

    key: str
    told: Told
    content: bytes = b""
    frames: int = 0
    segments: tuple[Segment, ...] = ()
    is_known: bool = False


@dataclass(frozen=True)
class Refusal:
    """What a worker answers in place of a reply: an error that ends the run.

    Parameters
    ----------
    error : str
    number : int or None
        What the system calls its cause (``errno``), where that is the system: a full disk is no misuse.
    """

    error: str
    number: int | None

    @classmethod
    def of(cls, error: MienError) -> Refusal:  # noqa: D102
        return cls(str(error), error.__cause__.errno if isinstance(error.__cause__, OSError) else None)

    def raised(self) -> NoReturn:
        """Raise the error where the tasks were given.

        Raises
        ------
        MienError
        """
        raise MienError(self.error) from (OSError(self.number, self.error) if self.number is not None else None)


class Task(Protocol):
    """Something to do for one input; can be pickled."""

    @property
    def key(self) -> str:
        """Name of the file that keeps its reply."""

    @property
    def told(self) -> Told:
        """What is known of the input before."""

    def done(self, session: Session, folder: Path) -> Reply:
        """Do it, in an empty folder; whatever is wrong with the input is told in the reply."""


class Session:
    """What a process opens once, to do one task after another.

    Parameters
    ----------
    plan : Plan
    scratch : Path, optional
        Folder for files in the making; by default the system's.

    Raises
    ------
    ModelError
        If the model here is another one than the plan's.
    """

    def __init__(self, plan: Plan, scratch: Path | None = None) -> None:
        cv2.setNumThreads(1)
        self._plan, self._scratch = plan, scratch
        self.recognizer = plan.recognizer()
        self._detector = load_detector(plan.options.detector)
        self.header = plan.header(self.recognizer)
        self.fetcher = Fetcher(scratch)

    def __call__(self, task: Task) -> Reply:
        """Do a task.

        Raises
        ------
        OutputError
            If there is no room for files in the making.
        """
        with (
            as_output_error(self._scratch or gettempdir()),  # what is wrong with an input is told in its reply
            TemporaryDirectory(dir=self._scratch, prefix="mien-") as folder,
        ):
            return task.done(self, Path(folder))

    def close(self) -> None:
        """Remove what was fetched."""
        self.fetcher.forget()

    def reading(self, path: Path) -> Reading:
        """Return how a video is read."""
        return self._plan.options.reading(str(path), self.recognizer)

    def stream(self, path: Path) -> Generator[FrameResult, None, None]:
        """Read a source in one stroke."""
        options = self._plan.options
        asked = asdict(options.needed)
        return stream(path, detector=self._detector, model=self.recognizer, **options.times, **asked)

    def line(self, error: Exception, told: Told) -> str:
        """Return an error as one line, with the name of the source, not of its copy here."""
        text = one_line(error)
        return text.replace(str(self.fetcher.copy), told.source) if self.fetcher.copy else text


@dataclass(frozen=True)
class SourceTask:
    """An input to read; where that is a long video, to open.

    Parameters
    ----------
    input : Input
    known : str
        SHA-256 of the file that was read before, which is not read again.
    """

    input: Input
    known: str = ""

    @property
    def key(self) -> str:  # noqa: D102
        return source_key(self.input.source)

    @property
    def told(self) -> Told:  # noqa: D102
        return Told(self.input.source, self.input.stamp)

    def done(self, session: Session, folder: Path) -> Reply:  # noqa: D102
        told = self.told
        try:
            path = session.fetcher.local(self.input.path)
            if path.exists():  # what is missing is told by those who open it
                told = replace(told, bytes=path.stat().st_size, sha256=_sha256(path))
            if self.known and told.sha256 == self.known:
                return Reply(self.key, told, is_known=True)
            if probe(path).kind == "video" and (segments := session.reading(path).segments()):
                return Reply(self.key, told, segments=tuple(segments))
        except Exception as error:  # whatever is in the file
            told = told.failed("open", session.line(error, told))
        else:
            told = written(session.stream(path), told, session, folder)
        return Reply(self.key, told, packed(told, folder), told.frames)


def source_key(source: str) -> str:
    """Return the name of the file that keeps the results of a source."""
    return hashlib.sha256(source.encode()).hexdigest()[:32]


def _sha256(path: Path) -> str:
    if not path.is_file():  # a pipe has no end
        raise MediaError(f"{path}: is no plain file: expected a picture or a video")
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def written(results: Generator[FrameResult, None, None], told: Told, session: Session, folder: Path) -> Told:
    """Write the tables of a source into a folder; return what is known of it then.

    Raises
    ------
    OutputError
        If there is no room.
    """
    first_s = last_s = 0.0
    rows = frames = faces = 0
    with ExitStack() as stack:
        writers = [stack.enter_context(table(place(folder, name), session.header)) for name, table in RESULTS.items()]
        try:
            for result in stack.enter_context(closing(results)):
                named = replace(result, source=told.source, image=None)
                for writer in writers:
                    writer.write(named)
                first_s, last_s = first_s if frames else result.time_s, result.time_s
                frames, faces = frames + 1, faces + len(result.faces)
                rows += max(len(result.faces), 1)
        except OutputError:
            raise
        except Exception as error:  # whatever is in the file
            told = told.failed("read", session.line(error, told))
    return replace(told, rows=rows, frames=frames, faces=faces, seconds=last_s - first_s)


def place(folder: Path, name: str) -> Path:
    """Return the file of a table in a folder."""
    return folder / f"{name}.parquet"


def packed(told: Told, folder: Path | None = None) -> bytes:
    """Return what is known of an input, and all files of a folder, as one file."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as file:
        file.writestr(_TOLD, json.dumps(asdict(told)))
        for path in folder.iterdir() if folder else ():
            if path.is_file():
                file.write(path, path.name)
    return content.getvalue()


def told_of(path: Path) -> Told:
    """Return what a packed file tells of an input."""
    with zipfile.ZipFile(path) as file:
        return Told(**json.loads(file.read(_TOLD)))


def member(path: Path, name: str) -> bytes | None:
    """Return one of the files in a packed one, None where it is not there."""
    with zipfile.ZipFile(path) as file:
        return file.read(name) if name in file.namelist() else None
