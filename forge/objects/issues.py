"""Issues, comments, labels and reactions as GitHub shows them."""

from typing import TYPE_CHECKING
from urllib.parse import quote

from forge.errors import JsonDict
from forge.objects.people import app, node_id, user
from forge.objects.repos import api_url, html_url
from forge.store import Row

if TYPE_CHECKING:
    from forge.state import Forge

CONTENTS = ("+1", "-1", "laugh", "hooray", "confused", "heart", "rocket", "eyes")


def label(forge: "Forge", repo: Row, row: Row) -> JsonDict:
    """`label`."""
    return {
        "id": row["id"],
        "node_id": node_id("Label", row["id"]),
        "url": f"{api_url(forge, repo)}/labels/{quote(row['name'], safe='')}",
        "name": row["name"],
        "description": row["description"],
        "color": row["color"],
        "default": bool(row["is_default"]),
        "archived_at": None,
        "archived_by": None,
    }


def association(forge: "Forge", repo: Row, user_id: int) -> str:
    """`author_association`: OWNER, COLLABORATOR or NONE."""
    if repo["owner_id"] == user_id:
        return "OWNER"
    role = forge.db.one(
        "SELECT role FROM collaborators WHERE repo_id = ? AND user_id = ?", repo["id"], user_id
    )
    return "NONE" if role is None else "COLLABORATOR"


def reactions(forge: "Forge", url: str, subject_type: str, subject_id: int) -> JsonDict:
    """`reaction-rollup` of an object by its API URL; subject types are `issue` (pulls too) and `comment`."""
    rows = forge.db.all(
        "SELECT content, count(*) AS n FROM reactions WHERE subject_type = ? AND subject_id = ? GROUP BY content",
        subject_type,
        subject_id,
    )
    counts = {row["content"]: row["n"] for row in rows}
    return {
        "url": f"{url}/reactions",
        "total_count": sum(counts.values()),
        **{content: counts.get(content, 0) for content in CONTENTS},
    }


def reaction(forge: "Forge", row: Row) -> JsonDict:
    """`reaction`."""
    return {
        "id": row["id"],
        "node_id": node_id("Reaction", row["id"]),
        "user": user(forge, forge.user_by_id(row["user_id"])),
        "content": row["content"],
        "created_at": row["created_at"],
    }


def labels_of(forge: "Forge", repo: Row, issue_id: int) -> list[JsonDict]:
    """The labels on an issue or pull request, in the order of their ids."""
    rows = forge.db.all(
        "SELECT labels.* FROM labels JOIN issue_labels ON label_id = labels.id WHERE issue_id = ? ORDER BY labels.id",
        issue_id,
    )
    return [label(forge, repo, row) for row in rows]


def assigned(forge: "Forge", issue_id: int) -> JsonDict:
    """Who an issue or pull request is assigned to, first and all."""
    rows = forge.db.all(
        "SELECT users.* FROM users JOIN assignees ON user_id = users.id WHERE issue_id = ? ORDER BY users.id",
        issue_id,
    )
    people = [user(forge, row) for row in rows]
    return {"assignee": people[0] if people else None, "assignees": people}


def _via(forge: "Forge", app_id: int | None) -> JsonDict | None:
    return None if app_id is None else app(forge, forge.app_by_id(app_id))


def issue(forge: "Forge", repo: Row, row: Row) -> JsonDict:
    """`issue`; for a pull request with its key `pull_request`."""
    api, number = api_url(forge, repo), row["number"]
    url = f"{api}/issues/{number}"
    kind = "pull" if row["is_pull"] else "issues"
    closer = row["closed_by"]
    shown = {
        "id": row["id"],
        "node_id": node_id("PullRequest" if row["is_pull"] else "Issue", row["id"]),
        "url": url,
        "repository_url": api,
        "labels_url": f"{url}/labels{{/name}}",
        "comments_url": f"{url}/comments",
        "events_url": f"{url}/events",
        "timeline_url": f"{url}/timeline",
        "html_url": f"{html_url(forge, repo)}/{kind}/{number}",
        "number": number,
        "state": row["state"],
        "state_reason": row["state_reason"],
        "title": row["title"],
        "body": row["body"],
        "user": user(forge, forge.user_by_id(row["user_id"])),
        "labels": labels_of(forge, repo, row["id"]),
        **assigned(forge, row["id"]),
        "milestone": None,
        "locked": bool(row["locked"]),
        "active_lock_reason": row["lock_reason"],
        "comments": forge.db.count("SELECT count(*) FROM comments WHERE issue_id = ?", row["id"]),
        "closed_at": row["closed_at"],
        "closed_by": None if closer is None else user(forge, forge.user_by_id(closer)),
        "created_at": row["created_at"],
        "updated_at": row["updated_at"],
        "author_association": association(forge, repo, row["user_id"]),
        "performed_via_github_app": _via(forge, row["app_id"]),
        "reactions": reactions(forge, url, "issue", row["id"]),
    }
    if row["is_pull"]:
        shown |= _pull_part(forge, repo, row)
    return shown


def _pull_part(forge: "Forge", repo: Row, row: Row) -> JsonDict:
    facts = forge.db.get("SELECT draft, merged_at FROM pulls WHERE issue_id = ?", row["id"])
    page = f"{html_url(forge, repo)}/pull/{row['number']}"
    return {
        "draft": bool(facts["draft"]),
        "pull_request": {
            "url": f"{api_url(forge, repo)}/pulls/{row['number']}",
            "html_url": page,
            "diff_url": f"{page}.diff",
            "patch_url": f"{page}.patch",
            "merged_at": facts["merged_at"],
        },
    }


def comment(forge: "Forge", repo: Row, row: Row) -> JsonDict:
    """`issue-comment`."""
    of = forge.db.get("SELECT number, is_pull FROM issues WHERE id = ?", row["issue_id"])
    url = f"{api_url(forge, repo)}/issues/comments/{row['id']}"
    kind = "pull" if of["is_pull"] else "issues"
    return {
        "id": row["id"],
        "node_id": node_id("IssueComment", row["id"]),
        "url": url,
        "html_url": f"{html_url(forge, repo)}/{kind}/{of['number']}#issuecomment-{row['id']}",
        "issue_url": f"{api_url(forge, repo)}/issues/{of['number']}",
        "body": row["body"],
        "user": user(forge, forge.user_by_id(row["user_id"])),
        "created_at": row["created_at"],
        "updated_at": row["updated_at"],
        "author_association": association(forge, repo, row["user_id"]),
        "performed_via_github_app": _via(forge, row["app_id"]),
        "reactions": reactions(forge, url, "comment", row["id"]),
    }
