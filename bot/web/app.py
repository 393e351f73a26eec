"""Owns the HTTP application: which path leads where."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from bot import __version__
from bot.web.webhook import Webhook


def create_app(webhook: Webhook, ready: Callable[[], Awaitable[dict[str, str]]]) -> FastAPI:
    """Build the application; `ready` names each part of the bot, with `ok` or what is wrong with it."""
    app = FastAPI(title="Gitwright", version=__version__, docs_url=None, redoc_url=None, openapi_url=None)
    # A plain route: the webhook must not pay for validation that it does itself.
    app.router.routes.append(Route("/webhook", webhook, methods=["POST"]))

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        """Say that the process lives."""
        return {"status": "ok", "version": __version__}

    @app.get("/readyz")
    async def readyz(_: Request) -> Response:
        """Say whether the database and the forge answer; 503 until they do."""
        found = await ready()
        return JSONResponse(found, 200 if set(found.values()) == {"ok"} else 503)

    return app
