"""Owns what the check `gitwright/task` says on the head of a task's pull request, and which buttons it has now.

report(track, task, status) -> Report | None; None where nobody looks at a pull request of the task any more.
"""

from __future__ import annotations

from dataclasses import dataclass

from bot.core import messages
from bot.core.base_wait import owes_work
from bot.core.sanitize import escape, inline, plain
from bot.core.track import OPEN_PULL, TaskTrack, Track
from bot.core.values import Button, Report, Usage

NAME = "gitwright/task"
NOT_VERIFIED = "nobody ran the tests of this commit before it was pushed"

# A button calls the slash command of its identifier. Labels have at most 20 characters, descriptions 40.
REBASE = Button("Rebase", "Puts the branch onto the default branch", "rebase")
RETRY = Button("Retry", "Closes this, begins another attempt", "retry")
STOP = Button("Stop", "Ends all work on the issue for now", "stop")
BUTTONS = (REBASE, RETRY, STOP)


@dataclass(frozen=True, slots=True)
class _Verdict:
    """How a pull request stands: without a conclusion somebody works on it; `text` is Markdown."""

    conclusion: str | None
    title: str
    text: str = ""


def report(track: Track, task: TaskTrack, status: str) -> Report | None:
    """Word the check; `status` is the address of the track's status comment.

    It reads the same while CI runs and when that is done, so that a head needs one call: CI has checks of its own.
    """
    verdict = _verdict(track, task)
    if verdict is None:
        return None
    spent = (
        "" if track.heard_until or task.usage == Usage() else f" Cost so far: {messages.usage(task.usage)}."
    )
    parts = [
        f"`{task.id}` {inline(task.title)}",
        verdict.text,
        f"**Verification:** {_verification(task)}",
        f"Attempt {task.attempt}, run {task.run}.{spent}",
        f"[Status of the work on #{track.issue}]({status})" if status else "",
        _pressed(buttons(track, task)),
    ]
    return Report(
        name=NAME,
        conclusion=verdict.conclusion,
        title=verdict.title,
        summary="\n\n".join(part for part in parts if part),
        buttons=buttons(track, task),
        details=status,
    )


def over(task: TaskTrack, sha: str) -> Report:
    """Word the end of a check that was left in progress on a commit that is no pull request's head any more."""
    later = f" Now see `{task.head_sha[:7]}`." if task.head_sha and task.head_sha != sha else ""
    what = f"`{task.id}`: {messages.words(task)}.{later}"
    return Report(name=NAME, conclusion="neutral", title="Over", summary=what)


def _verdict(track: Track, task: TaskTrack) -> _Verdict | None:
    """Say how the pull request stands: only `action_required` advises against merging it."""
    if task.pull is None or not task.head_sha:
        return None
    main = track.repo.default_branch
    if task.state == "running":
        return _Verdict(None, f"An agent works on it: attempt {task.attempt}, run {task.run}")
    if task.state == "blocked":
        ways = "`/agent revise <note>`, `/agent regenerate <note>` and commits of your own help too."
        return _Verdict("action_required", plain(f"Needs you: {task.note}"), f"{escape(task.note)}\n\n{ways}")
    return _at_rest(task, main) if task.state in OPEN_PULL else None


def _at_rest(task: TaskTrack, main: str) -> _Verdict:
    """Say how a pull request stands on which no agent works."""
    if task.moving:
        return _Verdict(None, plain(f"It is put onto {main}"))
    if task.waits_for_base or owes_work(task):
        return _Verdict("neutral", plain(f"Waits until {main} moves"), escape(task.note))
    if not _is_verified(task) or task.verified.startswith("none"):
        return _Verdict("neutral", "Not verified: review it with care")
    return _Verdict("success", "Verified by its own tests: review it like a stranger's work")


def _is_verified(task: TaskTrack) -> bool:
    """Tell whether the bot's tests ran on the very head: a rebase and people's commits make another one."""
    return bool(task.verified) and task.verified_sha == task.head_sha


def _verification(task: TaskTrack) -> str:
    if _is_verified(task) or not task.verified_sha:
        return escape(task.verified) if _is_verified(task) else NOT_VERIFIED
    return f"{NOT_VERIFIED}; of the earlier `{task.verified_sha[:7]}`: {escape(task.verified)}"


def buttons(track: Track, task: TaskTrack) -> tuple[Button, ...]:
    """Give the buttons that mean something now."""
    found = []
    if track.state in {"working", "blocked"} and task.rests:
        found += [RETRY] if task.moving else [REBASE, RETRY]
    if not track.ended and track.state != "stopped":
        found.append(STOP)
    return tuple(found)


def _pressed(shown: tuple[Button, ...]) -> str:
    """Say what the buttons are and who may press them."""
    if not shown:
        return ""
    names = ", ".join(f"`/agent {each.identifier}`" for each in shown)
    return f"The buttons are {names}: the same happens, and the same role is needed."
