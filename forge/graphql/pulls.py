"""Owns how pull requests and reviews look in GraphQL; what git has to tell comes from what REST shows of them."""

from typing import Any

from forge import history, objects
from forge import pulls as pulling
from forge.graphql import checks, commits, conversations, people, repositories
from forge.graphql.context import Context, Fields, lazily
from forge.graphql.paging import connection
from forge.store import Row

MERGEABLE = {True: "MERGEABLE", False: "CONFLICTING", None: "UNKNOWN"}
DECIDING = ("APPROVED", "CHANGES_REQUESTED")


def pull(ctx: Context, repo: Row, found: Row) -> Fields:
    """A pull request by a row of `issues`."""
    ctx.need(repo, "read", "pull_requests")
    forge = ctx.forge
    row = pulling.by_id(forge, found["id"])
    merged = row["merged_at"] is not None
    return {
        **conversations.conversation(ctx, repo, row),
        **_measured(ctx, repo, row),
        **_branches(ctx, repo, row),
        **_reviewed(ctx, repo, row),
        "__typename": "PullRequest",
        "id": objects.node_id("PullRequest", row["id"]),
        "state": "MERGED" if merged else str(row["state"]).upper(),
        "closed": row["state"] == "closed",
        "permalink": f"{objects.html_url(forge, repo)}/pull/{row['number']}",
        "isDraft": bool(row["draft"]),
        "merged": merged,
        "mergedAt": row["merged_at"],
        "mergedBy": lazily(lambda: people.by_id(ctx, row["merged_by"])),
        "mergeCommit": lazily(
            lambda: commits.git_object(ctx, repo, row["merge_commit_sha"]) if merged else None
        ),
        "maintainerCanModify": bool(row["maintainer_can_modify"]),
        "isInMergeQueue": False,
        "isMergeQueueEnabled": False,
        "autoMergeRequest": None,
        "statusCheckRollup": lazily(lambda: checks.rollup(ctx, repo, row["head_sha"])),
    }


def _measured(ctx: Context, repo: Row, row: Row) -> Fields:
    """What takes git to know; asked for once, and only if the query wants any of it."""
    shown = lazily(lambda: objects.pull(ctx.forge, repo, row))

    def taken(key: str) -> Any:
        return lambda *_, **__: shown()[key]

    def listed(_: Any, **args: Any) -> Fields:
        bare = ctx.forge.git.of(repo)
        tip = None if row["merged_at"] else ctx.forge.tip(repo, row["base_ref"])
        found = history.between(bare, tip or row["base_sha"], row["head_sha"])
        return connection("commits", found, args, lambda each: _commit(ctx, repo, row, each))

    return {
        "additions": taken("additions"),
        "deletions": taken("deletions"),
        "changedFiles": taken("changed_files"),
        "mergeable": lambda *_, **__: MERGEABLE[shown()["mergeable"]],
        "mergeStateStatus": lambda *_, **__: str(shown()["mergeable_state"]).upper(),
        "canBeRebased": lambda *_, **__: bool(shown()["rebaseable"]),
        "commits": listed,
    }


def _commit(ctx: Context, repo: Row, row: Row, facts: history.Commit) -> Fields:
    page = f"{objects.html_url(ctx.forge, repo)}/pull/{row['number']}/commits/{facts.sha}"
    return {
        "__typename": "PullRequestCommit",
        "id": objects.node_id("PullRequestCommit", f"{row['id']}:{facts.sha}"),
        "commit": lazily(lambda: commits.commit(ctx, repo, facts)),
        "pullRequest": lazily(lambda: pull(ctx, repo, row)),
        "url": page,
    }


def _branches(ctx: Context, repo: Row, row: Row) -> Fields:
    head = ctx.forge.repo_by_id(row["head_repo_id"])
    return {
        "headRefName": row["head_ref"],
        "headRefOid": row["head_sha"],
        "headRef": lazily(lambda: commits.find_ref(ctx, head, f"refs/heads/{row['head_ref']}")),
        "headRepository": lazily(lambda: repositories.repository(ctx, head)),
        "headRepositoryOwner": lazily(lambda: people.by_id(ctx, head["owner_id"])),
        "isCrossRepository": head["id"] != repo["id"],
        "baseRefName": row["base_ref"],
        "baseRefOid": row["base_sha"],
        "baseRef": lazily(lambda: commits.find_ref(ctx, repo, f"refs/heads/{row['base_ref']}")),
        "baseRepository": lazily(lambda: repositories.repository(ctx, repo)),
    }


def _reviewed(ctx: Context, repo: Row, row: Row) -> Fields:
    def rows() -> list[Row]:
        sql = "SELECT * FROM reviews WHERE issue_id = ? AND (state != 'PENDING' OR user_id = ?) ORDER BY id"
        return ctx.forge.db.all(sql, row["id"], ctx.actor.user["id"])

    def shown(each: Row) -> Fields:
        return review(ctx, repo, row, each)

    def all_of(_: Any, states: list[str] | None = None, **args: Any) -> Fields:
        found = [each for each in rows() if states is None or each["state"] in states]
        return connection("reviews", found, args, shown)

    def latest(_: Any, **args: Any) -> Fields:
        newest = {each["user_id"]: each for each in rows() if each["state"] != "PENDING"}
        return connection("latestReviews", list(newest.values()), args, shown)

    def decision(*_: Any, **__: Any) -> str | None:
        said = {
            each["user_id"]: each["state"] for each in rows() if each["state"] in (*DECIDING, "DISMISSED")
        }
        return next((state for state in reversed(DECIDING) if state in said.values()), None)

    return {
        "reviews": all_of,
        "latestReviews": latest,
        "reviewDecision": decision,
        "reviewRequests": lambda _, **args: connection("reviewRequests", [], args, dict),
    }


def review(ctx: Context, repo: Row, pull_row: Row, row: Row) -> Fields:
    """A review."""
    page = f"{objects.html_url(ctx.forge, repo)}/pull/{pull_row['number']}#pullrequestreview-{row['id']}"
    written = row["submitted_at"] or pull_row["updated_at"]
    return {
        "__typename": "PullRequestReview",
        "id": objects.node_id("PullRequestReview", row["id"]),
        "databaseId": row["id"],
        "fullDatabaseId": str(row["id"]),
        "author": lazily(lambda: people.by_id(ctx, row["user_id"])),
        "authorAssociation": objects.association(ctx.forge, repo, row["user_id"]),
        "body": row["body"],
        "state": row["state"],
        "createdAt": written,
        "updatedAt": written,
        "submittedAt": row["submitted_at"],
        "url": page,
        "includesCreatedEdit": False,
        "isMinimized": False,
        "minimizedReason": None,
        "viewerDidAuthor": row["user_id"] == ctx.actor.user["id"],
        "reactionGroups": lazily(lambda: conversations.reaction_groups(ctx, "review", row["id"])),
        "commit": lazily(lambda: commits.git_object(ctx, repo, row["commit_id"])),
        "pullRequest": lazily(lambda: pull(ctx, repo, pull_row)),
        "repository": lazily(lambda: repositories.repository(ctx, repo)),
    }
