"""Owns the words after a command: a task, a note; every problem with them is named at once."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from bot.core import life, messages
from bot.core.actions import Decision
from bot.core.ids import TASK_ID, track_id
from bot.core.promises import promised
from bot.core.sanitize import code, inline, strip_hidden
from bot.core.track import TaskTrack, Until
from bot.handler import Command, CommandCall

_LIKE_A_TASK = re.compile(r"[A-Za-z]{1,6}-?[0-9]+")
_SHA = re.compile(r"[0-9a-fA-F]{7,40}")  # no task is called so: its id has a hyphen


@dataclass(frozen=True, slots=True)
class Arguments:
    """What was said: the task meant, the words for people or agents, what is wrong, and the commit that was named."""

    task: str | None
    note: str
    problems: tuple[str, ...]
    sha: str = ""  # its beginning, as it was written
    taken_out: str = ""  # the sentence that says what hidden text the note held, behind a blank


def read(call: CommandCall, *, task: bool = False, note: bool = False, sha: bool = False) -> Arguments:
    """Read an optional task in front, then a note or the beginning of a sha where one is taken; else it is a problem."""
    words = list(call.invocation.args)
    text, hidden = strip_hidden(call.invocation.text) if note else ("", ())
    text = text.strip()
    named, problems, commit = call.task, [], ""
    if task and words and _LIKE_A_TASK.fullmatch(words[0]) and not (sha and _SHA.fullmatch(words[0])):
        word = words.pop(0)
        text = text.removeprefix(word).strip()
        named = word.upper()
        if named not in known(call):
            problems.append(_unknown(call, word))
            named = None
    if sha and words and _SHA.fullmatch(words[0]):
        commit = words.pop(0)
    if words and not note:
        extra = " ".join(words[:6])
        problems.append(f"{code(extra)} is more than it takes.")
    taken_out = f" {messages.taken_out(hidden)}" if hidden else ""
    return Arguments(named, text, tuple(problems), commit, taken_out)


def known(call: CommandCall) -> list[str]:
    """Name the tasks that there are: those at work, or those of the backlog under review."""
    if call.track is not None and call.track.tasks:
        return [task.id for task in call.track.tasks]
    backlog = call.backlog.backlog if call.backlog else None
    return [task.id for task in backlog.tasks] if backlog else []


def _unknown(call: CommandCall, word: str) -> str:
    names = ", ".join(f"`{id_}`" for id_ in known(call)) or "none yet"
    shown = code(word.upper() if TASK_ID.fullmatch(word.upper()) else word)
    return f"There is no task {shown}; the tasks are {names}."


def say(call: CommandCall, text: str, decision: Decision | None = None, *, refused: bool = False) -> Decision:
    """Answer where it was asked, beside what follows from it."""
    track, asked = decision.track if decision else call.track, call.asked
    id_ = track.id if track else track_id(asked.number)
    said = life.answer(track, asked.repo, asked.number, id_, asked.key, asked.intro + text)
    if decision is None:
        return replace(said, refused=refused)
    return replace(decision, actions=(*said.actions, *decision.actions), refused=refused)


def refuse(call: CommandCall, command: Command, problems: Sequence[str]) -> Decision:
    """Name every problem with how a command was written, and how it is written."""
    listed = problems[0] if len(problems) == 1 else "\n".join(["", *(f"- {each}" for each in problems), ""])
    text = f"{listed}\n\nUsage: `{command.usage}`, for example `{command.example}`.".strip()
    return say(call, text, refused=True)


def on_task(
    call: CommandCall,
    command: Command,
    act: Callable[[TaskTrack, Arguments], Decision | str],
    *,
    likely: Callable[[TaskTrack], bool],
    note: bool = False,
    sha: bool = False,
    done: Callable[[TaskTrack, TaskTrack], str],
    until: Until | None = None,
) -> Decision:
    """Do something with the task that is named or meant; without a name that is the only likely one, if any.

    `done` words the answer, from the task as it was and as it is then; `until` says what it is done with, if not at once.
    """
    assert call.track is not None
    given = read(call, task=True, note=note, sha=sha)
    problems = list(given.problems)
    task = call.track.task(given.task) if given.task else None
    if task is None and not any("no task" in problem for problem in problems):
        fitting = [each for each in call.track.tasks if likely(each)]
        if len(fitting) == 1:
            task = fitting[0]
        else:
            names = ", ".join(f"`{each.id}`" for each in fitting or call.track.tasks)
            problems.insert(0, f"Name a task: {names}.")
    if problems or task is None:
        return refuse(call, command, problems)
    decision = act(task, given)
    if isinstance(decision, str):
        return say(call, decision, refused=True)
    if until is not None:
        decision = promised(decision, call.asked.key, until, task)
    after = decision.track.task(task.id) if decision.track else None
    return say(call, done(task, after or task) + given.taken_out, decision)


def begins(before: TaskTrack, after: TaskTrack, how: str) -> str:
    """Say that another attempt begins, or what it waits for, and what becomes of the one before."""
    text = f"Attempt {before.attempt + 1} of `{before.id}` begins, {how}."
    if after.state != "running":
        why = inline(after.note) or "the work as a whole waits"
        text = f"Attempt {before.attempt + 1} of `{before.id}` begins as soon as it can, {how}. Until then: {why}."
    closed = before.pull and before.state != "reverted"
    return text + (f" #{before.pull} is closed; its branch is kept." if closed else "")
