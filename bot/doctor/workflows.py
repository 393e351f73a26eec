"""Owns the checks of a repository's CI: there is one, and what it hands to the branches that the bot pushes."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence

from bot.core import policy
from bot.core.values import Repo
from bot.doctor import workflow_file
from bot.doctor.branches import own_branches
from bot.doctor.check import Finding, RepoCheck, ok
from bot.doctor.workflow_file import NoWorkflowError
from bot.doctor.world import World

WORKFLOW = re.compile(r"\.github/workflows/[^/]+\.ya?ml")
MOST = 50  # workflows that are read


def judge_secrets(files: Mapping[str, str], prefix: str, default: str, private: bool) -> Finding:
    """Judge what workflows, by path, hand to pushed branches: what agents wrote runs there before anybody looks."""
    found: list[str] = []
    unread: list[str] = []
    for path, text in sorted(files.items()):
        try:
            found += [
                f"{path}:{each.line}: {each.what}, on {each.trigger}"
                for each in workflow_file.exposures(text, own_branches(prefix), default)
            ]
        except NoWorkflowError as error:
            unread.append(f"{path}: cannot be read here: {error}")
    if found:
        step = (
            f"Keep `{prefix}/**` out of these workflows (`branches-ignore`) and secrets out of pull requests, "
            "or set `push: ask` in `.github/gitwright.yml`."
        )
        who = "" if private else " The repository is public: `push: auto` asks a person before each push."
        text = f"Workflows hand secrets or rights to branches that the bot pushes.{who}"
        return Finding("warning", text, step, (*found, *unread))
    if unread:
        step = f"Look yourself whether it hands secrets to `{prefix}/**`: {unread[0].partition(':')[0]}."
        return Finding("unknown", "A workflow cannot be read here.", step, tuple(unread))
    return ok("No workflow hands secrets to branches that the bot pushes.")


def judge_ci(
    files: Mapping[str, str], others: Sequence[str], checks: Sequence[str], prefix: str, default: str
) -> Finding:
    """Judge whether a pull request of the bot would be checked by anything; that there is none is no fault."""
    running = []
    of_tasks = own_branches(prefix)[1:]
    for path, text in sorted(files.items()):
        try:
            if workflow_file.triggers(text, of_tasks, default):
                running.append(path)
        except NoWorkflowError:
            running.append(path)
    named = [*running, *others]
    if named:
        return ok(f"Pull requests are checked by {', '.join(named)}.")
    if checks:
        return ok(f"The default branch has checks: {', '.join(checks[:5])}.")
    return ok("There is no CI: pull requests are verified by the bot's own test run alone, which they say.")


async def _files(world: World, repo: Repo) -> dict[str, str]:
    listing = await world.listing(repo)
    paths = [path for path in listing.paths if WORKFLOW.fullmatch(path)][:MOST]
    texts = await asyncio.gather(*(world.file(repo, path) for path in paths))
    return {path: text for path, text in zip(paths, texts, strict=True) if text is not None}


async def _secrets(world: World, repo: Repo) -> Finding:
    config, _ = await world.config(repo)
    files = await _files(world, repo)
    return judge_secrets(files, config.branch_prefix, repo.default_branch, repo.private)


async def _ci(world: World, repo: Repo) -> Finding:
    config, _ = await world.config(repo)
    files = await _files(world, repo)
    others = policy.other_ci((await world.listing(repo)).paths)
    forge = await world.reached()
    head = None if files or others else await forge.branch_sha(repo, repo.default_branch)
    checks = sorted({each.name for each in await forge.checks(repo, head) if not each.ours}) if head else []
    return judge_ci(files, others, checks, config.branch_prefix, repo.default_branch)


CHECKS = (
    RepoCheck(name="repository.ci", asks="Are pull requests checked by any CI?", look=_ci),
    RepoCheck(
        name="repository.secrets",
        asks="Do workflows hand secrets to branches that the bot pushes?",
        look=_secrets,
    ),
)
