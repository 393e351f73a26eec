"""Routes of commit statuses."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field

from forge import history, objects
from forge.auth import Access, needs
from forge.errors import GitHubError, not_found
from forge.paging import Paged

router = APIRouter()

StatusesRead = Annotated[Access, needs("statuses", "read")]
StatusesWrite = Annotated[Access, needs("statuses", "write")]


class NewStatus(BaseModel):
    """A status to set."""

    state: Literal["error", "failure", "pending", "success"]
    context: str = "default"
    description: str | None = Field(default=None, max_length=140)
    target_url: str | None = None


@router.post("/repos/{owner}/{repo}/statuses/{sha}", status_code=201)
def create(access: StatusesWrite, sha: str, body: NewStatus) -> dict[str, Any]:
    """Set a status on a commit and announce it."""
    forge, repo = access.forge, access.repo
    if forge.git.of(repo).resolve(sha) != sha:
        raise GitHubError(422, f"No commit found for SHA: {sha}")
    with forge.db.tx():
        status_id = forge.db.run(
            "INSERT INTO statuses (repo_id, sha, state, context, description, target_url, creator_id, created_at,"
            " updated_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            repo["id"],
            sha,
            body.state,
            body.context,
            body.description,
            body.target_url,
            access.actor.user["id"],
            forge.now(),
            forge.now(),
        )
        shown = objects.status(forge, repo, forge.db.get("SELECT * FROM statuses WHERE id = ?", status_id))
        _announce(access, sha, shown)
    return shown


@router.get("/repos/{owner}/{repo}/commits/{ref:path}/statuses")
def list_statuses(access: StatusesRead, page: Paged, ref: str) -> Response:
    """List the statuses of a commit, newest first."""
    return page.query(
        access.forge.db,
        "SELECT * FROM statuses WHERE repo_id = ? AND sha = ? ORDER BY id DESC",
        access.repo["id"],
        commit_of(access, ref),
        show=lambda row: objects.status(access.forge, access.repo, row),
    )


@router.get("/repos/{owner}/{repo}/commits/{ref:path}/status")
def combined(access: StatusesRead, ref: str) -> dict[str, Any]:
    """Show the newest status of each context, and the worst of them."""
    return objects.combined_status(access.forge, access.repo, commit_of(access, ref))


def _announce(access: Access, sha: str, shown: dict[str, Any]) -> None:
    forge, repo = access.forge, access.repo
    url = f"{objects.api_url(forge, repo)}/commits/{sha}"
    heads = forge.db.all(
        "SELECT ref FROM heads WHERE repo_id = ? AND sha = ? AND ref LIKE 'refs/heads/%' ORDER BY ref LIMIT 10",
        repo["id"],
        sha,
    )
    names = [str(row["ref"]).removeprefix("refs/heads/") for row in heads]
    told = ("id", "avatar_url", "target_url", "context", "description", "state", "created_at", "updated_at")
    forge.events.emit(
        "status",
        None,
        repo,
        access.actor.user,
        **{key: shown[key] for key in told},
        sha=sha,
        name=f"{repo['owner_login']}/{repo['name']}",
        commit=objects.commit(forge, repo, history.commit(forge.git.of(repo), sha)),
        branches=[{"name": name, "commit": {"sha": sha, "url": url}, "protected": False} for name in names],
    )


def commit_of(access: Access, ref: str) -> str:
    """Return the commit that a branch, tag or sha means; 404 if there is none."""
    sha = access.forge.git.of(access.repo).resolve(ref)
    if sha is None:
        raise not_found()
    return sha
