"""Owns the App's manifest: what `app.yml` says, with the addresses of this bot in it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

import bot
from bot.core.grants import lacking

HOME = Path(bot.__file__).parent


def template() -> dict[str, Any]:
    """Read `app.yml`: beside the package where it was installed, above it in a checkout."""
    path = next(each for each in (HOME / "app.yml", HOME.parent / "app.yml") if each.is_file())
    found: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return found


def manifest(*, name: str, hook: str | None, origin: str) -> str:
    """Give the manifest as JSON; `hook` takes webhooks (None: nobody does, they are fetched), `origin` is this page's address."""
    made = template()
    if hook:
        made["hook_attributes"]["url"] = hook
    return json.dumps(made | {"name": name, "redirect_url": f"{origin}/setup/callback"})


def lacks(permissions: Mapping[str, str], events: tuple[str, ...]) -> list[str]:
    """Name what an App has been given less of than `app.yml` asks for."""
    wanted = template()
    missing = lacking(permissions, wanted["default_permissions"])
    return [f"permission `{name}: {level}`" for name, level in missing.items()] + [
        f"event `{name}`" for name in wanted["default_events"] if name not in events
    ]
