"""The web application: its routes, and what each answers."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from stackful.errors import RunNotFoundError, StackfulError
from stackful.viewer.access import Guard, may_act
from stackful.viewer.changes import Changes

if TYPE_CHECKING:
    from starlette.requests import Request

    from stackful.viewer.source import Source

__all__ = ["make_app"]

_STATIC = Path(__file__).parent / "static"
_MOST = 1000
"""Rows in one answer."""

_Endpoint = Callable[..., Any]


def make_app(source: Source, token: str | None = None, hosts: frozenset[str] = frozenset()) -> Starlette:
    """The page for one store.

    Args:
        source: the store, as the page sees it.
        token: what actions take; None for a page that only shows.
        hosts: names that the server answers to, besides those of the loopback interface.

    Example:
        >>> app = make_app(Source("runs.db"))  # doctest: +SKIP
    """
    changes = Changes()
    app = Starlette(
        routes=[
            Route("/", _page),
            Route("/api/runs", _runs),
            Route("/api/runs/{run}", _run),
            Route("/api/runs/{run}/checkpoints/{seq:int}", _checkpoint),
            Route("/api/runs/{run}/{action}", _action, methods=["POST"]),
            Route("/api/events", _events),
            Mount("/static", StaticFiles(directory=_STATIC)),
        ],
        middleware=[Middleware(Guard, hosts=hosts)],
        lifespan=_watching(source, changes),
    )
    app.state.source, app.state.token, app.state.changes = source, token, changes
    return app


def _watching(source: Source, changes: Changes) -> Callable[[Starlette], Any]:
    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        stop = await run_in_threadpool(source.watch, changes)
        try:
            yield
        finally:
            changes.close()
            await run_in_threadpool(stop)

    return lifespan


def _explained(endpoint: _Endpoint) -> _Endpoint:
    """What goes wrong is said in the answer, as a sentence."""

    @wraps(endpoint)
    async def answer(request: Request) -> Response:
        try:
            found = await endpoint(request)
        except RunNotFoundError as error:
            return JSONResponse({"error": str(error)}, 404)
        except (StackfulError, ValueError) as error:
            return JSONResponse({"error": str(error)}, 400)
        return found if isinstance(found, Response) else JSONResponse(found)

    return answer


async def _page(_request: Request) -> Response:
    return FileResponse(_STATIC / "index.html")


@_explained
async def _runs(request: Request) -> dict[str, Any]:
    query = request.query_params
    limit = min(_MOST, int(query.get("limit", 100)))
    statuses = tuple(filter(None, query.get("status", "").split(",")))
    return await run_in_threadpool(request.app.state.source.runs, query.get("text", ""), statuses, limit)


@_explained
async def _run(request: Request) -> dict[str, Any]:
    return await run_in_threadpool(request.app.state.source.run, request.path_params["run"])


@_explained
async def _checkpoint(request: Request) -> dict[str, Any]:
    wanted = request.path_params
    return await run_in_threadpool(request.app.state.source.checkpoint, wanted["run"], wanted["seq"])


@_explained
async def _action(request: Request) -> Any:
    refusal = may_act(request, request.app.state.token)
    if refusal is not None:
        return JSONResponse({"error": refusal}, 403)
    action = request.app.state.source.actions.get(request.path_params["action"])
    if action is None:
        return JSONResponse({"error": f"there is no action {request.path_params['action']!r}"}, 404)
    body = json.loads(await request.body() or b"{}")
    if not isinstance(body, dict):
        raise ValueError("the body of an action is a JSON object")
    return await run_in_threadpool(action, request.path_params["run"], body)


async def _events(request: Request) -> Response:
    return StreamingResponse(request.app.state.changes.stream(), media_type="text/event-stream")
