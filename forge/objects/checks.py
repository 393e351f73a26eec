"""Check suites, check runs and commit statuses as GitHub shows them."""

import json
from typing import TYPE_CHECKING

from forge import history
from forge.errors import JsonDict
from forge.objects.commits import simple_commit
from forge.objects.people import app, node_id, user
from forge.objects.repos import api_url, html_url, repo
from forge.store import Row

if TYPE_CHECKING:
    from forge.state import Forge

# The worst state of a commit's newest statuses is the commit's.
WORST_FIRST = ("error", "failure", "pending", "success")


def pulls_at(forge: "Forge", repository: Row, sha: str) -> list[JsonDict]:
    """`pull-request-minimal` of each open pull request of the repository whose head is a commit."""
    rows = forge.db.all(
        "SELECT issues.id, number, head_ref, head_sha, base_ref, base_sha FROM issues JOIN pulls ON issue_id = issues.id"
        " WHERE pulls.repo_id = ? AND head_sha = ? AND state = 'open' ORDER BY number",
        repository["id"],
        sha,
    )
    short = {"id": repository["id"], "url": api_url(forge, repository), "name": repository["name"]}
    return [
        {
            "id": row["id"],
            "number": row["number"],
            "url": f"{api_url(forge, repository)}/pulls/{row['number']}",
            "head": {"ref": row["head_ref"], "sha": row["head_sha"], "repo": short},
            "base": {"ref": row["base_ref"], "sha": row["base_sha"], "repo": short},
        }
        for row in rows
    ]


def check_run(forge: "Forge", repository: Row, row: Row) -> JsonDict:
    """`check-run`."""
    url = f"{api_url(forge, repository)}/check-runs/{row['id']}"
    page = f"{html_url(forge, repository)}/runs/{row['id']}"
    output = json.loads(row["output"])
    annotations = forge.db.count("SELECT count(*) FROM check_annotations WHERE run_id = ?", row["id"])
    return {
        "id": row["id"],
        "node_id": node_id("CheckRun", row["id"]),
        "name": row["name"],
        "head_sha": row["head_sha"],
        "external_id": row["external_id"] or "",
        "url": url,
        "html_url": page,
        "details_url": row["details_url"] or page,
        "status": row["status"],
        "conclusion": row["conclusion"],
        "started_at": row["started_at"],
        "completed_at": row["completed_at"],
        "output": {
            "title": output.get("title"),
            "summary": output.get("summary"),
            "text": output.get("text"),
            "annotations_count": annotations,
            "annotations_url": f"{url}/annotations",
        },
        "check_suite": {"id": row["suite_id"]},
        "app": app(forge, forge.app_by_id(row["app_id"])),
        "pull_requests": pulls_at(forge, repository, row["head_sha"]),
    }


def check_suite(forge: "Forge", repository: Row, row: Row) -> JsonDict:
    """`check-suite`."""
    url = f"{api_url(forge, repository)}/check-suites/{row['id']}"
    runs = forge.db.count("SELECT count(DISTINCT name) FROM check_runs WHERE suite_id = ?", row["id"])
    head = history.commit(forge.git.of(repository), row["head_sha"])
    return {
        "id": row["id"],
        "node_id": node_id("CheckSuite", row["id"]),
        "head_branch": row["head_branch"],
        "head_sha": row["head_sha"],
        "status": row["status"],
        "conclusion": row["conclusion"],
        "url": url,
        "before": row["before"],
        "after": row["head_sha"],
        "pull_requests": pulls_at(forge, repository, row["head_sha"]),
        "app": app(forge, forge.app_by_id(row["app_id"])),
        "repository": repo(forge, repository),
        "created_at": row["created_at"],
        "updated_at": row["updated_at"],
        "latest_check_runs_count": runs,
        "check_runs_url": f"{url}/check-runs",
        "head_commit": simple_commit(head),
    }


def status(forge: "Forge", repository: Row, row: Row) -> JsonDict:
    """`status` of a commit."""
    creator = user(forge, forge.user_by_id(row["creator_id"]))
    return {
        "id": row["id"],
        "node_id": node_id("StatusContext", row["id"]),
        "url": f"{api_url(forge, repository)}/statuses/{row['sha']}",
        "avatar_url": creator["avatar_url"],
        "state": row["state"],
        "context": row["context"],
        "description": row["description"],
        "target_url": row["target_url"],
        "creator": creator,
        "created_at": row["created_at"],
        "updated_at": row["updated_at"],
    }


def combined_status(forge: "Forge", repository: Row, sha: str) -> JsonDict:
    """`combined-commit-status`: the newest status of each context; `pending` where there is none."""
    rows = forge.db.all(
        "SELECT * FROM statuses WHERE id IN (SELECT max(id) FROM statuses WHERE repo_id = ? AND sha = ? GROUP BY context)"
        " ORDER BY id",
        repository["id"],
        sha,
    )
    states = {row["state"] for row in rows}
    api = api_url(forge, repository)
    return {
        "state": next((state for state in WORST_FIRST if state in states), "pending").replace(
            "error", "failure"
        ),
        "statuses": [_simple_status(status(forge, repository, row)) for row in rows],
        "sha": sha,
        "total_count": len(rows),
        "repository": repo(forge, repository),
        "commit_url": f"{api}/commits/{sha}",
        "url": f"{api}/commits/{sha}/status",
    }


def _simple_status(shown: JsonDict) -> JsonDict:
    return {key: value for key, value in shown.items() if key != "creator"}
