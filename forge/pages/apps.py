"""The pages that make an App from a manifest and install it on repositories, as GitHub's own do."""

import json
from typing import Any
from urllib.parse import urlencode, urlsplit

from fastapi import APIRouter, Request, Response
from pydantic import ValidationError
from starlette.responses import RedirectResponse

from forge import apps
from forge.auth import forge_of
from forge.errors import GitHubError, not_found
from forge.pages.render import POLICY, page
from forge.pages.session import Form, SignedIn, text
from forge.state import REPO, Forge
from forge.store import Row

router = APIRouter()


@router.post("/settings/apps/new")
async def take_manifest(request: Request, state: str = "") -> Response:
    """Take a manifest from another site's form; nothing happens before the reader confirms it."""
    fields = await request.form()
    query = {"manifest": text(fields, "manifest"), "state": state or text(fields, "state")}
    return RedirectResponse(f"/settings/apps/new?{urlencode(query)}", 303)


@router.get("/settings/apps/new")
def confirm_page(request: Request, reader: SignedIn, manifest: str = "", state: str = "") -> Response:
    """Show what a manifest asks for."""
    wanted = _manifest(manifest) if manifest else {}
    if wanted:
        wanted = {"name": "", "redirect_url": "", **wanted}
        wanted["hook_attributes"] = {"url": "", **(wanted.get("hook_attributes") or {})}
    answer = page(
        request,
        reader,
        "app_new.html",
        title="Create an App",
        manifest=wanted,
        manifest_text=manifest,
        state=state,
    )
    return _may_leave(answer)


@router.post("/settings/apps/confirm")
def confirm(request: Request, reader: SignedIn, fields: Form) -> Response:
    """Remember the manifest and lead back to the site that sent it, with a code to turn into an App."""
    manifest = _manifest(text(fields, "manifest"))
    manifest["name"] = text(fields, "name") or manifest.get("name", "")
    target = str(manifest.get("redirect_url") or "")
    if urlsplit(target).scheme not in ("http", "https"):
        raise GitHubError(422, "The manifest has no redirect_url to lead back to.")
    assert reader.user is not None
    try:
        code = apps.remember_manifest(forge_of(request), manifest, reader.user["id"])
    except ValidationError as error:
        raise GitHubError(422, f"The manifest cannot be used: {error.errors()[0]['msg']}.") from error
    query = {"code": code} | ({"state": text(fields, "state")} if text(fields, "state") else {})
    joint = "&" if urlsplit(target).query else "?"
    return RedirectResponse(f"{target}{joint}{urlencode(query)}", 303)


@router.get("/apps/{slug}/installations/new")
def install_page(request: Request, reader: SignedIn, slug: str) -> Response:
    """Offer the reader's repositories to install an App on."""
    forge, app = _app(request, slug)
    installed, repos = _state(forge, app, reader.user)
    chosen = [] if installed is None else [repo["id"] for repo in apps.repositories_of(forge, installed)]
    answer = page(
        request,
        reader,
        "app_install.html",
        title=f"Install {app['name']}",
        app=app,
        permissions=json.loads(app["permissions"]),
        repos=repos,
        installed=installed is not None,
        selection="selected" if installed is None else installed["repository_selection"],
        chosen=chosen,
    )
    return _may_leave(answer)


@router.post("/apps/{slug}/installations/new")
def install(request: Request, reader: SignedIn, slug: str, fields: Form) -> Response:
    """Install an App, or change where it is installed."""
    forge, app = _app(request, slug)
    assert reader.user is not None
    installed, repos = _state(forge, app, reader.user)
    wanted = {str(value) for value in fields.getlist("repositories")}
    chosen = (
        None if text(fields, "selection") == "all" else [repo for repo in repos if str(repo["id"]) in wanted]
    )
    if chosen == []:
        raise GitHubError(422, "Choose at least one repository.")
    if installed is not None and (chosen is None) != (installed["repository_selection"] == "all"):
        raise GitHubError(422, "Uninstall the App before you change between all and some repositories.")
    row = apps.install(forge, app, reader.user, chosen, reader.user)
    for repo in [] if installed is None or chosen is None else apps.repositories_of(forge, installed):
        if str(repo["id"]) not in wanted:
            apps.remove_repository(forge, row, repo, reader.user)
    setup = app["setup_url"]
    query = urlencode(
        {"installation_id": row["id"], "setup_action": "install" if installed is None else "update"}
    )
    return RedirectResponse(f"{setup}?{query}" if setup else "/", 303)


def _app(request: Request, slug: str) -> tuple[Forge, Row]:
    forge = forge_of(request)
    app = forge.db.one("SELECT * FROM apps WHERE slug = ?", slug)
    if app is None:
        raise not_found()
    return forge, app


def _state(forge: Forge, app: Row, user: Row | None) -> tuple[Row | None, list[Row]]:
    assert user is not None
    installed = forge.db.one(
        "SELECT * FROM installations WHERE app_id = ? AND account_id = ?", app["id"], user["id"]
    )
    return installed, forge.db.all(f"{REPO} WHERE owner_id = ? ORDER BY repos.name", user["id"])


def _manifest(given: str) -> dict[str, Any]:
    try:
        found = json.loads(given)
    except ValueError as error:
        raise GitHubError(422, "The manifest is not JSON.") from error
    if not isinstance(found, dict):
        raise GitHubError(422, "The manifest is not a JSON object.")
    return found


def _may_leave(answer: Response) -> Response:
    """Let the page's form lead to the site that asked for it; every other page's forms stay here."""
    answer.headers["content-security-policy"] = POLICY.replace("; form-action 'self'", "")
    return answer
