"""A whole track with the bot as a process of its own, which may be killed at a named point, and what came of it.

played(tmp, judge, webhook_judge, kill_at="branch-pushed") goes from the label over a rebase and a second attempt to
the receipt, starts the bot again whenever it died, and gives a normalised dump with doubles and leftovers.
"""

from __future__ import annotations

import base64
import contextlib
import os
import random
import shutil
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

from bot.demo.dump import dump
from bot.demo.duplicates import find_duplicates
from bot.demo.evidence import open_evidence
from bot.demo.keeper import LIVES, tail
from bot.demo.leaks import find_leaks
from bot.demo.lives import End, Life, add_life
from bot.demo.processes import Child
from bot.demo.stage import without_walls
from bot.points import VARIABLE
from tests.judges.openapi import Judge
from tests.judges.served import JudgedForge, judged_forge
from tests.judges.webhooks import WebhookJudge
from tests.stories import stage
from tests.stories.reading import state_of
from tests.stories.scripts import BYE, BYE_TASK, FILES, JsonDict, agreed, does, writes

ROOT = Path(__file__).parents[2]
PATH = f"/repos/{stage.OWNER}/{stage.REPO}"
PATIENCE = 240.0  # seconds until a step counts as not happening: a lost webhook is fetched after 30
GRACE = 60.0  # seconds for the bot to end, on a machine that may be busy; tests/test_shutdown.py holds it to its promise
LOOK = 0.1  # seconds between looks

SCRIPT: JsonDict = {
    "planners": agreed(BYE_TASK),
    "tasks": [does("goodbye", writes("bye.patch"), writes("bye.patch"))],
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run left; `died` counts the deaths of the bot."""

    dump: JsonDict
    duplicates: list[str]
    leaks: list[str]
    died: int


@dataclass(slots=True)
class Play:
    """The forge, its maintainer, and the bot's process, whichever it is just now."""

    forge: JudgedForge
    api: httpx.Client
    tmp: Path
    environment: dict[str, str]
    kill_at: str
    strike: Callable[[], bool] = lambda: False  # tells when to kill it from outside
    lose: bool = False  # the data directory dies with it
    died: int = 0
    patience: float = PATIENCE
    child: Child = field(init=False)

    def __post_init__(self) -> None:
        self.child = self._start(self.kill_at)

    def _start(self, kill_at: str = "") -> Child:
        environment = self.environment | ({VARIABLE: kill_at} if kill_at else {})
        log = self.tmp / "bot.log"
        return Child([sys.executable, "-m", "bot", "serve"], env=environment, cwd=self.tmp, log=log)

    def tick(self) -> None:
        """Start the bot again where it is dead: killed by itself or by us, never ended otherwise."""
        if self.child.code is None and self.strike():
            self.child.kill_alone()
        if self.child.code is None:
            return
        assert self.child.code == -9, tail(self.tmp / "bot.log", 60)
        self.bury("killed")
        self.died += 1
        if self.lose:
            shutil.rmtree(self.tmp / "bot")
        self.child = self._start()

    def bury(self, end: End) -> None:
        add_life(self.tmp / LIVES, Life(self.child.pid, self.child.started, time.time(), end))

    def until(self, what: str, look: Callable[[], Any]) -> Any:
        deadline = time.monotonic() + self.patience
        while not (found := look()):
            assert time.monotonic() < deadline, (
                f"did not happen within {self.patience:g} s: {what}\n{tail(self.tmp / 'bot.log', 60)}"
            )
            self.tick()
            time.sleep(LOOK)
        return found

    # --- what a maintainer does and sees ---

    def call(self, method: str, path: str, **options: Any) -> Any:
        return stage.ok(self.api.request(method, f"{PATH}{path}", **options))

    def state(self, issue: int) -> JsonDict:
        """Give the block of the status comment; nothing before there is one."""
        comments = self.call("GET", f"/issues/{issue}/comments", params={"per_page": 100})
        bodies = [c["body"] for c in comments if c["body"].startswith("<!-- gitwright:status ")]
        return state_of(bodies[-1]) if bodies else {"state": "", "tasks": {}}

    def task_waits(self, issue: int, attempt: int, other_head: str = "") -> JsonDict | None:
        """Give the pull request of an attempt once its status says that it waits for review."""
        state, number, _, pull = self.state(issue)["tasks"].get("T-1", ("", 0, 0, None))
        if state != "in_review" or number != attempt or pull is None:
            return None
        found: JsonDict = self.call("GET", f"/pulls/{pull}")
        return found if found["head"]["sha"] != other_head else None

    def merge(self, number: int) -> None:
        if not self.call("GET", f"/pulls/{number}")["merged"]:
            self.call("PUT", f"/pulls/{number}/merge", json={"merge_method": "merge"})

    def commit(self, path: str, text: str) -> None:
        body = {
            "message": f"Write {path}",
            "content": base64.b64encode(text.encode()).decode(),
            "branch": "main",
        }
        self.call("PUT", f"/contents/{path}", json=body)

    def comment(self, issue: int, body: str) -> None:
        self.call("POST", f"/issues/{issue}/comments", json={"body": body})

    def at_rest(self) -> bool:
        """Tell whether neither the forge nor the bot has anything left to do."""
        self.forge.settle()
        with closing(sqlite3.connect(self.tmp / "bot" / "gitwright.sqlite", timeout=20)) as connection:
            open_rows = [
                "SELECT count(*) FROM inbox WHERE state = 'new'",
                "SELECT count(*) FROM track_events WHERE state = 'new'",
                "SELECT count(*) FROM outbox WHERE state IN ('new', 'submitted')",
            ]
            return not any(connection.execute(sql).fetchone()[0] for sql in open_rows)


def _story(play: Play) -> None:
    """Label, review, a rebase and a second attempt on request, merge, done."""
    issue = int(play.call("POST", "/issues", json={"title": "Say goodbye", "body": "Please."})["number"])
    play.call("POST", f"/issues/{issue}/labels", json={"labels": ["agent:plan"]})
    play.until("the backlog waits for review", lambda: play.state(issue)["state"] == "review")
    play.merge(play.state(issue)["backlog_pull"])
    first = play.until("T-1 waits for review", lambda: play.task_waits(issue, 1))
    play.commit("NEWS.md", "Somebody was faster.\n")
    play.comment(issue, "/agent rebase T-1")
    head = first["head"]["sha"]
    play.until("T-1 is rebased", lambda: play.task_waits(issue, 1, other_head=head))
    play.comment(issue, "/agent retry T-1")
    second = play.until("the second attempt waits for review", lambda: play.task_waits(issue, 2))
    play.merge(second["number"])
    play.until("the track is done", lambda: play.state(issue)["state"] == "done")
    play.until("the issue is closed", lambda: play.call("GET", f"/issues/{issue}")["state"] == "closed")
    play.until("everything is at rest", play.at_rest)


def played(
    tmp: Path,
    judge: Judge,
    webhook_judge: WebhookJudge,
    kill_at: str = "",
    strike: Callable[[], bool] = lambda: False,
    *,
    lose: bool = False,
    faults: Sequence[JsonDict] = (),
    patience: float = PATIENCE,
) -> Outcome:
    """Play the whole story; the bot is killed once at `kill_at`, or whenever `strike` says so, with its data or without.

    `faults` strike the forge from the beginning, `patience` is how long each step may take, in seconds.
    """
    with _stage(tmp, judge, webhook_judge) as (forge, api, environment):
        for fault in faults:
            stage.ok(api.post("/_test/faults", json=fault))
        play = Play(forge, api, tmp, environment, kill_at, strike, lose, patience=patience)
        try:
            _story(play)
            code = play.child.stop(GRACE)
            play.bury("in_order" if code == 0 else "died")
            assert code == 0, tail(tmp / "bot.log", 60)
        finally:
            if play.child.code is None:
                play.child.kill_alone()
        with open_evidence(tmp) as evidence:
            doubles, leaks = find_duplicates(evidence), find_leaks(evidence, datetime.now(UTC))
        return Outcome(dump(tmp), doubles, leaks, play.died)


def at_random(seed: int, rarely: int = 0) -> Callable[[], bool]:
    """Give strikes every half to four seconds, six in all, then `rarely` more; the same seed chooses the same waits."""
    moments = random.Random(seed)
    waits = [moments.uniform(0.5, 4) for _ in range(6)] + [20.0] * rarely
    due = [time.monotonic() + waits[0]]

    def strike() -> bool:
        if not waits or time.monotonic() < due[0]:
            return False
        waits.pop(0)
        due[0] = time.monotonic() + (waits[0] if waits else 0)
        return True

    return strike


@contextmanager
def _stage(
    tmp: Path, judge: Judge, webhook_judge: WebhookJudge
) -> Iterator[tuple[JudgedForge, httpx.Client, dict[str, str]]]:
    script = stage.write_script(tmp / "script", SCRIPT, {"bye.patch": BYE})
    served = judged_forge(tmp / "forge", judge, webhook_judge)
    with stage.kept_port() as port, served as forge, forge.client() as api:
        app = stage.prepare(forge, port, FILES, "true", tmp)
        settings = {
            "GITHUB_API_URL": forge.url,
            "APP_ID": str(app["id"]),
            "PRIVATE_KEY": app["pem"],
            "WEBHOOK_SECRET": app["webhook_secret"],
            "DATA_DIR": str(tmp / "bot"),
            "PORT": str(port),
            "SCRIPT": str(script),
            "AGENT": "scripted",
            "MODELS": "scripted",
            "WRITE_GAP": "0",
            "ONBOARDING_PULLS": "0",
            "TEST": "true",
            "SANDBOX": "none" if without_walls(os.environ) else "medium",
        }
        kept = {name: value for name, value in os.environ.items() if not name.startswith("GITWRIGHT_")}
        mine = {f"GITWRIGHT_{name}": value for name, value in settings.items()}
        with contextlib.suppress(FileNotFoundError):
            (tmp / LIVES).unlink()
        yield forge, api, kept | mine | {"PYTHONPATH": str(ROOT)}
