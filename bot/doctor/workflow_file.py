"""Owns reading a workflow of GitHub Actions: would a push of ours run it, and what does it hand to what was pushed?

exposures(text, branches, default) -> list[Exposure]; branch_runs(patterns, branch) reads GitHub's filter patterns.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from bot.core import yaml_tree
from bot.core.yaml_tree import Node

# Events of our branches and pull requests; all hand secrets over, since our branches lie in the repository itself.
_TARGET = "pull_request_target"
_AFTER = "workflow_run"  # runs after another one did: with the base's rights, on what that one built
_ON_BRANCH = ("push", "create")
_ON_PULL = ("pull_request", _TARGET)
_RISKY = {
    _TARGET: "runs with the base's rights for every pull request: look what it checks out",
    _AFTER: "runs with the base's rights after a workflow ran: look whether it takes over what was built or pushed",
}
_SECRET = re.compile(r"\bsecrets\.(?!GITHUB_TOKEN\b)([A-Za-z_][A-Za-z0-9_]*)|\bsecrets\[", re.IGNORECASE)
_ALL_SECRETS = re.compile(r"toJSON\(\s*secrets\s*\)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Exposure:
    """Something that a workflow hands to pushed code; the line counts from 1."""

    line: int
    trigger: str
    what: str


class NoWorkflowError(ValueError):
    """The file is not a workflow that can be read; the text says where."""


def triggers(text: str, branches: Sequence[str], default: str) -> tuple[str, ...]:
    """Name the events by which pushing one of these branches, or its pull request into `default`, runs a workflow."""
    return tuple(_triggers(_events(_root(text)), branches, default))


def exposures(text: str, branches: Sequence[str], default: str) -> list[Exposure]:
    """List what a workflow hands to what is pushed to these branches; NoWorkflowError where it cannot be read."""
    root = _root(text)
    on = _events(root)
    events = list(_triggers(on, branches, default))
    if _AFTER in on and any(_passes(on[_AFTER], branch) for branch in branches):
        events.append(_AFTER)
    if not events:
        return []
    trigger = ", ".join(events)
    found = [Exposure(line, trigger, what) for line, what in sorted(set(_handed(root)))]
    where = root.get("on")
    line = where.line if where is not None else 1
    return found + [Exposure(line, event, what) for event, what in _RISKY.items() if event in events]


def _root(text: str) -> Node:
    root, faults = yaml_tree.read(text)
    if faults:
        raise NoWorkflowError(f"line {faults[0].line}: {faults[0].message}")
    if root is None or root.kind != "map":
        raise NoWorkflowError("line 1: it is no mapping")
    return root


def _events(root: Node) -> dict[str, Node | None]:
    """Give the events that run a workflow, each with its filters."""
    on = root.get("on")
    if on is None:
        return {}
    if on.kind == "scalar":
        return {on.text: None}
    if on.kind == "list":
        return {item.text: None for item in on.items}
    return {key.text: value for key, value in on.entries}


def _triggers(events: Mapping[str, Node | None], branches: Sequence[str], default: str) -> Iterator[str]:
    for name in _ON_BRANCH:
        if name in events and any(_passes(events[name], branch) for branch in branches):
            yield name
    for name in _ON_PULL:
        if name in events and _passes(events[name], default):
            yield name


def _passes(event: Node | None, branch: str) -> bool:
    """Tell whether an event's filters let a branch pass; filters on paths may always pass."""
    if event is None or event.kind != "map":
        return True
    wanted, ignored = event.get("branches"), event.get("branches-ignore")
    if wanted is not None:
        return branch_runs(_texts(wanted), branch)
    if ignored is not None:
        return not any(_matches(pattern, branch) for pattern in _texts(ignored))
    # A filter on tags alone leaves branches out.
    return event.get("tags") is None and event.get("tags-ignore") is None


def _texts(node: Node) -> list[str]:
    return [node.text] if node.kind == "scalar" else [item.text for item in node.items]


def branch_runs(patterns: Sequence[str], branch: str) -> bool:
    """Hold a branch against `branches`: the last pattern that matches decides, `!` takes away."""
    runs = False
    for pattern in patterns:
        if _matches(pattern.removeprefix("!"), branch):
            runs = not pattern.startswith("!")
    return runs


def _matches(pattern: str, branch: str) -> bool:
    """Match GitHub's filter patterns: `*` within a part, `**` over all, `?` and `+` repeat what is before them.

    A set of places moves through the pattern, so that no pattern of anybody takes long.
    """
    at = {0}
    for atom, least, repeats in _atoms(pattern):
        if atom == "**/":
            folders = {n + 1 for n, sign in enumerate(branch) if sign == "/"}
            at |= {n for n in folders if n > min(at, default=len(branch))}
            continue
        moved = at if least == 0 else set[int]()
        fresh = at
        while fresh:
            fresh = {n + 1 for n in fresh if n < len(branch) and _fits(atom, branch[n])} - moved
            moved = moved | fresh
            if not repeats:
                break
        at = moved
    return len(branch) in at


def _atoms(pattern: str) -> Iterator[tuple[str, int, bool]]:
    """Take a pattern apart: what stands for one sign, how often it is there at least, whether it repeats."""
    for part, count in re.findall(r"(\*\*/|\*\*|\*|\[[^]]*\]|\\.|.)([?+]?)", pattern, re.DOTALL):
        stars = part in {"*", "**", "**/"}
        yield part, 0 if stars or count == "?" else 1, stars or count == "+"


def _fits(atom: str, sign: str) -> bool:
    if atom in {"*", "**"}:
        return atom == "**" or sign != "/"
    if len(atom) > 2 and atom[0] == "[":
        inner = atom[1:-1]
        spans = re.findall(r"(.)-(.)|(.)", inner, re.DOTALL)
        return any(low <= sign <= high if low else sign == one for low, high, one in spans)
    return sign == atom[-1]


def _handed(node: Node, key: str = "") -> Iterator[tuple[int, str]]:
    """Walk through a workflow and say what each place hands over."""
    stack = [(node, key)]
    while stack:
        here, name = stack.pop()
        if name == "permissions":
            yield from _permissions(here)
            continue
        if name == "secrets" and here.kind == "scalar" and here.text == "inherit":
            yield here.line, "all secrets, handed on (`secrets: inherit`)"
        if here.kind == "scalar":
            yield from _named(here)
        stack += [(item, "") for item in here.items]
        stack += [(value, child.text) for child, value in here.entries]


def _named(node: Node) -> Iterator[tuple[int, str]]:
    lines = node.text.split("\n")
    for number, line in enumerate(lines):
        # In a block text the first line stands below the sign that begins it.
        at = node.line + number + (1 if len(lines) > 1 and not node.plain else 0)
        for match in _SECRET.finditer(line):
            yield at, f"`secrets.{match[1]}`" if match[1] else "secrets by name"
        if _ALL_SECRETS.search(line):
            yield at, "all secrets"


def _permissions(node: Node) -> Iterator[tuple[int, str]]:
    if node.kind == "scalar" and node.text == "write-all":
        yield node.line, "a token that may write everything (`permissions: write-all`)"
    for key, value in node.entries:
        if value.text == "write":
            what = (
                "the repository's identity elsewhere" if key.text == "id-token" else "a token that may write"
            )
            yield key.line, f"{what} (`{key.text}: write`)"
