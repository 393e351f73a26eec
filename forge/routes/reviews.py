"""Routes of reviews, with their comments on lines; a comment of its own is not part of the forge."""

from typing import Annotated

from fastapi import APIRouter, Body, Response
from pydantic import BaseModel, Field
from starlette.responses import JSONResponse

from forge import objects, pulls, reviewing
from forge.auth import Access, needs
from forge.errors import GitHubError, not_found
from forge.paging import Paged
from forge.reviewing import Verdict
from forge.store import Row

router = APIRouter()

Readable = Annotated[Access, needs("pull_requests", "read")]
Writable = Annotated[Access, needs("pull_requests", "write")]

REVIEWS = "/repos/{owner}/{repo}/pulls/{number:int}/reviews"


class LineComment(BaseModel):
    """What a review says of a line."""

    path: str
    body: str
    line: int | None = None


class NewReview(BaseModel):
    """A review; without an event it stays pending."""

    body: str = ""
    event: Verdict | None = None
    commit_id: str | None = None
    comments: list[LineComment] = Field(default_factory=list)


class Submission(BaseModel):
    """The verdict on a pending review."""

    event: Verdict
    body: str | None = None


class Dismissal(BaseModel):
    """Why a review is dismissed."""

    message: str


@router.get(REVIEWS)
def list_reviews(access: Readable, page: Paged, number: int) -> JSONResponse:
    forge, repo = access.forge, access.repo
    pull = pulls.find(forge, repo, number)
    sql = "SELECT * FROM reviews WHERE issue_id = ? AND (state != 'PENDING' OR user_id = ?) ORDER BY id"
    args = (pull["id"], access.actor.user["id"])
    return page.query(forge.db, sql, *args, show=lambda row: objects.review(forge, repo, pull, row))


@router.post(REVIEWS)
def create(access: Writable, number: int, body: Annotated[NewReview | None, Body()] = None) -> JSONResponse:
    wish = body or NewReview()
    pull = pulls.find(access.forge, access.repo, number)
    row = reviewing.create(
        access.forge,
        access.repo,
        pull,
        access.actor,
        wish.event,
        wish.body,
        wish.commit_id,
        [(each.path, each.line, each.body) for each in wish.comments],
    )
    return _shown(access, pull, row)


@router.get(REVIEWS + "/{review_id:int}")
def read(access: Readable, number: int, review_id: int) -> JSONResponse:
    return _shown(access, *_found(access, number, review_id))


@router.get(REVIEWS + "/{review_id:int}/comments")
def list_comments(access: Readable, page: Paged, number: int, review_id: int) -> JSONResponse:
    pull, review = _found(access, number, review_id)
    return page.query(
        access.forge.db,
        "SELECT * FROM review_comments WHERE review_id = ? ORDER BY id",
        review_id,
        show=lambda row: objects.review_comment(access.forge, access.repo, pull, review, row),
    )


@router.post(REVIEWS + "/{review_id:int}/events")
def submit(access: Writable, number: int, review_id: int, body: Submission) -> JSONResponse:
    pull, row = _found(access, number, review_id)
    if row["user_id"] != access.actor.user["id"]:
        raise not_found()
    changed = reviewing.submit(access.forge, access.repo, pull, row, access.actor, body.event, body.body)
    return _shown(access, pull, changed)


@router.put(REVIEWS + "/{review_id:int}/dismissals")
def dismiss(access: Writable, number: int, review_id: int, body: Dismissal) -> JSONResponse:
    access.require_role("write")
    if not body.message.strip():
        raise GitHubError(422, "Unprocessable Entity", ["message is missing"])
    pull, row = _found(access, number, review_id)
    return _shown(access, pull, reviewing.dismiss(access.forge, access.repo, pull, row, access.actor))


@router.delete(REVIEWS + "/{review_id:int}")
def delete(access: Writable, number: int, review_id: int) -> Response:
    pull, row = _found(access, number, review_id)
    if row["user_id"] != access.actor.user["id"]:
        raise not_found()
    if row["state"] != "PENDING":
        raise GitHubError(422, "Can not delete a non-pending pull request review")
    shown = _shown(access, pull, row)
    access.forge.db.run("DELETE FROM reviews WHERE id = ?", review_id)
    return shown


def _found(access: Access, number: int, review_id: int) -> tuple[Row, Row]:
    pull = pulls.find(access.forge, access.repo, number)
    row = access.forge.db.one("SELECT * FROM reviews WHERE id = ? AND issue_id = ?", review_id, pull["id"])
    if row is None or (row["state"] == "PENDING" and row["user_id"] != access.actor.user["id"]):
        raise not_found()
    return pull, row


def _shown(access: Access, pull: Row, row: Row) -> JSONResponse:
    return JSONResponse(objects.review(access.forge, access.repo, pull, row))
