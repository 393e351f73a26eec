"""Rebasing a branch without an agent, and reading what its checks say, on a real repository."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import cast

import pytest

from bot.core import backlog
from bot.core.actions import AssessTask, RebaseTask
from bot.core.config import RepoConfig
from bot.core.events import TaskAssessed, TaskRebased
from bot.core.rebasing import RebaseEngine
from bot.core.track import Track
from bot.core.values import Check, Identity
from bot.git import GitMirror, WorktreeManager
from bot.jobs.repair import EVIDENCE, AssessJob, RebaseJob
from bot.jobs.repository import Repositories
from bot.ports import Capabilities, Forge, GitAccess
from tests.core.builders import GOOD, a_check, a_task, a_track
from tests.git.conftest import REPO, WHEN

BOT, DANA = Identity("Bot", "bot@example.invalid"), Identity("Dana", "dana@example.invalid")
BRANCH, FILE = "agent/issue-12/T-1-a1", "tasks/issue-12/BACKLOG.yaml"


@dataclass
class _Forge:
    access: GitAccess
    said: dict[str, list[Check]] = field(default_factory=dict)  # by sha
    logs: dict[int, str] = field(default_factory=dict)  # by job

    @asynccontextmanager
    async def git_access(self, _repo: object, **_: bool) -> AsyncIterator[GitAccess]:
        yield self.access

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities()

    async def author(self, _repo: object) -> Identity:
        return BOT

    async def checks(self, _repo: object, sha: str) -> list[Check]:
        return self.said.get(sha, [])

    async def job_log(self, _repo: object, job: int) -> str:
        return self.logs[job]


@dataclass
class Site:
    """A repository with a backlog on `main`, and one task's branch."""

    mirror: GitMirror
    forge: _Forge
    repositories: Repositories
    main: str = ""
    head: str = ""
    commits: int = 0
    config: RepoConfig = field(default_factory=RepoConfig)

    async def put(self, branch: str, files: Mapping[str, str], who: Identity = BOT) -> str:
        """Commit files on top of a branch and publish that."""
        self.commits += 1
        old = self.main if branch == "main" else self.head
        bytes_ = {path: text.encode() for path, text in files.items()}
        when = WHEN + timedelta(minutes=self.commits)
        sha = await self.mirror.commit_files(old, bytes_, "Change", who, when)
        await self.publish(branch, sha)
        return sha

    async def publish(self, branch: str, sha: str) -> None:
        there = {"main": self.main, BRANCH: self.head}[branch] or None
        if branch == BRANCH and there == self.main:
            there = None
        await self.mirror.push(self.forge.access, sha, branch, there)
        if branch == "main":
            self.main = sha
        else:
            self.head = sha

    async def text(self, sha: str, path: str) -> str:
        return (await self.mirror.read(sha, path) or b"").decode()

    def track(self) -> Track:
        mine = a_task(state="checking", attempt=1, pull=20, head_sha=self.head, branch=BRANCH)
        dropped = a_task("T-2", state="dropped", skipped=True)
        return a_track(mine, dropped, repo=REPO, config=self.config)

    async def rebase(self) -> TaskRebased | TaskAssessed | None:
        job = RebaseJob(self.repositories, cast(Forge, self.forge))
        return await job(self.track(), RebaseTask(task="T-1", attempt=1, head_sha=self.head))

    async def rebased(self) -> TaskRebased:
        done = await self.rebase()
        assert isinstance(done, TaskRebased)
        return done

    async def assessed(self) -> TaskAssessed:
        job = AssessJob(self.repositories, cast(Forge, self.forge))
        seen = await job(self.track(), AssessTask(task="T-1", attempt=1, head_sha=self.head))
        assert seen is not None
        return seen


@pytest.fixture
async def site(manager: WorktreeManager, mirror: GitMirror, base: str, access: GitAccess) -> Site:
    forge = _Forge(access)
    made = Site(mirror, forge, Repositories(cast(Forge, forge), manager), main=base)
    assert GOOD.backlog is not None
    text = backlog.dump(GOOD.backlog)
    made.head = await made.put("main", {FILE: text})
    done = backlog.set_status(backlog.set_status(text, "T-1", "done"), "T-2", "dropped")
    await made.put(BRANCH, {"a.py": "a = 1\n", FILE: done})
    return made


async def test_a_rebase_squashes_the_bots_commits_and_keeps_every_line_that_the_branch_records(
    site: Site,
) -> None:
    await site.put(BRANCH, {"a.py": "a = 2\n"})
    tip = await site.put("main", {"b.py": "b = 1\n"})
    done = await site.rebased()
    (made,) = await site.mirror.commits(tip, done.head_sha)
    assert made.parents == (tip,)
    assert await site.text(done.head_sha, "a.py") == "a = 2\n"
    read = backlog.load(await site.text(done.head_sha, FILE)).backlog
    assert read is not None
    assert [task.status for task in read.tasks] == ["done", "dropped"]


async def test_a_rebase_that_was_killed_after_its_push_is_found_done(site: Site) -> None:
    tip = await site.put("main", {"b.py": "b = 1\n"})
    first = await site.rebased()
    assert (await site.rebased(), first.onto) == (first, tip)


async def test_a_branch_that_stands_on_the_tip_is_left_as_it_is(site: Site) -> None:
    theirs = await site.put(BRANCH, {"more.py": "more = 1\n"}, DANA)
    done = await site.rebased()
    assert (done.head_sha, done.onto) == (theirs, site.main)


async def test_a_branch_that_somebody_put_onto_the_tip_is_left_as_it_is(site: Site) -> None:
    await site.publish(BRANCH, site.main)
    assert (await site.rebased()).head_sha == site.main


async def test_what_failed_checks_say_is_handed_on_whole_and_without_secrets(site: Site) -> None:
    token = "ghp_" + "A1b2C3d4E5" * 4
    site.forge.said[site.head] = [
        a_check("lint", "failure", summary="1 problem", text=f"src/a.py:3: unused\n{token}"),
        a_check("docs", "success", summary="fine", text="built"),
        a_check("long", "failure", summary="2 problems", text="x" * 9_000),
    ]
    seen = await site.assessed()
    assert (seen.situation.red, seen.situation.failing) == (True, ("lint", "long"))
    assert seen.output.startswith("lint: 1 problem\n\nsrc/a.py:3: unused\n")
    assert "\n\nlong: 2 problems\n\nxxx" in seen.output
    assert len(seen.output) <= EVIDENCE
    assert token not in seen.output + seen.details


async def test_a_job_that_says_nothing_at_length_is_told_by_the_end_of_its_log(site: Site) -> None:
    token = "ghp_" + "A1b2C3d4E5" * 4
    site.forge.logs = {5: f"{'.' * 9_000}\n{token}\nAssertionError: 3 != 4"}
    site.forge.said[site.head] = [
        a_check("unit", "failure", summary="Exit code 1", url="https://forge.test/job/5", job=5),
        a_check("lint", "failure", summary="1 problem", text="src/a.py:3: unused", job=6),  # says it itself
    ]
    seen = await site.assessed()
    assert seen.output.startswith("unit: Exit code 1 (https://forge.test/job/5)\n\n..")
    assert "\nAssertionError: 3 != 4\n\nlint: 1 problem" in seen.output
    assert len(seen.output) <= EVIDENCE
    assert token not in seen.output


async def test_a_check_that_is_red_on_the_base_too_is_told(site: Site) -> None:
    tip = await site.put("main", {"b.py": "b = 1\n"})
    site.forge.said[site.head] = [a_check("lint", "failure"), a_check("unit", "failure")]
    site.forge.said[tip] = [a_check("lint", "failure"), a_check("unit")]
    seen = (await site.assessed()).situation
    assert (seen.failing, seen.fails_on_base, seen.behind) == (("lint", "unit"), ("lint",), 1)
    assert not seen.people


async def test_a_conflict_only_in_the_hosts_files_needs_nobody(site: Site) -> None:
    text = await site.text(site.main, FILE)
    await site.put("main", {FILE: text.replace("status: todo\n", "# agreed\n    status: todo\n", 1)})
    seen = (await site.assessed()).situation
    assert seen.conflicts == seen.mechanical == (FILE,)
    done = await site.rebased()
    assert "# agreed\n    status: done\n" in await site.text(done.head_sha, FILE)


async def test_a_real_conflict_is_told_beside_a_persons_commits(site: Site) -> None:
    await site.put(BRANCH, {"more.py": "more = 1\n"}, DANA)
    await site.put("main", {"a.py": "a = 3\n"})
    seen = (await site.assessed()).situation
    assert (seen.conflicts, seen.mechanical, seen.people) == (("a.py",), (), True)


async def test_where_the_settings_say_never_only_a_person_who_asks_has_it_rebased(site: Site) -> None:
    site.config = RepoConfig(rebase="never")
    await site.put("main", {"a.py": "a = 3\n"})
    assert RebaseEngine().decide((await site.assessed()).situation).kind == "ask_person"
    asked = await site.rebase()
    assert isinstance(asked, TaskAssessed)
    assert RebaseEngine().decide(asked.situation).kind == "rebase_and_fix"
