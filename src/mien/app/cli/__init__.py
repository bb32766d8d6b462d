"""The command ``mien``: every error is one line, and the exit code tells what became of a run.

0 done; 1 something failed, the rest done: an input, or an output in the middle, as when the disk is full; 2 misuse or a
missing extra, before any work; 130 stopped by Ctrl-C, 143 by SIGTERM: what was read by then is written.
"""

from __future__ import annotations

import errno
import io
import logging
import sys

from mien.app.cli import audit, batch, making, reading, report, serving
from mien.app.cli.base import INTERRUPTED, MISUSE, SOME_FAILED, TERMINATED, app
from mien.app.screen import NoteHandler, complain, screen, settle
from mien.core.errors import MienError

__all__ = [
    "INTERRUPTED",
    "MISUSE",
    "SOME_FAILED",
    "TERMINATED",
    "app",
    "audit",
    "batch",
    "main",
    "making",
    "reading",
    "report",
    "serving",
]


def main() -> None:
    """Run the command and exit with its code."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a file name may be what the terminal cannot show
    handler = NoteHandler()
    logging.getLogger("mien").addHandler(handler)
    try:
        app()
    except MienError as error:
        if isinstance(error.__cause__, BrokenPipeError):
            screen.on_broken_pipe()  # whoever read us, as head does, has enough: no complaint, exit code 1
        complain(str(error))
        is_full = isinstance(error.__cause__, OSError) and error.__cause__.errno == errno.ENOSPC
        sys.exit(SOME_FAILED if is_full else MISUSE)  # a full disk is no misuse
    except OSError as error:
        if error.filename is not None:
            raise
        # Without a file's name it is what we print to, as with "> /dev/full".
        complain(f"standard output: cannot be written ({error.strerror}): lead it where there is room")
        sys.exit(SOME_FAILED)
    finally:
        settle()
        logging.getLogger("mien").removeHandler(handler)
