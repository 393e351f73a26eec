"""Owns how issues, what they share with pull requests, comments, labels and reactions look in GraphQL."""

from typing import Any

from forge import comments as commenting
from forge import objects
from forge.graphql import people, pulls, repositories
from forge.graphql.context import Context, Fields, RefusedError, lazily
from forge.graphql.paging import connection
from forge.labels import labels_of
from forge.store import Row

CONTENTS = {
    "THUMBS_UP": "+1",
    "THUMBS_DOWN": "-1",
    "LAUGH": "laugh",
    "HOORAY": "hooray",
    "CONFUSED": "confused",
    "HEART": "heart",
    "ROCKET": "rocket",
    "EYES": "eyes",
}
ORDER = {"CREATED_AT": "id", "UPDATED_AT": "updated_at", "NAME": "name", "COMMENTS": "id"}


def numbered(ctx: Context, repo: Row, number: int, kind: str = "issue or pull request") -> Row:
    """An issue or pull request by number, as a row of `issues`."""
    row = ctx.forge.db.one("SELECT * FROM issues WHERE repo_id = ? AND number = ?", repo["id"], number)
    wanted = {"Issue": 0, "PullRequest": 1}.get(kind)
    if row is None or wanted not in (None, row["is_pull"]):
        raise RefusedError("NOT_FOUND", f"Could not resolve to an {kind} with the number of {number}.")
    return row


def either(ctx: Context, repo: Row, row: Row) -> Fields:
    """An issue or pull request by what it is."""
    return pulls.pull(ctx, repo, row) if row["is_pull"] else issue(ctx, repo, row)


def issue(ctx: Context, repo: Row, row: Row) -> Fields:
    """An issue."""
    ctx.need(repo, "read", "issues")
    reason = row["state_reason"]
    return {
        **conversation(ctx, repo, row),
        "__typename": "Issue",
        "id": objects.node_id("Issue", row["id"]),
        "state": str(row["state"]).upper(),
        "stateReason": None if reason is None else str(reason).upper(),
    }


def conversation(ctx: Context, repo: Row, row: Row) -> Fields:
    """What issues and pull requests have in common."""
    forge = ctx.forge
    page = f"{objects.html_url(forge, repo)}/{'pull' if row['is_pull'] else 'issues'}/{row['number']}"
    people_sql = (
        "SELECT users.* FROM users JOIN assignees ON user_id = users.id WHERE issue_id = ? ORDER BY users.id"
    )

    def said(_: Any, orderBy: Fields | None = None, **args: Any) -> Fields:  # noqa: N803 - GraphQL's name
        order = _direction(orderBy)
        sql = f"SELECT * FROM comments WHERE issue_id = ? ORDER BY id {order}"  # noqa: S608 - our words
        rows = forge.db.all(sql, row["id"])
        return connection("comments", rows, args, lambda each: comment(ctx, repo, each))

    def labelled(_: Any, orderBy: Fields | None = None, **args: Any) -> Fields:  # noqa: N803
        rows = sort(labels_of(forge, row["id"]), orderBy)
        return connection("labels", rows, args, lambda each: label(ctx, repo, each))

    def assigned(_: Any, **args: Any) -> Fields:
        rows = forge.db.all(people_sql, row["id"])
        return connection("assignees", rows, args, lambda each: people.account(ctx, each))

    return {
        **spoken(ctx, repo, row, "issue"),
        "body": row["body"] or "",
        "bodyText": row["body"] or "",
        "number": row["number"],
        "title": row["title"],
        "url": page,
        "resourcePath": page.removeprefix(forge.url),
        "closed": row["state"] == "closed",
        "closedAt": row["closed_at"],
        "locked": bool(row["locked"]),
        "activeLockReason": row["lock_reason"]
        and str(row["lock_reason"]).upper().replace("-", "_").replace(" ", "_"),
        "milestone": None,
        "repository": lazily(lambda: repositories.repository(ctx, repo)),
        "labels": labelled,
        "assignees": assigned,
        "comments": said,
        "projectCards": lambda _, **args: connection("projectCards", [], args, dict),
    }


def spoken(ctx: Context, repo: Row, row: Row, subject: str) -> Fields:
    """What everything has that somebody wrote; `subject` names it among the reactions."""
    return {
        "databaseId": row["id"],
        "fullDatabaseId": str(row["id"]),
        "author": lazily(lambda: people.by_id(ctx, row["user_id"])),
        "authorAssociation": objects.association(ctx.forge, repo, row["user_id"]),
        "createdAt": row["created_at"],
        "updatedAt": row["updated_at"],
        "includesCreatedEdit": False,
        "viewerDidAuthor": row["user_id"] == ctx.actor.user["id"],
        "reactionGroups": lazily(lambda: reaction_groups(ctx, subject, row["id"])),
    }


def comment(ctx: Context, repo: Row, row: Row) -> Fields:
    """A comment on an issue or pull request."""
    forge = ctx.forge
    of = forge.db.get("SELECT * FROM issues WHERE id = ?", row["issue_id"])
    kind = "pull" if of["is_pull"] else "issues"
    on_pull = lazily(lambda: pulls.pull(ctx, repo, of)) if of["is_pull"] else None
    return {
        **spoken(ctx, repo, row, "comment"),
        "__typename": "IssueComment",
        "id": objects.node_id("IssueComment", row["id"]),
        "body": row["body"],
        "url": f"{objects.html_url(forge, repo)}/{kind}/{of['number']}#issuecomment-{row['id']}",
        "isMinimized": row["minimized"] is not None,
        "minimizedReason": row["minimized"],
        "repository": lazily(lambda: repositories.repository(ctx, repo)),
        "issue": lazily(lambda: issue(ctx, repo, of)),
        "pullRequest": on_pull,
    }


def label(ctx: Context, repo: Row, row: Row) -> Fields:
    """A label."""
    return {
        "__typename": "Label",
        "id": objects.node_id("Label", row["id"]),
        "name": row["name"],
        "color": row["color"],
        "description": row["description"],
        "isDefault": bool(row["is_default"]),
        "url": f"{objects.html_url(ctx.forge, repo)}/labels/{row['name']}",
        "repository": lazily(lambda: repositories.repository(ctx, repo)),
    }


def reaction(ctx: Context, row: Row) -> Fields:
    """One reaction."""
    words = {word: name for name, word in CONTENTS.items()}
    return {
        "__typename": "Reaction",
        "id": objects.node_id("Reaction", row["id"]),
        "databaseId": row["id"],
        "content": words[row["content"]],
        "createdAt": row["created_at"],
        "user": people.by_id(ctx, row["user_id"]),
    }


def reaction_groups(ctx: Context, subject: str, subject_id: int) -> list[Fields]:
    """The reactions to something by content, also those that nobody chose."""
    rows = ctx.forge.db.all(
        "SELECT reactions.content, users.* FROM reactions JOIN users ON users.id = user_id"
        " WHERE subject_type = ? AND subject_id = ? ORDER BY reactions.id",
        subject,
        subject_id,
    )
    return [
        _group(ctx, name, [row for row in rows if row["content"] == word]) for name, word in CONTENTS.items()
    ]


def _group(ctx: Context, name: str, rows: list[Row]) -> Fields:
    return {
        "content": name,
        "viewerHasReacted": any(row["id"] == ctx.actor.user["id"] for row in rows),
        "users": lambda _, **args: connection("users", rows, args, lambda row: people.account(ctx, row)),
    }


def find_comment(ctx: Context, comment_id: int) -> tuple[Row, Row]:
    """A comment of a repository that the caller sees, and that repository."""
    sql = "SELECT repo_id FROM comments JOIN issues ON issues.id = issue_id WHERE comments.id = ?"
    repo = ctx.forge.repo_by_id(ctx.forge.db.get(sql, comment_id)["repo_id"])
    return repo, commenting.find(ctx.forge, repo, comment_id)


def sort(rows: list[Row], order: Fields | None) -> list[Row]:
    """Labels in the order that is asked for; by creation otherwise."""
    key = ORDER[(order or {}).get("field", "CREATED_AT")]
    return sorted(rows, key=lambda row: row[key], reverse=_direction(order) == "DESC")


def _direction(order: Fields | None) -> str:
    return "DESC" if (order or {}).get("direction") == "DESC" else "ASC"
