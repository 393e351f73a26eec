"""Lines and limits, compared with what they promise for any order of coming and going."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.engine.pool import Waiting, WorkerPool
from bot.errors import RetryableError

jobs = st.lists(
    st.tuples(
        st.sampled_from("pq"),  # partition
        st.integers(0, 3),  # turns of the loop before it comes
        st.integers(0, 3),  # turns that it works
        st.sampled_from(["works", "works", "works", "never comes", "is cancelled"]),
    ),
    max_size=12,
)


@given(jobs, st.integers(1, 3), st.booleans())
def test_lines_keep_order_and_limits_and_never_stand_still(
    plan: list[tuple[str, int, int, str]], limit: int, serial: bool
) -> None:
    asyncio.run(asyncio.wait_for(_played(plan, limit, serial), 60))


async def _played(plan: list[tuple[str, int, int, str]], limit: int, serial: bool) -> None:
    slots = WorkerPool({"q": limit}, {"q"} if serial else set())
    begun: list[int] = []
    now: Counter[str] = Counter()

    async def job(number: int, partition: str, late: int, turns: int, fate: str) -> None:
        place = slots.join("q", partition)
        try:
            for _ in range(late):
                await asyncio.sleep(0)
            if fate == "never comes":
                return
            async with place:
                begun.append(number)
                now[partition] += 1
                assert now.total() <= limit
                assert not serial or now[partition] == 1
                try:
                    for _ in range(turns):
                        await asyncio.sleep(0)
                finally:
                    now[partition] -= 1
        finally:
            place.leave()

    tasks = [asyncio.create_task(job(number, *one)) for number, one in enumerate(plan)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    for task, one in zip(tasks, plan, strict=True):
        if one[3] == "is cancelled":
            task.cancel()
    ended = await asyncio.gather(*tasks, return_exceptions=True)
    assert [one for one in ended if isinstance(one, Exception)] == []
    working = {number for number, one in enumerate(plan) if one[3] == "works"}
    assert working <= set(begun)
    if serial:
        for partition in "pq":
            mine = [number for number in begun if plan[number][0] == partition]
            assert mine == sorted(mine)
    assert slots.waiting() == ()
    # Nothing is left behind: as many as the limit says get in at once.
    async with asyncio.timeout(60):
        for _ in range(limit):
            await slots.join("q", None).__aenter__()


async def test_who_waits_is_seen_with_how_many_come_before() -> None:
    pool = WorkerPool({"planners": 1, "workers": 2})
    async with pool.lend("planners", "a", 60), pool.lend("workers", "w", 60):
        waits = [asyncio.create_task(_lent(pool, name)) for name in ("b", "c")]
        await asyncio.sleep(0)
        assert pool.waiting() == (Waiting("planners", "b", 0, 1), Waiting("planners", "c", 1, 1))
    assert await asyncio.gather(*waits) == ["b", "c"]
    assert pool.waiting() == ()


async def _lent(pool: WorkerPool, name: str, timeout: float = 60) -> str:
    async with pool.lend("planners", name, timeout):
        return name


async def test_nobody_waits_for_a_slot_for_ever() -> None:
    pool = WorkerPool({"planners": 1})
    async with pool.lend("planners", "a", 60):
        with pytest.raises(RetryableError, match="no slot of `planners` was free"):
            await _lent(pool, "b", 0.01)
        assert pool.waiting() == ()
    assert await _lent(pool, "c") == "c"


async def test_a_time_limit_is_for_the_wait_and_not_for_the_work() -> None:
    pool = WorkerPool({"planners": 1})
    async with pool.lend("planners", "a", 0.01):
        await asyncio.sleep(0.03)
