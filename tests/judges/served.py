"""A forge in a thread of the test process, reached over a real socket, with every judge around it.

    with judged_forge(tmp_path / "forge", judge, webhook_judge) as forge:
        forge.client().get("/user")
        forge.settle()

At the end every delivery it stored is judged and `git fsck` runs over every repository.
"""

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import uvicorn

from forge.app import create_app
from tests.judges.fsck import fsck_all
from tests.judges.openapi import Judge
from tests.judges.webhooks import WebhookJudge
from tests.judges.wrappers import JudgeMiddleware

JsonDict = dict[str, Any]

_START_S = 60
_STOP_S = 60
_IDLE_S = 90
_CALL_S = 60


@dataclass(frozen=True, slots=True)
class JudgedForge:
    """A running forge: its address, the token of its administrator `maintainer`, and its data folder."""

    url: str
    token: str
    data: Path
    app: Any

    def client(self, token: str | None = None, **headers: str) -> httpx.Client:
        """A client for the bearer of `token` (default: the administrator; empty: nobody)."""
        bearer = self.token if token is None else token
        sent = {"Authorization": f"Bearer {bearer}"} if bearer else {}
        accept = {"Accept": "application/vnd.github+json"}
        # Certificates are for other hosts than this one, and reading them takes 20 ms.
        return httpx.Client(base_url=self.url, headers=accept | sent | headers, timeout=_CALL_S, verify=False)

    def settle(self, timeout: float = _IDLE_S) -> None:
        """Wait until no delivery and no CI job is pending; AssertionError after `timeout` seconds."""
        deadline = time.monotonic() + timeout
        with self.client() as client:
            while not client.get("/_test/idle").raise_for_status().json()["idle"]:
                assert time.monotonic() < deadline, f"the forge is still busy after {timeout} s"
                time.sleep(0.02)


@contextmanager
def judged_forge(
    data: Path, judge: Judge, webhook_judge: WebhookJudge, **options: Any
) -> Iterator[JudgedForge]:
    """Serve a forge on `data` at a free port of 127.0.0.1; `options` go to `forge.app.create_app`."""
    # With its protocol named: only then does asyncio switch Nagle's algorithm off, which costs 40 ms an answer.
    with closing(socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)) as listener:
        listener.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        app = create_app(data, url, **options)
        settings = uvicorn.Config(JudgeMiddleware(app, judge), log_level="warning", access_log=False)
        server = uvicorn.Server(settings)
        thread = threading.Thread(target=asyncio.run, args=(server.serve(sockets=[listener]),), daemon=True)
        thread.start()
        try:
            _wait_until_started(server, thread)
            yield JudgedForge(url, app.state.token, data, app)
        finally:
            server.should_exit = True
            thread.join(_STOP_S)
        assert not thread.is_alive(), f"the forge did not stop within {_STOP_S} s"
    webhook_judge.check_deliveries(data / "forge.sqlite")
    fsck_all(data)


def _wait_until_started(server: uvicorn.Server, thread: threading.Thread) -> None:
    deadline = time.monotonic() + _START_S
    while not server.started:
        assert thread.is_alive(), "the forge did not start; its error is in the log"
        assert time.monotonic() < deadline, f"the forge did not start within {_START_S} s"
        time.sleep(0.005)
