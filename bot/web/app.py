"""Owns the HTTP application: which path leads where."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from bot import __version__
from bot.web.dashboard import Overview, dashboard
from bot.web.setup_pages import page
from bot.web.webhook import Webhook


def create_app(
    webhook: Webhook,
    ready: Callable[[], Awaitable[dict[str, str]]],
    look: Callable[[], Awaitable[Overview]] | None = None,
) -> FastAPI:
    """Build the application; `ready` names each part of the bot, with `ok` or what is wrong with it.

    There is a page at `/` where there is something to `look` at.
    """
    app = FastAPI(title="Gitwright", version=__version__, docs_url=None, redoc_url=None, openapi_url=None)
    # A plain route: the webhook must not pay for validation that it does itself.
    app.router.routes.append(Route("/webhook", webhook, methods=["POST"]))

    if look is not None:
        app.router.routes.append(Route("/", partial(_overview, look), methods=["GET"]))

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        """Say that the process lives."""
        return {"status": "ok", "version": __version__}

    @app.get("/readyz")
    async def readyz(_: Request) -> Response:
        """Say whether the database, the forge and the broker answer; 503 until they do."""
        found = await ready()
        return JSONResponse(found, 200 if set(found.values()) == {"ok"} else 503)

    @app.get("/setup")
    async def setup(_: Request) -> Response:
        """Tell whoever comes back with an old link that there is nothing left to set up."""
        return page("setup_closed.html", 410, wrong=True, used=True, lapsed=False)

    return app


async def _overview(look: Callable[[], Awaitable[Overview]], _: Request) -> Response:
    return await dashboard(look)


class Switch:
    """Serves set-up until there is a bot to serve, and then that one, on the same port; set-up keeps its own pages."""

    def __init__(self, setup: ASGIApp) -> None:
        self._setup = setup
        self.bot: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        own = path == "/setup" or path.startswith("/setup/")
        await (self._setup if self.bot is None or own else self.bot)(scope, receive, send)
