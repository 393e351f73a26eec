"""Owns who may see set-up: the one browser that brought the token last."""

from __future__ import annotations

import hmac
import re
import secrets
from collections import deque
from urllib.parse import parse_qsl, urlsplit

import structlog
from starlette.requests import ClientDisconnect, Request
from starlette.responses import RedirectResponse, Response

from bot.web.setup_pages import page

_log = structlog.get_logger(__name__)

COOKIE = "gitwright_setup"
FORM_LIMIT = 64 << 10  # bytes


class Gate:
    """The token of one set-up, and what the browser that brings it gets; the next that does takes its place."""

    def __init__(self) -> None:
        self.token = secrets.token_urlsafe(32)
        self.csrf = secrets.token_urlsafe(32)  # what each form brings back
        self._session = secrets.token_urlsafe(32)
        self._opened = False
        self._ended: deque[str] = deque(maxlen=50)

    def admits(self, request: Request, *, closed: bool) -> Response | None:
        """Give the answer to whoever has to be told something first, None to those who may go on; `closed` takes no token."""
        given = request.query_params.get("token")
        if given is not None and not closed and same(given, self.token):
            self._renew(request)
            answer = RedirectResponse("/setup", 303)  # so that the token stays in no history
            secure = request.scope["scheme"] == "https"
            answer.set_cookie(
                COOKIE, self._session, httponly=True, samesite="lax", path="/setup", secure=secure
            )
            return answer
        cookie = request.cookies.get(COOKIE, "")
        if same(cookie, self._session):
            return None
        lapsed = any(same(cookie, each) for each in self._ended)
        return page("setup_closed.html", 403, wrong=given is not None, used=closed, lapsed=lapsed)

    def _renew(self, request: Request) -> None:
        """End what the token opened before: two who hold it cannot both go on, so neither stays unseen."""
        if self._opened:
            self._ended.append(self._session)
            self._session, self.csrf = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
            _log.warning("setup_opened_again", client=request.client.host if request.client else "")
        self._opened = True

    async def form(self, request: Request, *, closed: bool) -> dict[str, str] | Response:
        """Give the fields of a form of ours, or the answer where it is none."""
        if refusal := self.admits(request, closed=closed):
            return refusal
        fields = await _fields(request)
        if fields is None:
            return trouble("This form cannot be read", "It is too large, or not what the page sent.", 400)
        if not same(fields.get("csrf", ""), self.csrf):
            return trouble(
                "This form is not from this page", "Go back to the set-up page and try again.", 403
            )
        return fields


def trouble(title: str, text: str, status: int, again: str = "") -> Response:
    """Give a page that says what went wrong; `again` is an address with which it can be tried once more."""
    return page("setup_trouble.html", status, title=title, text=text, again=again)


def same(given: str, expected: str) -> bool:
    """Compare in constant time."""
    return hmac.compare_digest(given.encode("utf-8", "replace"), expected.encode())


def origin(request: Request) -> str:
    """Give the address under which the browser sees this page; it knows best, a proxy between may not tell."""
    said = request.headers.get("origin", "")
    asked = f"{request.scope['scheme']}://{request.headers.get('host', '')}"
    return next(filter(_is_origin, (said, asked)), "http://localhost")


def _is_origin(text: str) -> bool:
    if not re.fullmatch(r"https?://[\w.:\[\]-]+", text, re.ASCII):
        return False
    try:
        parts = urlsplit(text)
        return bool(parts.hostname) and (parts.port or 0) >= 0  # asking for the port is what checks it
    except ValueError:
        return False


async def _fields(request: Request) -> dict[str, str] | None:
    """Read a form; None where it is none, too large, or not whole."""
    if (
        request.headers.get("content-type", "").partition(";")[0].strip()
        != "application/x-www-form-urlencoded"
    ):
        return None
    body = b""
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > FORM_LIMIT:
                return None
    except ClientDisconnect:
        return None
    try:
        return dict(parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=50))
    except ValueError:
        return None
