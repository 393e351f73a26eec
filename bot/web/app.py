"""Owns the HTTP application: which path leads where, and that the bot runs while it is served."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from bot import __version__
from bot.web.webhook import Webhook


@dataclass(frozen=True, slots=True)
class Parts:
    """What the application serves."""

    webhook: Webhook
    ready: Callable[[], Awaitable[dict[str, str]]]  # each part and `ok`, or what is wrong with it
    start: Callable[[], Awaitable[None]]
    stop: Callable[[], Awaitable[None]]


def create_app(parts: Parts) -> FastAPI:
    """Build the application; the bot starts and stops with it."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await parts.start()
        try:
            yield
        finally:
            await parts.stop()

    app = FastAPI(
        title="Gitwright",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        lifespan=lifespan,
    )
    # A plain route: the webhook must not pay for validation that it does itself.
    app.router.routes.append(Route("/webhook", parts.webhook, methods=["POST"]))

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        """Say that the process lives."""
        return {"status": "ok", "version": __version__}

    @app.get("/readyz")
    async def readyz(_: Request) -> Response:
        """Say whether the database and the forge answer; 503 until they do."""
        found = await parts.ready()
        return JSONResponse(found, 200 if set(found.values()) == {"ok"} else 503)

    return app
