"""A story: people on a judged forge, and the real bot on signed webhooks, told as a conversation.

async with story(tmp_path, judge, webhook_judge) as s:
    issue = await s.open_issue("Add a greeting", "Please.")
    await s.label(issue)
    ...

At its end everything is at rest, and `endings.py` has looked whether a run ended in silence.
"""

from __future__ import annotations

import asyncio
import base64
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx

from bot.core.ids import parse_marker
from bot.ports import Clock
from bot.wiring import Bot, build
from tests.judges.openapi import Judge
from tests.judges.served import JudgedForge, judged_forge
from tests.judges.webhooks import WebhookJudge
from tests.stories import stage
from tests.stories.endings import check_endings, describe
from tests.stories.reading import read, state_of
from tests.stories.scripts import BYE, BYE_TASK, FILES, ONE_TASK, TEST, JsonDict, new_file, planner, task

__all__ = ["BYE", "BYE_TASK", "FILES", "ONE_TASK", "TEST", "Story", "new_file", "planner", "story", "task"]

PATIENCE = 60.0  # seconds until something that must happen counts as not happening
VAIN = 10.0  # seconds that suffice for what this bot never does
LOOK = 0.1  # seconds between looks


@dataclass
class Story:
    """Everybody in it, and what they can do; every wait ends."""

    forge: JudgedForge
    bot: Bot
    api: httpx.AsyncClient  # the maintainer
    alice: httpx.AsyncClient  # has the role triage: may read, label and comment, not write
    slug: str = f"{stage.OWNER}/{stage.REPO}"
    heard: dict[int, int] = field(default_factory=dict)  # answers read so far, by issue
    in_vain: str = ""  # what a bot without one of its parts never does, in the words of the wait for it

    @property
    def path(self) -> str:
        return f"/repos/{self.slug}"

    # --- what people do ---

    async def open_issue(
        self,
        title: str = "Say goodbye too",
        body: str = "People leave. Say bye.",
        by: httpx.AsyncClient | None = None,
    ) -> int:
        made = await self.call("POST", f"{self.path}/issues", json={"title": title, "body": body}, by=by)
        return int(made["number"])

    async def label(self, issue: int, name: str = "agent:plan", by: httpx.AsyncClient | None = None) -> None:
        await self.call("POST", f"{self.path}/issues/{issue}/labels", json={"labels": [name]}, by=by)

    async def label_again(self, issue: int, name: str = "agent:plan") -> None:
        await self.call("DELETE", f"{self.path}/issues/{issue}/labels/{name}")
        await self.label(issue, name)

    async def comment(self, number: int, body: str, by: httpx.AsyncClient | None = None) -> int:
        made = await self.call("POST", f"{self.path}/issues/{number}/comments", json={"body": body}, by=by)
        return int(made["id"])

    async def asks(self, number: int, body: str, by: httpx.AsyncClient | None = None) -> str:
        """Comment, and give the answer as a person reads it."""
        count = len(await self.said(number, "answer"))
        await self.comment(number, body, by)
        return read(await self.hears(number, "answer", count + 1))

    async def merge(self, number: int, by: httpx.AsyncClient | None = None) -> None:
        await self.call("PUT", f"{self.path}/pulls/{number}/merge", json={"merge_method": "merge"}, by=by)

    async def close(self, number: int) -> None:
        await self.call("PATCH", f"{self.path}/pulls/{number}", json={"state": "closed"})

    async def put(self, path: str, text: str, branch: str = "main") -> str:
        """Commit a file to a branch in the forge's editor, and give the commit."""
        found = await self.api.get(f"{self.path}/contents/{path}", params={"ref": branch})
        body = {
            "message": f"Write {path}",
            "content": base64.b64encode(text.encode()).decode(),
            "branch": branch,
        }
        if found.status_code == 200:
            body["sha"] = found.json()["sha"]
        made = await self.call("PUT", f"{self.path}/contents/{path}", json=body)
        return str(made["commit"]["sha"])

    async def branch(self, name: str, at: str = "main") -> None:
        tip = await self.call("GET", f"{self.path}/git/ref/heads/{at}")
        ref = {"ref": f"refs/heads/{name}", "sha": tip["object"]["sha"]}
        await self.call("POST", f"{self.path}/git/refs", json=ref)

    async def open_pull(self, head: str, title: str = "A person's own work") -> int:
        wanted = {"title": title, "head": head, "base": "main", "body": ""}
        return int((await self.call("POST", f"{self.path}/pulls", json=wanted))["number"])

    async def fault(self, kind: str, **more: Any) -> None:
        """Let something go wrong on purpose, as forge/faults.py describes it."""
        await self.call("POST", "/_test/faults", json={"kind": kind, **more})

    async def let_go(self) -> None:
        """Clear the faults, and so have delivered what they held back: after all that came later."""

        async def overtaken() -> bool:
            with closing(sqlite3.connect(self.forge.data / "forge.sqlite")) as db:
                waiting = "SELECT count(*) FROM webhook_deliveries WHERE state = 'pending' AND not_before = 0"
                return bool(db.execute(waiting).fetchone() == (0,))

        await self.until("what came later is delivered", overtaken)
        await self.call("DELETE", "/_test/faults")

    # --- what people see ---

    async def call(self, method: str, path: str, by: httpx.AsyncClient | None = None, **options: Any) -> Any:
        return stage.ok(await (by or self.api).request(method, path, **options))

    async def comments(self, number: int) -> list[JsonDict]:
        return list(await self.call("GET", f"{self.path}/issues/{number}/comments", params={"per_page": 100}))

    async def said(self, number: int, kind: str) -> list[str]:
        """The bot's texts of a kind on an issue or pull request, oldest first."""
        found = []
        for each in await self.comments(number):
            marker = parse_marker(each["body"])
            if marker is not None and marker.kind == kind and each["user"]["type"] == "Bot":
                found.append(str(each["body"]))
        return found

    async def posted(self) -> dict[int, list[str]]:
        """Every text of the bot: comments, and bodies of its pull requests, by number."""
        params = {"state": "all", "per_page": 100}
        found: dict[int, list[str]] = {}
        for issue in await self.call("GET", f"{self.path}/issues", params=params):
            texts = [issue, *(await self.comments(issue["number"]))]
            found[issue["number"]] = [t["body"] or "" for t in texts if t["user"]["type"] == "Bot"]
        return found

    async def pulls(self, state: str = "all") -> list[JsonDict]:
        found = await self.call("GET", f"{self.path}/pulls", params={"state": state, "per_page": 100})
        return sorted(found, key=lambda pull: pull["number"])

    async def labels(self, issue: int) -> set[str]:
        return {each["name"] for each in (await self.call("GET", f"{self.path}/issues/{issue}"))["labels"]}

    async def reactions(self, comment: int) -> list[str]:
        found = await self.call("GET", f"{self.path}/issues/comments/{comment}/reactions")
        return [each["content"] for each in found]

    async def text(self, path: str, ref: str = "main") -> str:
        found = await self.call("GET", f"{self.path}/contents/{path}", params={"ref": ref})
        return base64.b64decode(found["content"]).decode()

    async def checks(self, sha: str, name: str) -> list[JsonDict]:
        found = await self.call("GET", f"{self.path}/commits/{sha}/check-runs", params={"check_name": name})
        return list(found["check_runs"])

    async def state(self, issue: int) -> str:
        """The state of the issue's newest track, as its status comment's block says it."""
        bodies = await self.said(issue, "status")
        return str(state_of(bodies[-1])["state"]) if bodies else ""

    async def task_state(self, issue: int, task_id: str = "T-1") -> str:
        bodies = await self.said(issue, "status")
        found = state_of(bodies[-1])["tasks"].get(task_id) if bodies else None
        return str(found[0]) if found else ""

    async def status(self, issue: int, names: Mapping[int, str] | None = None) -> str:
        """The sticky comment as a person reads it."""
        return read((await self.said(issue, "status"))[-1], names)

    # --- waiting ---

    async def until(self, what: str, look: Callable[[], Awaitable[Any]], patience: float = PATIENCE) -> Any:
        """Look until there is something to see; AssertionError names what did not happen."""
        patience = VAIN if self.in_vain and self.in_vain in what else patience
        deadline = time.monotonic() + patience
        while not (found := await look()):
            if time.monotonic() > deadline:
                raise AssertionError(
                    f"did not happen within {patience:g} s: {what}\n{await describe(self.bot.store)}"
                )
            await asyncio.sleep(LOOK)
        return found

    async def backlog_pull(self, track: str = "") -> JsonDict:
        return await self._pull(f"{track}/backlog", "a backlog pull request")

    async def task_pull(self, task_id: str = "T-1", track: str = "") -> JsonDict:
        return await self._pull(f"{track}/{task_id}-a", f"a pull request for {task_id}")

    async def _pull(self, part: str, what: str) -> JsonDict:
        async def look() -> JsonDict | None:
            found = [p for p in await self.pulls("open") if part in p["head"]["ref"]]
            return found[-1] if found else None

        return dict(await self.until(what, look))

    async def in_state(self, issue: int, state: str, patience: float = PATIENCE) -> None:
        async def look() -> bool:
            return await self.state(issue) == state

        await self.until(f"#{issue} is {state}", look, patience)

    async def task_in_state(self, issue: int, state: str, task_id: str = "T-1") -> None:
        async def look() -> bool:
            return await self.task_state(issue, task_id) == state

        await self.until(f"{task_id} of #{issue} is {state}", look)

    async def is_checked(self, issue: int, task_id: str = "T-1") -> None:
        """Wait until a task's pull request waits for its checks, or for review: a slow story meets the timer that looks."""

        async def look() -> bool:
            return await self.task_state(issue, task_id) in {"checking", "in_review"}

        await self.until(f"{task_id} of #{issue} is checked", look)

    async def hears(self, number: int, kind: str, count: int = 1) -> str:
        """Wait for the bot's `count`-th text of a kind and give it."""

        async def look() -> list[str]:
            found = await self.said(number, kind)
            return found if len(found) >= count else []

        return str((await self.until(f"{count} x `{kind}` on #{number}", look))[count - 1])

    async def check(self, sha: str, name: str = "gitwright/backlog") -> JsonDict:
        """Wait for a completed check on a commit."""

        async def look() -> JsonDict | None:
            found = [c for c in await self.checks(sha, name) if c["status"] == "completed"]
            return found[-1] if found else None

        return dict(await self.until(f"the check {name} on {sha[:7]}", look))

    async def quiet(self) -> None:
        """Wait until neither the forge nor the bot has anything left to do."""

        async def look() -> bool:
            await asyncio.to_thread(self.forge.settle)
            counts = await self.bot.store.counts()
            return not any(counts[name] for name in ("deliveries", "events", "actions", "submitted"))

        await self.until("nothing left to do", look)

    async def time_passes(self, seconds: float) -> None:
        """Let what waits for its time come as if these seconds had gone by."""
        await self.bot.store.fire_timers(self.bot.clock.now() + timedelta(seconds=seconds))

    # --- longer ways ---

    async def to_review(self, issue: int) -> JsonDict:
        """Go from the label to the backlog's pull request."""
        await self.label(issue)
        return await self.backlog_pull(f"/issue-{issue}")

    async def to_task_pull(self, issue: int) -> JsonDict:
        """Go from the label to the first task's pull request."""
        await self.merge((await self.to_review(issue))["number"])
        return await self.task_pull(track=f"/issue-{issue}")

    async def to_the_end(self, issue: int) -> None:
        """Be a maintainer who merges whatever waits for review, until the track is done."""
        await self.merge((await self.to_review(issue))["number"])
        await self.merge_all(issue)

    async def merge_all(self, issue: int) -> None:
        """Merge each task's pull request once its status says that it waits for review, until the track is done."""

        async def merge_some() -> bool:
            bodies = await self.said(issue, "status")
            state: JsonDict = state_of(bodies[-1]) if bodies else {"state": "", "tasks": {}}
            for task_state, _, _, pull in state["tasks"].values():
                if task_state == "in_review":
                    await self.merge_once(pull)
            return bool(state["state"] == "done")

        await self.until("the track is done", merge_some, 2 * PATIENCE)

    async def merge_once(self, number: int) -> None:
        # A status is read before it is acted on: the pull request that it names may be closed by then.
        if (await self.call("GET", f"{self.path}/pulls/{number}"))["state"] == "open":
            await self.merge(number)


@asynccontextmanager
async def story(
    tmp: Path,
    judge: Judge,
    webhook_judge: WebhookJudge,
    script: Mapping[str, Any] | None = None,
    patches: Mapping[str, str] | None = None,
    files: Mapping[str, str] | None = None,
    *,
    test: str | None = TEST,
    ci: str | None = TEST,
    change: Callable[[Bot], None] = lambda _: None,
    internal_errors: bool = False,
    onboarding_pulls: int = 0,
    clock: Clock | None = None,
    operator: Mapping[str, Any] | None = None,
) -> AsyncIterator[Story]:
    """Set the stage; `change` takes a part's effect away, `internal_errors` says that the story means them, `operator` are settings of the process."""
    written = stage.write_script(
        tmp / "script", script or ONE_TASK, {"bye.patch": BYE} if patches is None else patches
    )
    with judged_forge(tmp / "forge", judge, webhook_judge) as forge, closing(stage.listener()) as listening:
        port = listening.getsockname()[1]
        app = await asyncio.to_thread(stage.prepare, forge, port, files or FILES, ci, tmp)
        bot = await build(stage.settings(forge, app, tmp, written, test, onboarding_pulls, operator), clock)
        change(bot)
        async with (
            stage.served(bot, listening),
            stage.forge_client(forge, forge.token) as api,
            stage.forge_client(forge, app["alice"]) as alice,
        ):
            told = Story(forge, bot, api, alice)
            yield told
            await told.quiet()
            await check_endings(told, internal_errors=internal_errors)
