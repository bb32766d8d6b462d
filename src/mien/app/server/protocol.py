"""The messages between service and clients, version 1; ``docs/protocol.md`` is written from here."""

from __future__ import annotations

import json
import math
import struct
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, StrictBool, TypeAdapter, ValidationError

import mien
from mien.app.server.limits import Limits
from mien.core.errors import MienError
from mien.core.types import FrameResult, Row, columns
from mien.engine.recognizer import Recognizer

SCHEMA = 1
SUBPROTOCOL = "mien.v1"
CLOCK = struct.Struct(">d")
"""What stands before the picture of a frame: the client's clock in seconds."""

MAX_TEXT = 1000  # characters of a text message
SMOOTHING_S = 0.3
GOING_DOWN, POLICY, FULL, NO_TOKEN, FOREIGN, IDLE = 1012, 1008, 1013, 4401, 4403, 4408
"""Codes with which the service closes a stream."""


class RefusedError(MienError):
    """What a client sent is not taken.

    Parameters
    ----------
    code : str
        One word for programs.
    message : str
        One line for people: what was given, what was expected, what cures it.
    status : int
        Of HTTP.
    """

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.status = status


class Options(BaseModel):
    """What is asked for from the next frame on; a key that is left out stays as it was."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    type: Literal["options"]
    landmarks: StrictBool | None = None
    why: StrictBool | None = None
    smoothing_s: Annotated[float, Field(strict=True, ge=0, le=60, allow_inf_nan=False)] | None = None


class Cut(BaseModel):
    """What follows is another scene or source."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    type: Literal["cut"]


Told: TypeAlias = Options | Cut
_told: TypeAdapter[Told] = TypeAdapter(Annotated[Told, Field(discriminator="type")])


@dataclass(frozen=True)
class Asked:
    """What a client wants to know of its frames.

    Parameters
    ----------
    landmarks, why : bool
        As :class:`mien.engine.pipeline.Pipeline` takes them.
    smoothing_s : float
        Half-life of past answers in seconds.
    """

    landmarks: bool = False
    why: bool = False
    smoothing_s: float = SMOOTHING_S

    def changed(self, options: Options) -> Asked:
        """Return this with what a client told."""
        told = options.model_dump(exclude={"type"}, exclude_none=True)
        return replace(self, **told)


def read_text(text: str) -> Told:
    """Return what a text message of a client says.

    Raises
    ------
    RefusedError
        ``bad_message`` where it is none of the two messages.
    """
    if len(text) > MAX_TEXT:
        raise RefusedError("bad_message", f"message has {len(text)} characters: expected at most {MAX_TEXT}")
    try:
        return _told.validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"] if part not in ("options", "cut"))
        named = f"{where}: " if where else ""
        raise RefusedError(
            "bad_message",
            f'{named}{first["msg"]}: expected {{"type":"options","landmarks":true,"why":false,"smoothing_s":0.3}} '
            'or {"type":"cut"}',
        ) from error


def read_binary(content: bytes, limits: Limits) -> tuple[float, memoryview]:
    """Return the time and the picture file of a binary message.

    Raises
    ------
    RefusedError
        ``bad_message`` where there is no time, ``too_large`` where the picture has too many bytes.
    """
    if len(content) <= CLOCK.size:
        raise RefusedError(
            "bad_message", f"frame has {len(content)} bytes: expected 8 of the time, then those of a picture"
        )
    (time_s,) = CLOCK.unpack_from(content)
    if not math.isfinite(time_s):
        raise RefusedError("bad_message", f"time of the frame is {time_s}: expected seconds as a big-endian double")
    picture = memoryview(content)[CLOCK.size :]
    if len(picture) > limits.frame_bytes:
        raise RefusedError(
            "too_large", f"frame has {len(picture)} bytes: expected at most {limits.frame_bytes}; send it smaller", 413
        )
    return time_s, picture


def hello(recognizer: Recognizer, detector: str, limits: Limits, notices: tuple[str, ...]) -> str:
    """Return the first message to a client."""
    card = recognizer.card
    model = {
        "name": card.name,
        "sha256": recognizer.model.sha256,
        "labels": card.labels,
        "uncertain_below": card.uncertain_below,
    }
    return _text(
        type="hello",
        schema=SCHEMA,
        mien=mien.__version__,
        model=model,
        detector=detector,
        columns=columns(card.labels),
        limits={
            "max_bytes": limits.frame_bytes,
            "max_pixels": limits.frame_pixels,
            "frames_per_second": limits.frames_per_second,
            "idle_s": limits.idle_s,
        },
        notices=notices,
    )


def answer(result: FrameResult, asked: Asked, server_ms: float) -> str:
    """Return the message with what was found in a frame."""
    assert result.image is not None
    height, width = result.image.shape[:2]
    return _text(
        type="result",
        frame=result.frame,
        time_s=result.time_s,
        width=width,
        height=height,
        server_ms=round(server_ms, 2),
        rows=rows_of(result, landmarks=asked.landmarks),
    )


def dropped(time_s: float) -> str:
    """Return the message about a frame that a newer one has overtaken."""
    return _text(type="dropped", time_s=time_s)


def refusal(error: RefusedError, time_s: float | None) -> str:
    """Return the message about what was not taken."""
    return _text(type="error", code=error.code, message=str(error), time_s=time_s)


def rows_of(result: FrameResult, *, landmarks: bool) -> list[Row]:
    """Return the flat rows of a frame; what is missing is None, as JSON has no NaN."""
    faces = result.faces if landmarks else replace(result.faces, landmarks=None)
    return [{name: _plain(value) for name, value in row.items()} for row in replace(result, faces=faces).to_dicts()]


def _plain(value: object) -> object:
    return None if isinstance(value, float) and math.isnan(value) else value


def _text(**content: Any) -> str:
    return json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
