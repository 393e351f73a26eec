"""Owns the field of the attack tests: what an agent can reach, in a naive layout and in ours, and the host's cycle in both.

An attack is a shell script with the same variables in both: `$WT` the work folder, `$COMMON` and `$GITDIR` the git folders
that its git uses, `$OBJECTS` where the objects of the base lie, `$HOST` a folder of the host with a secret, `$EVIL` a program that
leaves a mark when somebody runs it, `$EVIL_URL` a server that records what it is sent.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from bot.core.backlog import BacklogTask
from bot.core.config import NO_TEST, RepoConfig
from bot.core.values import Identity
from bot.engine.store import Store
from bot.errors import UserError
from bot.git import GitMirror, TaskWorktree, WorktreeManager, task_policy
from bot.jobs.judge import Judge, Made, Seen
from bot.jobs.verify import Verifier
from bot.ports import GitAccess, Sandbox
from tests.core.builders import GOOD, a_task, a_track
from tests.git.conftest import REPO, WHEN
from tests.git.server import TOKEN, GitServer
from tests.jobs.finders import nowhere

_SECONDS = 60.0
BRANCH = "agent/issue-12/T-1-a1"
HOST_SECRET = "ghs_" + "hostsecret"
PATH = f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin"
WHO = Identity("t", "t@example.invalid")
NAMES = {
    f"GIT_{who}_{what}": "t@example.invalid" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
}
# The honest part of every attack, so that there is something to take in.
PRELUDE = """\
set -e
w() { mkdir -p "$(dirname "$1")"; printf '%b' "$2" >"$1"; }
cfg() { git config --file "$COMMON/config" "$1" "$2"; }
run() { mkdir -p "$(dirname "$1")"; printf '#!/bin/sh\\n%s\\n' "exec $EVIL" >"$1"; chmod 755 "$1"; }
sed -i 's/^line 3$/line 3 agent/' "$WT/f.txt"
cd "$WT"
"""


@dataclass
class Field:
    """What both sides share: the remote, the host's secret, and the marks by which a hit is told."""

    folder: Path
    server: GitServer
    sink: GitServer
    next: str  # the commit to which others move `main` while the agent works
    script: str = ""
    written: bool = False  # whether the agent's script ran to its end
    said: str = ""
    outcome: str = ""  # done, or why the host refused
    log: list[tuple[tuple[str, ...], int, str]] = field(default_factory=list)

    @property
    def marker(self) -> Path:
        return self.folder / "PWNED"

    @property
    def host(self) -> Path:
        return self.folder / "host"

    def prepare(self) -> None:
        self.host.mkdir(parents=True)
        (self.host / "host-secret.txt").write_text(HOST_SECRET)
        (self.host / "id_rsa").write_text(HOST_SECRET)
        evil = self.host / "evil.sh"
        evil.write_text(f"#!/bin/sh\ntouch '{self.marker}'\ncat 2>/dev/null\nexit 0\n")
        evil.chmod(0o755)

    def variables(self) -> dict[str, str]:
        return {
            **NAMES,
            "HOST": str(self.host),
            "EVIL": str(self.host / "evil.sh"),
            "EVIL_URL": self.sink.url,
            "REAL_URL": self.server.url,
            "TOKEN_URL": self.server.url.replace("//", f"//x-access-token:{TOKEN}@"),
            "OTHER": str(self.server.root / "other.git"),
        }

    @property
    def pwned(self) -> bool:
        return self.marker.exists()

    def published(self) -> str:
        """List every path and the words of every commit that the remote got."""
        return self.remote("log", "--all", "--name-only", "--format=%H %an %s")

    def remote(self, *args: str) -> str:
        return self.server.git(*args)

    def on_remote(self, ref: str, path: str) -> str:
        done = _git("--git-dir", str(self.server.root / "r.git"), "show", f"{ref}:{path}")
        return done.stdout if done.returncode == 0 else ""

    def branch(self) -> str:
        raise NotImplementedError

    def arrived(self, path: str) -> bool:
        """Say whether a path stands in what the host published."""
        done = _git(
            "--git-dir", str(self.server.root / "r.git"), "ls-tree", "-r", "-z", "--name-only", self.branch()
        )
        return path in done.stdout.split("\0")

    def mode(self, path: str) -> str:
        """Give the mode of a path in what the host published; empty where it is not there."""
        done = _git("--git-dir", str(self.server.root / "r.git"), "ls-tree", self.branch(), path)
        return done.stdout.partition(" ")[0]

    @property
    def argv(self) -> str:
        """The command lines of every git that the host ran, where they were recorded."""
        seen = self.folder / "argv"
        return seen.read_text() if seen.exists() else ""


class Naive(Field):
    """A linked worktree of a repository that the agent may write; the host runs `git -C <worktree>`."""

    @property
    def wt(self) -> Path:
        return self.folder / "wt"

    @property
    def common(self) -> Path:
        return self.folder / "main/.git"

    def branch(self) -> str:
        return "task"

    def build(self, seed: Path) -> None:
        self.prepare()
        main = self.folder / "main"
        for args in (
            ("clone", "-q", str(seed), str(main)),
            ("-C", str(main), "remote", "set-url", "origin", str(self.server.root / "r.git")),
            ("-C", str(main), "worktree", "add", "-q", "-b", "task", str(self.wt)),
            ("-C", str(main), "reset", "-q", "--hard", "origin/next"),
        ):
            done = _git(*args)
            assert done.returncode == 0, done.stderr
        self.remote("update-ref", "refs/heads/main", self.next)

    def attack(self, script: str) -> None:
        gitdir = self.common / "worktrees/wt"
        paths = {
            "WT": self.wt,
            "HOST_WT": self.wt,
            "COMMON": self.common,
            "GITDIR": gitdir,
            "HOME": self.folder,
        }
        paths |= {"OBJECTS": self.common / "objects", "HOST_HOME": self.folder}
        env = {
            **self.variables(),
            **{name: str(path) for name, path in paths.items()},
            "PATH": os.environ["PATH"],
        }
        done = subprocess.run(
            ["sh", "-c", PRELUDE + script], env=env, capture_output=True, text=True, timeout=60, check=False
        )
        self.written, self.said = done.returncode == 0, done.stdout + done.stderr

    def git(self, *args: str, cwd: Path | None = None) -> str:
        """Run git as a host does that trusts what lies there; one that is hit may never end."""
        command = ["git", "-C", str(cwd or self.wt), *args]
        with (self.folder / "said").open("w+", errors="replace") as said:
            child = subprocess.Popen(
                command,
                env=_environment(self.folder),
                stdin=subprocess.DEVNULL,
                stdout=said,
                start_new_session=True,
            )
            code = self._end(child)
            said.seek(0)
            out = said.read()
        self.log.append((args, code, out[-4000:]))
        return out

    def _end(self, child: subprocess.Popen[bytes]) -> int:
        deadline = time.monotonic() + _SECONDS
        while time.monotonic() < deadline:
            try:
                return child.wait(0.5)
            except subprocess.TimeoutExpired:
                if self.pwned:
                    break
        os.killpg(child.pid, signal.SIGKILL)
        child.wait(_SECONDS)
        return 124

    def cycle(self) -> None:
        """Take the work in as most do: status, add, commit, diff, rebase, push."""
        for args in (
            ("status", "--porcelain"),
            ("add", "-A"),
            ("commit", "-m", "work"),
            ("diff", "HEAD~1", "HEAD"),
            ("log", "-p", "-1"),
            ("rebase", "main"),
            ("push", "-f", "origin", "HEAD"),
        ):
            self.git(*args)
        self.outcome = "done"

    def push_with_token(self) -> None:
        self.git("remote", "set-url", "origin", self.variables()["TOKEN_URL"] + "/r.git")
        self.git("push", "origin", "HEAD:refs/heads/token")

    def failed(self, command: str) -> bool:
        return any(args[0] == command and code for args, code, _ in self.log)

    @property
    def shown(self) -> str:
        """What a person would see of the change."""
        return "".join(out for args, _, out in self.log if args[0] in {"diff", "log"})


class Ours(Field):
    """The bot's own code: WorktreeManager, the real box, ingest, Judge, merge in memory, push."""

    manager: WorktreeManager
    mirror: GitMirror
    tree: TaskWorktree
    base: str
    sha: str = ""

    def branch(self) -> str:
        return BRANCH

    @property
    def access(self) -> GitAccess:
        return GitAccess(f"{self.server.url}/r.git", TOKEN)

    async def build(self, sandbox: Sandbox) -> None:
        self.prepare()
        self.manager = WorktreeManager(self.folder / "data", sandbox)
        self.mirror = await self.manager.mirror(REPO)
        await self.mirror.fetch(self.access)
        self.base = str(await self.mirror.resolve("main"))
        self.tree = await self.manager.create(self.mirror, "T-1", self.base)
        self.remote("update-ref", "refs/heads/main", self.next)

    async def attack(self, script: str) -> None:
        policy = task_policy(self.tree, self.mirror, path=PATH)
        async with self.manager.zone.sandbox.open(policy) as box:
            git_dir = "/scratch.git" if str(box.work) != str(self.tree.path) else str(self.tree.scratch_git)
            paths: Mapping[str, object] = {
                "WT": box.work,
                "HOST_WT": self.tree.path,
                "HOST_HOME": self.tree.home,
                "COMMON": git_dir,
                "GITDIR": git_dir,
                "OBJECTS": self.mirror.git_dir / "objects",
            }
            env = {**self.variables(), **{name: str(path) for name, path in paths.items()}}
            done = await box.run(["sh", "-c", PRELUDE + script], env=env, timeout=60)
        self.written, self.said = done.code == 0, done.output

    async def cycle(self) -> None:
        """Take the work in as the bot does; `outcome` says who refused it."""
        try:
            taken = await self.tree.ingest("work", WHO, WHEN, {})
        except UserError as error:
            self.outcome = str(error)
            return
        if taken.sha is None:
            self.outcome = "no change"
            return
        made = await self._judged(taken.sha, taken.changed)
        if made.situation is not None:
            self.outcome = f"{made.text}\n{made.details}"
            return
        await self.mirror.fetch(self.access)
        tip = str(await self.mirror.resolve("main"))
        tree, conflicts = await self.mirror.merge_tree(tip, taken.sha)
        assert not conflicts
        self.sha = await self.mirror.commit_tree(tree, (tip,), "work", WHO, WHEN)
        await self.mirror.push(self.access, self.sha, BRANCH, None)
        self.outcome = "done"

    async def _judged(self, sha: str, changed: tuple[str, ...]) -> Made:
        task = a_task("T-1", state="running", scope=("*",))
        track = a_track(task, config=RepoConfig(test=NO_TEST))
        written = cast(BacklogTask, GOOD.backlog and GOOD.backlog.tasks[0])
        judge = Judge(cast(Verifier, None), cast(Store, None), nowhere)
        made = Made(sha=sha, tip=self.base, base=self.base)
        return await judge.judged(track, task, made, Seen(self.mirror, written, (), changed))

    async def push_with_token(self) -> None:
        await self.mirror.push(self.access, self.base, "agent/token", None)


Hit = Callable[[Naive], bool]


def _git(*args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["git", *args],
        env=_environment(Path("/nonexistent")),
        capture_output=True,
        text=True,
        errors="replace",
        timeout=_SECONDS,
        check=False,
    )


def _environment(home: Path) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "LC_ALL": "C", "HOME": str(home), "GIT_TERMINAL_PROMPT": "0", **NAMES}
