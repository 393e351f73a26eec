"""Every router of the forge's REST API, in the order in which paths are matched."""

from importlib import import_module

from fastapi import APIRouter

NAMES = (
    "apps",
    "installations",
    "manifests",
    "users",
    "repos",
    "branches",
    "contents",
    "gitdata",
    "compare",
    "pulls",
    "merges",
    "reviews",
    "collaborators",
    "meta",
    "accounts",
    "issues",
    "labels",
    "comments",
    "reactions",
    "checks",
    "statuses",
    "hooks",
    "deliveries",
    "faults",
    "ci",
    "commits",
)


def routers() -> list[APIRouter]:
    """Imports and lists them."""
    return [import_module(f"forge.routes.{name}").router for name in NAMES]
