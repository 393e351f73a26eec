"""Owns one run of the escape suite, as one user: `python -m tests.escape.drive FOLDER WHICH`, in a network of its own.

It is a bot: it has a token in its environment and in its files, and has its jobs done in boxes that are probed as soon as they
are open. Before that all is tried as a plain child of it. What was seen is written to FOLDER/seen.json.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bot.engine.store import Store
from bot.ports import Box, SandboxPolicy
from bot.sandbox import BwrapSandbox, probe
from bot.wiring import SystemClock
from tests.escape import sending, world

NAME = "PLANTED_TOKEN"  # of the variable; argv has it as well
# Somebody of the host's who stands by with the token in his environment and arguments, and lets himself be looked into.
STANDS_BY = "import ctypes, time; ctypes.CDLL(None).prctl(0x59616d61, ctypes.c_ulong(-1), 0, 0, 0); print(flush=True); time.sleep(600)"
SECONDS = 300.0


@dataclass
class Run:
    """One bot that is to be broken out of."""

    folder: Path
    token: str
    whole: bool  # whether every kind of box is searched, and not the agent's alone
    facts: dict[str, Any] = field(default_factory=dict)
    seen: dict[str, dict[str, str]] = field(default_factory=dict)  # by kind of box, by probe
    found: dict[str, list[str]] = field(default_factory=dict)  # where the token is, by kind of box
    left: dict[str, list[str]] = field(default_factory=dict)  # by those who were there before
    handed: dict[str, list[str]] = field(
        default_factory=dict
    )  # what the bot hands in with the token, by kind of box
    commands: dict[str, int] = field(default_factory=dict)  # that were heard

    @property
    def mark(self) -> str:
        return os.environ["STREET"]

    # --- without a box ---

    def naively(self) -> None:
        """Do all of it as a plain child, as which a host without a sandbox starts its agents."""
        work = self.folder / "naive"
        work.mkdir()
        (work / ".git").write_text("gitdir: elsewhere\n")
        with (self.folder / "data/app.pem").open("rb") as kept:
            said = self._child(work, sending.TRYING, self._facts(".git", inside=False), (kept.fileno(),))
        self.seen["none"] = self._outcomes(said)
        # Of files and processes only what is this suite's own: others are nobody's business.
        elsewhere = [
            path for path in self.facts["files"].values() if path.startswith(("/tmp/", "/dev/", "/etc/"))
        ]
        pids = [self.facts["victim"], os.getpid(), os.getppid()]
        asked = self._asked([str(self.folder), *elsewhere], pids, [])
        self.found["none"] = self._child(work, sending.SEARCH, asked).splitlines()

    def _child(self, work: Path, program: bytes, env: dict[str, str], kept: tuple[int, ...] = ()) -> str:
        done = subprocess.run(
            [sys.executable, *sending.ARGV],
            input=program,
            env={**os.environ, **env},
            cwd=work,
            capture_output=True,
            timeout=SECONDS,
            pass_fds=kept,
            check=False,
        )
        assert done.returncode == 0, done.stderr.decode()[-2000:]
        return done.stdout.decode()

    # --- in boxes ---

    async def visit(self, kind: str, policy: SandboxPolicy, box: Box) -> None:
        """Try everything in the first box of each kind."""
        if kind in self.seen:
            return
        pointer = f"{box.work}/.git" if policy.pointer_git else ""
        said = await self._in_box(kind, box, sending.TRYING, self._facts(pointer, inside=True))
        self.seen[kind] = self._outcomes(said)
        await self._search(kind, kind, box)
        await self._legacy(kind, policy, box)

    async def leave(self, kind: str, box: Box) -> None:
        """Search once more for what the bot and the job brought."""
        if f"{kind}, afterwards" not in self.found:
            await self._search(kind, f"{kind}, afterwards", box)

    def hear(self, kind: str, what: str, parts: Iterable[bytes]) -> None:
        """Look for the token in what is handed in."""
        self.commands[kind] = self.commands.get(kind, 0) + (what == "arguments")
        if any(self.token.encode() in part for part in parts):
            self.handed.setdefault(kind, []).append(what)

    async def _search(self, kind: str, name: str, box: Box) -> None:
        if self.whole or kind == "agent":
            # What all boxes show, read-only, is looked through in one of them.
            shown = [] if name == "agent" else ["/usr", sys.prefix, sys.base_prefix]
            said = await self._in_box(kind, box, sending.SEARCH, self._asked([], [], shown))
            self.found[name] = said.splitlines()

    async def _in_box(self, kind: str, box: Box, program: bytes, env: dict[str, str]) -> str:
        done = await box.run(["python3", *sending.ARGV], stdin=program, env=env, timeout=SECONDS)
        assert done.code == 0, (kind, done.output[-2000:])
        return done.output

    async def _legacy(self, kind: str, policy: SandboxPolicy, box: Box) -> None:
        """Leave something for those who come after, and look what others left."""
        places = "/tmp /var/tmp /dev/shm /run /scratch.git /workspace $HOME"
        look = f"find {places} -xdev -name '{self.mark}-left*' 2>/dev/null; true"
        self.left[kind] = (await box.run(["sh", "-c", look], timeout=60)).output.split()
        if kind == "agent":
            leave = f"mkdir build; for d in build $HOME /tmp /dev/shm /scratch.git; do touch $d/{self.mark}-left; done; {look}"
            self.left["none"] = (await box.run(["sh", "-c", leave], timeout=60)).output.split()

    def _facts(self, pointer: str, *, inside: bool) -> dict[str, str]:
        return {"FACTS": json.dumps({**self.facts, "inside": inside, "pointer": pointer})}

    def _asked(self, folders: list[str], pids: list[int], skipped: list[str]) -> dict[str, str]:
        half = len(self.token) // 2
        halves = (self.token[:half][::-1], self.token[half:][::-1])
        asked = {
            "since": self.facts["since"],
            "halves": halves,
            "folders": folders,
            "pids": pids,
            "skipped": skipped,
        }
        return {"ASKED": json.dumps(asked)}

    def _outcomes(self, said: str) -> dict[str, str]:
        found = dict(json.loads(line) for line in said.splitlines() if line.startswith('["'))
        for name, how in found.items():
            if how.startswith("look "):
                found[name] = "through" if _stayed(how.removeprefix("look ")) else "stopped: not on the host"
        return found


def _stayed(paths: str) -> bool:
    """Look whether any of these is on the host, and remove it."""
    stayed = [Path(path) for path in paths.split(":") if os.path.exists(path)]
    for path in stayed:
        path.unlink()
    return bool(stayed)


@contextmanager
def _standing_by(token: str, mark: str) -> Iterator[int]:
    argv = [sys.executable, "-c", STANDS_BY, mark, f"--token={token}"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as child:
        try:
            assert child.stdout is not None
            child.stdout.readline()
            yield child.pid
        finally:
            child.kill()


async def main(folder: Path, which: str) -> None:
    """Have it all tried, and write down what was seen."""
    os.umask(0o022)
    os.environ["HOME"] = "/nonexistent"  # else its being a home would hide all of this
    token = os.environ[NAME]
    run = Run(folder, token, whole=which == "whole")
    programs = world.install(folder)
    found = await probe(hidden=[folder / "data"], path=programs)
    if not isinstance(found.sandbox, BwrapSandbox):
        (folder / "seen.json").write_text(json.dumps({"missing": found.problems}))
        return
    with ExitStack() as stack:
        since = time.time() - 2
        named = world.plant(folder, token, run.mark)
        for name, path in named.items():
            if name.startswith("host /"):
                stack.callback(Path(path).unlink)
        places, listening = world.sockets(folder, run.mark)
        for each in listening:
            stack.callback(each.close)
        stack.callback(Path(places["in host /tmp"]).unlink)
        key, forget = world.shared_memory(token)
        stack.callback(forget)
        store = await Store.open(f"sqlite:///{named['database']}", SystemClock())
        await store.put_id("planted", token)
        bot = world.Bot(folder / "data", world.Visited(found.sandbox, run), store, token, programs)
        mirror = await bot.mirror()
        run.facts = {
            "files": named,
            "home": str(folder / "home"),
            "data": str(folder / "data"),
            "objects": str(mirror.git_dir / "objects"),
            "victim": stack.enter_context(_standing_by(token, run.mark)),
            "victims": run.mark,
            "mark": run.mark,
            "user": os.readlink("/proc/self/ns/user"),
            "sockets": {**places, "abstract, of the host": f"@{os.environ['STREET']}"},
            "addresses": {name: (address, 80) for name, address in world.ADDRESSES.items()},
            "shm_key": key,
            "since": since,
        }
        try:
            await asyncio.to_thread(run.naively)
            made = await bot.work(mirror)
            await bot.plan(mirror)
        finally:
            await store.close()
    seen = {
        "level": found.level,
        "user": os.geteuid(),
        "seen": run.seen,
        "found": run.found,
        "left": run.left,
        "handed": run.handed,
        "commands": run.commands,
    }
    (folder / "seen.json").write_text(json.dumps({**seen, "made": made.tests, "mark": run.mark}))


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
