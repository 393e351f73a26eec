"""Routes that merge a pull request, ask whether it is merged, and bring its branch up to date."""

from typing import Annotated

from fastapi import APIRouter, Body, Response
from pydantic import BaseModel
from starlette.responses import JSONResponse

from forge import merging, objects, pulls
from forge.auth import Access, needs
from forge.errors import not_found
from forge.merging import Method

router = APIRouter()

Readable = Annotated[Access, needs("pull_requests", "read", "contents")]
Writable = Annotated[Access, needs("contents", "write")]
BranchWritable = Annotated[Access, needs("pull_requests", "write")]


class Merge(BaseModel):
    """How to merge; `sha` is the head that the caller saw."""

    commit_title: str | None = None
    commit_message: str | None = None
    sha: str | None = None
    merge_method: Method = "merge"


class Update(BaseModel):
    """The head that the caller saw."""

    expected_head_sha: str | None = None


@router.get("/repos/{owner}/{repo}/pulls/{number:int}/merge")
def is_merged(access: Readable, number: int) -> Response:
    if pulls.find(access.forge, access.repo, number)["merged_at"] is None:
        raise not_found()
    return Response(status_code=204)


@router.put("/repos/{owner}/{repo}/pulls/{number:int}/merge")
def merge(access: Writable, number: int, body: Annotated[Merge | None, Body()] = None) -> JSONResponse:
    wish = body or Merge()
    sha = merging.merge(
        access.forge,
        access.repo,
        number,
        access.actor,
        method=wish.merge_method,
        sha=wish.sha,
        title=wish.commit_title,
        message=wish.commit_message,
    )
    return JSONResponse({"sha": sha, "merged": True, "message": "Pull Request successfully merged"})


@router.put("/repos/{owner}/{repo}/pulls/{number:int}/update-branch")
def update_branch(
    access: BranchWritable, number: int, body: Annotated[Update | None, Body()] = None
) -> JSONResponse:
    access.require_role("write")
    row = pulls.find(access.forge, access.repo, number)
    expected = None if body is None else body.expected_head_sha
    merging.update_branch(access.forge, access.repo, row, access.actor, expected)
    url = f"{objects.html_url(access.forge, access.repo)}/pull/{number}"
    return JSONResponse({"message": "Updating pull request branch.", "url": url}, 202)
