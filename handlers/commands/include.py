"""Owns `/agent include`: a task of the plan that only one planner wants, taken in all the same."""

from __future__ import annotations

from bot.core import life_review
from bot.core.actions import Decision
from bot.core.promises import promised
from bot.core.sanitize import code
from bot.core.track import Track
from bot.handler import Command, CommandCall
from handlers.spoken.arguments import refuse, say


def offers_minority(track: Track | None) -> bool:
    """Say whether there is a plan with such tasks, and its backlog is not merged."""
    return (
        track is not None
        and not track.ended
        and not track.tasks
        and track.merged_sha is None
        and track.plan is not None
        and bool(track.plan.tasks)
        and bool(track.plan.minority)
    )


def answer(call: CommandCall) -> Decision:
    """Have it written into the backlog's pull request, or remember it until that is open."""
    track = call.track
    assert track is not None
    assert track.plan is not None
    known = track.plan.left_out()
    words = [word.upper() for word in call.invocation.args]
    names = ", ".join(f"`{name}`" for name in known)
    problems = [] if words else [f"Name what the plan leaves out: {names}."]
    if words and words[0] not in known:
        problems.append(f"The plan leaves out no {code(call.invocation.args[0])}, but {names}.")
    if len(words) > 1:
        problems.append(f"{code(' '.join(call.invocation.args[1:7]))} is more than it takes.")
    if problems:
        return refuse(call, COMMAND, problems)
    name = words[0]
    found = next((each for each in track.included if each.name == name), None)
    if found is not None:
        where = f", as `{found.task}` of #{track.backlog_pull}" if found.task else " already"
        return say(call, f"`{name}` is taken in{where}.")
    decision = life_review.include(track, name, call.by, call.asked.key, call.now)
    when = (
        f"into #{track.backlog_pull}"
        if track.backlog_pull
        else "in as soon as the backlog's pull request is open"
    )
    return say(call, f"`{name}` is taken {when}.", promised(decision, call.asked.key, "file"))


COMMAND = Command(
    name="include",
    usage="/agent include <M-n>",
    summary="Takes in a task that the plan leaves out, as its box in the plan does.",
    example="/agent include M-1",
    valid=offers_minority,
    answer=answer,
)
