"""Routes of an installation that calls with its own token, and of a person's installations."""

from fastapi import APIRouter, Request, Response
from starlette.responses import JSONResponse

from forge import apps, objects
from forge.auth import Actor, KnownCaller, forge_of
from forge.errors import GitHubError, not_found
from forge.paging import Paged
from forge.state import Forge
from forge.store import Row

router = APIRouter()


def _by_token(actor: Actor) -> Row:
    if actor.installation is None:
        raise GitHubError(
            403, "You must authenticate with an installation access token in order to list repositories."
        )
    return actor.installation


@router.get("/installation/repositories")
def list_repositories(request: Request, actor: KnownCaller, page: Paged) -> JSONResponse:
    forge = forge_of(request)
    row = _by_token(actor)
    reached = [repo for repo in apps.repositories_of(forge, row) if actor.installed_on(repo)]
    return page.answer(reached, lambda repo: objects.repo(forge, repo, actor), "repositories")


@router.delete("/installation/token")
def revoke_token(request: Request, actor: KnownCaller) -> Response:
    _by_token(actor)
    forge = forge_of(request)
    forge.db.run("UPDATE tokens SET revoked_at = ? WHERE id = ?", forge.now(), actor.token_id)
    return Response(status_code=204)


@router.put("/user/installations/{installation_id:int}/repositories/{repository_id:int}")
def add_repository(
    request: Request, actor: KnownCaller, installation_id: int, repository_id: int
) -> Response:
    forge = forge_of(request)
    row, repo = _of_person(forge, actor, installation_id, repository_id)
    apps.add_repositories(forge, row, [repo], actor.user)
    return Response(status_code=204)


@router.delete("/user/installations/{installation_id:int}/repositories/{repository_id:int}")
def remove_repository(
    request: Request, actor: KnownCaller, installation_id: int, repository_id: int
) -> Response:
    forge = forge_of(request)
    row, repo = _of_person(forge, actor, installation_id, repository_id)
    apps.remove_repository(forge, row, repo, actor.user)
    return Response(status_code=204)


def _of_person(forge: Forge, actor: Actor, installation_id: int, repository_id: int) -> tuple[Row, Row]:
    """An installation on the caller's own account, and a repository of that account."""
    row = forge.db.one("SELECT * FROM installations WHERE id = ?", installation_id)
    known = forge.db.one(
        "SELECT id FROM repos WHERE id = ? AND owner_id = ?", repository_id, actor.user["id"]
    )
    if row is None or known is None or actor.kind != "user" or row["account_id"] != actor.user["id"]:
        raise not_found()
    return row, forge.repo_by_id(repository_id)
