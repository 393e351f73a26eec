"""Tokens that may push: shared while pushes overlap or follow at once, and revoked soon after the last."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import cast

import pytest

from bot.core.values import Repo
from bot.forges.github.auth import Token, Tokens
from bot.forges.github.lending import Lending


class _Tokens:
    """Mints tokens and remembers which were revoked."""

    def __init__(self) -> None:
        self.minted: list[str] = []
        self.revoked: list[str] = []

    async def mint(self, installation: int, _repo_id: int, wanted: Mapping[str, str], pushes: str) -> Token:
        await asyncio.sleep(0)
        self.minted.append(f"t{len(self.minted) + 1}")
        now = datetime.now(UTC)
        return Token(self.minted[-1], installation, wanted, now, now)

    async def revoke(self, token: Token) -> None:
        self.revoked.append(token.secret)


def lending(linger: float) -> tuple[Lending, _Tokens]:
    tokens = _Tokens()
    return Lending(cast(Tokens, tokens), linger), tokens


async def push(
    lent: Lending, until: asyncio.Event | None = None, repo: int = 1, *, fails: bool = False
) -> str:
    async with lent.lend(7, Repo(repo, "acme", "greeter", "main", True, 7)) as token:
        if until is not None:
            await until.wait()
        if fails:
            raise RuntimeError("refused")
        return token.secret


async def minted(tokens: _Tokens) -> None:
    """Wait until somebody holds the first token, and pushes with it."""
    async with asyncio.timeout(60):
        while not tokens.minted:
            await asyncio.sleep(0.01)


async def test_pushes_that_overlap_or_follow_at_once_share_a_token() -> None:
    lent, tokens = lending(60.0)
    done = asyncio.Event()
    asyncio.get_running_loop().call_later(0.02, done.set)
    assert await asyncio.gather(*(push(lent, done) for _ in range(3))) == ["t1"] * 3
    assert await push(lent) == "t1"
    assert await push(lent, repo=2) == "t2"
    assert tokens.revoked == []
    await lent.aclose()


async def test_a_token_that_nobody_took_again_ends_soon_and_one_that_somebody_took_does_not() -> None:
    lent, tokens = lending(0.01)
    assert await push(lent) == "t1"
    taken = asyncio.Event()
    asyncio.get_running_loop().call_later(0.1, taken.set)
    assert await push(lent, taken) == "t1"  # before the loop could look at its clock
    assert tokens.revoked == []
    async with asyncio.timeout(60):
        while not tokens.revoked:
            await asyncio.sleep(0.01)
    assert tokens.revoked == ["t1"]
    assert await push(lent) == "t2"
    await lent.aclose()


async def test_a_token_whose_push_failed_is_not_lent_again_and_ends_with_its_last_holder() -> None:
    lent, tokens = lending(60.0)
    pushed = asyncio.Event()
    other = asyncio.create_task(push(lent, pushed))
    await minted(tokens)
    with pytest.raises(RuntimeError):
        await push(lent, fails=True)
    assert tokens.revoked == []  # the other one still pushes with it
    assert await push(lent) == "t2"
    pushed.set()
    assert await other == "t1"
    assert tokens.revoked == ["t1"]
    await lent.aclose()
    assert tokens.revoked == ["t1"]  # whoever owns the tokens revokes what is left


async def test_a_cancelled_push_ends_its_token_at_once() -> None:
    lent, tokens = lending(60.0)
    task = asyncio.create_task(push(lent, asyncio.Event()))
    await minted(tokens)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert tokens.revoked == ["t1"]
