"""Owns the checks of who the bot is on the forge: recognized, in time, with what it needs, installed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bot.core.grants import lacking
from bot.core.health import SOON
from bot.core.values import Repo
from bot.doctor.check import Check, Finding, Level, RepoCheck, ok
from bot.doctor.world import World
from bot.forges.github.apps import AppFacts
from bot.forges.github.inspection import InstallationFacts, Reception
from bot.proxies import proxy_for, shown
from bot.web.setup_manifest import template

MAX_SKEW = (
    60.0  # seconds; GitHub takes no token that was issued in its future, and ours are dated back by so much
)
_IN_APP = "The bot works with a person's token, not as an App."


def judge_reception(met: Reception, url: str, in_app: bool, proxy: str = "") -> Finding:
    """Judge how the forge met us; `proxy` is the one on the way there, without its credentials."""
    way = f", by way of the proxy {proxy}" if proxy else ""
    if not met.refusal:
        kind = "App" if in_app else "user"
        return ok(f"{url} knows us as the {kind} `{met.name}`{way}.")
    if met.status == 401 and met.skew is not None and abs(met.skew) > MAX_SKEW:
        return Finding("failed", f"{url} refuses our token: {met.refusal}.", "Set this machine's clock.")
    if met.status in {401, 404} and in_app:
        step = "Compare GITWRIGHT_APP_ID with the App's page, and make a new private key there."
        return Finding("failed", f"{url} does not accept the App's key: {met.refusal}.", step)
    if met.status in {401, 403, 404}:
        text = f"{url} does not accept the token: {met.refusal}."
        return Finding("failed", text, "Make a new token and set GITWRIGHT_TOKEN.")
    text = f"{url} gives no usable answer{way}: {met.refusal}."
    step = "Check GITWRIGHT_GITHUB_API_URL, and whether this machine may reach that address; if only by a proxy, set HTTPS_PROXY."
    if proxy:
        step = "Check GITWRIGHT_GITHUB_API_URL, and whether the proxy lets this machine reach that address; if it needs none, add it to NO_PROXY."
    return Finding("failed", text, step)


def judge_clock(skew: float | None) -> Finding:
    """Judge our clock less the forge's, in seconds."""
    if skew is None:
        return Finding("unknown", "The forge did not say what time it is.", "Do what `forge.identity` says.")
    way = "ahead of" if skew > 0 else "behind"
    if abs(skew) <= 5:
        return ok("This machine's clock agrees with the forge's.")
    text = f"This machine's clock is {abs(skew):.0f} s {way} the forge's."
    level: Level = "failed" if abs(skew) > MAX_SKEW else "warning"
    return Finding(level, text, "Switch on time synchronization (NTP) here.")


def _named(lacks: Mapping[str, str]) -> list[str]:
    return [f"{name}: {level}" for name, level in sorted(lacks.items())]


def judge_permissions(app: AppFacts, wanted: Mapping[str, str]) -> Finding:
    """Compare what the App asks its users for with what the bot needs."""
    missing = _named(lacking(app.permissions, wanted))
    spare = _named(lacking(wanted, app.permissions))
    page = f"{app.page} > App settings > Permissions & events"
    if missing:
        details = (*(f"missing: {each}" for each in missing), *(f"not needed: {each}" for each in spare))
        return Finding("failed", "The App asks for less than the bot needs.", f"Add them: {page}.", details)
    if spare:
        details = tuple(f"not needed: {each}" for each in spare)
        return Finding(
            "warning", "The App asks for more than the bot needs.", f"Take it away: {page}.", details
        )
    return ok(f"The App has exactly the {len(wanted)} permissions that the bot needs.")


def judge_events(app: AppFacts, wanted: Sequence[str]) -> Finding:
    """Compare the events that the App is told of with those that handlers react to."""
    missing = [f"missing: {name}" for name in wanted if name not in app.events]
    spare = [f"not needed: {name}" for name in app.events if name not in wanted]
    page = f"{app.page} > App settings > Permissions & events"
    if missing:
        text = "The App is not told of all events that the bot reacts to."
        return Finding("failed", text, f"Subscribe to them: {page}.", (*missing, *spare))
    if spare:
        text = "The App is told of events that the bot ignores."
        return Finding("warning", text, f"Unsubscribe: {page}.", tuple(spare))
    return ok(f"The App is told of exactly the {len(wanted)} events that the bot reacts to.")


def judge_installations(
    app: AppFacts, found: Sequence[InstallationFacts], wanted: Mapping[str, str]
) -> Finding:
    """Judge where the App is installed: suspended, or with permissions that its owner has not approved yet."""
    if not found:
        return Finding(
            "failed", "The App is installed nowhere.", f"Install it: {app.page}/installations/new."
        )
    unasked = lacking(app.permissions, wanted)
    asked = {name: level for name, level in wanted.items() if name not in unasked}
    behind = [(each, _named(lacking(each.permissions, asked))) for each in found if not each.suspended]
    unapproved = [(each, missing) for each, missing in behind if missing]
    suspended = [each for each in found if each.suspended]
    details = (
        *(f"{each.account}: not approved yet: {', '.join(missing)}" for each, missing in unapproved),
        *(f"{each.account}: suspended" for each in suspended),
    )
    if unapproved:
        step = f"Have the owner of `{unapproved[0][0].account}` approve the new permissions: {unapproved[0][0].page}."
        return Finding("warning", "New permissions wait for an owner's approval.", step, details)
    if suspended and len(suspended) == len(found):
        step = f"Have the owner of `{suspended[0].account}` unsuspend it: {suspended[0].page}."
        return Finding("failed", "Every installation of the App is suspended.", step, details)
    if suspended:
        step = f"Have the owner unsuspend it, or uninstall it: {suspended[0].page}."
        return Finding(
            "warning", "An installation is suspended; its repositories are left alone.", step, details
        )
    names = ", ".join(each.account for each in found[:10]) + (", ..." if len(found) > 10 else "")
    return ok(f"The App is installed for {names}.")


async def _met(world: World) -> Finding:
    settings = world.configured()
    url = settings.github_api_url
    return judge_reception(await world.reception(), url, world.app_mode(), shown(proxy_for(url) or ""))


async def _clock(world: World) -> Finding:
    return judge_clock((await world.reception()).skew)


async def _permissions(world: World) -> Finding:
    if not world.app_mode():
        return ok(_IN_APP)
    return judge_permissions(await world.app(), template()["default_permissions"])


async def _events(world: World) -> Finding:
    if not world.app_mode():
        return ok(_IN_APP)
    return judge_events(await world.app(), template()["default_events"])


async def _installations(world: World) -> Finding:
    if not world.app_mode():
        return ok(_IN_APP)
    wanted = template()["default_permissions"]
    return judge_installations(await world.app(), await world.installations(), wanted)


async def _standing(world: World, repo: Repo) -> Finding:
    if world.app_mode():
        return ok("The App's permissions count.")
    facts = await world.facts(repo)
    if facts.may_push is False:
        return Finding(
            "failed",
            "The token's user may not push here.",
            "Give that user the role `write` in the repository.",
        )
    left = (await (await world.reached()).standing(repo)).expires_in
    if left is not None and left < SOON:
        text = f"The token ends in {max(left, 0) / 3600:.0f} hours."
        return Finding("warning", text, "Make a new token and set GITWRIGHT_TOKEN.")
    return ok("The token's user may push.")


CHECKS = (
    Check(name="forge.identity", asks="Does the forge answer, and accept our key or token?", look=_met),
    Check(name="forge.clock", asks="Does this machine's clock agree with the forge's?", look=_clock),
    Check(name="app.permissions", asks="Does the App ask for exactly what the bot needs?", look=_permissions),
    Check(name="app.events", asks="Is the App told of exactly what the bot reacts to?", look=_events),
    Check(
        name="app.installations",
        asks="Is the App installed, not suspended, with all permissions approved?",
        look=_installations,
    ),
    RepoCheck(name="repository.token", asks="May the token's user push, and for how long?", look=_standing),
)
