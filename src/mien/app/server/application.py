"""The application: page, pictures, stream, health, metrics, OpenAPI."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, FastAPI, Query, Request, Response, WebSocket
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, HTMLResponse
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp

import mien
from mien.app.server import openapi
from mien.app.server.metrics import MEDIA_TYPE
from mien.app.server.openapi import Health
from mien.app.server.pictures import Pictures
from mien.app.server.protocol import FULL, SUBPROTOCOL, RefusedError
from mien.app.server.security import Addresses, Gate, error_body
from mien.app.server.service import Service
from mien.app.server.streams import Stream

STATIC = Path(__file__).with_name("static")
NO_PAGE = "<!doctype html><html lang=en><title>mien</title><p>The service runs; this installation has no page."
REVALIDATED = {"Cache-Control": "no-cache"}  # a new version shows at once
LATER = {"Retry-After": "1"}

router = APIRouter()


def application(service: Service, *, addresses: Addresses, token: str | None) -> ASGIApp:
    """Return the whole service as an ASGI application.

    Parameters
    ----------
    service : Service
    addresses : Addresses
        Under which it is asked.
    token : str or None
        Who asks must have it; None lets everybody in who reaches it.
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        service.pool.close()

    app = FastAPI(
        title="mien",
        version=mien.__version__,
        description=openapi.DESCRIPTION,
        docs_url=None,  # its page loads script from elsewhere
        redoc_url=None,
        lifespan=lifespan,
    )
    app.state.service, app.state.pictures = service, Pictures(service)
    app.include_router(router)
    app.mount("/static", _Static(directory=STATIC, check_dir=False))
    app.add_exception_handler(RefusedError, _refused)
    app.add_exception_handler(RequestValidationError, _bad_option)
    app.add_exception_handler(HTTPException, _no_such_thing)
    app.add_exception_handler(Exception, _failed)
    return Gate(app, addresses=addresses, token=token, errors=service.metrics.errors)


@router.get("/", include_in_schema=False)
async def page() -> Response:
    """Return the live page."""
    path = STATIC / "index.html"
    return FileResponse(path, headers=REVALIDATED) if path.is_file() else HTMLResponse(NO_PAGE)


class _Static(StaticFiles):
    def file_response(self, *arguments: object, **options: object) -> Response:
        response = super().file_response(*arguments, **options)  # type: ignore[arg-type]
        response.headers.update(REVALIDATED)
        return response


@router.get("/healthz", summary="Whether the service runs", responses=openapi.refusals(401, 403))
async def health(request: Request) -> Health:
    """Tell that the service runs, with which net and detector, for how many clients."""
    service: Service = request.app.state.service
    return Health(
        status="ok",
        mien=mien.__version__,
        model=service.recognizer.card.name,
        detector=service.detector,
        clients=service.clients,
        max_clients=service.limits.clients,
    )


@router.get(
    "/metrics",
    summary="Counts and times",
    response_class=Response,
    responses=openapi.METRICS | openapi.refusals(401, 403),
)
async def counts(request: Request) -> Response:
    """Return the counts of the service in the text format of Prometheus."""
    return Response(request.app.state.service.metrics.text(), media_type=MEDIA_TYPE)


@router.post(
    "/analyze",
    summary="The faces of a picture",
    response_class=Response,
    openapi_extra=openapi.PICTURE,
    responses=openapi.READING | openapi.refusals(401, 403, 408, 413, 415, 422, 429, 503),
)
async def analyze(
    request: Request,
    landmarks: Annotated[bool, Query(description="Add 68 points of each face as columns.")] = False,
    why: Annotated[bool, Query(description="Add the part of each region in the answer as columns.")] = False,
) -> Response:
    """Read the expressions in one picture."""
    answer = await request.app.state.pictures.answer(request, landmarks=landmarks, why=why)
    return Response(answer, media_type="application/json")


@router.websocket("/stream")
async def stream(websocket: WebSocket) -> None:
    """Read the frames of one client."""
    await websocket.accept(subprotocol=SUBPROTOCOL if SUBPROTOCOL in websocket.scope["subprotocols"] else None)
    service: Service = websocket.app.state.service
    try:
        with service.room_for_client():
            await Stream(websocket, service).serve()
    except RefusedError as error:
        service.metrics.errors.add(error.code)
        await websocket.close(FULL, str(error))


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, RefusedError)
    request.app.state.service.metrics.errors.add(error.code)
    headers = LATER if error.status in (429, 503) else None
    return Response(error_body(error), error.status, headers, "application/json")


async def _bad_option(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    return await _refused(request, RefusedError("bad_option", f"{first['loc'][-1]}: {first['msg']}", 422))


async def _no_such_thing(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = {404: "not_found", 405: "not_allowed"}.get(error.status_code, "bad_request")
    message = f"{error.detail}: /openapi.json tells what there is"
    response = await _refused(request, RefusedError(code, message, error.status_code))
    response.headers.update(error.headers or {})  # Allow, where the method is wrong
    return response


async def _failed(request: Request, _: Exception) -> Response:
    return await _refused(request, RefusedError("failed", "the service failed: send it again, or another picture", 500))
