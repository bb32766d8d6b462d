"""Pictures that are posted: received within bounds, read one at a time."""

from __future__ import annotations

import asyncio
import json
import time
from collections import OrderedDict
from functools import partial

from fastapi import Request
from starlette.requests import ClientDisconnect

import mien
from mien.app.server.decoding import decode
from mien.app.server.limits import Bucket, Limits
from mien.app.server.protocol import SCHEMA, RefusedError, rows_of
from mien.app.server.service import Service
from mien.app.server.sharing import Share
from mien.core.types import columns
from mien.engine.explain import WHY_NAMES
from mien.engine.pipeline import Pipeline
from mien.face.detectors import load_detector

ADDRESSES = 1000  # whose rate is remembered


class Bodies:
    """Receives the bodies of requests; those that are received share the room of a few large pictures.

    Who would go beyond it cuts off the body that has been coming for longest: a client that stops in the middle cannot
    keep others out.

    Parameters
    ----------
    limits : Limits
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._room = limits.pictures * limits.picture_bytes
        self._coming: dict[asyncio.Timeout, int] = {}

    async def receive(self, request: Request) -> bytes:
        """Return the body of a request.

        Raises
        ------
        RefusedError
            ``too_large``, ``too_slow``, or ``bad_request`` where the client left.
        """
        most = self._limits.picture_bytes
        told = request.headers.get("content-length", "")
        if told.isdecimal() and int(told[:20]) > most:
            raise _too_large(most)
        body = bytearray()
        try:
            async with asyncio.timeout(self._limits.body_s) as deadline:
                self._coming[deadline] = 0
                try:
                    async for chunk in request.stream():
                        body += chunk
                        if len(body) > most:
                            raise _too_large(most)
                        self._coming[deadline] = len(body)
                        self._make_room()
                finally:
                    self._coming.pop(deadline, None)
        except TimeoutError as error:
            raise RefusedError(
                "too_slow", f"the picture did not come within {self._limits.body_s:g} s: send it again", 408
            ) from error
        except ClientDisconnect as error:
            raise RefusedError("bad_request", "the client left") from error
        return bytes(body)

    def _make_room(self) -> None:
        while sum(self._coming.values()) > self._room:
            oldest = next(iter(self._coming))
            del self._coming[oldest]
            oldest.reschedule(asyncio.get_running_loop().time())


class Pictures:
    """Answers pictures that are posted, as one client of the pool for all of them.

    Parameters
    ----------
    service : Service
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self._bodies = Bodies(service.limits)
        self._detector = load_detector(service.detector)
        self._share, self._turn, self._waiting = Share(), asyncio.Lock(), 0
        self._rates: OrderedDict[str, Bucket] = OrderedDict()

    async def answer(self, request: Request, *, landmarks: bool, why: bool) -> bytes:
        """Return the JSON about the picture in the body of a request.

        Raises
        ------
        RefusedError
            If it may not be read, or is no picture.
        """
        limits = self._service.limits
        if not self._rate_of(request.client.host if request.client else "").takes(time.monotonic()):
            raise RefusedError("too_fast", f"more than {limits.pictures_per_second:g} pictures a second: wait", 429)
        arrived_s = time.perf_counter()
        content = await self._bodies.receive(request)
        if self._waiting >= limits.pictures:
            raise RefusedError("full", f"{self._waiting} pictures are waiting, the most here: try again later", 503)
        self._waiting += 1
        try:
            async with self._turn:
                answer = await self._service.pool.run(
                    self._share, partial(self._read, content, landmarks=landmarks, why=why)
                )
        finally:
            self._waiting -= 1
        self._service.metrics.seconds.observe(time.perf_counter() - arrived_s)
        return answer

    def _rate_of(self, address: str) -> Bucket:
        rate = self._rates.setdefault(address, Bucket(self._service.limits.pictures_per_second))
        self._rates.move_to_end(address)
        if len(self._rates) > ADDRESSES:
            self._rates.popitem(last=False)
        return rate

    def _read(self, content: bytes, *, landmarks: bool, why: bool) -> bytes:
        """Return the answer to a picture; called in a thread."""
        recognizer, metrics = self._service.recognizer, self._service.metrics
        picture = decode(content, self._service.limits.picture_pixels)
        pipeline = Pipeline(detector=self._detector, recognizer=recognizer, tracker=None, landmarks=landmarks, why=why)
        result = pipeline(picture, 0.0, source="picture", frame=0)
        metrics.frames.add("post")
        metrics.faces.add(by=len(result.faces))
        card = recognizer.card
        answer = {
            "schema": SCHEMA,
            "mien": mien.__version__,
            "model": {"name": card.name, "sha256": recognizer.model.sha256},
            "width": picture.shape[1],
            "height": picture.shape[0],
            "columns": columns(card.labels, landmarks=landmarks, feature_names=WHY_NAMES if why else ()),
            "rows": rows_of(result, landmarks=landmarks),
        }
        return json.dumps(answer, ensure_ascii=False, allow_nan=False).encode()


def _too_large(most: int) -> RefusedError:
    return RefusedError("too_large", f"the picture has more bytes than {most}: send it smaller", 413)
