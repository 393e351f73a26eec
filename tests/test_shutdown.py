"""The real process asked to end: in order at the first signal, at once at the second, and the work goes on later."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from bot.demo.stage import without_walls
from tests.judges.openapi import Judge
from tests.judges.served import JudgedForge, judged_forge
from tests.judges.webhooks import WebhookJudge
from tests.stories import stage
from tests.stories.scripts import BYE, BYE_TASK, FILES, JsonDict, agreed, does, writes

_REPO = Path(__file__).parents[1]
_REPO_PATH = f"/repos/{stage.OWNER}/{stage.REPO}"
_PROMISED = 15.0  # seconds in which the bot ends in order
_WATCHDOG = "Timeout (0:00:14)"  # what the docs promise, as Python tells that it is over
_AT_ONCE = 5.0  # seconds
_PATIENCE = 60.0  # seconds until something that must happen counts as not happening

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="does not apply: needs /proc")


def _script(behave: str) -> JsonDict:
    return {"planners": agreed(BYE_TASK), "tasks": [does("goodbye", writes("bye.patch", behave=behave))]}


def _until(what: str, look: Callable[[], Any], patience: float = _PATIENCE) -> Any:
    deadline = time.monotonic() + patience
    while not (found := look()):
        assert time.monotonic() < deadline, f"did not happen within {patience:g} s: {what}"
        time.sleep(0.1)
    return found


def _descendants(ancestor: int) -> dict[int, str]:
    """Give the living descendants of a process with their command lines."""
    parents, lines = {}, {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text(errors="replace").rpartition(")")[2].split()
                line = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if fields[0] not in "ZX":
                parents[int(entry.name)] = int(fields[1])
                lines[int(entry.name)] = line.replace(b"\0", b" ").decode(errors="replace")
    found: set[int] = set()
    level = {ancestor}
    while level:
        level = {pid for pid, parent in parents.items() if parent in level} - found
        found |= level
    return {pid: lines[pid] for pid in found}


def _alive(known: Mapping[int, str]) -> dict[int, str]:
    """Give those of these processes that still live; an id that another program has by now does not count."""
    found = {}
    for pid, line in known.items():
        try:
            fields = (
                (Path("/proc") / str(pid) / "stat").read_text(errors="replace").rpartition(")")[2].split()
            )
            now = (
                (Path("/proc") / str(pid) / "cmdline")
                .read_bytes()
                .replace(b"\0", b" ")
                .decode(errors="replace")
            )
        except OSError:
            continue
        if fields[0] not in "ZX" and now == line:
            found[pid] = line[:120]
    return found


@dataclass(frozen=True, slots=True)
class Place:
    """A forge with a repository, the bot's settings for it, and the maintainer's connection."""

    forge: JudgedForge
    api: httpx.Client
    data: Path
    script: Path
    environment: Mapping[str, str]
    log: Path

    def label_an_issue(self) -> None:
        made = stage.ok(
            self.api.post(f"{_REPO_PATH}/issues", json={"title": "Say goodbye", "body": "Please."})
        )
        stage.ok(
            self.api.post(f"{_REPO_PATH}/issues/{made['number']}/labels", json={"labels": ["agent:plan"]})
        )

    def pulls(self, part: str) -> list[JsonDict]:
        """Give the open pull requests whose branch holds this."""
        pulls = stage.ok(self.api.get(f"{_REPO_PATH}/pulls", params={"state": "open"}))
        return [pull for pull in pulls if part in pull["head"]["ref"]]

    def pull(self, part: str) -> JsonDict:
        return dict(_until(f"a pull request from {part}", lambda: self.pulls(part))[0])

    def merge(self, pull: JsonDict) -> None:
        stage.ok(self.api.put(f"{_REPO_PATH}/pulls/{pull['number']}/merge", json={"merge_method": "merge"}))

    def behaves(self, behave: str) -> None:
        """Write the script in which the agent behaves so; the bot reads it when it starts."""
        self.script.write_text(yaml.safe_dump(_script(behave)))

    def sessions(self) -> list[str]:
        return [path.name for path in (self.data / "sessions").iterdir() if path.name != ".owner"]

    def worktrees(self) -> list[str]:
        return (
            [path.name for path in (self.data / "tasks").iterdir()] if (self.data / "tasks").exists() else []
        )

    def tokens(self) -> list[str]:
        """Name the installation tokens that still open something."""
        with closing(sqlite3.connect(self.forge.data / "forge.sqlite", timeout=60)) as connection:
            rows = connection.execute(
                "SELECT id FROM tokens WHERE kind = 'installation' AND revoked_at IS NULL ORDER BY id"
            )
            return [str(row[0]) for row in rows]

    def open_sessions(self) -> list[str]:
        with closing(sqlite3.connect(self.data / "gitwright.sqlite", timeout=60)) as connection:
            return [row[0] for row in connection.execute("SELECT id FROM sessions WHERE deleted_at IS NULL")]


@pytest.fixture
def place(tmp_path: Path, judge: Judge, webhook_judge: WebhookJudge) -> Iterator[Place]:
    script = stage.write_script(tmp_path / "script", _script("stall"), {"bye.patch": BYE})
    with (
        stage.kept_port() as port,
        judged_forge(tmp_path / "forge", judge, webhook_judge) as forge,
        forge.client() as api,
    ):
        app = stage.prepare(forge, port, FILES, None, tmp_path)
        settings = {
            "GITHUB_API_URL": forge.url,
            "APP_ID": str(app["id"]),
            "PRIVATE_KEY": app["pem"],
            "WEBHOOK_SECRET": app["webhook_secret"],
            "DATA_DIR": str(tmp_path / "bot"),
            "PORT": str(port),
            "SCRIPT": str(script),
            "AGENT": "scripted",
            "MODELS": "scripted",
            "WRITE_GAP": "0",
            "SANDBOX": "none" if without_walls(os.environ) else "medium",
        }
        kept = {name: value for name, value in os.environ.items() if not name.startswith("GITWRIGHT_")}
        mine = {f"GITWRIGHT_{name}": value for name, value in settings.items()}
        environment = {**kept, **mine, "PYTHONPATH": str(_REPO)}
        yield Place(forge, api, tmp_path / "bot", script, environment, tmp_path / "bot.log")


class Serving:
    """The bot's process, and all that it started."""

    def __init__(self, place: Place, process: subprocess.Popen[bytes]) -> None:
        self.place = place
        self.process = process

        self._url = f"http://127.0.0.1:{place.environment['GITWRIGHT_PORT']}/healthz"

    def ready(self) -> None:
        def look() -> bool:
            assert self.process.poll() is None, self.place.log.read_text()
            return self.answers()

        _until("the bot is ready", look)

    def works(self) -> None:
        """Wait until the agent works in its box."""
        pid = self.process.pid
        _until("an agent at work", lambda: any("worker.py" in line for line in _descendants(pid).values()))

    def answers(self) -> bool:
        try:
            # Reading certificates for an address without any takes longer than the bot's answer.
            return httpx.get(self._url, timeout=5, trust_env=False, verify=False).is_success
        except httpx.TransportError:
            return False

    def end(self, *signals: signal.Signals) -> tuple[int, float, dict[int, str]]:
        """Send signals half a second apart; gives the exit code, the seconds since the last, and who lives on."""
        children = _descendants(self.process.pid)
        assert any("bot.warden" in line for line in children.values()), children
        sent = 0.0
        for number, each in enumerate(signals):
            time.sleep(0.5 if number else 0)
            assert self.process.poll() is None
            self.process.send_signal(each)
            sent = time.monotonic()
        _until("the intake is closed", lambda: not self.answers(), _PROMISED)
        code = self.process.wait(_PROMISED + 30)
        return code, time.monotonic() - sent, _alive(children)


@contextmanager
def _serving(place: Place) -> Iterator[Serving]:
    with place.log.open("ab") as log:
        command = [sys.executable, "-m", "bot", "serve"]
        process = subprocess.Popen(
            command,
            env=place.environment,
            cwd=place.data.parent,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        yield Serving(place, process)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(_PATIENCE)


def _assert_ended_in_order(serving: Serving, number: signal.Signals) -> None:
    place = serving.place
    code, seconds, alive = serving.end(number)
    said = place.log.read_text()
    assert (code, alive) == (0, {}), said
    assert seconds < _PROMISED
    assert "Traceback" not in said
    assert place.sessions() == place.open_sessions() == place.worktrees() == place.tokens() == []
    assert not (place.data / "serve.pid").exists()


def _goes_on(place: Place, last: signal.Signals) -> None:
    """Start again with the same data, see the track reach its next step, and end the bot when it is idle."""
    place.behaves("ok")
    with _serving(place) as again:
        again.ready()
        assert (place.data / "serve.pid").read_text() == f"{again.process.pid}\n"
        place.pull("/T-1-a")
        place.forge.settle()
        _until("no session and no worktree", lambda: not place.sessions() and not place.worktrees())
        _assert_ended_in_order(again, last)


@pytest.mark.parametrize("first", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.long)])
def test_a_signal_ends_the_bot_in_order_and_its_track_goes_on_after_a_restart(
    place: Place, first: signal.Signals
) -> None:
    with _serving(place) as serving:
        serving.ready()
        place.label_an_issue()
        place.merge(place.pull("/backlog"))
        serving.works()
        assert place.sessions()
        assert place.worktrees()
        assert place.tokens()
        _assert_ended_in_order(serving, first)
    _goes_on(place, signal.SIGINT if first == signal.SIGTERM else signal.SIGTERM)


@pytest.mark.long
def test_a_second_signal_ends_the_bot_at_once(place: Place) -> None:
    with _serving(place) as serving:
        serving.ready()
        place.label_an_issue()
        place.merge(place.pull("/backlog"))
        serving.works()
        children = _descendants(serving.process.pid)
        code, seconds, _ = serving.end(signal.SIGTERM, signal.SIGTERM)
        assert code == 1
        assert seconds < _AT_ONCE
        assert not (place.data / "serve.pid").exists()
        _until("nothing of it lives", lambda: not _alive(children), _AT_ONCE)


@pytest.mark.long
def test_after_an_end_at_once_its_track_goes_on_after_a_restart(place: Place) -> None:
    test_a_second_signal_ends_the_bot_at_once(place)
    left = set(place.tokens())  # nobody could revoke them any more; they end by themselves
    place.behaves("ok")
    with _serving(place) as again:
        again.ready()
        place.pull("/T-1-a")
        code, _, alive = again.end(signal.SIGTERM)
        assert (code, alive) == (0, {})
        assert set(place.tokens()) <= left
        assert place.sessions() == place.worktrees() == []


@pytest.mark.parametrize("delays", [(0.0,), pytest.param((0.0, 0.3, 0.6), marks=pytest.mark.long)], ids=len)
def test_a_signal_while_the_bot_starts_ends_it_in_order(place: Place, delays: Sequence[float]) -> None:
    place.data.mkdir()
    note = (
        place.data / "gitwright.sqlite-shm"
    )  # there while the database is open, so signals are taken already
    for delay in delays:
        with _serving(place) as serving:
            _until("the database is open", note.exists)
            time.sleep(delay)
            children = _descendants(serving.process.pid)
            serving.process.send_signal(signal.SIGTERM)
            # 0 says that it was in time, on a slow machine too: the bot's own watchdog ends with 1 what takes longer.
            code = serving.process.wait(_PATIENCE)
            said = place.log.read_text()
            assert (code, _alive(children)) == (0, {}), said
            assert "Traceback" not in said, said
            assert not (place.data / "serve.pid").exists()
            assert not note.exists()
    assert place.tokens() == []


@pytest.mark.long
def test_a_start_that_hangs_is_cut_short_after_the_promised_time_and_says_where_it_hung(place: Place) -> None:
    place.data.mkdir()
    os.mkfifo(place.data / "serve.pid")  # whoever writes to it waits until somebody reads
    with _serving(place) as serving:

        def writes() -> bool:
            assert serving.process.poll() is None, place.log.read_text()
            return '"started"' in place.log.read_text()  # the last that it does before it writes who it is

        _until("the bot is about to serve", writes)
        children = _descendants(serving.process.pid)
        serving.process.send_signal(signal.SIGTERM)
        code = serving.process.wait(_PATIENCE)
        said = place.log.read_text()
        assert code == 1, said
        assert _WATCHDOG in said
        assert "in _listen" in said
        _until("nothing of it lives", lambda: not _alive(children))


@pytest.mark.long
def test_a_second_bot_on_the_same_data_says_who_holds_it_and_leaves_the_first_alone(place: Place) -> None:
    with _serving(place) as first:
        first.ready()
        with _serving(place) as second:
            assert second.process.wait(_PATIENCE) == 1
        assert f"(process {first.process.pid})" in place.log.read_text()
        assert "Traceback" not in place.log.read_text()
        assert (place.data / "serve.pid").read_text() == f"{first.process.pid}\n"
        _until("the first bot answers", first.answers)
        _assert_ended_in_order(first, signal.SIGTERM)


_HANGING = """
import asyncio, contextlib, pathlib, sys, threading, time, uvicorn
from fastapi import FastAPI
from bot.cli.serve import Server
@contextlib.asynccontextmanager
async def life(app):
    yield
    time.sleep(100)  # not even the event loop goes on
server = Server(uvicorn.Config(FastAPI(lifespan=life), port=0, log_config=None), pathlib.Path(sys.argv[1]), limit=1.0)
async def tell():
    while not server.started:  # a signal before that ends it without an end of what it serves
        await asyncio.sleep(0.01)
    print("ready", flush=True)
async def main():
    await asyncio.gather(server.serve(), tell())
asyncio.run(main())
"""


def test_an_end_that_hangs_is_cut_short_and_says_where_it_hung(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _HANGING, str(tmp_path / "pid")]
    environment = {**os.environ, "PYTHONPATH": str(_REPO)}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            process.send_signal(signal.SIGTERM)
            _, said = process.communicate(timeout=_PATIENCE)
        finally:
            process.kill()
    assert process.returncode == 1
    assert b"in life" in said


@pytest.mark.long
@pytest.mark.timeout(400)
@pytest.mark.parametrize("seed", range(3))
def test_signals_at_any_moment_end_the_bot_in_order_and_lose_nothing(place: Place, seed: int) -> None:
    moment = random.Random(seed)
    place.behaves("ok")
    for number in range(6):
        with _serving(place) as serving:
            serving.ready()
            if not number:
                place.label_an_issue()
            time.sleep(moment.uniform(0, 2.5))
            for pull in place.pulls("/backlog"):
                place.merge(pull)
            time.sleep(moment.uniform(0, 1.5))
            _assert_ended_in_order(serving, moment.choice([signal.SIGTERM, signal.SIGINT]))
    with _serving(place):

        def proposed() -> bool:
            for pull in place.pulls("/backlog"):
                place.merge(pull)
            return bool(place.pulls("/T-1-a"))

        _until("a pull request for the task", proposed)
