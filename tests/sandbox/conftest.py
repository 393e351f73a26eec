"""Owns the fixtures of the sandbox tests: a box that works here, and folders for it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from bot.ports import Completed, SandboxPolicy
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

    async def __call__(self, script: str, *args: str, timeout: float = 30, **changes: object) -> Completed:
        async with self.sandbox.open(replace(self.policy, **changes)) as box:  # type: ignore[arg-type]
            return await box.run(["sh", "-c", script, "sh", *args], timeout=timeout)


@pytest.fixture
def shell(sandbox: BwrapSandbox, policy: SandboxPolicy) -> Shell:
    return Shell(sandbox, policy)
