"""The same on Ray: its rows are those of one machine, also where a worker of Ray is killed."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import pytest
from archives import Deadly, Rows, children, ended, kept, started, tables_of, until
from footage import write_photo

from mien.app.batch.inputs import Input
from mien.app.batch.joining import SegmentTask
from mien.app.batch.ray_engine import ENVIRONMENT, RayEngine, _taken
from mien.app.batch.tasks import SourceTask, Task, Told
from mien.core.errors import MissingExtraError
from mien.engine.segments import Segment

DEADLY = """
from functools import partial
from pathlib import Path
from archives import WHOLE, Deadly
from rich.console import Console
from mien.app.batch.job import run_batch
from mien.app.batch.inputs import Input
from mien.app.batch.joining import SegmentTask
from mien.app.batch.ray_engine import ENVIRONMENT, RayEngine, _taken
from mien.app.batch.tasks import SourceTask, Task, Told
def engine_of(plan, scratch):
    return RayEngine(partial(Deadly, plan), workers=2)
outcome = run_batch([{album!r}], Path({out!r}), "default", WHOLE, engine_of, Console(quiet=True))
print(outcome.frames, outcome.failures)
"""


SHARES = """
import sys
from collections import deque
import ray
from mien.app.batch.inputs import Input
from mien.app.batch.ray_engine import RayEngine
from mien.app.batch.tasks import Reply, SourceTask, Told
def opened():
    given = ray.get_runtime_context().get_assigned_resources()
    return lambda task: Reply(task.key, Told("a.png", error=str(dict(sorted(given.items())))))
engine = RayEngine(opened, workers=1, address=sys.argv[1], gpus=0.25)
print(*(reply.told.error for reply in engine.replies(deque([SourceTask(Input("a.png"))]))))
"""

CLUSTER = """
import ray
options = dict(num_cpus=2, num_gpus=1, object_store_memory=2**27, include_dashboard=False, log_to_driver=False)
print("address", ray.init("local", **options).address_info["address"], flush=True)
input()
ray.shutdown()
"""


MIEN = (sys.executable, "-m", "mien", "batch")


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[int, str]]:
    """Return process and address of a cluster of Ray, whose token is in the environment."""
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN", secrets.token_hex(32))
    command = [sys.executable, "-c", CLUSTER]
    with subprocess.Popen(
        command, env=os.environ | ENVIRONMENT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        assert process.stdin
        assert process.stdout
        yield process.pid, next(iter(process.stdout)).decode().split()[1]
        process.stdin.close()


def test_a_worker_of_a_cluster_that_is_killed_changes_nothing(
    cluster: tuple[int, str], archive: Path, unbroken: dict[str, Rows], tmp_path: Path
) -> None:
    out, (pid, address) = tmp_path / "set", cluster
    process = started(archive, out, "--engine", "ray", "--address", address)
    until(lambda: kept(out), process)
    actors = children(pid, "MapWorker")
    assert actors
    os.kill(actors[0], signal.SIGKILL)
    notes = ended(process)
    assert tables_of(out) == unbroken
    assert len(notes.splitlines()) == 3, notes  # the errors: nothing of Ray's


@pytest.mark.parametrize(
    ("options", "said"),
    [
        # The GPU is one by name only: the worker is given it, and onnxruntime has none.
        (("--gpus", "0.5"), "execution provider CUDAExecutionProvider is not in this onnxruntime"),
        (("--gpus", "0.5", "--workers", "3"), "Ray has 1 GPUs here: expected at least 1.5 for 3 workers"),
    ],
)
def test_a_gpu_that_is_not_there_is_said(
    options: tuple[str, ...], said: str, cluster: tuple[int, str], tmp_path: Path
) -> None:
    picture = write_photo(tmp_path / "one.png")
    command = [*MIEN, str(picture), "--out", str(tmp_path / "set"), "--engine", "ray", "--address", cluster[1]]
    run = subprocess.run([*command, *options], capture_output=True, text=True, check=False)
    assert run.returncode == 2
    assert said in run.stderr
    assert run.stderr.count("\n") == 1


def test_each_worker_has_its_share_of_a_gpu(cluster: tuple[int, str]) -> None:
    run = subprocess.run([sys.executable, "-c", SHARES, cluster[1]], capture_output=True, text=True, check=False)
    assert (run.stdout, run.stderr) == ("{'CPU': 1.0, 'GPU': 0.25}\n", "")


def test_an_input_that_kills_actors_is_an_error(tmp_path: Path) -> None:
    album = tmp_path / "album"
    for name in ("a", "b", "deadly", "z"):
        write_photo(album / f"{name}.png")
    code = DEADLY.format(album=str(album), out=str(tmp_path / "set"))
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[1])}
    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert run.stderr == ""
    assert run.stdout == f"3 ['{album}/deadly.png: left out, 2 workers died reading it (in Ray)']\n"


def test_a_wave_opens_no_more_videos_than_it_has_room_for() -> None:
    one, told = Input("a.mp4"), Told("a.mp4")
    segments: list[Task] = [SegmentTask(one, told, Segment(number, 0, 1, 0, 1)) for number in range(5)]
    sources: list[Task] = [SourceTask(one)] * 5
    assert len(_taken(deque(segments + sources), 4, 30)) == 4
    assert len(_taken(deque(segments + sources), 7, 30)) == 6
    assert len(_taken(deque(segments + sources), 10, 0)) == 10
    assert len(_taken(deque(sources), 2, 30)) == 1  # or it would never end
    assert len(_taken(deque(), 2, 30)) == 0


def test_without_ray_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'mien\[batch\]'"):
        RayEngine(Deadly)  # type: ignore[arg-type]
