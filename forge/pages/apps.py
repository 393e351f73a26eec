"""The pages that make an App from a manifest and install it on repositories, as GitHub's own do."""

import json
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from fastapi import APIRouter, Request, Response
from pydantic import ValidationError
from starlette.responses import RedirectResponse

from forge import apps
from forge.auth import forge_of
from forge.errors import GitHubError, not_found
from forge.pages.render import POLICY, page
from forge.pages.session import Form, Session, SignedIn, text
from forge.state import REPO, Forge
from forge.store import Row

router = APIRouter()


_NEW = "/settings/apps/new"
_NEW_OF = f"/organizations/{{org}}{_NEW}"


@router.post(_NEW)
@router.post(_NEW_OF)
async def take_manifest(request: Request, org: str = "", state: str = "") -> Response:
    """Take a manifest from another site's form; nothing happens before the reader confirms it."""
    fields = await request.form()
    query = {"manifest": text(fields, "manifest"), "state": state or text(fields, "state")}
    return RedirectResponse(f"{_above(org)}{_NEW}?{urlencode(query)}", 303)


@router.get(_NEW)
@router.get(_NEW_OF)
def confirm_page(
    request: Request, reader: SignedIn, org: str = "", manifest: str = "", state: str = ""
) -> Response:
    """Show what a manifest asks for."""
    wanted = _manifest(manifest) if manifest else {}
    if wanted:
        hook = wanted.get("hook_attributes")
        wanted = {"name": "", "redirect_url": "", "default_events": [], "default_permissions": {}, **wanted}
        wanted["hook_attributes"] = {"url": "", **(hook if isinstance(hook, dict) else {})}
    answer = page(
        request,
        reader,
        "app_new.html",
        title="Create an App",
        manifest=wanted,
        manifest_text=manifest,
        state=state,
        owner=_owner(forge_of(request), reader, org),
        action=f"{_above(org)}/settings/apps/confirm",
    )
    return _may_leave(answer)


@router.post("/settings/apps/confirm")
@router.post("/organizations/{org}/settings/apps/confirm")
def confirm(request: Request, reader: SignedIn, fields: Form, org: str = "") -> Response:
    """Remember the manifest and lead back to the site that sent it, with a code to turn into an App."""
    forge = forge_of(request)
    owner = _owner(forge, reader, org)
    manifest = _manifest(text(fields, "manifest"))
    manifest["name"] = text(fields, "name") or manifest.get("name", "")
    target = str(manifest.get("redirect_url") or "")
    if urlsplit(target).scheme not in ("http", "https"):
        raise GitHubError(422, "The manifest has no redirect_url to lead back to.")
    try:
        code = apps.remember_manifest(forge, manifest, owner["id"])
    except ValidationError as error:
        raise GitHubError(422, f"The manifest cannot be used: {error.errors()[0]['msg']}.") from error
    query = {"code": code} | ({"state": text(fields, "state")} if text(fields, "state") else {})
    joint = "&" if urlsplit(target).query else "?"
    return RedirectResponse(f"{target}{joint}{urlencode(query)}", 303)


@router.get("/apps/{slug}/installations/new")
def install_page(request: Request, reader: SignedIn, slug: str) -> Response:
    """Offer the reader's repositories to install an App on."""
    forge, app = _app(request, slug)
    account = _account(forge, app, reader)
    installed, repos = _state(forge, app, account)
    chosen = [] if installed is None else [repo["id"] for repo in apps.repositories_of(forge, installed)]
    answer = page(
        request,
        reader,
        "app_install.html",
        title=f"Install {app['name']}",
        app=app,
        account=account,
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
    account = _account(forge, app, reader)
    installed, repos = _state(forge, app, account)
    wanted = {str(value) for value in fields.getlist("repositories")}
    chosen = (
        None if text(fields, "selection") == "all" else [repo for repo in repos if str(repo["id"]) in wanted]
    )
    if chosen == []:
        raise GitHubError(422, "Choose at least one repository.")
    if installed is not None and (chosen is None) != (installed["repository_selection"] == "all"):
        raise GitHubError(422, "Uninstall the App before you change between all and some repositories.")
    row = apps.install(forge, app, account, chosen, reader.user)
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


def _above(org: str) -> str:
    return f"/organizations/{quote(org, safe='')}" if org else ""


def _owner(forge: Forge, reader: Session, org: str) -> Row:
    """Return whose App is made: the reader's, or an organization's; 404 for one that the reader does not administer."""
    assert reader.user is not None
    if not org:
        return reader.user
    found = forge.user(org)
    if found is None or found["type"] != "Organization" or not reader.user["site_admin"]:
        raise not_found()
    return found


def _account(forge: Forge, app: Row, reader: Session) -> Row:
    """Return where the App is installed: at its organization, else at the reader's account."""
    owner = forge.user_by_id(app["owner_id"])
    return _owner(forge, reader, owner["login"] if owner["type"] == "Organization" else "")


def _state(forge: Forge, app: Row, account: Row) -> tuple[Row | None, list[Row]]:
    installed = forge.db.one(
        "SELECT * FROM installations WHERE app_id = ? AND account_id = ?", app["id"], account["id"]
    )
    return installed, forge.db.all(f"{REPO} WHERE owner_id = ? ORDER BY repos.name", account["id"])


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
