"""Forges: the table says which there are; adding one is one folder and one line here."""

from __future__ import annotations

from collections.abc import Callable

from bot.forges.github import GitHubForge
from bot.forges.local import LocalForge
from bot.ports import Forge

FORGES: dict[str, Callable[..., Forge]] = {
    "github": GitHubForge,
    "local": LocalForge,
}
