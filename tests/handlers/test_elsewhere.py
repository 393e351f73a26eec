"""Commands on pull requests of no track: who is told where they work, and that it is said once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import cast

import pytest
from inline_snapshot import snapshot

from bot.core.events import CommentCreated, LineCommented
from bot.core.ids import Place, identity, repository_line
from bot.core.repo_actions import AnswerCommand
from bot.core.values import Actor, Comment, Pull, Repo, Role
from bot.dispatch import Dispatcher
from bot.engine.store import Commit, Delivery, Store
from bot.errors import LockedError
from bot.handler import Reads
from bot.jobs.answer import AnswerCommandJob
from bot.perform import Performer
from bot.ports import Forge
from handlers import HANDLERS, REPO_HANDLERS
from handlers.elsewhere import Said
from tests.core.builders import DANA, NOW, REPO, SHA
from tests.engine.conftest import SettableClock

BOT = Actor(99, "gitwright[bot]", is_bot=True)
LINE = repository_line(REPO.id)
OWN = Pull(7, "open", "My own", "", "own-work", SHA, "main", SHA, author=DANA)
OFFER = replace(OWN, head_branch="agent/onboarding", author=BOT)
SAID = CommentCreated(repo=REPO, number=7, is_pull=True, comment=5, body="/agent help", author=DANA)
ON_LINE = LineCommented(
    repo=REPO, number=7, comment=6, path="a.py", line=3, body="/agent retry T-1", author=DANA
)


@dataclass
class _Forge:
    """One pull request with its comments and reactions; it stands for the forge and for all that may be read."""

    pull_request: Pull = OWN
    role: Role = "write"
    deleted: bool = False
    locked: bool = False
    said: list[str] = field(default_factory=list)
    reactions: set[tuple[Place, int, str]] = field(default_factory=set)

    @property
    def forge(self) -> _Forge:
        return self

    async def permission(self, _repo: Repo, _login: str) -> Role:
        return self.role

    async def bot_ids(self, _repo: Repo) -> frozenset[int]:
        return frozenset({BOT.id})

    async def reacted(self, _repo: Repo, comment: int, place: Place) -> bool:
        return any(each[:2] == (place, comment) for each in self.reactions)

    async def comment(self, _repo: Repo, comment: int) -> Comment | None:
        return None if self.deleted else Comment(comment, "", DANA)

    async def pull(self, _repo: Repo, number: int) -> Pull:
        assert number == 7
        return self.pull_request

    async def react(self, _repo: Repo, place: Place, id_: int, content: str) -> bool:
        self.reactions.add((place, id_, content))
        return True

    async def create_comment(self, _repo: Repo, number: int, body: str) -> int:
        assert number == 7
        if self.locked:
            raise LockedError("Unable to create comment because issue is locked.")
        if identity(body) not in map(identity, self.said):
            self.said.append(body)
        return 1


@dataclass
class _Bot:
    """The real tables of handlers on a store and that forge."""

    store: Store
    clock: SettableClock
    forge: _Forge

    async def told(self, event: Said, delivery: str) -> list[str]:
        """Take a delivery in as the runner does, do all that follows in the repository's line, and give who heard."""
        reads = cast(Reads, self.forge)
        dispatcher = Dispatcher(self.store, reads, HANDLERS, lambda _: event, self.clock, None, REPO_HANDLERS)
        new = Delivery(delivery, "any", {}, b"{}", NOW)
        await self.store.add_delivery(new)
        routed = await dispatcher.route(new)
        await self.store.route(delivery, routed)
        await dispatcher.drain({"track": LINE})
        forge = cast(Forge, self.forge)
        jobs = {AnswerCommand: AnswerCommandJob(forge)}
        for row in await self.store.open_actions(LINE):
            await Performer(self.store, forge, {}, lambda _: (), self.clock, repo_jobs=jobs).run(
                {"action": row.id}
            )
        return [each.track for each in routed]


@pytest.fixture
async def bot(tmp_path: Path) -> AsyncIterator[_Bot]:
    clock = SettableClock(NOW)
    store = await Store.open(f"sqlite:///{tmp_path}/store.sqlite", clock)
    yield _Bot(store, clock, _Forge())
    await store.close()


async def test_whoever_has_a_role_is_told_where_commands_work(bot: _Bot) -> None:
    assert await bot.told(SAID, "d-1") == [LINE]
    assert bot.forge.said == snapshot(
        [
            """\
<!-- gitwright:answer -->
<!-- gitwright-key: comment-5 -->
`/agent help` is not followed here: this pull request is none that Gitwright opened for an issue. Commands work on an issue and on the pull requests that are opened for it: write `/agent plan` on an issue to begin, or `/agent help` there to see every command.
"""
        ]
    )
    assert bot.forge.reactions == {("comment", 5, "confused")}


async def test_the_offer_of_settings_is_called_what_it_is(bot: _Bot) -> None:
    bot.forge.pull_request = OFFER
    await bot.told(SAID, "d-1")
    assert bot.forge.said == snapshot(
        [
            """\
<!-- gitwright:answer -->
<!-- gitwright-key: comment-5 -->
`/agent help` is not followed here: this pull request only offers a settings file. Commands work on an issue and on the pull requests that are opened for it: write `/agent plan` on an issue to begin, or `/agent help` there to see every command.
"""
        ]
    )


async def test_a_line_is_no_better_place(bot: _Bot) -> None:
    assert await bot.told(ON_LINE, "d-1") == [LINE]
    assert "`/agent retry` is not followed here" in bot.forge.said[0]
    assert bot.forge.reactions == {("line", 6, "confused")}


async def test_it_is_said_once_for_each_command_however_often_it_is_told(bot: _Bot) -> None:
    await bot.told(SAID, "d-1")
    await bot.told(SAID, "d-1")
    await bot.told(SAID, "unheard-comment-5")
    assert len(bot.forge.said) == 1
    bot.forge.reactions.clear()  # a reaction that could not be had
    await bot.told(SAID, "d-2")
    assert len(bot.forge.said) == 1
    await bot.told(replace(SAID, comment=8), "d-3")
    assert len(bot.forge.said) == 2


@pytest.mark.parametrize(
    "event",
    [
        replace(SAID, body="Thank you!"),
        replace(SAID, body="/agent hepl"),
        replace(SAID, body="> /agent help"),
        replace(SAID, author=Actor(77, "helper[bot]", is_bot=True)),
        replace(ON_LINE, author=BOT),
    ],
)
async def test_what_is_no_command_and_what_bots_say_leaves_no_trace(bot: _Bot, event: Said) -> None:
    assert await bot.told(event, "d-1") == []
    assert (bot.forge.said, bot.forge.reactions) == ([], set())


@pytest.mark.parametrize(
    ("role", "answered"), [("none", 0), ("read", 0), ("triage", 1), ("write", 1), ("admin", 1)]
)
async def test_strangers_get_nothing(bot: _Bot, role: Role, answered: int) -> None:
    bot.forge.role = role
    await bot.told(SAID, "d-1")
    assert (len(bot.forge.said), len(bot.forge.reactions)) == (answered, answered)


async def test_a_deleted_command_gets_nothing(bot: _Bot) -> None:
    bot.forge.deleted = True
    await bot.told(SAID, "d-1")
    assert (bot.forge.said, bot.forge.reactions) == ([], set())


async def test_where_the_conversation_is_locked_the_reaction_says_it(bot: _Bot) -> None:
    bot.forge.locked = True
    await bot.told(SAID, "d-1")
    assert (bot.forge.said, bot.forge.reactions) == ([], {("comment", 5, "confused")})
    assert await bot.store.open_actions(LINE) == []


async def test_a_track_s_own_pull_request_is_the_track_s(bot: _Bot) -> None:
    track = "7/issue-1"
    await bot.store.add_event(track, "e-1", {})
    began = Commit(track=track, event_id="e-1", expected_version=0, state={}, open=True, keys=("pull:7",))
    assert await bot.store.commit(began)
    assert await bot.told(SAID, "d-1") == ["7/issue-1"]
    assert await bot.told(ON_LINE, "d-2") == ["7/issue-1"]
    assert (bot.forge.said, bot.forge.reactions) == ([], set())


async def test_one_that_its_track_knows_only_in_a_moment_is_left_to_the_sweep(bot: _Bot) -> None:
    bot.forge.pull_request = replace(OFFER, head_branch="agent/issue-1/T-1-a1")
    await bot.told(SAID, "d-1")
    assert (bot.forge.said, bot.forge.reactions) == ([], set()), "no reaction: the sweep takes it for unheard"
    bot.forge.pull_request = replace(bot.forge.pull_request, author=DANA)
    await bot.told(replace(SAID, comment=8), "d-2")
    assert len(bot.forge.said) == 1, "a person's, or a fork's, branch of such a name"
