"""Routes that make an App: the conversion of a manifest, and test-only ones that stand in for the pages."""

from typing import Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, ValidationError
from starlette.responses import JSONResponse

from forge import apps, objects
from forge.auth import SiteAdmin, forge_of
from forge.errors import GitHubError, not_found

router = APIRouter()


class Chosen(BaseModel):
    """The repositories (`owner/name`, all of one owner) to install an App on; none means all of the caller's."""

    repositories: list[str] | None = None


@router.post("/app-manifests/{code}/conversions")
def convert(request: Request, code: str) -> JSONResponse:
    forge = forge_of(request)
    new = apps.convert(forge, code)
    shown = {
        **objects.app(forge, new.row),
        "client_secret": new.row["client_secret"],
        "webhook_secret": new.row["webhook_secret"],
        "pem": new.pem,
    }
    return JSONResponse(shown, 201)


@router.post("/_test/app-manifests")
def remember(request: Request, actor: SiteAdmin, body: dict[str, Any]) -> JSONResponse:
    try:
        code = apps.remember_manifest(forge_of(request), body.get("manifest", body), actor.user["id"])
    except ValidationError as error:
        raise GitHubError(422, str(error)) from error
    return JSONResponse({"code": code}, 201)


@router.post("/_test/apps/{slug}/installations")
def install(request: Request, actor: SiteAdmin, slug: str, chosen: Chosen) -> JSONResponse:
    forge = forge_of(request)
    app = forge.db.one("SELECT * FROM apps WHERE slug = ?", slug)
    if app is None:
        raise not_found()
    repos = None
    account = actor.user
    if chosen.repositories is not None:
        found = [forge.repo(*name.split("/", 1)) for name in chosen.repositories]
        repos = [repo for repo in found if repo is not None]
        if len(repos) < len(found) or len({repo["owner_id"] for repo in repos}) != 1:
            raise GitHubError(422, "Name existing repositories of one owner")
        account = forge.user_by_id(repos[0]["owner_id"])
    row = apps.install(forge, app, account, repos, account)
    return JSONResponse(objects.installation(forge, row), 201)
