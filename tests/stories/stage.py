"""Where a story plays: a private repository on a judged forge, and the bot as an App on it, over real sockets."""

from __future__ import annotations

import asyncio
import re
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import uvicorn
import yaml

from bot.cli.serve import app_of
from bot.settings import Settings, load_settings
from bot.wiring import Bot
from tests.judges.served import JudgedForge
from tests.stories.scripts import JsonDict

OWNER = "maintainer"
REPO = "greet"
ROOT = Path(__file__).parents[2]


def listener(port: int = 0) -> socket.socket:
    """Take a port, or a free one; with the protocol named asyncio switches off Nagle's algorithm, which costs 40 ms an answer."""
    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # one that was in use a moment ago
    made.bind(("127.0.0.1", port))
    return made


@contextmanager
def kept_port() -> Iterator[int]:
    """Keep a port for bots that come and go: while none of them listens, nobody else is given it either."""
    with closing(listener()) as kept:
        port = int(kept.getsockname()[1])
        if sys.platform != "linux":
            kept.close()  # others do not let a port that is bound be bound once more
        yield port


def forge_client(forge: JudgedForge, token: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        base_url=forge.url,
        headers={"Authorization": f"Bearer {token}", "Accept": "application/vnd.github+json"},
        timeout=30,
        verify=False,  # there is nothing to verify, and reading certificates takes 20 ms
    )


def write_script(folder: Path, script: Mapping[str, Any], patches: Mapping[str, str]) -> Path:
    """Write a script and its patches; the bot reads them as any other script."""
    folder.mkdir()
    for name, text in patches.items():
        (folder / name).write_text(text)
    path = folder / "script.yml"
    path.write_text(yaml.safe_dump(dict(script)))
    return path


def prepare(forge: JudgedForge, port: int, files: Mapping[str, str], ci: str | None, tmp: Path) -> JsonDict:
    """Create the repository with its history, people, and the App as app.yml describes it."""
    with forge.client() as admin:
        ok(admin.post("/user/repos", json={"name": REPO, "private": True}))
        _push(forge, files, tmp / "work")
        if ci:
            ok(admin.put(f"/_test/repos/{OWNER}/{REPO}/ci", json={"command": ci}))
        alice = ok(admin.post("/_test/users", json={"login": "alice"}))["token"]
        ok(admin.put(f"/_test/repos/{OWNER}/{REPO}/collaborators/alice", json={"role": "triage"}))
        app = yaml.safe_load((ROOT / "app.yml").read_text())
        app["hook_attributes"]["url"] = f"http://127.0.0.1:{port}/webhook"
        app["redirect_url"] = "https://forge.test/setup"
        code = ok(admin.post("/_test/app-manifests", json={"manifest": app}))["code"]
        made: JsonDict = ok(admin.post(f"/app-manifests/{code}/conversions"))
        ok(
            admin.post(
                f"/_test/apps/{made['slug']}/installations", json={"repositories": [f"{OWNER}/{REPO}"]}
            )
        )
    return {**made, "alice": alice}


def settings(
    forge: JudgedForge,
    app: JsonDict,
    tmp: Path,
    script: Path,
    test: str | None,
    onboarding_pulls: int = 0,
    operator: Mapping[str, Any] | None = None,
) -> Settings:
    return load_settings(
        None,
        onboarding_pulls=onboarding_pulls,  # they would take numbers that stories count on
        github_api_url=forge.url,
        app_id=str(app["id"]),
        private_key=app["pem"],
        webhook_secret=app["webhook_secret"],
        data_dir=tmp / "bot",
        script=script,
        agent="scripted",
        models="scripted",
        write_gap=0,
        test=test,
        **(operator or {}),
    )


@asynccontextmanager
async def served(bot: Bot, listening: socket.socket) -> AsyncIterator[None]:
    """Have the bot at work and its web application served, as `gitwright serve` does."""
    server = uvicorn.Server(
        uvicorn.Config(app_of(bot), log_level="warning", access_log=False, lifespan="off")
    )
    server.capture_signals = _NoSignals  # type: ignore[assignment]  # the test process keeps its own
    try:
        await bot.start()
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        try:
            while not server.started:
                assert not serving.done(), "nothing is served; the error is in the log"
                await asyncio.sleep(0.01)
            yield
        finally:
            server.should_exit = True
            await asyncio.wait_for(serving, 60)
    finally:
        await bot.stop()


@asynccontextmanager
async def swallowing(listening: socket.socket) -> AsyncIterator[None]:
    """Accept deliveries and forget them: a relay nobody reads, or a bot that then loses its disk."""

    async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: ([0-9]+)", head)
        assert length is not None
        await reader.readexactly(int(length[1]))
        writer.write(b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(swallow, sock=listening):
        yield


class _NoSignals:
    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...


def _push(forge: JudgedForge, files: Mapping[str, str], work: Path) -> None:
    for path, text in files.items():
        target = work / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    url = forge.url.replace("http://", f"http://x-access-token:{forge.token}@") + f"/{OWNER}/{REPO}.git"
    env = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(work), "GIT_CONFIG_NOSYSTEM": "1"}
    for who in ("AUTHOR", "COMMITTER"):
        env |= {f"GIT_{who}_NAME": "Dana", f"GIT_{who}_EMAIL": "dana@example.invalid"}
    for command in (
        ["init", "-q", "-b", "main"],
        ["add", "-A"],
        ["commit", "-q", "-m", "Begin"],
        ["push", "-q", url, "main"],
    ):
        subprocess.run(["git", *command], cwd=work, env=env, check=True, timeout=60, capture_output=True)


def ok(answer: httpx.Response) -> Any:
    """Give the answer's JSON; AssertionError shows what was refused."""
    assert answer.is_success, (
        f"{answer.request.method} {answer.request.url} -> {answer.status_code}: {answer.text[:500]}"
    )
    return answer.json() if answer.content else None
