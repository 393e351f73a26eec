"""Owns the choice of a task's class by its planned file scope, and of the models for it; in doubt the dearer ones.

ModelRouter().classify(scope_paths, files) -> Route(kind, reasons); .route(kind, named, ...) -> Choice(models, reasons).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from bot.core import scopes
from bot.core.config import Models
from bot.core.plans import Kind

_DOCUMENT = re.compile(
    r"\.(md|mdx|rst|txt|adoc)$|(^|/)(docs?|website)/|(^|/)(CHANGELOG|README|LICENSE|CONTRIBUTING|AUTHORS)[^/]*$",
    re.I,
)
# Looks like a document by its name or place, and is run, built or installed from.
_NO_DOCUMENT = re.compile(
    r"\.(py|pyi|[cm]?[jt]sx?|go|rs|java|kt|swift|c|h|cc|cpp|hpp|cs|rb|php|sh|vue|svelte|toml|json|ya?ml|cfg|ini)$"
    r"|(^|/)(requirements|constraints)[^/]*\.txt$|(^|/)CMakeLists\.txt$",
    re.I,
)
_TEST = re.compile(
    r"(^|/)(tests?|__tests__|snapshots?)/|(^|/)test_[^/]*$|[._](test|spec)\.[^/]+$|\.snap$|[.-]lock(\.|$)",
    re.I,
)
# Small changes here have wide effects: what CI runs, migrations, who may do what, what others call.
_DELICATE = re.compile(
    r"(^|/)\.github/|(^|/)migrations?/|\.(sql|proto)$|(^|/)(security|auth|crypto|permissions?|secrets?)(/|[._-])",
    re.I,
)
MOST_FILES = 3  # of a simple task; above that real changes were rarely small
Role = Literal["planning", "backlog", "documentation", "simple", "complex"]
CLASSES: tuple[Kind, ...] = ("documentation", "simple", "complex")


@dataclass(frozen=True, slots=True)
class Route:
    """The class of a task and why; the reasons are for people."""

    kind: Kind
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Market:
    """What is known of models now: dollars for a million tokens (None: unknown), terms, and which are closed."""

    prices: Mapping[str, float | None] = field(default_factory=dict)
    free_tier: frozenset[str] = frozenset()  # their providers may train on what they are sent
    closed: Mapping[str, str] = field(default_factory=dict)  # model -> why it cannot be used now


@dataclass(frozen=True, slots=True)
class Choice:
    """The models to try, in order, of a role that may be dearer than the one asked for; the reasons are for people."""

    role: Role
    models: tuple[str, ...]
    reasons: tuple[str, ...]
    refused: tuple[str, ...] = ()  # models that the repository does not allow
    closed: tuple[str, ...] = ()  # models that are allowed and cannot be used now


@dataclass(frozen=True, slots=True)
class ModelRouter:
    """Decides by paths alone: on real commits that beat every reading of the text."""

    def classify(
        self,
        scope_paths: Sequence[str],
        files: Collection[str] = (),
        *,
        protected: Collection[str] = (),
        dependants: int = 0,
        estimate: str = "S",
    ) -> Route:
        """Give a task's class: documentation only, at most one source file, or complex."""
        paths, doubts = _expand(scope_paths, files)
        if doubts:
            return Route("complex", doubts)
        guarded = [p for p in paths if _DELICATE.search(p) or scopes.in_scope(protected, p)]
        if guarded:
            return Route("complex", (f"`{guarded[0]}` is protected or has wide effects",))
        if all(map(_is_document, paths)):
            return Route("documentation", ("all files are documentation",))
        sources = [path for path in paths if not _is_document(path) and not _TEST.search(path)]
        if len(sources) > 1 or len(paths) > MOST_FILES:
            return Route("complex", (f"{len(paths)} files, {len(sources)} of them source",))
        if dependants or estimate == "L":
            waiting = "another task waits" if dependants == 1 else f"{dependants} tasks wait"
            return Route("complex", (f"{waiting} for it" if dependants else "it is estimated large",))
        return Route("simple", ("at most one source file",))

    def route(
        self,
        role: Role,
        named: Models,
        *,
        free_tier: bool,
        market: Market,
        promoted: bool = False,
        consented: Collection[Role] = (),
    ) -> Choice:
        """Order the models for a role: allowed and open, for tasks the cheapest first; a failed check promotes once.

        A class without a usable model takes those of the next one up, never of one below. Free tiers need `free_tier`,
        or that whoever named the role's models consented to them.
        """
        wanted = _promoted(role) if promoted else role
        reasons = [f"promoted from {role} to {wanted} after a failed check"] if wanted != role else []
        classes = CLASSES[CLASSES.index(wanted) :] if wanted in CLASSES else (wanted,)
        refused: list[str] = []
        closed: list[str] = []
        for kind in classes:
            models = []
            for model in dict.fromkeys(getattr(named, kind)):
                if model in market.free_tier and not (free_tier or kind in consented):
                    refused.append(model)
                    reasons.append(f"`{model}` is left out: a free tier, and `models.free_tier` is not set")
                elif model in market.closed:
                    closed.append(model)
                    reasons.append(f"`{model}` is left out: {market.closed[model]}")
                else:
                    models.append(model)
            if models:
                if kind != wanted:
                    reasons.append(f"no model is usable for {wanted}, so one for {kind}")
                if kind in CLASSES:
                    models.sort(key=lambda model: _price(market, model))
                reasons.append(_order(models, market))
                return Choice(kind, tuple(models), tuple(reasons), tuple(refused), tuple(closed))
        return Choice(wanted, (), tuple(reasons), tuple(refused), tuple(closed))


def _promoted(role: Role) -> Role:
    return CLASSES[min(CLASSES.index(role) + 1, len(CLASSES) - 1)] if role in CLASSES else role


def _price(market: Market, model: str) -> float:
    """Give a model's price to compare; an unknown one counts as the dearest."""
    price = market.prices.get(model)
    return float("inf") if price is None else price


def _order(models: Sequence[str], market: Market) -> str:
    def words(model: str) -> str:
        price = market.prices.get(model)
        return f"`{model}` (" + ("price unknown)" if price is None else f"${price:.2f} for a million tokens)")

    return "models in order: " + ", ".join(map(words, models))


def _is_document(path: str) -> bool:
    return bool(_DOCUMENT.search(path)) and not _NO_DOCUMENT.search(path)


def _expand(scope_paths: Sequence[str], files: Collection[str]) -> tuple[list[str], tuple[str, ...]]:
    """Turn a scope into files; what cannot be told apart is a doubt."""
    if not any(path.strip() for path in scope_paths):
        return [], ("no files are planned",)
    paths: list[str] = []
    for entry in map(scopes.clean, scope_paths):
        if entry in files or not (scopes.is_pattern(entry) or _is_folder(entry, files)):
            paths.append(entry)
            continue
        covered = sorted(path for path in files if scopes.covers(entry, path))
        if not all(map(_is_document, covered)) or not covered:
            return [], (f"`{entry}` is more than named files",)
        paths += covered
    return list(dict.fromkeys(paths)), ()


def _is_folder(entry: str, files: Collection[str]) -> bool:
    return any(path.startswith(entry + "/") for path in files) or "." not in entry.rsplit("/", 1)[-1]
