"""Bots that let through what must be stopped: as in `lacking.py`, for the story of trouble."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from bot.core import packet_verify
from bot.core.actions import CheckHealth, RunTask
from bot.core.health import Finding, InstrumentationChecker, Probes, TestResult
from bot.core.packet_verify import ContextVerifier
from bot.core.values import Identity, Repo
from bot.git.mirror import GitMirror
from bot.git.pushing import remote_sha
from bot.git.runner import Place
from bot.git.worktrees import TaskWorktree, WorktreeManager
from bot.jobs.health import HealthJob
from bot.jobs.repository import Repositories
from bot.jobs.verify import Verification, Verifier
from bot.jobs.work import WorkJob
from bot.ports import GitAccess, Ingested, Mirror
from bot.sandbox import NoSandbox
from bot.wiring import Bot
from tests.stories.lacking import attempting, job, judging, twin


class Content(InstrumentationChecker):
    def findings(self, probes: Probes) -> tuple[Finding, ...]:
        """Find everything in order."""
        return ()


class Trustful(InstrumentationChecker):
    def findings(self, probes: Probes) -> tuple[Finding, ...]:
        """Believe that a failing test would be seen."""
        return tuple(f for f in super().findings(probes) if f.code != "CANARY")


def trustful(bot: Bot) -> None:
    bot.jobs[CheckHealth] = replace(job(bot, CheckHealth, HealthJob), checker=Trustful)


def content(bot: Bot) -> None:
    bot.jobs[CheckHealth] = replace(job(bot, CheckHealth, HealthJob), checker=Content)


class Careless(ContextVerifier):
    def verify(self, *_: object, **__: object) -> list[packet_verify.Finding]:
        """Find every context fit."""
        return []


def careless(bot: Bot) -> None:
    known = job(bot, RunTask, WorkJob).attempts.contracts
    attempting(bot, contracts=replace(known, verifier=Careless()))


def unboxed(bot: Bot) -> None:
    attempting(bot, sandbox=NoSandbox(allowed=True))


class Trusting(TaskWorktree):
    """Takes in whatever it finds, as far as links lead."""

    async def ingest(
        self, message: str, author: Identity, when: datetime, keep: Mapping[str, bytes | None]
    ) -> Ingested:
        found = {str(p.relative_to(self.path)): p.read_bytes() for p in self.path.rglob("*") if p.is_file()}
        del found[".git"]
        sha = await self._mirror.commit_files(self.base, {**found, **keep}, message, author, when)
        stat = await self._mirror.diff_stat(self.base, sha)
        changed = [path for path, _, _ in stat if path not in keep]
        return Ingested(sha, tuple(changed), 0, 0)


class Unrecorded(TaskWorktree):
    async def ingest(
        self, message: str, author: Identity, when: datetime, keep: Mapping[str, bytes | None]
    ) -> Ingested:
        """Leave out what the host writes."""
        return await super().ingest(message, author, when, {})


class Unrecording(WorktreeManager):
    async def create(self, mirror: Mirror, id_: str, base: str) -> TaskWorktree:
        """Make worktrees whose commits record nothing."""
        return twin(await super().create(mirror, id_, base), Unrecorded)


def unrecorded(bot: Bot) -> None:
    attempting(bot, worktrees=twin(bot.worktrees, Unrecording))


class Welcoming(WorktreeManager):
    async def create(self, mirror: Mirror, id_: str, base: str) -> TaskWorktree:
        """Make worktrees that take in everything."""
        return twin(await super().create(mirror, id_, base), Trusting)


def trusting(bot: Bot) -> None:
    attempting(bot, worktrees=twin(bot.worktrees, Welcoming))


@dataclass(frozen=True, slots=True)
class Untested(Verifier):
    """Finds every commit green without running anything."""

    async def run(
        self,
        mirror: Mirror,
        id_: str,
        sha: str,
        command: str,
        extra: Mapping[str, str] | None = None,
        setup: str | None = None,
        **_: str,
    ) -> Verification:
        return Verification(TestResult("green"), "", 0.0)


def untested(bot: Bot) -> None:
    known = job(bot, RunTask, WorkJob).attempts.verifier
    judging(bot, verifier=Untested(known.dependencies))


def unprotected(bot: Bot) -> None:
    judging(bot, protected=lambda *_: ())


def indiscreet(bot: Bot) -> None:
    judging(bot, new_secrets=lambda *_: ())


class Ruthless(GitMirror):
    async def push(self, access: GitAccess, sha: str, branch: str, expected: str | None) -> None:
        """Push over whatever is there."""
        there = await remote_sha(Place(self.git_dir), access, f"refs/heads/{branch}")
        await super().push(access, sha, branch, there)


class Overriding(Repositories):
    """Gives mirrors that push over whatever is there."""

    async def fresh(self, repo: Repo, max_age: float = 0.0) -> Mirror:
        return twin(await Repositories.fresh(self, repo, max_age), Ruthless)


def ruthless(bot: Bot) -> None:
    work = job(bot, RunTask, WorkJob)
    known = work.repositories
    bot.jobs[RunTask] = replace(work, repositories=Overriding(known.forge, known.worktrees, known.override))
