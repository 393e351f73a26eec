"""Routes of issues: create, read, list, change, lock."""

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, Field

from forge import issues, leaving, objects
from forge.auth import Access, needs
from forge.clock import FORMAT
from forge.issues import IssueChange
from forge.paging import Paged
from forge.store import Value

router = APIRouter()

IssuesRead = Annotated[Access, needs("issues", "read", "pull_requests")]
IssuesWrite = Annotated[Access, needs("issues", "write", "pull_requests")]
BASE = "/repos/{owner}/{repo}/issues"


class NamedLabel(BaseModel):
    """A label as an object; only its name counts."""

    name: str


Labels = list[str | NamedLabel]


def names(labels: Labels) -> list[str]:
    """Return the names of labels given as text or as objects."""
    return [label if isinstance(label, str) else label.name for label in labels]


def people(assignee: str | None, assignees: list[str] | None) -> list[str] | None:
    """Return whom to assign, from the old key or the new one; None if neither was given."""
    if assignees is not None:
        return assignees
    return None if assignee is None else [assignee] if assignee else []


class NewIssue(BaseModel):
    """An issue to open."""

    title: str | int
    body: str | None = None
    labels: Labels = Field(default_factory=list)
    assignee: str | None = None
    assignees: list[str] | None = None


class Change(BaseModel):
    """What changes of an issue."""

    title: str | int | None = None
    body: str | None = None
    state: Literal["open", "closed"] | None = None
    state_reason: Literal["completed", "not_planned", "duplicate", "reopened"] | None = None
    labels: Labels | None = None
    assignee: str | None = None
    assignees: list[str] | None = None


class Lock(BaseModel):
    """Why a conversation is locked."""

    lock_reason: Literal["off-topic", "too heated", "resolved", "spam"] | None = None


@router.post(BASE, status_code=201)
def create(access: Annotated[Access, needs("issues", "write")], body: NewIssue) -> dict[str, Any]:
    """Open an issue."""
    row = issues.open_issue(
        access.forge,
        access.repo,
        access.actor,
        str(body.title),
        body.body,
        names(body.labels),
        people(body.assignee, body.assignees) or (),
    )
    return objects.issue(access.forge, access.repo, row)


@router.get(BASE)
def list_issues(  # noqa: PLR0913 - one filter each
    access: IssuesRead,
    page: Paged,
    state: Literal["open", "closed", "all"] = "open",
    labels: str = "",
    since: datetime | None = None,
    creator: str | None = None,
    assignee: str | None = None,
    sort: Literal["created", "updated", "comments"] = "created",
    direction: Literal["asc", "desc"] = "desc",
) -> Response:
    """List issues and, as GitHub does, pull requests."""
    forge = access.forge
    where, args = ["repo_id = ?"], [access.repo["id"]]
    if state != "all":
        where, args = [*where, "state = ?"], [*args, state]
    for name in filter(None, (each.strip() for each in labels.split(","))):
        where.append(
            "EXISTS (SELECT 1 FROM issue_labels JOIN labels ON labels.id = label_id"
            " WHERE issue_id = issues.id AND name = ?)"
        )
        args.append(name)
    if since is not None:
        where, args = [*where, "updated_at >= ?"], [*args, since.strftime(FORMAT)]
    for column, login in (("user_id = ?", creator), (_ASSIGNED, assignee)):
        if login is not None and login != "*":
            user = forge.user(login)
            where, args = [*where, column], [*args, -1 if user is None else user["id"]]
    order = {"created": "id", "updated": "updated_at", "comments": _COMMENTS}[sort]
    found: list[Value] = list(args)
    sql = f"SELECT * FROM issues WHERE {' AND '.join(where)} ORDER BY {order} {direction}, id {direction}"  # noqa: S608
    return page.query(forge.db, sql, *found, show=lambda row: objects.issue(forge, access.repo, row))


_ASSIGNED = "EXISTS (SELECT 1 FROM assignees WHERE issue_id = issues.id AND assignees.user_id = ?)"
_COMMENTS = "(SELECT count(*) FROM comments WHERE issue_id = issues.id)"


def sent_on(access: IssuesRead, request: Request, number: int) -> None:
    """A dependency of routes that send the caller on to where an issue was moved."""
    moved = leaving.redirect(access, request, number)
    if moved is not None:
        raise moved


@router.get(BASE + "/{number:int}", dependencies=[Depends(sent_on)])
def get(access: IssuesRead, number: int) -> dict[str, Any]:
    """Show an issue or pull request."""
    return objects.issue(access.forge, access.repo, issues.find_for(access, number, "read"))


@router.patch(BASE + "/{number:int}", dependencies=[Depends(sent_on)])
def change(access: IssuesWrite, number: int, body: Change) -> dict[str, Any]:
    """Change an issue or pull request."""
    row = issues.find_for(access, number, "write")
    given = body.model_fields_set
    wanted = IssueChange(
        title=None if body.title is None else str(body.title),
        body=body.body or "" if "body" in given else None,
        state=body.state,
        state_reason=body.state_reason,
        labels=None if body.labels is None else names(body.labels),
        assignees=people(body.assignee, body.assignees),
    )
    after = issues.change(access.forge, access.repo, row, access.actor, wanted)
    return objects.issue(access.forge, access.repo, after)


@router.put(BASE + "/{number:int}/lock", status_code=204)
def lock(access: IssuesWrite, number: int, body: Lock | None = None) -> Response:
    """Lock a conversation."""
    access.require_role("write")
    row = issues.find_for(access, number, "write")
    reason = None if body is None else body.lock_reason
    issues.set_lock(access.forge, access.repo, row, access.actor, locked=True, reason=reason)
    return Response(status_code=204)


@router.delete(BASE + "/{number:int}/lock", status_code=204)
def unlock(access: IssuesWrite, number: int) -> Response:
    """Unlock a conversation."""
    access.require_role("write")
    row = issues.find_for(access, number, "write")
    issues.set_lock(access.forge, access.repo, row, access.actor, locked=False)
    return Response(status_code=204)
