"""The same promises where the bot is an ordinary user: its tests run once more under such a user id."""

from __future__ import annotations

import pytest

from bot.sandbox import BwrapSandbox
from tests.support.ordinary import only_root, run_as_ordinary_user

_FILES = (
    "tests/sandbox/test_bwrap.py",
    "tests/sandbox/test_dialog.py",
    "tests/sandbox/test_hidden.py",
    "tests/agents/test_contract.py",
    "tests/agents/test_acp.py",
    "tests/sandbox/test_sudden_death.py",
    "tests/git",
)
_WHICH = (
    "written or seen or way_out or interpreter or time_out or works_for_the_agent or in_its_box or proves or outlives "
    "or lives_on or is_done_and_told or reached_out or found_inside"
)


@only_root
@pytest.mark.timeout(600)
@pytest.mark.parametrize("which", ["not long", pytest.param("long", marks=pytest.mark.long)])
def test_boxes_and_worktrees_hold_for_an_ordinary_user(sandbox: BwrapSandbox, which: str) -> None:
    run_as_ordinary_user([*_FILES, "-m", which, "-k", _WHICH], timeout=580)


@only_root
@pytest.mark.long
@pytest.mark.timeout(600)
def test_kills_filter_and_outlets_hold_for_an_ordinary_user(sandbox: BwrapSandbox) -> None:
    files = ("test_killing.py", "test_seccomp.py", "test_outlets.py", "test_channel.py")
    run_as_ordinary_user([f"tests/sandbox/{name}" for name in files], timeout=580)
