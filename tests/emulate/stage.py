"""Where the whole run plays: the emulator with a gate before it and git beside it, a maintainer, a CI, and the bot's process."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import jwt
import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from bot.core.ids import parse_marker
from bot.demo.processes import RUN_VARIABLE
from bot.demo.stage import without_walls
from tests.emulate import emulator
from tests.emulate.bridge import Bridge
from tests.emulate.gate import Gate, opened
from tests.stories.scripts import BYE, BYE_TASK, FILES, JsonDict, agreed, does, new_file, task, writes
from tests.stories.stage import kept_port, ok, write_script

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
SHOUT_TASK = task("b", "Greet loudly with a shout", ["src/shout.py"], depends_on=["a"])
TWO_TASKS: JsonDict = {
    "planners": agreed(BYE_TASK, SHOUT_TASK),
    "tasks": [does("goodbye", writes("bye.patch")), does("shout", writes("shout.patch"))],
}
PATCHES = {
    "bye.patch": BYE,
    "shout.patch": new_file("src/shout.py", "def shout(name):\n    return name.upper()\n"),
}
PATIENCE = 60.0  # seconds until something that must happen counts as not happening


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


@contextmanager
def opened_world(tmp: Path) -> Iterator[World]:
    """Start the emulator and the gate, with the bot's App and that of a CI installed for the maintainer."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    ).decode()
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    with kept_port() as port, emulator.running(tmp, _seed(private, port)) as url:
        api = httpx.Client(base_url=url, headers={"Authorization": "Bearer ghp_dana"}, timeout=30)
        bridge = Bridge(tmp / "git", SLUG, url)
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
    script = write_script(tmp / "script", TWO_TASKS, PATCHES)
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
        "SANDBOX": "none" if without_walls(os.environ) else "medium",
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
        assert process.wait(60) == 0, log.read_text()
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(60)


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
