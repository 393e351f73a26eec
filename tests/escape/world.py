"""Owns the world of the escape suite: a host with a token planted in it, and the jobs of the bot that open every kind of box."""

from __future__ import annotations

import ctypes
import os
import socket
import sys
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Protocol, cast

import pytest

import bot
from bot import files
from bot.agents.driver import AgentCoder
from bot.agents.planner import AgentPlanner
from bot.agents.sessions import Sessions
from bot.agents.supplies import Supplies
from bot.core.actions import RunTask
from bot.core.backlog import BacklogTask
from bot.core.config import RepoConfig
from bot.core.values import Identity, Repo, Usage
from bot.engine.store import Store
from bot.gateway.endpoints import Endpoints
from bot.git import GitMirror, WorktreeManager
from bot.git.runner import Place, git
from bot.jobs.attempt import Attempts
from bot.jobs.contract import Contract, Contracts
from bot.jobs.dependencies import Dependencies
from bot.jobs.judge import Judge, Made
from bot.jobs.layers import Layers
from bot.jobs.manners import Manners
from bot.jobs.outward import to_listed, to_registries
from bot.jobs.spending import Spending
from bot.jobs.verify import Verifier
from bot.ports import (
    Box,
    DisposeProof,
    PlanBrief,
    RunError,
    Sandbox,
    SandboxPolicy,
    Seat,
    TurnResult,
    WireFormat,
)
from bot.settings import Settings
from tests.core.builders import GOOD, NOW, a_task, a_track
from tests.escape.hearing import HeardBox
from tests.jobs.finders import nowhere

_PATH = f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin"
WHO = Identity("Dana", "dana@example.invalid")
EMPTY = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
KINDS = ("checkout", "set-up", "look", "agent", "take", "verification", "planner")
BACKLOG = """\
version: 1
track: issue-12
issue: 12
goal: Greet.
tasks:
  - id: T-1
    title: One
    scope: {paths: [a.py]}
    acceptance: [It is.]
    status: todo
"""


def install(folder: Path) -> str:
    """Have the operator's programs in a virtual environment in whose folder DATA_DIR lies, and give the PATH."""
    (folder / "bin").mkdir()
    (folder / "pyvenv.cfg").write_text(f"home = {Path(sys.executable).resolve().parent}\n")
    return f"{folder / 'bin'}:{_PATH}"


ADDRESSES = {
    "loopback": "127.0.0.1",
    "loopback v6": "::1",
    "metadata": "169.254.169.254",
    "metadata v6": "fd00:ec2::254",
    "an address": "192.0.2.1",
    "an address v6": "2001:db8::1",
}


def plant(folder: Path, token: str, mark: str) -> dict[str, str]:
    """Put the token wherever a host keeps something, and name the places."""
    home, data = folder / "home", folder / "data"
    places = {
        "host key": data / "app.pem",
        "netrc": home / ".netrc",
        "gh login": home / ".config/gh/hosts.yml",
        "credentials": data / "credentials.json",
        "mirror config": data / "mirrors/8.git/config",
        "another task's work": data / "tasks/issue-9-T-1/wt/secret.txt",
        "another task's home": data / "tasks/issue-9-T-1/home/.cache",
        "another task's scratch.git": data / "tasks/issue-9-T-1/scratch.git/config",
        "another session": data / "sessions/coder-other/history.jsonl",
        "another layer": data / "layers/8/other/work/.env",
        "host /tmp": Path("/tmp", f"{mark}-planted"),
        "host /dev/shm": Path("/dev/shm", f"{mark}-planted"),
    }
    if os.geteuid() == 0:
        places["host /etc"] = Path("/etc", f"{mark}-planted")
    for path in places.values():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"token = {token}\n", "utf-8")
        path.chmod(0o644)  # nothing but the box itself is to keep somebody out
    for path in (folder, *(below for below in folder.rglob("*") if below.is_dir())):
        path.chmod(0o755)
    source = {"database": data / "gitwright.sqlite", "bot source": Path(bot.__file__).parent / "wiring.py"}
    return {name: str(path) for name, path in (places | source).items()}


def sockets(folder: Path, mark: str) -> tuple[dict[str, str], list[socket.socket]]:
    """Listen where a host's services do; the abstract one is somebody else's (`tests/support/streets.py`)."""
    run = folder / "run"
    run.mkdir()
    run.chmod(0o755)
    places = {
        "broker": str(run / "broker.sock"),
        "docker": str(run / "docker.sock"),
        "database server": str(run / ".s.PGSQL.5432"),
        "another session's gateway": str(folder / "data/sessions/coder-other/model.sock"),
        "in host /tmp": f"/tmp/{mark}.sock",
    }
    listening = []
    for place in places.values():
        made = socket.socket(socket.AF_UNIX)
        made.bind(place)
        os.chmod(place, 0o666)
        made.listen()
        listening.append(made)
    return {**places, "abstract, of the host": f"@{mark}"}, listening


def shared_memory(token: str) -> tuple[int, Callable[[], None]]:
    """Keep the token in shared memory of System V; gives its key, and how it is removed."""
    library = ctypes.CDLL(None, use_errno=True)
    key = int.from_bytes(os.urandom(3), "big") + 1
    number = library.shmget(key, 4096, 0o1000 | 0o666)
    if number < 0:
        raise OSError(ctypes.get_errno(), "shmget")
    library.shmat.restype = ctypes.c_void_p
    place = library.shmat(number, None, 0)
    ctypes.memmove(place, token.encode(), len(token))
    return key, lambda: library.shmctl(number, 0, None)


class Visitor(Protocol):
    """Who looks into each box, named by the job that opened it."""

    async def visit(self, kind: str, policy: SandboxPolicy, box: Box) -> None:
        """Come before the job."""

    async def leave(self, kind: str, box: Box) -> None:
        """Come when the job is done."""

    def hear(self, kind: str, what: str, parts: Iterable[bytes]) -> None:
        """Learn what is handed in."""


@dataclass(frozen=True)
class Visited:
    """The real sandbox, that somebody else looks into before and after, whenever the bot opens a box."""

    inner: Sandbox
    visitor: Visitor

    @property
    def level(self) -> str:
        return self.inner.level

    @property
    def name(self) -> str:
        return self.inner.name

    def open(self, policy: SandboxPolicy) -> AbstractAsyncContextManager[Box]:
        return self._visited(policy)

    @asynccontextmanager
    async def _visited(self, policy: SandboxPolicy) -> AsyncIterator[Box]:
        kind = kind_of(policy)
        hear = partial(self.visitor.hear, kind)
        hear("environment", (part.encode() for item in policy.env.items() for part in item))
        async with self.inner.open(policy) as box:
            await self.visitor.visit(kind, policy, box)
            heard = HeardBox(box, hear, partial(self.visitor.leave, kind, box))
            yield heard
            await heard.end()


def kind_of(policy: SandboxPolicy) -> str:
    """Tell by what it shows which job opened it."""
    ports = {outlet.port for outlet in policy.outlets}
    if policy.frozen:
        return "planner" if ports else "look"
    if policy.pointer_git is None:
        return "checkout" if policy.writable else "take"
    return "agent" if 4180 in ports else "set-up" if ports else "verification"


class _Log:
    async def session_opened(self, *_: object) -> None: ...

    async def session_deleted(self, *_: object) -> None: ...

    async def session_proved(self, *_: object) -> None: ...

    async def open_sessions(self) -> list[object]:
        return []


class _Clock:
    def now(self) -> datetime:
        return NOW


class _Spending:
    """Lends as much as is wanted."""

    left, total, tokens, tokens_left = None, Usage(), None, None

    def begin(self, _model: str) -> None: ...

    def add(self, _model: str, _usage: Usage) -> None: ...

    async def route_task(self, *_: object, **__: object) -> SimpleNamespace:
        return SimpleNamespace(role="simple", models=("openai:m1",), reasons=())

    @asynccontextmanager
    async def run(self, *_: object, **__: object) -> AsyncIterator[_Spending]:
        yield self


class _Contracts:
    async def read(self, *_: object) -> Contract:
        return Contract(BACKLOG, cast(BacklogTask, GOOD.backlog and GOOD.backlog.tasks[0]), "specs/T-1.md")


@dataclass
class _Honest:
    """An agent that does its task, or has no plan: its box was looked into before."""

    name: str = "builtin"
    wire: WireFormat | None = "chat"
    id: str = ""
    resumed: bool = False
    _seat: Seat | None = None

    async def start(self, seat: Seat) -> _Honest:
        return replace(self, _seat=seat)

    async def prompt(self, _text: str) -> TurnResult:
        assert self._seat is not None
        if not self._seat.read_only:
            await self._seat.box.run(["sh", "-c", "echo done >>a.py"], timeout=60)
        return TurnResult("end_turn", "done")

    async def steer(self, _text: str) -> TurnResult:
        return TurnResult("end_turn")

    async def cancel(self) -> None: ...

    async def dispose(self, *, keep: bool = False) -> DisposeProof:
        return DisposeProof()


@dataclass
class Bot:
    """The parts of the bot that open boxes, put together as `bot/jobs/table.py` does."""

    data: Path
    sandbox: Sandbox
    store: Store
    token: str
    path: str  # of the operator's
    _settings: Settings = field(init=False)
    _worktrees: WorktreeManager = field(init=False)
    _supplies: Supplies = field(init=False)

    def __post_init__(self) -> None:
        self._settings = Settings(_env_file=None, token="t", data_dir=self.data)  # type: ignore[arg-type, call-arg]
        self._worktrees = WorktreeManager(self.data, self.sandbox)
        self._supplies = Supplies(endpoints=Endpoints({"OPENAI_API_KEY": self.token}, "http://127.0.0.1:9"))

    async def mirror(self) -> GitMirror:
        """Make a repository that has one commit."""
        mirror = await self._worktrees.mirror(Repo(7, "acme", "greet", "main", private=True))
        tree = await mirror.write_tree(EMPTY, {"a.py": b"x = 1\n", ".gitignore": b"build/\n"})
        sha = await mirror.commit_tree(tree, (), "One", WHO, datetime(2026, 1, 2, tzinfo=UTC))
        await git(Place(mirror.git_dir), "update-ref", "refs/remotes/origin/main", sha)
        return mirror

    async def work(self, mirror: GitMirror) -> Made:
        """Have an agent do a task: from the set-up to the tests of its commit."""
        config = RepoConfig(
            egress=("listed.example.org",), setup="mkdir vendor && touch vendor/lib", test="true"
        )
        task = a_task(state="running", attempt=1, run=1, scope=("a.py",))
        track = a_track(task, config=config)
        owner = self._worktrees.owner
        dependencies = Dependencies(
            self._worktrees,
            self.sandbox,
            Layers(self.data / "layers", 1 << 30),
            self.path,
            to_registries(self._settings),
            owner,
        )
        attempts = Attempts(
            store=self.store,
            worktrees=self._worktrees,
            sandbox=self.sandbox,
            verifier=Verifier(dependencies),
            sessions=Sessions(self.data / "sessions", _Log(), hand_over=lambda home: files.give(home, owner)),
            coders={"builtin": AgentCoder(_Honest(), self._supplies)},
            manners=_manners,
            clock=_Clock(),
            spending=cast(Spending, _Spending()),
            judge=Judge(Verifier(dependencies), self.store, nowhere),
            outward=to_listed(self._settings),
            contracts=cast(Contracts, _Contracts()),
        )
        return await attempts.make(track, task, RunTask(task="T-1", attempt=1, run=1), mirror)

    async def plan(self, mirror: GitMirror) -> None:
        """Have an agent look for a plan, which it does not find."""
        base = str(await mirror.resolve("main"))
        worktree = await self._worktrees.create(mirror, "plan", base)
        state = self.data / "sessions" / "planner-1"
        home = files.ensure_dir(files.ensure_dir(state, 0o711) / "home")
        files.give(home, self._worktrees.owner)
        planner = AgentPlanner(
            _Honest(), self._supplies, self.sandbox, self.path, lambda brief: brief.title, lambda _: None
        )
        brief = PlanBrief("p", "Plan it", "Body", (), base, ("a.py",), worktree.path, "p-1", state)
        try:
            with pytest.raises(RunError, match="no usable plan"):
                await planner.propose(replace(brief, models=("openai:m1",)))
        finally:
            assert await self._worktrees.cleanup("plan") == []


async def _manners(*_: object) -> Manners:
    return Manners(Identity("Bot", "bot@example.invalid"))
