"""A finished run in a folder: a real forge that a pretended bot has used, and the bot's own data as it leaves them."""

import asyncio
import shutil
import sqlite3
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import httpx
import jwt
import pytest

from bot.demo import source, stage
from bot.demo.hub import Hub
from bot.demo.keeper import LIVES
from bot.demo.lives import Life, add_life
from bot.demo.options import Options, Wish, choose
from bot.demo.script import read_script
from bot.engine.store import Store

TRACK = "issue-1"
BACKLOG = """\
version: 1
track: issue-1
issue: 1
tasks:
  - id: T-1
    title: Parse durations in weeks
    status: todo
  - id: T-2
    title: Never begun
    status: dropped
"""


class PlainClock:
    """The machine's time."""

    def now(self) -> datetime:
        return datetime.now(UTC)


class PretendedBot:
    """Does on the forge what the bot would, through its App."""

    def __init__(self, hub: Hub, app_id: str, key: str) -> None:
        now = int(time.time())
        proof = jwt.encode({"iat": now - 30, "exp": now + 300, "iss": app_id}, key, algorithm="RS256")
        http = httpx.Client(base_url=hub.url, trust_env=False, timeout=20)
        bearer = {"Authorization": f"Bearer {proof}"}
        installation = http.get("/app/installations", headers=bearer).json()[0]["id"]
        made = http.post(
            f"/app/installations/{installation}/access_tokens", headers=bearer
        ).raise_for_status()
        self.token = str(made.json()["token"])
        http.headers["Authorization"] = f"Bearer {self.token}"
        self.http = http
        self.repo = hub.repo

    def post(self, path: str, **body: object) -> dict[str, object]:
        answer = self.http.post(f"/repos/{self.repo}{path}", json=body).raise_for_status()
        found = answer.json()
        return found if isinstance(found, dict) else {}

    def comment(self, number: int, body: str) -> None:
        self.post(f"/issues/{number}/comments", body=body)

    def branch(self, room: Path, url: str, name: str, files: dict[str, str]) -> str:
        """Push a branch with one commit on top of the first one; gives its sha."""
        place = room.with_name("pretended")
        who = {
            f"GIT_{role}_{part}": "bot@localhost"
            for role in ("AUTHOR", "COMMITTER")
            for part in ("NAME", "EMAIL")
        }
        source.run_git(["clone", "--quiet", url, str(place)], env=source.login(self.token))
        for path, text in files.items():
            (place / path).parent.mkdir(parents=True, exist_ok=True)
            (place / path).write_text(text)
        source.run_git(["add", "--all"], cwd=place)
        source.run_git(["commit", "--quiet", "-m", name], cwd=place, env=who)
        source.run_git(
            ["push", "--quiet", url, f"HEAD:refs/heads/{name}"], cwd=place, env=source.login(self.token)
        )
        sha = source.run_git(["rev-parse", "HEAD"], cwd=place)
        shutil.rmtree(place)
        return sha


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One run that went well; copy it before changing it."""
    out = tmp_path_factory.mktemp("demo") / "out"
    out.mkdir()
    options = choose(Wish(out=out))
    child, url, token = stage.start_forge(uuid.uuid4().hex, options)
    try:
        _play(options, url, token)
    finally:
        assert child.stop(60) == 0
    asyncio.run(_leave_bot_data(out))
    return out


@pytest.fixture
def run_folder(finished: Path, tmp_path: Path) -> Path:
    """A copy of the finished run, to be tampered with."""
    return Path(shutil.copytree(finished, tmp_path / "out"))


@pytest.fixture
def tamper(run_folder: Path) -> Callable[..., None]:
    """Change the forge's or the bot's database behind their backs."""

    def change(database: str, sql: str, *values: object) -> None:
        with sqlite3.connect(run_folder / database) as connection:
            assert connection.execute(sql, values).rowcount > 0, "nothing was changed"
        connection.close()

    return change


def _play(options: Options, url: str, token: str) -> None:
    scene = stage.set_up(options, read_script(options.script), url, token)
    hub = scene.maintainer
    hub.set_ci(None)
    begun = time.time()
    number = scene.reporter.open_issue("Weeks", "Please.")
    hub.label(number, "agent:plan")
    key = Path(scene.settings["GITWRIGHT_PRIVATE_KEY_PATH"]).read_text()
    bot = PretendedBot(hub, scene.settings["GITWRIGHT_APP_ID"], key)
    bot.post(f"/issues/{number}/reactions", content="eyes")
    for kind in ("status", "plan"):
        bot.comment(number, f"<!-- gitwright:{kind} track={TRACK} -->\nThe {kind}.")
    pulls = [
        (f"agent/{TRACK}/backlog", {f"tasks/{TRACK}/BACKLOG.yaml": BACKLOG}, f"backlog track={TRACK}"),
        (f"agent/{TRACK}/T-1-a1", {"weeks.txt": "7\n"}, f"task track={TRACK} task=T-1 attempt=1"),
    ]
    for branch, files, mark in pulls:
        sha = bot.branch(scene.room, scene.git_url, branch, files)
        bot.post(
            "/check-runs", name="gitwright/backlog", head_sha=sha, status="completed", conclusion="success"
        )
        body = f"<!-- gitwright:{mark} -->\nLook."
        made = bot.post("/pulls", head=branch, base="main", title=branch, body=body)
        hub.merge(int(str(made["number"])), sha)
    bot.comment(number, f"<!-- gitwright:receipt track={TRACK} -->\nThe receipt.")
    bot.post(f"/issues/{number}/labels", labels=["agent:done"])
    bot.http.patch(f"/repos/{hub.repo}/issues/{number}", json={"state": "closed"}).raise_for_status()
    bot.http.delete("/installation/token").raise_for_status()
    bot.http.close()
    scene.close()
    add_life(options.out / LIVES, Life(1, begun - 1, time.time(), "in_order"))


async def _leave_bot_data(out: Path) -> None:
    data = out / "bot"
    for name in ("tasks", "sessions", "mirrors"):
        (data / name).mkdir(parents=True)
    (data / "sessions" / ".owner").write_text("me")
    source.run_git(["clone", "--quiet", "--bare", str(out / "source.git"), str(data / "mirrors" / "1.git")])
    store = await Store.open(f"sqlite:///{data / 'gitwright.sqlite'}", PlainClock())
    try:
        sessions: list[tuple[Literal["planner", "coder"], str | None]] = [
            ("planner", None),
            ("coder", "T-1"),
            ("coder", "T-1"),
        ]
        for kind, task in sessions:
            id_ = uuid.uuid4().hex
            await store.session_opened(id_, kind, f"1/{TRACK}", task, {"dir": str(data / "sessions" / id_)})
            await store.session_deleted(id_, {"checked": ["path"], "leftovers": []})
    finally:
        await store.close()
