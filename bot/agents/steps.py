"""Owns turning what an agent reports into the steps that the drift rules eat; the worktree is looked at after each change."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from pathlib import Path

from bot.core.drift import Signal, Step, normalize
from bot.ports import AgentEvent, Text, Thought, ToolFinished

_LOOKED_AT = frozenset(
    {"edit", "delete", "move", "execute", "other"}
)  # after these the worktree may be another
_TEXT = 4_000  # characters of arguments, results and messages that are kept
_READ = 4 * _TEXT  # of which they are made: making two equal texts equal takes its time

Judge = Callable[[Step], tuple[Signal, ...]]


class Steps:
    """The steps of a run, over all of its sessions; `take` gives what the rules say of the newest."""

    def __init__(self, tree: Callable[[], Awaitable[str]], worktree: Path) -> None:
        self.trace: list[Step] = []
        self.said = ""  # the last message, whole
        self.acted = False
        self._look = tree
        self._tree = ""
        self._worktree = worktree  # as the agent sees it

    async def begin(self) -> str:
        """Look at the worktree before a session's first step, and give its hash."""
        self._tree = await self._look()
        return self._tree

    async def take(self, event: AgentEvent, judge: Judge) -> tuple[Signal, ...]:
        """Take what the agent reports; a tool call that is over, a message and a thought are steps."""
        match event:
            case ToolFinished():
                self.acted = True
                step = await self._step(event)
            case Text(text):
                self.said = text
                step = Step(action="message", args=_start(text), kind="message", tree=self._tree)
            case Thought(text):
                step = Step(action="think", args=_start(text), kind="think", tree=self._tree)
            case _:
                return ()
        self.trace.append(step)
        return judge(step)

    async def _step(self, call: ToolFinished) -> Step:
        if call.kind in _LOOKED_AT:
            self._tree = await self._look()
        # A command is located at its folder, which is no file that it touches.
        files = {inside(self._worktree, path) for path in call.paths} - {None, "."}
        return Step(
            action=call.kind if call.kind != "other" else _start(call.title or "tool")[:100],
            args=_start(call.input or call.title),
            observation=normalize(call.output[-_READ:])[-_TEXT:],
            ok=call.ok,
            kind=call.kind,
            tree=self._tree,
            files=tuple(sorted(str(file) for file in files)),
        )


def _start(text: str) -> str:
    return normalize(text[:_READ])[:_TEXT]


def inside(worktree: Path, path: str) -> str | None:
    """Give a path as the repository names it; None where it lies outside the worktree, by its name alone, or is none."""
    if "\0" in path:
        return None
    whole = os.path.normpath(worktree / path)
    name = os.path.relpath(whole, worktree)
    return None if name == ".." or name.startswith(f"..{os.sep}") else name.replace(os.sep, "/")
