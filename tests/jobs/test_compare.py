"""Open tracks are compared with the forge repository by repository, and whom the quota left no calls comes first next time."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import pytest

from bot.core.track import Track
from bot.core.values import Issue, Repo
from bot.engine.store import Store
from bot.jobs.compare import Comparison
from bot.ports import Capabilities, Forge
from tests.core.builders import REPO, SHA, a_task, a_track
from tests.jobs.test_restore import LABELED, AskedForge, StillClock, a_pull, events, keep, store, swept

__all__ = ["store"]

OTHER = replace(REPO, id=8, name="other", installation=6)


def working(issue: int, repo: Repo = REPO, *, head: str = SHA) -> Track:
    """A track that waits for the pull request of ten times its number."""
    task = a_task(state="in_review", attempt=1, pull=10 * issue, head_sha=head)
    return a_track(task, id=f"issue-{issue}", issue=issue, repo=repo)


async def compared(store: Store, forge: AskedForge) -> list[str]:
    """Give what the forge was asked in one comparison."""
    forge.asked = []
    known = {repo.id: repo for repo in (REPO, OTHER)}
    tracks = await store.all_tracks(open_only=True)
    await Comparison(store, cast(Forge, forge), StillClock(), known)(tracks)
    return forge.asked


async def test_one_look_tells_of_all_that_the_tracks_of_a_repository_wait_for(store: Store) -> None:
    tracks = [working(1), working(2, head="old"), working(3, OTHER)]
    for track in tracks:
        await keep(store, track)
    forge = AskedForge(pulls={number: a_pull(number) for number in (10, 20, 30)})
    forge.capabilities = Capabilities(graphql=True)
    asked = await compared(store, forge)
    looks = [each for each in asked if each.startswith("look")]
    assert looks == ["look 10 beside (10, 20)", "look 20 beside (10, 20)", "look 30 beside (30,)"]
    kinds = [[event["kind"] for event in await events(store, track.key)] for track in tracks]
    assert kinds == [["checks_due"], ["pull_pushed"], ["checks_due"]]
    forge.capabilities = Capabilities()
    asked = await compared(store, forge)
    assert [each for each in asked if "issue" not in each] == ["pull 10", "pull 20", "pull 30"]


async def test_whom_the_quota_left_no_calls_comes_first_the_next_time(store: Store) -> None:
    for track in (working(1), working(2), working(3), working(4, OTHER)):
        await keep(store, track)
    forge = AskedForge(pulls={number: a_pull(number) for number in (10, 20, 30, 40)}, limited={2})
    assert await compared(store, forge) == ["issue 1", "pull 10", "issue 2", "issue 4", "pull 40"]
    forge.limited = set()
    again = await compared(store, forge)
    assert [each for each in again if "issue" in each] == ["issue 2", "issue 3", "issue 4", "issue 1"]


async def test_an_installation_without_calls_is_asked_no_further(store: Store) -> None:
    third = replace(REPO, id=9, name="third")
    for track in (working(1), working(2, OTHER), working(3, third)):
        await keep(store, track)
    forge = AskedForge(pulls={20: a_pull(20)}, limited={1})
    assert await compared(store, forge) == ["issue 1", "issue 2", "pull 20"]


async def test_a_state_that_cannot_be_read_hides_no_other(store: Store) -> None:
    for track in (working(1), working(2)):
        await keep(store, track)
    forge = AskedForge(pulls={20: a_pull(20)})
    tracks = await store.all_tracks(open_only=True)
    broken = replace(tracks[0], state={"v": "of another version"})
    await Comparison(store, cast(Forge, forge), StillClock(), {REPO.id: REPO})([broken, tracks[1]])
    assert forge.asked == ["issue 2", "pull 20"]


# --- what is found ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["running", "checking", "in_review", "held", "blocked"])
async def test_a_merge_that_nobody_told_of_is_found_whatever_its_task_does(store: Store, state: Any) -> None:
    track = a_track(a_task(state=state, attempt=1, pull=20, head_sha=SHA), a_task("T-2"))
    merged = a_pull(20, state="closed", merged=True, merge_sha=SHA)
    assert await swept(store, track, merged) == ["pull_closed"]


async def test_a_held_task_whose_pull_request_is_open_again_is_found(store: Store) -> None:
    track = a_track(a_task(state="held", attempt=1, pull=20, head_sha=SHA), a_task("T-2"))
    assert await swept(store, track, a_pull(20)) == ["pull_reopened"]


async def test_what_a_stop_closed_is_left_alone(store: Store) -> None:
    track = a_track(a_task(state="held", attempt=1, pull=20, head_sha=SHA, stopped=True), a_task("T-2"))
    assert await swept(store, track, a_pull(20, state="closed")) == []


async def test_checks_and_new_heads_of_open_pull_requests_are_read(store: Store) -> None:
    track = a_track(
        a_task(state="checking", attempt=1, pull=20, head_sha=SHA),
        a_task("T-2", state="in_review", attempt=1, pull=21, head_sha="old"),
    )
    assert await swept(store, track, a_pull(20), a_pull(21)) == ["checks_due", "pull_pushed"]


async def test_a_head_that_may_be_our_own_rebases_is_left_to_it(store: Store) -> None:
    rebased = a_task(state="checking", attempt=1, pull=20, head_sha="old", rebasing="old")
    assert await swept(store, a_track(rebased), a_pull(20)) == []


IN_PLANNING = a_track(label="agent:plan")
AT_WORK = a_track(a_task(), label="agent:plan")


@pytest.mark.parametrize(
    ("track", "about", "told"),
    [
        (AT_WORK, LABELED, []),
        (AT_WORK, replace(LABELED, state="closed"), ["issue_closed"]),
        (replace(AT_WORK, closed=True, state="paused"), replace(LABELED, state="closed"), []),
        (replace(AT_WORK, closed=True, state="paused"), LABELED, ["issue_reopened"]),
        (replace(AT_WORK, state="paused"), LABELED, []),  # by a command
        # The end itself closes it.
        (a_track(a_task(state="done")), replace(LABELED, state="closed"), ["track_swept"]),
        (AT_WORK, replace(LABELED, labels=()), []),
        (IN_PLANNING, LABELED, []),
        (IN_PLANNING, replace(LABELED, labels=("bug",)), ["issue_unlabeled"]),
        (a_track(), replace(LABELED, labels=()), []),  # begun by a command, on an issue without the label
        (IN_PLANNING, replace(LABELED, state="closed", labels=()), ["issue_closed", "issue_unlabeled"]),
    ],
)
async def test_what_happened_to_the_issue_unheard_is_found(
    store: Store, track: Track, about: Issue, told: list[str]
) -> None:
    assert await swept(store, track, forge=AskedForge(about=about)) == told


async def test_an_issue_that_cannot_be_read_hides_nothing(store: Store) -> None:
    track = a_track(a_task(state="in_review", attempt=1, pull=20, head_sha="old"))
    assert await swept(store, track, a_pull(20), forge=AskedForge(about=None)) == ["pull_pushed"]


async def test_an_end_that_was_given_up_is_found(store: Store) -> None:
    track = a_track(a_task(state="done"), state="blocked", problem="`close_track` failed")
    assert await swept(store, track) == ["track_swept"]
