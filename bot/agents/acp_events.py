"""Owns turning what an ACP agent reports into events of the port: one for each finished tool call and each message."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import get_args

from bot.core.drift import StepKind
from bot.ports import AgentEvent, JsonDict, Raw, Text, Thought, ToolFinished, ToolStarted

_KINDS: Mapping[str, StepKind] = {kind: kind for kind in get_args(StepKind)}
_OPEN_CALLS = 1_000
_SPEECH = 400_000  # characters of one message
_CALLS = 10_000  # of a session; the rules end a run before it has made so many
_NAME = 200  # characters of an id or a title
_KEPT = 8_000  # characters of arguments and results: twice what a step keeps of them
_PATHS = 100  # of a call
_SAID: Mapping[str, type[Text | Thought]] = {"agent_message_chunk": Text, "agent_thought_chunk": Thought}


class Updates:
    """Merges a session's updates by tool call and by message; `take` gives the events that are complete."""

    def __init__(self) -> None:
        self._calls: dict[str, _Call] = {}
        self._finished: set[str] = set()
        self._speech: tuple[type[Text | Thought], str, list[str]] | None = None
        self._said = 0  # characters of it

    def take(self, update: JsonDict) -> list[AgentEvent]:
        """Take one `session/update` and give what it completes; whatever it is, it is a sign of life."""
        name = str(update.get("sessionUpdate"))
        if name in _SAID:
            return self._hear(_SAID[name], update)
        if name not in {"tool_call", "tool_call_update"}:
            return [Raw(name[:100])]
        return [*self.flush(), *self._call(update)]

    def flush(self) -> list[AgentEvent]:
        """Give the message that is being said: something else follows, or the turn is over."""
        speech, self._speech = self._speech, None
        if speech is None or not (text := "".join(speech[2]).strip()):
            return []
        return [speech[0](text)]

    def _hear(self, kind: type[Text | Thought], update: JsonDict) -> list[AgentEvent]:
        message = str(update.get("messageId") or "")
        done: list[AgentEvent] = [Raw("chunk")]
        if self._speech is None or self._speech[:2] != (kind, message):
            done = self.flush() or done
            self._speech, self._said = (kind, message, []), 0
        text = _text(update.get("content"))[: _SPEECH - self._said]
        if text:
            self._speech[2].append(text)
            self._said += len(text)
        return done

    def _call(self, update: JsonDict) -> list[AgentEvent]:
        id_ = str(update.get("toolCallId"))[:_NAME]
        new = id_ not in self._calls
        if id_ in self._finished or (new and not self._room):
            return [Raw("tool_call")]
        call = self._calls.setdefault(id_, _Call())
        call.merge(update)
        started = ToolStarted(id=id_, kind=call.kind, title=call.title) if new else Raw("tool_call")
        if call.status not in ("completed", "failed"):
            return [started]
        self._finished.add(id_)
        del self._calls[id_]
        return [started, call.finished(id_)]

    @property
    def _room(self) -> bool:
        return len(self._calls) < _OPEN_CALLS and len(self._finished) < _CALLS


@dataclass(slots=True)
class _Call:
    """What is known of a tool call, cut at once: an agent may say what it likes, for as long as it likes."""

    kind: StepKind = "other"
    title: str = ""
    status: str = ""
    given: str = ""
    said: str = ""
    output: str = ""
    located: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    codes: dict[str, tuple[object, ...]] = field(default_factory=dict)

    def merge(self, update: JsonDict) -> None:
        """Take what an update says anew."""
        said = {key: value for key, value in update.items() if value is not None}
        if "kind" in said:
            self.kind = _KINDS.get(str(said["kind"]), "other")
        self.title = str(said.get("title", self.title))[:_NAME]
        self.status = str(said.get("status", self.status))[:_NAME]
        if "rawInput" in said:
            self.given = _json(said["rawInput"])[:_KEPT]
        if "locations" in said:
            self.located = _named(said["locations"])[:_PATHS]
        if "content" in said:
            texts = [_text(e.get("content")) for e in _dicts(said["content"]) if e.get("type") == "content"]
            self.said = "\n".join(texts)[-_KEPT:] if any(texts) else ""
            self.changed = _named(_diffs(said["content"]))[:_PATHS]
        if "rawOutput" in said:
            raw = said["rawOutput"]
            self.output = (raw if isinstance(raw, str) else _json(raw))[-_KEPT:]
            self.codes["raw"] = (_at(raw, "metadata", "exit"), _at(raw, "exit_code"))
        if "_meta" in said:
            self.codes["meta"] = (_at(said["_meta"], "terminal_exit", "exit_code"),)

    def finished(self, id_: str) -> ToolFinished:
        """Give the step; some agents send no input, but a title that holds it."""
        return ToolFinished(
            id=id_,
            kind=self.kind,
            title=self.title,
            input=self.given or self.title,
            output=self.said or self.output,
            paths=tuple([*self.located, *self.changed][:_PATHS]),
            ok=self._succeeded,
        )

    @property
    def _succeeded(self) -> bool:
        """A command that ended with a code was called successfully, but it failed."""
        codes = [code for group in self.codes.values() for code in group]
        return self.status != "failed" and not any(isinstance(code, int) and code != 0 for code in codes)


def paths_of(call: JsonDict) -> list[str]:
    """List the paths that a tool call names: its locations and its diffs."""
    return [*_named(call.get("locations")), *_named(_diffs(call.get("content")))]


def _diffs(content: object) -> list[JsonDict]:
    return [each for each in _dicts(content) if each.get("type") == "diff"]


def _named(places: object) -> list[str]:
    paths = [each.get("path") for each in _dicts(places)]
    return [path for path in paths if isinstance(path, str) and "\0" not in path]


def _json(value: object) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False) if value else ""


def _at(value: object, *keys: str) -> object:
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _text(content: object) -> str:
    return str(content.get("text") or "") if isinstance(content, dict) else ""


def _dicts(value: object) -> list[JsonDict]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []
