"""The App's manifest asks for exactly what is used: by the handlers, and by the tokens that the adapter mints."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import yaml

from bot.forges.github import auth
from handlers import HANDLERS, REPO_HANDLERS

MANIFEST = yaml.safe_load((Path(__file__).parents[1] / "app.yml").read_text())
LEVELS = ("", "read", "write", "admin")


def _all_of(wanted: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """Give each permission at the highest level that anybody wants it at."""
    found: dict[str, str] = {}
    for permissions in wanted:
        for name, level in permissions.items():
            found[name] = max(found.get(name, ""), level, key=LEVELS.index)
    return found


def _token_permissions() -> list[Mapping[str, str]]:
    sets = [value for name, value in vars(auth).items() if name.isupper() and isinstance(value, dict)]
    return [each for each in sets if set(each.values()) <= set(LEVELS) and "metadata" in each]


def test_the_events_asked_for_are_those_that_handlers_react_to() -> None:
    heard = {h.github for h in HANDLERS if h.github}
    heard |= {webhook.partition(".")[0] for h in REPO_HANDLERS for webhook in h.webhooks}
    told_anyway = {"installation", "installation_repositories"}
    assert MANIFEST["default_events"] == sorted(heard - told_anyway)


def test_the_permissions_asked_for_are_those_that_handlers_need() -> None:
    needed = _all_of([{"metadata": "read"}, *(h.permissions for h in (*HANDLERS, *REPO_HANDLERS))])
    assert MANIFEST["default_permissions"] == needed


def test_the_permissions_asked_for_are_those_that_tokens_are_minted_with() -> None:
    sets = _token_permissions()
    assert len(sets) >= 3, "the permission sets of bot/forges/github/auth.py are not found any more"
    assert MANIFEST["default_permissions"] == _all_of(sets)
