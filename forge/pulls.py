"""Pull requests beneath the routes: reading, opening, closing and what a moved branch does to them."""

from typing import TYPE_CHECKING, Any

from forge import closing, history, objects
from forge.auth import Actor
from forge.errors import GitHubError, invalid, not_found
from forge.git import ZERO, Bare
from forge.store import Row

if TYPE_CHECKING:
    from forge.state import Forge

PULL = "SELECT issues.*, pulls.* FROM issues JOIN pulls ON pulls.issue_id = issues.id"
LONGEST = 65536


def find(forge: "Forge", repo: Row, number: int) -> Row:
    """A pull request by its number; 404 if there is none."""
    row = forge.db.one(f"{PULL} WHERE issues.repo_id = ? AND number = ?", repo["id"], number)
    if row is None:
        raise not_found()
    return row


def by_id(forge: "Forge", issue_id: int) -> Row:
    """A pull request that exists."""
    return forge.db.get(f"{PULL} WHERE issues.id = ?", issue_id)


def announce(forge: "Forge", repo: Row, issue_id: int, action: str, sender: Row, **extra: Any) -> None:
    """Emits one `pull_request` event with the state as it is now; call it in the write's transaction."""
    row = by_id(forge, issue_id)
    shown = objects.pull(forge, repo, row)
    forge.events.emit("pull_request", action, repo, sender, number=row["number"], pull_request=shown, **extra)


def check_text(title: str | None, body: str | None) -> None:
    """422 for a blank title and for texts longer than GitHub takes."""
    if title is not None and not title.strip():
        raise invalid("PullRequest", "title", "missing_field")
    if title is not None and len(title) > 256:
        raise invalid("PullRequest", "title", "custom", "title is too long (maximum is 256 characters)")
    if body is not None and len(body) > LONGEST:
        raise invalid("PullRequest", "body", "custom", f"body is too long (maximum is {LONGEST} characters)")


def open_pull(
    forge: "Forge",
    repo: Row,
    actor: Actor,
    *,
    title: str,
    body: str | None,
    head: str,
    base: str,
    draft: bool,
) -> Row:
    """A new pull request between two branches of a repository; 422 as GitHub for what cannot be one."""
    check_text(title, body)
    owner, colon, branch = head.rpartition(":")
    if colon and owner.lower() != str(repo["owner_login"]).lower():
        raise invalid("PullRequest", "head")
    bare = forge.git.of(repo)
    base_sha, head_sha = bare.ref(f"refs/heads/{base}"), bare.ref(f"refs/heads/{branch}")
    if base_sha is None:
        raise invalid("PullRequest", "base")
    if head_sha is None:
        raise invalid("PullRequest", "head")
    _check_difference(forge, repo, base, branch, base_sha, head_sha)
    _compare(bare, base_sha, head_sha)
    with forge.db.tx():
        _check_single(forge, repo, branch, base)
        issue_id = _insert(forge, repo, actor, title, body)
        forge.db.run(
            "INSERT INTO pulls (issue_id, repo_id, head_ref, head_sha, head_repo_id, base_ref, base_sha, draft)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            issue_id,
            repo["id"],
            branch,
            head_sha,
            repo["id"],
            base,
            base_sha,
            int(draft),
        )
        row = by_id(forge, issue_id)
        bare.force(f"refs/pull/{row['number']}/head", head_sha)
        announce(forge, repo, issue_id, "opened", actor.user)
    return row


def _insert(forge: "Forge", repo: Row, actor: Actor, title: str, body: str | None) -> int:
    """The half of a pull request that it has in common with issues."""
    now = forge.now()
    return forge.db.run(
        "INSERT INTO issues (repo_id, number, title, body, user_id, app_id, created_at, updated_at, is_pull)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, 1)",
        repo["id"],
        forge.next_number(repo["id"]),
        title,
        body,
        actor.user["id"],
        actor.app_id,
        now,
        now,
    )


def _check_difference(
    forge: "Forge", repo: Row, base: str, branch: str, base_sha: str, head_sha: str
) -> None:
    bare = forge.git.of(repo)
    if bare.merge_base(base_sha, head_sha) is None:
        sentence = f"The {branch} branch has no history in common with {base}"
        raise invalid("PullRequest", "base", "custom", sentence)
    if bare.ahead_behind(base_sha, head_sha)[0] == 0:
        raise invalid("PullRequest", "head", "custom", f"No commits between {base} and {branch}")


def _check_single(forge: "Forge", repo: Row, branch: str, base: str) -> None:
    """422 where an open pull request from one branch to the other exists."""
    known = forge.db.one(
        f"{PULL} WHERE pulls.repo_id = ? AND head_ref = ? AND base_ref = ? AND state = 'open'",
        repo["id"],
        branch,
        base,
    )
    if known is not None:
        sentence = f"A pull request already exists for {repo['owner_login']}:{branch}."
        raise invalid("PullRequest", "base", "custom", sentence)


def close(forge: "Forge", repo: Row, row: Row, actor: Actor) -> None:
    """Closes without merging, and announces it."""
    with forge.db.tx():
        now = forge.now()
        forge.db.run(
            "UPDATE issues SET state = 'closed', closed_at = ?, closed_by = ?, updated_at = ? WHERE id = ?",
            now,
            actor.user["id"],
            now,
            row["id"],
        )
        announce(forge, repo, row["id"], "closed", actor.user)


def reopen(forge: "Forge", repo: Row, row: Row, actor: Actor) -> None:
    """Opens again; 422 for a merged one, for a lost head branch and beside another open one."""
    if row["merged_at"] is not None:
        raise invalid(
            "PullRequest", "state", "custom", "state cannot be changed. The pull request is merged."
        )
    tip = forge.git.of(repo).ref(f"refs/heads/{row['head_ref']}")
    if tip is None:
        sentence = f"state cannot be changed. The {row['head_ref']} branch has been deleted."
        raise invalid("PullRequest", "state", "custom", sentence)
    with forge.db.tx():
        _check_single(forge, repo, row["head_ref"], row["base_ref"])
        forge.db.run(
            "UPDATE issues SET state = 'open', closed_at = NULL, closed_by = NULL, updated_at = ? WHERE id = ?",
            forge.now(),
            row["id"],
        )
        forge.db.run("UPDATE pulls SET head_sha = ? WHERE issue_id = ?", tip, row["id"])
        forge.git.of(repo).force(f"refs/pull/{row['number']}/head", tip)
        announce(forge, repo, row["id"], "reopened", actor.user)


def look_ahead(forge: "Forge", repo: Row, branch: str, before: str, after: str) -> None:
    """Lets git find what `branch_moved` will ask for, so that no transaction waits for git."""
    if after == ZERO:
        return
    bare = forge.git.of(repo)
    from_it = f"{PULL} WHERE head_repo_id = ? AND head_ref = ? AND state = 'open'"
    for row in forge.db.all(from_it, repo["id"], branch):
        _compare(bare, forge.tip(repo, row["base_ref"]) or row["base_sha"], after)
    into_it = "SELECT count(*) FROM pulls JOIN issues ON id = issue_id WHERE pulls.repo_id = ? AND base_ref = ? AND state = 'open'"
    if before != ZERO and forge.db.count(into_it, repo["id"], branch):
        history.new_commits(bare, before, after)


def _compare(bare: Bare, base: str, head: str) -> None:
    """Everything that showing a pull request asks git; each answer is kept."""
    history.changes(bare, history.fork_point(bare, base, head), head)
    bare.ahead_behind(base, head)
    bare.merged_tree(base, head)


def branch_moved(forge: "Forge", repo: Row, branch: str, before: str, after: str, actor: Actor) -> None:
    """Brings the open pull requests from and into a branch up to date; call it in the push's transaction."""
    _follow_head(forge, repo, branch, before, after, actor)
    if after != ZERO:
        _follow_base(forge, repo, branch, before, after, actor)


def _follow_head(forge: "Forge", repo: Row, branch: str, before: str, after: str, actor: Actor) -> None:
    rows = forge.db.all(
        f"{PULL} WHERE head_repo_id = ? AND head_ref = ? AND state = 'open'", repo["id"], branch
    )
    for row in rows:
        if after == ZERO:
            close(forge, repo, row, actor)
            continue
        base_sha = forge.tip(repo, row["base_ref"]) or row["base_sha"]
        forge.db.run(
            "UPDATE pulls SET head_sha = ?, base_sha = ?, merge_commit_sha = NULL WHERE issue_id = ?",
            after,
            base_sha,
            row["id"],
        )
        forge.db.run("UPDATE issues SET updated_at = ? WHERE id = ?", forge.now(), row["id"])
        forge.git.of(repo).force(f"refs/pull/{row['number']}/head", after)
        announce(forge, repo, row["id"], "synchronize", actor.user, before=before, after=after)


def _follow_base(forge: "Forge", repo: Row, branch: str, before: str, after: str, actor: Actor) -> None:
    """Marks as merged what the base now holds: heads that became reachable, and our own merge commits."""
    rows = forge.db.all(
        f"{PULL} WHERE pulls.repo_id = ? AND base_ref = ? AND state = 'open'", repo["id"], branch
    )
    if not rows or before == ZERO:
        return
    arrived = history.new_commits(forge.git.of(repo), before, after)
    for row in rows:
        merge = row["merge_commit_sha"] if row["merge_commit_sha"] in arrived else None
        if merge is None and row["head_sha"] in arrived:
            merge = after
        if merge is not None:
            _mark_merged(forge, repo, row, merge, before, actor)


def _mark_merged(forge: "Forge", repo: Row, row: Row, merge: str, base_sha: str, actor: Actor) -> None:
    now = forge.now()
    forge.db.run(
        "UPDATE issues SET state = 'closed', closed_at = ?, closed_by = ?, updated_at = ? WHERE id = ?",
        now,
        actor.user["id"],
        now,
        row["id"],
    )
    forge.db.run(
        "UPDATE pulls SET merged_at = ?, merged_by = ?, merge_commit_sha = ?, base_sha = ? WHERE issue_id = ?",
        now,
        actor.user["id"],
        merge,
        base_sha,
        row["id"],
    )
    announce(forge, repo, row["id"], "closed", actor.user)
    if row["base_ref"] == repo["default_branch"]:
        closing.close_named(forge, repo, row["body"] or "", actor)


def mergeable(forge: "Forge", repo: Row, row: Row) -> bool:
    """Whether merging the head into the base's tip leaves no conflict."""
    tip = forge.tip(repo, row["base_ref"])
    return tip is not None and forge.git.of(repo).merged_tree(tip, row["head_sha"]) is not None


def change_base(forge: "Forge", repo: Row, row: Row, base: str) -> None:
    """Points an open pull request at another base branch; 422 as when opening one."""
    tip = forge.git.of(repo).ref(f"refs/heads/{base}")
    if tip is None:
        raise GitHubError(422, f"Proposed base branch '{base}' was not found")
    _check_difference(forge, repo, base, row["head_ref"], tip, row["head_sha"])
    _check_single(forge, repo, row["head_ref"], base)
    forge.db.run(
        "UPDATE pulls SET base_ref = ?, base_sha = ?, merge_commit_sha = NULL WHERE issue_id = ?",
        base,
        tip,
        row["id"],
    )
