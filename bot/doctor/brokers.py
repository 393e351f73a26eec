"""Owns the check of the broker: whether the one of a bot at work answers, and whether it alone has the secret."""

from __future__ import annotations

from bot.broker.keeper import alive, socket_of
from bot.brokered import credential_of
from bot.doctor.check import Check, Finding, ok
from bot.doctor.world import World


def judge(lives: bool | None, in_file: bool) -> Finding:
    """Judge a bot's broker: `lives` is None where no bot is at work; `in_file` tells where its secret comes from."""
    if lives is False:
        return Finding(
            "failed",
            "A bot is at work, but its broker, which holds the key and the tokens, does not answer.",
            "Look for `broker_ended` and `broker_not_started` in the bot's log, then restart the bot.",
        )
    how = "it answers" if lives else "no bot is at work in DATA_DIR now"
    if in_file:
        return ok(f"It alone reads the key or token, from its file; {how}.")
    return ok(
        f"The key or token is in the settings, so the bot's process has it, too: a file is better; {how}."
    )


async def _broker(world: World) -> Finding:
    world.app_mode()
    settings = world.configured()
    lives = await alive(socket_of(settings.data_dir))
    return judge(lives, credential_of(settings).file is not None)


CHECKS = (Check(name="broker", asks="Does the broker of a bot at work answer?", look=_broker),)
