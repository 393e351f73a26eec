"""A running forge for tests: real uvicorn on a loopback port, real git repositories, checked by fsck afterwards."""

import asyncio
import base64
import itertools
import os
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
import uvicorn

from forge.app import Judge, create_app
from tests.judges.openapi import Judge as OpenApiJudge
from tests.judges.webhooks import WebhookJudge
from tests.judges.wrappers import JudgeMiddleware

PERMISSIONS = {
    "metadata": "read",
    "contents": "write",
    "issues": "write",
    "pull_requests": "write",
    "checks": "write",
    "statuses": "write",
}
EVENTS = [
    "issues",
    "issue_comment",
    "pull_request",
    "pull_request_review",
    "push",
    "check_suite",
    "check_run",
]
STARTUP = 60.0


class Running:
    """A forge that serves on a loopback port in a thread of its own."""

    def __init__(self, data: Path, judge: Judge | None = None, rate_limit: int = 1_000_000) -> None:
        self.data = data
        self.robot: Robot | None = None
        self._listener = _listen()
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.app = create_app(data, self.url, judge=judge, rate_limit=rate_limit)
        self.token: str = self.app.state.token
        config = uvicorn.Config(self.app, log_level="warning", lifespan="on", timeout_graceful_shutdown=2)
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._run, name="forge", daemon=True)
        self._thread.start()
        deadline = time.monotonic() + STARTUP
        while not self._server.started:
            assert self._thread.is_alive(), "the forge did not start"
            assert time.monotonic() < deadline, "the forge did not start in time"
            time.sleep(0.01)

    def _run(self) -> None:
        asyncio.run(self._server.serve([self._listener]))

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join(STARTUP)
        assert not self._thread.is_alive(), "the forge did not stop"
        self._listener.close()


def _listen() -> socket.socket:
    # Named as TCP, or asyncio leaves Nagle's algorithm on, and every answer takes 40 ms.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    return listener


@dataclass(frozen=True)
class Person:
    """Somebody with a personal token."""

    login: str
    token: str
    api: httpx.Client


@dataclass(frozen=True)
class Robot:
    """An App as its conversion returned it."""

    id: int
    slug: str
    pem: str
    webhook_secret: str | None
    client_id: str

    def jwt(self, *, issued: int = -10, life: int = 300, issuer: str | None = None) -> str:
        """A token that proves to be the App; seconds from now."""
        now = int(time.time())
        claims = {"iat": now + issued, "exp": now + life, "iss": issuer or str(self.id)}
        return jwt.encode(claims, self.pem, algorithm="RS256")


@dataclass
class ForgeUnderTest:
    """What tests do with a forge; everything that it makes has a name of its own."""

    running: Running
    scratch: Path
    _clients: list[httpx.Client] = field(default_factory=list)
    _repos: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return self.running.url

    @property
    def state(self) -> Any:
        """The `Forge` object itself, for tests beneath HTTP."""
        return self.running.app.state.forge

    @property
    def admin(self) -> httpx.Client:
        """The site administrator's client."""
        return self.client(self.running.token)

    def client(self, token: str | None = None, **headers: str) -> httpx.Client:
        """A REST client with a token (None: anonymous)."""
        auth = {} if token is None else {"authorization": f"Bearer {token}"}
        client = httpx.Client(base_url=self.url, headers={**auth, **headers}, timeout=60, verify=False)
        self._clients.append(client)
        return client

    def create_user(self, login: str | None = None) -> Person:
        """A new person."""
        answer = self.admin.post("/_test/users", json={"login": login or f"person-{_next()}"})
        assert answer.status_code == 201, answer.text
        made = answer.json()
        return Person(made["login"], made["token"], self.client(made["token"]))

    def create_repo(self, owner: Person, *, private: bool = True, auto_init: bool = True) -> str:
        """A new repository's full name."""
        wish = {"name": f"repo-{_next()}", "private": private, "auto_init": auto_init}
        answer = owner.api.post("/user/repos", json=wish)
        assert answer.status_code == 201, answer.text
        name: str = answer.json()["full_name"]
        self._repos.append(name)
        return name

    def set_role(self, repo: str, login: str, role: str) -> None:
        """Makes somebody a collaborator."""
        answer = self.admin.put(f"/_test/repos/{repo}/collaborators/{login}", json={"role": role})
        assert answer.status_code == 204, answer.text

    def create_app(
        self,
        permissions: dict[str, str] | None = None,
        events: list[str] | None = None,
        hook_url: str | None = None,
    ) -> Robot:
        """A new App, made by the manifest flow."""
        manifest: dict[str, Any] = {
            "name": f"robot-{_next()}",
            "url": "http://127.0.0.1/",
            "default_permissions": PERMISSIONS if permissions is None else permissions,
            "default_events": EVENTS if events is None else events,
        }
        if hook_url is not None:
            manifest["hook_attributes"] = {"url": hook_url}
        code = self.admin.post("/_test/app-manifests", json={"manifest": manifest}).json()["code"]
        answer = self.client().post(f"/app-manifests/{code}/conversions")
        assert answer.status_code == 201, answer.text
        made = answer.json()
        return Robot(made["id"], made["slug"], made["pem"], made["webhook_secret"], made["client_id"])

    def install(self, app: Robot, *repos: str) -> int:
        """Installs an App on repositories of one owner; the installation's id."""
        wish = {"repositories": list(repos)}
        answer = self.admin.post(f"/_test/apps/{app.slug}/installations", json=wish)
        assert answer.status_code == 201, answer.text
        number: int = answer.json()["id"]
        return number

    def installation_token(self, app: Robot, installation: int, **wish: Any) -> str:
        """A token of an installation, narrowed to `repositories`, `repository_ids` or `permissions`."""
        client = self.client(app.jwt())
        answer = client.post(f"/app/installations/{installation}/access_tokens", json=wish)
        assert answer.status_code == 201, answer.text
        token: str = answer.json()["token"]
        return token

    def installed(self, repo: str, permissions: dict[str, str] | None = None) -> httpx.Client:
        """The client of an installation on one repository, with these permissions (default: all of `PERMISSIONS`)."""
        # Keys take long to make: all tests share this App, and each narrows its own token.
        if self.running.robot is None:
            self.running.robot = self.create_app()
        app = self.running.robot
        number = self.install(app, repo)
        wish = {"repositories": [repo.split("/")[1]], "permissions": permissions or PERMISSIONS}
        return self.client(self.installation_token(app, number, **wish))

    def put_file(
        self, api: httpx.Client, repo: str, path: str, text: str, branch: str = "main", sha: str | None = None
    ) -> dict[str, Any]:
        """Writes a file by the API and returns the answer."""
        content = base64.b64encode(text.encode()).decode()
        wish = {
            "message": f"Write {path}",
            "content": content,
            "branch": branch,
            **({"sha": sha} if sha else {}),
        }
        answer = api.put(f"/repos/{repo}/contents/{path}", json=wish)
        assert answer.status_code in (200, 201), answer.text
        made: dict[str, Any] = answer.json()
        return made

    def branch(self, api: httpx.Client, repo: str, name: str, start: str = "main") -> str:
        """Makes a branch at another one's head, whose sha it returns."""
        sha: str = api.get(f"/repos/{repo}/git/ref/heads/{start}").json()["object"]["sha"]
        answer = api.post(f"/repos/{repo}/git/refs", json={"ref": f"refs/heads/{name}", "sha": sha})
        assert answer.status_code == 201, answer.text
        return sha

    def open_pull(self, api: httpx.Client, repo: str, head: str = "topic", **more: Any) -> dict[str, Any]:
        """A branch with one new file, and a pull request of it."""
        self.branch(api, repo, head)
        self.put_file(api, repo, f"{head}.txt", "new\n", head)
        answer = api.post(
            f"/repos/{repo}/pulls", json={"title": f"Add {head}", "head": head, "base": "main", **more}
        )
        assert answer.status_code == 201, answer.text
        made: dict[str, Any] = answer.json()
        return made

    def git(
        self, *args: str, cwd: Path | None = None, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """The git command line, without the machine's configuration."""
        env = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.scratch),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_AUTHOR_NAME": "Ada",
            "GIT_AUTHOR_EMAIL": "ada@example.org",
            "GIT_COMMITTER_NAME": "Ada",
            "GIT_COMMITTER_EMAIL": "ada@example.org",
            "LC_ALL": "C",
        }
        return subprocess.run(
            ["git", *args],
            cwd=cwd or self.scratch,
            env=env,
            check=check,
            capture_output=True,
            text=True,
            timeout=60,
        )

    def clone_url(self, repo: str, token: str | None) -> str:
        """Where git clones from, the token as password."""
        address = self.url if token is None else self.url.replace("://", f"://x-access-token:{token}@")
        return f"{address}/{repo}.git"

    def clone(self, repo: str, token: str) -> Path:
        """A clone in a folder of its own."""
        folder = self.scratch / f"clone-{_next()}"
        self.git("clone", "--quiet", self.clone_url(repo, token), str(folder))
        return folder

    def bare(self, repo: str) -> Path:
        """Where the forge keeps a repository."""
        return self.running.data / "repos" / f"{repo}.git"

    def close(self) -> None:
        """Ends the clients, and holds every repository that the test made against fsck."""
        for client in self._clients:
            client.close()
        for repo in self._repos:
            if self.bare(repo).exists():
                done = self.git(
                    f"--git-dir={self.bare(repo)}", "fsck", "--full", "--strict", "--no-dangling", check=False
                )
                assert (done.returncode, done.stdout) == (0, ""), f"{repo}: {done.stdout}{done.stderr}"


_numbers = itertools.count(1)


def _next() -> int:
    return next(_numbers)


@pytest.fixture(scope="session")
def running_forge(
    tmp_path_factory: pytest.TempPathFactory, judge: OpenApiJudge, webhook_judge: WebhookJudge
) -> Iterator[Running]:
    """One forge for the whole run, judged; tests share it and keep to what they made."""
    running = Running(tmp_path_factory.mktemp("forge"), partial(JudgeMiddleware, judge=judge))
    yield running
    running.stop()
    webhook_judge.check_deliveries(running.data / "forge.sqlite")


@pytest.fixture
def forge(running_forge: Running, tmp_path: Path) -> Iterator[ForgeUnderTest]:
    """A forge with helpers; faults are off again afterwards, and its repositories are sound."""
    under_test = ForgeUnderTest(running_forge, tmp_path)
    yield under_test
    running_forge.app.state.forge.faults.clear()
    under_test.close()
