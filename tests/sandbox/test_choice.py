"""Which sandbox is taken: found by running canaries, refused with the fix where there is none."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bot import living
from bot.errors import SandboxError
from bot.ports import SandboxPolicy
from bot.sandbox import BACKENDS, BwrapSandbox, NoSandbox, choose, launch, probe
from bot.sandbox.cgroups import Groups
from bot.sandbox.probe import failures

_WALLS = {
    "writes-host",
    "reads-host",
    "reads-environments",
    "reads-arguments",
    "sees-processes",
    "unbounded-processes",
    "gains-privileges",
}
_WALLS_OF_ROOT = {"is-root", "has-capabilities", "writes-system", "writes-root", "sockets"}


async def test_a_back_end_that_isolates_nothing_fails_its_canaries() -> None:
    found = set(await failures(NoSandbox(allowed=True)))
    assert _WALLS | (_WALLS_OF_ROOT if os.geteuid() == 0 else set()) <= found


async def test_this_machine_has_a_level_that_was_proved(sandbox: BwrapSandbox) -> None:
    assert await failures(sandbox) == []
    assert (await choose("medium")).level == sandbox.level


class WithoutGroups(BwrapSandbox):
    """A machine on which limits of whole boxes are only claimed."""

    def bounded(self, groups: Groups) -> BwrapSandbox:
        return BwrapSandbox("strong", self.program)


@contextmanager
def standing_in(make: Callable[[], BwrapSandbox]) -> Iterator[None]:
    """Have another back end in the table."""
    BACKENDS["bwrap"], kept = make, BACKENDS["bwrap"]
    try:
        yield
    finally:
        BACKENDS["bwrap"] = kept


@pytest.mark.usefixtures("sandbox")
async def test_a_level_that_is_only_claimed_is_not_reached() -> None:
    with standing_in(WithoutGroups):
        found = await probe()
        assert found.level == "medium"
        assert [each for each in found.problems if "unbounded-memory" in each or "control groups" in each]
        with pytest.raises(SandboxError, match="strong"):
            await choose("strong")


def test_a_bot_that_stays_root_starts_no_box() -> None:
    for uid in (None, 0):
        with pytest.raises(SandboxError, match="root"):
            launch._drop(uid, root=True)
    assert launch._drop(None, root=False) == []
    assert "7" in launch._drop(7, root=True)


async def test_without_any_back_end_the_error_names_cause_and_fix(tmp_path: Path) -> None:
    with standing_in(lambda: BwrapSandbox(program=str(tmp_path / "missing"))):
        found = await probe()
        assert found.level == "none"
        with pytest.raises(SandboxError, match="Missing: bubblewrap") as caught:
            await choose("medium")
    assert "missing" in str(caught.value)
    assert "GITWRIGHT_SANDBOX=none" in str(caught.value)


async def test_an_unknown_level_is_refused() -> None:
    with pytest.raises(SandboxError, match="no sandbox level"):
        await choose("weak")


async def test_no_sandbox_is_refused_unless_it_was_asked_for(policy: SandboxPolicy) -> None:
    with pytest.raises(SandboxError, match="GITWRIGHT_SANDBOX=none"):
        NoSandbox().open(policy)


async def test_the_opt_out_runs_commands_and_leaves_nothing(policy: SandboxPolicy) -> None:
    sandbox = await choose("none")
    assert sandbox.level == "none"
    async with sandbox.open(policy) as box:
        done = await box.run(["sh", "-c", "pwd; echo $GIVEN; setsid sleep 61 >/dev/null 2>&1 &"], timeout=60)
        assert (done.code, done.output) == (0, f"{policy.work}\nyes\n")
        assert living.working_in(policy.work) == []
        assert await box.close() == []
