"""Routes of commits: list, one with its files, and the pull requests that hold it."""

from typing import Annotated

from fastapi import APIRouter, Request, Response
from starlette.responses import JSONResponse

from forge import committing, history, media, objects, pulls
from forge.auth import Access, needs
from forge.errors import GitHubError, JsonDict
from forge.git import EMPTY_TREE
from forge.paging import Paged

router = APIRouter()

Readable = Annotated[Access, needs("contents", "read")]
PullsReadable = Annotated[Access, needs("pull_requests", "read", "contents")]


@router.get("/repos/{owner}/{repo}/commits")
def list_commits(
    access: Readable, page: Paged, sha: str | None = None, path: str | None = None
) -> JSONResponse:
    forge, repo = access.forge, access.repo
    bare = forge.git.of(repo)
    if not bare.refs("refs/heads/"):
        raise GitHubError(409, "Git Repository is empty.")
    tip = committing.revision(bare, sha, repo["default_branch"])
    limits = ["--literal-pathspecs", "rev-list", "--count", tip]
    total = int(bare.run(*limits, "--", *([path] if path else [])))
    found = history.log(bare, tip, limit=page.size, skip=page.offset, path=path)
    return page.counted(found, total, lambda commit: objects.commit(forge, repo, commit))


@router.get("/repos/{owner}/{repo}/commits/{sha}/pulls")
def list_pulls(access: PullsReadable, page: Paged, sha: str) -> JSONResponse:
    forge, repo = access.forge, access.repo
    bare = forge.git.of(repo)
    commit = committing.revision(bare, sha, repo["default_branch"])
    rows = forge.db.all(f"{pulls.PULL} WHERE pulls.repo_id = ? ORDER BY number", repo["id"])
    holding = [
        row
        for row in rows
        if commit in (row["head_sha"], row["merge_commit_sha"])
        or commit in {each.sha for each in history.between(bare, row["base_sha"], row["head_sha"])}
    ]
    return page.answer(holding, lambda row: objects.pull_simple(forge, repo, row))


@router.get("/repos/{owner}/{repo}/commits/{ref:path}")
def read_commit(access: Readable, request: Request, ref: str) -> Response:
    forge, repo = access.forge, access.repo
    bare = forge.git.of(repo)
    sha = bare.resolve(ref)
    if sha is None:
        raise GitHubError(422, f"No commit found for SHA: {ref}")
    facts = history.commit(bare, sha)
    before = facts.parents[0] if facts.parents else EMPTY_TREE
    wanted = media.wanted(request)
    if wanted in ("diff", "patch"):
        text = (
            history.diff_text(bare, before, sha)
            if wanted == "diff"
            else bare.run("format-patch", "--stdout", "--no-signature", "-1", "--root", sha)
        )
        return Response(text, media_type=f"application/vnd.github.{wanted}; charset=utf-8")
    if "application/vnd.github.sha" in request.headers.get("accept", ""):
        return Response(sha, media_type="application/vnd.github.sha; charset=utf-8")
    return JSONResponse({**objects.commit(forge, repo, facts), **_files(access, before, sha)})


def _files(access: Access, before: str, sha: str) -> JsonDict:
    changes = history.changes(access.forge.git.of(access.repo), before, sha)
    additions = sum(change.additions for change in changes)
    deletions = sum(change.deletions for change in changes)
    return {
        "stats": {"additions": additions, "deletions": deletions, "total": additions + deletions},
        "files": [objects.file_change(access.forge, access.repo, sha, change) for change in changes],
    }
