"""Pull requests and reviews as GitHub shows them."""

from typing import TYPE_CHECKING

from forge import history
from forge.errors import JsonDict
from forge.objects.issues import assigned, association, labels_of
from forge.objects.people import node_id, user
from forge.objects.repos import api_url, html_url, repo
from forge.store import Row

if TYPE_CHECKING:
    from forge.state import Forge


def pull_simple(forge: "Forge", repository: Row, row: Row) -> JsonDict:
    """`pull-request-simple` of a row of `issues` joined with `pulls` (see `forge.pulls.PULL`)."""
    api, page, number = api_url(forge, repository), html_url(forge, repository), row["number"]
    url, issue_url = f"{api}/pulls/{number}", f"{api}/issues/{number}"
    return {
        "id": row["id"],
        "node_id": node_id("PullRequest", row["id"]),
        "url": url,
        "html_url": f"{page}/pull/{number}",
        "diff_url": f"{page}/pull/{number}.diff",
        "patch_url": f"{page}/pull/{number}.patch",
        "issue_url": issue_url,
        "commits_url": f"{url}/commits",
        "review_comments_url": f"{url}/comments",
        "review_comment_url": f"{api}/pulls/comments{{/number}}",
        "comments_url": f"{issue_url}/comments",
        "statuses_url": f"{api}/statuses/{row['head_sha']}",
        "number": number,
        "state": row["state"],
        "locked": bool(row["locked"]),
        "active_lock_reason": row["lock_reason"],
        "title": row["title"],
        "body": row["body"],
        "user": user(forge, forge.user_by_id(row["user_id"])),
        "labels": labels_of(forge, repository, row["id"]),
        "milestone": None,
        **assigned(forge, row["id"]),
        "requested_reviewers": [],
        "requested_teams": [],
        "created_at": row["created_at"],
        "updated_at": row["updated_at"],
        "closed_at": row["closed_at"],
        "merged_at": row["merged_at"],
        "merge_commit_sha": row["merge_commit_sha"],
        "draft": bool(row["draft"]),
        "auto_merge": None,
        "author_association": association(forge, repository, row["user_id"]),
        "head": _side(forge, forge.repo_by_id(row["head_repo_id"]), row["head_ref"], row["head_sha"]),
        "base": _side(forge, repository, row["base_ref"], row["base_sha"]),
        "_links": _links(url, issue_url, f"{page}/pull/{number}", f"{api}/statuses/{row['head_sha']}"),
    }


def _side(forge: "Forge", repository: Row, ref: str, sha: str) -> JsonDict:
    shown = repo(forge, repository)
    return {
        "label": f"{repository['owner_login']}:{ref}",
        "ref": ref,
        "sha": sha,
        "user": shown["owner"],
        "repo": shown,
    }


def _links(url: str, issue_url: str, page: str, statuses_url: str) -> JsonDict:
    targets = {
        "self": url,
        "html": page,
        "issue": issue_url,
        "comments": f"{issue_url}/comments",
        "review_comments": f"{url}/comments",
        "review_comment": f"{url.rpartition('/')[0]}/comments{{/number}}",
        "commits": f"{url}/commits",
        "statuses": statuses_url,
    }
    return {name: {"href": target} for name, target in targets.items()}


def pull(forge: "Forge", repository: Row, row: Row) -> JsonDict:
    """`pull-request`: with counts from git and whether it can be merged."""
    bare = forge.git.of(repository)
    merged = row["merged_at"] is not None
    tip = row["base_sha"] if merged else forge.tip(repository, row["base_ref"]) or row["base_sha"]
    fork = history.fork_point(bare, tip, row["head_sha"])
    changes = history.changes(bare, fork, row["head_sha"])
    mergeable = None if row["state"] == "closed" else bare.merged_tree(tip, row["head_sha"]) is not None
    by = row["merged_by"]
    return {
        **pull_simple(forge, repository, row),
        "merged": merged,
        "mergeable": mergeable,
        "rebaseable": mergeable,
        "mergeable_state": _mergeable_state(row, mergeable),
        "merged_by": None if by is None else user(forge, forge.user_by_id(by)),
        "comments": forge.db.count("SELECT count(*) FROM comments WHERE issue_id = ?", row["id"]),
        "review_comments": 0,
        "maintainer_can_modify": bool(row["maintainer_can_modify"]),
        "commits": bare.ahead_behind(tip, row["head_sha"])[0],
        "additions": sum(change.additions for change in changes),
        "deletions": sum(change.deletions for change in changes),
        "changed_files": len(changes),
    }


def _mergeable_state(row: Row, mergeable: bool | None) -> str:
    if mergeable is None:
        return "unknown"
    if not mergeable:
        return "dirty"
    return "draft" if row["draft"] else "clean"


def review(forge: "Forge", repository: Row, pull_row: Row, row: Row) -> JsonDict:
    """`pull-request-review`."""
    api = f"{api_url(forge, repository)}/pulls/{pull_row['number']}"
    page = f"{html_url(forge, repository)}/pull/{pull_row['number']}#pullrequestreview-{row['id']}"
    shown = {
        "id": row["id"],
        "node_id": node_id("PullRequestReview", row["id"]),
        "user": user(forge, forge.user_by_id(row["user_id"])),
        "body": row["body"],
        "state": row["state"],
        "html_url": page,
        "pull_request_url": api,
        "author_association": association(forge, repository, row["user_id"]),
        "_links": {"html": {"href": page}, "pull_request": {"href": api}},
        "commit_id": row["commit_id"],
    }
    if row["submitted_at"] is not None:
        shown["submitted_at"] = row["submitted_at"]
        shown["updated_at"] = row["submitted_at"]
    return shown


def review_comment(forge: "Forge", repository: Row, pull_row: Row, review_row: Row, row: Row) -> JsonDict:
    """`review-comment`: what a review says of a line; the diff around it is not shown."""
    api = f"{api_url(forge, repository)}/pulls"
    one = f"{api}/comments/{row['id']}"
    page = f"{html_url(forge, repository)}/pull/{pull_row['number']}#discussion_r{row['id']}"
    return {
        "url": one,
        "pull_request_review_id": review_row["id"],
        "id": row["id"],
        "node_id": node_id("PullRequestReviewComment", row["id"]),
        "diff_hunk": "",
        "path": row["path"],
        "position": row["line"],
        "original_position": row["line"] or 1,
        "commit_id": review_row["commit_id"],
        "original_commit_id": review_row["commit_id"],
        "user": user(forge, forge.user_by_id(review_row["user_id"])),
        "body": row["body"],
        "created_at": row["created_at"],
        "updated_at": row["created_at"],
        "html_url": page,
        "pull_request_url": f"{api}/{pull_row['number']}",
        "author_association": association(forge, repository, review_row["user_id"]),
        "_links": {
            "self": {"href": one},
            "html": {"href": page},
            "pull_request": {"href": f"{api}/{pull_row['number']}"},
        },
        **({"line": row["line"], "original_line": row["line"]} if row["line"] else {}),
    }
