"""Owns what deliveries say of checks: suites, check runs and their buttons, commit statuses, runs of workflows."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from bot.core.checks import PASSED
from bot.core.events import (
    ButtonPressed,
    CheckAskedAgain,
    ChecksCompleted,
    ForgeEvent,
    StatusSet,
    SuiteAskedAgain,
    WorkflowEnded,
)
from bot.forges.github.inbound_views import Id, Payload
from bot.forges.github.views import OWN_CHECKS, View


class _Pull(View):
    number: int


class _Suite(View):
    head_sha: str
    head_branch: str | None = None
    conclusion: str | None = None
    app: Id | None = None
    pull_requests: tuple[_Pull, ...] = ()


class _OfRun(View):
    head_branch: str | None = None


class _Run(View):
    name: str
    head_sha: str
    app: Id | None = None
    check_suite: _OfRun | None = None
    pull_requests: tuple[_Pull, ...] = ()


class _Pressed(View):
    identifier: str = ""


class _SuiteHappened(Payload):
    check_suite: _Suite


class _RunHappened(Payload):
    check_run: _Run
    requested_action: _Pressed | None = None


class _Branch(View):
    name: str


class _StatusHappened(Payload):
    sha: str
    state: str
    context: str = ""
    branches: tuple[_Branch, ...] = ()


class _Workflow(View):
    head_sha: str
    head_branch: str | None = None
    conclusion: str | None = None


class _WorkflowHappened(Payload):
    workflow_run: _Workflow


def _of_us(made_by: Id | None, app: int | None) -> bool:
    return app is not None and made_by is not None and made_by.id == app


def _suite_completed(data: object, app: int | None) -> ForgeEvent | None:
    view = _SuiteHappened.model_validate(data)
    repo, suite = view.repo(), view.check_suite
    if repo is None:
        return None
    ours = _of_us(suite.app, app)
    return ChecksCompleted(
        repo=repo,
        sha=suite.head_sha,
        branch=suite.head_branch,
        ours=ours,
        passed=suite.conclusion in PASSED,
    )


def _suite_asked_again(data: object, app: int | None) -> ForgeEvent | None:
    view = _SuiteHappened.model_validate(data)
    repo, suite = view.repo(), view.check_suite
    if repo is None or (app is not None and not _of_us(suite.app, app)):
        return None
    return SuiteAskedAgain(
        repo=repo,
        sha=suite.head_sha,
        branch=suite.head_branch,
        pulls=tuple(each.number for each in suite.pull_requests),
        actor=view.actor(),
    )


def _run_asked(data: object, app: int | None) -> ForgeEvent | None:
    """Read what somebody asked of a check run of ours; GitHub tells only the App that made it."""
    view = _RunHappened.model_validate(data)
    repo, run = view.repo(), view.check_run
    if repo is None or not run.name.startswith(OWN_CHECKS) or (app is not None and not _of_us(run.app, app)):
        return None
    branch = run.check_suite.head_branch if run.check_suite else None
    pulls = tuple(each.number for each in run.pull_requests)
    if view.action == "requested_action":
        return ButtonPressed(
            repo=repo,
            check=run.name,
            sha=run.head_sha,
            branch=branch,
            pulls=pulls,
            button=view.requested_action.identifier if view.requested_action else "",
            actor=view.actor(),
        )
    return CheckAskedAgain(
        repo=repo, check=run.name, sha=run.head_sha, branch=branch, pulls=pulls, actor=view.actor()
    )


def _status_set(data: object, _app: int | None) -> ForgeEvent | None:
    """Read the end of a commit status; one of ours, or one that is pending, says nothing that is not known."""
    view = _StatusHappened.model_validate(data)
    repo = view.repo()
    if repo is None or view.state == "pending" or view.context.startswith(OWN_CHECKS):
        return None
    branches = tuple(each.name for each in view.branches)
    return StatusSet(repo=repo, sha=view.sha, branches=branches, passed=view.state == "success")


def _workflow_ended(data: object, _app: int | None) -> ForgeEvent | None:
    view = _WorkflowHappened.model_validate(data)
    repo, run = view.repo(), view.workflow_run
    if repo is None:
        return None
    passed = run.conclusion in PASSED
    return WorkflowEnded(repo=repo, sha=run.head_sha, branch=run.head_branch, passed=passed)


READERS: Mapping[tuple[str, str | None], Callable[[object, int | None], ForgeEvent | None]] = {
    ("check_suite", "completed"): _suite_completed,
    ("check_suite", "rerequested"): _suite_asked_again,
    ("check_run", "requested_action"): _run_asked,
    ("check_run", "rerequested"): _run_asked,
    ("status", None): _status_set,
    ("workflow_run", "completed"): _workflow_ended,
}
