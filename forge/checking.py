"""Check suites and check runs: how they are made, change, settle, and which events that causes."""

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from forge import objects
from forge.events import installations_on
from forge.payloads import JsonDict
from forge.store import Row

if TYPE_CHECKING:
    from forge.state import Forge

# The worst conclusion of a suite's runs is the suite's.
_WORST_FIRST = ("failure", "timed_out", "action_required", "cancelled", "stale", "success", "neutral")


@dataclass(frozen=True, slots=True)
class RunChange:
    """The columns that a call sets on a check run; None leaves a column as it is."""

    name: str | None = None
    details_url: str | None = None
    external_id: str | None = None
    status: str | None = None
    conclusion: str | None = None
    started_at: str | None = None
    completed_at: str | None = None
    output: JsonDict | None = None
    actions: list[JsonDict] | None = None
    annotations: list[JsonDict] = field(default_factory=list)


def suite_for(
    forge: "Forge", repo: Row, app_id: int, sha: str, branch: str | None, before: str | None = None
) -> Row:
    """Return the one check suite of an App for a commit; a new one is queued."""
    found = forge.db.one(
        "SELECT * FROM check_suites WHERE repo_id = ? AND app_id = ? AND head_sha = ?",
        repo["id"],
        app_id,
        sha,
    )
    if found is not None:
        return found
    now = forge.now()
    suite_id = forge.db.run(
        "INSERT INTO check_suites (repo_id, app_id, head_branch, head_sha, before, status, created_at, updated_at)"
        " VALUES (?, ?, ?, ?, ?, 'queued', ?, ?)",
        repo["id"],
        app_id,
        branch,
        sha,
        before,
        now,
        now,
    )
    return suite(forge, suite_id)


def suite(forge: "Forge", suite_id: int) -> Row:
    """Return a check suite that exists."""
    return forge.db.get("SELECT * FROM check_suites WHERE id = ?", suite_id)


def run(forge: "Forge", run_id: int) -> Row:
    """Return a check run that exists."""
    return forge.db.get("SELECT * FROM check_runs WHERE id = ?", run_id)


def latest_runs(forge: "Forge", suite_id: int) -> list[Row]:
    """Return the newest run of each name in a suite."""
    return forge.db.all(
        "SELECT * FROM check_runs WHERE id IN (SELECT MAX(id) FROM check_runs WHERE suite_id = ? GROUP BY name)"
        " ORDER BY id",
        suite_id,
    )


def create_run(forge: "Forge", repo: Row, of: Row, change: RunChange, sender: Row) -> Row:
    """Make a check run in suite `of` and announce it; `change` must name it. Call it in a transaction."""
    completed = change.status == "completed" or change.conclusion is not None
    run_id = forge.db.run(
        "INSERT INTO check_runs (suite_id, repo_id, app_id, name, head_sha, status, started_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        of["id"],
        repo["id"],
        of["app_id"],
        change.name or "",
        of["head_sha"],
        "queued" if completed else change.status or "queued",
        change.started_at or forge.now(),
    )
    _write(forge, run_id, change)
    if not completed:
        _settle(forge, repo, of["id"], sender)
    _announce_run(forge, repo, run_id, "created", sender)
    if completed:
        _announce_run(forge, repo, run_id, "completed", sender)
        _settle(forge, repo, of["id"], sender)
    return run(forge, run_id)


def update_run(forge: "Forge", repo: Row, run_id: int, change: RunChange, sender: Row) -> Row:
    """Change a check run, and announce its completion, once. Call it in a transaction."""
    before = run(forge, run_id)
    _write(forge, run_id, change)
    after = run(forge, run_id)
    was = (before["status"], before["conclusion"])
    if after["status"] == "completed" and (after["status"], after["conclusion"]) != was:
        _announce_run(forge, repo, run_id, "completed", sender)
    _settle(forge, repo, after["suite_id"], sender)
    return after


def announce_suite(forge: "Forge", repo: Row, suite_id: int, action: str, sender: Row) -> None:
    """Emit one `check_suite` event."""
    shown = objects.check_suite(forge, repo, suite(forge, suite_id))
    forge.events.emit("check_suite", action, repo, sender, check_suite=shown)


def request_suites(forge: "Forge", repo: Row, branch: str, before: str, sha: str, sender: Row) -> None:
    """Open a suite for every App on `repo` that may write checks, as GitHub does on each push."""
    for installation in installations_on(forge, repo):
        if json.loads(installation["permissions"]).get("checks") != "write":
            continue
        known = forge.db.one(
            "SELECT id FROM check_suites WHERE repo_id = ? AND app_id = ? AND head_sha = ?",
            repo["id"],
            installation["app_id"],
            sha,
        )
        if known is None:
            opened = suite_for(forge, repo, installation["app_id"], sha, branch, before)
            announce_suite(forge, repo, opened["id"], "requested", sender)


def _announce_run(forge: "Forge", repo: Row, run_id: int, action: str, sender: Row) -> None:
    shown = objects.check_run(forge, repo, run(forge, run_id))
    # A webhook shows the whole suite where REST shows only its id.
    whole = objects.check_suite(forge, repo, suite(forge, shown["check_suite"]["id"]))
    forge.events.emit("check_run", action, repo, sender, check_run={**shown, "check_suite": whole})


def announce_run_action(
    forge: "Forge", repo: Row, run_id: int, action: str, sender: Row, identifier: str | None = None
) -> None:
    """Emit `check_run.rerequested` or, with the button's identifier, `check_run.requested_action`."""
    shown = objects.check_run(forge, repo, run(forge, run_id))
    whole = objects.check_suite(forge, repo, suite(forge, shown["check_suite"]["id"]))
    parts: JsonDict = {"check_run": {**shown, "check_suite": whole}}
    if identifier is not None:
        parts["requested_action"] = {"identifier": identifier}
    forge.events.emit("check_run", action, repo, sender, **parts)


def ask_again(forge: "Forge", repo: Row, suite_id: int, sender: Row, run_id: int | None = None) -> None:
    """Ask an App for one of its runs, or all of a suite, again: the suite is queued until the App says something."""
    # What is told shows the suite as it was.
    if run_id is None:
        announce_suite(forge, repo, suite_id, "rerequested", sender)
    else:
        announce_run_action(forge, repo, run_id, "rerequested", sender)
    forge.db.run(
        "UPDATE check_suites SET status = 'queued', conclusion = NULL, updated_at = ? WHERE id = ?",
        forge.now(),
        suite_id,
    )


def _write(forge: "Forge", run_id: int, change: RunChange) -> None:
    """Store what `change` sets; a conclusion completes the run, another status reopens it."""
    row = run(forge, run_id)
    columns: dict[str, str | None] = {
        key: getattr(change, key)
        for key in ("name", "details_url", "external_id", "started_at")
        if getattr(change, key) is not None
    }
    if change.conclusion is not None or change.status == "completed":
        columns |= {
            "status": "completed",
            "conclusion": change.conclusion or row["conclusion"],
            "completed_at": change.completed_at or row["completed_at"] or forge.now(),
        }
    elif change.status is not None:
        columns |= {"status": change.status, "conclusion": None, "completed_at": None}
    if change.output is not None:
        kept = {key: change.output.get(key) for key in ("title", "summary", "text")}
        columns["output"] = json.dumps(kept)
    if change.actions is not None:
        columns["actions"] = json.dumps(change.actions)
    for key, value in columns.items():
        forge.db.run(f"UPDATE check_runs SET {key} = ? WHERE id = ?", value, run_id)  # noqa: S608 - names from above
    for annotation in change.annotations:
        forge.db.run(
            "INSERT INTO check_annotations (run_id, path, body) VALUES (?, ?, ?)",
            run_id,
            annotation["path"],
            json.dumps(annotation),
        )


def _settle(forge: "Forge", repo: Row, suite_id: int, sender: Row) -> None:
    """Derive a suite's state from the newest run of each name, and announce that it completed."""
    runs = latest_runs(forge, suite_id)
    before = suite(forge, suite_id)
    status, conclusion = verdict([(row["status"], row["conclusion"]) for row in runs])
    if (status, conclusion) == (before["status"], before["conclusion"]):
        return
    forge.db.run(
        "UPDATE check_suites SET status = ?, conclusion = ?, updated_at = ? WHERE id = ?",
        status,
        conclusion,
        forge.now(),
        suite_id,
    )
    if status == "completed":
        announce_suite(forge, repo, suite_id, "completed", sender)


def verdict(runs: list[tuple[str, str | None]]) -> tuple[str, str | None]:
    """Return status and conclusion of a suite with these runs (status, conclusion); none of them: queued."""
    if not runs or all(status == "queued" for status, _ in runs):
        return "queued", None
    if any(status != "completed" for status, _ in runs):
        return "in_progress", None
    found = {"neutral" if conclusion in (None, "skipped") else conclusion for _, conclusion in runs}
    return "completed", next(each for each in _WORST_FIRST if each in found)
