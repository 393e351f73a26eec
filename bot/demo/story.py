"""Tells the run in short lines, from what can be seen on the forge."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

JsonDict = dict[str, Any]

_MARKER = re.compile(r"\A<!-- gitwright:(?P<kind>[a-z]+)(?P<parts>[^>]*)-->")
_TOLD = ("problem", "answer", "text")  # kinds whose first words are worth reading here
_PART = re.compile(r"(\w+)=(\S+)")


def marker(body: str | None) -> dict[str, str]:
    """Give the parts of a text's marker with its `kind`; empty where it has none."""
    found = _MARKER.match(body or "")
    return {"kind": found["kind"], **dict(_PART.findall(found["parts"]))} if found else {}


class Story:
    """Says each thing once, with the seconds since the start."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._start = time.monotonic()
        self._seen: set[str] = set()

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

    def pull(self, pull: JsonDict) -> None:
        self.once("bot", f"opens pull request #{pull['number']}: {pull['title']}")

    def check(self, number: int, run: JsonDict) -> None:
        """Tell a check's end."""
        if run["status"] == "completed":
            who = "bot" if run["name"].startswith("gitwright/") else "CI"
            self.once(who, f"reports {run['conclusion']} on #{number} ({run['name']}, {run['head_sha'][:7]})")


def _first_line(body: str) -> str:
    """Give the first line that is neither empty nor a marker, cut to what fits on a line."""
    lines = (line.strip() for line in body.splitlines())
    return next((line for line in lines if line and not line.startswith("<!--")), "")[:120]
