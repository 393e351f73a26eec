"""Owns what deliveries say of whole repositories: those that an installation was given, and pushes that change settings."""

from __future__ import annotations

from bot.core import config
from bot.core.forge_events import RepositoriesAdded
from bot.core.values import Repo
from bot.forges.github.views import View

MOST_COMMITS = 2048  # of which GitHub names the files in the delivery of a push


class _Added(View):
    id: int
    full_name: str
    private: bool = True


class _Installation(View):
    id: int


class _Installed(View):
    installation: _Installation
    repositories: tuple[_Added, ...] = ()  # of a new installation
    repositories_added: tuple[_Added, ...] = ()  # to one that there was


class _Commit(View):
    added: tuple[str, ...] = ()
    modified: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()


class _Commits(View):
    commits: tuple[_Commit, ...] = ()
    created: bool = False
    forced: bool = False


def repositories_added(data: object, _app: int | None) -> RepositoriesAdded | None:
    """Read which repositories the App was given; their default branches are not told."""
    view = _Installed.model_validate(data)
    repos = []
    for each in (*view.repositories, *view.repositories_added):
        owner, _, name = each.full_name.partition("/")
        repos.append(Repo(each.id, owner, name, "", each.private, view.installation.id))
    return RepositoriesAdded(repos=tuple(repos)) if repos else None


def changes_settings(data: object) -> bool:
    """Tell whether a push may have changed the settings file; yes where the delivery does not name all that it changed."""
    view = _Commits.model_validate(data)
    if view.created or view.forced or len(view.commits) >= MOST_COMMITS:
        return True
    return any(config.PATH in (*c.added, *c.modified, *c.removed) for c in view.commits)
