"""Puts the forge together: REST at `/` and `/api/v3`, git at `/{owner}/{repo}.git/...`, and the pages."""

import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp

from forge import githttp, pages, seed
from forge.caching import Etags
from forge.entry import VERSIONS, Entry, Limits, RequestLog
from forge.errors import GitHubError
from forge.routes import routers
from forge.state import Forge

Judge = Callable[[ASGIApp], ASGIApp]


def create_app(
    data: Path,
    url: str,
    *,
    judge: Judge | None = None,
    rate_limit: int = 5000,
    versions: Sequence[str] = VERSIONS,
) -> FastAPI:
    """The whole forge on a data folder; `judge` wraps what REST clients are told, inside faults and logs.

    `app.state.forge` is the `Forge`, `app.state.token` the maintainer's token.
    """
    forge = Forge(data, url)
    log, limits = RequestLog(data / "requests.jsonl"), Limits(rate_limit)
    layers = [
        Middleware(Entry, forge=forge, log=log, limits=limits, versions=versions),
        Middleware(forge.faults.wrap),
        *([Middleware(judge)] if judge is not None else []),
        Middleware(Etags),
    ]

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await forge.start()
        yield
        await forge.stop()
        log.close()

    app = FastAPI(
        title="embedded forge",
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
        middleware=layers,
        strict_content_type=False,
    )
    app.state.forge, app.state.limits = forge, limits
    app.state.token = seed.seed(forge)
    for router in (*routers(), githttp.router, pages.router):
        app.include_router(router)
    _add_error_answers(app)
    return app


def _add_error_answers(app: FastAPI) -> None:
    @app.exception_handler(GitHubError)
    async def refused(request: Request, error: GitHubError) -> Response:
        if request.scope.get("forge.surface") == "page":
            return pages.error_page(request, error.status, error.message)
        return JSONResponse(error.body(), error.status, error.headers)

    @app.exception_handler(RequestValidationError)
    async def malformed(request: Request, error: RequestValidationError) -> Response:
        answer = _explain(error)
        return await refused(request, answer)

    @app.exception_handler(HTTPException)
    async def unrouted(request: Request, error: HTTPException) -> Response:
        status = 404 if error.status_code == 405 else error.status_code
        return await refused(
            request, GitHubError(status, "Not Found" if status == 404 else str(error.detail))
        )


def _explain(error: RequestValidationError) -> GitHubError:
    """400 for what is no JSON, 422 with one entry per field otherwise."""
    found = error.errors()
    if any(each["type"] == "json_invalid" for each in found):
        return GitHubError(400, "Problems parsing JSON")
    entries = [
        {
            "resource": "Request",
            "field": ".".join(str(part) for part in each["loc"][1:]) or "body",
            "code": "missing_field" if each["type"] == "missing" else "invalid",
            "message": each["msg"],
        }
        for each in found
    ]
    sentence = "; ".join(f"{entry['field']}: {entry['message']}" for entry in entries)
    return GitHubError(422, f"Invalid request.\n\n{sentence}", json.loads(json.dumps(entries)))
