"""The whole of ``mien batch``: lists inputs, gives out tasks, keeps replies."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from rich.console import Console

from mien.app.analysis import Options
from mien.app.batch import manifest
from mien.app.batch.inputs import Input, list_inputs, names_of
from mien.app.batch.joining import JoinTask, SegmentTask
from mien.app.batch.progress import Progress
from mien.app.batch.store import Store
from mien.app.batch.tasks import Plan, Reply, SourceTask, Task, Told, net_path, packed
from mien.core.types import Row
from mien.engine.recognizer import load, model_names
from mien.face.detectors import load_detector, resolve
from mien.face.landmarks import load_landmarker

UNREAD = ("list", "open")
"""Stages of errors of which the input may be there next time: it is tried again."""


class Engine(Protocol):
    """What does tasks."""

    def replies(self, tasks: deque[Task]) -> Generator[Reply, None, None]:
        """Yield one reply for each task, taken from the left; more may be added meanwhile."""


@dataclass(frozen=True)
class Outcome:
    """What is in a data set after a run.

    Parameters
    ----------
    sources, frames, faces : int
    read : int
        Sources that this run read; the others were in it before.
    hours : float
        Of video.
    failures : list of str
        One line for each input that could not be read, or not to its end, or is not there any more.
    stopped : bool
        Whether Ctrl-C ended the run.
    """

    sources: int
    read: int
    frames: int
    faces: int
    hours: float
    failures: list[str]
    stopped: bool


def run_batch(
    sources: Sequence[str],
    out: Path,
    model: str,
    options: Options,
    engine_of: Callable[[Plan, Path], Engine],
    console: Console,
    *,
    retry: bool = False,
    on_gpu: bool = False,
) -> Outcome:
    """Read all sources into a data set; what is in it already is not read again.

    Parameters
    ----------
    sources : sequence of str
        As :func:`list_inputs` takes them.
    out : Path
        Folder of the data set.
    model : str
        As :func:`mien.load` takes it.
    options : Options
    engine_of : callable
        Returns what does tasks, from the plan and a folder for files in the making.
    console : Console
        Where progress is shown, if it is a terminal.
    retry : bool
        Whether to read inputs again that had an error.
    on_gpu : bool
        Whether workers run the net on a GPU.

    Raises
    ------
    OptionError
        If the folder holds something else, or a data set of another model or other options.
    OutputError
        If it cannot be written; the same call goes on once it can.
    """
    recognizer = load(net_path(model, on_gpu=on_gpu))
    load_detector(options.detector)  # which refuses unknown ones, before any work
    name = model if model in model_names() else str(Path(model).resolve())
    plan = Plan(name, recognizer.model.sha256, replace(options, detector=resolve(options.detector)), on_gpu)
    inputs = list_inputs(sources)
    header = plan.header(recognizer)
    made_by = {
        "schema": header["schema"],
        "mien": header["mien"],
        "model": header["model"] | {"card": json.loads(recognizer.card.to_json())},
        "options": header["options"] | _landmarks(plan.options),
    }
    manifest.begin(out, made_by)
    with Store(out, header) as store, Progress(console) as progress:
        job = Job(store, inputs, names_of(sources), retry=retry)
        progress.begin(job.left)
        read, stopped = 0, False
        try:
            for frames, told in job.replies(engine_of(plan, store.scratch)):
                progress.add(frames, told)
                read += told is not None
        except KeyboardInterrupt:
            stopped = True
        store.complete_part()
        manifest.finish(out, made_by, store.all_known())
        return _outcome(store.all_known(), read, job.unreached, stopped=stopped)


def _landmarks(options: Options) -> Row:
    return {"landmark_net": load_landmarker().sha256} if options.asked.needs_landmarks else {}


def _outcome(known: Sequence[Told], read: int, unreached: Sequence[str], *, stopped: bool) -> Outcome:
    return Outcome(
        sources=len(known),
        read=read,
        frames=sum(told.frames for told in known),
        faces=sum(told.faces for told in known),
        hours=sum(told.seconds for told in known) / 3600,
        failures=[*(told.error for told in known if told.error), *unreached],
        stopped=stopped,
    )


@dataclass
class _Video:
    """A long video: its segments, and the keys of those that are still to be read."""

    tasks: list[SegmentTask]
    left: set[str] = field(default_factory=set)


class Job:
    """What is to be done for a data set.

    Parameters
    ----------
    store : Store
        Open.
    inputs : sequence of Input
    names : set of str
        Of all that the run was asked for, whatever it stands for today, as :func:`names_of` returns them.
    retry : bool
        Whether to read inputs again that had an error.

    Attributes
    ----------
    left : int
        Inputs to be read.
    unreached : list of str
        Errors of inputs that are not there any more, whose results of an earlier run stay.
    """

    def __init__(self, store: Store, inputs: Sequence[Input], names: set[str], *, retry: bool = False) -> None:
        self._store, self._retry = store, retry
        self._tasks: deque[Task] = deque()
        self._inputs: dict[str, Input] = {}
        self._videos: dict[str, _Video] = {}
        self.unreached: list[str] = []
        named = (store.known(name) for name in names.union(one.source for one in inputs))
        store.drop(told.source for told in named if told and told.stage in UNREAD and not told.sha256)
        for one in inputs:
            self._begin(one)
        self.left = len(self._tasks)

    def _begin(self, one: Input) -> None:
        if one.problem:
            told = Told(one.source).failed("list", one.problem)
            self._keep_source(Reply(SourceTask(one).key, told, packed(told)))
            return
        known = self._store.known(one.source)
        if known and self._retry and known.error:
            known = None
        if known is None or known.stamp != one.stamp or not one.stamp:
            self._inputs[one.source] = one
            self._tasks.append(SourceTask(one, known.sha256 if known else ""))

    def replies(self, engine: Engine) -> Generator[tuple[int, Told | None], None, None]:
        """Do all tasks.

        Yields
        ------
        (int, Told or None)
            For each task, once its reply is kept: frames that were read, and what is known of a source that is done.
        """
        with closing(engine.replies(self._tasks)) as replies:
            for reply in replies:
                yield reply.frames, self._taken(reply)

    def _taken(self, reply: Reply) -> Told | None:
        source = reply.told.source
        video = self._videos.get(source)
        if video and reply.key in video.left:
            self._store.keep(reply)
            video.left.remove(reply.key)
            self._join_if_read(video)
            return None
        if reply.segments:
            self._split(reply)
            return None
        if reply.is_known:
            self._store.restamp(reply.told)
        else:
            self._keep_source(reply)
        self._videos.pop(source, None)
        del self._inputs[source]
        return reply.told

    def _keep_source(self, reply: Reply) -> None:
        known, told = self._store.known(reply.told.source), reply.told
        if known and known.sha256 and told.stage in UNREAD and not told.sha256:
            self.unreached.append(told.error)
        else:
            self._store.keep_source(reply)

    def _split(self, reply: Reply) -> None:
        """Put the segments of a video first that no earlier run has read: nothing is to lie about half read."""
        one = self._inputs[reply.told.source]
        video = _Video([SegmentTask(one, reply.told, segment) for segment in reply.segments])
        missing = [task for task in video.tasks if not self._store.file_of(task.key).exists()]
        video.left = {task.key for task in missing}
        self._videos[reply.told.source] = video
        self._tasks.extendleft(reversed(missing))
        self._join_if_read(video)

    def _join_if_read(self, video: _Video) -> None:
        if not video.left:
            files = tuple(self._store.file_of(task.key) for task in video.tasks)
            first = video.tasks[0]
            segments = tuple(task.segment for task in video.tasks)
            self._tasks.appendleft(JoinTask(first.input, first.told, segments, files))
