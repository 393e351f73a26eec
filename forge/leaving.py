"""What makes an issue leave its repository: deletion and transfer, which GitHub offers on its pages and in GraphQL only."""

from typing import TYPE_CHECKING, Literal

from forge import issues, objects
from forge.auth import Actor
from forge.payloads import JsonDict, narrow
from forge.store import Row

if TYPE_CHECKING:
    from forge.state import Forge


def delete(forge: "Forge", repo: Row, row: Row, actor: Actor) -> None:
    """Delete an issue; its number is never given again, and asking for it answers 410."""
    _leave(forge, repo, row, actor, "deleted")


def transfer(forge: "Forge", repo: Row, row: Row, actor: Actor, target: Row) -> Row:
    """Move an issue to another repository, where it gets a number of its own; asking for the old one answers 404."""
    with forge.db.tx():
        moved = issues.open_issue(forge, target, actor, row["title"], row["body"])
        changes = {
            "new_issue": narrow("issue", objects.issue(forge, target, moved)),
            "new_repository": narrow("repository", objects.full_repo(forge, target)),
        }
        _leave(forge, repo, row, actor, "transferred", changes=changes)
    return moved


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
