"""Repositories beneath the routes: made, changed, renamed, removed."""

from typing import TYPE_CHECKING, Any

from forge import merging, renamed, seed
from forge.auth import Actor
from forge.errors import GitHubError, invalid
from forge.git import ZERO, Change
from forge.store import Row

if TYPE_CHECKING:
    from forge.state import Forge

# First parts of addresses that are not people.
RESERVED = frozenset({"api", "app", "apps", "repos", "user", "users", "settings", "login", "avatars"})


def create(
    forge: "Forge", owner: Row, name: str, *, private: bool, description: str | None, default_branch: str
) -> Row:
    """An empty repository with GitHub's labels; 422 if the owner has one of that name."""
    with forge.db.tx():
        taken = forge.db.one("SELECT id FROM repos WHERE owner_id = ? AND name = ?", owner["id"], name)
        if taken is not None:
            raise invalid("Repository", "name", "custom", "name already exists on this account")
        now = forge.now()
        repo_id = forge.db.run(
            "INSERT INTO repos (owner_id, name, private, description, default_branch, created_at, updated_at)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            owner["id"],
            name,
            int(private),
            description,
            default_branch,
            now,
            now,
        )
        for label, color, meaning in seed.LABELS:
            forge.db.run(
                "INSERT INTO labels (repo_id, name, color, description, is_default) VALUES (?, ?, ?, ?, 1)",
                repo_id,
                label,
                color,
                meaning,
            )
        repo = forge.repo_by_id(repo_id)
        # A folder left by a forge that was killed before the row was committed belongs to nobody.
        forge.git.remove(repo)
        forge.git.create(repo)
    return repo


def initialize(forge: "Forge", repo: Row, actor: Actor) -> None:
    """The first commit, with a README."""
    bare = forge.git.of(repo)
    text = f"# {repo['name']}\n" + (f"{repo['description']}\n" if repo["description"] else "")
    tree = bare.write_tree(None, [Change("README.md", bare.write_blob(text.encode()))])
    author = merging.person(forge, actor.user)
    first = bare.commit_tree(tree, [], "Initial commit\n", author, merging.web_flow(forge))
    ref = f"refs/heads/{repo['default_branch']}"
    with forge.git.lock(repo):
        bare.move(ref, first, ZERO)
        forge.pushed(repo, ref, ZERO, first, actor)


def change(forge: "Forge", repo: Row, wanted: dict[str, Any]) -> Row:
    """Sets columns of a repository; 422 for a default branch that does not exist or a name that is taken.

    Hold the repository's lock, taken before any transaction.
    """
    bare = forge.git.of(repo)
    branch = wanted.get("default_branch")
    if branch is not None:
        if bare.ref(f"refs/heads/{branch}") is None:
            raise invalid("Repository", "default_branch", "custom", f"The branch {branch} was not found.")
        bare.head(branch)
    name = wanted.get("name")
    with forge.db.tx():
        if name is not None and name.lower() != str(repo["name"]).lower():
            taken = forge.repo(repo["owner_login"], name)
            if taken is not None:
                raise invalid("Repository", "name", "custom", "name already exists on this account")
        for column, value in wanted.items():
            forge.db.run(f"UPDATE repos SET {column} = ? WHERE id = ?", value, repo["id"])  # noqa: S608 - our names
        forge.db.run("UPDATE repos SET updated_at = ? WHERE id = ?", forge.now(), repo["id"])
        changed = forge.repo_by_id(repo["id"])
        if changed["name"] != repo["name"]:
            renamed.remember(forge, repo)
            forge.git.path(repo).rename(forge.git.path(changed))
    return changed


def remove(forge: "Forge", repo: Row) -> None:
    """Deletes a repository with everything in it; hold its lock, taken before any transaction."""
    with forge.db.tx():
        of_issues = "issue_id IN (SELECT id FROM issues WHERE repo_id = ?)"
        for table in ("comments", "reviews", "issue_labels", "assignees"):
            forge.db.run(f"DELETE FROM {table} WHERE {of_issues}", repo["id"])  # noqa: S608 - our names
        for table in (
            "pulls",
            "issues",
            "labels",
            "collaborators",
            "installation_repos",
            "check_runs",
            "check_suites",
            "statuses",
            "rulesets",
            "hooks",
            "heads",
        ):
            forge.db.run(f"DELETE FROM {table} WHERE repo_id = ?", repo["id"])  # noqa: S608 - our names
        forge.db.run("DELETE FROM repos WHERE id = ?", repo["id"])
        forge.git.remove(repo)


def check_name(name: str) -> str:
    """A repository's name as GitHub would keep it; 422 for one that cannot be."""
    kept = "".join(
        letter if letter.isascii() and (letter.isalnum() or letter in "._-") else "-" for letter in name
    )
    if not kept or kept in (".", "..") or kept.endswith(".git") or len(kept) > 100:
        raise GitHubError(422, "Repository creation failed.")
    return kept
