"""Leases: what a task holds, for how long, and what it keeps others from."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.core.config import RepoConfig
from bot.core.leases import Lease, held, in_the_way, waits_for_others
from bot.core.life_work import start_ready
from bot.core.scopes import overlaps
from bot.core.track import TaskState, Track, TrackState
from tests.core.builders import NOW, a_task, a_track

OTHERS = Lease("issue-7/T-2", ("src/",))
ALLOW = RepoConfig.model_validate({"overlap": "allow"})


@pytest.mark.parametrize("state", get_args(TaskState))
@pytest.mark.parametrize("pull", [None, 5])
def test_a_task_holds_its_files_while_it_is_worked_on_or_can_be_merged(
    state: TaskState, pull: int | None
) -> None:
    holding = state in {"running", "checking", "in_review"} or (state == "blocked" and pull is not None)
    track = a_track(a_task(state=state, pull=pull, leased=("extra.py",)))
    wanted = (Lease("issue-12/T-1", ("src/T-1.py", "extra.py")),) if holding else ()
    assert held(track) == wanted


@pytest.mark.parametrize("state", get_args(TrackState))
def test_an_ended_track_holds_nothing_and_one_that_stands_keeps_what_it_has(state: TrackState) -> None:
    track = a_track(a_task(state="in_review", pull=5), state=state)
    assert bool(held(track)) == (state not in {"done", "cancelled", "superseded"})


def test_a_task_that_meets_another_tracks_waits_and_says_for_whom() -> None:
    track = a_track(a_task("T-1"), a_task("T-2", scope=("docs/a.md",)), foreign=(OTHERS,))
    moved, runs = start_ready(track, NOW)
    assert [run.task for run in runs] == ["T-2"]
    assert moved.tasks[0].state == "waiting"
    assert moved.tasks[0].note == "its files are in use by issue-7/T-2: src/T-1.py"
    assert waits_for_others(moved)
    moved, runs = start_ready(replace(moved, foreign=()), NOW)
    assert [run.task for run in runs] == ["T-1"]
    assert not waits_for_others(moved)


def test_files_beside_its_scope_that_an_attempt_took_are_held_too() -> None:
    busy = a_task("T-1", state="in_review", pull=5, leased=("src/T-2.py",))
    moved, runs = start_ready(a_track(busy, a_task("T-2")), NOW)
    assert runs == ()
    assert moved.tasks[1].note == "its files are in use by issue-12/T-1: src/T-2.py"
    assert not waits_for_others(moved), "its own track tells it"


def test_where_overlaps_are_allowed_leases_keep_nobody_from_anything() -> None:
    track = a_track(a_task(), foreign=(OTHERS,), config=ALLOW)
    moved, runs = start_ready(track, NOW)
    assert [run.task for run in runs] == ["T-1"]
    assert not waits_for_others(moved)
    assert in_the_way(track, "T-1", ["src/a.py"]) is None


def test_who_is_in_the_way_of_files_is_named_and_nobody_is_in_his_own() -> None:
    track = a_track(a_task("T-1", state="running"), a_task("T-2", state="running"), foreign=(OTHERS,))
    assert in_the_way(track, "T-1", ["src/T-1.py"]) == OTHERS
    assert in_the_way(track, "T-1", ["docs/a.md"]) is None
    assert in_the_way(replace(track, foreign=()), "T-1", ["src/T-1.py"]) is None
    assert in_the_way(replace(track, foreign=()), "T-1", ["src/T-2.py"]) == Lease(
        "issue-12/T-2", ("src/T-2.py",)
    )


PATHS = st.sampled_from(["a.py", "b.py", "src", "src/c.py", "src/d/*.py", "*.md"])
SCOPES = st.lists(st.lists(PATHS, min_size=1, max_size=2).map(tuple), min_size=1, max_size=3)


@given(st.lists(SCOPES, min_size=2, max_size=4))
def test_tracks_that_decide_one_after_the_other_never_hold_what_can_meet(
    scopes: list[list[tuple[str, ...]]],
) -> None:
    tracks: list[Track] = []
    for number, wanted in enumerate(scopes):
        tasks = [a_task(f"T-{n}", scope=scope) for n, scope in enumerate(wanted, 1)]
        others = tuple(lease for track in tracks for lease in held(track))
        track = a_track(*tasks, id=f"issue-{number}", issue=number, foreign=others)
        tracks.append(start_ready(track, NOW)[0])
    everything = [lease for track in tracks for lease in held(track)]
    assert everything, "the first task always starts"
    for n, one in enumerate(everything):
        assert not any(overlaps(one.paths, other.paths) for other in everything[n + 1 :])
