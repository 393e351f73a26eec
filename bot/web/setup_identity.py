"""Owns who the bot becomes by set-up: asked of the forge before anything is stored."""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass, replace
from typing import Literal, TypeVar

from bot.credentials import Credentials
from bot.errors import BotError, ForgeError
from bot.forges.github.apps import AppFacts
from bot.forges.github.setup import Front, web_url
from bot.web.setup_forms import KnownApp, Person, Problems, Refused
from bot.web.setup_manifest import lacks

_T = TypeVar("_T")
_WRONG_APP: Problems = {
    "app_id": "No App with this id has this key there. Compare both with the App's settings page.",
    "private_key": "The forge does not take this key for this App. Make a new one on the App's page if in doubt.",
}
_WRONG_TOKEN: Problems = {
    "token": "The forge does not know this token, or it has ended. Make a new one and paste it whole."
}


@dataclass(frozen=True, slots=True)
class Identity:
    """Who the bot is from now on, and what a person does next."""

    mode: Literal["app", "token"]
    name: str
    api: str
    credentials: Credentials
    page: str = ""
    lacking: tuple[str, ...] = ()
    imported: bool = False  # then nobody knows whether its webhook leads here
    made_secret: str = ""  # of the webhook that a person has to make

    @property
    def install(self) -> str:
        """Where the App is installed on repositories."""
        return f"{self.page}/installations/new"


def of_app(api: str, app: AppFacts, key: str, webhook_secret: str, *, poll: bool) -> Identity:
    """Be this App; a pydantic ValidationError where its key or its secret cannot be used."""
    kept = Credentials.model_validate(
        {
            "github_api_url": api,
            "app_id": str(app.id),
            "private_key": key,
            "webhook_secret": webhook_secret or None,
            "poll_deliveries": poll,
        }
    )
    # The forge's word becomes a link on our page: an address, and nothing that a browser runs.
    page = app.page if app.page.startswith(("https://", "http://")) else f"{web_url(api)}/apps/{app.slug}"
    return Identity("app", app.slug, api, kept, page, tuple(lacks(app.permissions, app.events)))


async def imported(known: KnownApp, api_version: str) -> Identity:
    """Be an App that exists, after the forge has taken its key; else Refused."""
    question = Front(known.api, api_version).app(known.app_id, known.key)
    app = await _asked(question, known.api, _WRONG_APP)
    found = of_app(known.api, app, known.key, known.webhook_secret, poll=known.poll)
    return replace(found, imported=True)


async def lent(person: Person, api_version: str) -> Identity:
    """Work in a person's name, after the forge has taken the token; else Refused."""
    login = await _asked(Front(person.api, api_version).person(person.token), person.api, _WRONG_TOKEN)
    kept = Credentials.model_validate(
        {"github_api_url": person.api, "token": person.token, "webhook_secret": person.webhook_secret}
    )
    return Identity("token", login, person.api, kept, made_secret=person.webhook_secret)


async def _asked(question: Awaitable[_T], api: str, refusals: Problems) -> _T:
    try:
        return await question
    except ForgeError as error:
        if error.status in {401, 403, 404}:
            raise Refused(refusals) from error
        raise Refused({"server": f"{web_url(api)} answers what we do not understand: {error}."}) from error
    except BotError as error:
        raise Refused({"server": f"{web_url(api)} does not answer as a forge does: {error}."}) from error
