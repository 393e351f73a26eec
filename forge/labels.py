"""A repository's labels and those on an issue, as rows."""

from typing import TYPE_CHECKING

from forge.errors import invalid
from forge.store import Row

if TYPE_CHECKING:
    from forge.state import Forge

DEFAULT_COLOR = "ededed"
LONGEST_NAME = 50


def labels_of(forge: "Forge", issue_id: int) -> list[Row]:
    """Return the labels of an issue by name."""
    return forge.db.all(
        "SELECT labels.* FROM labels JOIN issue_labels ON label_id = labels.id WHERE issue_id = ? ORDER BY name",
        issue_id,
    )


def label_named(forge: "Forge", repo: Row, name: str) -> Row | None:
    """Return a repository's label, whatever the case of its name."""
    return forge.db.one("SELECT * FROM labels WHERE repo_id = ? AND name = ?", repo["id"], name)


def check_name(name: str) -> None:
    """Refuse a name that is blank or longer than 50 characters."""
    if not name.strip() or len(name) > LONGEST_NAME:
        raise invalid("Label", "name")


def create_label(
    forge: "Forge", repo: Row, name: str, color: str = DEFAULT_COLOR, description: str | None = None
) -> Row:
    """Create a label of a repository; 422 `already_exists` if it has one of that name."""
    check_name(name)
    if label_named(forge, repo, name) is not None:
        raise invalid("Label", "name", "already_exists")
    label_id = forge.db.run(
        "INSERT INTO labels (repo_id, name, color, description) VALUES (?, ?, ?, ?)",
        repo["id"],
        name,
        color.removeprefix("#").lower(),
        description,
    )
    return forge.db.get("SELECT * FROM labels WHERE id = ?", label_id)
