"""A box that is given back is proved empty; what lives on is said, whatever else went wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from bot.errors import SandboxError
from bot.ports import SandboxPolicy
from bot.sandbox.lend import lend
from bot.sandbox.none import PlainBox


class Haunted(PlainBox):
    """A box with a process that nobody can kill."""

    async def close(self) -> list[int]:
        return [*await super().close(), 7]


def haunted(folder: Path) -> Haunted:
    return Haunted(SandboxPolicy(work=folder, home=folder))


async def test_what_lives_on_after_a_good_end_is_an_error(tmp_path: Path) -> None:
    lent = lend(lambda: haunted(tmp_path))
    await lent.__aenter__()
    with pytest.raises(SandboxError, match="still live: 7"):
        await lent.__aexit__(None, None, None)


async def test_what_lives_on_after_a_bad_end_is_logged_beside_the_reason(tmp_path: Path) -> None:
    with capture_logs() as said, pytest.raises(ZeroDivisionError):
        async with lend(lambda: haunted(tmp_path)):
            raise ZeroDivisionError
    assert [(line["event"], line["pids"]) for line in said] == [("sandbox_left_behind", [7])]
