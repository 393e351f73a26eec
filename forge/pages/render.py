"""Turns templates into pages: everything escaped, no scripts, one look."""

import hashlib
from pathlib import Path
from typing import Any

from fastapi import Request
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.responses import HTMLResponse

from forge.auth import forge_of
from forge.errors import not_found
from forge.pages.session import Session
from forge.state import Forge
from forge.store import Row

HERE = Path(__file__).parent
POLICY = "default-src 'none'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"

_TEMPLATES = Environment(
    loader=FileSystemLoader(HERE / "templates"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
)


def page(
    request: Request, session: Session, template: str, *, title: str, status: int = 200, **context: Any
) -> HTMLResponse:
    """Return one page; `context` is what the template names beside the frame's own words."""
    path = request.scope["path"]
    query = request.url.query
    words: dict[str, Any] = {
        "repo": None,
        "base": "",
        "tab": "",
        "notice": "",
        "counts": {},
        "here": f"{path}?{query}" if query else path,
        "session": session,
        "title": title,
        "avatar": avatar,
        "csrf": lambda: Markup('<input type="hidden" name="csrf" value="{}">').format(session.csrf),
    }
    html = _TEMPLATES.get_template(template).render(words | context)
    headers = {
        "content-security-policy": POLICY,
        "referrer-policy": "same-origin",
        "x-content-type-options": "nosniff",
        "cache-control": "no-store",
    }
    return HTMLResponse(html, status, headers)


def repository(
    request: Request, session: Session, owner: str, name: str, tab: str
) -> tuple[Forge, Row, dict[str, Any]]:
    """Return the forge, a repository that the reader sees, and the words of its frame; 404 otherwise."""
    forge = forge_of(request)
    repo = forge.repo(owner, name)
    if repo is None or not session.actor.can_see(repo):
        raise not_found()
    opened = "SELECT count(*) FROM issues WHERE repo_id = ? AND state = 'open' AND is_pull = ?"
    counts = {
        "issues": forge.db.count(opened, repo["id"], 0),
        "pulls": forge.db.count(opened, repo["id"], 1),
    }
    base = f"/{repo['owner_login']}/{repo['name']}"
    return forge, repo, {"repo": repo, "base": base, "tab": tab, "counts": counts}


def avatar(login: str) -> Markup:
    """Return a disc with a person's initial, in a color of its own."""
    hue = hashlib.sha256(login.encode()).digest()[0] * 360 // 256
    return Markup('<span class="avatar" style="background:hsl({},45%,42%)">{}</span>').format(
        hue, login[:1].upper()
    )


def moment(time: str | None) -> str:
    """Return a time of the API as people read it."""
    return "" if time is None else time.replace("T", " ").removesuffix("Z").rpartition(":")[0] + " UTC"


def label(row: Row) -> dict[str, Any]:
    """Return a label with colors on which its name can be read."""
    red, green, blue = (int(row["color"][at : at + 2], 16) for at in (0, 2, 4))
    ink = "#111" if red * 0.299 + green * 0.587 + blue * 0.114 > 140 else "#fff"
    style = f"background:#{row['color']};color:{ink}"
    return {"name": row["name"], "description": row["description"], "style": style}
