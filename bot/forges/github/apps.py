"""Owns what an App is: how its forge describes it, to whoever asks about it and to whoever has just made it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bot.forges.github import views


@dataclass(frozen=True, slots=True)
class AppFacts:
    """An App as the forge knows it."""

    id: int
    slug: str
    page: str  # its public page, html_url
    permissions: Mapping[str, str]
    events: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MadeApp(AppFacts):
    """An App that was made just now, with what the forge hands over once."""

    key: str = field(repr=False)
    webhook_secret: str = field(repr=False)


class _AppView(views.AppView):
    html_url: str = ""
    permissions: dict[str, str] = {}
    events: tuple[str, ...] = ()


class _MadeAppView(_AppView):
    pem: str
    webhook_secret: str | None = None


def facts(data: object) -> AppFacts:
    """Read the answer to `GET /app`."""
    found = views.read(_AppView, data)
    return AppFacts(found.id, found.slug, found.html_url, found.permissions, found.events)


def made(data: object) -> MadeApp:
    """Read the answer to the conversion of a manifest."""
    found = views.read(_MadeAppView, data)
    return MadeApp(
        found.id,
        found.slug,
        found.html_url,
        found.permissions,
        found.events,
        found.pem,
        found.webhook_secret or "",
    )
