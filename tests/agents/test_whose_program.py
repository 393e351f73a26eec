"""Whose program an agent is: the operator's, whatever programs the repository's dependencies bring."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bot.agents import inside
from bot.ports import RunError, WorkOrder
from tests.agents.stage import FAKE, Stage, acp_coder

_PLANTED = '#!/bin/sh\ntouch "$HOME/planted-$(basename "$0")"\nexit 3\n'


def program(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


@pytest.fixture
def operators(stage: Stage) -> Stage:
    """A machine with an agent of the operator's, and a repository whose dependencies bring one of that name."""
    own = stage.folder / "tools"
    # As npm's programs begin: with an interpreter that is looked for on the PATH.
    program(own / "some-agent", f"#!/usr/bin/env python3\n{FAKE.read_text()}")
    stage.folder.chmod(0o755)
    stage.path = f"{own}:{stage.path}"
    for name in ("some-agent", "python3", "sh", "mkdir", "cat"):
        program(stage.worktree / "node_modules" / ".bin" / name, _PLANTED)
    return stage


def order_with(stage: Stage, order: WorkOrder, name: str) -> WorkOrder:
    inside = stage.worktree if stage.sandbox.level == "none" else Path("/workspace")
    path = f"{inside}/node_modules/.bin:{order.policy.path}"
    return replace(order, policy=replace(order.policy, env={"PATH": path}), command=(name, "where"))


async def test_dependencies_do_not_decide_which_agent_runs(operators: Stage) -> None:
    async with operators.session() as order:
        await acp_coder().work(order_with(operators, order, "some-agent"), operators.sandbox)
        assert [each.name for each in order.policy.home.glob("planted-*")] == []
    # Its own commands do find what the repository brings.
    seen = (operators.worktree / "path.txt").read_text()
    assert "node_modules/.bin:" in seen.partition("/tools")[0]


async def test_a_program_that_only_the_repository_has_is_no_agent(operators: Stage) -> None:
    program(operators.worktree / "node_modules" / ".bin" / "other-agent", _PLANTED)
    async with operators.session() as order:
        with pytest.raises(RunError, match="other-agent cannot be started"):
            await acp_coder().work(order_with(operators, order, "other-agent"), operators.sandbox)
        assert [each.name for each in order.policy.home.glob("planted-*")] == []


@pytest.mark.parametrize(
    ("first", "become"),
    [
        ("#!/usr/bin/env sh", ["/bin/sh", "PROGRAM", "--acp"]),
        ("#! /usr/bin/env -S sh -e -u", ["/bin/sh", "-e", "-u", "PROGRAM", "--acp"]),
        ("#!/usr/bin/env -S WARNINGS=0 sh", ["PROGRAM", "--acp"]),  # that is for `env` to do
        ("#!/usr/bin/env -i sh", ["PROGRAM", "--acp"]),
        ("#!/bin/sh -e", ["PROGRAM", "--acp"]),
        ("no script", ["PROGRAM", "--acp"]),
    ],
)
def test_interpreters_are_the_operators_too(tmp_path: Path, first: str, become: list[str]) -> None:
    own = tmp_path / "own"
    program(own, f"{first}\n")
    found = inside.whole(["own", "--acp"], f"{tmp_path}:/bin")
    assert [str(own) if each == "PROGRAM" else each for each in become] == found
