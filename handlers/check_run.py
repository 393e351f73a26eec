"""Owns what people do to the bot's own checks: a button is a command by another way, and a check asked for again is made anew."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from bot.core import life, task_check
from bot.core.actions import Decision, ReportBacklog, ReportTask
from bot.core.commands import Invocation
from bot.core.events import ButtonPressed, CheckAskedAgain, SuiteAskedAgain
from bot.core.ids import track_of_branch
from bot.core.life_repair import look
from bot.core.sanitize import code
from bot.core.snapshot import issue_of
from bot.core.track import OPEN_PULL, TaskTrack, Track
from bot.handler import Asked, Handler, TrackReads
from handlers import calling
from handlers.calling import Given

Happened = ButtonPressed | CheckAskedAgain | SuiteAskedAgain
BACKLOG = "gitwright/backlog"
LABELS = {button.identifier: button.label for button in task_check.BUTTONS}


@dataclass(frozen=True, slots=True)
class Facts:
    given: Given | None = None  # None: it is nobody's who is listened to, or of no task of this track


def _keys(event: Happened) -> tuple[str, ...]:
    """Name the pull requests of the commit, as far as they are told, and what its branch says by itself."""
    keys = [f"pull:{number}" for number in event.pulls]
    if event.branch:
        keys.append(f"branch:{event.branch}")
        track = track_of_branch(event.branch)
        issue = issue_of(track) if track else None
        keys += (
            [f"issue:{issue}"] if issue else []
        )  # a pull request that is closed is told of by its branch alone
    return tuple(keys)


def _task(track: Track, event: Happened) -> TaskTrack | None:
    found = [task for number in event.pulls if (task := track.task_of(number)) is not None]
    found += [task for task in track.tasks if task.branch and task.branch == event.branch]
    if not found and event.branch and track_of_branch(event.branch) == track.id:
        name = event.branch.rpartition("/")[2].rpartition("-a")[0]
        found += [task for task in track.tasks if task.id == name]
    return found[0] if found else None


# --- buttons ---------------------------------------------------------------------------------------


async def gather(track: Track | None, event: ButtonPressed, reads: TrackReads) -> Facts:
    """Ask what the person may do."""
    task = _task(track, event) if track else None
    if track is None or task is None or event.button not in LABELS:
        return Facts()
    command = calling.command_of(event.button)
    return Facts(await calling.read_call(track, _asked(track, task, event, ""), command, reads))


def decide(track: Track | None, event: ButtonPressed, facts: Facts, now: datetime) -> Decision:
    """Have the button's command called; one of an earlier commit only stops, because it tells of what is no more."""
    task = _task(track, event) if track else None
    if track is None or task is None or facts.given is None:
        return life.nothing(track)
    asked = _asked(track, task, event, life.moment(now))
    if event.sha != task.head_sha and event.button != task_check.STOP.identifier:
        where = f"#{task.pull}" if task.pull else f"#{track.issue}"
        text = f"That button belongs to the commit `{event.sha[:7]}`, which is not what `{task.id}` stands at any more: see {where}."
        return calling.answered(track, asked, text)
    return calling.called(track, asked, Invocation(event.button), facts.given, now).decision


def _asked(track: Track, task: TaskTrack, event: ButtonPressed, moment: str) -> Asked:
    number = next((each for each in event.pulls if track.task_of(each) is not None), task.pull)
    return Asked(
        repo=event.repo,
        number=number or track.issue,
        is_pull=number is not None,
        actor=event.actor,
        # Pressed twice it is asked twice; a delivery that comes twice is known by its id.
        key=f"button-{event.button}-{moment}",
        intro=f"{code(event.actor.login)} pressed **{LABELS[event.button]}**.\n\n",
    )


# --- checks that somebody asked for again ----------------------------------------------------------


def _task_again(track: Track, event: CheckAskedAgain | SuiteAskedAgain) -> Decision:
    """Read the checks of the head anew, and say again how its pull request stands."""
    task = _task(track, event)
    if task is None or track.ended:
        return life.nothing(track)
    looks = (replace(look(task, 0), after=timedelta()),) if task.state in OPEN_PULL else ()
    return Decision(track=track, actions=(ReportTask(task=task.id),), timers=looks)


def _backlog_again(track: Track, event: CheckAskedAgain | SuiteAskedAgain) -> Decision:
    """Validate the file once more, as it is on the commit that was asked about."""
    if event.branch != track.backlog_branch or track.merged_sha is not None:
        return life.nothing(track)
    return Decision(track=track, actions=(ReportBacklog(sha=event.sha, again=True),))


# What asking again for a check means to the track that it is about.
AGAIN: Mapping[str, Callable[[Track, CheckAskedAgain | SuiteAskedAgain], Decision]] = {
    task_check.NAME: _task_again,
    BACKLOG: _backlog_again,
}


async def _nothing_read(_track: Track | None, _event: Happened, _reads: TrackReads) -> None:
    """The event says it all."""


def _run_again(track: Track | None, event: CheckAskedAgain, _facts: None, _now: datetime) -> Decision:
    step = AGAIN.get(event.check)
    return life.nothing(track) if track is None or step is None else step(track, event)


def _suite_again(track: Track | None, event: SuiteAskedAgain, _facts: None, _now: datetime) -> Decision:
    """Only one of the checks is about this commit."""
    if track is None:
        return life.nothing(track)
    found = [step(track, event) for step in AGAIN.values()]
    return next((decision for decision in found if decision.actions), life.nothing(track))


HANDLERS = (
    Handler(
        event=ButtonPressed,
        github="check_run",
        actions=("requested_action",),
        permissions={"checks": "write", "pull_requests": "write"},
        keys=_keys,
        sees_hold=True,
        gather=gather,
        decide=decide,
    ),
    Handler(
        event=CheckAskedAgain,
        github="check_run",
        actions=("rerequested",),
        permissions={"checks": "write"},
        keys=_keys,
        gather=_nothing_read,
        decide=_run_again,
    ),
    Handler(
        event=SuiteAskedAgain,
        github="check_suite",
        actions=("rerequested",),
        permissions={"checks": "write"},
        keys=_keys,
        gather=_nothing_read,
        decide=_suite_again,
    ),
)
