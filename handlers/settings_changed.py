"""Owns what follows when somebody changes the settings file: a check on the pull request, an issue for the default branch."""

from __future__ import annotations

from bot.core.events import PullOffered, PullPushed, PullReopened, Pushed
from bot.core.ids import track_of_branch
from bot.core.repo_actions import CheckSettings, RepoAction, ReportSettings
from bot.handler import Reads, RepoHandler

Shown = PullOffered | PullPushed | PullReopened


async def gather(_event: object, _reads: Reads) -> None:
    """Read nothing: whether the file is changed, and what it says, is read over the API by the job."""


def may_change(event: Shown) -> bool:
    """Leave out what the bot itself pushed for a track: no agent may change the settings, and every look is a call."""
    return not (event.actor.is_bot and track_of_branch(event.head_branch))


def check(event: Shown, _facts: None) -> tuple[RepoAction, ...]:
    return (CheckSettings(repo=event.repo, pull=event.number, sha=event.head_sha),)


def on_default(event: Pushed) -> bool:
    return event.settings and event.branch == event.repo.default_branch


def report(event: Pushed, _facts: None) -> tuple[RepoAction, ...]:
    return (ReportSettings(repo=event.repo),)


def _shown(event: type[Shown], action: str) -> RepoHandler[Shown, None]:
    return RepoHandler(
        event=event,
        webhooks=(f"pull_request.{action}",),
        permissions={"contents": "read", "pull_requests": "read", "checks": "write"},
        concerns=may_change,
        gather=gather,
        decide=check,
    )


REPO_HANDLERS = (
    _shown(PullOffered, "opened"),
    _shown(PullPushed, "synchronize"),
    _shown(PullReopened, "reopened"),
    RepoHandler(
        event=Pushed,
        webhooks=("push",),
        permissions={"contents": "read", "issues": "write"},
        concerns=on_default,
        gather=gather,
        decide=report,
    ),
)
