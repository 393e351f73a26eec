"""Nobody looks for what cannot be there; and whatever was lost in between, somebody does."""

from __future__ import annotations

import asyncio

from bot.engine.firsts import began_here, is_first, note_look, was_looked_at
from bot.engine.store import Store
from tests.core.builders import a_track
from tests.engine.conftest import Place, SettableClock

TRACK = a_track()
REPO, ISSUE = TRACK.repo.id, TRACK.issue


async def test_only_one_of_all_who_ask_is_first(store: Store) -> None:
    await note_look(store, REPO, ISSUE, ours=False)
    answers = await asyncio.gather(*(is_first(store, TRACK, "status") for _ in range(8)))
    assert sorted(answers) == [False] * 7 + [True]
    assert not await is_first(store, TRACK, "status")  # it may have been killed before it was done
    assert await is_first(store, TRACK, "receipt")


async def test_nobody_is_first_on_an_issue_that_was_not_looked_at_or_bears_words_of_ours(
    store: Store,
) -> None:
    assert not await is_first(store, TRACK, "status")
    await note_look(store, REPO, ISSUE, ours=True)
    assert await was_looked_at(store, REPO, ISSUE)
    assert not await is_first(store, TRACK, "status")
    assert not await is_first(store, None, "status")
    await store.put_id(f"{REPO}/{ISSUE}:recalled", "asked")  # as an older version noted it
    assert not await is_first(store, TRACK, "status")


async def test_nobody_is_first_after_a_start_for_the_database_may_be_an_older_copy(
    store: Store, place: Place, clock: SettableClock
) -> None:
    await note_look(store, REPO, ISSUE, ours=False)
    clock.forward(seconds=5)
    beside = await Store.open(place.store_url, clock)
    try:
        assert await is_first(store, TRACK, "status")
        assert not await is_first(beside, TRACK, "plan")
        assert await was_looked_at(beside, REPO, ISSUE)
        await note_look(beside, REPO, ISSUE, ours=False)
        assert await began_here(store, REPO, ISSUE)
        assert await is_first(beside, TRACK, "plan")
    finally:
        await beside.close()
