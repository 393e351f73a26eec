"""Owns set-up: the pages behind a one-time token that give the bot an identity on a forge, and start it."""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from urllib.parse import urlencode, urlsplit

import structlog
from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from bot import __version__, credentials
from bot.errors import BotError, NotFoundError
from bot.forges.github.setup import Front, web_url
from bot.ports import Clock
from bot.proxies import is_loopback
from bot.settings import Settings
from bot.web import setup_forms as forms
from bot.web.addresses import in_the_clear
from bot.web.setup_gate import Gate, origin, same, trouble
from bot.web.setup_identity import Identity, imported, lent, of_app
from bot.web.setup_manifest import manifest, template
from bot.web.setup_pages import page

_log = structlog.get_logger(__name__)

STATE_AGE = timedelta(hours=1)  # as long as the code that comes back with it is good for
MOST_STATES = 50
PATIENCE = 20.0  # seconds for the bot's start, before a page says that it goes on
_PLAIN_PAGE = (
    "This page came over plain HTTP, so others on the way can read the secrets that you enter here and change what you see. "
    "Reach it over HTTPS, or through an SSH tunnel to this machine."
)
_PLAIN_FORGE = (
    "The forge that GITWRIGHT_GITHUB_API_URL names is reached over plain HTTP, so others on the way can read the bot's tokens. "
    "Use its https:// address."
)


@dataclass(frozen=True, slots=True)
class _Begun:
    """An App that somebody went to the forge to confirm."""

    wanted: forms.NewApp
    at: datetime
    csrf: str  # of the browser that went


class Setup:
    """The state of one set-up; `start` starts the bot from what is stored, and raises BotError where it does not start."""

    def __init__(self, settings: Settings, clock: Clock, start: Callable[[], Awaitable[None]]) -> None:
        self._gate = Gate()
        self._folder = settings.data_dir
        self._version = settings.github_api_version
        self._place = forms.Place(settings.github_api_url, "github_api_url" in settings.model_fields_set)
        self._clock = clock
        self._start = start
        self._begun: dict[str, _Begun] = {}
        self._identity: Identity | None = None
        self._kept = False  # whether the credentials were written, or found written
        self._starting: asyncio.Task[None] | None = None
        self._one_at_a_time = asyncio.Lock()

    def app(self) -> Starlette:
        """Give the application that is served until the bot works, and below `/setup` after that."""
        return Starlette(
            routes=[
                Route("/healthz", _alive),
                Route("/readyz", _not_ready),
                Route("/webhook", _no_webhook, methods=["POST"]),
                Route("/", _to_setup),
                Route("/setup", self._home),
                Route("/setup/app", self._app, methods=["POST"]),
                Route("/setup/import", self._import, methods=["POST"]),
                Route("/setup/token", self._token, methods=["POST"]),
                Route("/setup/callback", self._callback),
                Route("/setup/start", self._again, methods=["POST"]),
            ]
        )

    @property
    def token(self) -> str:
        """What opens the page."""
        return self._gate.token

    @property
    def _over(self) -> bool:
        """Whether set-up is complete: the bot has started. Until then the token opens the page that tells why not."""
        task = self._starting
        return task is not None and task.done() and not task.cancelled() and task.exception() is None

    async def _taken(self, request: Request) -> dict[str, str] | Response:
        """Give the fields of a form, or the answer where there are none or set-up is over."""
        fields = await self._gate.form(request, closed=self._over)
        known = self._identity is not None
        return RedirectResponse("/setup", 303) if known and isinstance(fields, dict) else fields

    # --- pages -----------------------------------------------------------------------------------

    async def _home(self, request: Request) -> Response:
        return self._gate.admits(request, closed=self._over) or await self._standing(request)

    async def _standing(self, request: Request) -> Response:
        """Show how far set-up is."""
        if self._identity is None:
            return self._forms(request)
        if self._starting is None or not self._starting.done() or self._starting.cancelled():
            return page("setup_starting.html", refresh=2, identity=self._identity)
        if (error := self._starting.exception()) is None:
            web = web_url(self._identity.api)
            hook = f"{origin(request)}/webhook"
            return page("setup_done.html", identity=self._identity, web=web, hook=hook, events=_events())
        return page(
            "setup_failed.html",
            503,
            csrf=self._gate.csrf,
            identity=self._identity,
            error=str(error)
            if isinstance(error, BotError | OSError)
            else "an internal error; the log tells more",
            path=self._folder / credentials.NAME if self._kept else None,
        )

    def _forms(
        self,
        request: Request,
        form: str = "app",
        problems: forms.Problems | None = None,
        typed: Mapping[str, str] = MappingProxyType({}),
    ) -> Response:
        """Show the forms, with what was typed; a secret is typed anew: no template takes one."""
        here = origin(request)
        host = urlsplit(here).hostname or ""
        local = is_loopback(host)
        reachable = not local or is_loopback(urlsplit(self._place.api).hostname or "")
        usual = {
            "server": self._place.web,
            "name": "Gitwright",
            "owner": "me",
            "hook": f"{here}/webhook" if reachable else "",
        }
        warnings = [_PLAIN_PAGE] if request.scope["scheme"] == "http" and not local else []
        warnings += [_PLAIN_FORGE] if in_the_clear(self._place.api) else []
        return page(
            "setup.html",
            422 if problems else 200,
            csrf=self._gate.csrf,
            form=form,
            typed={**usual, **typed},
            problems=problems or {},
            place=self._place,
            reachable=reachable,
            path=self._folder / credentials.NAME,
            warning=" ".join(warnings),
        )

    # --- an App from a manifest ------------------------------------------------------------------

    async def _app(self, request: Request) -> Response:
        fields = await self._taken(request)
        if isinstance(fields, Response):
            return fields
        try:
            wanted = forms.new_app(fields, self._place)
        except forms.Refused as refused:
            return self._forms(request, "app", refused.problems, fields)
        state = self._begin(wanted, fields["csrf"])
        asked = template()
        return page(
            "setup_review.html",
            leaves=True,
            wanted=wanted,
            web=web_url(wanted.api),
            target=f"{wanted.target}?{urlencode({'state': state})}",
            manifest=manifest(name=wanted.name, hook=wanted.hook, origin=origin(request)),
            permissions=asked["default_permissions"],
            events=asked["default_events"],
        )

    def _begin(self, wanted: forms.NewApp, csrf: str) -> str:
        now = self._clock.now()
        fresh = {state: begun for state, begun in self._begun.items() if now - begun.at < STATE_AGE}
        state = secrets.token_urlsafe(32)
        self._begun = dict([*fresh.items(), (state, _Begun(wanted, now, csrf))][-MOST_STATES:])
        return state

    async def _callback(self, request: Request) -> Response:
        if refusal := self._gate.admits(request, closed=self._over):
            return refusal
        async with self._one_at_a_time:
            if self._identity is not None:
                return RedirectResponse("/setup", 303)
            begun = self._known_state(request.query_params.get("state", ""))
            code = request.query_params.get("code", "")
            if begun is None or not re.fullmatch(r"[\w.~-]{1,200}", code, re.ASCII):
                return trouble(
                    "This answer does not belong to a set-up that is under way",
                    "It took longer than an hour, set-up was opened again or the server started anew meanwhile, or the address is not complete. "
                    "Nothing was stored. Begin again; if the forge has made an App already, delete it there, or import it.",
                    400,
                )
            return await self._converted(request, begun.wanted, code)

    def _known_state(self, given: str) -> _Begun | None:
        """Give what the browser that set-up is open to began; another's would make the bot somebody else's App."""
        begun = next((begun for state, begun in self._begun.items() if same(given, state)), None)
        if begun is None or self._clock.now() - begun.at >= STATE_AGE or begun.csrf != self._gate.csrf:
            return None
        return begun

    async def _converted(self, request: Request, wanted: forms.NewApp, code: str) -> Response:
        web = web_url(wanted.api)
        try:
            made = await Front(wanted.api, self._version).convert(code)
        except NotFoundError:
            text = (
                f"{web} does not know this code: it is good for one time, and for an hour. Begin again. If {web} has made the "
                "App already, delete it there, or make a new private key on its page and import it."
            )
            return trouble("The App could not be taken over", text, 502)
        except BotError as error:
            _log.warning("manifest_not_converted", error=str(error))
            query = request.scope["query_string"].decode("ascii", "replace")
            text = (
                f"{web} did not hand over the App ({str(error).replace(code, '...')}). Try again; if that does not help, begin anew, and look whether "
                f"{web} has made the App all the same: delete it there, or make a new private key on its page and import it."
            )
            return trouble("The App could not be taken over", text, 502, again=f"/setup/callback?{query}")
        try:
            identity = of_app(wanted.api, made, made.key, made.webhook_secret, poll=wanted.poll)
        except ValidationError:
            text = f"{web} made the App, but its key or its webhook secret is missing. Make both on its page, and import it."
            return trouble("The App could not be taken over", text, 502)
        return await self._finish(request, identity)

    # --- an App that exists, or a person's token -------------------------------------------------

    async def _import(self, request: Request) -> Response:
        fields = await self._taken(request)
        if isinstance(fields, Response):
            return fields
        try:
            identity = await imported(forms.known_app(fields, self._place), self._version)
        except forms.Refused as refused:
            return self._gate.admits(request, closed=self._over) or self._forms(
                request, "import", refused.problems, fields
            )
        async with self._one_at_a_time:
            return await self._finish(request, identity)

    async def _token(self, request: Request) -> Response:
        fields = await self._taken(request)
        if isinstance(fields, Response):
            return fields
        try:
            identity = await lent(forms.person(fields, self._place), self._version)
        except forms.Refused as refused:
            return self._gate.admits(request, closed=self._over) or self._forms(
                request, "token", refused.problems, fields
            )
        async with self._one_at_a_time:
            return await self._finish(request, identity)

    # --- the end of it ---------------------------------------------------------------------------

    async def _finish(self, request: Request, identity: Identity) -> Response:
        # While the forge was asked another browser may have come.
        if refusal := self._gate.admits(request, closed=self._over):
            return refusal
        if self._identity is None:
            self._identity = identity
            await self._started()
        return RedirectResponse("/setup", 303)

    async def _again(self, request: Request) -> Response:
        fields = await self._gate.form(request, closed=self._over)
        if isinstance(fields, Response):
            return fields
        async with self._one_at_a_time:
            ended = self._starting is not None and self._starting.done()
            if ended and not self._over:
                await self._started()
        return RedirectResponse("/setup", 303)

    async def _started(self) -> None:
        self._starting = asyncio.create_task(self._store_and_start(), name="start after set-up")
        self._starting.add_done_callback(_tell)
        await asyncio.wait({self._starting}, timeout=PATIENCE)

    async def _store_and_start(self) -> None:
        assert self._identity is not None
        self._kept = False
        path = self._folder / credentials.NAME
        if credentials.opened(self._folder) != self._identity.credentials:
            credentials.store(self._folder, self._identity.credentials)
            _log.info("set_up", mode=self._identity.mode, name=self._identity.name, file=str(path))
        self._kept = True
        await self._start()


def _tell(starting: asyncio.Task[None]) -> None:
    error = None if starting.cancelled() else starting.exception()
    if error is not None:
        _log.error("not_started", error=str(error), exc_info=None if isinstance(error, BotError) else error)


def _events() -> list[str]:
    return list(template()["default_events"])


async def _alive(_: Request) -> Response:
    return JSONResponse({"status": "ok", "version": __version__})


async def _not_ready(_: Request) -> Response:
    return JSONResponse({"setup": "not done: open the address that the server printed when it started"}, 503)


async def _no_webhook(_: Request) -> Response:
    return JSONResponse({"message": "not set up yet, so nothing can be checked; redeliver this later"}, 503)


async def _to_setup(_: Request) -> Response:
    return RedirectResponse("/setup", 303)
