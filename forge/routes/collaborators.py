"""Routes of collaborators and what they may do."""

from typing import Annotated

from fastapi import APIRouter, Response
from starlette.responses import JSONResponse

from forge import objects
from forge.auth import ROLES, Access, Role, needs, role_of
from forge.errors import JsonDict, not_found
from forge.paging import Paged
from forge.store import Row

router = APIRouter()

Readable = Annotated[Access, needs("metadata", "read")]

# The older names that `permission` still has; `role_name` has the newer ones.
LEGACY = {
    "none": "none",
    "read": "read",
    "triage": "read",
    "write": "write",
    "maintain": "write",
    "admin": "admin",
}


@router.get("/repos/{owner}/{repo}/collaborators")
def list_collaborators(access: Readable, page: Paged) -> JSONResponse:
    access.require_role("write")
    forge, repo = access.forge, access.repo
    rows = forge.db.all(
        "SELECT * FROM users WHERE id = ? OR id IN (SELECT user_id FROM collaborators WHERE repo_id = ?) ORDER BY id",
        repo["owner_id"],
        repo["id"],
    )
    return page.answer(rows, lambda row: _collaborator(access, row))


@router.get("/repos/{owner}/{repo}/collaborators/{login}")
def is_collaborator(access: Readable, login: str) -> Response:
    access.require_role("write")
    user = access.forge.user(login)
    if user is None or not _belongs(access, user):
        raise not_found()
    return Response(status_code=204)


@router.get("/repos/{owner}/{repo}/collaborators/{login}/permission")
def read_permission(access: Readable, login: str) -> JSONResponse:
    user = access.forge.user(login)
    if user is None:
        raise not_found()
    shown = _collaborator(access, user)
    role = shown["role_name"]
    return JSONResponse({"permission": LEGACY[role], "role_name": role, "user": shown})


def _belongs(access: Access, user: Row) -> bool:
    if user["id"] == access.repo["owner_id"]:
        return True
    sql = "SELECT 1 FROM collaborators WHERE repo_id = ? AND user_id = ?"
    return access.forge.db.one(sql, access.repo["id"], user["id"]) is not None


def _role(access: Access, user: Row) -> Role:
    """A bot's role is what its installation may do with contents."""
    if user["type"] != "Bot":
        return role_of(access.forge.db, access.repo, user["id"])
    row = access.forge.db.one(
        "SELECT json_extract(installations.permissions, '$.contents') AS level FROM installations JOIN apps"
        " ON apps.id = app_id WHERE bot_user_id = ? AND account_id = ? AND (repository_selection = 'all' OR EXISTS"
        " (SELECT 1 FROM installation_repos WHERE installation_id = installations.id AND repo_id = ?))",
        user["id"],
        access.repo["owner_id"],
        access.repo["id"],
    )
    level: Role = (row and row["level"]) or ("none" if access.repo["private"] else "read")
    return level


def _collaborator(access: Access, user: Row) -> JsonDict:
    role = _role(access, user)
    rank = ROLES[role]
    return {
        **objects.user(access.forge, user),
        "role_name": role,
        "permissions": {
            "admin": rank >= ROLES["admin"],
            "maintain": rank >= ROLES["maintain"],
            "push": rank >= ROLES["write"],
            "triage": rank >= ROLES["triage"],
            "pull": rank >= ROLES["read"],
        },
    }
