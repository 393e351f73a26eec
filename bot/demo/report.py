"""Writes report.json, recomputed from what the run left behind and from the machine, never from the bot's own counters."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import yaml

from bot.demo.duplicates import find_duplicates
from bot.demo.evidence import Evidence, Row, open_evidence
from bot.demo.keeper import LIVES
from bot.demo.leaks import find_leaks
from bot.demo.lives import read_lives
from bot.demo.requests import Call, Tail
from bot.demo.story import marker
from bot.demo.transcript import write_transcript
from bot.errors import UserError

_BRANCH = re.compile(r"/(?P<task>[A-Z]{1,6}-[0-9]+)-a(?P<attempt>[0-9]+)$")
_DECIDED = "decided on the way"
_STATES = ("done", "blocked", "working", "review", "planning")


@dataclass(frozen=True, slots=True)
class TaskReport:
    id: str
    pr: int | None
    attempts: int
    runs: int
    decisions: tuple[str, ...]
    merged: bool


@dataclass(frozen=True, slots=True)
class Report:
    """What report.json holds; `seconds` from the label to the end of the issue."""

    track: str | None
    status: str
    plan_comments: int
    backlog_pr: int | None
    tasks: tuple[TaskReport, ...]
    duplicate_effects: int
    deleted_sessions: int
    leaks: int
    api_calls: int
    seconds: float
    model: str

    @property
    def clean(self) -> bool:
        """Whether the track is done, with nothing twice and nothing left."""
        return self.status == "done" and not self.duplicate_effects and not self.leaks

    def as_text(self) -> str:
        return json.dumps(asdict(self), indent=2, ensure_ascii=False) + "\n"


_NOTHING = Report(
    track=None,
    status="nothing",
    plan_comments=0,
    backlog_pr=None,
    tasks=(),
    duplicate_effects=0,
    deleted_sessions=0,
    leaks=0,
    api_calls=0,
    seconds=0.0,
    model="unknown",
)


def write_report(out: Path, *, living: Sequence[int] = ()) -> Report:
    """Recompute and write report.json, findings.json (what the two counts are made of) and transcript.md."""
    duplicates: list[str] = []
    leaks = [f"process {pid}" for pid in living]
    try:
        with open_evidence(out) as evidence:
            duplicates = find_duplicates(evidence)
            leaks += find_leaks(evidence, datetime.now(UTC))
            report = _report(evidence, duplicates, leaks)
            write_transcript(evidence, out / "transcript.md")
    except UserError:
        # It ended before there was anything to look at.
        report = replace(_NOTHING, leaks=len(leaks), model=_model(out / "settings.env"))
    findings = {
        "duplicates": duplicates,
        "leaks": leaks,
        "lives": [asdict(life) for life in read_lives(out / LIVES)],
    }
    (out / "findings.json").write_text(json.dumps(findings, indent=2) + "\n", encoding="utf-8")
    (out / "report.json").write_text(report.as_text(), encoding="utf-8")
    return report


def _report(evidence: Evidence, duplicates: Sequence[str], leaks: Sequence[str]) -> Report:
    bot = evidence.app["bot_user_id"]
    comments = evidence.all(
        "SELECT number, comments.body FROM comments JOIN issues ON issues.id = issue_id WHERE comments.user_id = ?"
        " ORDER BY comments.id",
        bot,
    )
    marks = [(row["number"], marker(row["body"])) for row in comments]
    status = next(((number, parts) for number, parts in marks if parts.get("kind") == "status"), None)
    pulls = evidence.all(
        "SELECT number, head_ref, merged_at, body FROM pulls JOIN issues ON issues.id = issue_id WHERE user_id = ?"
        " ORDER BY number",
        bot,
    )
    backlog = next((row for row in pulls if marker(row["body"]).get("kind") == "backlog"), None)
    track = status[1].get("track") if status else None
    receipt = next((row["body"] for row in comments if marker(row["body"]).get("kind") == "receipt"), "")
    calls = Tail(evidence.requests).new()
    return Report(
        track=track,
        status=_status(evidence, status[0], bool(receipt)) if status else "nothing",
        plan_comments=sum(parts.get("kind") == "plan" for _, parts in marks),
        backlog_pr=backlog["number"] if backlog else None,
        tasks=tuple(_tasks(evidence, receipt, backlog, pulls)),
        duplicate_effects=len(duplicates),
        deleted_sessions=_deleted_sessions(evidence),
        leaks=len(leaks),
        api_calls=sum(call.by_app and not call.git for call in calls),
        seconds=_seconds(calls),
        model=_model(evidence.out / "settings.env"),
    )


def _status(evidence: Evidence, number: int, receipt: bool) -> str:
    """Give the track's state as the issue shows it; `done` needs label, receipt and the closed issue."""
    labels = {
        row["name"]
        for row in evidence.all(
            "SELECT labels.name FROM issue_labels JOIN labels ON labels.id = label_id JOIN issues ON issues.id = issue_id"
            " WHERE number = ?",
            number,
        )
    }
    issue = evidence.all("SELECT state FROM issues WHERE number = ?", number)[0]
    shown = next((state for state in _STATES if f"agent:{state}" in labels), "nothing")
    if shown == "done" and not (receipt and issue["state"] == "closed"):
        return "working"
    return shown


def _tasks(evidence: Evidence, receipt: str, backlog: Row | None, pulls: Sequence[Row]) -> list[TaskReport]:
    """Give one entry for each task that was merged, and for each that has a pull request."""
    ids = list(
        dict.fromkeys([*_backlog_ids(evidence, backlog), *(t for t, _, _ in _attempts(evidence, pulls))])
    )
    sessions = evidence.of_bot("SELECT task FROM sessions WHERE kind = 'coder'")
    found = []
    for id_ in ids:
        attempts = [(attempt, pull) for task, attempt, pull in _attempts(evidence, pulls) if task == id_]
        own = [pull for _, pull in attempts if pull is not None]
        merged = next((pull for pull in own if pull["merged_at"]), None)
        shown = merged or (own[-1] if own else None)
        found.append(
            TaskReport(
                id=id_,
                pr=shown["number"] if shown else None,
                attempts=max((attempt for attempt, _ in attempts), default=0),
                runs=sum(row["task"] == id_ for row in sessions),
                decisions=_decisions(receipt, own, id_),
                merged=merged is not None,
            )
        )
    return found


def _attempts(evidence: Evidence, pulls: Sequence[Row]) -> list[tuple[str, int, Row | None]]:
    """List (task, attempt, pull request) of every branch that is or was there."""
    by_branch = {row["head_ref"]: row for row in pulls}
    heads = evidence.git("for-each-ref", "--format=%(refname:lstrip=2)", "refs/heads").splitlines()
    found = []
    for branch in sorted({*heads, *by_branch}):
        if match := _BRANCH.search(branch):
            found.append((match["task"], int(match["attempt"]), by_branch.get(branch)))
    return sorted(found, key=lambda entry: entry[:2])


def _backlog_ids(evidence: Evidence, backlog: Row | None) -> list[str]:
    """Read the ids of the backlog as it was reviewed."""
    if backlog is None:
        return []
    rev = f"refs/pull/{backlog['number']}/head"
    names = evidence.git("ls-tree", "-r", "--name-only", rev).splitlines()
    track = marker(backlog["body"]).get("track")
    path = next((name for name in names if name.endswith(f"{track}/BACKLOG.yaml")), None)
    data = yaml.safe_load(evidence.file(rev, path) or "") if path else None
    return [str(task["id"]) for task in (data or {}).get("tasks", [])]


def _decisions(receipt: str, pulls: Sequence[Row], task: str) -> tuple[str, ...]:
    """Read what was decided on a task where people read it: the receipt, before there is one its newest pull request."""
    if receipt:
        row = next((line for line in receipt.splitlines() if line.startswith(f"| `{task}` ")), "")
        cells = row.split("|")
        told = cells[-2] if _DECIDED in receipt and len(cells) > 2 else ""
    else:
        newest = next((str(pull["body"]) for pull in reversed(pulls)), "")
        told = next(
            (line for line in newest.splitlines() if line.startswith(f"**{_DECIDED.capitalize()}:**")), ""
        )
        told = told.partition(";")[0]
    return tuple(re.findall(r"`(\w+)`", told))


def _deleted_sessions(evidence: Evidence) -> int:
    """Count sessions with a proof of their deletion whose folder really is gone."""
    count = 0
    for row in evidence.of_bot("SELECT facts, proof FROM sessions WHERE deleted_at IS NOT NULL"):
        folder = json.loads(row["facts"] or "{}").get("dir")
        proof = json.loads(row["proof"] or "{}")
        count += bool(proof) and not proof.get("leftovers") and not (folder and Path(folder).exists())
    return count


def _seconds(calls: Sequence[Call]) -> float:
    """Measure from a person's label to the bot's last write."""
    labels = [
        call for call in calls if not call.by_app and call.method == "POST" and call.path.endswith("/labels")
    ]
    writes = [
        call for call in calls if call.by_app and not call.git and call.method in ("POST", "PATCH", "PUT")
    ]
    if not labels or not writes:
        return 0.0
    begin, end = datetime.fromisoformat(labels[0].at), datetime.fromisoformat(writes[-1].at)
    return round((end - begin).total_seconds(), 3)


def _model(settings: Path) -> str:
    text = settings.read_text(encoding="utf-8") if settings.exists() else ""
    found = re.search(r"^GITWRIGHT_MODELS=(.*)$", text, re.MULTILINE)
    return found[1].strip("'\"") if found else "unknown"
