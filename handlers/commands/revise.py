"""Owns `/agent revise`: a note that changes the backlog under review, a running agent's way, or a pull request."""

from __future__ import annotations

from bot.core import life_review, life_tasks
from bot.core.actions import Decision
from bot.core.promises import promised
from bot.core.track import TaskTrack, Track
from bot.handler import WRITERS, Command, CommandCall
from handlers.spoken.arguments import Arguments, read, refuse, say
from handlers.spoken.states import at_work, reviewing

LONGEST = 4_000  # characters of a note


def answer(call: CommandCall) -> Decision:
    """Hand the note to whom it is for."""
    track = call.track
    assert track is not None
    given = read(call, task=bool(track.tasks), note=True)
    problems = list(given.problems)
    if not given.note:
        problems.append(f"Say what should be different.{given.taken_out}")
    elif len(given.note) > LONGEST:
        problems.append(f"The note has {len(given.note):,} characters; {LONGEST:,} are taken.")
    if not track.tasks:
        if problems:
            return refuse(call, COMMAND, problems)
        decision = life_review.revise(track, given.note, call.by, call.asked.key, call.now)
        text = f"Your note is being worked into #{track.backlog_pull}.{given.taken_out}"
        return say(call, text, promised(decision, call.asked.key, "file"))
    task = track.task(given.task) if given.task else None
    if task is None and not given.problems:
        valid = ", ".join(f"`{command.usage}`" for command in call.commands if command.valid(track))
        return say(call, f"{_where(track)} Valid now: {valid}.", refused=True)
    if task is None:
        return refuse(call, COMMAND, problems)
    return refuse(call, COMMAND, problems) if problems else _of_task(call, track, task, given)


def _of_task(call: CommandCall, track: Track, task: TaskTrack, given: Arguments) -> Decision:
    by, key = call.by, call.asked.key
    decision = life_tasks.revise(track, task, given.note, by, key, call.now)
    if isinstance(decision, str):
        return say(call, decision, refused=True)
    if task.state == "running":
        return say(call, f"The agent that works on `{task.id}` is told.{given.taken_out}", decision)
    decision = promised(decision, call.asked.key, "branch", task)
    text = f"An agent mends #{task.pull} by your note: it adds a commit, nothing is rewritten."
    return say(call, text + given.taken_out, decision)


def _where(track: Track) -> str:
    """Say which tasks a note can be for."""
    running = [f"`/agent revise {task.id} <note>`" for task in track.tasks if task.state == "running"]
    pulls = [f"#{task.pull}" for task in track.tasks if task.rests]
    ways = [f"{', '.join(running)} steers the agent at work"] if running else []
    ways += [f"comment it on {', '.join(pulls)} to have that mended"] if pulls else []
    ways.append("`/agent plan` begins a new round with other words in the issue")
    return f"The backlog is merged, so a note needs a task: {'; '.join(ways)}."


COMMAND = Command(
    name="revise",
    usage="/agent revise [task] <note>",
    summary="Revises the backlog under review, steers a running agent, or mends a pull request.",
    example="/agent revise Split the parser from the printer.",
    least=WRITERS,
    valid=lambda track: reviewing(track) or at_work(track),
    answer=answer,
)
