"""Owns `/agent plan`: a new round, with the issue as it reads now."""

from __future__ import annotations

from bot.core import life_issue, life_planning
from bot.core.actions import Decision
from bot.core.ids import track_id
from bot.core.promises import promised
from bot.handler import WRITERS, Command, CommandCall
from handlers.spoken.arguments import refuse, say


def answer(call: CommandCall) -> Decision:
    """Begin the round, or end the older one for its sake: both tracks hear the same comment."""
    asked, track = call.asked, call.track
    if asked.is_pull:
        where = f"#{track.issue}" if track else "an issue"
        text = f"A new round begins on the issue: comment `/agent plan` on {where}."
        return say(call, text, refused=True)
    if track is not None:
        if asked.round > track.round:
            return life_issue.superseded(track, asked.round, call.now)
        return say(call, f"Round {track.round} has only just begun: `{track.id}`.", refused=True)
    if call.frozen is None:
        return refuse(call, COMMAND, ["There is no issue to plan here."])
    why = f"{call.by} asked for a plan"
    id_ = track_id(asked.number, asked.round)
    decision = life_planning.begin(
        asked.repo, asked.number, asked.round, id_, call.frozen, call.config, call.now, why
    )
    decision = life_planning.with_broken_settings(decision, call.config_problems, call.now)
    return promised(decision, asked.key, "plan")


COMMAND = Command(
    name="plan",
    usage="/agent plan",
    summary="Begins a new round with the issue as it reads now; an older one is ended.",
    example="/agent plan",
    least=WRITERS,
    begins=True,
    answer=answer,
)
