"""Owns what the forge tells of whole repositories: another name, out of reach for a while, within reach again, gone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from bot.core.values import Repo

Away = Literal["archived", "suspended", "removed"]  # why nothing can be written there, or not even read
How = Literal[
    "renamed", "transferred", "archived", "unarchived", "deleted", "suspended", "unsuspended", "removed"
]
# What ends which absence.
ENDS: dict[str, Away] = {"unarchived": "archived", "unsuspended": "suspended", "added": "removed"}


@dataclass(frozen=True, slots=True, kw_only=True)
class RepositoryChanged:
    """Something happened to a repository as such; its name in here is the one that it has now."""

    repo: Repo
    how: How
    kind: Literal["repository_changed"] = "repository_changed"


@dataclass(frozen=True, slots=True, kw_only=True)
class InstallationChanged:
    """One delivery about an installation; without repositories it is about all that we know there."""

    installation: int
    how: How | Literal["permissions"]
    repos: tuple[Repo, ...] = ()

    def each(self, known: Sequence[Repo]) -> tuple[RepositoryChanged, ...]:
        """Tell each repository of it; `known` are those that tracks of any installation are in."""
        if self.how == "permissions":
            return ()  # what may be done is asked anew where it is needed
        there = self.repos or [repo for repo in known if repo.installation == self.installation]
        return tuple(
            RepositoryChanged(repo=repo, how=self.how) for repo in {repo.id: repo for repo in there}.values()
        )
