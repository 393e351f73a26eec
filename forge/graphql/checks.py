"""Owns how check runs, commit statuses and their rollup look in GraphQL."""

from typing import Any

from forge import checking, history, objects
from forge.graphql import commits, people, repositories
from forge.graphql.context import Context, Fields, lazily
from forge.graphql.paging import connection
from forge.store import Row

FAILED = frozenset({"failure", "timed_out", "cancelled", "action_required", "startup_failure", "stale"})
NEWEST_STATUSES = (
    "SELECT * FROM statuses WHERE id IN (SELECT max(id) FROM statuses WHERE repo_id = ? AND sha = ? GROUP BY context)"
    " ORDER BY id"
)


def rollup(ctx: Context, repo: Row, sha: str) -> Fields | None:
    """Everything that reported about a commit, the newest of each name; None where nothing did."""
    ctx.need(repo, "read", "checks")
    ctx.need(repo, "read", "statuses")
    runs, statuses = _runs(ctx, repo, sha), _statuses(ctx, repo, sha)
    if not runs and not statuses:
        return None

    def contexts(_: Any, **args: Any) -> Fields:
        found = [*((run, row) for row in runs), *((context, row) for row in statuses)]
        shown = connection("contexts", found, args, lambda pair: pair[0](ctx, repo, pair[1]))
        return {**shown, "checkRunCount": len(runs), "statusContextCount": len(statuses)}

    return {
        "__typename": "StatusCheckRollup",
        "id": objects.node_id("StatusCheckRollup", f"{repo['id']}:{sha}"),
        "state": _state(runs, statuses),
        "contexts": contexts,
        "commit": lazily(lambda: commits.git_object(ctx, repo, sha)),
    }


def status(ctx: Context, repo: Row, sha: str) -> Fields | None:
    """The commit statuses alone; None where there are none."""
    ctx.need(repo, "read", "statuses")
    rows = _statuses(ctx, repo, sha)
    if not rows:
        return None
    return {
        "__typename": "Status",
        "id": objects.node_id("Status", f"{repo['id']}:{sha}"),
        "state": _state([], rows),
        "contexts": lazily(lambda: [context(ctx, repo, row) for row in rows]),
    }


def suites(ctx: Context, repo: Row, sha: str, args: Fields) -> Fields:
    """The check suites of a commit."""
    ctx.need(repo, "read", "checks")
    return connection("checkSuites", _suites(ctx, repo, sha), args, lambda row: suite(ctx, repo, row))


def run(ctx: Context, repo: Row, row: Row) -> Fields:
    """A check run."""
    shown = objects.check_run(ctx.forge, repo, row)
    return {
        "__typename": "CheckRun",
        "id": shown["node_id"],
        "databaseId": row["id"],
        "name": row["name"],
        "status": str(row["status"]).upper(),
        "conclusion": None if row["conclusion"] is None else str(row["conclusion"]).upper(),
        "startedAt": row["started_at"],
        "completedAt": row["completed_at"],
        "detailsUrl": shown["details_url"],
        "externalId": row["external_id"],
        "permalink": shown["html_url"],
        "url": shown["html_url"],
        "title": shown["output"]["title"],
        "summary": shown["output"]["summary"],
        "text": shown["output"]["text"],
        "isRequired": False,  # the forge demands no checks
        "checkSuite": lazily(lambda: suite(ctx, repo, checking.suite(ctx.forge, row["suite_id"]))),
        "repository": lazily(lambda: repositories.repository(ctx, repo)),
    }


def suite(ctx: Context, repo: Row, row: Row) -> Fields:
    """A check suite."""
    forge = ctx.forge

    def runs(_: Any, **args: Any) -> Fields:
        return connection(
            "checkRuns", checking.latest_runs(forge, row["id"]), args, lambda each: run(ctx, repo, each)
        )

    return {
        "__typename": "CheckSuite",
        "id": objects.node_id("CheckSuite", row["id"]),
        "databaseId": row["id"],
        "app": lazily(lambda: people.app(ctx, forge.app_by_id(row["app_id"]))),
        "status": str(row["status"]).upper(),
        "conclusion": None if row["conclusion"] is None else str(row["conclusion"]).upper(),
        "createdAt": row["created_at"],
        "updatedAt": row["updated_at"],
        "commit": lazily(
            lambda: commits.commit(ctx, repo, history.commit(forge.git.of(repo), row["head_sha"]))
        ),
        "repository": lazily(lambda: repositories.repository(ctx, repo)),
        "workflowRun": None,  # the forge's CI is no Actions
        "checkRuns": runs,
    }


def context(ctx: Context, repo: Row, row: Row) -> Fields:
    """A commit status."""
    return {
        "__typename": "StatusContext",
        "id": objects.node_id("StatusContext", row["id"]),
        "context": row["context"],
        "state": str(row["state"]).upper(),
        "description": row["description"],
        "targetUrl": row["target_url"],
        "createdAt": row["created_at"],
        "creator": lazily(lambda: people.by_id(ctx, row["creator_id"])),
        "commit": lazily(lambda: commits.git_object(ctx, repo, row["sha"])),
        "isRequired": False,
    }


def _suites(ctx: Context, repo: Row, sha: str) -> list[Row]:
    return ctx.forge.db.all(
        "SELECT * FROM check_suites WHERE repo_id = ? AND head_sha = ? ORDER BY id", repo["id"], sha
    )


def _runs(ctx: Context, repo: Row, sha: str) -> list[Row]:
    found = [row for each in _suites(ctx, repo, sha) for row in checking.latest_runs(ctx.forge, each["id"])]
    return sorted(found, key=lambda row: int(row["id"]))


def _statuses(ctx: Context, repo: Row, sha: str) -> list[Row]:
    return ctx.forge.db.all(NEWEST_STATUSES, repo["id"], sha)


def _state(runs: list[Row], statuses: list[Row]) -> str:
    """The worst of all; what is not done yet counts as pending."""
    states = {row["state"] for row in statuses}
    conclusions = {row["conclusion"] for row in runs if row["status"] == "completed"}
    if "error" in states:
        return "ERROR"
    if "failure" in states or conclusions & FAILED:
        return "FAILURE"
    pending = "pending" in states or any(row["status"] != "completed" for row in runs)
    return "PENDING" if pending else "SUCCESS"
