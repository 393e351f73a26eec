"""Owns the check of the operator's settings: what they say, and where to go without credentials."""

from __future__ import annotations

from bot import credentials
from bot.doctor.check import Check, Finding, ok
from bot.doctor.world import World
from bot.settings import Settings
from bot.web.addresses import in_the_clear


def judge(settings: Settings | None, problem: str) -> Finding:
    """Judge the settings as a whole; each problem is named."""
    if settings is None:
        lines = problem.splitlines()
        details = tuple(line.removeprefix("- ") for line in lines[1:])
        text = lines[0].partition("; ")[0].rstrip(":.") + "."
        return Finding("failed", text, "Mend them in the environment or in `.env`.", details)
    if settings.mode == "setup":
        step = "Run `gitwright serve` and open the set-up page whose address it prints."
        return Finding("failed", "No App and no token: the bot is in set-up mode.", step)
    if deaf := settings.deaf():
        text = (
            "The server does not start with these settings: it would never hear of what happens on the forge."
        )
        return Finding("failed", text, "Mend them in the environment or in `.env`.", deaf)
    if in_the_clear(settings.github_api_url):
        text = f"Others on the way to {settings.github_api_url} can read the bot's tokens: it is plain HTTP."
        return Finding("warning", text, "Set GITWRIGHT_GITHUB_API_URL to its https:// address.")
    if settings.mode == "token":
        return ok(f"Token mode on {settings.github_api_url}.")
    how = "fetches its deliveries" if settings.poll_deliveries else "takes webhooks"
    return ok(f"App {settings.app_id} on {settings.github_api_url}; {how}.")


async def _settings(world: World) -> Finding:
    return judge(world.settings, world.problem)


async def _credentials(world: World) -> Finding:
    folder = world.configured().data_dir
    path = folder / credentials.NAME
    if not path.exists():
        return ok("None are stored in DATA_DIR.")
    if found := credentials.exposed(folder):
        names = " ".join(map(str, found))
        return Finding("failed", f"Others of this machine may read `{names}`.", f"Run `chmod 600 {names}`.")
    return ok(f"`{path}` is this user's alone.")


async def _lock_away(world: World) -> tuple[str, ...]:
    """sets the files' mode to 0600"""
    found = credentials.exposed(world.configured().data_dir)
    for path in found:
        path.chmod(0o600)
    return tuple(f"set the mode of `{path}` to 0600" for path in found)


CHECKS = (
    Check(name="settings", asks="Are the operator's settings usable?", look=_settings),
    Check(
        name="credentials",
        asks="Are stored credentials for this user's eyes only?",
        look=_credentials,
        mend=_lock_away,
    ),
)
