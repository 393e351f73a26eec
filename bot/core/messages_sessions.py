"""Owns what people read of the agents' sessions: deleted, how that was proved, and what is not proved."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from bot.core.messages import count
from bot.core.sanitize import code

_PARTS = frozenset({"processes", "provider session", "sandbox", "state", "token", "worktree"})


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionSeen:
    """An agent's session as the store knows it; entries are `what: details`, as a proof has them.

    Details name the host's folders, and files as an agent named them: they are for the log alone.
    """

    kind: Literal["planner", "coder"]
    task: str | None
    deleted_at: datetime | None = None  # None: it runs, or its deletion is not proved
    checked: tuple[str, ...] = ()
    unproved: tuple[str, ...] = ()
    leftovers: tuple[str, ...] = ()


def sessions(seen: Sequence[SessionSeen]) -> str:
    """Say of each task what became of its agents' sessions, Markdown; "" where there were none."""
    owners = sorted({(each.task or "", each.kind) for each in seen})
    lines = [_line([each for each in seen if (each.task or "", each.kind) == owner]) for owner in owners]
    return "**Sessions of agents**\n\n" + "\n".join(lines) if lines else ""


def _line(own: Sequence[SessionSeen]) -> str:
    whose = code(own[0].task) if own[0].task else f"{own[0].kind}s"
    deleted = [each for each in own if each.deleted_at is not None]
    said = []
    if deleted:
        # What every one of them was checked for: a single gap is one.
        common = set.intersection(*({_what(each) for each in one.checked} for one in deleted))
        newest = max(each.deleted_at for each in deleted if each.deleted_at is not None)
        proved = ", ".join(sorted(common)) or "nothing"
        said.append(
            f"{count(len(deleted), 'session')} deleted: {proved}; checked {newest:%Y-%m-%d %H:%M} UTC"
        )
    if still := len(own) - len(deleted):
        said.append(f"{count(still, 'session')} open, or not proved to be deleted")
    if unproved := sorted({_what(each) for one in own for each in one.unproved}):
        said.append(f"not proved: {', '.join(unproved)}")
    if left := Counter(_what(each) for one in own for each in one.leftovers):
        parts = ", ".join(f"{what} ({number})" for what, number in sorted(left.items()))
        said.append(f"left behind: {parts}, named in the log")
    return f"- {whose}: {'; '.join(said)}."


def _what(entry: str) -> str:
    what = entry.partition(":")[0]
    return what if what in _PARTS else "something else"
