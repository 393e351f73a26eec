"""Owns `/agent help`: what can be said here, by whom, with an example."""

from __future__ import annotations

from bot.core.actions import Decision
from bot.handler import Command, CommandCall
from handlers.spoken.arguments import say


def answer(call: CommandCall) -> Decision:
    """List every command; those that mean nothing now are marked."""
    rows = ["| command | what it does | needs | example |", "|---|---|---|---|"]
    for command in call.commands:
        now = "" if command.valid(call.track) else " (not now)"
        needs = call.config.needed_role(command.name, command.least)
        rows.append(f"| `{command.usage}`{now} | {command.summary} | `{needs}` | `{command.example}` |")
    return say(call, "\n".join(rows))


COMMAND = Command(
    name="help",
    usage="/agent help",
    summary="Shows every command.",
    example="/agent help",
    starts=False,
    answer=answer,
)
