"""Owns what deliveries say of whole repositories: those that an installation was given, and pushes that change settings."""

from __future__ import annotations

from typing import Literal, cast

from bot.core import config
from bot.core.forge_events import RepositoriesAdded
from bot.core.repo_events import How, InstallationChanged, RepositoryChanged
from bot.core.values import Repo
from bot.forges.github.inbound_views import Id, Payload
from bot.forges.github.views import View

MOST_COMMITS = 2048  # of which GitHub names the files in the delivery of a push


class _Added(View):
    id: int
    full_name: str
    private: bool = True


class _Installed(View):
    installation: Id
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
        repos.append(_named(each, view.installation.id))
    return RepositoriesAdded(repos=tuple(repos)) if repos else None


class _Changed(Payload):
    repositories: tuple[_Added, ...] = ()
    repositories_removed: tuple[_Added, ...] = ()


_OF_INSTALLATION: dict[str, How | Literal["permissions"]] = {
    "deleted": "removed",
    "suspend": "suspended",
    "unsuspend": "unsuspended",
    "removed": "removed",
    "new_permissions_accepted": "permissions",
}


def installation_changed(data: object, _app: int | None) -> InstallationChanged | None:
    """Read what happened to an installation, or which repositories were taken out of it."""
    view = _Changed.model_validate(data)
    how = _OF_INSTALLATION.get(view.action or "")
    if view.installation is None or how is None:
        return None
    shown = view.repositories_removed if view.action == "removed" else view.repositories
    if view.action == "removed" and not shown:
        return None
    repos = tuple(_named(each, view.installation.id) for each in shown)
    return InstallationChanged(installation=view.installation.id, how=how, repos=repos)


def _named(each: _Added, installation: int) -> Repo:
    owner, _, name = each.full_name.partition("/")
    return Repo(each.id, owner, name, "", each.private, installation)


def repository_changed(data: object, _app: int | None) -> RepositoryChanged | None:
    """Read what happened to a repository as such, with the name that it has now."""
    view = Payload.model_validate(data)
    repo = view.repo()
    return None if repo is None else RepositoryChanged(repo=repo, how=cast(How, view.action))


def changes_settings(data: object) -> bool:
    """Tell whether a push may have changed the settings file; yes where the delivery does not name all that it changed."""
    view = _Commits.model_validate(data)
    if view.created or view.forced or len(view.commits) >= MOST_COMMITS:
        return True
    return any(config.PATH in (*c.added, *c.modified, *c.removed) for c in view.commits)
