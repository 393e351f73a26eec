"""Owns the checks of branches: nothing stands in the way of the prefix, and rules let the bot push and people merge."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bot.core.config import RepoConfig
from bot.core.ids import TRACK_ID, backlog_branch
from bot.core.values import Repo
from bot.doctor.check import Finding, Level, RepoCheck, ok, worst
from bot.doctor.world import World
from bot.errors import NotFoundError
from bot.forges.github.inspection import BranchRule

SUBJECT = "Say goodbye too"  # of a commit as the bot makes them: what people called the task
Judged = tuple[Level, str]


def own_branches(prefix: str) -> tuple[str, ...]:
    """Give names as the bot's branches have them."""
    return (backlog_branch(prefix, "issue-1"), f"{prefix}/issue-1/T-1-a1")


def judge_prefix(prefix: str, branches: Sequence[str]) -> Finding:
    """Judge whether a branch stands in the way: git makes no branch `a/b` beside a branch `a`."""
    parts = prefix.split("/")
    above = {"/".join(parts[:count]) for count in range(1, len(parts) + 1)}
    blocking = sorted(name for name in branches if name in above)
    if blocking:
        text = f"A branch `{blocking[0]}` makes branches below `{prefix}/` impossible."
        return Finding("failed", text, "Rename that branch, or set another `branch_prefix`.")
    tracks = sorted(name for name in branches if TRACK_ID.fullmatch(name.removeprefix(f"{prefix}/")))
    if tracks:
        text = f"A branch `{tracks[0]}` makes the branches of that issue's track impossible."
        return Finding("failed", text, "Rename that branch.", tuple(tracks[1:]))
    return ok(f"Nothing is in the way of branches below `{prefix}/`.")


def judge_rules(
    own: Mapping[str, Sequence[BranchRule]], default: str, rules: Sequence[BranchRule], signs: bool
) -> Finding:
    """Judge the rules on branches of ours, by name, and on the default branch; `signs`: our commits can be signed."""
    found: dict[str, Judged] = {}
    for branch, on_it in own.items():
        for rule in on_it:
            judged = _on_ours(rule, branch, signs)
            if judged:
                found.setdefault(f"{rule.type} from {rule.ruleset} on `{branch}`", judged)
    for rule in rules:
        judged = _on_default(rule, signs)
        if judged:
            found.setdefault(f"{rule.type} from {rule.ruleset} on `{default}`", judged)
    if not found:
        return ok("No rule of a branch is in the bot's way.")
    details = tuple(f"{where}: {text}" for where, (_, text) in found.items())
    level = worst([each for each, _ in found.values()])
    if level == "ok":
        return ok("Rules apply, and none is in the bot's way.", *details)
    first = next(where for where, (each, _) in found.items() if each == level)
    step = f"Leave the bot's branches out of the ruleset, or let the App bypass it: first {first}."
    if first.endswith(f" on `{default}`"):
        step = f"Read what it means for merging, and change the ruleset if that is not meant: {first}."
    text = "Rules refuse what the bot does." if level == "failed" else "Rules restrict what the bot does."
    return Finding(level, text, step, details)


# What a rule on a branch of ours means for the bot; rules that are not listed here are named, as a warning.
_ON_OURS: Mapping[str, Judged] = {
    "creation": ("failed", "nobody may make this branch, so nothing can be pushed"),
    "update": ("failed", "nobody may push to this branch, so no fix and no rebase reaches a pull request"),
    "pull_request": ("failed", "changes need a pull request into this branch, so nothing can be pushed"),
    "required_status_checks": ("failed", "checks must pass before a push, so nothing can be pushed"),
    "required_deployments": ("failed", "deployments must succeed before a push, so nothing can be pushed"),
    "merge_queue": ("failed", "changes need a merge queue, so nothing can be pushed"),
    "non_fast_forward": ("warning", "force pushes are refused, so branches cannot be rebased"),
    "deletion": ("ok", "the bot keeps its branches"),
    "required_linear_history": (
        "warning",
        "merge commits are refused, and a branch that holds people's commits is put onto a newer base by one: its rebase and "
        "its resolved conflicts cannot be pushed (the bot's own commits are squashed, and pass)",
    ),
}
_ON_DEFAULT: Mapping[str, Judged] = {
    "update": ("warning", "only those who bypass the rule can merge the bot's pull requests"),
    "merge_queue": ("ok", "merging goes through the queue; the bot follows what was merged"),
    "required_linear_history": (
        "ok",
        "people merge by squash, or by rebase where nobody but the bot pushed to the branch; the bot follows either",
    ),
    "pull_request": ("ok", "the bot works by pull requests only"),
    "required_status_checks": ("ok", "the bot does not merge"),
}
_SIGNED: Judged = (
    "ok",
    "signatures are demanded: the bot's commits are made through the API, which signs them",
)
_UNSIGNED: Judged = ("failed", "signatures are demanded, and commits made with a person's token have none")


def _on_ours(rule: BranchRule, branch: str, signs: bool) -> Judged | None:
    if rule.type == "required_signatures":
        return _SIGNED if signs else _UNSIGNED
    if rule.type.endswith("_pattern"):
        return _pattern(rule, branch)
    return _ON_OURS.get(rule.type, ("warning", "what it means for the bot's pushes is not known here"))


def _on_default(rule: BranchRule, signs: bool) -> Judged | None:
    if rule.type == "required_signatures":
        return (
            _SIGNED
            if signs
            else ("warning", "signatures are demanded: merge the bot's pull requests by squash")
        )
    if rule.type.endswith("_pattern") and rule.type != "branch_name_pattern":
        return _pattern(rule, "")
    return _ON_DEFAULT.get(rule.type)


def _pattern(rule: BranchRule, branch: str) -> Judged:
    """Judge a rule on texts by a text of ours where it is known."""
    shown = f"{rule.parameters.get('operator', '')} `{rule.parameters.get('pattern', '')}`"
    shown = f"not {shown}" if rule.parameters.get("negate") else shown
    ours = {"branch_name_pattern": branch, "commit_message_pattern": SUBJECT}.get(rule.type)
    if ours is None:
        return "warning", f"addresses must be {shown}; compare them with the bot's"
    fits = holds(rule.parameters, ours)
    if fits is None:
        return "warning", f"a rule on texts that cannot be judged here: {shown}"
    if rule.type == "commit_message_pattern":
        text = f"commit messages must be {shown}; the bot's are like `{ours}`, in the form that is usual in the repository"
        return ("ok" if fits else "warning"), text
    return ("ok" if fits else "failed"), f"branch names must be {shown}"


def holds(parameters: Mapping[str, Any], text: str) -> bool | None:
    """Hold a text against a rule on texts; None where the rule cannot be read."""
    pattern, operator = str(parameters.get("pattern", "")), str(parameters.get("operator", ""))
    tests: Mapping[str, Callable[[], bool]] = {
        "starts_with": lambda: text.startswith(pattern),
        "ends_with": lambda: text.endswith(pattern),
        "contains": lambda: pattern in text,
        "regex": lambda: re.search(pattern, text) is not None,
    }
    if operator not in tests:
        return None
    try:
        return tests[operator]() != bool(parameters.get("negate"))
    except re.error:  # GitHub's expressions know what Python's do not
        return None


async def _prefix(world: World, repo: Repo) -> Finding:
    config, _ = await world.config(repo)
    forge = await world.reached()
    parts = config.branch_prefix.split("/")
    above = ["/".join(parts[:count]) for count in range(1, len(parts))]
    found = await forge.branches(repo, config.branch_prefix)
    found += [name for name in above if await forge.branch_sha(repo, name) is not None]
    return judge_prefix(config.branch_prefix, found)


async def _rules(world: World, repo: Repo) -> Finding:
    config: RepoConfig = (await world.config(repo))[0]
    forge = await world.reached()
    try:
        own = {name: await forge.rules(repo, name) for name in own_branches(config.branch_prefix)}
        rules = await forge.rules(repo, repo.default_branch)
    except NotFoundError:
        step = "Look at Settings > Rules in the repository."
        return Finding("unknown", "This forge does not tell which rules apply to a branch.", step)
    return judge_rules(own, repo.default_branch, rules, signs=forge.capabilities.signed_commits)


CHECKS = (
    RepoCheck(name="repository.branches", asks="Is no branch in the way of the prefix?", look=_prefix),
    RepoCheck(name="repository.rules", asks="Do rules let the bot push, and people merge?", look=_rules),
)
