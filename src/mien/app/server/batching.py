"""One net for all clients: whoever comes while it runs goes through it together next."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence

import numpy as np

from mien.core import preprocess
from mien.core.types import ByteArray, FloatArray
from mien.engine.recognizer import Recognizer

MAX_FACES = 8  # in one run: who comes with a crowd lets the others in between


class _Request:
    """Faces of one client that wait for the net."""

    def __init__(self, faces: ByteArray) -> None:
        self.faces = faces
        self.answer: FloatArray | None = None
        self.error: Exception | None = None


class BatchingRecognizer(Recognizer):
    """A recognizer that batches the faces of several threads.

    Nobody waits for company: a thread that finds the net idle runs it at once, and those that come meanwhile are run
    together when it is done. So a face waits for one run of others at most, a few milliseconds, and batches grow with
    the load. ``docs/results/service.md`` compares this with waiting on purpose.

    Parameters
    ----------
    recognizer : Recognizer
        What reads the faces.
    on_batch : callable, optional
        Called with the number of faces of each run.
    """

    def __init__(self, recognizer: Recognizer, *, on_batch: Callable[[int], object] | None = None) -> None:
        super().__init__(recognizer.model)
        self._on_batch = on_batch
        self._waiting: deque[_Request] = deque()
        self._running = threading.Lock()

    def probabilities(self, crops: Sequence[ByteArray] | ByteArray) -> FloatArray:
        """Return the probability of each expression for each crop: see :meth:`Recognizer.probabilities`."""
        faces = preprocess.batch(crops, self.card.input_size)
        starts = range(0, max(len(faces), 1), MAX_FACES)
        return np.concatenate([self._part(faces[start : start + MAX_FACES]) for start in starts])

    def _part(self, faces: ByteArray) -> FloatArray:
        if not len(faces):
            return self.model.run(faces)
        request = _Request(faces)
        self._waiting.append(request)
        with self._running:
            while request.answer is None and request.error is None:
                self._run()
        if request.error is not None:
            raise request.error
        assert request.answer is not None
        return request.answer

    def _run(self) -> None:
        """Run the net on the requests that have waited longest."""
        requests = [self._waiting.popleft()]
        count = len(requests[0].faces)
        while self._waiting and count + len(self._waiting[0].faces) <= MAX_FACES:
            requests.append(self._waiting.popleft())
            count += len(requests[-1].faces)
        try:
            answers = self.model.run(np.concatenate([request.faces for request in requests]))
        except Exception as error:  # raised where each of them waits
            for request in requests:
                request.error = error
            return
        if self._on_batch is not None:
            self._on_batch(count)
        ends = np.cumsum([len(request.faces) for request in requests])
        for request, part in zip(requests, np.split(answers, ends[:-1]), strict=True):
            request.answer = part
