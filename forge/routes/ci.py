"""Test-only routes of the tiny CI."""

from typing import Any

from fastapi import APIRouter, Request
from pydantic import BaseModel

from forge.auth import SiteAdmin, forge_of
from forge.errors import not_found

router = APIRouter()


class Command(BaseModel):
    """What CI runs by `sh -c`; null or empty switches CI off."""

    command: str | None


@router.put("/_test/repos/{owner}/{repo}/ci")
def set_command(request: Request, admin: SiteAdmin, owner: str, repo: str, body: Command) -> dict[str, Any]:
    """Set the command that runs on every head pushed from now on."""
    forge = forge_of(request)
    found = forge.repo(owner, repo)
    if found is None:
        raise not_found()
    forge.db.run("UPDATE repos SET ci_command = ? WHERE id = ?", body.command or None, found["id"])
    return {"command": body.command or None}
