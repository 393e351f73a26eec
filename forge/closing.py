"""Closing keywords: which issues a text closes once it reaches the default branch."""

import re
from typing import TYPE_CHECKING

from forge import objects
from forge.auth import Actor
from forge.store import Row

if TYPE_CHECKING:
    from forge.state import Forge

KEYWORD = re.compile(r"\b(?:close[sd]?|fix(?:e[sd])?|resolve[sd]?):?\s+#(\d+)\b", re.IGNORECASE)


def named(text: str) -> list[int]:
    """The issue numbers after a closing keyword, each once, in order."""
    return list(dict.fromkeys(int(number) for number in KEYWORD.findall(text)))


def close_named(forge: "Forge", repo: Row, text: str, actor: Actor) -> None:
    """Closes the open issues that a merged text names; call it in a transaction."""
    for number in named(text):
        row = forge.db.one(
            "SELECT * FROM issues WHERE repo_id = ? AND number = ? AND is_pull = 0 AND state = 'open'",
            repo["id"],
            number,
        )
        if row is None:
            continue
        now = forge.now()
        forge.db.run(
            "UPDATE issues SET state = 'closed', state_reason = 'completed', closed_at = ?, closed_by = ?,"
            " updated_at = ? WHERE id = ?",
            now,
            actor.user["id"],
            now,
            row["id"],
        )
        closed = forge.db.get("SELECT * FROM issues WHERE id = ?", row["id"])
        forge.events.emit("issues", "closed", repo, actor.user, issue=objects.issue(forge, repo, closed))
