"""The first page, signing in and out, and the look."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from starlette.responses import FileResponse, RedirectResponse

from forge import tokens
from forge.auth import forge_of
from forge.ci import SLUG
from forge.errors import GitHubError
from forge.pages import session as sessions
from forge.pages.render import HERE, page
from forge.pages.session import Form, Reader, Session, text
from forge.state import REPO

router = APIRouter()


@router.get("/")
def home(request: Request, reader: Reader) -> Response:
    """List the repositories that the reader sees, and the Apps."""
    forge = forge_of(request)
    opened = "(SELECT count(*) FROM issues WHERE repo_id = repos.id AND state = 'open' AND is_pull = {})"
    sql = REPO.replace(
        "SELECT repos.*",
        f"SELECT repos.*, {opened.format(0)} AS open_issues, {opened.format(1)} AS open_pulls",
    )
    repos = [repo for repo in forge.db.all(f"{sql} ORDER BY repos.id DESC") if reader.actor.can_see(repo)]
    apps = forge.db.all("SELECT * FROM apps WHERE slug != ? ORDER BY name", SLUG)
    return page(request, reader, "home.html", title="Repositories", repos=repos, apps=apps)


@router.get("/-/style.css")
def style() -> Response:
    """Serve the look."""
    return FileResponse(HERE / "style.css", media_type="text/css", headers={"cache-control": "max-age=60"})


@router.get("/login")
def login_page(request: Request, reader: Reader, next: Annotated[str, Query()] = "/") -> Response:
    """Offer the people to sign in as, and a field for a token."""
    forge = forge_of(request)
    people = forge.db.all(
        "SELECT * FROM users WHERE type = 'User' AND login NOT IN ('ghost', 'web-flow') ORDER BY id"
    )
    # A form needs a session to belong to, also before anybody signed in.
    shown = reader if reader.key else Session(sessions.new_key(), None, reader.actor)
    answer = page(
        request,
        shown,
        "login.html",
        title="Sign in",
        people=people if sessions.is_local(forge) else [],
        next=sessions.local_path(next),
    )
    if not reader.key:
        sessions.set_cookie(answer, shown.key)
    return answer


@router.post("/login")
def login(request: Request, fields: Form) -> Response:
    """Sign in as somebody, by name or by token."""
    forge = forge_of(request)
    token = text(fields, "token").strip()
    if token:
        actor = tokens.authenticate(forge, f"Bearer {token}")
        if actor.kind != "user":
            raise GitHubError(401, "Only people sign in here; this token is an App's.")
        return sessions.sign_in(forge, actor.user, text(fields, "next"))
    user = forge.user(text(fields, "login"))
    if user is None or user["type"] != "User" or not sessions.is_local(forge):
        raise GitHubError(401, "There is nobody of that name.")
    return sessions.sign_in(forge, user, text(fields, "next"))


@router.post("/logout")
def logout(request: Request, reader: Reader, fields: Form) -> Response:
    """End the session."""
    sessions.sign_out(forge_of(request), reader)
    return RedirectResponse("/", 303)
