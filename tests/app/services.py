"""The service as a process of its own, as somebody starts it."""

from __future__ import annotations

import subprocess
import sys
import threading
from dataclasses import dataclass, field

START_S = 60  # for a machine that does much else
STOP_S = 30


@dataclass
class Service:
    """``mien serve`` with these options; `address` is where it listens, at the same port when it is started again."""

    options: tuple[str, ...] = ()
    port: int = 0
    address: str = ""
    _process: subprocess.Popen[str] | None = field(default=None, repr=False)

    def start(self) -> Service:
        command = [sys.executable, "-m", "mien", "serve", "--port", str(self.port), *self.options]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert process.stdout is not None
        guard = threading.Timer(START_S, process.kill)
        guard.start()
        line = process.stdout.readline().strip()
        guard.cancel()
        self._process = process
        if not line.startswith("http://"):
            rest = process.stdout.read() if process.poll() is not None else ""
            self.stop()
            raise AssertionError(f"mien serve printed no address: {line}\n{rest}")
        self.address = line.partition("?")[0]
        self.port = int(self.address.rstrip("/").rpartition(":")[2])
        return self

    def stop(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        assert process.stdout is not None
        process.stdout.close()
