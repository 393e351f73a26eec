"""What makes an issue leave its repository: deletion and transfer, which GitHub offers on its pages and in GraphQL only."""

from typing import TYPE_CHECKING, Literal

from fastapi import Request

from forge import issues, objects, renamed
from forge.auth import Access, Actor
from forge.errors import GitHubError
from forge.payloads import JsonDict, narrow
from forge.store import Row

if TYPE_CHECKING:
    from forge.state import Forge


def delete(forge: "Forge", repo: Row, row: Row, actor: Actor) -> None:
    """Delete an issue; its number is never given again, and asking for it answers 410."""
    _leave(forge, repo, row, actor, "deleted")


def transfer(forge: "Forge", repo: Row, row: Row, actor: Actor, target: Row) -> Row:
    """Move an issue to another repository, where it gets a number of its own; who asks for the old one is sent on."""
    with forge.db.tx():
        moved = issues.open_issue(forge, target, actor, row["title"], row["body"])
        changes = {
            "new_issue": narrow("issue", objects.issue(forge, target, moved)),
            "new_repository": narrow("repository", objects.full_repo(forge, target)),
        }
        _leave(forge, repo, row, actor, "transferred", changes=changes)
        forge.db.run(
            "INSERT INTO moved_issues (repo_id, number, to_repo_id, to_number) VALUES (?, ?, ?, ?)",
            repo["id"],
            row["number"],
            target["id"],
            moved["number"],
        )
    return moved


def redirect(access: Access, request: Request, number: int) -> GitHubError | None:
    """301 to what has become of an issue that was moved; None where it was not, or the caller may not see it there."""
    forge = access.forge
    moved = forge.db.one(
        "SELECT to_repo_id, to_number FROM moved_issues WHERE repo_id = ? AND number = ?",
        access.repo["id"],
        number,
    )
    if moved is None or forge.db.one("SELECT id FROM repos WHERE id = ?", moved["to_repo_id"]) is None:
        return None
    if not access.actor.can_see(forge.repo_by_id(moved["to_repo_id"])):
        return None
    where = f"{renamed.address(forge, request, moved['to_repo_id'])}/issues/{moved['to_number']}"
    return GitHubError(301, "Moved Permanently", headers={"location": where})


def _leave(
    forge: "Forge",
    repo: Row,
    row: Row,
    actor: Actor,
    how: Literal["deleted", "transferred"],
    **extra: JsonDict,
) -> None:
    with forge.db.tx():
        shown = objects.issue(forge, repo, row)
        forge.db.run(
            "INSERT INTO gone_issues (repo_id, number, how) VALUES (?, ?, ?)", repo["id"], row["number"], how
        )
        for table in ("comments", "issue_labels", "assignees"):
            forge.db.run(f"DELETE FROM {table} WHERE issue_id = ?", row["id"])  # noqa: S608 - fixed names
        forge.db.run("DELETE FROM issues WHERE id = ?", row["id"])
        forge.events.emit("issues", how, repo, actor.user, issue=shown, **extra)
