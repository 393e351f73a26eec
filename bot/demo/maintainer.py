"""Decides what a maintainer does next, from what the forge shows: merges what is green, sees when it is done."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from bot.demo.story import marker

JsonDict = dict[str, Any]
Verdict = Literal["green", "red", "waiting"]

_SAME_ON_BASE = re.compile(r"fails on .* too \(")
BACKLOG_CHECK = "gitwright/backlog"
_GOOD = ("success", "neutral", "skipped")


@dataclass(frozen=True, slots=True)
class Ended:
    """How the issue stands: `done` is the whole of what success means."""

    closed: bool
    receipt: bool
    label: bool

    @property
    def done(self) -> bool:
        return self.closed and self.receipt and self.label


def judge(pull: JsonDict, runs: Sequence[JsonDict], has_ci: bool) -> Verdict:
    """Say whether a pull request of the bot may be merged; `nothing ran` is never green where there is CI."""
    newest: dict[str, JsonDict] = {}
    for run in runs:
        if run["name"] not in newest or run["id"] > newest[run["name"]]["id"]:
            newest[run["name"]] = run
    done = [run for run in newest.values() if run["status"] == "completed"]
    if any(run["conclusion"] not in _GOOD for run in done):
        return "red"
    wanted = {BACKLOG_CHECK} if marker(pull["body"]).get("kind") == "backlog" else set()
    by_ci = any(not name.startswith("gitwright/") for name in newest)
    if len(done) < len(newest) or not wanted <= set(newest) or (has_ci and not by_ci):
        return "waiting"
    return "green"


def waiting_for_base(body: str) -> list[str]:
    """Give the titles of the tasks that wait for the default branch, as the status comment's table says it."""
    if marker(body).get("kind") != "status":
        return []
    rows = [line.split(" | ") for line in body.splitlines() if line.startswith("| `")]
    return [row[1] for row in rows if len(row) > 2 and _SAME_ON_BASE.search(row[2])]


def ended(issue: JsonDict, comments: Sequence[JsonDict], bot: str) -> Ended:
    """Read how the issue stands; a receipt counts only from the bot itself."""
    labels = {label["name"] for label in issue["labels"]}
    return Ended(
        closed=issue["state"] == "closed",
        receipt=any(
            comment["user"]["login"] == bot and marker(comment["body"]).get("kind") == "receipt"
            for comment in comments
        ),
        label="agent:done" in labels,
    )
