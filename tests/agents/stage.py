"""Owns what tests of agents share: a repository, a session's folder, a box, and an agent that works in it."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from bot import living
from bot.agents import make_coder
from bot.agents.script import Script
from bot.agents.sessions import Session, Sessions
from bot.agents.supplies import Limits, Supplies
from bot.core.drift import ContextDriftDetector, Signal, Step
from bot.gateway.endpoints import Endpoints
from bot.ports import Coder, JsonDict, Judge, Sandbox, SandboxPolicy, WorkOrder, WorkReport

FAKE = Path(__file__).with_name("fake_acp_agent.py")
QUICK = Limits(start=60.0, drain=60.0, look=0.05)
SHORT = Limits(start=60.0, drain=1.0, look=0.05)  # for those that do not stop when they are asked to
PATCH = """\
diff --git a/pkg/mod.py b/pkg/mod.py
--- a/pkg/mod.py
+++ b/pkg/mod.py
@@ -1,2 +1,2 @@
-one = 1
+one = 2
 two = 2
"""


def git(folder: Path, *args: str) -> str:
    # A box may have handed the folder to another user.
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "safe.directory=*"]
    return subprocess.run(
        ["git", *identity, *args], cwd=folder, check=True, capture_output=True, text=True
    ).stdout


def repository(folder: Path) -> Path:
    """Make a small repository with one commit, and the scripted agent's patch beside it."""
    (folder / "pkg").mkdir(parents=True)
    (folder / "pkg" / "mod.py").write_text("one = 1\ntwo = 2\n", encoding="utf-8")
    git(folder, "init", "-q", "-b", "main")
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "start")
    (folder.parent / "fix.patch").write_text(PATCH, encoding="utf-8")
    return folder


class Log:
    """A session log in memory."""

    async def session_opened(self, *_: object) -> None: ...

    async def session_deleted(self, *_: object) -> None: ...

    async def session_proved(self, *_: object) -> None: ...

    async def open_sessions(self) -> list[object]:
        return []


@dataclass
class Stage:
    """One repository and one sandbox; `work` has an agent work in a session that is deleted afterwards."""

    folder: Path
    sandbox: Sandbox
    path: str = f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin"
    worktree: Path = field(init=False)
    steps: list[Step] = field(default_factory=list)
    leftovers: list[str] = field(default_factory=lambda: ["no session was made"])
    checked: set[str] = field(default_factory=set)  # what the proof of the session's end is about
    unproved: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.worktree = repository(self.folder / "work")

    async def tree(self) -> str:
        names = sorted(
            path for path in self.worktree.rglob("*") if path.is_file() and ".git" not in path.parts
        )
        return hashlib.sha256(b"".join(path.read_bytes() for path in names)).hexdigest()

    def notes(self, *notes: str, after: int = 1) -> Callable[[], Awaitable[str | None]]:
        """Give notes one by one, once so many steps were seen."""
        waiting = list(notes)

        async def look() -> str | None:
            return waiting.pop(0) if waiting and len(self.steps) >= after else None

        return look

    def watching(self) -> Callable[[str], Judge]:
        """Watch with the real rules, and remember the steps."""

        def begin(tree: str) -> Judge:
            detector = ContextDriftDetector(tree=tree)

            def judge(step: Step) -> tuple[Signal, ...]:
                self.steps.append(step)
                return detector.observe(step)

            return judge

        return begin

    @asynccontextmanager
    async def session(self) -> AsyncIterator[WorkOrder]:
        """Lend an order whose session is deleted at the end; `leftovers` says what is there still."""
        sessions = Sessions(self.folder / "sessions", Log())  # type: ignore[arg-type]
        session: Session | None = None
        try:
            async with sessions.open("coder", "o/r#1", "T-1") as session:
                yield WorkOrder(
                    track="issue-1",
                    task="T-1",
                    title="Fix one",
                    prompt="Please fix.",
                    scope=(),
                    run=1,
                    policy=SandboxPolicy(work=self.worktree, home=session.home, path=self.path),
                    session=session.id,
                    state_dir=session.dir,
                    timeout=100.0,
                    judge=self.watching(),
                    disposed=session.ended,
                    tree=self.tree,
                )
        finally:
            assert session is not None
            assert session.proof is not None
            self.leftovers = list(session.proof.leftovers)
            self.checked = {each.partition(":")[0] for each in session.proof.checked}
            self.unproved = {each.partition(":")[0] for each in session.proof.unproved}

    async def work(self, coder: Coder, **changes: object) -> WorkReport:
        async with self.session() as order:
            shutil.copy(FAKE, order.policy.home)
            try:
                return await coder.work(replace(order, **changes), self.sandbox)  # type: ignore[arg-type]
            finally:
                assert living.working_in(self.worktree) == []
                assert living.working_in(order.policy.home) == []


def fake(mode: str) -> dict[str, object]:
    """Give the part of an order that starts the small ACP agent in a mode."""
    return {"command": ("python3", "{home}/fake_acp_agent.py", mode)}


def acp_coder(environ: dict[str, str] | None = None, base_url: str | None = None, **changes: object) -> Coder:
    supplies = Supplies(endpoints=Endpoints(environ or {}, base_url), limits=QUICK)
    return make_coder("custom", replace(supplies, **changes))  # type: ignore[arg-type]


def scripted_coder(folder: Path, *runs: JsonDict) -> Coder:
    script = Script.model_validate(
        {"tasks": [{"match": "Fix", "runs": list(runs)}]}, context={"folder": folder}
    )
    return make_coder("scripted", Supplies(script=script))
