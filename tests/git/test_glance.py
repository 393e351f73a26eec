"""Looks at a worktree while an agent works in it: from a box that can only read it."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot import process
from bot.errors import SandboxError
from bot.files import give, remove
from bot.git.glance import Glance, glancing
from bot.sandbox import BwrapSandbox


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "wt"
    (made / "src").mkdir(parents=True)
    (made / "src/a.py").write_text("one")
    (made / "link").symlink_to("src")
    give(made, process.sandbox_uid())
    return made


@pytest.fixture
async def glance(folder: Path, tmp_path: Path, sandbox: BwrapSandbox) -> AsyncIterator[Glance]:
    async with glancing(sandbox, folder, tmp_path / "glance") as lent:
        yield lent
    assert not (tmp_path / "glance").exists()


async def test_folders_deep_in_each_other_are_looked_at(glance: Glance, folder: Path) -> None:
    deep = folder
    for _ in range(1_500):
        deep = deep / "d"
        deep.mkdir()
    seen = await glance()
    (deep / "new").touch()
    after = await glance()
    assert remove(folder / "d") == []  # pytest cannot
    assert after != seen


async def test_equal_content_gives_equal_hashes_and_every_change_another(
    glance: Glance, folder: Path
) -> None:
    seen = [await glance()]
    assert await glance() == seen[0]

    def changed_by_mode() -> None:
        (folder / "src/a.py").chmod(0o755)

    def changed_by_link() -> None:
        (folder / "link").unlink()
        (folder / "link").symlink_to("elsewhere")

    for change in (
        lambda: (folder / "src/a.py").write_text("two"),
        (folder / "new").touch,
        lambda: os.mkfifo(folder / "pipe"),
        changed_by_mode,
        changed_by_link,
        (folder / "src/a.py").unlink,
    ):
        change()
        seen.append(await glance())
    assert len(set(seen)) == len(seen)


async def test_caches_and_the_pointer_are_not_looked_at(glance: Glance, folder: Path) -> None:
    before = await glance()
    (folder / ".git").write_text("gitdir: elsewhere")
    (folder / "src/__pycache__").mkdir()
    (folder / "src/__pycache__/a.pyc").touch()
    assert await glance() == before


async def test_a_look_that_ended_is_told(folder: Path, tmp_path: Path, sandbox: BwrapSandbox) -> None:
    async with glancing(sandbox, folder, tmp_path / "glance") as lent:
        await lent()
    with pytest.raises(SandboxError, match="ended"):
        await lent()
