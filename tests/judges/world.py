"""Everybody who talks to a forge in the conformance tests: its administrator, another person, an App, its bot."""

import base64
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import jwt

from tests.judges.openapi import Judge
from tests.judges.served import JudgedForge, judged_forge
from tests.judges.webhooks import WebhookJudge

JsonDict = dict[str, Any]

OWNER = "maintainer"
NOWHERE = "http://127.0.0.1:9/webhook"  # nobody listens: deliveries are stored and judged, and fail
EVENTS = [
    "check_run",
    "check_suite",
    "issue_comment",
    "issues",
    "pull_request",
    "pull_request_review",
    "pull_request_review_comment",
    "push",
    "repository",
    "status",
]
PERMISSIONS = {
    "administration": "write",
    "checks": "write",
    "contents": "write",
    "issues": "write",
    "metadata": "read",
    "pull_requests": "write",
    "repository_hooks": "write",
    "statuses": "write",
    "actions": "read",
}


@dataclass(frozen=True, slots=True)
class World:
    """A forge with a repository `maintainer/walk`, on which the App `judged-app` is installed."""

    forge: JudgedForge
    admin: httpx.Client  # owner of the repository and administrator of the forge
    alice: httpx.Client  # a collaborator with the role write
    stranger: httpx.Client  # a user without any role
    app: httpx.Client  # the App by its JSON web token
    bot: httpx.Client  # the App's installation by its token
    app_id: int
    slug: str
    pem: str
    webhook_secret: str
    installation_id: int
    repo: str = f"/repos/{OWNER}/walk"

    def new_repo(self, name: str) -> str:
        """Create a private repository with one commit; returns its path in the API."""
        body = {"name": name, "private": True, "auto_init": True}
        call(self.admin, "POST", "/user/repos", 201, json=body)
        return f"/repos/{OWNER}/{name}"

    def put_file(self, repo: str, path: str, text: str, branch: str = "main") -> str:
        """Commit a new file to a branch; returns the sha of the commit."""
        body = {"message": f"Write {path}", "content": encoded(text), "branch": branch}
        done = call(self.admin, "PUT", f"{repo}/contents/{path}", 201, json=body)
        return str(done["commit"]["sha"])

    def head(self, repo: str, branch: str = "main") -> str:
        """The sha that a branch points to."""
        found = call(self.admin, "GET", f"{repo}/git/ref/heads/{branch}")
        return str(found["object"]["sha"])

    def new_branch(self, repo: str, name: str, sha: str | None = None) -> None:
        """Create a branch at `sha`, by default at the head of main."""
        body = {"ref": f"refs/heads/{name}", "sha": sha or self.head(repo)}
        call(self.admin, "POST", f"{repo}/git/refs", 201, json=body)

    def new_pull(self, repo: str, branch: str, **body: str) -> JsonDict:
        """Open a pull request of a new branch that adds one file."""
        self.new_branch(repo, branch)
        self.put_file(repo, f"{branch.replace('/', '-')}.txt", f"{branch}\n", branch)
        asked = {"title": f"Add {branch}", "head": branch, "base": "main", "body": "Words.", **body}
        opened: JsonDict = call(self.admin, "POST", f"{repo}/pulls", 201, json=asked)
        return opened


@contextmanager
def world(data: Path, judge: Judge, webhook_judge: WebhookJudge, hook_url: str) -> Iterator[World]:
    """A judged forge with everybody in it; the App's webhooks go to `hook_url`."""
    with judged_forge(data, judge, webhook_judge) as forge, ExitStack() as stack:
        admin = stack.enter_context(forge.client())
        alice, stranger = (
            stack.enter_context(_person(forge, admin, login)) for login in ("alice", "mallory")
        )
        call(admin, "POST", "/user/repos", 201, json={"name": "walk", "private": True, "auto_init": True})
        call(admin, "PUT", f"/_test/repos/{OWNER}/walk/collaborators/alice", None, json={"role": "write"})
        made = _make_app(admin, hook_url)
        app = stack.enter_context(forge.client(json_web_token(made["id"], made["pem"])))
        installed = call(
            admin,
            "POST",
            f"/_test/apps/{made['slug']}/installations",
            None,
            json={"repositories": [f"{OWNER}/walk"]},
        )
        token = call(app, "POST", f"/app/installations/{installed['id']}/access_tokens", 201)
        bot = stack.enter_context(forge.client(token["token"]))
        yield World(
            forge,
            admin,
            alice,
            stranger,
            app,
            bot,
            made["id"],
            made["slug"],
            made["pem"],
            made["webhook_secret"],
            installed["id"],
        )
        forge.settle()


def call(client: httpx.Client, method: str, path: str, expected: int | None = 200, **options: Any) -> Any:
    """One call; AssertionError unless it is answered with `expected` (None: any 2xx). Returns the JSON."""
    answer = client.request(method, path, **options)
    fits = answer.is_success if expected is None else answer.status_code == expected
    assert fits, f"{method} {path} -> {answer.status_code}, not {expected or '2xx'}: {answer.text[:500]}"
    is_json = answer.headers.get("content-type", "").startswith("application/json")
    return answer.json() if answer.content and is_json else None


def refused(client: httpx.Client, method: str, path: str, status: int, **options: Any) -> str:
    """The message of a refusal with `status`, and the messages of its errors after it."""
    body = call(client, method, path, status, **options)
    errors = [each.get("message", "") if isinstance(each, dict) else each for each in body.get("errors", ())]
    return " | ".join([body["message"], *filter(None, errors)])


def json_web_token(app_id: int, pem: str, lifetime: int = 540, issued: int = -30) -> str:
    """What an App calls with; valid from `issued` seconds from now for `lifetime` seconds."""
    now = int(time.time())
    return jwt.encode(
        {"iss": str(app_id), "iat": now + issued, "exp": now + lifetime}, pem, algorithm="RS256"
    )


def encoded(text: str) -> str:
    """`text` as the contents API wants it."""
    return base64.b64encode(text.encode()).decode()


def _person(forge: JudgedForge, admin: httpx.Client, login: str) -> httpx.Client:
    made = call(admin, "POST", "/_test/users", None, json={"login": login})
    return forge.client(made["token"])


def _make_app(admin: httpx.Client, hook_url: str) -> JsonDict:
    manifest = {
        "name": "Judged App",
        "url": "https://forge.test/judged-app",
        "hook_attributes": {"url": hook_url, "active": True},
        "redirect_url": "https://forge.test/setup",
        "public": False,
        "default_permissions": PERMISSIONS,
        "default_events": EVENTS,
    }
    code = call(admin, "POST", "/_test/app-manifests", None, json={"manifest": manifest})["code"]
    made: JsonDict = call(admin, "POST", f"/app-manifests/{code}/conversions", 201)
    return made
