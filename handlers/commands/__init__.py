"""What people can say: one file per slash command, and the table of all of them."""

from __future__ import annotations

from bot.core.track import Track
from bot.handler import Command
from handlers.commands import help as help_
from handlers.commands import status, why

COMMANDS: tuple[Command, ...] = (status.COMMAND, why.COMMAND, help_.COMMAND)


def valid_now(track: Track | None) -> tuple[tuple[str, str], ...]:
    """Give usage and summary of each command that means something in this state."""
    return tuple((c.usage, c.summary) for c in COMMANDS if c.valid(track))
