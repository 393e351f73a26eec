"""A story: people on a judged forge, and the real bot on signed webhooks, told as a conversation.

async with story(tmp_path, judge, webhook_judge) as s:
    await s.label(await s.open_issue("Add a greeting", "Please."))
    ...
"""

from __future__ import annotations

import asyncio
import base64
import json
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import uvicorn
import yaml

from bot.core.ids import parse_marker
from bot.settings import load_settings
from bot.web.app import Parts, create_app
from bot.web.webhook import Webhook
from bot.wiring import Bot, build
from tests.judges.openapi import Judge
from tests.judges.served import JudgedForge, judged_forge
from tests.judges.webhooks import WebhookJudge

JsonDict = dict[str, Any]

OWNER = "maintainer"
PATIENCE = 60.0  # seconds until something that must happen counts as not happening
TEST = "python -m pytest -q -p no:cacheprovider"
FILES = {
    "pyproject.toml": '[project]\nname = "greet"\nversion = "0"\n[tool.pytest.ini_options]\npythonpath = ["src"]\n',
    "src/greet.py": 'def hello(name):\n    return f"Hello {name}"\n',
    "src/count.py": "def count(items):\n    return len(items)\n",
    "tests/test_greet.py": 'from greet import hello\n\n\ndef test_hello():\n    assert hello("you") == "Hello you"\n',
    "README.md": "# Greet\n",
    ".gitignore": "__pycache__/\n",
}


def task(local_id: str, title: str, files: list[str], **more: Any) -> JsonDict:
    """One proposed task of a script."""
    return {
        "local_id": local_id,
        "title": title,
        "description": f"{title}.",
        "kind": "simple",
        "files": files,
        "acceptance": [f"{title}, and a test shows it."],
        "estimate": "S",
        **more,
    }


def planner(agent_id: str, *tasks: JsonDict, **more: Any) -> JsonDict:
    """What one planning agent of a script proposes."""
    return {"agent_id": agent_id, "summary": "Be polite.", "tasks": list(tasks), **more}


def new_file(path: str, text: str) -> str:
    """A patch that adds a file."""
    lines = text.splitlines()
    body = "".join(f"+{line}\n" for line in lines)
    return f"diff --git a/{path} b/{path}\nnew file mode 100644\n--- /dev/null\n+++ b/{path}\n@@ -0,0 +1,{len(lines)} @@\n{body}"


BYE = new_file("src/bye.py", 'def bye(name):\n    return f"Bye {name}"\n') + new_file(
    "tests/test_bye.py", 'from bye import bye\n\n\ndef test_bye():\n    assert bye("you") == "Bye you"\n'
)
BYE_TASK = task("a", "Say goodbye", ["src/bye.py", "tests/test_bye.py"])
ONE_TASK: JsonDict = {
    "planners": [planner(name, BYE_TASK) for name in ("architecture", "tests", "smallest")],
    "tasks": [{"match": "goodbye", "runs": [{"patch": "bye.patch", "say": "I wrote bye."}]}],
}


@dataclass
class Story:
    """Everybody in it, and what they can do; every wait ends."""

    forge: JudgedForge
    bot: Bot
    api: httpx.AsyncClient  # the maintainer
    alice: httpx.AsyncClient  # may read only
    slug: str = f"{OWNER}/greet"
    seen: dict[int, list[JsonDict]] = field(default_factory=dict)

    @property
    def path(self) -> str:
        return f"/repos/{self.slug}"

    # --- what people do ---

    async def open_issue(self, title: str = "Say goodbye too", body: str = "People leave. Say bye.") -> int:
        return int(
            (await self.call("POST", f"{self.path}/issues", json={"title": title, "body": body}))["number"]
        )

    async def label(self, issue: int, name: str = "agent:plan", by: httpx.AsyncClient | None = None) -> None:
        await self.call("POST", f"{self.path}/issues/{issue}/labels", json={"labels": [name]}, by=by)

    async def comment(self, number: int, body: str, by: httpx.AsyncClient | None = None) -> int:
        made = await self.call("POST", f"{self.path}/issues/{number}/comments", json={"body": body}, by=by)
        return int(made["id"])

    async def merge(self, number: int) -> None:
        await self.call("PUT", f"{self.path}/pulls/{number}/merge", json={"merge_method": "merge"})

    async def close(self, number: int) -> None:
        await self.call("PATCH", f"{self.path}/pulls/{number}", json={"state": "closed"})

    async def put(self, path: str, text: str, branch: str = "main") -> str:
        """Commit a file to a branch in the forge's editor."""
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

    # --- what people see ---

    async def call(self, method: str, path: str, by: httpx.AsyncClient | None = None, **options: Any) -> Any:
        answer = await (by or self.api).request(method, path, **options)
        assert answer.is_success, f"{method} {path} -> {answer.status_code}: {answer.text[:500]}"
        return answer.json() if answer.content else None

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

    async def pulls(self, state: str = "all") -> list[JsonDict]:
        found = await self.call("GET", f"{self.path}/pulls", params={"state": state, "per_page": 100})
        return sorted(found, key=lambda pull: pull["number"])

    async def labels(self, issue: int) -> set[str]:
        return {each["name"] for each in (await self.call("GET", f"{self.path}/issues/{issue}"))["labels"]}

    async def text(self, path: str, ref: str = "main") -> str:
        found = await self.call("GET", f"{self.path}/contents/{path}", params={"ref": ref})
        return base64.b64decode(found["content"]).decode()

    async def checks(self, sha: str, name: str) -> list[JsonDict]:
        found = await self.call("GET", f"{self.path}/commits/{sha}/check-runs", params={"check_name": name})
        return list(found["check_runs"])

    async def state(self, issue: int) -> str:
        """The track's state as the status comment's block says it."""
        for body in await self.said(issue, "status"):
            block = body.partition("<!-- gitwright:state ")[2].partition(" -->")[0]
            return str(json.loads(block)["state"])
        return ""

    # --- waiting ---

    async def until(self, what: str, look: Callable[[], Awaitable[Any]], patience: float = PATIENCE) -> Any:
        """Look until there is something to see; AssertionError names what did not happen."""
        deadline = time.monotonic() + patience
        while not (found := await look()):
            assert time.monotonic() < deadline, f"did not happen within {patience:g} s: {what}"
            await asyncio.sleep(0.05)
        return found

    async def backlog_pull(self) -> JsonDict:
        async def look() -> JsonDict | None:
            found = [p for p in await self.pulls("open") if "/backlog" in p["head"]["ref"]]
            return found[-1] if found else None

        return dict(await self.until("a backlog pull request", look))

    async def task_pull(self, task_id: str = "T-1") -> JsonDict:
        async def look() -> JsonDict | None:
            found = [p for p in await self.pulls("open") if f"/{task_id}-a" in p["head"]["ref"]]
            return found[-1] if found else None

        return dict(await self.until(f"a pull request for {task_id}", look))

    async def in_state(self, issue: int, state: str, patience: float = PATIENCE) -> None:
        async def look() -> bool:
            return await self.state(issue) == state

        await self.until(f"#{issue} is {state}", look, patience)

    async def hears(self, number: int, kind: str, count: int = 1) -> str:
        """Wait for the bot's `count`-th text of a kind and give it."""

        async def look() -> list[str]:
            found = await self.said(number, kind)
            return found if len(found) >= count else []

        return str((await self.until(f"{count} x `{kind}` on #{number}", look))[count - 1])

    async def quiet(self) -> None:
        """Wait until neither the forge nor the bot has anything left to do."""

        async def look() -> bool:
            await asyncio.to_thread(self.forge.settle)
            counts = await self.bot.store.counts()
            return not any(counts[name] for name in ("deliveries", "events", "actions", "submitted"))

        await self.until("nothing left to do", look)

    async def to_task_pull(self, issue: int) -> JsonDict:
        """Go from the label to the first task's pull request."""
        await self.label(issue)
        await self.merge((await self.backlog_pull())["number"])
        return await self.task_pull()

    async def to_the_end(self, issue: int) -> None:
        """Be a maintainer who merges whatever waits for review, until the track is done."""
        await self.label(issue)
        await self.merge((await self.backlog_pull())["number"])

        async def merge_some() -> bool:
            if await self.state(issue) == "done":
                return True
            for pull in await self.pulls("open"):
                if "/backlog" not in pull["head"]["ref"] and await self._waits(issue, pull["number"]):
                    await self.merge(pull["number"])
            return False

        await self.until("the track is done", merge_some, 2 * PATIENCE)

    async def _waits(self, issue: int, number: int) -> bool:
        return any(f"#{number} (" in body for body in await self.said(issue, "status"))


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
) -> AsyncIterator[Story]:
    """A private repository on a judged forge, and the bot on it; `change` takes a part's effect away."""
    folder = tmp / "script"
    folder.mkdir()
    (folder / "script.yml").write_text(yaml.safe_dump(dict(script or ONE_TASK)))
    for name, text in ({"bye.patch": BYE} if patches is None else patches).items():
        (folder / name).write_text(text)
    with judged_forge(tmp / "forge", judge, webhook_judge) as forge, closing(_listener()) as listener:
        port = listener.getsockname()[1]
        made = await asyncio.to_thread(_prepare, forge, port, files or FILES, ci, tmp)
        settings = load_settings(
            None,
            github_api_url=forge.url,
            app_id=str(made["id"]),
            private_key=made["pem"],
            webhook_secret=made["webhook_secret"],
            data_dir=tmp / "bot",
            script=folder / "script.yml",
            agent="scripted",
            models="scripted",
            write_gap=0,
            test=test,
        )
        bot = await build(settings)
        change(bot)
        async with (
            _served(bot, listener),
            forge_client(forge, forge.token) as api,
            forge_client(forge, made["alice"]) as alice,
        ):
            told = Story(forge, bot, api, alice)
            yield told
            await told.quiet()


def _listener() -> socket.socket:
    return socket.create_server(("127.0.0.1", 0))


def forge_client(forge: JudgedForge, token: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        base_url=forge.url,
        headers={"Authorization": f"Bearer {token}", "Accept": "application/vnd.github+json"},
        timeout=30,
    )


@asynccontextmanager
async def _served(bot: Bot, listener: socket.socket) -> AsyncIterator[None]:
    secrets = [secret.get_secret_value().encode() for secret in bot.settings.webhook_secret]
    parts = Parts(Webhook(secrets, bot.store.add_delivery, bot.clock), bot.ready, bot.start, bot.stop)
    server = uvicorn.Server(
        uvicorn.Config(create_app(parts), log_level="warning", access_log=False, lifespan="on")
    )
    server.capture_signals = _no_signals  # type: ignore[method-assign]  # the test process keeps its own
    running = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        while not server.started:
            assert not running.done(), "the bot did not start; its error is in the log"
            await asyncio.sleep(0.01)
        yield
    finally:
        server.should_exit = True
        await asyncio.wait_for(running, 30)


@asynccontextmanager
async def _as_it_is() -> AsyncIterator[None]:
    yield


class _no_signals:  # noqa: N801 - stands in for a context manager method
    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...


def _prepare(forge: JudgedForge, port: int, files: Mapping[str, str], ci: str | None, tmp: Path) -> JsonDict:
    """Create the repository with its history, people, and the App as app.yml describes it."""
    with forge.client() as admin:
        _ok(admin.post("/user/repos", json={"name": "greet", "private": True}))
        _push(forge, files, tmp / "work")
        if ci:
            _ok(admin.put(f"/_test/repos/{OWNER}/greet/ci", json={"command": ci}))
        alice = _ok(admin.post("/_test/users", json={"login": "alice"}))["token"]
        _ok(admin.put(f"/_test/repos/{OWNER}/greet/collaborators/alice", json={"role": "triage"}))
        app = yaml.safe_load(Path("app.yml").read_text())
        app["hook_attributes"]["url"] = f"http://127.0.0.1:{port}/webhook"
        app["redirect_url"] = "https://forge.test/setup"
        code = _ok(admin.post("/_test/app-manifests", json={"manifest": app}))["code"]
        made: JsonDict = _ok(admin.post(f"/app-manifests/{code}/conversions"))
        _ok(
            admin.post(f"/_test/apps/{made['slug']}/installations", json={"repositories": [f"{OWNER}/greet"]})
        )
    return {**made, "alice": alice}


def _push(forge: JudgedForge, files: Mapping[str, str], work: Path) -> None:
    for path, text in files.items():
        target = work / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    url = forge.url.replace("http://", f"http://x-access-token:{forge.token}@") + f"/{OWNER}/greet.git"
    env = {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "HOME": str(work),
        "GIT_CONFIG_NOSYSTEM": "1",
        **{
            f"GIT_{who}_{what}": "Dana <dana@example.invalid>"[: 4 if what == "NAME" else 50]
            for who in ("AUTHOR", "COMMITTER")
            for what in ("NAME", "EMAIL")
        },
    }
    for command in (
        ["init", "-q", "-b", "main"],
        ["add", "-A"],
        ["commit", "-q", "-m", "Begin"],
        ["push", "-q", url, "main"],
    ):
        subprocess.run(["git", *command], cwd=work, env=env, check=True, timeout=60, capture_output=True)


def _ok(answer: httpx.Response) -> Any:
    assert answer.is_success, (
        f"{answer.request.method} {answer.request.url} -> {answer.status_code}: {answer.text[:500]}"
    )
    return answer.json() if answer.content else None
