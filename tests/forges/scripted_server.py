"""A server for tests that answers real HTTP as told, one answer a request, and keeps what it was asked."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Asked:
    """One request as it came in."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any
    at: float


@dataclass(frozen=True)
class Say:
    """One answer; `hang` never comes, `cut` closes the connection instead."""

    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    hang: bool = False
    cut: bool = False
    delay: float = 0.0


Reply = Callable[[Asked], Say]


class ScriptedServer:
    """Answers from the list, then by `otherwise`."""

    def __init__(self) -> None:
        self.answers: list[Say] = []
        self.otherwise: Reply = lambda asked: Say(200, {})
        self.asked: list[Asked] = []
        self.connections = 0
        self.busy = 0
        self.most_busy = 0
        self.crowd = 0  # before so many requests have been here at once, none is answered
        self.url = ""

    @property
    def lines(self) -> list[str]:
        return [f"{asked.method} {asked.path}" for asked in self.asked]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while await self._one(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        line = await reader.readline()
        if not line:
            return False
        method, path, _ = line.decode().split()
        headers: dict[str, str] = {}
        while (raw := (await reader.readline()).decode().strip()) != "":
            name, value = raw.split(":", 1)
            headers[name.lower()] = value.strip()
        content = await reader.readexactly(int(headers.get("content-length", 0)))
        asked = Asked(
            method, path, headers, json.loads(content) if content else None, asyncio.get_running_loop().time()
        )
        self.asked.append(asked)
        say = self.answers.pop(0) if self.answers else self.otherwise(asked)
        self.busy += 1
        self.most_busy = max(self.most_busy, self.busy)
        try:
            await self._crowded()
            await asyncio.sleep(3600 if say.hang else say.delay)
        finally:
            self.busy -= 1
        if say.cut:
            return False
        body = b"" if say.body is None else json.dumps(say.body).encode()
        shown = {"content-type": "application/json", "content-length": str(len(body)), **say.headers}
        head = "".join(f"{name}: {value}\r\n" for name, value in shown.items())
        writer.write(f"HTTP/1.1 {say.status} X\r\n{head}\r\n".encode() + body)
        await writer.drain()
        return True

    async def _crowded(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(15):  # less than who asks waits for an answer
                while self.most_busy < self.crowd:
                    await asyncio.sleep(0.002)


@asynccontextmanager
async def scripted_server(tls: ssl.SSLContext | None = None) -> AsyncIterator[ScriptedServer]:
    """Serve on a loopback port while the block lasts."""
    server = ScriptedServer()
    tasks: set[asyncio.Task[None]] = set()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.create_task(server.serve(reader, writer)))

    listening = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=tls)
    server.url = f"http{'s' if tls else ''}://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    try:
        yield server
    finally:
        listening.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
