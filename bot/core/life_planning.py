"""Owns a track's life from the label to the backlog's pull request."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from bot.core import messages, messages_plan, settings_report
from bot.core.actions import (
    CheckHealth,
    Decision,
    FoldPlan,
    PostComment,
    ProposeBacklog,
    React,
    ReportBacklog,
    SyncStatus,
)
from bot.core.config import RepoConfig
from bot.core.events import BacklogProposed, PlanFailed, PlanMade
from bot.core.ids import TrackId, backlog_branch
from bot.core.life import answer, block, moment, stamp
from bot.core.life_review import inclusions
from bot.core.promises import acknowledged
from bot.core.repo_actions import ReportSettings
from bot.core.sanitize import code, inline
from bot.core.track import HISTORY, Frozen, Track
from bot.core.values import Repo


def begin(
    repo: Repo,
    issue: int,
    round_: int,
    id_: TrackId,
    frozen: Frozen,
    config: RepoConfig,
    now: datetime,
    why: str,
) -> Decision:
    """Begin a track: acknowledge, show the status, see whether planning can succeed here."""
    trigger = config.labels.trigger
    track = Track(
        id=id_,
        repo=repo,
        issue=issue,
        round=round_,
        # The words alone: the track follows the rest.
        frozen=replace(frozen, labels=(), closed=False, edited=False),
        config=config,
        started_at=stamp(now),
        closed=frozen.closed,
        stale=frozen.edited,
        label=trigger if trigger in frozen.labels else "",
    ).noting(stamp(now), why)
    return Decision(
        track=track,
        actions=(
            React(repo=repo, subject="issue", id=issue, content="eyes"),
            SyncStatus(),
            CheckHealth(before="planning"),
        ),
    )


def begun_again(before: Track, begun: Decision) -> Decision:
    """Let a track that came to no backlog begin once more, and know what people said and what it cost so far."""
    assert begun.track is not None  # it begins
    track = replace(
        begun.track,
        usage=before.usage,
        runs=before.runs,
        budget_usd=before.budget_usd,
        answered=before.answered,
        ticks=before.ticks,
        heard_until=before.heard_until,
        history=(*before.history, *begun.track.history)[-HISTORY:],
    )
    # What was still to be done was about a plan that counts no more.
    owed = tuple(react for each in before.promised for react in acknowledged(before, each, "confused"))
    return replace(begun, track=track, actions=(*begun.actions, *owed))


def with_broken_settings(begun: Decision, problems: tuple[str, ...], now: datetime) -> Decision:
    """Let a track that begins say what is wrong with the settings file, and have the issue opened that asks to mend it."""
    track = begun.track
    if track is None or not problems:
        return begun
    key = f"config-{moment(now)}"
    said = answer(None, track.repo, track.issue, track.id, key, settings_report.told(problems))
    return replace(
        begun,
        track=replace(track, config_problems=problems),
        actions=(*begun.actions, *said.actions),
        about_repository=(ReportSettings(repo=track.repo),),
    )


def plan_made(track: Track, event: PlanMade, commands: Sequence[tuple[str, str]], now: datetime) -> Decision:
    """Post the plan and turn it into a backlog."""
    track = replace(
        track,
        plan=event.plan,
        plan_failures=event.failures,
        usage=track.usage + event.usage,
        backlog_branch=backlog_branch(track.config.branch_prefix, track.id),
    ).noting(
        stamp(now),
        f"planned {messages.count(len(event.plan.tasks), 'task')}",
        f"{messages.count(len(event.failures), 'planner')} failed"
        if event.failures
        else "every planner answered",
    )
    if not event.plan.tasks:
        return _no_agreement(track, event, now)
    weak = [finding for finding in track.findings if finding.level != "ok"]
    older = (FoldPlan(),) if track.round > 1 else ()
    note = f"**Health of the repository:**\n\n{messages.findings(weak)}" if weak else ""
    return Decision(
        track=track,
        actions=(
            PostComment(
                repo=track.repo,
                number=track.issue,
                body=messages_plan.plan(track, event.plan, commands, note=note),
                anew=True,
            ),
            *older,
            ProposeBacklog(),
        ),
    )


def _no_agreement(track: Track, event: PlanMade, now: datetime) -> Decision:
    text = messages_plan.no_agreement(track, event.plan)
    return block(track, "plan", "the planners agree on nothing", text, now)


def plan_failed(track: Track, event: PlanFailed, now: datetime) -> Decision:
    """Say why there is no plan and what to do."""
    why = "\n".join(f"- {inline(line)}" for line in event.failures)
    track = replace(track, usage=track.usage + event.usage)
    text = f"No planning agent gave a usable plan:\n\n{why}\n\n{begin_again(track)}"
    return block(track, "plan", "no planning agent gave a usable plan", text, now)


def begin_again(track: Track) -> str:
    """Say how a track without a backlog is begun anew."""
    if not track.issue:
        return "To try again, run the same command again."
    return f"To try again, comment `/agent plan`, or remove the label {code(track.config.labels.trigger)} and set it again."


def backlog_proposed(track: Track, event: BacklogProposed, now: datetime) -> Decision:
    """Wait for people: the backlog is in a pull request, if they have not merged it already."""
    if track.tasks or track.merged_sha is not None:
        return Decision(track=replace(track, usage=track.usage + event.usage))
    known = track.backlog_sha
    track = replace(
        track,
        state="review",
        problem="",
        backlog_branch=event.branch,
        backlog_pull=event.pull,
        backlog_sha=event.head_sha,
        usage=track.usage + event.usage,
    ).noting(
        stamp(now), f"opened #{event.pull} with {messages.count(event.tasks, 'task')}", "; ".join(event.notes)
    )
    waiting = inclusions(track, track.included)
    # Told of the push before, it has its check already, or is about to.
    report = (ReportBacklog(sha=event.head_sha),) if known != event.head_sha else ()
    return Decision(track=track, actions=(*report, *waiting, SyncStatus()))
