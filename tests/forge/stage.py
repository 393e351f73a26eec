"""A stage for the forge's own tests: a judged forge with one repository, one App on it, and a receiver of its webhooks."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import jwt

from forge import apps, repositories, tokens
from forge.git import ZERO, Change, Person
from forge.state import Forge
from forge.store import Row
from tests.judges.openapi import Judge
from tests.judges.receiver import Delivery, Receiver, receiving
from tests.judges.served import JudgedForge, judged_forge
from tests.judges.webhooks import WebhookJudge

JsonDict = dict[str, Any]
REPO = "/repos/maintainer/demo"
EVENTS = [
    "check_run",
    "check_suite",
    "issue_comment",
    "issues",
    "pull_request",
    "pull_request_review",
    "push",
    "status",
]
PERMISSIONS = {
    "checks": "write",
    "contents": "write",
    "issues": "write",
    "pull_requests": "write",
    "repository_hooks": "write",
    "statuses": "write",
}


@dataclass(frozen=True, slots=True)
class Stage:
    """A running forge, its parts, and clients of the maintainer and of the installed App."""

    served: JudgedForge
    forge: Forge
    app: Row
    installation: Row
    receiver: Receiver
    person: httpx.Client
    bot: httpx.Client
    as_app: httpx.Client

    @property
    def repo(self) -> Row:
        """The repository `maintainer/demo` as it is now."""
        found = self.forge.repo("maintainer", "demo")
        assert found is not None
        return found

    def commit(self, branch: str, files: dict[str, str], message: str = "Change files") -> str:
        """Push a commit with these files on top of a branch, or of `main` where there is none; returns its id."""
        forge, repo = self.forge, self.repo
        bare = forge.git.of(repo)
        before = bare.ref(f"refs/heads/{branch}")
        parent = before or bare.ref("refs/heads/main")
        changes = [Change(path, bare.write_blob(text.encode())) for path, text in files.items()]
        who = Person("maintainer", "maintainer@users.noreply.github.com", forge.now())
        tree = bare.write_tree(parent, changes)
        sha = bare.commit_tree(tree, [parent] if parent else [], message + "\n", who, who)
        with forge.git.lock(repo):
            assert bare.move(f"refs/heads/{branch}", sha, before or ZERO)
            actor = tokens.user_actor(forge, forge.user_by_id(repo["owner_id"]))
            forge.pushed(repo, f"refs/heads/{branch}", before or ZERO, sha, actor)
        return sha

    def issue(self, title: str = "Parser fails on empty input", **fields: Any) -> JsonDict:
        """Open an issue as the maintainer."""
        answer = self.person.post(f"{REPO}/issues", json={"title": title, **fields}).raise_for_status()
        found: JsonDict = answer.json()
        return found

    def told(self, event: str, action: str | None = None) -> JsonDict:
        """The payload of the first delivery of an event, waited for."""
        delivery = self.receiver.wait(named(event, action))
        found: JsonDict = payload(delivery)
        return found

    def settle(self) -> list[str]:
        """Wait until nothing is pending and return every "event.action" that arrived, in order."""
        self.served.settle()
        return [told_as(delivery) for delivery in self.receiver.deliveries]

    def fault(self, kind: str, **fields: Any) -> None:
        """Switch a fault on."""
        self.person.post("/_test/faults", json={"kind": kind, **fields}).raise_for_status()

    def user(self, login: str, role: str | None = None) -> httpx.Client:
        """A client of a new person, with a role in the repository if one is given."""
        token = self.person.post("/_test/users", json={"login": login}).raise_for_status().json()["token"]
        if role is not None:
            path = f"/_test/repos/maintainer/demo/collaborators/{login}"
            self.person.put(path, json={"role": role}).raise_for_status()
        return self.served.client(token)


def payload(delivery: Delivery) -> JsonDict:
    """What a delivery says."""
    found: JsonDict = json.loads(delivery.body)
    return found


def told_as(delivery: Delivery) -> str:
    """ "event.action", or the event where there is no action."""
    action = payload(delivery).get("action")
    return delivery.event if action is None else f"{delivery.event}.{action}"


def named(event: str, action: str | None = None) -> Callable[[Delivery], bool]:
    """A test for deliveries of one event and action."""
    wanted = event if action is None else f"{event}.{action}"
    return lambda delivery: told_as(delivery) == wanted


@contextmanager
def staged(data: Path, judge: Judge, webhook_judge: WebhookJudge) -> Iterator[Stage]:
    """Set the stage; at the end every delivery has been judged and every repository checked."""
    with receiving() as receiver, judged_forge(data, judge, webhook_judge) as served:
        forge: Forge = served.app.state.forge
        maintainer = forge.user("maintainer")
        assert maintainer is not None
        repo = repositories.create(
            forge, maintainer, "demo", private=True, description="A demo", default_branch="main"
        )
        repositories.initialize(forge, repo, tokens.user_actor(forge, maintainer))
        manifest = apps.Manifest(
            name="Helper",
            url="http://127.0.0.1/",
            hook_attributes=apps.HookAttributes(url=receiver.url),
            default_events=EVENTS,
            default_permissions=PERMISSIONS,
        )
        app = apps.create(forge, manifest, maintainer["id"])
        installation = apps.install(forge, app.row, maintainer, [repo], maintainer)
        token, _ = tokens.mint_installation(forge, app.row, installation, PERMISSIONS, None)
        with (
            served.client() as person,
            served.client(token) as bot,
            served.client(app_token(app.pem, app.row["id"])) as as_app,
        ):
            yield Stage(served, forge, app.row, installation, receiver, person, bot, as_app)


def app_token(pem: str, app_id: int) -> str:
    """A JWT of an App, good for five minutes."""
    now = int(time.time())
    return jwt.encode({"iss": str(app_id), "iat": now - 10, "exp": now + 300}, pem, algorithm="RS256")
