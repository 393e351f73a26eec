"""The bot as an App on an emulator of GitHub that others wrote: the whole run, from the label to the receipt.

What the emulator has is used as it is: App JWTs, installation tokens with permissions, repositories, issues, labels,
comments, pull requests and their merges, check runs, git objects, and signed webhooks to the App. `docs/forge.md` lists
where it differs from GitHub's documentation, and what this harness does about it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from bot.core.ids import parse_marker
from bot.demo.leaks import find_leftovers
from bot.demo.processes import RUN_VARIABLE, living
from bot.demo.stage import bubblewrap_works
from tests.emulate import emulator
from tests.emulate.bridge import Bridge
from tests.emulate.gate import Call, Gate, opened
from tests.stories.scripts import BYE, FILES, ONE_TASK, JsonDict
from tests.stories.stage import ok, write_script

ROOT = Path(__file__).parents[2]
APP_ID, INSTALLATION = 4242, 100
CI_ID, CI_INSTALLATION = 4343, 101  # another App, which runs tests
STRANGER, OWNER, BOT = (
    "first",
    "dana",
    "gitwright[bot]",
)  # the emulator takes unknown tokens for its first user
SLUG = f"{OWNER}/greet"
SECRET = "a webhook secret of this test"
PATIENCE = 60.0  # seconds until something that must happen counts as not happening

pytestmark = pytest.mark.long


@dataclass(frozen=True, slots=True)
class World:
    """The emulator, the gate before it, and the maintainer, who goes past the gate."""

    api: httpx.Client
    gate: Gate
    bridge: Bridge
    front: str  # the gate's address
    port: int  # where the bot listens
    key: str

    @property
    def run(self) -> str:
        """What the bot's processes carry."""
        return f"emulate-{self.port}"

    def get(self, path: str) -> Any:
        return ok(self.api.get(f"/repos/{SLUG}/{path}"))

    def comments(self, number: int) -> list[JsonDict]:
        return list(self.get(f"issues/{number}/comments?per_page=100"))

    def said(self, number: int, kind: str) -> list[JsonDict]:
        """The bot's comments of a kind."""
        found = []
        for each in self.comments(number):
            marker = parse_marker(each["body"])
            if marker is not None and marker.kind == kind:
                found.append(each)
        return found

    def text(self, path: str, ref: str) -> str:
        return base64.b64decode(self.get(f"contents/{path}?ref={ref}")["content"]).decode()

    def tell(self, event: str, payload: JsonDict) -> None:
        """Deliver what GitHub delivers and the emulator does not, signed as the emulator's deliveries are."""
        told = payload | {
            "repository": ok(self.api.get(f"/repos/{SLUG}")),
            "sender": ok(self.api.get("/user")),
        }
        body = json.dumps(told | {"installation": {"id": INSTALLATION}}).encode()
        signature = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
        headers = {
            "X-GitHub-Event": event,
            "X-GitHub-Delivery": str(uuid.uuid4()),
            "X-Hub-Signature-256": f"sha256={signature}",
            "Content-Type": "application/json",
        }
        ok(
            httpx.post(
                f"http://127.0.0.1:{self.port}/webhook", content=body, headers=headers, trust_env=False
            )
        )

    def merge(self, number: int) -> None:
        """Merge as the maintainer, so that git has the merge when it is told, as on GitHub."""
        before = self.get("git/ref/heads/main")["object"]["sha"]
        with self.gate.still():
            ok(self.api.put(f"/repos/{SLUG}/pulls/{number}/merge", json={"merge_method": "merge"}))
            after = self.bridge.copy_back("ghp_dana", "main")
        self.tell("push", {"ref": "refs/heads/main", "before": before, "after": after, "commits": []})

    def test(self, branch: str, sha: str) -> None:
        """Report green tests of a commit, as a CI that is an App does."""
        now = int(time.time())
        claims = {"iat": now - 60, "exp": now + 300, "iss": str(CI_ID)}
        signed = {"Authorization": f"Bearer {jwt.encode(claims, self.key, algorithm='RS256')}"}
        minted = self.api.post(f"/app/installations/{CI_INSTALLATION}/access_tokens", headers=signed)
        theirs = {"Authorization": f"Bearer {ok(minted)['token']}"}
        wanted = {"name": "tests", "head_sha": sha, "status": "in_progress"}
        run = ok(self.api.post(f"/repos/{SLUG}/check-runs", json=wanted, headers=theirs))
        done = {"status": "completed", "conclusion": "success"}
        ok(self.api.patch(f"/repos/{SLUG}/check-runs/{run['id']}", json=done, headers=theirs))
        suite = self.get(f"check-suites/{run['check_suite']['id']}")
        told = suite | {"head_branch": branch, "app": {"id": CI_ID, "slug": "ci"}}
        self.tell("check_suite", {"action": "completed", "check_suite": told})


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    if reason := emulator.PACKAGES.missing():
        pytest.skip(reason)
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    ).decode()
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with emulator.running(tmp_path, _seed(private, port)) as url:
        api = httpx.Client(base_url=url, headers={"Authorization": "Bearer ghp_dana"}, timeout=30)
        bridge = Bridge(tmp_path / "git", SLUG, url)
        gate = Gate(url, APP_ID, public.decode(), bridge)
        with api, opened(gate) as front:
            yield World(api, gate, bridge, front, port, private)


def _seed(private: str, port: int) -> JsonDict:
    app = yaml.safe_load((ROOT / "app.yml").read_text())
    made = {
        "app_id": APP_ID,
        "slug": BOT.removesuffix("[bot]"),
        "name": "Gitwright",
        "private_key": private,
        "permissions": app["default_permissions"],
        "events": app["default_events"],
        "webhook_url": f"http://127.0.0.1:{port}/webhook",
        "webhook_secret": SECRET,
        "installations": [{"installation_id": INSTALLATION, "account": OWNER, "repository_selection": "all"}],
    }
    ci = {
        "app_id": CI_ID,
        "slug": "ci",
        "name": "CI",
        "private_key": private,
        "permissions": {"checks": "write", "metadata": "read"},
        "events": [],
        "installations": [
            {"installation_id": CI_INSTALLATION, "account": OWNER, "repository_selection": "all"}
        ],
    }
    users = [{"login": login} for login in (STRANGER, OWNER, BOT)]
    tokens = {"ghp_dana": {"login": OWNER, "scopes": ["repo", "user"]}}
    return {"tokens": tokens, "github": {"users": users, "apps": [made, ci]}}


@contextmanager
def serving(world: World, tmp: Path) -> Iterator[None]:
    """The bot as a process of its own, until it ends in order."""
    script = write_script(tmp / "script", ONE_TASK, {"bye.patch": BYE})
    settings: Mapping[str, str] = {
        "GITHUB_API_URL": world.front,
        "GITHUB_GIT_URL": f"{world.front}/beside/{{owner}}/{{repo}}.git",
        "APP_ID": str(APP_ID),
        "PRIVATE_KEY": world.key,
        "WEBHOOK_SECRET": SECRET,
        "DATA_DIR": str(tmp / "bot"),
        "PORT": str(world.port),
        "SCRIPT": str(script),
        "AGENT": "scripted",
        "MODELS": "scripted",
        "WRITE_GAP": "0",
        "SANDBOX": "medium" if bubblewrap_works() else "none",
    }
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GITWRIGHT_")}
    environment = {
        **kept,
        **{f"GITWRIGHT_{name}": value for name, value in settings.items()},
        "PYTHONPATH": str(ROOT),
        RUN_VARIABLE: world.run,
    }
    log = tmp / "bot.log"
    with log.open("wb") as output:
        command = [sys.executable, "-m", "bot", "serve"]
        process = subprocess.Popen(
            command, env=environment, cwd=tmp, stdout=output, stderr=output, start_new_session=True
        )
    try:
        until(
            "the bot is ready",
            lambda: answers(world.port) or (process.poll() is not None and log.read_text()),
        )
        yield
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0, log.read_text()
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(10)


def answers(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=5, trust_env=False).is_success
    except httpx.TransportError:
        return False


def until(what: str, look: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + PATIENCE
    while not (found := look()):
        assert time.monotonic() < deadline, f"did not happen within {PATIENCE:g} s: {what}"
        time.sleep(0.1)
    return found


def plant(world: World, tmp: Path) -> None:
    """Make the repository and push its first commit, as its owner does."""
    ok(world.api.post("/user/repos", json={"name": "greet", "private": True, "auto_init": False}))
    work = tmp / "work"
    for path, text in FILES.items():
        (work / path).parent.mkdir(parents=True, exist_ok=True)
        (work / path).write_text(text)
    who = ["-c", "user.name=Dana", "-c", "user.email=dana@example.invalid"]
    for command in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-q", "-m", "Begin"]):
        subprocess.run(["git", *who, *command], cwd=work, check=True, timeout=60, capture_output=True)
    world.bridge.git("fetch", "-q", str(work), "main:main")
    world.bridge.copy("ghp_dana")


def test_the_bot_goes_from_the_label_to_the_receipt_on_an_emulator_that_others_wrote(
    world: World, tmp_path: Path
) -> None:
    plant(world, tmp_path)
    issue = ok(world.api.post(f"/repos/{SLUG}/issues", json={"title": "Say goodbye too", "body": "Say bye."}))
    number = issue["number"]
    with serving(world, tmp_path):
        assert living(world.run)
        backlog = _to_review(world, number)
        _assert_backlog(world, number, backlog)
        world.merge(backlog["number"])
        pull = _to_task_pull(world, number)
        world.test(pull["head"]["ref"], pull["head"]["sha"])
        status = until(
            "green checks are seen",
            lambda: _holding(world.said(number, "status"), f"checks of `#{pull['number']}` are green"),
        )
        assert "because: tests (" in status, status  # and not because of its own check
        world.merge(pull["number"])
        until("the issue is closed", lambda: world.get(f"issues/{number}")["state"] == "closed")
        until("the label of the end", lambda: "agent:done" in _labels(world, number))
        until("the status of the end", lambda: _holding(world.said(number, "status"), "### Gitwright: Done"))
        until(
            "a sweep for lost deliveries",
            lambda: "/app/hook/deliveries" in {c.path for c in world.gate.calls},
        )
        _assert_record(world, number, pull)
    _assert_nothing_is_left(world, tmp_path)
    _assert_every_call_is_the_bots(world.gate)
    logged = (tmp_path / "bot.log").read_text()
    assert "sweep_failed" not in logged
    assert "Traceback" not in logged


def _to_review(world: World, number: int) -> JsonDict:
    """Label the issue and wait for the backlog's pull request."""
    ok(world.api.post(f"/repos/{SLUG}/labels", json={"name": "agent:plan", "color": "0052cc"}))
    ok(world.api.post(f"/repos/{SLUG}/issues/{number}/labels", json={"labels": ["agent:plan"]}))
    pull: JsonDict = until("a pull request", lambda: world.get("pulls"))[0]
    until("its check", lambda: _check(world, pull["head"]["sha"], "gitwright/backlog"))
    until("the label of review", lambda: "agent:review" in _labels(world, number))
    return pull


def _assert_backlog(world: World, number: int, pull: JsonDict) -> None:
    assert (pull["user"]["login"], pull["head"]["ref"]) == (BOT, f"agent/issue-{number}/backlog")
    assert world.bridge.git("rev-parse", pull["head"]["ref"]).decode().strip() == pull["head"]["sha"]
    backlog = yaml.safe_load(world.text(f"tasks/issue-{number}/BACKLOG.yaml", pull["head"]["ref"]))
    assert [(task["title"], task["status"]) for task in backlog["tasks"]] == [("Say goodbye", "todo")]
    for kind in ("status", "plan"):
        said = world.said(number, kind)
        assert [each["user"]["login"] for each in said] == [BOT], kind
    assert f"#{pull['number']}" in world.said(number, "status")[0]["body"]


def _to_task_pull(world: World, number: int) -> JsonDict:
    """Wait for the task's pull request and its check."""
    pull: JsonDict = until("the task's pull request", lambda: world.get("pulls"))[0]
    assert (pull["user"]["login"], pull["head"]["ref"]) == (BOT, f"agent/issue-{number}/T-1-a1")
    until("its check", lambda: _check(world, pull["head"]["sha"], "gitwright/task"))
    until("the label of work", lambda: "agent:working" in _labels(world, number))
    changed = world.get(f"compare/main...{pull['head']['sha']}")["files"]
    files = {each["filename"] for each in changed}
    assert files == {"src/bye.py", "tests/test_bye.py", f"tasks/issue-{number}/BACKLOG.yaml"}
    return pull


def _assert_record(world: World, number: int, pull: JsonDict) -> None:
    """The merged branch is the record, and each text was posted once."""
    backlog = yaml.safe_load(world.text(f"tasks/issue-{number}/BACKLOG.yaml", "main"))
    assert [task["status"] for task in backlog["tasks"]] == ["done"]
    assert "def bye" in world.text("src/bye.py", "main")
    said = [parse_marker(each["body"]) for each in world.comments(number)]
    assert sorted(each.kind if each else "other" for each in said) == ["plan", "receipt", "status"]
    receipt = world.said(number, "receipt")[0]["body"]
    assert re.search(r"Nothing is left behind: 4 agent sessions were deleted, each with proof", receipt), (
        receipt
    )
    assert {each["number"]: each["merged"] for each in _pulls(world)} == {
        pull["number"] - 1: True,
        pull["number"]: True,
    }


def _assert_nothing_is_left(world: World, tmp: Path) -> None:
    assert world.gate.held == 0, "a token outlived the bot"
    assert not living(world.run), "a process outlived the bot"
    assert find_leftovers(tmp / "bot") == []
    with closing(sqlite3.connect(tmp / "bot" / "gitwright.sqlite")) as database:
        sessions = database.execute("SELECT count(*), count(deleted_at) FROM sessions").fetchone()
        assert sessions == (4, 4)
    world.bridge.git("fsck", "--strict")


def test_the_gate_sees_what_the_emulator_does_not(world: World) -> None:
    for token, caller in (("ghs_made_up", "unknown"), ("eyJ.eyJ.x", "unknown"), ("", "nobody")):
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        answer = httpx.get(f"{world.front}/user", headers=headers, timeout=10)
        assert world.gate.calls[-1].caller == caller
        if token.startswith("ghs_"):
            assert answer.json()["login"] == STRANGER  # which is why there is a gate
    refused = httpx.get(
        f"{world.front}/beside/{SLUG}.git/info/refs?service=git-upload-pack",
        auth=("x", "ghs_made_up"),
        timeout=10,
    )
    assert refused.status_code == 401
    with pytest.raises(AssertionError, match="unknown"):
        _assert_every_call_is_the_bots(world.gate)


def _check(world: World, sha: str, name: str) -> bool:
    runs = world.get(f"commits/{sha}/check-runs")["check_runs"]
    return any(run["name"] == name and run["status"] == "completed" for run in runs)


def _labels(world: World, number: int) -> set[str]:
    return {each["name"] for each in world.get(f"issues/{number}")["labels"]}


def _pulls(world: World) -> list[JsonDict]:
    return list(world.get("pulls?state=all&per_page=100"))


def _holding(comments: list[JsonDict], text: str) -> str | None:
    return next((each["body"] for each in comments if text in each["body"]), None)


def _assert_every_call_is_the_bots(gate: Gate) -> None:
    """Each call carries a JWT of the App or a token that was issued to it, and what is a JWT's is done with one."""
    wrong = [call for call in gate.calls if call.caller != _expected(call)]
    assert not wrong, [(call.method, call.path, call.caller, call.status) for call in wrong]
    writes = [call for call in gate.calls if call.path.endswith("git-receive-pack") and call.method == "POST"]
    assert writes
    assert all(dict(call.may).keys() == {"contents", "metadata"} for call in writes)


def _expected(call: Call) -> str:
    return "jwt" if call.path == "/app" or call.path.startswith("/app/") else "token"
