"""Owns reading why a forge refused a push: which rule it was, in the forge's own words, and what a person can do.

read(said) -> Refusal or None where the words are no refusal by a rule.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

LINES, LONGEST = 30, 300  # of what the forge said that people are shown
UNSIGNED = re.compile(r"must have verified signatures|required_signatures", re.IGNORECASE)
_NOISE = re.compile(r"^(?:remote:\s?)+|\x1b\[[0-9;]*[A-Za-z]")


@dataclass(frozen=True, slots=True)
class Refusal:
    """The rule in a few words, what to do about it, and what the forge said; `unsigned`: commits have to be signed."""

    rule: str
    remedy: str
    said: tuple[str, ...]
    unsigned: bool = False


@dataclass(frozen=True, slots=True)
class _Known:
    sign: re.Pattern[str]
    rule: Callable[[re.Match[str], tuple[str, ...]], str]
    remedy: str


def read(said: str) -> Refusal | None:
    """Find the rule in what a forge said at a push, or answered to a write of a branch."""
    rows = said.splitlines()
    # What git itself adds to the forge's words tells nothing more, but for the reason of a hook.
    lines = _lines([row for row in rows if row.startswith("remote:")] or rows)
    text = "\n".join(_lines(rows))
    for known in _KNOWN:
        found = known.sign.search(text)
        if found is not None:
            rule = known.rule(found, lines)
            return Refusal(rule, known.remedy, lines[:LINES], UNSIGNED.search(text) is not None)
    return None


def _lines(rows: Sequence[str]) -> tuple[str, ...]:
    return tuple(line for line in (_NOISE.sub("", row).rstrip()[:LONGEST] for row in rows) if line.strip())


def _items(_found: re.Match[str], lines: tuple[str, ...]) -> str:
    """Name the rules that GH013 lists, one a line with a dash in front, or the API in paragraphs."""
    listed = [line.lstrip("- ").strip() for line in lines if line.startswith("- ")]
    if not listed:
        start = next((n for n, line in enumerate(lines) if "rule violations found" in line), 0)
        listed = [line.strip() for line in lines[start + 1 :]]
    return "branch rules: " + ("; ".join(listed[:5]) or "GitHub names none")


def _protected(_found: re.Match[str], lines: tuple[str, ...]) -> str:
    """Name what GH006 says after its first line."""
    told = [line.removeprefix("error:").strip() for line in lines if line.startswith("error:")]
    more = [line for line in told if line and "GH006" not in line]
    return "branch protection: " + ("; ".join(more[:5]) or "GitHub names no rule")


_RULES = (
    "Change the ruleset so that it lets this App create and update branches below the bot's prefix (rulesets: exclude "
    "`agent/**`, or add the App to the bypass list), or set another `branch_prefix`."
)
_KNOWN: tuple[_Known, ...] = (
    _Known(
        re.compile(r"without `?workflows?`? (?:permission|scope)"),
        lambda found, lines: (
            "changes of workflow files need the permission `workflows`, which this App does not ask for"
        ),
        "Have a person change the files below `.github/workflows/`, or add the path to `protected_paths` so that no "
        "agent touches it.",
    ),
    _Known(
        re.compile(r"GH009|push protection|cannot contain secrets", re.IGNORECASE),
        lambda found, lines: "secret scanning push protection",
        "Look at what GitHub names: if it is a real secret, revoke it and have the work done again with `/agent "
        "regenerate`; if not, allow it on GitHub.",
    ),
    _Known(
        re.compile(r"GH001|file size limit|exceeds .{0,40}maximum file size", re.IGNORECASE),
        lambda found, lines: "a file is larger than the forge takes",
        "Have the work done again without that file: `/agent regenerate` with a note.",
    ),
    _Known(re.compile(r"GH013|rule violations found", re.IGNORECASE), _items, _RULES),
    _Known(
        re.compile(r"GH006|protected branch", re.IGNORECASE),
        _protected,
        "Let this App push to branches below the bot's prefix, in the settings of the branch protection rule, or set "
        "another `branch_prefix`.",
    ),
    _Known(
        re.compile(r"Reference update failed"),
        lambda found, lines: "a branch rule that the forge does not name",
        _RULES,
    ),
    _Known(
        re.compile(r"archived so it is read-only", re.IGNORECASE),
        lambda found, lines: "the repository is archived",
        "Unarchive it.",
    ),
    _Known(
        re.compile(r"Permission to \S+ denied"),
        lambda found, lines: "the App may not write contents here",
        "Grant the App `contents: write` for this repository.",
    ),
    _Known(
        re.compile(r"pre-receive hook declined|hook declined", re.IGNORECASE),
        lambda found, lines: "a hook of the forge",
        "Ask whoever runs the forge what its hook wants.",
    ),
)
