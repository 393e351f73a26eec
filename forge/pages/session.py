"""Who looks at a page: a cookie session, and the token that every form must bring back."""

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import Depends, Request
from starlette.datastructures import FormData
from starlette.responses import RedirectResponse, Response

from forge.auth import Actor, forge_of
from forge.errors import GitHubError
from forge.state import Forge
from forge.store import Row
from forge.tokens import anonymous, user_actor

COOKIE = "forge_session"
SIGN_IN_FIRST = "Sign in first."


@dataclass(frozen=True, slots=True)
class Session:
    """A reader; `user` is None for one who did not sign in."""

    key: str
    user: Row | None
    actor: Actor

    @property
    def csrf(self) -> str:
        """What a form of this session carries."""
        return hmac.new(self.key.encode(), b"csrf", hashlib.sha256).hexdigest()


def is_local(forge: Forge) -> bool:
    """Whether only this machine reaches the forge: then its people may sign in by their name alone."""
    host = urlsplit(forge.url).hostname or ""
    return host in ("localhost", "::1") or host.startswith("127.")


async def session(request: Request) -> Session:
    """Return the reader; 421 where the address in the browser is not this forge's, against DNS rebinding."""
    forge = forge_of(request)
    host = urlsplit(f"//{request.headers.get('host', '')}").hostname
    if host not in (urlsplit(forge.url).hostname, "localhost", "127.0.0.1", "::1"):
        raise GitHubError(421, "This forge answers only under its own address.")
    key = request.cookies.get(COOKIE, "")
    row = forge.db.one(
        "SELECT users.* FROM users JOIN page_sessions ON user_id = users.id WHERE id_hash = ?", _digest(key)
    )
    if row is None:
        return Session(key, None, anonymous(forge))
    return Session(key, row, user_actor(forge, row))


Reader = Annotated[Session, Depends(session)]


async def signed_in(reader: Reader) -> Session:
    """Return a reader who signed in; others are led to the sign-in page."""
    if reader.user is None:
        raise GitHubError(401, SIGN_IN_FIRST)
    return reader


SignedIn = Annotated[Session, Depends(signed_in)]


async def checked_form(request: Request, reader: Reader) -> FormData:
    """Return the fields of a form of ours; 403 for one that another page made."""
    fields = await request.form()
    sent = fields.get("csrf")
    if (
        not reader.key
        or not isinstance(sent, str)
        or not hmac.compare_digest(sent.encode(), reader.csrf.encode())
    ):
        raise GitHubError(403, "This form is too old or not from this forge. Go back, reload and try again.")
    return fields


Form = Annotated[FormData, Depends(checked_form)]


def text(fields: FormData, name: str) -> str:
    """Return a text field with the newlines of Unix; empty if absent."""
    value = fields.get(name, "")
    return value.replace("\r\n", "\n") if isinstance(value, str) else ""


def new_key() -> str:
    """Return a new session's key."""
    return secrets.token_urlsafe(32)


def sign_in(forge: Forge, user: Row, to: str) -> RedirectResponse:
    """Start a session and lead on."""
    key = new_key()
    forge.db.run(
        "INSERT INTO page_sessions (id_hash, user_id, created_at) VALUES (?, ?, ?)",
        _digest(key),
        user["id"],
        forge.now(),
    )
    answer = RedirectResponse(local_path(to), 303)
    set_cookie(answer, key)
    return answer


def sign_out(forge: Forge, reader: Session) -> None:
    """End a session."""
    forge.db.run("DELETE FROM page_sessions WHERE id_hash = ?", _digest(reader.key))


def set_cookie(answer: Response, key: str) -> None:
    """Remember a session's key in the browser, out of reach of scripts and of other sites' forms."""
    answer.set_cookie(COOKIE, key, httponly=True, samesite="lax", path="/")


def local_path(to: str) -> str:
    """Return `to` if it is a path on this forge, else the first page."""
    return to if to.startswith("/") and not to.startswith(("//", "/\\")) else "/"


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()
