"""Owns turning what an ACP agent reports into normalized steps: one for each finished tool call and each message."""

from __future__ import annotations

import json
import os
from collections.abc import Awaitable, Callable, Iterable, Mapping
from pathlib import Path
from typing import get_args

from bot.core.drift import Step, StepKind, normalize
from bot.ports import JsonDict

_KINDS: Mapping[str, StepKind] = {kind: kind for kind in get_args(StepKind)}
_LOOKED_AT = frozenset(
    {"edit", "delete", "move", "execute", "other"}
)  # after these the worktree may be another
_TEXT = 4_000  # characters of arguments, results and messages that are kept
_OPEN_CALLS = 1_000
_SPEECH = 400_000  # characters of one message
_MERGED = ("title", "kind", "rawInput", "rawOutput", "content", "locations", "status", "_meta")
_SAID = {"agent_message_chunk": "message", "agent_thought_chunk": "think"}


class Steps:
    """Merges a session's updates by tool call; `take` gives the steps that are complete."""

    def __init__(self, worktree: Path, tree: Callable[[], Awaitable[str]]) -> None:
        self.said = ""  # the last message, whole
        self.acted = False
        self._worktree = worktree
        self._look = tree
        self._tree = ""
        self._calls: dict[str, JsonDict] = {}
        self._finished: set[str] = set()
        self._speech: tuple[StepKind, str, list[str]] | None = None

    async def begin(self) -> str:
        """Look at the worktree before anything is done, and give its hash."""
        self._tree = await self._look()
        return self._tree

    async def take(self, update: JsonDict) -> list[Step]:
        """Take one `session/update` and give the steps that it completes."""
        name = str(update.get("sessionUpdate"))
        if name in _SAID:
            return self._hear(name, update)
        if name not in {"tool_call", "tool_call_update"}:
            return []
        done = self.flush()
        step = await self._call(update)
        return [*done, step] if step is not None else done

    def flush(self) -> list[Step]:
        """Give the message that is being said as a step: something else follows, or the turn is over."""
        speech, self._speech = self._speech, None
        if speech is None or not (text := "".join(speech[2]).strip()):
            return []
        if speech[0] == "message":
            self.said = text
        return [Step(action=speech[0], args=normalize(text)[:_TEXT], kind=speech[0], tree=self._tree)]

    def _hear(self, name: str, update: JsonDict) -> list[Step]:
        kind: StepKind = "message" if _SAID[name] == "message" else "think"
        message = str(update.get("messageId") or "")
        done: list[Step] = []
        if self._speech is None or self._speech[:2] != (kind, message):
            done = self.flush()
            self._speech = (kind, message, [])
        if sum(map(len, self._speech[2])) < _SPEECH:
            self._speech[2].append(_text(update.get("content")))
        return done

    async def _call(self, update: JsonDict) -> Step | None:
        id_ = str(update.get("toolCallId"))
        if id_ in self._finished or (id_ not in self._calls and len(self._calls) >= _OPEN_CALLS):
            return None
        call = self._calls.setdefault(id_, {})
        call.update({key: update[key] for key in _MERGED if update.get(key) is not None})
        if call.get("status") not in ("completed", "failed"):
            return None
        self._finished.add(id_)
        del self._calls[id_]
        self.acted = True
        return await self._step(call)

    async def _step(self, call: JsonDict) -> Step:
        kind = _KINDS.get(str(call.get("kind")), "other")
        if kind in _LOOKED_AT:
            self._tree = await self._look()
        return Step(
            action=kind if kind != "other" else normalize(str(call.get("title") or "tool"))[:100],
            args=normalize(_arguments(call))[:_TEXT],
            observation=normalize(_result(call))[-_TEXT:],
            ok=_succeeded(call),
            kind=kind,
            tree=self._tree,
            files=self._files(call),
        )

    def _files(self, call: JsonDict) -> tuple[str, ...]:
        """A command is located at its folder, which is no file that it touches."""
        named = {inside(self._worktree, path) for path in paths_of(call)}
        return tuple(sorted(path for path in named if path is not None and path != "."))


def inside(worktree: Path, path: str) -> str | None:
    """Give a path as the repository names it; None where it lies outside the worktree, by its name alone."""
    whole = os.path.normpath(worktree / path)
    name = os.path.relpath(whole, worktree)
    return None if name == ".." or name.startswith(f"..{os.sep}") else name.replace(os.sep, "/")


def paths_of(call: JsonDict) -> list[str]:
    """List the paths that a tool call names: its locations and its diffs."""
    located = [each.get("path") for each in _dicts(call.get("locations"))]
    changed = [each.get("path") for each in _dicts(call.get("content")) if each.get("type") == "diff"]
    return [path for path in (*located, *changed) if isinstance(path, str) and "\0" not in path]


def _arguments(call: JsonDict) -> str:
    """Some agents send no input, but a title that holds it."""
    given = call.get("rawInput")
    return json.dumps(given, sort_keys=True, ensure_ascii=False) if given else str(call.get("title") or "")


def _result(call: JsonDict) -> str:
    texts = [
        _text(each.get("content")) for each in _dicts(call.get("content")) if each.get("type") == "content"
    ]
    if any(texts):
        return "\n".join(texts)
    raw = call.get("rawOutput")
    return raw if isinstance(raw, str) else json.dumps(raw, sort_keys=True, ensure_ascii=False) if raw else ""


def _succeeded(call: JsonDict) -> bool:
    """A command that ended with a code was called successfully, but it failed."""
    if call.get("status") == "failed":
        return False
    codes = (
        _at(call.get("rawOutput"), "metadata", "exit"),
        _at(call.get("rawOutput"), "exit_code"),
        _at(call.get("_meta"), "terminal_exit", "exit_code"),
    )
    return not any(isinstance(code, int) and code != 0 for code in codes)


def _at(value: object, *keys: str) -> object:
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _text(content: object) -> str:
    return str(content.get("text") or "") if isinstance(content, dict) else ""


def _dicts(value: object) -> Iterable[JsonDict]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []
