"""Comments on issues and pull requests, and reactions: writing them, and who may."""

from typing import TYPE_CHECKING, Any

from forge import issues, objects
from forge.auth import ROLES, Access, Actor, Level
from forge.errors import GitHubError, invalid, not_found
from forge.store import Row

if TYPE_CHECKING:
    from forge.state import Forge

CONTENTS = ("+1", "-1", "laugh", "confused", "heart", "hooray", "rocket", "eyes")


def find(forge: "Forge", repo: Row, comment_id: int) -> Row:
    """Return a comment of a repository; 404 if there is none."""
    row = forge.db.one(
        "SELECT comments.* FROM comments JOIN issues ON issues.id = issue_id"
        " WHERE comments.id = ? AND issues.repo_id = ?",
        comment_id,
        repo["id"],
    )
    if row is None:
        raise not_found()
    return row


def find_for(access: Access, comment_id: int, level: Level) -> Row:
    """Return a comment that the caller may read or write; an App needs the permission of what it stands on."""
    row = find(access.forge, access.repo, comment_id)
    issues.require(access, issues.by_id(access.forge, row["issue_id"]), level)
    return row


def add(forge: "Forge", repo: Row, issue: Row, actor: Actor, body: str) -> Row:
    """Write a comment and announce it; 403 on a locked conversation for everybody who may not write."""
    _check(body)
    if issue["locked"] and ROLES[actor.role(repo)] < ROLES["write"]:
        raise GitHubError(403, "Unable to create comment because issue is locked.")
    with forge.db.tx():
        now = forge.now()
        comment_id = forge.db.run(
            "INSERT INTO comments (issue_id, user_id, body, created_at, updated_at, app_id) VALUES (?, ?, ?, ?, ?, ?)",
            issue["id"],
            actor.user["id"],
            body,
            now,
            now,
            actor.app_id,
        )
        forge.db.run("UPDATE issues SET updated_at = ? WHERE id = ?", now, issue["id"])
        row = find(forge, repo, comment_id)
        _announce(forge, repo, row, "created", actor)
    return row


def edit(forge: "Forge", repo: Row, row: Row, actor: Actor, body: str) -> Row:
    """Change a comment's text and announce it if it is another."""
    _check(body)
    _require_author(repo, row, actor)
    with forge.db.tx():
        forge.db.run(
            "UPDATE comments SET body = ?, updated_at = ? WHERE id = ?", body, forge.now(), row["id"]
        )
        after = find(forge, repo, row["id"])
        if body != row["body"]:
            _announce(forge, repo, after, "edited", actor, changes={"body": {"from": row["body"]}})
    return after


def delete(forge: "Forge", repo: Row, row: Row, actor: Actor) -> None:
    """Delete a comment and announce it."""
    _require_author(repo, row, actor)
    with forge.db.tx():
        _announce(forge, repo, row, "deleted", actor)
        forge.db.run("DELETE FROM comments WHERE id = ?", row["id"])
        forge.db.run("DELETE FROM reactions WHERE subject_type = 'comment' AND subject_id = ?", row["id"])


def minimize(forge: "Forge", repo: Row, row: Row, actor: Actor, reason: str | None) -> Row:
    """Fold a comment away for a reason, or unfold it (None); its author and whoever may write may do so."""
    _require_author(repo, row, actor)
    forge.db.run("UPDATE comments SET minimized = ? WHERE id = ?", reason, row["id"])
    return find(forge, repo, row["id"])


def react(forge: "Forge", subject_type: str, subject_id: int, actor: Actor, content: str) -> tuple[Row, bool]:
    """Return the caller's reaction and whether it is new."""
    if content not in CONTENTS:
        raise invalid("Reaction", "content")
    key = (subject_type, subject_id, actor.user["id"], content)
    wanted = (
        "SELECT * FROM reactions WHERE subject_type = ? AND subject_id = ? AND user_id = ? AND content = ?"
    )
    with forge.db.tx():
        known = forge.db.one(wanted, *key)
        if known is not None:
            return known, False
        forge.db.run(
            "INSERT INTO reactions (subject_type, subject_id, user_id, content, created_at) VALUES (?, ?, ?, ?, ?)",
            *key,
            forge.now(),
        )
        return forge.db.get(wanted, *key), True


def _check(body: str) -> None:
    if not body.strip():
        raise invalid("IssueComment", "body", "missing_field", "body cannot be blank")
    issues.check_body("IssueComment", body)


def _require_author(repo: Row, row: Row, actor: Actor) -> None:
    """People change their own comments, or all of them if they may write; Apps were judged by their permission."""
    if (
        actor.kind == "user"
        and row["user_id"] != actor.user["id"]
        and ROLES[actor.role(repo)] < ROLES["write"]
    ):
        raise GitHubError(403, "Must have write rights to Repository.")


def _announce(forge: "Forge", repo: Row, row: Row, action: str, actor: Actor, **extra: Any) -> None:
    issue = objects.issue(forge, repo, issues.by_id(forge, row["issue_id"]))
    comment = objects.comment(forge, repo, row)
    forge.events.emit("issue_comment", action, repo, actor.user, issue=issue, comment=comment, **extra)
