"""Test-only routes of what GitHub offers on its pages and in GraphQL only: deleting and transferring issues."""

from typing import Annotated, Any

from fastapi import APIRouter, Response
from pydantic import BaseModel

from forge import issues, leaving, objects
from forge.auth import Access, needs
from forge.errors import not_found

router = APIRouter()

Admin = Annotated[Access, needs("issues", "write")]
BASE = "/_test/repos/{owner}/{repo}/issues/{number:int}"


class Target(BaseModel):
    """Where an issue goes: another repository of the same owner."""

    repository: str


@router.delete(BASE, status_code=204)
def delete(access: Admin, number: int) -> Response:
    """Delete an issue."""
    access.require_role("admin")
    leaving.delete(access.forge, access.repo, issues.find(access.forge, access.repo, number), access.actor)
    return Response(status_code=204)


@router.post(BASE + "/transfer", status_code=201)
def transfer(access: Admin, number: int, body: Target) -> dict[str, Any]:
    """Transfer an issue."""
    access.require_role("write")
    row = issues.find(access.forge, access.repo, number)
    target = access.forge.repo(access.repo["owner_login"], body.repository)
    if target is None:
        raise not_found()
    moved = leaving.transfer(access.forge, access.repo, row, access.actor, target)
    return objects.issue(access.forge, target, moved)
