"""Earlier names of repositories: who asks for one is sent on to the repository's address by its id."""

from typing import TYPE_CHECKING

from fastapi import Request

from forge.errors import GitHubError
from forge.store import Row

if TYPE_CHECKING:
    from forge.auth import Actor
    from forge.state import Forge


def remember(forge: "Forge", repo: Row) -> None:
    """Keep the name that a repository is about to lose; call it in the write's transaction."""
    forge.db.run(
        "INSERT OR REPLACE INTO repo_names (owner_id, name, repo_id) VALUES (?, ?, ?)",
        repo["owner_id"],
        repo["name"],
        repo["id"],
    )


def redirect(forge: "Forge", request: Request, actor: "Actor") -> GitHubError | None:
    """301 to a GET, 307 to everything else, which is to be sent again as it is; None where nothing was called so."""
    owner, name = request.path_params["owner"], request.path_params["repo"]
    row = forge.db.one(
        "SELECT repo_id FROM repo_names JOIN users ON users.id = owner_id WHERE login = ? AND repo_names.name = ?",
        owner,
        name,
    )
    known = None if row is None else forge.db.one("SELECT id FROM repos WHERE id = ?", row["repo_id"])
    if known is None or not actor.can_see(forge.repo_by_id(known["id"])):
        return None
    rest = request.scope["path"].removeprefix(f"/repos/{owner}/{name}")
    query = request.scope["query_string"].decode("latin-1")
    where = address(forge, request, known["id"]) + rest
    reads = request.method in ("GET", "HEAD")
    return GitHubError(
        301 if reads else 307,
        "Moved Permanently" if reads else "Temporary Redirect",
        headers={"location": where + (f"?{query}" if query else "")},
    )


def address(forge: "Forge", request: Request, repo_id: int) -> str:
    """Where a repository is found whatever it is called, under the API that was asked."""
    return f"{forge.url}{request.scope['forge.prefix']}/repositories/{repo_id}"


def by_id(forge: "Forge", path: str) -> str:
    """The path by name of what was asked for by `/repositories/{id}/...`; other paths as they are."""
    parts = path.split("/", 3)
    if len(parts) < 4 or parts[1] != "repositories" or not parts[2].isdigit():
        return path
    row = forge.db.one("SELECT id FROM repos WHERE id = ?", int(parts[2]))
    if row is None:
        return path
    repo = forge.repo_by_id(row["id"])
    return f"/repos/{repo['owner_login']}/{repo['name']}/{parts[3]}"
