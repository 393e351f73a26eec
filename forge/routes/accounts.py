"""Test-only routes that make people and give them roles; the site administrator's."""

from typing import Annotated, Literal

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field
from starlette.responses import JSONResponse

from forge import seed, tokens
from forge.auth import Role, SiteAdmin, forge_of
from forge.errors import invalid, not_found

router = APIRouter()


class NewUser(BaseModel):
    """A person or an organization to make; the login as GitHub allows it."""

    login: Annotated[str, Field(pattern=r"^[A-Za-z0-9]+(?:-[A-Za-z0-9]+)*$", max_length=39)]
    type: Literal["User", "Organization"] = "User"


class NewRole(BaseModel):
    """A role to give; `none` takes it away."""

    role: Role


@router.post("/_test/users")
def create_user(request: Request, actor: SiteAdmin, body: NewUser) -> JSONResponse:
    del actor
    forge = forge_of(request)
    if forge.user(body.login) is not None:
        raise invalid("User", "login", "already_exists")
    with forge.db.tx():
        token = tokens.mint_personal(forge, seed.add_user(forge, body.login, kind=body.type))
    return JSONResponse({"login": body.login, "token": token}, 201)


@router.put("/_test/repos/{owner}/{repo}/collaborators/{login}")
def set_role(
    request: Request, actor: SiteAdmin, owner: str, repo: str, login: str, body: NewRole
) -> Response:
    del actor
    forge = forge_of(request)
    row, user = forge.repo(owner, repo), forge.user(login)
    if row is None or user is None:
        raise not_found()
    if body.role == "none":
        forge.db.run("DELETE FROM collaborators WHERE repo_id = ? AND user_id = ?", row["id"], user["id"])
    else:
        forge.db.run(
            "INSERT OR REPLACE INTO collaborators (repo_id, user_id, role) VALUES (?, ?, ?)",
            row["id"],
            user["id"],
            body.role,
        )
    return Response(status_code=204)
