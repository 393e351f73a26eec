"""Owns the lines between the bot and an ACP agent: bounded, tolerant of noise, updates handed on in their order."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress

from acp.schema import (
    AllowedOutcome,
    DeniedOutcome,
    PermissionOption,
    RequestPermissionResponse,
    ToolCallUpdate,
)

from bot.core.sanitize import whole
from bot.ports import JsonDict, Talk

_CHUNK = 1 << 16
_LINE = 8 << 20  # bytes of one message
_TOTAL = 1 << 30  # bytes of a whole session
_TURN = 16  # messages after which others have a turn, however many are there
_UNREAD = 1_000  # requests whose answers wait to be read


class Wire:
    """Implements acp's Transport over a conversation with a command.

    Updates do not go through the library: it would refuse kinds that it does not know, and handle them
    side by side. Here the answer to a prompt is read only after all updates before it were taken.
    """

    def __init__(self, talk: Talk, on_update: Callable[[JsonDict], Awaitable[None]]) -> None:
        self.problem = ""  # why it was hung up on, where that was us
        self._talk = talk
        self._on_update = on_update
        self._rest = bytearray()
        self._seen = 0
        self._unanswered = 0
        self._lines = 0

    async def send(self, message: JsonDict) -> None:
        """Write one message."""
        await self._talk.say(json.dumps(message, ensure_ascii=False).encode() + b"\n")
        if "method" not in message:
            self._unanswered -= 1

    async def receive(self) -> JsonDict | None:
        """Give the next message that is no update; None when the agent has nothing more to say."""
        while (line := await self._line()) is not None:
            self._lines += 1
            if self._lines % _TURN == 0:
                await asyncio.sleep(0)
            message = _parsed(line)
            if message is None:
                continue  # noise of the agent's tools
            if message.get("method") != "session/update":
                self._unanswered += "method" in message and "id" in message
                if self._unanswered > _UNREAD:
                    self.problem = "it reads no answers"
                    return None
                return message
            update = (message.get("params") or {}).get("update")
            if isinstance(update, dict):
                await self._on_update(update)
        return None

    async def close(self) -> None:
        """The box ends the command."""

    async def _line(self) -> bytes | None:
        searched = 0
        while (end := self._rest.find(b"\n", searched)) < 0:
            searched = len(self._rest)
            chunk = await self._talk.read(_CHUNK)
            self._seen += len(chunk)
            if not chunk or len(self._rest) > _LINE or self._seen > _TOTAL:
                if chunk:
                    self.problem = "it said more than a session may"
                return None
            self._rest += chunk
        line = bytes(self._rest[:end])
        del self._rest[: end + 1]
        return line


def _parsed(line: bytes) -> JsonDict | None:
    """Read one message of the shape that JSON-RPC gives it; None for all else."""
    with suppress(ValueError, RecursionError):
        message = json.loads(line)
        if b"\\ud" in line.lower():
            message = whole(message)
        if not isinstance(message, dict) or not isinstance(message.get("id", 0), int | str):
            return None
        return message if isinstance(message.get("params") or {}, dict) else None
    return None


class Client:
    """Answers what an agent asks; files and terminals are not offered, since agent and bot share the disk."""

    def __init__(self, allowed: Callable[[JsonDict], Awaitable[bool]]) -> None:
        self._allowed = allowed

    async def request_permission(
        self, session_id: str, tool_call: ToolCallUpdate, options: list[PermissionOption], **_: object
    ) -> RequestPermissionResponse:
        """Choose by the kind of an option: their ids differ from agent to agent."""
        call = tool_call.model_dump(mode="json", by_alias=True, exclude_none=True)
        kinds = (
            ("allow_once", "allow_always") if await self._allowed(call) else ("reject_once", "reject_always")
        )
        for kind in kinds:
            for option in options:
                if option.kind == kind:
                    chosen = AllowedOutcome(outcome="selected", option_id=option.option_id)
                    return RequestPermissionResponse(outcome=chosen)
        return RequestPermissionResponse(outcome=DeniedOutcome(outcome="cancelled"))

    async def ext_method(self, method: str, params: JsonDict) -> JsonDict:
        """Extensions are not known here."""
        return {}

    async def ext_notification(self, method: str, params: JsonDict) -> None:
        """Extensions are not known here."""
