"""Sets the stage: forge, people, repository, App, and the settings that the bot is started with."""

from __future__ import annotations

import json
import os
import re
import selectors
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from bot.demo import source
from bot.demo.hub import Hub
from bot.demo.options import EXAMPLE_REPO, ROOT, Options
from bot.demo.processes import RUN_VARIABLE, Child
from bot.demo.script import DemoScript
from bot.errors import BotError, UserError

BRANCH = "main"
COLLEAGUE = "colleague"  # may write; commits to the default branch where the script says so
REPORTER = "reporter"  # may read; opens the issue
_READY = 90.0  # seconds
_LOOKING = 120.0  # seconds
_LOOK = """\
import asyncio, json
from bot.sandbox import probe
found = asyncio.run(probe())
print(json.dumps([found.level, found.problems]))
"""


@dataclass(frozen=True, slots=True)
class Stage:
    """Everything that the driver acts with."""

    maintainer: Hub
    colleague: Hub
    reporter: Hub
    bot_login: str
    room: Path  # bare repository that the forge's history was pushed from
    settings: Mapping[str, str]
    port: int
    unboxed: str = ""  # why no sandbox holds here

    @property
    def git_url(self) -> str:
        return f"{self.maintainer.url}/{self.maintainer.repo}.git"

    def close(self) -> None:
        """Let go of the connections."""
        for hub in (self.maintainer, self.colleague, self.reporter):
            hub.close()


def environment(run: str, options: Options, settings: Mapping[str, str]) -> dict[str, str]:
    """Give a child the caller's environment, without settings of other runs, marked as this run's."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GITWRIGHT_")}
    path = kept.get("PATH", os.defpath)
    search = [str(ROOT), *filter(None, [kept.get("PYTHONPATH")])]
    return kept | {
        "PATH": f"{options.path_first}{os.pathsep}{path}" if options.path_first else path,
        "PYTHONPATH": os.pathsep.join(search),
        RUN_VARIABLE: run,
        **settings,
    }


def start_forge(run: str, options: Options) -> tuple[Child, str, str]:
    """Start the forge as a process of its own; gives it with its address and the maintainer's token."""
    child = Child(
        [
            sys.executable,
            "-m",
            "forge",
            "--data",
            str(options.out / "forge"),
            "--port",
            str(options.forge_port),
        ],
        env=environment(run, options, {}),
        cwd=options.out,
        log=options.out / "forge.log",
        pipe=True,
    )
    line = _first_line(child)
    if not line:
        child.stop(1)
        raise BotError(f"The forge did not start; see {options.out / 'forge.log'}.")
    ready = json.loads(line)
    return child, ready["url"], ready["token"]


def set_up(options: Options, script: DemoScript, url: str, token: str) -> Stage:
    """Make people, repository and App on an empty forge, and write down the bot's settings."""
    room = options.out / "source.git"
    repo = options.repo or EXAMPLE_REPO
    name = re.sub(r"[^\w.-]+", "-", repo.name.removesuffix(".git")).strip("-.") or "repository"
    sha = source.plant(repo, room) if source.is_plain(repo) else source.borrow(repo, options.base, room)
    maintainer = Hub(url, token)
    maintainer.repo = maintainer.create_repo(name)
    people = {}
    for login, role in ((COLLEAGUE, "write"), (REPORTER, "read")):
        people[login] = Hub(url, maintainer.add_user(login), maintainer.repo)
        maintainer.invite(login, role)
    source.push(room, sha, f"{url}/{maintainer.repo}.git", token, BRANCH)
    maintainer.set_ci(script.ci if script.ci is not None else options.test_command)
    port = _free_port()
    unboxed = without_walls(environment("", options, {}))
    app = maintainer.create_app(_manifest(ROOT / "app.yml", f"http://127.0.0.1:{port}"))
    maintainer.install(app)
    key = options.out / "app.private-key.pem"
    key.touch(mode=0o600)
    key.write_text(app.private_key)
    settings = {
        "GITWRIGHT_GITHUB_API_URL": f"{url}/api/v3",
        "GITWRIGHT_APP_ID": str(app.id),
        "GITWRIGHT_PRIVATE_KEY_PATH": str(key),
        "GITWRIGHT_WEBHOOK_SECRET": app.webhook_secret,
        "GITWRIGHT_DATA_DIR": str(options.out / "bot"),
        "GITWRIGHT_PORT": str(port),
        "GITWRIGHT_SCRIPT": str(options.script),
        "GITWRIGHT_AGENT": options.agent,
        "GITWRIGHT_MODELS": "scripted",
        "GITWRIGHT_WRITE_GAP": "0",
        "GITWRIGHT_EDIT_GAP": "10",  # as anywhere by default, though writes need no gap here
        "GITWRIGHT_ONBOARDING_PULLS": "0",  # the story is about one issue
        "GITWRIGHT_SANDBOX": "none" if unboxed else "medium",
        "GITWRIGHT_DEMO": "true",
    }
    if os.environ.get("DEMO_GRAPHQL") == "off":  # the benchmark compares
        settings["GITWRIGHT_GRAPHQL"] = "false"
    if options.test_command is not None:
        settings["GITWRIGHT_TEST"] = options.test_command
    settings |= options.environment
    write_settings(options.out / "settings.env", settings)
    bot = f"{app.slug}[bot]"
    return Stage(maintainer, people[COLLEAGUE], people[REPORTER], bot, room, settings, port, unboxed)


def write_settings(path: Path, settings: Mapping[str, str]) -> None:
    """Write an .env file that both a shell and python-dotenv read alike; it holds a secret."""
    path.touch(mode=0o600)
    path.write_text("".join(f"{name}={shlex.quote(value)}\n" for name, value in settings.items()))


def without_walls(env: Mapping[str, str]) -> str:
    """Find out as the bot will whether a sandbox holds here; empty where one does, else why none does."""
    look = [sys.executable, "-c", _LOOK]
    try:
        done = subprocess.run(look, capture_output=True, text=True, check=False, timeout=_LOOKING, env=env)
    except subprocess.TimeoutExpired:
        return f"the look at it took longer than {_LOOKING:.0f} seconds"
    if done.returncode:
        return (done.stderr.strip().splitlines() or ["the look at it failed"])[-1]
    level, problems = json.loads(done.stdout.splitlines()[-1])
    return "; ".join(problems) or "no reason is known" if level == "none" else ""


def _manifest(path: Path, url: str) -> dict[str, object]:
    """Read app.yml and point its addresses to this run's bot."""
    try:
        manifest = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"The App's manifest {path} cannot be read: {error.strerror}.") from error
    return {**manifest, "url": url, "hook_attributes": {"url": f"{url}/webhook", "active": True}}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _first_line(child: Child) -> str:
    """Read the line that says a process is ready; empty where it ends or takes too long."""
    stream = child.process.stdout
    assert stream is not None
    with stream, selectors.DefaultSelector() as selector:
        selector.register(stream, selectors.EVENT_READ)
        end = time.monotonic() + _READY
        while child.code is None and time.monotonic() < end:
            if selector.select(0.2):
                return stream.readline().decode().strip()
    return ""
