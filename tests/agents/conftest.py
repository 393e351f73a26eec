"""Owns the sandboxes that agents are tested in: with walls, and without."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.sandbox import NoSandbox
from tests.agents.stage import Stage
from tests.support.walls import walls


@pytest.fixture(params=["bwrap", "none"])
async def stage(request: pytest.FixtureRequest, tmp_path: Path) -> Stage:
    """A stage in each kind of box."""
    return Stage(tmp_path, await walls() if request.param == "bwrap" else NoSandbox(allowed=True))


@pytest.fixture
async def walled(tmp_path: Path) -> Stage:
    """A stage in a box with walls."""
    return Stage(tmp_path, await walls())


@pytest.fixture
def plain(tmp_path: Path) -> Stage:
    """A stage in a box without walls, which starts fastest."""
    return Stage(tmp_path, NoSandbox(allowed=True))
