"""The routes of the app, and what protects them from other web pages: loopback alone does not."""

import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import uvicorn
from omegaconf import OmegaConf
from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from src.evaluation.app.loading import Checkpoint
from src.utils.errors import UserError

if TYPE_CHECKING:
    from src.evaluation.app.session import Session

PAGE = Path(__file__).parent / "page"
SHARED = [Path(__file__).parents[1] / "reports/web" / name for name in ("axes.js", "maps.js")]  # with reports
MOST_BYTES = 5_000_000  # of a sound: 28 s of 16-bit stereo at 44.1 kHz, where a model looks at the first seconds
MOST_RECORDING_BYTES = 50_000_000  # of a recording to be cut into segments
_MOST_VALUES_BYTES = 100_000  # of the values of 255 parameters
_CHANNELS = ("mix", "left", "right")
_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}
_HEADERS = {
    # nothing from elsewhere is loaded, and no other page can show this one in a frame
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src data:; media-src blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "microphone=(self)",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",  # neither sounds nor answers stay in the browser's cache on disk
}


class Values(BaseModel):
    """Values to render, by parameter."""

    model_config = ConfigDict(extra="forbid", strict=True)

    values: dict[str, float]


def listen(port: int) -> socket.socket:
    """Return a socket of this machine alone that listens at a port, 0 for a free one."""
    listener = socket.socket(proto=socket.IPPROTO_TCP)  # stated, so that asyncio sets TCP_NODELAY; else 40 ms an answer
    try:
        listener.bind(("127.0.0.1", port))
        listener.listen()
    except (OSError, OverflowError) as error:
        listener.close()
        raise UserError(f"--port: {port} cannot be used ({error}); give another, or leave it out") from error
    return listener


def make_server(app: ASGIApp) -> uvicorn.Server:
    """Return a server of an app; its `run(sockets=[...])` serves until Ctrl-C, which is raised as KeyboardInterrupt."""
    return uvicorn.Server(
        uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,
            server_header=False,
            lifespan="off",
            ws="none",
            timeout_graceful_shutdown=1,  # s: enough for an answer
        )
    )


def make_app(checkpoints: Sequence[Checkpoint], settings: Mapping[str, Any], port: int) -> ASGIApp:
    """Return the app for requests to this machine at a port; `settings` are those of configs/predict.yaml."""
    tasks = (_predict, _refine, _explain, _render, _hear, _segment)
    routes = [_file_route(f"/{path.name}", path) for path in [*PAGE.iterdir(), *SHARED] if path.suffix in _TYPES]
    routes += [_file_route("/", PAGE / "index.html"), Route("/models", _models)]
    routes += [Route(f"/{task.__name__.removeprefix('_')}", task, methods=["POST"]) for task in tasks]
    handlers: dict[Any, Any] = {UserError: _refused, HTTPException: _failed}
    app = Starlette(routes=routes, exception_handlers=handlers)
    app.state.checkpoints, app.state.settings = checkpoints, settings
    return guarded(app, port)


async def _models(request: Request) -> Response:
    return JSONResponse([_listed(checkpoint) for checkpoint in request.app.state.checkpoints])


async def _predict(request: Request, refined: bool = False) -> Response:
    session, channel = _session(request), _choice(request, "channel", _CHANNELS, None)
    content = await read_body(request, MOST_BYTES)
    return JSONResponse(await run_in_threadpool(session.predict, content, channel, refined))


async def _refine(request: Request) -> Response:
    return await _predict(request, refined=True)


async def _explain(request: Request) -> Response:
    session, channel = _session(request), _choice(request, "channel", _CHANNELS, None)
    content = await read_body(request, MOST_BYTES)
    return JSONResponse(await run_in_threadpool(session.explain, content, channel))


async def _render(request: Request) -> Response:
    session, values = _session(request), await _values(request)
    return Response(await run_in_threadpool(session.render, values), media_type="audio/wav")


async def _hear(request: Request) -> Response:
    session, values = _session(request), await _values(request)
    return JSONResponse(await run_in_threadpool(session.hear, values))


async def _segment(request: Request) -> Response:
    session, channel = _session(request), _choice(request, "channel", _CHANNELS, None)
    segment = _choice(request, "segment", ("onsets", "fixed"), "onsets")
    config = OmegaConf.create({**request.app.state.settings, "segment": segment})
    content = await read_body(request, MOST_RECORDING_BYTES)
    return JSONResponse(await run_in_threadpool(session.segment, content, channel, config))


def guarded(app: ASGIApp, port: int) -> ASGIApp:
    """Return an app that answers 403 to what other web pages, or names that lead to this machine, ask of it."""

    async def guard(scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_HEADERS)
            await send(message)

        fault = foreign(Headers(scope=scope), port)
        if fault:
            await _error(403, f"{fault}; open http://127.0.0.1:{port}")(scope, receive, send_with_headers)
        else:
            await app(scope, receive, send_with_headers)

    return guard


def foreign(headers: Headers, port: int) -> str:
    """Return what in a request's headers shows that it is not from the app's own page, or nothing."""
    hosts = [f"{name}:{port}" for name in ("127.0.0.1", "localhost", "[::1]")]
    if [host.lower() for host in headers.getlist("host")] not in [[host] for host in hosts]:
        return "Host: not the address of the app"  # as after DNS rebinding
    if any(origin not in [f"http://{host}" for host in hosts] for origin in headers.getlist("origin")):
        return "Origin: another site"
    if any(site not in ("same-origin", "none") for site in headers.getlist("sec-fetch-site")):
        return "Sec-Fetch-Site: another site"
    return ""


async def read_body(request: Request, most: int) -> bytes:
    """Return a request's body; an HTTPException, 413, if it has more than `most` bytes, which are never kept."""
    stated = request.headers.get("content-length", "")
    content = bytearray()
    if not (stated.isdecimal() and int(stated) > most):
        async for chunk in request.stream():
            content += chunk
            if len(content) > most:
                break
        else:
            return bytes(content)
    raise HTTPException(413, f"more than {most / 1e6:g} MB; cut the sound")


def _file_route(name: str, path: Path) -> Route:
    content = path.read_bytes()

    async def file(request: Request) -> Response:
        return Response(content, media_type=_TYPES[path.suffix])

    return Route(name, file)


def _listed(checkpoint: Checkpoint) -> dict[str, Any]:
    session = checkpoint.session
    described = {} if session is None else session.describe()
    return {"name": checkpoint.name, "fault": checkpoint.fault, "ready": session is not None, **described}


def _session(request: Request) -> "Session":
    """Return the session that a request names by its number; raise HTTPException if it is none that is ready."""
    numbers = {str(number): checkpoint for number, checkpoint in enumerate(request.app.state.checkpoints)}
    checkpoint = numbers.get(request.query_params.get("model", "0"))
    if checkpoint is None:
        raise HTTPException(404, "model: not one of the checkpoints that the app was started with")
    if checkpoint.fault:
        raise HTTPException(409, checkpoint.fault)
    if checkpoint.session is None:
        raise HTTPException(503, "the model is still loading; try again in a few seconds")
    return checkpoint.session


def _choice(request: Request, name: str, allowed: Sequence[str], default: str | None) -> str | None:
    chosen = request.query_params.get(name, default)
    if chosen != default and chosen not in allowed:
        raise HTTPException(422, f"{name}: give {', '.join(allowed)}")
    return chosen


async def _values(request: Request) -> dict[str, float]:
    try:
        return Values.model_validate_json(await read_body(request, _MOST_VALUES_BYTES)).values
    except ValidationError as error:
        raise HTTPException(422, 'values: give {"values": {"NAME": NUMBER, ...}}') from error


def _refused(request: Request, error: Exception) -> Response:
    return _error(422, str(error))


def _failed(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _error(error.status_code, error.detail)


def _error(status: int, text: str) -> Response:
    return JSONResponse({"error": text}, status)
