"""What all clients share: the net, the detector's name, the threads, the limits, the counts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from mien.app.server.batching import BatchingRecognizer
from mien.app.server.limits import Limits
from mien.app.server.metrics import Metrics
from mien.app.server.protocol import RefusedError
from mien.app.server.sharing import FairPool
from mien.engine.processes import cores
from mien.engine.recognizer import Recognizer
from mien.face.detectors import FIGURES, load_detector, resolve

CODES = (
    *("bad_frame", "bad_message", "too_large", "too_many_pixels", "too_fast", "failed"),
    *("unauthorized", "forbidden", "not_found", "not_allowed", "bad_request", "bad_option", "too_slow", "full"),
)
"""Codes of what is refused: those of messages and pictures, then those of requests and connections."""


class Service:
    """What reads the frames of all clients.

    Parameters
    ----------
    recognizer : Recognizer
    detector : str
        Name as :func:`mien.face.detectors.load_detector` takes it; each client has its own, for a detector of another
        package need not be safe to share.
    limits : Limits
    is_local : bool
        Whether only this machine reaches the service.

    Raises
    ------
    MienError
        If the detector cannot work here.
    """

    def __init__(self, recognizer: Recognizer, *, detector: str, limits: Limits, is_local: bool) -> None:
        load_detector(detector)
        self.detector = resolve(detector)
        self.limits = limits
        self.metrics = Metrics(CODES)
        self.recognizer = BatchingRecognizer(recognizer, on_batch=self.metrics.batches.observe)
        self.pool = FairPool(max(2, cores()))  # so that a large picture does not stop the streams
        self.notices = _notices(self.detector, is_local)
        self.clients = 0

    @contextmanager
    def room_for_client(self) -> Iterator[None]:
        """Count a client while it is here.

        Raises
        ------
        RefusedError
            ``full`` where there are as many as there may be.
        """
        if self.clients >= self.limits.clients:
            raise RefusedError("full", f"{self.clients} streams are open, the most here: try again later", 503)
        self.clients += 1
        self.metrics.clients.add(by=1)
        try:
            yield
        finally:
            self.clients -= 1
            self.metrics.clients.add(by=-1)


def _notices(detector: str, is_local: bool) -> tuple[str, ...]:
    found = f" ({FIGURES[detector]} on the photos of record)" if detector in FIGURES else ""
    where = "on this machine" if is_local else "on the machine that serves this page"
    return (
        f"Pictures are read in memory {where} and are not kept.",
        "What is read are expressions, not what someone feels.",
        f"Faces are found by {detector.partition(':')[0]}{found}.",
    )
