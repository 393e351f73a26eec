"""What is proved of a session's token after its end, wherever its socket lies."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

import pytest

from bot.agents.supplies import revoked
from bot.gateway.endpoints import Endpoint
from bot.gateway.limits import free
from bot.gateway.model import model_gateway
from bot.ports import DisposeProof


@pytest.mark.parametrize("deep", ["a", "a" * 120], ids=["a usual folder", "a folder with a long name"])
async def test_a_token_counts_as_revoked_only_where_nobody_listens(tmp_path: Path, deep: str) -> None:
    folder = tmp_path / deep
    folder.mkdir()
    endpoint = Endpoint("http://127.0.0.1:9", "openai:m1", "chat", "sk-real")
    async with model_gateway(folder, [endpoint], free) as access:
        assert await revoked(access) == DisposeProof(leftovers=("token: its gateway still listens",))
        for _ in range(20):  # Python 3.11 forgets a connection that it accepts while the server closes
            await asyncio.sleep(0)
    assert await revoked(access) == DisposeProof(checked=("token: nobody answers where it was taken",))


async def test_where_nobody_can_look_nothing_is_proved(tmp_path: Path) -> None:
    endpoint = Endpoint("http://127.0.0.1:9", "openai:m1", "chat", "sk-real")
    async with model_gateway(tmp_path, [endpoint], free) as access:
        pass
    access.outlet.socket.symlink_to(access.outlet.socket.name)
    assert (await revoked(access)).unproved == (
        "token: nobody could look where it was taken: [Errno 40] Too many levels of symbolic links",
    )


async def test_a_short_path_that_cannot_be_made_proves_nothing(tmp_path: Path) -> None:
    endpoint = Endpoint("http://127.0.0.1:9", "openai:m1", "chat", "sk-real")
    usual = tempfile.gettempdir()
    async with model_gateway(tmp_path, [endpoint], free) as access:
        try:
            tempfile.tempdir = str(tmp_path / "gone")
            proof = await revoked(access)
        finally:
            tempfile.tempdir = usual
    assert [each.split(":")[0] for each in proof.unproved] == ["token"]
    assert proof.checked == ()
