"""The issue about broken settings: one, whatever is killed, deleted or told twice; and the check of a pull request."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import cast

import pytest

from bot.core.ids import identity
from bot.core.repo_actions import CheckSettings, ReportSettings
from bot.core.settings_report import ISSUE_MARKER, ISSUE_TITLE
from bot.core.values import Actor, Issue, Repo, Report
from bot.engine.store import Store
from bot.errors import LockedError, NotFoundError, RetryableError
from bot.jobs.settings_report import CheckSettingsJob, ReportSettingsJob, to_be_looked_at
from bot.ports import Forge
from tests.core.builders import DANA, REPO, SHA
from tests.engine.conftest import SettableClock

BROKEN = "limts: {}\n"
ROBOT = Actor(99, "gitwright[bot]", is_bot=True)


@dataclass
class _Forge:
    """One repository with a settings file, its issues and checks; counts what it is asked and told."""

    text: str | None = None
    paths: tuple[str, ...] = (".github/gitwright.yml",)
    issues: dict[int, Issue] = field(default_factory=dict)
    comments: list[str] = field(default_factory=list)
    reports: list[tuple[str, Report]] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    said_in: list[int] = field(default_factory=list)
    locked: bool = False
    fails: bool = False

    async def repo(self, repo: Repo) -> Repo:
        return repo

    async def read_file(self, _repo: Repo, ref: str, _path: str) -> str | None:
        self.calls.append(f"read {ref}")
        return self.text

    async def pull_paths(self, _repo: Repo, _number: int) -> list[str]:
        return list(self.paths)

    async def issue(self, _repo: Repo, number: int) -> Issue:
        if number not in self.issues:
            raise NotFoundError("gone")
        return self.issues[number]

    async def find_issue(self, _repo: Repo, marker: str) -> Issue | None:
        self.calls.append("look")
        ours = [i for i in self.issues.values() if i.author == ROBOT and not i.is_pull]
        return next((i for i in ours if identity(i.body) == marker), None)

    async def create_issue(self, _repo: Repo, title: str, body: str) -> int:
        if self.fails:
            raise RetryableError("no answer")
        number = len(self.issues) + 1
        self.issues[number] = Issue(number, title, body, "open", ROBOT)
        return number

    async def reopen_issue(self, _repo: Repo, number: int, body: str) -> None:
        self.calls.append("write")
        self.issues[number] = replace(self.issues[number], body=body, state="open")

    async def bot_ids(self, _repo: Repo) -> frozenset[int]:
        return frozenset({ROBOT.id})

    async def create_comment(self, _repo: Repo, number: int, body: str, *, first: bool = False) -> int:
        if self.locked:
            raise LockedError("Unable to create comment because issue is locked.")
        self.said_in.append(number)
        if identity(body) not in map(identity, self.comments):
            self.comments.append(body)
        return 1

    async def close_issue(self, _repo: Repo, number: int) -> None:
        self.issues[number] = replace(self.issues[number], state="closed")

    async def set_check(self, _repo: Repo, sha: str, report: Report, *, again: bool = False) -> int:
        self.reports.append((sha, report))
        self.calls.append("check again" if again else "check")
        return 1


@dataclass
class Desk:
    store: Store
    forge: _Forge = field(default_factory=_Forge)

    async def report(self, text: str | None, *, unasked: bool = False) -> list[tuple[int, str]]:
        self.forge.text = text
        job = ReportSettingsJob(self.store, cast(Forge, self.forge))
        await job(ReportSettings(repo=REPO, unasked=unasked))
        return [(issue.number, issue.state) for issue in self.forge.issues.values()]

    async def check(self, text: str | None, pull: int | None = 14) -> Report | None:
        self.forge.text, self.forge.reports = text, []
        job = CheckSettingsJob(cast(Forge, self.forge), {"plan": "write"})
        await job(CheckSettings(repo=REPO, pull=pull, sha=SHA))
        assert all(sha == SHA for sha, _ in self.forge.reports)
        return self.forge.reports[0][1] if self.forge.reports else None


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    store = await Store.open(f"sqlite:///{tmp_path}/store.sqlite", SettableClock())
    yield Desk(store)
    await store.close()


async def test_told_twice_it_is_one_issue_and_nothing_is_written_again(desk: Desk) -> None:
    assert await desk.report(BROKEN) == [(1, "open")]
    assert desk.forge.issues[1].title == ISSUE_TITLE
    assert await desk.report(BROKEN) == [(1, "open")]
    assert "write" not in desk.forge.calls


async def test_killed_before_its_number_was_stored_it_is_found_again(desk: Desk) -> None:
    await desk.report("draft: true\n")  # it was looked for, and there was none
    await desk.report(BROKEN)
    await desk.store.put_id(f"{REPO.id}:settings-issue", "none")  # as if the number had never been stored
    assert await desk.report(BROKEN) == [(1, "open")]
    await desk.store.put_id(f"{REPO.id}:settings-issue", "none")
    assert await desk.report("limts: {}\nwrong: 1\n") == [(1, "open")]


@pytest.mark.parametrize(
    "theirs",
    [
        Issue(1, "Theirs", "Somebody else's words", "open", DANA),
        Issue(1, "Theirs", ISSUE_MARKER, "open", DANA),
        Issue(1, "Ours", f"{ISSUE_MARKER}\nof a pull request", "open", ROBOT, is_pull=True),
        Issue(1, "Ours", "about something else", "open", ROBOT),
    ],
)
async def test_what_is_not_the_bot_s_issue_about_settings_is_never_written_to(
    desk: Desk, theirs: Issue
) -> None:
    desk.forge.issues[1] = theirs
    await desk.store.put_id(f"{REPO.id}:settings-issue", "1")
    assert await desk.report(BROKEN) == [(1, "open"), (2, "open")]
    await desk.store.put_id(f"{REPO.id}:settings-issue", "1")
    assert await desk.report("") == [(1, "open"), (2, "closed")]
    assert desk.forge.issues[1] == theirs
    assert desk.forge.said_in == [2]


async def test_an_issue_that_people_deleted_is_opened_anew(desk: Desk) -> None:
    await desk.report(BROKEN)
    del desk.forge.issues[1]
    assert await desk.report(BROKEN) == [(1, "open")]


async def test_each_time_that_it_is_mended_is_told_once(desk: Desk) -> None:
    for times in (1, 2):
        assert await desk.report(BROKEN) == [(1, "open")]
        for _ in range(2):
            assert await desk.report(None) == [(1, "closed")]
            assert len(desk.forge.comments) == times


async def test_killed_between_the_word_and_the_closing_it_is_said_once_whatever_was_pushed_since(
    desk: Desk,
) -> None:
    await desk.report(BROKEN)
    opened = desk.forge.issues[1]
    await desk.report("draft: true\n")
    desk.forge.issues[1] = opened  # as if it had not been closed any more
    assert await desk.report("sign_off: true\n") == [(1, "closed")]
    assert len(desk.forge.comments) == 1


async def test_in_a_locked_conversation_it_is_closed_without_a_word(desk: Desk) -> None:
    await desk.report(BROKEN)
    desk.forge.locked = True
    assert await desk.report("") == [(1, "closed")]
    assert desk.forge.comments == []


async def test_it_is_looked_at_by_itself_while_it_is_open_and_where_nobody_knows(desk: Desk) -> None:
    looks = []
    for text in (None, BROKEN, "", BROKEN, BROKEN):
        looks.append([await to_be_looked_at(desk.store, REPO, in_use=used) for used in (True, False)])
        await desk.report(text)
    assert looks == [[True, False], [False, False], [True, True], [False, False], [True, True]]


@pytest.mark.parametrize("gone", [False, True])
async def test_what_people_put_away_comes_back_with_the_next_push_and_not_by_itself(
    desk: Desk, gone: bool
) -> None:
    assert await desk.report(BROKEN, unasked=True) == [(1, "open")]
    if gone:
        del desk.forge.issues[1]
    else:
        desk.forge.issues[1] = replace(desk.forge.issues[1], state="closed")
    left = [] if gone else [(1, "closed")]
    for _ in range(2):
        assert await desk.report(BROKEN, unasked=True) == left
        assert not await to_be_looked_at(desk.store, REPO, in_use=True)
    assert await desk.report(BROKEN) == [(1, "open")]


async def test_a_first_look_that_is_interrupted_opens_the_issue_the_next_time(desk: Desk) -> None:
    desk.forge.fails = True
    with pytest.raises(RetryableError):
        await desk.report(BROKEN, unasked=True)
    assert await to_be_looked_at(desk.store, REPO, in_use=True)
    desk.forge.fails = False
    assert await desk.report(BROKEN, unasked=True) == [(1, "open")]


async def test_good_settings_are_looked_for_an_issue_once(desk: Desk) -> None:
    for _ in range(3):
        assert await desk.report("draft: true\n") == []
    assert desk.forge.calls.count("look") == 1


async def test_a_pull_request_hears_of_what_it_does_to_the_settings_and_no_other_does(desk: Desk) -> None:
    broken, good, gone = [await desk.check(text) for text in (BROKEN, "draft: true\n", None)]
    assert [(r.name, r.conclusion, r.title) for r in (broken, good, gone) if r] == [
        ("gitwright/config", "failure", "1 mistake"),
        ("gitwright/config", "success", "valid"),
        ("gitwright/config", "success", "no settings: the defaults hold"),
    ]
    desk.forge.paths = ("README.md", ".github/gitwright.yml.md")
    assert await desk.check(BROKEN) is None


async def test_a_check_that_is_asked_for_again_is_written_even_if_it_says_the_same(desk: Desk) -> None:
    desk.forge.paths = ()
    report = await desk.check("draft: true\n", pull=None)
    assert report is not None
    assert report.title == "valid"
    assert desk.forge.calls == [f"read {SHA}", "check again"]


async def test_what_a_file_holds_does_nothing_where_it_is_shown(desk: Desk) -> None:
    report = await desk.check("'x` @dana #1 `y': 1\n")
    assert report is not None
    assert "@dana" in report.summary
    assert " @dana #1 " not in report.summary, "outside of code it would reach somebody"
    report = await desk.check("setup: |\n  ```\n  @dana fixes #1\n")
    assert report is not None
    assert "````yaml\n" in report.summary  # a fence that its text cannot end
