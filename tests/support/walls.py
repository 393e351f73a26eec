"""Owns the sandbox with walls that tests run in, where this machine has one."""

from __future__ import annotations

import pytest

from bot.sandbox import BwrapSandbox, probe


async def walls() -> BwrapSandbox:
    """Give it, or leave the test out."""
    found = await probe()
    if not isinstance(found.sandbox, BwrapSandbox):
        pytest.skip(f"bubblewrap does not work here: {found.problems}")
    return found.sandbox
