"""Owns `/agent budget`: the most that the track may cost."""

from __future__ import annotations

import re
from dataclasses import replace

from bot.core.actions import Decision, SyncStatus
from bot.core.life import stamp
from bot.core.sanitize import code
from bot.handler import Command, CommandCall
from handlers.spoken.arguments import refuse, say
from handlers.spoken.states import under_way

MOST = 100_000.0  # US dollars: more is a slip of the pen
_AMOUNT = re.compile(r"\$?([0-9]{1,9}(?:\.[0-9]{1,2})?)\$?")


def answer(call: CommandCall) -> Decision:
    """Set the ceiling, also below what is spent: then nothing more is spent."""
    assert call.track is not None
    words = call.invocation.args
    found = _AMOUNT.fullmatch(words[0]) if words else None
    problems = []
    if not words:
        problems.append("Say how many US dollars the track may cost.")
    elif found is None or not 0 < float(found[1]) <= MOST:
        problems.append(f"{code(words[0])} is no amount between 0.01 and {MOST:,.0f} US dollars.")
    if len(words) > 1:
        problems.append(f"{code(' '.join(words[1:7]))} is more than it takes.")
    if problems or found is None:
        return refuse(call, COMMAND, problems)
    amount = float(found[1])
    by = call.by
    track = replace(call.track, budget_usd=amount).noting(
        stamp(call.now), f"the budget is ${amount:g}", f"set by {by}"
    )
    spent = call.track.usage.usd
    over = " That is spent already, so nothing more is begun that costs money." if spent >= amount else ""
    text = f"The ceiling of `{track.id}` is ${amount:,.2f} now; ${spent:,.2f} of it is spent.{over}"
    return say(call, text, Decision(track=track, actions=(SyncStatus(),)))


COMMAND = Command(
    name="budget",
    usage="/agent budget <usd>",
    summary="Sets the most that the track may cost, in US dollars.",
    example="/agent budget 5",
    valid=under_way,
    answer=answer,
)
