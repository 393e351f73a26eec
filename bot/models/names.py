"""Owns which models are used where nobody chose any, and the terms that providers attach to models."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from bot.core.budgets import Quota
from bot.core.config import RepoConfig
from bot.core.providers import KEYS
from bot.core.routing import Role

SCRIPTED = "scripted"  # no model: a script answers, and it costs nothing


@dataclass(frozen=True, slots=True)
class DefaultModel:
    """A model for those who chose none; on `verified_on` its provider offered it, and on the terms named."""

    name: str
    verified_on: str
    free_tier: bool = False


# As of the pydantic-ai release pinned here (2.68, November 2026), whose list of known models has all of them.
# Planning: Google's pricing page named both as free of charge, for projects without billing, which Google may then
# train on; the second is tried where the first is out of quota. Backlog: a GPT of the middle size.
# `models.free_tier` is off, and the first choice is a free tier all the same: it only comes into use where the
# operator has set a Google key and named no model, which is the operator's consent. A repository's own list is held
# to `models.free_tier`.
_DEFAULTS: Mapping[str, tuple[DefaultModel, ...]] = {
    "planning": (
        DefaultModel("google:gemini-3.8-flash", "2026-10-22", free_tier=True),
        DefaultModel("google:gemini-3.5-flash-lite", "2026-10-22", free_tier=True),
    ),
    "backlog": (DefaultModel("openai:gpt-6.1-terra", "2026-11-22"),),
}
DEFAULT_MODELS: Mapping[str, tuple[str, ...]] = {
    role: tuple(model.name for model in models) for role, models in _DEFAULTS.items()
}


@dataclass(frozen=True, slots=True)
class Named:
    """The models of a role, and whether who named them consents to free tiers by naming them (the operator does)."""

    models: tuple[str, ...]
    consent: bool = False


def named(operators: Mapping[Role, tuple[str, ...]] | None, config: RepoConfig, role: Role) -> Named:
    """Give the models of a role: the operator's before the repository's, and where nobody named any the defaults."""
    own = (operators or {}).get(role, ())
    if own:
        return Named(own, consent=True)
    listed = tuple(getattr(config.models, role))
    if not listed and role == "complex" and config.agent == "builtin":  # which has no model of its own
        return named(operators, config, "backlog")
    return Named(listed) if listed else Named(DEFAULT_MODELS.get(role, ()), consent=True)


@dataclass(frozen=True, slots=True)
class Terms:
    """What a provider attaches to a model."""

    free_tier: bool = False  # it may train on what it is sent
    quota: Quota | None = None


# Free tiers change monthly. These are starting points; what a provider answers (headers, 429) wins over them.
# Checked 2026-10-22: Google limits each model by project; OpenRouter limits all `:free` models of an account together.
_GEMINI_FREE = ("gemini-3.8-flash", "gemini-3.5-flash-lite")
_GEMINI_MINUTE, _GEMINI_TOKENS, _GEMINI_DAY = 10, 250_000, 250
_OPENROUTER_MINUTE, _OPENROUTER_DAY = 20, 50


def terms(model: str) -> Terms:
    """Give the terms of a `provider:model`; Google's cannot tell a free project from a paid one, so it counts as free."""
    provider, _, name = model.partition(":")
    if provider in {"google", "google-gla"} and name in _GEMINI_FREE:
        return Terms(
            True, Quota(f"google:{name}", _GEMINI_MINUTE, _GEMINI_TOKENS, _GEMINI_DAY, reset="pacific")
        )
    if provider == "openrouter" and name.endswith(":free"):
        return Terms(True, Quota("openrouter:free", _OPENROUTER_MINUTE, None, _OPENROUTER_DAY))
    return Terms()


def missing_key(model: str) -> str:
    """Say which environment variable a model's provider needs and has not; empty where none is missing or known."""
    names = KEYS.get(model.partition(":")[0], ())
    if not names or any(os.environ.get(name) for name in names):
        return ""
    return f"its key is not set: {' or '.join(names)}"
