"""A real forge as a process of its own, an App on it, and a fresh repository for each test."""

from __future__ import annotations

import base64
import itertools
import json
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from bot.core.values import Repo
from bot.forges import FORGES
from bot.ports import Forge

PERMISSIONS = {
    "metadata": "read",
    "contents": "write",
    "issues": "write",
    "pull_requests": "write",
    "actions": "read",
    "checks": "write",
    "statuses": "read",
}
MODES = ("app", "token")
MARKER = "<!-- gitwright:status track=issue-1 -->"
_numbers = itertools.count(1)


@dataclass
class RunningForge:
    """What a person, and whoever runs the server, can do with the forge."""

    url: str
    token: str
    data: Path
    client: httpx.Client
    app: dict[str, Any] = field(default_factory=dict)

    def call(self, method: str, path: str, body: Any = None, token: str | None = None) -> Any:
        headers = {"authorization": f"Bearer {token or self.token}"}
        answer = self.client.request(method, self.url + path, json=body, headers=headers)
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    def fault(self, kind: str, route: str, **more: Any) -> None:
        self.call("POST", "/_test/faults", {"kind": kind, "route": route, **more})

    def put_file(self, slug: str, path: str, text: str, branch: str) -> str:
        content = base64.b64encode(text.encode()).decode()
        wish = {"message": f"Write {path}", "content": content, "branch": branch}
        sha: str = self.call("PUT", f"/repos/{slug}/contents/{path}", wish)["commit"]["sha"]
        return sha

    def branch(self, slug: str, name: str) -> str:
        """Makes a branch with one new file; its sha."""
        base = self.call("GET", f"/repos/{slug}/git/ref/heads/main")["object"]["sha"]
        self.call("POST", f"/repos/{slug}/git/refs", {"ref": f"refs/heads/{name}", "sha": base})
        return self.put_file(slug, f"{name.replace('/', '-')}.txt", "new\n", name)

    def issue(self, slug: str, title: str = "Title", body: str = "Body") -> int:
        number: int = self.call("POST", f"/repos/{slug}/issues", {"title": title, "body": body})["number"]
        return number

    def requests(self) -> list[dict[str, Any]]:
        text = (self.data / "requests.jsonl").read_text(encoding="utf-8")
        return [json.loads(line) for line in text.splitlines()]

    def unrevoked(self) -> int:
        """Counts the App's tokens that are still good, as the forge's own records have it."""
        with sqlite3.connect(self.data / "forge.sqlite") as db:
            sql = "SELECT count(*) FROM tokens WHERE kind = 'installation' AND revoked_at IS NULL"
            (count,) = db.execute(sql).fetchone()
        db.close()
        return int(count)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningForge]:
    data = tmp_path_factory.mktemp("forge")
    with (data / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "forge", "--data", str(data), "--port", "0"],
            stdout=subprocess.PIPE,
            stderr=log,
            cwd=Path(__file__).parents[2],
        )
        try:
            assert process.stdout is not None
            ready = json.loads(process.stdout.readline() or b"{}")
            assert ready, (data / "log").read_text(encoding="utf-8")
            client = httpx.Client(timeout=30, verify=False)
            running = RunningForge(ready["url"], ready["token"], data, client)
            manifest = {
                "name": "robot",
                "url": "http://127.0.0.1/",
                "hook_attributes": {
                    "url": "http://127.0.0.1:9/webhook"
                },  # nobody listens: every delivery fails
                "default_permissions": PERMISSIONS,
                "default_events": ["issues"],
            }
            code = running.call("POST", "/_test/app-manifests", {"manifest": manifest})["code"]
            running.app = running.call("POST", f"/app-manifests/{code}/conversions")
            yield running
            client.close()
        finally:
            process.terminate()
            process.wait(60)
            if process.stdout:
                process.stdout.close()


@pytest.fixture(params=MODES)
def mode(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def a_forge(server: RunningForge, mode: str, **more: Any) -> Forge:
    """The adapter under test, pointed at the running forge."""
    url = server.url + ("/api/v3" if mode == "app at /api/v3" else "")
    if mode == "token":
        return FORGES["github"](url, token=server.token, write_gap=0, **more)
    return FORGES["github"](
        url, app_id=str(server.app["id"]), private_key=server.app["pem"], write_gap=0, **more
    )


@pytest.fixture
async def forge(server: RunningForge, mode: str) -> AsyncIterator[Forge]:
    made = a_forge(server, mode)
    yield made
    await made.aclose()
    server.call("DELETE", "/_test/faults")


@pytest.fixture
def repo(server: RunningForge, mode: str) -> Repo:
    name = f"repo-{next(_numbers)}"
    made = server.call("POST", "/user/repos", {"name": name, "private": True, "auto_init": True})
    wish = {"repositories": [made["full_name"]]}
    installation = server.call("POST", f"/_test/apps/{server.app['slug']}/installations", wish)["id"]
    owner = made["owner"]["login"]
    return Repo(made["id"], owner, name, "main", True, None if mode == "token" else installation)
