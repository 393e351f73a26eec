"""The page of a pull request, its reviews and its merge button."""

import json
import re
from typing import Any, cast

from fastapi import APIRouter, Request, Response
from starlette.responses import RedirectResponse

from forge import checking, history, issues, merging, pulls, reviewing
from forge.errors import GitHubError, not_found
from forge.git import Bare
from forge.history import FileChange
from forge.merging import Method
from forge.pages import conversation
from forge.pages.issues import about
from forge.pages.render import moment, page, repository
from forge.pages.session import Form, Reader, SignedIn, text
from forge.reviewing import Verdict
from forge.state import Forge
from forge.store import Row

router = APIRouter()
_HUNK = re.compile(r"@@ -(\d+)(?:,\d+)? \+(\d+)")
MOST_LINES = 2000  # of one file


@router.get("/{owner}/{repo}/pull/{number:int}")
def show(request: Request, reader: Reader, owner: str, repo: str, number: int) -> Response:
    """Show a pull request."""
    forge, row, frame = repository(request, reader, owner, repo, "pulls")
    pull = pulls.find(forge, row, number)
    shown = about(forge, row, issues.find(forge, row, number), reader, frame["base"])
    checks = conversation.checks(forge, row, pull["head_sha"])
    clean = pull["state"] == "open" and pulls.mergeable(forge, row, pull)
    merger = "" if pull["merged_by"] is None else str(forge.user_by_id(pull["merged_by"])["login"])
    return page(
        request,
        reader,
        "issue.html",
        title=f"{pull['title']} #{number}",
        checks=checks,
        merge=conversation.merge_box(shown["item"], checks, merger, clean=clean),
        **_changes(forge, row, pull),
        **frame,
        **shown,
    )


@router.post("/{owner}/{repo}/pull/{number:int}/reviews")
def review(request: Request, reader: SignedIn, owner: str, repo: str, number: int, fields: Form) -> Response:
    """Review a pull request."""
    forge, row, frame = repository(request, reader, owner, repo, "pulls")
    event = text(fields, "event")
    if event not in ("APPROVE", "REQUEST_CHANGES", "COMMENT"):
        raise GitHubError(422, "A review approves, requests changes or comments.")
    pull = pulls.find(forge, row, number)
    reviewing.create(forge, row, pull, reader.actor, cast(Verdict, event), text(fields, "body"), None)
    return RedirectResponse(f"{frame['base']}/pull/{number}", 303)


@router.post("/{owner}/{repo}/pull/{number:int}/merge")
def merge(request: Request, reader: SignedIn, owner: str, repo: str, number: int, fields: Form) -> Response:
    """Merge the head that the reader saw."""
    forge, row, frame = repository(request, reader, owner, repo, "pulls")
    if not reader.actor.can("contents", "write", row):
        raise GitHubError(403, "Only people with the role write merge.")
    method = text(fields, "method")
    if method not in ("merge", "squash", "rebase"):
        raise GitHubError(422, "Merge by a merge commit, by squashing or by rebasing.")
    merging.merge(forge, row, number, reader.actor, method=cast(Method, method), sha=text(fields, "sha"))
    return RedirectResponse(f"{frame['base']}/pull/{number}", 303)


@router.post("/{owner}/{repo}/checks/{run_id:int}")
def press(request: Request, reader: SignedIn, owner: str, repo: str, run_id: int, fields: Form) -> Response:
    """Press a button of a check run: one of its own, or those that run it, or its whole suite, again."""
    forge, row, frame = repository(request, reader, owner, repo, "pulls")
    if not reader.actor.can("contents", "write", row):
        raise GitHubError(403, "Only people with the role write press the buttons of checks.")
    run = forge.db.one("SELECT * FROM check_runs WHERE id = ? AND repo_id = ?", run_id, row["id"])
    if run is None:
        raise not_found()
    identifier = text(fields, "identifier")
    if identifier not in ("", "*") and identifier not in [
        each["identifier"] for each in json.loads(run["actions"])
    ]:
        raise GitHubError(422, "The check has no such button.")
    with forge.db.tx():
        if identifier not in ("", "*"):
            checking.announce_run_action(
                forge, row, run_id, "requested_action", reader.actor.user, identifier
            )
        elif forge.ci.rerun(row, run["suite_id"]):
            pass  # it is this forge's own
        else:
            checking.ask_again(forge, row, run["suite_id"], reader.actor.user, None if identifier else run_id)
    pull = forge.db.one(
        "SELECT number FROM issues JOIN pulls ON issue_id = issues.id WHERE pulls.repo_id = ? AND head_sha = ?"
        " ORDER BY number DESC",
        row["id"],
        run["head_sha"],
    )
    return RedirectResponse(frame["base"] if pull is None else f"{frame['base']}/pull/{pull['number']}", 303)


def _changes(forge: Forge, repo: Row, pull: Row) -> dict[str, Any]:
    """Return commits and files; of a merged one as they were when it was merged."""
    bare = forge.git.of(repo)
    tip = None if pull["merged_at"] else forge.tip(repo, pull["base_ref"])
    base = tip or pull["base_sha"]
    found = history.changes(bare, history.fork_point(bare, base, pull["head_sha"]), pull["head_sha"])
    return {
        "commits": _commits(bare, base, pull["head_sha"]),
        "files": [_file(each) for each in found],
        "additions": sum(each.additions for each in found),
        "deletions": sum(each.deletions for each in found),
    }


def _commits(bare: Bare, base: str, head: str) -> list[dict[str, str]]:
    return [
        {
            "sha": each.sha,
            "subject": each.message.partition("\n")[0],
            "author": each.author.name,
            "when": moment(each.committer.date),
        }
        for each in history.between(bare, base, head)
    ]


def _file(change: FileChange) -> dict[str, Any]:
    name = change.path if change.previous is None else f"{change.previous} → {change.path}"
    lines = diff_lines(change.patch or "")
    return {
        "path": name,
        "additions": change.additions,
        "deletions": change.deletions,
        "lines": lines
        or [{"kind": "hunk", "old": "", "new": "", "text": f"{change.status}, no text to show"}],
    }


def diff_lines(patch: str) -> list[dict[str, Any]]:
    """Return the lines of a unified diff's hunks with their numbers on both sides."""
    old = new = 0
    shown: list[dict[str, Any]] = []
    for line in patch.split("\n")[:MOST_LINES] if patch else []:
        hunk = _HUNK.match(line)
        if hunk is not None:
            old, new = int(hunk[1]), int(hunk[2])
            shown.append({"kind": "hunk", "old": "", "new": "", "text": line})
        elif line.startswith("+"):
            shown.append({"kind": "add", "old": "", "new": new, "text": line})
            new += 1
        elif line.startswith("-"):
            shown.append({"kind": "del", "old": old, "new": "", "text": line})
            old += 1
        elif line.startswith("\\"):
            shown.append({"kind": "", "old": "", "new": "", "text": line})
        else:
            shown.append({"kind": "", "old": old, "new": new, "text": line})
            old, new = old + 1, new + 1
    return shown
