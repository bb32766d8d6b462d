"""Workers of Ray Data: actors that each do one task after another, on this machine or a cluster."""

from __future__ import annotations

import logging
import os
import pickle
import secrets
import signal
import warnings
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from mien.app.batch.local import DEATHS, Opener, died
from mien.app.batch.tasks import Refusal, Reply, SourceTask, Task
from mien.app.screen import counted
from mien.core.errors import MienError, MissingExtraError, OptionError
from mien.engine.processes import cores

TASKS_A_WORKER = 400
"""Given out at a time, in one execution of Ray Data: at its end, workers wait for the slowest (docs/scale.md)."""

BLOCKS_A_WORKER = 50
"""Of these tasks: what is lost with a worker is at most a block."""

SEGMENTS_A_SOURCE = 30.0
"""A first guess: so many sources are opened that their segments fill a wave, not memory."""

ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",  # nothing is sent unless asked
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_DEDUP_LOGS_SKIP_REGEX": ".",  # a worker that died is done without: no lines about it
}

OBJECT_STORE_BYTES = 512 * 2**20  # tasks and replies are small


class RayEngine:
    """Does tasks in actors of Ray Data; one that dies is replaced, and what it had is done again.

    Parameters
    ----------
    opened : callable
        Opens a session in each actor.
    workers : int, optional
        Actors; by default one for each core of the cluster.
    address : str, optional
        Of a cluster; by default Ray is started here, for this run.
    gpus : float
        Share of a GPU that each actor takes.

    Raises
    ------
    MissingExtraError
        If Ray is not installed.
    """

    def __init__(
        self, opened: Opener, *, workers: int | None = None, address: str | None = None, gpus: float = 0.0
    ) -> None:
        # Without a token of its own, Ray would leave one in the user's home.
        own = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)} if address is None else {}
        for name, value in {**ENVIRONMENT, **own}.items():
            os.environ.setdefault(name, value)
        try:
            import ray.data  # noqa: F401
        except ImportError as error:
            raise MissingExtraError("ray", "mien[batch]") from error
        self._opened, self._workers, self._address, self._gpus = opened, workers, address, gpus

    def replies(self, tasks: deque[Task]) -> Generator[Reply, None, None]:
        """Do tasks until none is left; as :meth:`mien.app.batch.local.Pool.replies`.

        Raises
        ------
        MienError
            If Ray cannot be reached, or stops.
        OptionError
            If it has too few GPUs.
        """
        losses: Counter[str] = Counter()
        again: list[Task] = []  # what was lost in a block with others: each in a block of its own
        alone: list[Task] = []  # what was lost though it was: before it had begun, or by itself
        segments_a_source = SEGMENTS_A_SOURCE
        with _cluster(self._address, self._workers) as resources:
            workers = self._actors(resources)
            while tasks or again or alone:
                room = TASKS_A_WORKER * workers
                wave = [alone.pop()] if alone else again + _taken(tasks, room, segments_a_source)
                blocks = len(wave) if again else min(len(wave), BLOCKS_A_WORKER * workers)
                left, before = {task.key: task for task in wave}, len(tasks)
                for reply in self._wave(wave, blocks, workers):
                    if left.pop(reply.key, None):
                        yield reply
                if opened := sum(isinstance(task, SourceTask) for task in wave):
                    segments_a_source = (len(tasks) - before) / opened
                losses.update(left.keys())
                again = list(left.values()) if blocks < len(wave) else []
                for task in left.values() if blocks == len(wave) else ():
                    if len(wave) == 1 and losses[task.key] >= DEATHS:
                        yield died(task, losses[task.key], "in Ray")
                    else:
                        alone.append(task)

    def _actors(self, resources: Mapping[str, float]) -> int:
        """Return how many actors there are: as many as asked, else as many as the cluster has room for."""
        if not self._gpus:
            return self._workers or int(resources["CPU"])
        gpus, workers = resources.get("GPU", 0.0), self._workers or 1
        if gpus < self._gpus * workers:
            raise OptionError(
                f"--gpus {self._gpus:g}: Ray has {gpus:g} GPUs here: "
                f"expected at least {self._gpus * workers:g} for {counted(workers, 'worker', 'workers')}"
            )
        return self._workers or min(int(resources["CPU"]), int(gpus / self._gpus))

    def _wave(self, wave: Sequence[Task], blocks: int, workers: int) -> Iterator[Reply]:
        import ray.data

        given = [{"task": pickle.dumps(task)} for task in wave]
        done = ray.data.from_items(given, override_num_blocks=blocks).map_batches(
            _Actor,
            fn_constructor_args=(self._opened,),
            batch_size=1,
            batch_format="numpy",
            zero_copy_batch=True,
            compute=ray.data.ActorPoolStrategy(size=min(workers, blocks), max_tasks_in_flight_per_actor=1),
            num_cpus=1,
            num_gpus=self._gpus,
            max_restarts=0,
            max_task_retries=0,
        )
        try:
            for row in done.iter_rows():
                reply: Reply | Refusal = pickle.loads(row["reply"])
                if isinstance(reply, Refusal):
                    reply.raised()
                yield reply
        except ray.exceptions.RayError as error:
            raise MienError(f"Ray stopped ({type(error).__name__}): give the same command again, it goes on") from error


def _taken(tasks: deque[Task], room: float, segments_a_source: float) -> list[Task]:
    """Take tasks for a wave, at least one; sources count with the segments that they are likely to become."""
    taken: list[Task] = []
    while tasks and (room > 0 or not taken):
        taken.append(tasks.popleft())
        room -= 1 + segments_a_source * isinstance(taken[-1], SourceTask)
    return taken


class _Actor:
    """A session in a process of Ray."""

    def __init__(self, opened: Opener) -> None:
        self._opened = opened
        self._session: Callable[[Task], Reply] | None = None

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        return {"reply": [pickle.dumps(self._reply(task)) for task in batch["task"]]}

    def _reply(self, task: bytes) -> Reply | Refusal:
        try:
            self._session = self._session or self._opened()
            return self._session(pickle.loads(task))
        except MienError as error:
            return Refusal.of(error)


@contextmanager
def _cluster(address: str | None, workers: int | None) -> Iterator[Mapping[str, float]]:
    """Join a cluster, or start Ray here; give how many cores and GPUs it has."""
    import ray

    options: dict[str, Any] = {"address": address}
    if address is None:
        options = {
            "address": "local",
            "num_cpus": workers or cores(),
            "object_store_memory": OBJECT_STORE_BYTES,
            "include_dashboard": False,
        }
    before = signal.getsignal(signal.SIGTERM)
    with warnings.catch_warnings(action="ignore"):
        try:
            ray.init(log_to_driver=False, logging_level=logging.CRITICAL, **options)
        except (ConnectionError, ValueError, RuntimeError) as error:
            reason = str(error).strip().partition("\n")[0]
            if address is None:
                raise MienError(f"Ray cannot be started here ({reason}): --engine local needs none") from error
            raise MienError(
                f"--address {address}: {reason}: expected a Ray cluster; its token, if it has one, in RAY_AUTH_TOKEN"
            ) from error
        signal.signal(signal.SIGTERM, before)  # which Ray takes
        try:
            _hush()
            yield ray.cluster_resources()  # type: ignore[no-untyped-call]
        finally:
            ray.shutdown()


def _hush() -> None:
    """Keep what Ray Data tells its developers off the user's screen, and let it go on where an actor dies."""
    import ray.data

    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = context.print_on_execution_start = context.enable_rich_progress_bars = False
    context.max_errored_blocks = -1
    for name in ("ray", "ray.data"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
