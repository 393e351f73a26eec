"""Owns the forms of the set-up page: what people typed becomes a value, or every problem at once, beside its field."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import quote, urlsplit

from bot.errors import UserError
from bot.forges.github.setup import api_url, web_url
from bot.keys import key_problems
from bot.proxies import proxy_for
from bot.web.addresses import in_the_clear, reaches

Fields = Mapping[str, str]
Problems = dict[str, str]  # field -> what is wrong with it, and what to do
NAME_LENGTH = 34  # GitHub takes no longer name of an App
_SECRET_LENGTH = 1_000
_UNSIGNED = "Give the secret that stands in the App's webhook settings; set one there if there is none."
_CUT = "Paste the whole token; it holds no blanks."


class Refused(Exception):  # noqa: N818 - no error: an answer
    """A form that cannot be used; `problems` holds all that is wrong with it."""

    def __init__(self, problems: Problems) -> None:
        super().__init__(", ".join(problems))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Place:
    """The forge that the operator fixed with a setting, or else the one that the form offers first."""

    api: str
    fixed: bool

    @property
    def web(self) -> str:
        return web_url(self.api)

    def chosen(self, typed: str) -> str:
        """Give the API's address of what was typed; ValueError says what is wrong with it."""
        # What is offered may lie where the rule for other forges would not look for it.
        return self.api if self.fixed or typed.strip().rstrip("/") == self.web else api_url(typed)


@dataclass(frozen=True, slots=True)
class NewApp:
    """An App to be made by the manifest flow; without `hook` its events are fetched."""

    api: str
    name: str
    organization: str
    hook: str | None
    poll: bool

    @property
    def target(self) -> str:
        """Where the manifest is sent to, without the state."""
        if not self.organization:
            return f"{web_url(self.api)}/settings/apps/new"
        return f"{web_url(self.api)}/organizations/{quote(self.organization, safe='')}/settings/apps/new"


@dataclass(frozen=True, slots=True)
class KnownApp:
    """An App that exists, as somebody says."""

    api: str
    app_id: str
    key: str = field(repr=False)
    webhook_secret: str = field(repr=False)
    poll: bool


@dataclass(frozen=True, slots=True)
class Person:
    """A person whose token the bot is to use."""

    api: str
    token: str = field(repr=False)
    webhook_secret: str = field(repr=False)


def new_app(fields: Fields, place: Place) -> NewApp:
    """Read the form that makes an App."""
    problems: Problems = {}
    api = _server(fields, place, problems)
    name = fields.get("name", "").strip()
    if not 1 <= len(name) <= NAME_LENGTH or not name.isprintable():
        problems["name"] = f"Give the App a name of 1 to {NAME_LENGTH} characters, on one line."
    organization = fields.get("organization", "").strip() if fields.get("owner") == "organization" else ""
    if fields.get("owner") not in {"me", "organization"}:
        problems["owner"] = "Choose who the App shall belong to."
    elif fields["owner"] == "organization" and not re.fullmatch(
        r"[A-Za-z0-9][A-Za-z0-9-]{0,38}", organization
    ):
        problems["organization"] = (
            "Give the organisation's name as it stands in its address: letters, digits and dashes."
        )
    poll = fields.get("poll") == "on"
    hook = _hook(fields.get("hook", "").strip(), api, poll, problems)
    if problems:
        raise Refused(problems)
    return NewApp(api, name, organization, hook, poll)


def known_app(fields: Fields, place: Place) -> KnownApp:
    """Read the form that imports an App."""
    problems: Problems = {}
    api = _server(fields, place, problems)
    app_id = fields.get("app_id", "").strip()
    if not re.fullmatch(r"[A-Za-z0-9.]{1,100}", app_id):
        problems["app_id"] = (
            "Give the App ID (a number) or the client ID, from the top of the App's settings page."
        )
    key = fields.get("private_key", "").strip().replace("\r\n", "\n") + "\n"
    if found := key_problems(key):
        problems["private_key"] = f"This {found[0]}. Paste the whole .pem file that the forge gave you."
    poll = fields.get("poll") == "on"
    secret = _secret(fields, problems)
    if not secret and not poll and "webhook_secret" not in problems:
        problems["webhook_secret"] = _UNSIGNED
    if problems:
        raise Refused(problems)
    return KnownApp(api, app_id, key, secret, poll)


def person(fields: Fields, place: Place) -> Person:
    """Read the form of token mode; a webhook secret that was left out is made."""
    problems: Problems = {}
    api = _server(fields, place, problems)
    token = fields.get("token", "").strip()
    if not re.fullmatch(r"[!-~]{4,500}", token):
        problems["token"] = _CUT
    secret = _secret(fields, problems)
    if problems:
        raise Refused(problems)
    return Person(api, token, secret or secrets.token_hex(32))


def _server(fields: Fields, place: Place, problems: Problems) -> str:
    try:
        api = place.chosen(fields.get("server", ""))
    except ValueError as error:
        problems["server"] = f"The address {error}."
        return place.api
    if in_the_clear(api) and not place.fixed:
        problems["server"] = (
            "The address must begin with https://: over plain HTTP others on the way can read tokens and keys. Where that "
            "cannot be, start the server with GITWRIGHT_GITHUB_API_URL set to it."
        )
        return api
    try:
        proxy_for(api)  # known before the forge makes an App that could not be taken over
    except UserError as error:
        problems["server"] = f"{error}."
    return api


def _secret(fields: Fields, problems: Problems) -> str:
    secret = fields.get("webhook_secret", "").strip()
    if len(secret) > _SECRET_LENGTH or not secret.isprintable():
        problems["webhook_secret"] = f"Give one line of at most {_SECRET_LENGTH} characters."
    return secret


def _hook(typed: str, api: str, poll: bool, problems: Problems) -> str | None:
    try:
        parts = urlsplit(typed)
        host = parts.hostname or ""
        good = parts.scheme in {"http", "https"} and host and "@" not in parts.netloc and typed.isprintable()
        reached = not good or reaches(api, host)
    except ValueError:
        good, host, reached = False, "", True
    if poll and (not good or not reached):
        return None
    if not good or " " in typed:
        problems["hook"] = (
            "Give an address that begins with https:// (or http://), or choose to fetch events."
        )
    elif not reached:
        problems["hook"] = (
            f"{web_url(api)} cannot reach {host} from outside. Give the address of a reverse proxy, a tunnel or a relay "
            "(such as a channel of smee.io) that passes events on to this server, or choose to fetch events."
        )
    return f"{typed.rstrip('/')}/webhook" if _is_bare(typed) else typed


def _is_bare(address: str) -> bool:
    """Tell whether an address names a host alone."""
    return re.fullmatch(r"https?://[^/?#]+/?", address) is not None
