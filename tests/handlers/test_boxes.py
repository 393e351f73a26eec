"""Who may tick which box, and that each tick is acted on once; the conversations are in tests/stories/test_boxes.py."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from inline_snapshot import snapshot

import handlers.boxes
from bot.core import boxes
from bot.core.actions import Decision, PostComment, RebaseTask, SyncPlan, SyncStatus
from bot.core.boxes import Box
from bot.core.config import RepoConfig
from bot.core.events import BoxesTicked
from bot.core.ids import TrackId
from bot.core.track import Track
from bot.core.values import Actor, Comment, Repo, Role
from bot.handler import TrackReads
from handlers import boxes_ticked
from handlers.boxes import BOXES
from handlers.commands import COMMANDS
from tests.core.builders import DANA, NOW, REPO, SHA, a_task, a_track
from tests.stories.reading import read

BOT, HELPER = Actor(1, "gitwright[bot]", True), Actor(77, "helper[bot]", True)
IN_REVIEW = a_track(
    a_task(state="in_review", attempt=1, pull=14, head_sha=SHA, branch="agent/issue-12/T-1-a1"),
    a_task("T-2", state="in_review", attempt=1, pull=15, head_sha=SHA, branch="agent/issue-12/T-2-a1"),
)
REBASE = Box("rebase", "T-1")


@dataclass
class _World:
    roles: dict[str, Role] = field(default_factory=lambda: {"dana": "write", "helper[bot]": "write"})
    settings: RepoConfig = field(default_factory=RepoConfig)
    asked: int = 0
    answers: frozenset[str] = frozenset()

    @property
    def forge(self) -> "_World":
        return self

    unboxed = False

    async def config(self, _repo: Repo) -> tuple[RepoConfig, tuple[str, ...]]:
        return self.settings, ()

    async def bot_ids(self, _repo: Repo) -> frozenset[int]:
        return frozenset({BOT.id})

    async def find_comment(self, _repo: Repo, number: int, marker: str) -> Comment | None:
        found = any(f"gitwright-key: {key} -->" in marker for key in self.answers)
        return Comment(number, marker, BOT) if found else None

    async def permission(self, _repo: Repo, login: str) -> Role:
        self.asked += 1
        return self.roles.get(login, "none")


def ticked(*marks: Box, actor: Actor = DANA, author: Actor = BOT, track: str = "issue-12") -> BoxesTicked:
    return BoxesTicked(
        repo=REPO,
        number=12,
        comment=5,
        track=track,
        author=author,
        actor=actor,
        ticked=tuple(map(str, marks)),
    )


async def tick(event: BoxesTicked, track: Track = IN_REVIEW, world: _World | None = None) -> Decision:
    facts = await boxes_ticked.gather(track, event, cast(TrackReads, world or _World()))
    return boxes_ticked.decide(track, event, facts, NOW)


def said(decision: Decision) -> list[str]:
    return [read(action.body) for action in decision.actions if isinstance(action, PostComment)]


def rebased(decision: Decision) -> list[str]:
    return [action.task for action in decision.actions if isinstance(action, RebaseTask)]


async def test_a_tick_is_the_command_of_whoever_ticked_and_is_acted_on_once() -> None:
    first = await tick(ticked(REBASE))
    assert rebased(first) == ["T-1"]
    assert first.track is not None
    assert "dana asked for it" in {each.why for each in first.track.history}
    world = _World()
    again = await tick(ticked(REBASE), first.track, world)
    assert (rebased(again), world.asked) == ([], 0)
    assert SyncStatus() in again.actions  # so that the tick does not stay


async def test_decided_twice_from_the_same_facts_it_is_acted_on_once() -> None:
    event = ticked(REBASE)
    facts = await boxes_ticked.gather(IN_REVIEW, event, cast(TrackReads, _World()))
    first = boxes_ticked.decide(IN_REVIEW, event, facts, NOW)
    assert rebased(boxes_ticked.decide(first.track, event, facts, NOW)) == []


async def test_several_boxes_are_several_commands() -> None:
    decision = await tick(ticked(REBASE, Box("rebase", "T-2")))
    assert rebased(decision) == ["T-1", "T-2"]
    said = [action.body for action in decision.actions if isinstance(action, PostComment)]
    assert len(said) == len(set(said)) == 2
    assert decision.actions.count(SyncStatus()) == decision.actions.count(SyncPlan()) == 1


async def test_a_tick_that_comes_late_is_answered_once_and_does_nothing() -> None:
    acted = boxes.spent(IN_REVIEW, REBASE)
    late = await tick(ticked(REBASE), acted)
    assert (rebased(late), said(late)) == (
        [],
        snapshot(
            [
                "`dana` ticked the box `rebase T-1`. Nothing was done for it: the box was ticked before, or what it asked "
                "has changed since. It is written anew as it stands now; tick it again if you still mean it."
            ]
        ),
    )
    assert late.track is not None
    again = await tick(ticked(REBASE), late.track)
    assert [a for a in again.actions if isinstance(a, PostComment)] == [
        a for a in late.actions if isinstance(a, PostComment)
    ], "the same identity is posted once"
    assert await tick(ticked(REBASE, actor=HELPER), acted) == Decision(track=acted), "nobody listens to it"


@pytest.mark.parametrize(
    "event",
    [
        ticked(REBASE, author=DANA),
        ticked(REBASE, track="issue-12-r2"),
        ticked(REBASE, actor=HELPER),
        ticked(REBASE, actor=BOT),
        ticked(Box("launch", "T-1")),
        replace(ticked(REBASE), ticked=("rebase T-1",)),
    ],
)
async def test_what_is_no_tick_of_somebody_who_is_heard_in_a_text_of_ours_does_nothing(
    event: BoxesTicked,
) -> None:
    assert await tick(event) == Decision(track=IN_REVIEW)


async def test_a_bot_that_the_settings_name_may_tick() -> None:
    named = _World(settings=RepoConfig.model_validate({"bots": [HELPER.id]}))
    assert rebased(await tick(ticked(REBASE, actor=HELPER), world=named)) == ["T-1"]


async def test_the_person_whose_account_the_bot_shares_may_tick() -> None:
    shared = Actor(BOT.id, "dana")
    assert rebased(await tick(ticked(REBASE, actor=shared, author=shared))) == ["T-1"]


async def test_whoever_may_not_is_told_why_and_the_box_is_written_anew() -> None:
    decision = await tick(ticked(REBASE), world=_World(roles={"dana": "triage"}))
    (said,) = (action.body for action in decision.actions if isinstance(action, PostComment))
    assert (
        "`dana` ticked the box `rebase T-1`. `/agent rebase` needs the role `write` here; yours is `triage`."
        in said
    )
    assert decision.track is not None
    assert not boxes.fresh(decision.track, REBASE)
    assert decision.actions[-2:] == (SyncStatus(), SyncPlan())


async def test_a_box_that_means_nothing_any_more_is_answered() -> None:
    done = replace(IN_REVIEW, state="done")
    (said, *_) = (a.body for a in (await tick(ticked(REBASE), done)).actions if isinstance(a, PostComment))
    assert "`/agent rebase` means nothing now" in said


async def test_unticking_what_was_taken_in_is_answered_with_where_to_take_it_out() -> None:
    box = Box("include", "M-1")
    event = replace(ticked(), ticked=(), unticked=(str(box), str(REBASE)))
    assert (await tick(event)).actions == ()
    acted = boxes.spent(boxes.spent(IN_REVIEW, box), REBASE)
    (said,) = (a.body for a in (await tick(event, acted)).actions if isinstance(a, PostComment))
    assert "`dana` unticked the box `include M-1`. It is taken in already: to leave it out, delete it" in said


@given(st.permutations([ticked(REBASE), ticked(Box("rebase", "T-2")), ticked(REBASE, Box("rebase", "T-2"))]))
async def test_in_any_order_the_same_is_done_once(events: list[BoxesTicked]) -> None:
    track, done = IN_REVIEW, list[str]()
    for event in events:
        decision = await tick(event, track)
        assert decision.track is not None
        track, done = decision.track, [*done, *rebased(decision)]
    assert sorted(done) == ["T-1", "T-2"]


def test_every_kind_of_box_stands_in_the_table_and_calls_a_command_that_can_be_said() -> None:
    folder = Path(handlers.boxes.__file__).parent
    files = {path.stem for path in folder.glob("*.py")} - {"__init__"}
    assert {kind.command.name for kind in BOXES} == files
    assert len(BOXES) == len(files)
    assert {kind.command for kind in BOXES} <= set(COMMANDS)


def test_boxes_are_offered_where_they_mean_something() -> None:
    stuck = a_task("T-3", state="blocked", attempt=1, pull=16)
    waits = a_task("T-4", state="held", attempt=1, depends_on=("T-1",))
    shown = handlers.boxes.offered(replace(IN_REVIEW, tasks=(*IN_REVIEW.tasks, stuck, waits)))
    assert [line for line in shown if "push" not in line] == [
        "- [ ] <!-- box:rebase T-1 -->Rebase `T-1` (#14)",
        "- [ ] <!-- box:rebase T-2 -->Rebase `T-2` (#15)",
        "- [ ] <!-- box:rebase T-3 -->Rebase `T-3` (#16)",
        "- [ ] <!-- box:retry T-3 -->Retry `T-3`, which closes #16",
    ]
    acted = boxes.spent(IN_REVIEW, REBASE)
    assert handlers.boxes.offered(acted)[0] == "- [ ] <!-- box:rebase T-1 #1 -->Rebase `T-1` (#14)"
    for state in ("paused", "done", "review"):
        assert handlers.boxes.offered(replace(IN_REVIEW, state=state, id=TrackId("issue-12"))) == ()


async def test_a_track_taken_up_from_its_comment_knows_by_the_answer_what_was_acted_on() -> None:
    taken_up = replace(IN_REVIEW, heard_until="2026-11-22T11:59:00Z")
    event = ticked(REBASE)
    answered = _World(answers=frozenset({"box-5-rebase-T-1-0"}))
    again = await tick(event, taken_up, answered)
    assert (rebased(again), SyncStatus() in again.actions, said(again)) == ([], True, [])
    assert rebased(await tick(event, taken_up, _World())) == ["T-1"]
    # Its block remembers the turns: what is told once more needs no look and no write.
    assert (await tick(event, boxes.spent(taken_up, REBASE))).actions == ()
