"""A person's note worked into the backlog under review: written once, and never over what people write meanwhile."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, cast

import pytest

from bot.core import backlog
from bot.core.actions import ReviseBacklog
from bot.core.backlog import Backlog
from bot.core.planning import MergedPlan
from bot.core.plans import PlannedTask
from bot.core.values import CommitInfo, Identity, Usage
from bot.engine.ledger import Ledger
from bot.engine.store import Store
from bot.errors import RetryableError, StaleRefError
from bot.jobs.repository import Repositories
from bot.jobs.revise import ReviseBacklogJob
from bot.jobs.rewriting import Branch, Rewriter
from bot.jobs.spending import Spending
from bot.models.names import Named
from bot.models.prices import Price
from bot.ports import BacklogRefiner, Capabilities, Forge, Refined, SignedCommit
from tests.core.builders import GOOD, NOW, a_track
from tests.jobs.signing import Signs

LEFT_OUT = PlannedTask(key="cache", title="Cache the answers")
TRACK = a_track(state="review", backlog_pull=13, base_sha="base", plan=MergedPlan(minority=(LEFT_OUT,)))
FILE = f"{TRACK.folder}/BACKLOG.yaml"
NOTE = ReviseBacklog(note="Not so urgent.", by="dana", key="line-5")
COST = Usage(10, 5, 0.0, 1)


class _Clock:
    def now(self) -> datetime:
        return NOW


@dataclass
class Repository:
    """One branch with one file, as forge and as mirror; people may be faster than a push."""

    versions: dict[str, tuple[str, str]]  # sha -> parent, text of the file
    head: str = "first"
    hindered: int = 0  # pushes that somebody is faster than
    pushed: list[str] = field(default_factory=list)

    async def fresh(self, _repo: object) -> Repository:
        return self

    async def branch_sha(self, _repo: object, _branch: str) -> str:
        return self.head

    @asynccontextmanager
    async def git_access(self, _repo: object, **_: bool) -> AsyncIterator[None]:
        yield

    async def read(self, sha: str, path: str) -> bytes | None:
        return self.versions[sha][1].encode() if path == FILE else None

    async def files(self, _sha: str) -> list[object]:
        return []

    async def read_many(self, *_: object) -> dict[str, bytes]:
        return {}

    async def resolve(self, ref: str) -> str | None:
        return ref if ref in self.versions else None

    async def merge_base(self, one: str, other: str) -> str | None:
        line = other
        while line and line != one:
            line = self.versions[line][0]
        return line or None

    async def commits(self, old: str, new: str) -> list[CommitInfo]:
        found = []
        while new and new != old:
            parent = self.versions[new][0]
            found.append(CommitInfo(new, (parent,), "", "", NOW, await self.write_tree(new, {})))
            new = parent
        return found

    async def write_tree(self, sha: str, _files: object) -> str:
        return f"tree of {self.versions[sha][1]}"

    async def anchor(self, _name: str, _sha: str) -> None: ...

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities()

    async def author(self, _repo: object) -> Identity:
        return Identity("Bot", "bot@example.invalid")

    async def commit_files(self, parent: str, files: Mapping[str, bytes], *_: object) -> str:
        sha = f"{parent}+{len(self.versions)}"
        self.versions[sha] = (parent, files[FILE].decode())
        return sha

    async def push(self, _access: object, sha: str, _branch: str, expected: str) -> None:
        if self.hindered:
            self.hindered -= 1
            self.people_write("goal: Greet.", "goal: Greet all.")
        if self.head != expected:
            raise StaleRefError("somebody was faster")
        self.head = sha
        self.pushed.append(sha)

    def people_write(self, old: str, new: str) -> None:
        text = self.versions[self.head][1]
        assert old in text
        sha = f"{self.head}*"
        self.versions[sha] = (self.head, text.replace(old, new))
        self.head = sha

    @property
    def text(self) -> str:
        return self.versions[self.head][1]


@dataclass
class SigningRepository(Signs, Repository):
    """The same where commits have to be signed: the forge makes a commit of its own of what was made here."""

    async def unpublished(self, sha: str) -> list[CommitInfo]:
        return await self.commits(self.head, sha)

    async def message(self, sha: str) -> str:
        return self.versions[sha][1]

    async def publish_signed(self, _repo: object, _branch: str, expected: str, commit: SignedCommit) -> str:
        if self.head != expected:
            raise StaleRefError("somebody was faster")
        self.head = f"{expected}, signed"
        self.versions[self.head] = (expected, commit.message)
        self.pushed.append(self.head)
        return self.head


@dataclass
class Model:
    """Makes the first task less urgent; people may write while it thinks."""

    repository: Repository
    disturbed: int = 0
    asked: int = 0
    left_out: tuple[PlannedTask, ...] = ()

    async def revise(
        self, current: Backlog, _note: str, _number: int, left_out: tuple[PlannedTask, ...]
    ) -> Refined:
        self.asked += 1
        self.left_out = left_out
        if self.disturbed:
            self.disturbed -= 1
            self.repository.people_write("title: One", "title: The first")
        first, *rest = current.tasks
        return Refined(
            current.model_copy(update={"tasks": (first.model_copy(update={"priority": "low"}), *rest)}), COST
        )


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    made = await Store.open(f"sqlite:///{tmp_path}/store.sqlite", _Clock())
    yield made
    await made.close()


def a_repository(kind: type[Repository] = Repository) -> Repository:
    assert GOOD.backlog is not None
    return kind({"first": ("", backlog.dump(GOOD.backlog))})


def a_job(store: Store, repository: Repository, model: Model) -> ReviseBacklogJob:
    clock = _Clock()
    branch = Branch(cast(Repositories, repository), cast(Forge, repository), clock)
    spending = Spending(
        Ledger(store.database, clock), lambda *_: Named(("scripted",)), price=lambda _: Price(0.0, 0.0)
    )
    return ReviseBacklogJob(Rewriter(store, branch), lambda _: cast(BacklogRefiner, model), spending)


@pytest.mark.parametrize("kind", [Repository, SigningRepository])
async def test_a_note_is_worked_in_once_however_often_the_job_is_repeated(
    store: Store, kind: type[Repository]
) -> None:
    repository = a_repository(kind)
    model = Model(repository)
    job = a_job(store, repository, model)
    first = await job(TRACK, NOTE)
    assert "priority: low" in repository.text
    assert (first.head_sha, first.usage) == (repository.head, COST)
    repository.people_write("goal: Greet.", "goal: Greet all.")
    assert await job(TRACK, NOTE) == first
    assert (len(repository.pushed), model.asked, model.left_out) == (1, 1, (LEFT_OUT,))


@pytest.mark.parametrize("when", ["while the model thinks", "between look and push"])
async def test_where_people_write_meanwhile_the_note_is_worked_into_their_words(
    store: Store, when: str
) -> None:
    repository = a_repository()
    thinking = when == "while the model thinks"
    repository.hindered = 0 if thinking else 1
    job = a_job(store, repository, Model(repository, disturbed=int(thinking)))
    done: Any = None
    for _ in range(4):
        try:
            done = await job(TRACK, NOTE)
            break
        except RetryableError:
            continue
    assert done is not None
    assert done.head_sha == repository.head
    assert "priority: low" in repository.text
    assert ("title: The first" if thinking else "goal: Greet all.") in repository.text
