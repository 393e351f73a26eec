"""Routes of an App: itself, its installations, their tokens, and its webhook's settings."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body, Request, Response
from pydantic import BaseModel, Field
from starlette.responses import JSONResponse

from forge import apps, objects, tokens
from forge.auth import CallingApp, KnownCaller, forge_of
from forge.errors import GitHubError, JsonDict, not_found
from forge.paging import Paged
from forge.state import Forge
from forge.store import Row

router = APIRouter()


class TokenWish(BaseModel):
    """What a new installation token shall be narrowed to."""

    repositories: Annotated[list[str], Field(max_length=500)] | None = None
    repository_ids: Annotated[list[int], Field(max_length=500)] | None = None
    permissions: dict[str, str] | None = None


class HookConfig(BaseModel):
    """Changes of an App's webhook; absent keys stay."""

    url: str | None = None
    content_type: Literal["json", "form"] | None = None
    secret: str | None = None
    insecure_ssl: str | float | None = None


@router.get("/app")
def read_app(request: Request, actor: CallingApp) -> JSONResponse:
    forge = forge_of(request)
    assert actor.app is not None
    count = forge.db.count("SELECT count(*) FROM installations WHERE app_id = ?", actor.app["id"])
    return JSONResponse({**objects.app(forge, actor.app), "installations_count": count})


@router.get("/apps/{slug}")
def read_app_by_slug(request: Request, actor: KnownCaller, slug: str) -> JSONResponse:
    del actor
    forge = forge_of(request)
    row = forge.db.one("SELECT * FROM apps WHERE slug = ?", slug)
    if row is None:
        raise not_found()
    return JSONResponse(objects.app(forge, row))


@router.get("/app/installations")
def list_installations(request: Request, actor: CallingApp, page: Paged) -> JSONResponse:
    forge = forge_of(request)
    sql = "SELECT * FROM installations WHERE app_id = ? ORDER BY id"
    return page.query(forge.db, sql, actor.app_id, show=lambda row: objects.installation(forge, row))


@router.get("/app/installations/{installation_id:int}")
def read_installation(request: Request, actor: CallingApp, installation_id: int) -> JSONResponse:
    forge = forge_of(request)
    return JSONResponse(objects.installation(forge, _own(forge, actor.app_id, installation_id)))


@router.delete("/app/installations/{installation_id:int}")
def remove_installation(request: Request, actor: CallingApp, installation_id: int) -> Response:
    forge = forge_of(request)
    apps.uninstall(forge, _own(forge, actor.app_id, installation_id), actor.user)
    return Response(status_code=204)


@router.put("/app/installations/{installation_id:int}/suspended")
def suspend(request: Request, actor: CallingApp, installation_id: int) -> Response:
    forge = forge_of(request)
    apps.suspend(forge, _own(forge, actor.app_id, installation_id), forge.now(), actor.user)
    return Response(status_code=204)


@router.delete("/app/installations/{installation_id:int}/suspended")
def unsuspend(request: Request, actor: CallingApp, installation_id: int) -> Response:
    forge = forge_of(request)
    apps.suspend(forge, _own(forge, actor.app_id, installation_id), None, actor.user)
    return Response(status_code=204)


@router.post("/app/installations/{installation_id:int}/access_tokens")
def create_token(
    request: Request,
    actor: CallingApp,
    installation_id: int,
    wish: Annotated[TokenWish | None, Body()] = None,
) -> JSONResponse:
    forge = forge_of(request)
    row = _own(forge, actor.app_id, installation_id)
    if row["suspended_at"]:
        raise GitHubError(403, "This installation has been suspended")
    wish = wish or TokenWish()
    permissions = apps.granted(row, wish.permissions)
    chosen = _chosen(forge, row, wish)
    assert actor.app is not None
    ids = None if chosen is None else [repo["id"] for repo in chosen]
    token, expires = tokens.mint_installation(forge, actor.app, row, permissions, ids)
    answer: JsonDict = {
        "token": token,
        "expires_at": expires,
        "permissions": permissions,
        "repository_selection": row["repository_selection"] if chosen is None else "selected",
    }
    if chosen is not None:
        answer["repositories"] = [objects.repo(forge, repo) for repo in chosen]
    return JSONResponse(answer, 201)


def _own(forge: Forge, app_id: int | None, installation_id: int) -> Row:
    row = forge.db.one("SELECT * FROM installations WHERE id = ? AND app_id = ?", installation_id, app_id)
    if row is None:
        raise not_found()
    return row


def _chosen(forge: Forge, row: Row, wish: TokenWish) -> list[Row] | None:
    """The repositories that a token shall be good for; None for all of the installation's."""
    if not wish.repositories and not wish.repository_ids:
        return None
    reach = apps.repositories_of(forge, row)
    names = {name.lower() for name in wish.repositories or ()}
    ids = set(wish.repository_ids or ())
    chosen = [repo for repo in reach if repo["id"] in ids or str(repo["name"]).lower() in names]
    if len(chosen) < max(len(names), len(ids)):
        sentence = "There is at least one repository that does not exist or is not accessible to the parent installation."
        raise GitHubError(422, sentence)
    return chosen


@router.get("/repos/{owner}/{repo}/installation")
def read_repository_installation(request: Request, actor: CallingApp, owner: str, repo: str) -> JSONResponse:
    forge = forge_of(request)
    row = forge.repo(owner, repo)
    found = None if row is None else _installed_on(forge, actor.app_id, row)
    if found is None:
        raise not_found()
    return JSONResponse(objects.installation(forge, found))


def _installed_on(forge: Forge, app_id: int | None, repo: Row) -> Row | None:
    return forge.db.one(
        "SELECT * FROM installations WHERE app_id = ? AND account_id = ? AND (repository_selection = 'all' OR EXISTS"
        " (SELECT 1 FROM installation_repos WHERE installation_id = installations.id AND repo_id = ?))",
        app_id,
        repo["owner_id"],
        repo["id"],
    )


@router.get("/users/{login}/installation")
def read_user_installation(request: Request, actor: CallingApp, login: str) -> JSONResponse:
    forge = forge_of(request)
    user = forge.user(login)
    found = user and forge.db.one(
        "SELECT * FROM installations WHERE app_id = ? AND account_id = ?", actor.app_id, user["id"]
    )
    if not found:
        raise not_found()
    return JSONResponse(objects.installation(forge, found))


@router.get("/app/hook/config")
def read_hook(request: Request, actor: CallingApp) -> JSONResponse:
    del request
    assert actor.app is not None
    return JSONResponse(_hook(actor.app))


@router.patch("/app/hook/config")
def change_hook(request: Request, actor: CallingApp, change: HookConfig) -> JSONResponse:
    forge = forge_of(request)
    assert actor.app is not None
    named: dict[str, Any] = {
        "webhook_url": change.url,
        "webhook_secret": change.secret,
        "webhook_content_type": change.content_type,
    }
    with forge.db.tx():
        for column, value in named.items():
            if value is not None:
                forge.db.run(f"UPDATE apps SET {column} = ? WHERE id = ?", value, actor.app["id"])  # noqa: S608 - ours
        if change.url is not None:
            forge.db.run("UPDATE apps SET webhook_active = 1 WHERE id = ?", actor.app["id"])
    return JSONResponse(_hook(forge.app_by_id(actor.app["id"])))


def _hook(row: Row) -> JsonDict:
    shown = {
        "content_type": row["webhook_content_type"],
        "insecure_ssl": "0",
        "url": row["webhook_url"] or "",
    }
    return {**shown, "secret": "********"} if row["webhook_secret"] else shown
