"""Each part of the way loses its effect in the whole flow, and the story must fail for that reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.wiring import Bot
from tests.judges.openapi import Judge
from tests.judges.webhooks import WebhookJudge
from tests.stories import healthy, lacking, lenient, mended, troubled
from tests.stories.healthy import the_story_holds
from tests.stories.lacking import Change
from tests.stories.story import PATIENCE, story
from tests.stories.troubled import the_trouble_is_stopped

# The part that is taken away, how, and what the story then finds missing.
EFFECTS: dict[str, tuple[Change, str]] = {
    "event issues": (lacking.deaf_to("issues"), "labels while in review: ['agent:plan']"),
    "event issue_comment": (lacking.deaf_to("issue_comment"), "0 comments `answer`"),
    "event pull_request": (lacking.deaf_to("pull_request"), "0 pull requests for the task"),
    "event check_suite": (lacking.deaf_to("check_suite"), "waits for review when its checks are green"),
    "event push": (lacking.deaf_to("push"), "not one check for each head"),
    "inbox's memory": (lacking.credulous, "2 comments `answer` instead of one"),
    "status comment": (lacking.without("status"), "0 comments `status`"),
    "state block": (lacking.without_state, "without its block of state"),
    "plan comment": (lacking.without("plan"), "0 comments `plan`"),
    "labels": (lacking.unlabelled, "labels while in review: ['agent:plan']"),
    "reaction": (lacking.motionless, "the issue bears no eyes"),
    "receipt": (lacking.without_receipt, "0 comments `receipt`"),
    "escaping": (lacking.unescaped, "active Markdown on"),
    "marker of a pull request": (lacking.unmarked_pull, "bears no marker"),
    "marker of a comment": (lacking.forgetful, "2 comments `"),
    "look before a pull request": (lacking.reckless, "A pull request already exists"),
    "three planners": (lacking.one_planner, "no task with three votes"),
    "planners in parallel": (lacking.one_after_the_other, healthy.NOT_AT_ONCE),
    "structured_merge": (lacking.first_proposal, "no task with three votes"),
    "ContextCompressor": (lacking.blind_compressor, "the context does not name"),
    "backlog's check": (lacking.without_check, "not one check for each head"),
    "backlog's validation": (lacking.without_validation, "the backlog's checks say"),
    "BacklogManager's record": (lenient.unrecorded, "merging the task would not record it"),
    "WorktreeManager.cleanup": (lacking.untidy, "the receipt proves nothing"),
    "WorktreeManager.cleanup_all": (lacking.keeps_dead_worktrees, "left on the disk: {'tasks/of-a-dead"),
    "sweep of sessions": (lacking.keeps_dead_sessions, "left on the disk: {'sessions/of-a-dead"),
    "deletion of sessions": (lacking.keeps_sessions, "not proved to be deleted"),
    "proof of deletion, believed": (lacking.believes_deletion, "left on the disk"),
    "proof of deletion, empty": (lacking.proves_nothing, "nothing was looked at"),
}


async def _tell(
    tmp_path: Path, judge: Judge, webhook_judge: WebhookJudge, change: Change, in_vain: str = ""
) -> None:
    """Tell the story with each effect done twice and with leftovers, as after a kill."""

    def changed(bot: Bot) -> None:
        lacking.left_by_a_kill(bot)
        lacking.stammering(bot)
        change(bot)
        healthy.meeting(bot, 0.5 if in_vain == healthy.NOT_AT_ONCE else PATIENCE)
        lacking.repeating(bot)

    test = healthy.TEST
    async with story(
        tmp_path,
        judge,
        webhook_judge,
        healthy.SCRIPT,
        healthy.PATCHES,
        healthy.GREET,
        test=test,
        ci=test,
        change=changed,
    ) as s:
        s.in_vain = in_vain
        await the_story_holds(s)


async def test_the_story_holds_with_every_part_in_place(
    tmp_path: Path, judge: Judge, webhook_judge: WebhookJudge
) -> None:
    await _tell(tmp_path, judge, webhook_judge, lacking.nothing)


@pytest.mark.long
async def test_the_story_holds_by_what_is_heard_alone(
    tmp_path: Path, judge: Judge, webhook_judge: WebhookJudge
) -> None:
    await _tell(tmp_path, judge, webhook_judge, lacking.unaided)


# In every run; `make check` goes through all of them.
OFTEN = {"ContextCompressor", "deletion of sessions"}


def _parts(table: dict[str, tuple[Change, str]]) -> list[object]:
    return [part if part in OFTEN else pytest.param(part, marks=pytest.mark.long) for part in table]


@pytest.mark.parametrize("part", _parts(EFFECTS))
async def test_the_story_fails_without(
    part: str, tmp_path: Path, judge: Judge, webhook_judge: WebhookJudge
) -> None:
    change, missing = EFFECTS[part]
    with pytest.raises(AssertionError) as failure:
        await _tell(tmp_path, judge, webhook_judge, change, missing)
    assert missing in str(failure.value)


# The part that is taken away, how, and what then comes through.
DEFENSES: dict[str, tuple[Change, str]] = {
    "InstrumentationChecker": (lenient.content, "the plan does not say that the base is red"),
    "the sandbox": (lenient.unboxed, "the agent saw what is outside its sandbox"),
    "ingest": (lenient.trusting, f"a pull request was opened for: {troubled.LINK}"),
    "tests in a fresh sandbox": (lenient.untested, f"a pull request was opened for: {troubled.BREAK}"),
    "protected paths": (lenient.unprotected, f"a pull request was opened for: {troubled.GUARD}"),
    "search for secrets": (lenient.indiscreet, f"a pull request was opened for: {troubled.KEY}"),
    "ContextVerifier": (lenient.careless, f"a pull request was opened for: {troubled.CONTEXT}"),
    "lease of a push": (lenient.ruthless, f"a pull request was opened for: {troubled.BRANCH}"),
}


async def _tell_of_trouble(tmp_path: Path, judge: Judge, webhook_judge: WebhookJudge, change: Change) -> None:
    secret = troubled.plant_secret(tmp_path)

    def changed(bot: Bot) -> None:
        troubled.with_mischief(bot, secret)
        change(bot)

    async with story(
        tmp_path,
        judge,
        webhook_judge,
        troubled.script(),
        {},
        troubled.FILES,
        test=healthy.TEST,
        ci=None,
        change=changed,
    ) as s:
        await the_trouble_is_stopped(s)


@pytest.mark.long
async def test_trouble_is_stopped_with_every_defense_in_place(
    tmp_path: Path, judge: Judge, webhook_judge: WebhookJudge
) -> None:
    await _tell_of_trouble(tmp_path, judge, webhook_judge, lacking.nothing)


@pytest.mark.parametrize("part", _parts(DEFENSES))
async def test_trouble_comes_through_without(
    part: str, tmp_path: Path, judge: Judge, webhook_judge: WebhookJudge
) -> None:
    change, through = DEFENSES[part]
    with pytest.raises(AssertionError) as failure:
        await _tell_of_trouble(tmp_path, judge, webhook_judge, change)
    assert through in str(failure.value)


# The part that is taken away, how, and what then does not happen.
REPAIRS: dict[str, tuple[Change, str]] = {
    "RebaseEngine": (mended.undecided, "pull requests of attempts: []"),
    "ContextDriftDetector": (mended.patient, "Say goodbye: nothing was decided about its first run"),
    "messy score": (mended.tolerant, "pull requests of attempts: ['T-1-a2', 'T-2-a1']"),
    "SpecRepository": (mended.stubborn, "the spec says nothing of the circles"),
    "ModelRouter": (mended.extravagant, "Say goodbye: not routed as simple"),
}


async def _tell_of_repairs(tmp_path: Path, judge: Judge, webhook_judge: WebhookJudge, change: Change) -> None:
    script, patches = mended.SCRIPT, mended.PATCHES
    async with story(
        tmp_path, judge, webhook_judge, script, patches, test="none", ci=None, change=change
    ) as s:
        await mended.the_runs_are_mended(s)


@pytest.mark.long
async def test_runs_in_circles_and_messy_ones_begin_anew_and_better(
    tmp_path: Path, judge: Judge, webhook_judge: WebhookJudge
) -> None:
    await _tell_of_repairs(tmp_path, judge, webhook_judge, lacking.nothing)


@pytest.mark.parametrize("part", _parts(REPAIRS))
async def test_runs_are_not_mended_without(
    part: str, tmp_path: Path, judge: Judge, webhook_judge: WebhookJudge
) -> None:
    change, missing = REPAIRS[part]
    with pytest.raises(AssertionError) as failure:
        await _tell_of_repairs(tmp_path, judge, webhook_judge, change)
    assert missing in str(failure.value)


async def _tell_of_blindness(
    tmp_path: Path, judge: Judge, webhook_judge: WebhookJudge, change: Change
) -> None:
    """Tell of a test command that looks at one file alone: it would see no new test fail, so work must not begin."""
    script, files, test = healthy.SCRIPT, healthy.GREET, f"{healthy.TEST} -p test_greet.py"
    async with story(
        tmp_path, judge, webhook_judge, script, healthy.PATCHES, files, test=test, ci=None, change=change
    ) as s:
        issue = await s.open_issue()
        await s.label(issue)
        await healthy.rest(s)
        await s.merge((await s.pulls("open"))[0]["number"])
        await healthy.rest(s)
        assert not await s.pulls("open"), "work began though a failing test would not be seen"
        assert "was not seen failing" in (await s.said(issue, "problem"))[-1]


@pytest.mark.long
async def test_work_waits_while_no_failing_test_would_be_seen(
    tmp_path: Path, judge: Judge, webhook_judge: WebhookJudge
) -> None:
    await _tell_of_blindness(tmp_path, judge, webhook_judge, lacking.nothing)


@pytest.mark.long
async def test_it_would_begin_without_the_canary(
    tmp_path: Path, judge: Judge, webhook_judge: WebhookJudge
) -> None:
    with pytest.raises(AssertionError, match="work began"):
        await _tell_of_blindness(tmp_path, judge, webhook_judge, lenient.trustful)
