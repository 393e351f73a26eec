"""Routes of repositories: create, read, list, change, delete."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel
from starlette.responses import JSONResponse

from forge import objects, repositories
from forge.auth import Access, Actor, Caller, KnownCaller, forge_of, needs
from forge.errors import GitHubError, not_found
from forge.paging import Paged
from forge.state import REPO, Forge
from forge.store import Row

router = APIRouter()

Readable = Annotated[Access, needs("metadata", "read")]
Administered = Annotated[Access, needs("administration", "write")]


class NewRepository(BaseModel):
    """A repository to make."""

    name: str
    description: str | None = None
    private: bool = False
    visibility: Literal["public", "private"] | None = None
    auto_init: bool = False


class RepositoryChange(BaseModel):
    """Changes of a repository; absent keys stay."""

    name: str | None = None
    description: str | None = None
    homepage: str | None = None
    private: bool | None = None
    visibility: Literal["public", "private"] | None = None
    default_branch: str | None = None
    archived: bool | None = None
    has_issues: bool | None = None
    allow_merge_commit: bool | None = None
    allow_squash_merge: bool | None = None
    allow_rebase_merge: bool | None = None
    delete_branch_on_merge: bool | None = None


@router.post("/user/repos")
def create(request: Request, actor: KnownCaller, body: NewRepository) -> JSONResponse:
    forge = forge_of(request)
    if actor.kind != "user":
        raise GitHubError(403, "Resource not accessible by integration")
    repo = repositories.create(
        forge,
        actor.user,
        repositories.check_name(body.name),
        private=body.private if body.visibility is None else body.visibility == "private",
        description=body.description,
        default_branch="main",
    )
    if body.auto_init:
        repositories.initialize(forge, repo, actor)
    return JSONResponse(objects.full_repo(forge, forge.repo_by_id(repo["id"]), actor), 201)


@router.get("/user/repos")
def list_own(request: Request, actor: KnownCaller, page: Paged) -> JSONResponse:
    forge = forge_of(request)
    if actor.kind != "user":
        raise GitHubError(403, "Resource not accessible by integration")
    shared = "repos.id IN (SELECT repo_id FROM collaborators WHERE user_id = ?1)"
    rows = forge.db.all(f"{REPO} WHERE owner_id = ?1 OR {shared} ORDER BY repos.id", actor.user["id"])
    return _listed(forge, rows, actor, page)


@router.get("/users/{login}/repos")
def list_of_user(request: Request, actor: Caller, login: str, page: Paged) -> JSONResponse:
    forge = forge_of(request)
    user = forge.user(login)
    if user is None:
        raise not_found()
    return _listed(
        forge, forge.db.all(f"{REPO} WHERE owner_id = ? ORDER BY repos.id", user["id"]), actor, page
    )


def _listed(forge: Forge, rows: list[Row], actor: Actor, page: Paged) -> JSONResponse:
    visible = [row for row in rows if actor.can_see(row)]
    return page.answer(visible, lambda row: objects.repo(forge, row, actor))


@router.get("/repos/{owner}/{repo}")
def read(access: Readable) -> JSONResponse:
    return JSONResponse(objects.full_repo(access.forge, access.repo, access.actor))


@router.get("/repositories/{repository_id:int}")
def read_by_id(request: Request, actor: Caller, repository_id: int) -> JSONResponse:
    forge = forge_of(request)
    row = forge.db.one(f"{REPO} WHERE repos.id = ?", repository_id)
    if row is None or not actor.can_see(row):
        raise not_found()
    return JSONResponse(objects.full_repo(forge, row, actor))


@router.patch("/repos/{owner}/{repo}")
def change(access: Administered, body: RepositoryChange) -> JSONResponse:
    forge, before = access.forge, access.repo
    wanted: dict[str, Any] = body.model_dump(exclude_unset=True, exclude={"visibility"})
    if body.visibility is not None:
        wanted["private"] = body.visibility == "private"
    if body.name is not None:
        wanted["name"] = repositories.check_name(body.name)
    kept = {
        key: int(value) if isinstance(value, bool) else value
        for key, value in wanted.items()
        if value is not None or key in ("description", "homepage")
    }
    with forge.git.lock(before), forge.db.tx():
        row = repositories.change(forge, before, kept)
        _announce(forge, before, row, access.actor.user)
    return JSONResponse(objects.full_repo(forge, row, access.actor))


def _announce(forge: Forge, before: Row, after: Row, sender: Row) -> None:
    """The `repository` events that GitHub sends for what changed."""
    if before["name"] != after["name"]:
        changes = {"repository": {"name": {"from": before["name"]}}}
        forge.events.emit("repository", "renamed", after, sender, changes=changes)
    if before["archived"] != after["archived"]:
        forge.events.emit("repository", "archived" if after["archived"] else "unarchived", after, sender)
    if before["private"] != after["private"]:
        forge.events.emit("repository", "privatized" if after["private"] else "publicized", after, sender)


@router.delete("/repos/{owner}/{repo}")
def delete(access: Administered) -> Response:
    forge = access.forge
    with forge.git.lock(access.repo), forge.db.tx():
        forge.events.emit("repository", "deleted", access.repo, access.actor.user)
        repositories.remove(forge, access.repo)
    return Response(status_code=204)
