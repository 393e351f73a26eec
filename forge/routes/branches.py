"""Routes of branches."""

from typing import Annotated

from fastapi import APIRouter
from starlette.responses import JSONResponse

from forge import history, objects
from forge.auth import Access, needs
from forge.errors import GitHubError, JsonDict
from forge.paging import Paged

router = APIRouter()

Readable = Annotated[Access, needs("contents", "read")]

UNPROTECTED = {
    "enabled": False,
    "required_status_checks": {"enforcement_level": "off", "contexts": [], "checks": []},
}


@router.get("/repos/{owner}/{repo}/branches")
def list_branches(access: Readable, page: Paged, protected: bool | None = None) -> JSONResponse:
    heads = {} if protected else access.forge.git.of(access.repo).refs("refs/heads/")
    return page.answer(sorted(heads.items()), lambda pair: _short(access, *pair))


def _short(access: Access, ref: str, sha: str) -> JsonDict:
    api, name = objects.api_url(access.forge, access.repo), ref.removeprefix("refs/heads/")
    return {
        "name": name,
        "commit": {"sha": sha, "url": f"{api}/commits/{sha}"},
        "protected": False,
        "protection": UNPROTECTED,
        "protection_url": f"{api}/branches/{name}/protection",
    }


@router.get("/repos/{owner}/{repo}/branches/{branch:path}/protection")
def read_protection(access: Readable, branch: str) -> JSONResponse:
    del access, branch
    raise GitHubError(404, "Branch not protected")


@router.get("/repos/{owner}/{repo}/branches/{branch:path}")
def read_branch(access: Readable, branch: str) -> JSONResponse:
    forge, bare = access.forge, access.forge.git.of(access.repo)
    sha = bare.ref(f"refs/heads/{branch}")
    if sha is None:
        raise GitHubError(404, "Branch not found")
    short = _short(access, f"refs/heads/{branch}", sha)
    page = objects.html_url(forge, access.repo)
    shown = {
        **short,
        "commit": objects.commit(forge, access.repo, history.commit(bare, sha)),
        "_links": {
            "self": f"{objects.api_url(forge, access.repo)}/branches/{branch}",
            "html": f"{page}/tree/{branch}",
        },
    }
    return JSONResponse(shown)
