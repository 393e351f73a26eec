"""Owns the checks of the webhook: where it leads, and what came of what was sent there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from urllib.parse import urlsplit

from bot.core import messages
from bot.core.values import Repo
from bot.doctor.check import LEVELS, Check, Finding, RepoCheck, ok
from bot.doctor.world import World
from bot.errors import ForgeError
from bot.forges.github.inspection import DeliveryFacts, HookFacts
from bot.settings import Settings
from bot.web.addresses import reaches
from bot.web.setup_manifest import template

PATH = "/webhook"
_PAGE = "the repository's Settings > Webhooks"
_OWN = "Not an App's webhook: each repository has its own."
_WHY = {
    0: "no answer: the address cannot be reached, or its certificate is not trusted",
    401: "the secret differs from GITWRIGHT_WEBHOOK_SECRET",
    404: f"something else answers there; the path is `{PATH}`",
    413: "a proxy refuses large bodies; let 25 MiB pass",
    415: "the content type must be application/json",
    502: "the proxy is there, the bot behind it is not",
    503: "the bot could not store it, or a proxy found no bot",
}


def judge_config(hook: HookFacts, settings: Settings) -> Finding:
    """Judge how the webhook is configured."""
    if settings.poll_deliveries:
        return ok("Deliveries are fetched, so nobody has to reach us.")
    page = "the App's page > General > Webhook"
    host = urlsplit(hook.url).hostname or ""
    problems = (
        (
            not hook.url or host.endswith(".invalid"),
            f"The webhook leads nowhere: `{hook.url}`.",
            f"Set its URL to https://HOST{PATH}: {page}.",
        ),
        (
            hook.content_type != "json",
            f"The webhook sends `{hook.content_type}`.",
            f"Set the content type to application/json: {page}.",
        ),
        (
            not hook.secret,
            "The webhook has no secret, so nothing it sends is accepted.",
            f"Set the one of GITWRIGHT_WEBHOOK_SECRET: {page}.",
        ),
        (
            not reaches(settings.github_api_url, host),
            f"The webhook leads to `{host}`, which the forge cannot reach.",
            "Set a public URL, or GITWRIGHT_POLL_DELIVERIES=true.",
        ),
    )
    for holds, text, step in problems:
        if holds:
            return Finding("failed", text, step)
    if urlsplit(hook.url).path != PATH:
        text = f"The webhook leads to `{hook.url}`; the bot listens on `{PATH}`."
        return Finding("warning", text, f"Make sure that your proxy passes that path on as `{PATH}`.")
    return ok(f"It leads to {hook.url}, as JSON and signed.")


def judge_deliveries(found: Sequence[DeliveryFacts], polled: bool) -> Finding:
    """Judge the last deliveries, newest first: the newest answer tells how it is, the others how it was."""
    if not found:
        return Finding(
            "warning" if not polled else "ok",
            "Nothing was delivered yet.",
            "" if polled else "Open an issue in an installed repository, then look again.",
        )
    if polled:
        return ok(f"The forge keeps {len(found)} recent deliveries to be fetched.")
    # An event that was refused and taken at a later try is not lost.
    taken = {each.guid for each in found if 200 <= each.code < 300}
    lost = [each for each in found if each.guid not in taken]
    count = messages.count(len({each.guid for each in found}), "event")
    if not lost:
        return ok(f"Of the last {count} delivered each was accepted.")
    tally = Counter((each.code, each.status) for each in lost)
    details = tuple(f"{n} x {code or 'no answer'} {said}".strip() for (code, said), n in tally.most_common())
    events = len({each.guid for each in lost})
    text = f"Of the last {count} {events} never arrived, the last of them at {lost[0].at:%Y-%m-%d %H:%M} UTC."
    code = lost[0].code
    if lost[0] is not found[0]:
        step = "Nothing, if you know why: newer ones were accepted, and the bot asks for lost ones again."
        return Finding("warning", text, step, details)
    why = _WHY.get(code) or (
        "the bot does not answer as it should" if code < 500 else "a server on the way fails"
    )
    return Finding("failed", text, f"Mend the way to the bot ({why}).", details)


def judge_hooks(hooks: Sequence[HookFacts], wanted: Sequence[str]) -> Finding:
    """Judge a repository's own webhooks, of which one has to lead to us with all events (token mode)."""
    ours = [each for each in hooks if urlsplit(each.url).path == PATH and each.active]
    if not ours:
        step = f"Make one with URL https://HOST{PATH}, content type application/json, the secret and the events: {_PAGE}."
        details = (f"events: {', '.join(wanted)}",)
        return Finding("failed", "No active webhook of the repository leads to the bot.", step, details)
    found = [_judge_hook(each, wanted) for each in ours]  # some may be those of another tool
    return min(found, key=lambda each: LEVELS.index(each.level))


def _judge_hook(hook: HookFacts, wanted: Sequence[str]) -> Finding:
    if hook.content_type != "json" or not hook.secret:
        lacks = "secret" if not hook.secret else "content type application/json"
        return Finding("failed", f"The webhook {hook.url} lacks the {lacks}.", f"Set it: {_PAGE}.")
    missing = [] if "*" in hook.events else [name for name in wanted if name not in hook.events]
    if missing:
        text = f"The webhook {hook.url} does not send all events that the bot reacts to."
        details = tuple(f"missing: {name}" for name in missing)
        return Finding("failed", text, f"Choose these events, or all: {_PAGE}.", details)
    if hook.last is not None and not 200 <= hook.last < 300:
        text = f"The last delivery to {hook.url} was answered with {hook.last}."
        return Finding("failed", text, f"See what was answered: {_PAGE} > Recent deliveries.")
    return ok(f"It leads to {hook.url}, as JSON, signed and with all events.")


async def _config(world: World) -> Finding:
    if not world.app_mode():
        return ok(_OWN)
    return judge_config(await (await world.reached()).hook(), world.configured())


async def _deliveries(world: World) -> Finding:
    if not world.app_mode():
        return ok(_OWN)
    found = await (await world.reached()).deliveries()
    return judge_deliveries(found, world.configured().poll_deliveries)


async def _hooks(world: World, repo: Repo) -> Finding:
    if world.app_mode():
        return ok("The App's webhook counts.")
    try:
        return judge_hooks(await (await world.reached()).hooks(repo), template()["default_events"])
    except ForgeError as error:
        if error.status not in {403, 404}:
            raise
        step = "Have somebody who administers the repository look at Settings > Webhooks."
        return Finding("unknown", "The token may not read the repository's webhooks.", step)


CHECKS = (
    Check(name="webhook.config", asks="Does the webhook lead to the bot, as JSON and signed?", look=_config),
    Check(name="webhook.deliveries", asks="Were the last deliveries accepted?", look=_deliveries),
    RepoCheck(
        name="repository.webhook",
        asks="In token mode: does a webhook lead to the bot, with all events?",
        look=_hooks,
    ),
)
