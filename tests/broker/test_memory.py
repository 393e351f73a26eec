"""Where the secrets are while `gitwright serve` works: in the broker's memory, and nowhere in the bot's process."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pytest

from bot import living
from tests.forges.conftest import RunningForge
from tests.stories.stage import kept_port

ROOT = Path(__file__).parents[2]
TOKEN = re.compile(rb"ghs_[A-Za-z0-9]{20,}")
# Only root, or who may trace, looks into other processes; a broker of the same user is not dumpable on purpose.
pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or not Path("/proc/self/mem").exists(),
    reason="does not apply: only root looks into the memory of others",
)


def memory(pid: int) -> bytes:
    """All that a process can write to: what it read, made and has not overwritten since."""
    found = []
    with (Path("/proc") / str(pid) / "mem").open("rb", 0) as mem:
        for line in (Path("/proc") / str(pid) / "maps").read_text().splitlines():
            where, may = line.split()[:2]
            if "r" in may and "[v" not in line:
                start, end = (int(each, 16) for each in where.split("-"))
                try:
                    mem.seek(start)
                    found.append(mem.read(end - start))
                except (OSError, ValueError, OverflowError):
                    continue  # a page that cannot be read
    return b"\0".join(found)


def open_files(pid: int) -> set[str]:
    folder = Path("/proc") / str(pid) / "fd"
    found = set()
    for each in folder.iterdir():
        with suppress(FileNotFoundError):  # it was closed meanwhile
            found.add(str(each.readlink()))
    return found


async def until(holds: Callable[[], bool], seconds: float, log: Path) -> None:
    for _ in range(int(seconds / 0.1)):
        if await asyncio.to_thread(holds):
            return
        await asyncio.sleep(0.1)
    raise AssertionError(log.read_text()[-3000:])


@contextmanager
def serving(data: Path, settings: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GITWRIGHT_")}
    with (data / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "bot", "serve"],
            env={**kept, "PYTHONPATH": str(ROOT), **settings},
            cwd=data,
            stdout=log,
            stderr=log,
        )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def brokers(bot: int) -> list[int]:
    found = []
    for pid in living.tree(bot, "no mark", set()):
        with suppress(OSError):  # others of its children come and go
            if b"bot.broker" in (Path("/proc") / str(pid) / "cmdline").read_bytes():
                found.append(pid)
    return found


@pytest.fixture
def port() -> Iterator[int]:
    with kept_port() as kept:
        yield kept


@pytest.mark.timeout(400)
async def test_the_bots_process_holds_neither_the_key_nor_a_token(
    server: RunningForge, port: int, tmp_path: Path
) -> None:
    made = server.call("POST", "/user/repos", {"name": "held", "private": True, "auto_init": True})
    slug = made["full_name"]
    server.call("POST", f"/_test/apps/{server.app['slug']}/installations", {"repositories": [slug]})
    key = tmp_path / "app.pem"
    key.write_text(server.app["pem"])
    key.chmod(0o600)
    settings = {
        "GITWRIGHT_GITHUB_API_URL": server.url,
        "GITWRIGHT_APP_ID": str(server.app["id"]),
        "GITWRIGHT_PRIVATE_KEY_PATH": str(key),
        "GITWRIGHT_WEBHOOK_SECRET": "of-the-webhook",
        "GITWRIGHT_POLL_DELIVERIES": "true",
        "GITWRIGHT_DATA_DIR": str(tmp_path / "data"),
        "GITWRIGHT_PORT": str(port),
        "GITWRIGHT_MODELS": "scripted",
        "GITWRIGHT_SANDBOX": "none",
        "GITWRIGHT_WRITE_GAP": "0",
    }
    with serving(tmp_path, settings) as bot:

        def offered() -> bool:
            """Whether it has fetched, pushed and opened a pull request: settings are offered to a new repository."""
            assert bot.poll() is None, (tmp_path / "log").read_text()[-3000:]
            return bool(server.call("GET", f"/repos/{slug}/pulls"))

        await until(offered, 200, tmp_path / "log")
        [broker] = brokers(bot.pid)
        secret = server.app["pem"].splitlines()[5].encode()
        theirs = await asyncio.to_thread(memory, broker)
        assert secret in theirs, "the control: whoever has the key is found out"
        assert TOKEN.search(theirs), "the control: whoever has a token is found out"
        ours = await asyncio.to_thread(memory, bot.pid)
        assert b"of-the-webhook" in ours, "the control: what the bot does hold is found"
        assert b"gwh_" in ours, "the control"
        assert secret not in ours
        assert TOKEN.search(ours) is None
        assert secret not in (Path("/proc") / str(bot.pid) / "environ").read_bytes()
        assert str(key) not in open_files(bot.pid)

        def told() -> str:
            return str(
                httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=60, trust_env=False).json()["broker"]
            )

        await until(lambda: told() == "ok", 60, tmp_path / "log")
        shown = httpx.get(f"http://127.0.0.1:{port}/", timeout=60, trust_env=False).text
        assert "Gitwright is at work" in shown
        assert "There is no sandbox." in shown
        os.kill(broker, signal.SIGSTOP)
        try:
            assert "does not answer" in told()
        finally:
            os.kill(broker, signal.SIGCONT)
