"""Routes of reactions to issues, to comments, and to comments on lines of a pull request."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel

from forge import comments, issues, objects, reviewing
from forge.auth import Access, needs
from forge.errors import GitHubError, not_found
from forge.paging import Page, Paged

router = APIRouter()

ReactionsRead = Annotated[Access, needs("issues", "read", "pull_requests")]
ReactionsWrite = Annotated[Access, needs("issues", "write", "pull_requests")]
LineRead = Annotated[Access, needs("pull_requests", "read")]
LineWrite = Annotated[Access, needs("pull_requests", "write")]
ISSUE = "/repos/{owner}/{repo}/issues/{number:int}/reactions"
COMMENT = "/repos/{owner}/{repo}/issues/comments/{comment_id:int}/reactions"
LINE = "/repos/{owner}/{repo}/pulls/comments/{comment_id:int}/reactions"
Content = Literal["+1", "-1", "laugh", "confused", "heart", "hooray", "rocket", "eyes"]


class NewReaction(BaseModel):
    """A reaction to add."""

    content: Content


@router.post(COMMENT, status_code=201)
def react_to_comment(
    access: ReactionsWrite, comment_id: int, body: NewReaction, response: Response
) -> dict[str, Any]:
    """React to a comment; 200 if the caller has done so before."""
    subject = ("comment", int(comments.find_for(access, comment_id, "write")["id"]))
    return _react(access, subject, body.content, response)


@router.get(COMMENT)
def list_of_comment(
    access: ReactionsRead, page: Paged, comment_id: int, content: Content | None = None
) -> Response:
    """List the reactions to a comment."""
    subject = ("comment", int(comments.find_for(access, comment_id, "read")["id"]))
    return _list(access, page, subject, content)


@router.delete(COMMENT + "/{reaction_id:int}", status_code=204)
def delete_of_comment(access: ReactionsWrite, comment_id: int, reaction_id: int) -> Response:
    """Take back a reaction to a comment."""
    subject = ("comment", int(comments.find_for(access, comment_id, "write")["id"]))
    return _delete(access, subject, reaction_id)


@router.post(LINE, status_code=201)
def react_to_line(
    access: LineWrite, comment_id: int, body: NewReaction, response: Response
) -> dict[str, Any]:
    """React to a comment on a line; 200 if the caller has done so before."""
    found = reviewing.find_comment(access.forge, access.repo, comment_id)
    return _react(access, ("review_comment", int(found["id"])), body.content, response)


@router.get(LINE)
def list_of_line(access: LineRead, page: Paged, comment_id: int, content: Content | None = None) -> Response:
    """List the reactions to a comment on a line."""
    found = reviewing.find_comment(access.forge, access.repo, comment_id)
    return _list(access, page, ("review_comment", int(found["id"])), content)


@router.post(ISSUE, status_code=201)
def react_to_issue(
    access: ReactionsWrite, number: int, body: NewReaction, response: Response
) -> dict[str, Any]:
    """React to an issue or pull request; 200 if the caller has done so before."""
    subject = ("issue", int(issues.find_for(access, number, "write")["id"]))
    return _react(access, subject, body.content, response)


@router.get(ISSUE)
def list_of_issue(
    access: ReactionsRead, page: Paged, number: int, content: Content | None = None
) -> Response:
    """List the reactions to an issue or pull request."""
    subject = ("issue", int(issues.find_for(access, number, "read")["id"]))
    return _list(access, page, subject, content)


@router.delete(ISSUE + "/{reaction_id:int}", status_code=204)
def delete_of_issue(access: ReactionsWrite, number: int, reaction_id: int) -> Response:
    """Take back a reaction to an issue or pull request."""
    subject = ("issue", int(issues.find_for(access, number, "write")["id"]))
    return _delete(access, subject, reaction_id)


def _react(access: Access, subject: tuple[str, int], content: str, response: Response) -> dict[str, Any]:
    row, new = comments.react(access.forge, *subject, access.actor, content)
    response.status_code = 201 if new else 200
    return objects.reaction(access.forge, row)


def _list(access: Access, page: Page, subject: tuple[str, int], content: str | None) -> Response:
    return page.query(
        access.forge.db,
        "SELECT * FROM reactions WHERE subject_type = ? AND subject_id = ? AND (?3 IS NULL OR content = ?3) ORDER BY id",
        *subject,
        content,
        show=lambda row: objects.reaction(access.forge, row),
    )


def _delete(access: Access, subject: tuple[str, int], reaction_id: int) -> Response:
    row = access.forge.db.one(
        "SELECT * FROM reactions WHERE id = ? AND subject_type = ? AND subject_id = ?", reaction_id, *subject
    )
    if row is None:
        raise not_found()
    if row["user_id"] != access.actor.user["id"]:
        raise GitHubError(403, "Only its author takes a reaction back.")
    access.forge.db.run("DELETE FROM reactions WHERE id = ?", reaction_id)
    return Response(status_code=204)
