"""Owns the fixtures of the sandbox tests: a box that works here, and folders for it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from bot.ports import Box, Completed, SandboxPolicy
from bot.sandbox import BwrapSandbox
from tests.support.walls import walls


@pytest.fixture
async def sandbox() -> BwrapSandbox:
    return await walls()


@pytest.fixture
def policy(tmp_path: Path) -> SandboxPolicy:
    for name in ("work", "home"):
        (tmp_path / name).mkdir()
    return SandboxPolicy(work=tmp_path / "work", home=tmp_path / "home", env={"GIVEN": "yes"})


@dataclass(frozen=True)
class Shell:
    """Runs one shell script, each in a box of its own."""

    sandbox: BwrapSandbox
    policy: SandboxPolicy

    async def __call__(self, script: str, *args: str, timeout: float = 60, **changes: object) -> Completed:
        async with self.sandbox.open(replace(self.policy, **changes)) as box:  # type: ignore[arg-type]
            return await box.run(["sh", "-c", script, "sh", *args], timeout=timeout)


async def timed_out(box: Box, script: str, says: str, seconds: float) -> Completed:
    """Run into a time-out after the script said this: with more time where it did not come so far on a busy machine."""
    while True:
        done = await box.run(["sh", "-c", script], timeout=seconds)
        if says in done.output or seconds > 30:
            return done
        seconds *= 4


@pytest.fixture
def shell(sandbox: BwrapSandbox, policy: SandboxPolicy) -> Shell:
    return Shell(sandbox, policy)
