"""Routes of comments on issues and pull requests."""

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel

from forge import comments, issues, objects
from forge.auth import Access, needs
from forge.clock import FORMAT
from forge.paging import Paged
from forge.store import Value

router = APIRouter()

IssuesRead = Annotated[Access, needs("issues", "read", "pull_requests")]
IssuesWrite = Annotated[Access, needs("issues", "write", "pull_requests")]
BASE = "/repos/{owner}/{repo}/issues"


class Text(BaseModel):
    """A comment's text."""

    body: str


@router.get(BASE + "/comments")
def list_all(
    access: IssuesRead,
    page: Paged,
    since: datetime | None = None,
    sort: Literal["created", "updated"] = "created",
    direction: Literal["asc", "desc"] = "asc",
) -> Response:
    """List the comments of a repository."""
    found = "SELECT comments.* FROM comments JOIN issues ON issues.id = issue_id WHERE repo_id = ?"
    order = f"ORDER BY comments.{sort}_at {direction}, comments.id {direction}"
    sql = f"{found} AND comments.updated_at >= ? {order}"
    args: tuple[Value, ...] = (access.repo["id"], "" if since is None else since.strftime(FORMAT))
    return page.query(access.forge.db, sql, *args, show=lambda row: _shown(access, row))


@router.get(BASE + "/comments/{comment_id:int}")
def get(access: IssuesRead, comment_id: int) -> dict[str, Any]:
    """Show a comment."""
    return _shown(access, comments.find_for(access, comment_id, "read"))


@router.patch(BASE + "/comments/{comment_id:int}")
def change(access: IssuesWrite, comment_id: int, body: Text) -> dict[str, Any]:
    """Change a comment."""
    row = comments.find_for(access, comment_id, "write")
    return _shown(access, comments.edit(access.forge, access.repo, row, access.actor, body.body))


@router.delete(BASE + "/comments/{comment_id:int}", status_code=204)
def delete(access: IssuesWrite, comment_id: int) -> Response:
    """Delete a comment."""
    row = comments.find_for(access, comment_id, "write")
    comments.delete(access.forge, access.repo, row, access.actor)
    return Response(status_code=204)


@router.get(BASE + "/{number:int}/comments")
def list_of_issue(access: IssuesRead, page: Paged, number: int, since: datetime | None = None) -> Response:
    """List the comments of an issue or pull request, oldest first."""
    issue = issues.find_for(access, number, "read")
    return page.query(
        access.forge.db,
        "SELECT * FROM comments WHERE issue_id = ? AND updated_at >= ? ORDER BY id",
        issue["id"],
        "" if since is None else since.strftime(FORMAT),
        show=lambda row: _shown(access, row),
    )


@router.post(BASE + "/{number:int}/comments", status_code=201)
def create(access: IssuesWrite, number: int, body: Text) -> dict[str, Any]:
    """Comment on an issue or pull request."""
    issue = issues.find_for(access, number, "write")
    return _shown(access, comments.add(access.forge, access.repo, issue, access.actor, body.body))


def _shown(access: Access, row: Any) -> dict[str, Any]:
    return objects.comment(access.forge, access.repo, row)
