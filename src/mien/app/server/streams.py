"""The stream of one client: frames in, answers out, at most one frame at work and one waiting."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass
from functools import partial
from typing import NoReturn

from fastapi import WebSocket, WebSocketDisconnect

from mien.app.server import protocol
from mien.app.server.decoding import decode
from mien.app.server.limits import Bucket
from mien.app.server.protocol import Asked, Cut, RefusedError
from mien.app.server.service import Service
from mien.app.server.sharing import Share
from mien.core.types import FrameResult
from mien.engine.pipeline import Pipeline
from mien.engine.tracking import MotionTracker
from mien.face.detectors import load_detector

PATIENCE = 20  # messages in a row that could not be read
HASTE_PER_S, HASTE_ROOM = 30, 600  # messages beyond the rate that are borne

log = logging.getLogger("mien")


@dataclass(frozen=True)
class Frame:
    """A frame as it came.

    Parameters
    ----------
    number : int
        Among the frames of this client, from 0.
    time_s : float
        On the client's clock.
    picture : memoryview
        The bytes of a picture file.
    asked : Asked
    scene : int
        How often the client has cut before.
    arrived_s : float
        On our clock.
    """

    number: int
    time_s: float
    picture: memoryview
    asked: Asked
    scene: int
    arrived_s: float


class _Closed(Exception):  # noqa: N818 - nothing is wrong
    """The stream ends; `code` is None where there is nobody to tell it."""

    def __init__(self, code: int | None = None, reason: str = "") -> None:
        super().__init__(reason)
        self.code, self.reason = code, reason


class FrameReader:
    """Reads the frames of one client, one at a time, in whatever thread.

    Parameters
    ----------
    service : Service
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self._tracker = MotionTracker()
        self._pipeline: Pipeline | None = None
        self._asked, self._scene = Asked(), 0

    def read(self, frame: Frame) -> FrameResult:
        """Return what is in a frame.

        Raises
        ------
        RefusedError
            If it is no picture that may be read.
        """
        picture = decode(bytes(frame.picture), self._service.limits.frame_pixels)
        return self._pipeline_for(frame)(picture, frame.time_s, source="stream", frame=frame.number)

    def _pipeline_for(self, frame: Frame) -> Pipeline:
        """Return the pipeline with what is asked for; the ids outlive it."""
        if frame.scene != self._scene:
            self._tracker.cut()
        if self._pipeline is None or (frame.asked, frame.scene) != (self._asked, self._scene):
            self._asked, self._scene = frame.asked, frame.scene
            self._pipeline = Pipeline(
                detector=load_detector(self._service.detector) if self._pipeline is None else self._pipeline.detector,
                recognizer=self._service.recognizer,
                tracker=self._tracker,
                smoothing_s=frame.asked.smoothing_s,
                landmarks=frame.asked.landmarks,
                why=frame.asked.why,
            )
        return self._pipeline


class Stream:
    """Serves one client until it leaves or has to.

    Parameters
    ----------
    websocket : WebSocket
        Accepted.
    service : Service
    """

    def __init__(self, websocket: WebSocket, service: Service) -> None:
        self._websocket, self._service, self._limits = websocket, service, service.limits
        self._reader, self._share = FrameReader(service), Share()
        self._asked, self._scene, self._frames = Asked(), 0, 0
        self._newest: Frame | None = None
        self._has_come = asyncio.Event()
        self._rate = Bucket(self._limits.frames_per_second)
        self._haste = Bucket(HASTE_PER_S, HASTE_ROOM)
        self._bad = 0

    async def serve(self) -> None:
        """Answer until the stream ends."""
        service = self._service
        try:
            async with asyncio.TaskGroup() as tasks:
                await self._send(protocol.hello(service.recognizer, service.detector, self._limits, service.notices))
                tasks.create_task(self._answer())
                await self._listen()
        except* _Closed as ends:
            await self._close(next(end for end in ends.exceptions if isinstance(end, _Closed)))

    async def _listen(self) -> NoReturn:
        while True:
            try:
                async with asyncio.timeout(self._limits.idle_s):
                    message = await self._websocket.receive()
            except TimeoutError as error:
                raise _Closed(protocol.IDLE, f"nothing came for {self._limits.idle_s:g} s: connect again") from error
            if message["type"] == "websocket.disconnect":
                raise _Closed
            try:
                await self._take(message.get("bytes"), message.get("text"))
            except RefusedError as error:
                await self._refuse(error, _time_of(message.get("bytes")))
            await asyncio.sleep(0)  # several messages may have come at once: the others are heard between them

    async def _take(self, content: bytes | None, text: str | None) -> None:
        """Take in a message; raises RefusedError where it cannot be."""
        if content is not None:
            self._frames += 1
        if not self._rate.takes(time.monotonic()):
            raise RefusedError(
                "too_fast", f"more than {self._limits.frames_per_second:g} messages a second: send the next frame later"
            )
        if content is not None:
            time_s, picture = protocol.read_binary(content, self._limits)
            frame = Frame(self._frames - 1, time_s, picture, self._asked, self._scene, time.perf_counter())
            overtaken, self._newest = self._newest, frame
            self._has_come.set()
            if overtaken is not None:
                self._service.metrics.dropped.add()
                await self._send(protocol.dropped(overtaken.time_s))
            return
        told = protocol.read_text(text or "")
        if isinstance(told, Cut):
            self._scene += 1
        else:
            self._asked = self._asked.changed(told)

    async def _answer(self) -> NoReturn:
        """Answer one frame after the other, the newest that there is."""
        while True:
            await self._has_come.wait()
            self._has_come.clear()
            frame, self._newest = self._newest, None
            if frame is None:
                continue
            try:
                answer = await self._service.pool.run(self._share, partial(self._read, frame))
            except RefusedError as error:
                await self._refuse(error, frame.time_s)
                continue
            except Exception:  # whatever a detector of another package raises: the client is told no internals
                log.exception("a frame could not be read")
                await self._refuse(RefusedError("failed", "this frame could not be read: send the next"), frame.time_s)
                continue
            self._bad = 0
            await self._send(answer)

    def _read(self, frame: Frame) -> str:
        """Return the answer to a frame; called in a thread."""
        result = self._reader.read(frame)
        passed_s = time.perf_counter() - frame.arrived_s
        metrics = self._service.metrics
        metrics.frames.add("stream")
        metrics.faces.add(by=len(result.faces))
        metrics.seconds.observe(passed_s)
        return protocol.answer(result, frame.asked, 1000 * passed_s)

    async def _refuse(self, error: RefusedError, time_s: float | None) -> None:
        self._service.metrics.errors.add(error.code)
        await self._send(protocol.refusal(error, time_s))
        if error.code == "too_fast":
            if not self._haste.takes(time.monotonic()):
                raise _Closed(protocol.POLICY, "too many messages a second, for too long")
            return
        self._bad += 1
        if self._bad >= PATIENCE:
            raise _Closed(
                protocol.POLICY, f"{PATIENCE} messages in a row could not be read: the last one was {error.code}"
            )

    async def _send(self, text: str) -> None:
        try:
            async with asyncio.timeout(self._limits.send_s):
                await self._websocket.send_text(text)
        except (TimeoutError, WebSocketDisconnect, RuntimeError) as error:  # who does not read is gone too
            raise _Closed from error

    async def _close(self, end: _Closed) -> None:
        if end.code is None:
            return
        self._service.metrics.closed.add(str(end.code))
        try:
            async with asyncio.timeout(self._limits.send_s):
                await self._websocket.close(end.code, end.reason)
        except (TimeoutError, WebSocketDisconnect, RuntimeError):
            return


def _time_of(content: bytes | None) -> float | None:
    """Return the time of a frame that is refused, None where it has none."""
    if content is None or len(content) < protocol.CLOCK.size:
        return None
    time_s = float(protocol.CLOCK.unpack_from(content)[0])
    return time_s if abs(time_s) < float("inf") else None
