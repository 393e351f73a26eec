"""Routes of users."""

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse

from forge import objects
from forge.auth import KnownCaller, forge_of
from forge.errors import GitHubError, not_found

router = APIRouter()


@router.get("/user")
def read_self(request: Request, actor: KnownCaller) -> JSONResponse:
    if actor.kind != "user":
        raise GitHubError(403, "Resource not accessible by integration")
    return JSONResponse(objects.private_user(forge_of(request), actor.user))


@router.get("/users/{login}")
def read_user(request: Request, login: str) -> JSONResponse:
    forge = forge_of(request)
    row = forge.user(login)
    if row is None:
        raise not_found()
    return JSONResponse(objects.public_user(forge, row))


@router.get("/user/{account_id:int}")
def read_user_by_id(request: Request, account_id: int) -> JSONResponse:
    forge = forge_of(request)
    row = forge.db.one("SELECT * FROM users WHERE id = ?", account_id)
    if row is None:
        raise not_found()
    return JSONResponse(objects.public_user(forge, row))
