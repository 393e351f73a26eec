"""Routes of a repository's webhooks and of their deliveries."""

import json
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field
from starlette.responses import JSONResponse

from forge import deliveries
from forge.auth import Access, needs
from forge.errors import GitHubError, not_found
from forge.store import Row

router = APIRouter()

HooksRead = Annotated[Access, needs("repository_hooks", "read")]
HooksWrite = Annotated[Access, needs("repository_hooks", "write")]
BASE = "/repos/{owner}/{repo}/hooks"


class HookConfig(BaseModel):
    """Where a hook posts."""

    url: str | None = None
    content_type: str | None = None
    secret: str | None = None
    insecure_ssl: str | int | None = None


class NewHook(BaseModel):
    """A hook to create."""

    name: Literal["web"] = "web"
    config: HookConfig
    events: list[str] = Field(default_factory=lambda: ["push"])
    active: bool = True


class HookChange(BaseModel):
    """What changes of a hook."""

    config: HookConfig | None = None
    events: list[str] | None = None
    add_events: list[str] = Field(default_factory=list)
    remove_events: list[str] = Field(default_factory=list)
    active: bool | None = None


@router.get(BASE)
def list_hooks(access: HooksRead) -> list[dict[str, Any]]:
    """List a repository's hooks."""
    rows = access.forge.db.all("SELECT * FROM hooks WHERE repo_id = ? ORDER BY id", access.repo["id"])
    return [_shown(access, row) for row in rows]


@router.post(BASE, status_code=201)
def create_hook(access: HooksWrite, body: NewHook) -> dict[str, Any]:
    """Create a hook and ping it."""
    url = _url(body.config)
    forge = access.forge
    same = forge.db.one("SELECT 1 FROM hooks WHERE repo_id = ? AND url = ?", access.repo["id"], url)
    if same is not None:
        message = "Hook already exists on this repository"
        raise GitHubError(
            422, "Validation Failed", [{"resource": "Hook", "code": "custom", "message": message}]
        )
    with forge.db.tx():
        hook_id = forge.db.run(
            "INSERT INTO hooks (repo_id, url, secret, content_type, events, active, created_at, updated_at)"
            " VALUES (?, ?, ?, 'json', ?, ?, ?, ?)",
            access.repo["id"],
            url,
            body.config.secret,
            json.dumps(sorted(set(body.events))),
            int(body.active),
            forge.now(),
            forge.now(),
        )
        row = _find(access, hook_id)
        shown = _shown(access, row)
        forge.events.ping(row, access.repo, access.actor.user, shown)
    return shown


@router.get(BASE + "/{hook_id:int}")
def get_hook(access: HooksRead, hook_id: int) -> dict[str, Any]:
    """Show a hook; its secret is masked."""
    return _shown(access, _find(access, hook_id))


@router.patch(BASE + "/{hook_id:int}")
def change_hook(access: HooksWrite, hook_id: int, body: HookChange) -> dict[str, Any]:
    """Change a hook; a config is replaced as a whole."""
    row = _find(access, hook_id)
    events = set(json.loads(row["events"]) if body.events is None else body.events)
    events = (events | set(body.add_events)) - set(body.remove_events)
    access.forge.db.run(
        "UPDATE hooks SET url = ?, secret = ?, events = ?, active = ?, updated_at = ? WHERE id = ?",
        row["url"] if body.config is None else _url(body.config),
        row["secret"] if body.config is None else body.config.secret,
        json.dumps(sorted(events)),
        row["active"] if body.active is None else int(body.active),
        access.forge.now(),
        hook_id,
    )
    return _shown(access, _find(access, hook_id))


@router.delete(BASE + "/{hook_id:int}", status_code=204)
def delete_hook(access: HooksWrite, hook_id: int) -> Response:
    """Delete a hook."""
    _find(access, hook_id)
    access.forge.db.run("DELETE FROM hooks WHERE id = ?", hook_id)
    return Response(status_code=204)


@router.post(BASE + "/{hook_id:int}/pings", status_code=204)
def ping_hook(access: HooksRead, hook_id: int) -> Response:
    """Ping a hook."""
    row = _find(access, hook_id)
    with access.forge.db.tx():
        access.forge.events.ping(row, access.repo, access.actor.user, _shown(access, row))
    return Response(status_code=204)


@router.get(BASE + "/{hook_id:int}/deliveries")
def list_deliveries(
    request: Request,
    access: HooksRead,
    hook_id: int,
    per_page: int = deliveries.PER_PAGE,
    cursor: str | None = None,
    status: Literal["success", "failure"] | None = None,
) -> JSONResponse:
    """List a hook's deliveries, newest first."""
    _find(access, hook_id)
    rows, following = deliveries.page(access.forge, ("hook_id", hook_id), cursor, per_page, status)
    url = f"{access.forge.url}{request.scope.get('forge.prefix', '')}{request.scope['path']}"
    headers = deliveries.link(url, following, per_page, status)
    return JSONResponse([deliveries.item(row) for row in rows], headers=headers)


@router.get(BASE + "/{hook_id:int}/deliveries/{delivery_id:int}")
def get_delivery(access: HooksRead, hook_id: int, delivery_id: int) -> dict[str, Any]:
    """Show one delivery with request and response."""
    _find(access, hook_id)
    return deliveries.detail(deliveries.find(access.forge, ("hook_id", hook_id), delivery_id))


@router.post(BASE + "/{hook_id:int}/deliveries/{delivery_id:int}/attempts", status_code=202)
def redeliver(access: HooksWrite, hook_id: int, delivery_id: int) -> dict[str, Any]:
    """Send the same event again under the same GUID."""
    _find(access, hook_id)
    access.forge.events.redeliver(deliveries.find(access.forge, ("hook_id", hook_id), delivery_id))
    return {}


def _find(access: Access, hook_id: int) -> Row:
    row = access.forge.db.one("SELECT * FROM hooks WHERE id = ? AND repo_id = ?", hook_id, access.repo["id"])
    if row is None:
        raise not_found()
    return row


def _url(config: HookConfig) -> str:
    """Return the address of a hook; 422 for what is none, and for a body format that the forge does not send."""
    if not config.url or not config.url.startswith(("http://", "https://")):
        raise GitHubError(
            422, "Validation Failed", [{"resource": "Hook", "code": "custom", "message": "Invalid url"}]
        )
    if config.content_type not in (None, "json"):
        message = "this forge delivers content_type json only"
        raise GitHubError(
            422, "Validation Failed", [{"resource": "Hook", "code": "custom", "message": message}]
        )
    return config.url


def _shown(access: Access, row: Row) -> dict[str, Any]:
    url = f"{access.forge.url}/repos/{access.repo['owner_login']}/{access.repo['name']}/hooks/{row['id']}"
    config = {"content_type": "json", "insecure_ssl": "0", "url": row["url"]}
    return {
        "type": "Repository",
        "id": row["id"],
        "name": "web",
        "active": bool(row["active"]),
        "events": json.loads(row["events"]),
        "config": config | ({"secret": "********"} if row["secret"] else {}),
        "updated_at": row["updated_at"],
        "created_at": row["created_at"],
        "url": url,
        "test_url": f"{url}/test",
        "ping_url": f"{url}/pings",
        "deliveries_url": f"{url}/deliveries",
        "last_response": {"code": None, "status": "unused", "message": None},
    }
