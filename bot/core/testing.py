"""Owns which test commands hold: for the whole repository, and for the paths of one task."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from bot.core.config import NO_TEST, RepoConfig, TestCommand
from bot.core.runners import TestResult, detect_test_command
from bot.core.scopes import overlaps


def commands_for(
    config: RepoConfig, files: Collection[str], scope: Sequence[str] | None = None
) -> tuple[str, ...]:
    """Give the commands for a scope (None: the whole repository): configured, else detected, else none."""
    if config.test == NO_TEST:
        return ()
    if isinstance(config.test, str):
        return (config.test,)
    if config.test is None:
        found = detect_test_command(files)
        return (found,) if found else ()
    return tuple(
        each.command
        for each in config.test
        if scope is None or not each.paths or overlaps(each.paths, tuple(scope), files)
    )


def setup_for(config: RepoConfig, command: str) -> str | None:
    """Give what has to be run before a test command: its own set-up, else the repository's."""
    own = next((each.setup for each in _listed(config) if each.command == command), None)
    return own or config.setup


def canary_for(config: RepoConfig, command: str) -> str | None:
    """Give the command that must fail if this test command is to be trusted; None where none was configured."""
    return next((each.canary for each in _listed(config) if each.command == command), None)


def _listed(config: RepoConfig) -> tuple[TestCommand, ...]:
    return config.test if isinstance(config.test, tuple) else ()


def summary(result: TestResult) -> str:
    """Say a result in a few words."""
    if result.state == "green":
        return "passed"  # no count: it depends on what siblings had merged when this run began
    failed = f", {len(result.failed)} failed" if result.failed else ""
    return result.state.replace("_", " ") + failed
