"""Owns the checks of a repository itself: open for work, its settings, its labels, its tests, who owns `tasks/`."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from bot.core import codeowners, messages
from bot.core import config as settings_file
from bot.core.config import NO_TEST, ConfigProblem, RepoConfig
from bot.core.health import detect_test_command
from bot.core.values import Repo
from bot.doctor.check import Finding, RepoCheck, ok
from bot.doctor.world import World
from bot.forges.github.inspection import RepoFacts
from bot.wiring import overridden

TRIGGER = "Have agents plan this issue"  # the description of the label that people set


def judge_state(facts: RepoFacts, empty: bool) -> Finding:
    """Judge whether work is possible in a repository at all."""
    repo = facts.repo
    if repo.archived:
        return Finding("failed", "The repository is archived, so it is read-only.", "Unarchive it.")
    if not facts.has_issues:
        step = "Switch issues on: Settings > General > Features."
        return Finding("failed", "Issues are switched off, and everything begins with one.", step)
    if empty:
        return Finding(
            "failed", "The repository is empty.", f"Push a first commit to `{repo.default_branch}`."
        )
    if repo.fork:
        text = "The repository is a fork: its work goes to its own default branch, never to what it was forked from."
        return Finding("warning", text, "Nothing, if that is meant; else install the bot on the original.")
    return ok(f"It is open for work; the default branch is `{repo.default_branch}`.")


def judge_settings(text: str | None, problems: Sequence[ConfigProblem]) -> Finding:
    """Judge `.github/gitwright.yml`: each mistake is named with its line."""
    if text is None:
        return ok(f"There is no `{settings_file.PATH}`: the defaults hold.")
    if problems:
        count = messages.count(len(problems), "mistake")
        said = f"`{settings_file.PATH}` has {count}, so none of it counts and the defaults hold."
        details = tuple(map(str, problems))
        return Finding("failed", said, f"Mend it on the default branch, first {problems[0]}", details)
    return ok(f"`{settings_file.PATH}` is valid.")


def wanted_labels(config: RepoConfig) -> dict[str, tuple[str, str]]:
    """Give color and description of each label that the bot and its people use, by name."""
    return {config.labels.trigger: (messages.LABEL_COLOR, TRIGGER), **messages.labels(config)}


def judge_labels(config: RepoConfig, there: Collection[str]) -> Finding:
    """Judge whether people find the label that begins everything; names are compared as GitHub does, in any case."""
    known = {name.lower() for name in there}
    missing = [name for name in wanted_labels(config) if name.lower() not in known]
    if not missing:
        return ok(f"All {len(wanted_labels(config))} labels are there.")
    text = f"Labels are missing: {', '.join(f'`{name}`' for name in missing)}."
    return Finding("warning", text, "Run `gitwright doctor --fix`, which makes them.")


def judge_tests(config: RepoConfig, listed: Collection[str], whole: bool) -> Finding:
    """Judge whether the bot knows how to verify work."""
    where = "Set `test` in `.github/gitwright.yml`."
    if config.test == NO_TEST:
        return Finding("warning", "Tests are switched off (`test: none`): work is not verified.", where)
    if isinstance(config.test, str):
        return ok(f"Tests: `{config.test}`.")
    if config.test:
        return ok(f"Tests: {len(config.test)} commands, by path.")
    command = detect_test_command(listed)
    if command is None:
        doubt = "" if whole else " among those files that the forge lists"
        return Finding("warning", f"No test command is found{doubt}: planning works, work will wait.", where)
    return ok(f"Tests are found: `{command}`.")


async def _state(world: World, repo: Repo) -> Finding:
    facts = await world.facts(repo)
    return judge_state(facts, empty=not (await world.listing(repo)).paths)


async def _settings(world: World, repo: Repo) -> Finding:
    _, problems = await world.config(repo)
    return judge_settings(await world.file(repo, settings_file.PATH), problems)


async def _labels(world: World, repo: Repo) -> Finding:
    config, _ = await world.config(repo)
    return judge_labels(config, await (await world.reached()).labels(repo))


async def _make_labels(world: World, repo: Repo) -> tuple[str, ...]:
    """makes the labels that are missing, with color and description"""
    config, problems = await world.config(repo)
    if problems:  # the names in it might be meant, and do not count
        return ()
    forge = await world.reached()
    known = {name.lower() for name in await forge.labels(repo)}
    done = []
    for name, (color, description) in wanted_labels(config).items():
        if name.lower() not in known:
            await forge.ensure_label(repo, name, color, description)
            done.append(f"made the label `{name}`")
    return tuple(done)


async def _tests(world: World, repo: Repo) -> Finding:
    config, _ = await world.config(repo)
    listing = await world.listing(repo)
    return judge_tests(overridden(config, world.configured()), listing.paths, listing.whole)


async def _owners(world: World, repo: Repo) -> Finding:
    config, _ = await world.config(repo)
    listed = (await world.listing(repo)).paths
    path = codeowners.place(listed)
    text = await world.file(repo, path) if path else None
    rules = codeowners.parse(text or "")
    owners = ", ".join(codeowners.owners(rules, f"{config.tasks_dir}/issue-1/BACKLOG.yaml"))
    if owners:
        return ok(
            f"Backlogs below `{config.tasks_dir}/` are owned by {owners}, who will be asked to review them."
        )
    return ok(f"Nobody owns `{config.tasks_dir}/` by CODEOWNERS.")


CHECKS = (
    RepoCheck(
        name="repository.state", asks="Is it open for work: issues on, not archived, not empty?", look=_state
    ),
    RepoCheck(name="repository.settings", asks="Is `.github/gitwright.yml` valid?", look=_settings),
    RepoCheck(name="repository.labels", asks="Are the labels there?", look=_labels, mend=_make_labels),
    RepoCheck(name="repository.tests", asks="Is it known how to run its tests?", look=_tests),
    RepoCheck(name="repository.owners", asks="Who is asked to review backlogs (CODEOWNERS)?", look=_owners),
)
