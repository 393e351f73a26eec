"""What follows when a ref moves: the record, the `push` event, pull requests, closing keywords and CI."""

from typing import TYPE_CHECKING

from forge import closing, history, objects, pulls, tokens
from forge.auth import Actor
from forge.errors import JsonDict
from forge.git import ZERO
from forge.store import Row

if TYPE_CHECKING:
    from forge.state import Forge

SHOWN = 20  # commits in one event
RECORDED = ("refs/heads/", "refs/tags/")


def pushed(forge: "Forge", repo: Row, ref: str, before: str, after: str, actor: Actor) -> None:
    """Records and announces one move, in one transaction; `ZERO` means absent. Hold the repository's lock."""
    if before == after or not ref.startswith(RECORDED):
        return
    payload = _payload(forge, repo, ref, before, after, actor)
    branch = ref.removeprefix("refs/heads/") if ref.startswith("refs/heads/") else None
    if branch is not None:
        pulls.look_ahead(forge, repo, branch, before, after)
    with forge.db.tx():
        _record(forge, repo, ref, after)
        if branch is not None and after != ZERO:
            repo = _adopt_default(forge, repo, branch)
        forge.events.emit("push", None, repo, actor.user, **payload)
        if branch is None:
            return
        pulls.branch_moved(forge, repo, branch, before, after, actor)
        if branch == repo["default_branch"] and before != ZERO:
            for commit in payload["commits"]:
                closing.close_named(forge, repo, commit["message"], actor)
        if after != ZERO:
            forge.ci.pushed(repo, branch, before, after, actor.user)


def announce_moves(forge: "Forge", repo: Row, actor: Actor) -> None:
    """Announces every ref that differs from the record: after a git push, and after a crash. Hold the lock."""
    known = {
        row["ref"]: row["sha"]
        for row in forge.db.all("SELECT ref, sha FROM heads WHERE repo_id = ?", repo["id"])
    }
    actual = {ref: sha for ref, sha in forge.git.of(repo).refs().items() if ref.startswith(RECORDED)}
    default = f"refs/heads/{repo['default_branch']}"
    # The default branch first: the first push decides what it is, and other branches are compared with it.
    for ref in sorted(known.keys() | actual.keys(), key=lambda name: (name != default, name)):
        repo = forge.repo_by_id(repo["id"])
        pushed(forge, repo, ref, known.get(ref, ZERO), actual.get(ref, ZERO), actor)


def catch_up(forge: "Forge") -> None:
    """At the start: announces what a killed forge had moved but not yet announced."""
    for row in forge.db.all("SELECT id FROM repos"):
        repo = forge.repo_by_id(row["id"])
        if forge.git.path(repo).exists():
            with forge.git.lock(repo):
                owner = forge.user_by_id(repo["owner_id"])
                announce_moves(forge, repo, tokens.user_actor(forge, owner))


def _record(forge: "Forge", repo: Row, ref: str, after: str) -> None:
    if after == ZERO:
        forge.db.run("DELETE FROM heads WHERE repo_id = ? AND ref = ?", repo["id"], ref)
    else:
        forge.db.run(
            "INSERT OR REPLACE INTO heads (repo_id, ref, sha) VALUES (?, ?, ?)", repo["id"], ref, after
        )
    forge.db.run(
        "UPDATE repos SET pushed_at = ?, updated_at = ? WHERE id = ?", forge.now(), forge.now(), repo["id"]
    )


def _adopt_default(forge: "Forge", repo: Row, branch: str) -> Row:
    """The first branch of an empty repository becomes its default branch."""
    if branch != repo["default_branch"] and forge.tip(repo, repo["default_branch"]) is None:
        forge.db.run("UPDATE repos SET default_branch = ? WHERE id = ?", branch, repo["id"])
        forge.git.of(repo).head(branch)
    return forge.repo_by_id(repo["id"])


def _payload(forge: "Forge", repo: Row, ref: str, before: str, after: str, actor: Actor) -> JsonDict:
    bare = forge.git.of(repo)
    facts = _commits(forge, repo, ref, before, after)
    commits = [_commit(forge, repo, commit) for commit in facts]
    follows = bool(facts) and before in facts[-1].parents
    moved = ZERO not in (before, after) and ref.startswith("refs/heads/")
    forced = moved and not follows and not bare.descends(after, before)
    page = objects.html_url(forge, repo)
    head = _head(forge, repo, ref, after)
    span = f"{before[:12]}...{after[:12]}" if before != ZERO else after[:12]
    return {
        "ref": ref,
        "before": before,
        "after": after,
        "created": before == ZERO,
        "deleted": after == ZERO,
        "forced": forced,
        "base_ref": None,
        "compare": f"{page}/compare/{span}",
        "commits": commits,
        "head_commit": None if head is None else _commit(forge, repo, history.commit(bare, head)),
        "pusher": {"name": actor.user["login"], "email": actor.user["email"]},
    }


def _head(forge: "Forge", repo: Row, ref: str, after: str) -> str | None:
    """The commit that a ref now means; a tag may have a tag object in between, or mean no commit at all."""
    if after == ZERO or ref.startswith("refs/heads/"):
        return None if after == ZERO else after
    return forge.git.of(repo).resolve(after)


def _commits(forge: "Forge", repo: Row, ref: str, before: str, after: str) -> list[history.Commit]:
    """The newest commits that a move brought, oldest first; for a new branch those that no other branch has."""
    if after == ZERO or not ref.startswith("refs/heads/"):
        return []
    if before != ZERO:
        known = [before]
    else:
        rows = forge.db.all("SELECT sha FROM heads WHERE repo_id = ? AND ref LIKE 'refs/heads/%'", repo["id"])
        known = [row["sha"] for row in rows]
    found = history.log(forge.git.of(repo), after, *(f"^{sha}" for sha in known), limit=SHOWN)
    return found[::-1]


def _commit(forge: "Forge", repo: Row, facts: history.Commit) -> JsonDict:
    added, removed, modified = history.paths(forge.git.of(repo), facts.sha)
    return {
        "id": facts.sha,
        "tree_id": facts.tree,
        "distinct": True,
        "message": facts.message,
        "timestamp": facts.committer.date,
        "url": f"{objects.html_url(forge, repo)}/commit/{facts.sha}",
        "author": {"name": facts.author.name, "email": facts.author.email, "date": facts.author.date},
        "committer": {
            "name": facts.committer.name,
            "email": facts.committer.email,
            "date": facts.committer.date,
        },
        "added": added,
        "removed": removed,
        "modified": modified,
    }
