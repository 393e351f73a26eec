"""Owns what the process gives every coding agent to be made from."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

from bot.agents.script import Script
from bot.core.values import Usage
from bot.errors import AgentError, SandboxError
from bot.gateway.endpoints import Endpoints
from bot.gateway.limits import Limit, Patience, Price, free
from bot.gateway.model import model_gateway
from bot.ports import Box, DisposeProof, ModelAccess, RunError, SandboxPolicy, WireFormat
from bot.sockets import nearby

_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Limits:
    """How long an agent may take where its order does not say; seconds."""

    start: float = 60.0
    drain: float = 10.0  # after a cancel, until it is killed
    hurried: float = 1.0  # for its end, where the process itself ends
    away: float = 120.0  # without a sign of life while its provider refuses: some agents try again for ever, and in silence
    look: float = 2.0  # between looks for a person's note


@dataclass(frozen=True, slots=True)
class Supplies:
    """The script of a scripted run, the way to models and their prices, limits, and whether the process ends."""

    script: Script | None = None
    endpoints: Endpoints = field(default_factory=lambda: Endpoints({}))
    price: Price = free
    limits: Limits = field(default_factory=Limits)
    closing: asyncio.Event = field(default_factory=asyncio.Event)  # set where the process itself ends

    async def access(
        self,
        model: str,
        wire: WireFormat | None,
        limit: Limit | None,
        state_dir: Path,
        stack: AsyncExitStack,
    ) -> ModelAccess | None:
        """Open the way to `provider:model` for a session; None where the agent needs none, or none is named.

        RunError auth where the model cannot be reached.
        """
        if wire is None or not model:
            return None
        try:
            endpoint = self.endpoints.find(model, wire)
        except AgentError as error:
            raise RunError(error.reason, str(error)) from error
        patience = Patience(closing=self.closing)
        gateway = model_gateway(state_dir, [endpoint], self.price, limit, patience)
        return await stack.enter_async_context(gateway)


def reaching(policy: SandboxPolicy, access: ModelAccess | None) -> SandboxPolicy:
    """Let a box reach its session's model."""
    return policy if access is None else replace(policy, outlets=(*policy.outlets, access.outlet))


async def shut(box: Box) -> DisposeProof:
    """Close a box and tell of its end by the processes that it could not kill; who lends it says so again."""
    try:
        alive = await box.close()
    except SandboxError as error:
        return DisposeProof(leftovers=(f"sandbox: {error}",))
    if alive:
        return DisposeProof(leftovers=tuple(f"sandbox: process {pid} lives in it" for pid in alive))
    return DisposeProof(checked=("sandbox: shut, and nothing in it lives",))


async def revoked(access: ModelAccess | None) -> DisposeProof:
    """Look whether anybody takes a session's token still, after its way to the model was shut."""
    if access is None:
        return DisposeProof()
    try:
        with nearby(access.outlet.socket) as path:
            if await _listens(path):
                return DisposeProof(leftovers=("token: its gateway still listens",))
    except OSError as error:
        why = "no answer in time" if isinstance(error, TimeoutError) else str(error)
        return DisposeProof(unproved=(f"token: nobody could look where it was taken: {why}",))
    return DisposeProof(checked=("token: nobody answers where it was taken",))


async def _listens(path: str) -> bool:
    try:
        async with asyncio.timeout(_SECONDS):
            _, writer = await asyncio.open_unix_connection(path)
    except (FileNotFoundError, ConnectionError):
        return False
    writer.close()
    return True


def counted(access: ModelAccess | None, said: Usage) -> Usage:
    """Give what a session took, after its end: answers that were cut off are counted until then."""
    return access.usage if access is not None and access.usage.requests else said
