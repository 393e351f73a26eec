"""Owns what follows when the settings file is changed: a check on the pull request, made anew for who asks, and an issue."""

from __future__ import annotations

from bot.core.events import (
    CheckAskedAgain,
    PullOffered,
    PullPushed,
    PullReopened,
    Pushed,
    SuiteAskedAgain,
)
from bot.core.ids import track_of_branch
from bot.core.repo_actions import CheckSettings, RepoAction, ReportSettings
from bot.core.settings_report import CHECK
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
    # The hourly look knows of no push.
    return (ReportSettings(repo=event.repo, unasked=event.before is None and event.after is None),)


def asked_again(event: CheckAskedAgain) -> bool:
    return event.check == CHECK


async def made_before(event: SuiteAskedAgain, reads: Reads) -> bool:
    """Tell whether the commit has this check; which ones were asked for again the forge does not say."""
    found = await reads.forge.checks(event.repo, event.sha)
    return any(check.ours and check.name == CHECK for check in found)


def check_again(event: CheckAskedAgain, _facts: None) -> tuple[RepoAction, ...]:
    # Of a fork's pull request the forge tells no number; the check is there, which is enough.
    return (CheckSettings(repo=event.repo, pull=None, sha=event.sha),)


def suite_again(event: SuiteAskedAgain, made: bool) -> tuple[RepoAction, ...]:
    return (CheckSettings(repo=event.repo, pull=None, sha=event.sha),) if made else ()


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
    RepoHandler(
        event=CheckAskedAgain,
        webhooks=("check_run.rerequested",),
        permissions={"contents": "read", "checks": "write"},
        concerns=asked_again,
        gather=gather,
        decide=check_again,
    ),
    RepoHandler(
        event=SuiteAskedAgain,
        webhooks=("check_suite.rerequested",),
        permissions={"contents": "read", "checks": "write"},
        gather=made_before,
        decide=suite_again,
    ),
)
