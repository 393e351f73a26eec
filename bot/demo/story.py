"""Tells the run in short lines, from what can be seen on the forge."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

JsonDict = dict[str, Any]

_MARKER = re.compile(r"\A<!-- gitwright:(?P<kind>[a-z]+)(?P<parts>[^>]*)-->")
_TOLD = ("problem", "answer", "text")  # kinds whose first words are worth reading here
_DECIDED = re.compile(r"^(?:\*\*)?Decided on the way:(?:\*\*)? (?P<kinds>[a-z_`, ]+)", re.MULTILINE)
_PART = re.compile(r"(\w+)=(\S+)")


def marker(body: str | None) -> dict[str, str]:
    """Give the parts of a text's marker with its `kind`; empty where it has none."""
    found = _MARKER.match(body or "")
    return {"kind": found["kind"], **dict(_PART.findall(found["parts"]))} if found else {}


def decided(text: str | None) -> str:
    """Give what a pull request or commit says was decided on the way to it, the newest last."""
    found = _DECIDED.search(text or "")
    return f" (decided: {', '.join(re.findall('[a-z_]+', found['kinds']))})" if found else ""


class Story:
    """Says each thing once, with the seconds since the start."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._start = time.monotonic()
        self._seen: set[str] = set()
        self._heads: dict[int, str] = {}

    def tell(self, who: str, what: str) -> None:
        """Say one thing, always."""
        self._say(f"{time.monotonic() - self._start:6.1f}s  {who:<10}  {what}")

    def once(self, who: str, what: str) -> None:
        """Say one thing the first time it is seen."""
        if what not in self._seen:
            self._seen.add(what)
            self.tell(who, what)

    def issue(self, issue: JsonDict) -> None:
        """Tell a state label or the end of the issue."""
        for label in sorted(entry["name"] for entry in issue["labels"]):
            if label != "agent:plan":
                self.once("bot", f"labels issue #{issue['number']} {label}")
        if issue["state"] == "closed":
            self.once("bot", f"closes issue #{issue['number']}")

    def comment(self, number: int, comment: JsonDict) -> None:
        """Tell a new comment, by its kind."""
        kind = marker(comment["body"]).get("kind", "text")
        key = f"{comment['id']}"
        if key not in self._seen:
            self._seen.add(key)
            text = f" ({_first_line(comment['body'])})" if kind in _TOLD else ""
            self.tell("bot", f"comments on #{number}: {kind}{text}")

    def pull(self, pull: JsonDict, commit: Callable[[str], JsonDict]) -> None:
        """Tell a new pull request, and each new head of it with what was decided about it; `commit` finds one by sha."""
        number, sha = int(pull["number"]), str(pull["head"]["sha"])
        before = self._heads.get(number)
        self._heads[number] = sha
        if before is None:
            self.tell("bot", f"opens pull request #{number}: {pull['title']}{decided(pull['body'])}")
        elif before != sha:
            made = commit(sha)
            committer = made["commit"]["committer"]
            who = "bot" if pull["user"]["login"] in committer["email"] else committer["name"]
            ways = decided(made["commit"]["message"]) if who == "bot" else ""
            self.tell(who, f"pushes {sha[:7]} to the branch of #{number}{ways}")

    def check(self, number: int, run: JsonDict) -> None:
        """Tell a check's end."""
        if run["status"] == "completed":
            who = "bot" if run["name"].startswith("gitwright/") else "CI"
            self.once(who, f"reports {run['conclusion']} on #{number} ({run['name']}, {run['head_sha'][:7]})")


def _first_line(body: str) -> str:
    """Give the first line that is neither empty nor a marker, cut to what fits on a line."""
    lines = (line.strip() for line in body.splitlines())
    return next((line for line in lines if line and not line.startswith("<!--")), "")[:120]
