"""Routes of pull requests: list, open, read, change, and what they hold."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel
from starlette.responses import JSONResponse

from forge import history, media, objects, pulls
from forge.auth import Access, needs
from forge.errors import JsonDict, invalid
from forge.git import Bare
from forge.paging import Paged
from forge.store import Row, Value

router = APIRouter()

Readable = Annotated[Access, needs("pull_requests", "read")]
Writable = Annotated[Access, needs("pull_requests", "write")]

ORDER = {
    "created": "issues.id",
    "updated": "issues.updated_at",
    "popularity": "issues.id",
    "long-running": "issues.id",
}


class NewPull(BaseModel):
    """A pull request to open."""

    title: str
    head: str
    base: str
    body: str | None = None
    draft: bool = False
    maintainer_can_modify: bool = False


class PullChange(BaseModel):
    """Changes of a pull request; absent keys stay."""

    title: str | None = None
    body: str | None = None
    state: Literal["open", "closed"] | None = None
    base: str | None = None
    maintainer_can_modify: bool | None = None


@router.get("/repos/{owner}/{repo}/pulls")
def list_pulls(
    access: Readable,
    page: Paged,
    state: Literal["open", "closed", "all"] = "open",
    head: str | None = None,
    base: str | None = None,
    sort: Annotated[str, Query(pattern="^(created|updated|popularity|long-running)$")] = "created",
    direction: Literal["asc", "desc"] | None = None,
) -> JSONResponse:
    forge, repo = access.forge, access.repo
    where, args = ["pulls.repo_id = ?"], list[Value]([repo["id"]])
    if state != "all":
        where.append("state = ?")
        args.append(state)
    if head is not None:
        owner, _, branch = head.rpartition(":")
        # Without `owner:` GitHub ignores the filter; another owner has no branch here.
        if owner:
            where.append("head_ref = ? AND ? = lower(?)")
            args += [branch, str(repo["owner_login"]).lower(), owner]
    if base is not None:
        where.append("base_ref = ?")
        args.append(base)
    order = direction or ("desc" if sort == "created" else "asc")
    sql = f"{pulls.PULL} WHERE {' AND '.join(where)} ORDER BY {ORDER[sort]} {order}, issues.id {order}"
    return page.query(forge.db, sql, *args, show=lambda row: objects.pull_simple(forge, repo, row))


@router.post("/repos/{owner}/{repo}/pulls")
def create(access: Writable, body: NewPull) -> JSONResponse:
    row = pulls.open_pull(
        access.forge,
        access.repo,
        access.actor,
        title=body.title,
        body=body.body,
        head=body.head,
        base=body.base,
        draft=body.draft,
    )
    return JSONResponse(objects.pull(access.forge, access.repo, row), 201)


@router.get("/repos/{owner}/{repo}/pulls/{number:int}")
def read(access: Readable, request: Request, number: int) -> Response:
    row = pulls.find(access.forge, access.repo, number)
    wanted = media.wanted(request)
    if wanted in ("diff", "patch"):
        bare, (base, head) = access.forge.git.of(access.repo), _span(access, row)
        text = (
            history.diff_text(bare, history.fork_point(bare, base, head), head)
            if wanted == "diff"
            else history.patch_text(bare, base, head)
        )
        return Response(text, media_type=f"application/vnd.github.{wanted}; charset=utf-8")
    return JSONResponse(objects.pull(access.forge, access.repo, row))


def _span(access: Access, row: Row) -> tuple[str, str]:
    """The base that a pull request is compared with, and its head."""
    tip = None if row["merged_at"] else access.forge.tip(access.repo, row["base_ref"])
    return tip or row["base_sha"], row["head_sha"]


@router.patch("/repos/{owner}/{repo}/pulls/{number:int}")
def change(access: Writable, number: int, body: PullChange) -> JSONResponse:
    forge, repo, actor = access.forge, access.repo, access.actor
    row = pulls.find(forge, repo, number)
    if row["user_id"] != actor.user["id"]:
        access.require_role("triage")
    if body.title is not None and not body.title.strip():
        raise invalid("PullRequest", "title", "missing_field")
    pulls.check_text(body.title, body.body)
    with forge.db.tx():
        changes = _changed(access, row, body)
        if changes:
            forge.db.run("UPDATE issues SET updated_at = ? WHERE id = ?", forge.now(), row["id"])
            pulls.announce(forge, repo, row["id"], "edited", actor.user, changes=changes)
        if body.state == "closed" and row["state"] == "open":
            pulls.close(forge, repo, row, actor)
        if body.state == "open" and row["state"] == "closed":
            pulls.reopen(forge, repo, row, actor)
    return JSONResponse(objects.pull(forge, repo, pulls.by_id(forge, row["id"])))


def _changed(access: Access, row: Row, body: PullChange) -> JsonDict:
    """Writes title, body and base, and returns what they were, as `pull_request.edited` tells it."""
    forge, changes = access.forge, JsonDict()
    if body.title is not None and body.title != row["title"]:
        forge.db.run("UPDATE issues SET title = ? WHERE id = ?", body.title, row["id"])
        changes["title"] = {"from": row["title"]}
    if "body" in body.model_fields_set and body.body != row["body"]:
        forge.db.run("UPDATE issues SET body = ? WHERE id = ?", body.body, row["id"])
        changes["body"] = {"from": row["body"] or ""}
    if body.base is not None and body.base != row["base_ref"]:
        pulls.change_base(forge, access.repo, row, body.base)
        changes["base"] = {"ref": {"from": row["base_ref"]}, "sha": {"from": row["base_sha"]}}
    return changes


@router.get("/repos/{owner}/{repo}/pulls/{number:int}/files")
def list_files(access: Readable, page: Paged, number: int) -> JSONResponse:
    forge, repo = access.forge, access.repo
    bare, (base, head) = forge.git.of(repo), _span(access, pulls.find(forge, repo, number))
    found = history.changes(bare, history.fork_point(bare, base, head), head)
    return page.answer(found, lambda change: objects.file_change(forge, repo, head, change))


@router.get("/repos/{owner}/{repo}/pulls/{number:int}/commits")
def list_commits(access: Readable, page: Paged, number: int) -> JSONResponse:
    forge, repo = access.forge, access.repo
    bare: Bare = forge.git.of(repo)
    base, head = _span(access, pulls.find(forge, repo, number))
    return page.answer(history.between(bare, base, head), lambda commit: objects.commit(forge, repo, commit))
