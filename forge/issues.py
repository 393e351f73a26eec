"""What happens to issues, and to pull requests seen as issues: opening, changing, labels, locking, with their events."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from forge import objects, pulls
from forge.auth import ROLES, Access, Actor, Level
from forge.errors import GitHubError, invalid, not_found
from forge.labels import create_label, label_named, labels_of
from forge.payloads import JsonDict
from forge.store import Row

if TYPE_CHECKING:
    from forge.state import Forge

LONGEST_BODY = 65_536  # characters
LONGEST_TITLE = 256


@dataclass(frozen=True, slots=True)
class IssueChange:
    """What a call changes of an issue; None leaves a part as it is."""

    title: str | None = None
    body: str | None = None
    state: str | None = None
    state_reason: str | None = None
    labels: Sequence[str] | None = None
    assignees: Sequence[str] | None = None


def find(forge: "Forge", repo: Row, number: int) -> Row:
    """Return an issue or pull request by number; 404 if there is none, 410 for one that was deleted or disabled."""
    row = forge.db.one("SELECT * FROM issues WHERE repo_id = ? AND number = ?", repo["id"], number)
    if row is None:
        gone = forge.db.one(
            "SELECT how FROM gone_issues WHERE repo_id = ? AND number = ?", repo["id"], number
        )
        if gone is not None and gone["how"] == "deleted":
            raise GitHubError(410, "This issue was deleted")
        raise not_found()
    if not row["is_pull"] and not repo["has_issues"]:
        raise GitHubError(410, "Issues are disabled for this repo")
    return row


def find_for(access: Access, number: int, level: Level) -> Row:
    """Return an issue or pull request that the caller may read or write; an App needs the permission of its kind."""
    row = find(access.forge, access.repo, number)
    require(access, row, level)
    return row


def require(access: Access, row: Row, level: Level) -> None:
    """403 for an App that has `pull_requests` only where the issue is none; for a pull request either will do."""
    if not row["is_pull"]:
        access.require("issues", level)


def by_id(forge: "Forge", issue_id: int) -> Row:
    """Return an issue that exists."""
    return forge.db.get("SELECT * FROM issues WHERE id = ?", issue_id)


def announce(forge: "Forge", repo: Row, issue_id: int, action: str, sender: Row, **extra: Any) -> None:
    """Emit `issues.<action>`, or `pull_request.<action>` where the issue is a pull request."""
    row = by_id(forge, issue_id)
    if row["is_pull"]:
        pulls.announce(forge, repo, issue_id, action, sender, **extra)
    else:
        forge.events.emit("issues", action, repo, sender, issue=objects.issue(forge, repo, row), **extra)


def open_issue(
    forge: "Forge",
    repo: Row,
    actor: Actor,
    title: str,
    body: str | None = None,
    labels: Sequence[str] = (),
    assignees: Sequence[str] = (),
) -> Row:
    """Open an issue and announce it. Labels of a person below triage are dropped without a word, as on GitHub."""
    check_title(title)
    check_body("Issue", body)
    if not repo["has_issues"]:
        raise GitHubError(410, "Issues are disabled for this repo")
    with forge.db.tx():
        now = forge.now()
        issue_id = forge.db.run(
            "INSERT INTO issues (repo_id, number, title, body, user_id, app_id, created_at, updated_at)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            repo["id"],
            forge.next_number(repo["id"]),
            title,
            body,
            actor.user["id"],
            actor.app_id,
            now,
            now,
        )
        if may_triage(actor, repo):
            added = [_attach(forge, repo, issue_id, name) for name in _distinct(labels)]
            _assign(forge, repo, issue_id, assignees)
        else:
            added = []
        announce(forge, repo, issue_id, "opened", actor.user)
        for label in added:
            _announce_label(forge, repo, issue_id, "labeled", label, actor.user)
    return by_id(forge, issue_id)


def change(forge: "Forge", repo: Row, row: Row, actor: Actor, wanted: IssueChange) -> Row:
    """Change an issue and announce each thing that really changed."""
    may = may_triage(actor, repo)
    if not may and (row["user_id"] != actor.user["id"] or wanted.labels is not None):
        raise GitHubError(403, "Must have triage rights to Repository.")
    with forge.db.tx():
        _edit(forge, repo, row, actor, wanted)
        if wanted.labels is not None:
            set_labels(forge, repo, row, actor, wanted.labels)
        if wanted.assignees is not None:
            _reassign(forge, repo, row, actor, wanted.assignees)
        if wanted.state is not None:
            _move(forge, repo, row, actor, wanted.state, wanted.state_reason)
    return by_id(forge, row["id"])


def add_labels(forge: "Forge", repo: Row, row: Row, actor: Actor, names: Sequence[str]) -> None:
    """Put labels on an issue; unknown ones are created, and those it has stay without an event."""
    with forge.db.tx():
        for name in _distinct(names):
            label = label_named(forge, repo, name) or create_label(forge, repo, name)
            if not _has(forge, row["id"], label["id"]):
                _attach(forge, repo, row["id"], name)
                _touch(forge, row["id"])
                _announce_label(forge, repo, row["id"], "labeled", label, actor.user)


def remove_label(forge: "Forge", repo: Row, row: Row, actor: Actor, name: str) -> None:
    """Take a label off an issue; 404 `Label does not exist` if it does not have it."""
    label = label_named(forge, repo, name)
    if label is None or not _has(forge, row["id"], label["id"]):
        raise GitHubError(404, "Label does not exist")
    with forge.db.tx():
        forge.db.run("DELETE FROM issue_labels WHERE issue_id = ? AND label_id = ?", row["id"], label["id"])
        _touch(forge, row["id"])
        _announce_label(forge, repo, row["id"], "unlabeled", label, actor.user)


def set_labels(forge: "Forge", repo: Row, row: Row, actor: Actor, names: Sequence[str]) -> None:
    """Make the labels of an issue exactly these."""
    wanted = {name.casefold() for name in names}
    with forge.db.tx():
        for label in labels_of(forge, row["id"]):
            if label["name"].casefold() not in wanted:
                remove_label(forge, repo, row, actor, label["name"])
        add_labels(forge, repo, row, actor, names)


def set_lock(
    forge: "Forge", repo: Row, row: Row, actor: Actor, *, locked: bool, reason: str | None = None
) -> None:
    """Lock or unlock a conversation."""
    with forge.db.tx():
        forge.db.run(
            "UPDATE issues SET locked = ?, lock_reason = ?, updated_at = ? WHERE id = ?",
            int(locked),
            reason if locked else None,
            forge.now(),
            row["id"],
        )
        if bool(row["locked"]) != locked:
            announce(forge, repo, row["id"], "locked" if locked else "unlocked", actor.user)


def may_triage(actor: Actor, repo: Row) -> bool:
    """Whether the caller may label, assign and close what others opened; Apps were judged by their permission."""
    return actor.kind != "user" or ROLES[actor.role(repo)] >= ROLES["triage"]


def check_body(resource: str, body: str | None) -> None:
    """Refuse a text that is longer than GitHub takes."""
    if body is not None and len(body) > LONGEST_BODY:
        message = f"body is too long (maximum is {LONGEST_BODY} characters)"
        raise invalid(resource, "body", "custom", message)


def check_title(title: str) -> None:
    """Refuse a title that is blank or too long."""
    if not title.strip():
        raise invalid("Issue", "title", "missing_field")
    if len(title) > LONGEST_TITLE:
        raise invalid(
            "Issue", "title", "custom", f"title is too long (maximum is {LONGEST_TITLE} characters)"
        )


def _edit(forge: "Forge", repo: Row, row: Row, actor: Actor, wanted: IssueChange) -> None:
    changes: JsonDict = {}
    if wanted.title is not None and wanted.title != row["title"]:
        check_title(wanted.title)
        changes["title"] = {"from": row["title"]}
    if wanted.body is not None and wanted.body != row["body"]:
        check_body("Issue", wanted.body)
        changes["body"] = {"from": row["body"] or ""}
    if not changes:
        return
    forge.db.run(
        "UPDATE issues SET title = ?, body = ?, updated_at = ? WHERE id = ?",
        row["title"] if wanted.title is None else wanted.title,
        row["body"] if wanted.body is None else wanted.body,
        forge.now(),
        row["id"],
    )
    announce(forge, repo, row["id"], "edited", actor.user, changes=changes)


def _move(forge: "Forge", repo: Row, row: Row, actor: Actor, state: str, reason: str | None) -> None:
    """Open or close; a pull request by its own rules."""
    if row["is_pull"]:
        if row["state"] != state:
            move = pulls.close if state == "closed" else pulls.reopen
            move(forge, repo, pulls.by_id(forge, row["id"]), actor)
        return
    if row["state"] == state and (state == "open" or reason in (None, row["state_reason"])):
        return
    now = forge.now()
    closed = ("closed", reason or "completed", now, actor.user["id"])
    with forge.db.tx():
        forge.db.run(
            "UPDATE issues SET state = ?, state_reason = ?, closed_at = ?, closed_by = ?, updated_at = ? WHERE id = ?",
            *(closed if state == "closed" else ("open", "reopened", None, None)),
            now,
            row["id"],
        )
        if row["state"] != state:
            announce(forge, repo, row["id"], "closed" if state == "closed" else "reopened", actor.user)


def _attach(forge: "Forge", repo: Row, issue_id: int, name: str) -> Row:
    label = label_named(forge, repo, name) or create_label(forge, repo, name)
    forge.db.run(
        "INSERT OR IGNORE INTO issue_labels (issue_id, label_id) VALUES (?, ?)", issue_id, label["id"]
    )
    return label


def _has(forge: "Forge", issue_id: int, label_id: int) -> bool:
    return (
        forge.db.one("SELECT 1 FROM issue_labels WHERE issue_id = ? AND label_id = ?", issue_id, label_id)
        is not None
    )


def _touch(forge: "Forge", issue_id: int) -> None:
    forge.db.run("UPDATE issues SET updated_at = ? WHERE id = ?", forge.now(), issue_id)


def _announce_label(forge: "Forge", repo: Row, issue_id: int, action: str, label: Row, sender: Row) -> None:
    announce(forge, repo, issue_id, action, sender, label=objects.label(forge, repo, label))


def _assign(forge: "Forge", repo: Row, issue_id: int, logins: Sequence[str]) -> list[Row]:
    found = []
    for login in _distinct(logins):
        user = forge.user(login)
        if user is None:
            raise invalid("Issue", "assignees")
        forge.db.run(
            "INSERT OR IGNORE INTO assignees (issue_id, user_id) VALUES (?, ?)", issue_id, user["id"]
        )
        found.append(user)
    return found


def _reassign(forge: "Forge", repo: Row, row: Row, actor: Actor, logins: Sequence[str]) -> None:
    before = forge.db.all(
        "SELECT users.* FROM users JOIN assignees ON user_id = users.id WHERE issue_id = ?", row["id"]
    )
    forge.db.run("DELETE FROM assignees WHERE issue_id = ?", row["id"])
    after = _assign(forge, repo, row["id"], logins)
    kept = {user["id"] for user in after} & {user["id"] for user in before}
    for action, users in (("unassigned", before), ("assigned", after)):
        for user in users:
            if user["id"] not in kept:
                announce(forge, repo, row["id"], action, actor.user, assignee=objects.user(forge, user))


def _distinct(names: Sequence[str]) -> list[str]:
    return list({name.casefold(): name for name in names}.values())
