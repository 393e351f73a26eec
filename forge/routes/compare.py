"""The route that compares two revisions."""

from typing import Annotated

from fastapi import APIRouter, Request, Response
from starlette.responses import JSONResponse

from forge import history, media, objects
from forge.auth import Access, needs
from forge.errors import not_found
from forge.paging import Paged

router = APIRouter()

Readable = Annotated[Access, needs("contents", "read")]


@router.get("/repos/{owner}/{repo}/compare/{basehead:path}")
def compare(access: Readable, request: Request, page: Paged, basehead: str) -> Response:
    forge, repo = access.forge, access.repo
    bare = forge.git.of(repo)
    left, dots, right = basehead.partition("...")
    base, head = _revision(access, left), _revision(access, right)
    fork = None if base is None or head is None else bare.merge_base(base, head)
    if not dots or base is None or head is None or fork is None:
        raise not_found()
    wanted = media.wanted(request)
    if wanted in ("diff", "patch"):
        text = (
            history.diff_text(bare, fork, head) if wanted == "diff" else history.patch_text(bare, base, head)
        )
        return Response(text, media_type=f"application/vnd.github.{wanted}; charset=utf-8")
    ahead, behind = bare.ahead_behind(base, head)
    commits = history.between(bare, base, head)
    shown = commits if "page" not in request.query_params else commits[page.offset : page.offset + page.size]
    url, site = f"{objects.api_url(forge, repo)}/compare/{basehead}", objects.html_url(forge, repo)
    answer = {
        "url": url,
        "html_url": f"{site}/compare/{basehead}",
        "permalink_url": f"{site}/compare/{base[:12]}...{head[:12]}",
        "diff_url": f"{site}/compare/{basehead}.diff",
        "patch_url": f"{site}/compare/{basehead}.patch",
        "base_commit": objects.commit(forge, repo, history.commit(bare, base)),
        "merge_base_commit": objects.commit(forge, repo, history.commit(bare, fork)),
        "status": _status(ahead, behind),
        "ahead_by": ahead,
        "behind_by": behind,
        "total_commits": ahead,
        "commits": [objects.commit(forge, repo, commit) for commit in shown],
        "files": [
            objects.file_change(forge, repo, head, change) for change in history.changes(bare, fork, head)
        ],
    }
    return JSONResponse(answer)


def _revision(access: Access, name: str) -> str | None:
    """A side of the comparison: a revision, or `owner:branch` of this very repository."""
    owner, colon, branch = name.rpartition(":")
    if colon and owner.lower() != str(access.repo["owner_login"]).lower():
        return None
    return access.forge.git.of(access.repo).resolve(branch) if branch else None


def _status(ahead: int, behind: int) -> str:
    if ahead and behind:
        return "diverged"
    if ahead:
        return "ahead"
    return "behind" if behind else "identical"
