"""Owns what follows when the bot is installed on a repository: settings are offered, and nothing else before a label."""

from __future__ import annotations

from bot.core.events import RepositoryAdded
from bot.core.repo_actions import ProposeSettings, RepoAction
from bot.handler import Reads, RepoHandler


async def gather(_event: RepositoryAdded, _reads: Reads) -> None:
    """Read nothing: the job looks at the repository as it is when its turn comes."""


def decide(event: RepositoryAdded, _facts: None) -> tuple[RepoAction, ...]:
    return (ProposeSettings(repo=event.repo, place=event.place),)


REPO_HANDLER = RepoHandler(
    event=RepositoryAdded,
    webhooks=("installation.created", "installation_repositories.added"),
    permissions={"contents": "write", "pull_requests": "write"},
    gather=gather,
    decide=decide,
)
