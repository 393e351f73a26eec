"""What people can say: one file per slash command, and the table of all of them."""

from __future__ import annotations

from bot.core.track import Track
from bot.handler import Command
from handlers.commands import (
    budget,
    include,
    pause,
    plan,
    push,
    rebase,
    regenerate,
    resume,
    retry,
    revise,
    skip,
    status,
    stop,
    why,
)
from handlers.commands import help as help_

COMMANDS: tuple[Command, ...] = (
    plan.COMMAND,
    revise.COMMAND,
    skip.COMMAND,
    include.COMMAND,
    retry.COMMAND,
    regenerate.COMMAND,
    rebase.COMMAND,
    push.COMMAND,
    pause.COMMAND,
    stop.COMMAND,
    resume.COMMAND,
    budget.COMMAND,
    status.COMMAND,
    why.COMMAND,
    help_.COMMAND,
)


def valid_now(track: Track | None) -> tuple[tuple[str, str], ...]:
    """Give usage and summary of each command that means something in this state."""
    return tuple((c.usage, c.summary) for c in COMMANDS if c.valid(track))
