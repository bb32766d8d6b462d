"""The processes that share a run: started, told to stop, and heard when they fail."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ctypes import c_bool
from functools import partial
from multiprocessing import get_context
from types import FrameType

import lightning_fabric
import torch
from torch.multiprocessing.spawn import ProcessExitedException, ProcessRaisedException

from mien.core import errors
from mien.core.errors import MienError
from mien.engine.processes import STOPPED

# Fabric tells of precision and processes on standard error; set here since every process imports this first.
logging.getLogger("lightning_fabric").setLevel(logging.WARNING)

Task = Callable[[lightning_fabric.Fabric, c_bool], None]


def launch(task: Task, *, processes: int, precision: str, accelerator: str = "auto") -> None:
    """Run a task in one process (this one) or several, each with its Fabric and the flag that asks it to stop.

    Ctrl-C and SIGTERM, to any of the processes, set the flag; a second Ctrl-C raises KeyboardInterrupt.

    Raises
    ------
    MienError
        As it was raised in a process, or if one was killed.
    """
    if accelerator == "auto" and torch.cuda.device_count() < processes > 1:
        accelerator = "cpu"  # several processes on GPUs need one each
    fabric = lightning_fabric.Fabric(
        accelerator=accelerator,
        devices=processes,
        strategy="ddp_spawn" if processes > 1 else "auto",
        precision=fastest_precision(accelerator) if precision == "auto" else precision,  # type: ignore[arg-type]  # a recipe holds plain strings
    )
    # Memory that the processes share, without a lock: a signal may come while the flag is read, or has come before.
    stop = get_context("spawn").RawValue(c_bool, STOPPED.is_set())
    with _set_on_signal(stop):
        try:
            # Bound beforehand: Fabric refuses some of our types among the arguments of launch.
            fabric.launch(partial(_listening, task=task, stop=stop))
        except (ProcessRaisedException, ProcessExitedException) as error:
            raise _in_one_line(error) from error


def fastest_precision(accelerator: str) -> str:
    """Return bf16-mixed where GPU or processor multiplies in it, else 32-true: emulated it takes ten times as long."""
    if accelerator != "cpu" and torch.cuda.is_available():
        multiplies = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        capabilities = torch.cpu.get_capabilities()
        multiplies = any(capabilities.get(name) for name in ("avx512_bf16", "amx_bf16"))
    return "bf16-mixed" if multiplies else "32-true"


def one_thread() -> None:
    """Have torch work on one thread in this process: what runs side by side shares the cores so."""
    torch.set_num_threads(1)


def stop_asked(fabric: lightning_fabric.Fabric, stop: c_bool) -> bool:
    """Return whether the flag is set; all processes of a run get the same answer, so that all stop at the same step."""
    flag = fabric.to_device(torch.tensor(float(stop.value)))
    return bool(torch.as_tensor(fabric.all_reduce(flag, reduce_op="sum")) > 0)


def _listening(fabric: lightning_fabric.Fabric, *, task: Task, stop: c_bool) -> None:
    # A spawned process hears Ctrl-C itself, and SIGINT when the one that started it is killed.
    with _set_on_signal(stop):
        task(fabric, stop)
    if fabric.world_size > 1:
        # Left to the end of the process, gloo's threads may abort it, also before another process has saved.
        fabric.barrier()
        torch.distributed.destroy_process_group()


@contextmanager
def _set_on_signal(stop: c_bool) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may hear signals
        return
    asked = False

    def handle(number: int, _frame: FrameType | None) -> None:
        nonlocal asked
        if asked and number == signal.SIGINT:
            raise KeyboardInterrupt
        asked = stop.value = True

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _in_one_line(error: ProcessRaisedException | ProcessExitedException) -> Exception:
    if isinstance(error, ProcessExitedException):
        return MienError(f"{error.msg}: start the run again, it goes on from its checkpoint")
    # The text is that of the traceback in the other process; its last line names the error.
    kind, _, message = error.msg.rstrip().rpartition("\n")[2].partition(": ")
    own = getattr(errors, kind.removeprefix(f"{errors.__name__}."), None)
    return own(message) if own else error
