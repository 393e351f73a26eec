"""Which sandbox is taken: found by running canaries, refused with the fix where there is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot import living
from bot.errors import SandboxError
from bot.ports import SandboxPolicy
from bot.sandbox import BACKENDS, BwrapSandbox, NoSandbox, choose, probe
from bot.sandbox.probe import failures


async def test_a_back_end_that_isolates_nothing_fails_its_canaries() -> None:
    found = set(await failures(NoSandbox(allowed=True)))
    assert {"reads-host", "unbounded-processes"} <= found


async def test_this_machine_has_a_level_that_was_proved(sandbox: BwrapSandbox) -> None:
    assert await failures(sandbox) == []
    assert (await choose("medium")).level == "medium"


async def test_without_any_back_end_the_error_names_cause_and_fix(tmp_path: Path) -> None:
    BACKENDS["bwrap"], kept = (lambda: BwrapSandbox(program=str(tmp_path / "missing"))), BACKENDS["bwrap"]
    try:
        found = await probe()
        assert found.level == "none"
        with pytest.raises(SandboxError, match="install bubblewrap") as caught:
            await choose("medium")
    finally:
        BACKENDS["bwrap"] = kept
    assert "missing" in str(caught.value)
    assert "GITWRIGHT_SANDBOX=none" in str(caught.value)


async def test_a_level_that_is_not_reached_or_unknown_is_refused(sandbox: BwrapSandbox) -> None:
    with pytest.raises(SandboxError, match="strong"):
        await choose("strong")
    with pytest.raises(SandboxError, match="no sandbox level"):
        await choose("weak")


async def test_no_sandbox_is_refused_unless_it_was_asked_for(policy: SandboxPolicy) -> None:
    with pytest.raises(SandboxError, match="GITWRIGHT_SANDBOX=none"):
        NoSandbox().open(policy)


async def test_the_opt_out_runs_commands_and_leaves_nothing(policy: SandboxPolicy) -> None:
    sandbox = await choose("none")
    assert sandbox.level == "none"
    async with sandbox.open(policy) as box:
        done = await box.run(["sh", "-c", "pwd; echo $GIVEN; setsid sleep 61 >/dev/null 2>&1 &"], timeout=30)
        assert (done.code, done.output) == (0, f"{policy.work}\nyes\n")
        assert living.working_in(policy.work) == []
        assert await box.close() == []
