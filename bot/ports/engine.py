"""Owns the port to the engine of durable jobs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

from bot.ports.shapes import JsonDict

JobStatus = Literal["waiting", "running", "done", "failed", "cancelled"]


class Engine(Protocol):
    """Durable jobs by id: at least once each, a finished id never again."""

    async def submit(
        self,
        kind: str,
        id_: str,
        args: JsonDict,
        *,
        queue: str,
        partition: str | None = None,
        delay: float | None = None,
        timeout: float | None = None,
    ) -> None:
        """Have the job run once; an id that is known already is left alone. Seconds."""

    async def cancel(self, ids: Sequence[str]) -> None: ...

    async def status(self, id_: str) -> JobStatus | None: ...
