"""What holds at the end of every story: no run ended in silence, and nothing was said twice."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from bot.core.ids import identity, parse_marker
from bot.core.track import TRACKS, Track
from bot.engine.store import Store
from tests.stories.reading import state_of

if TYPE_CHECKING:
    from tests.stories.story import Story

RESTING = {
    "checking",
    "in_review",
    "held",
    "blocked",
    "reverted",
}  # states in which a task waits for somebody
SAYS = {
    "done": "receipt",
    "blocked": "problem",
    "cancelled": "problem",
}  # what a track in this state has said


async def describe(store: Store) -> str:
    """Say where every track stands, for a test that waited in vain."""
    lines = [f"pending: {await store.counts()}"]
    for stored in await store.all_tracks():
        track = TRACKS.validate_python(stored.state)
        lines.append(f"{track.id} is {track.state} {track.problem}")
        lines += [f"  {task.id} is {task.state} {task.note}" for task in track.tasks]
        lines += [f"  {entry.at} {entry.what} ({entry.why})" for entry in track.history[-8:]]
    return "\n".join(lines)


async def check_endings(story: Story, *, internal_errors: bool) -> None:
    """Hold every track against what people can read of it; `internal_errors`: the story means them."""
    for stored in await story.bot.store.all_tracks():
        await _check_track(story, TRACKS.validate_python(stored.state))
    for number, bodies in (await story.posted()).items():
        twice = [key for key, count in Counter(map(identity, bodies)).items() if count > 1]
        assert not twice, f"said twice on #{number}: {twice}"
        wrong = [body for body in bodies if "internal error" in body]
        assert internal_errors or not wrong, f"a job failed inside on #{number}:\n{wrong}"


async def _check_track(story: Story, track: Track) -> None:
    if track.gone:
        return  # nobody can read what was said there
    bodies = [b for b in await story.said(track.issue, "status") if _of(b, track)]
    assert len(bodies) == 1, f"{track.id} has {len(bodies)} status comments"
    state = state_of(bodies[0])
    assert state["track"] == track.id
    assert state["state"] == track.state, f"the status comment of {track.id} is stale"
    assert state["tasks"].keys() == {task.id for task in track.tasks}
    failed = [
        entry.what for entry in track.history if "failed:" in entry.what and "`sync_status`" in entry.what
    ]
    assert not failed, failed
    assert track.state != "planning", f"{track.id} stands still in planning and nobody was told"
    if track.state == "working":
        assert any(task.state in RESTING or task.asks for task in track.tasks), (
            f"{track.id} works on nothing: {track.tasks}"
        )
    assert ("[!WARNING]" in bodies[0]) == bool(track.problem)
    if track.state == "blocked":
        assert track.problem, f"{track.id} is blocked and its status comment does not say why"
        if any(task.state == "held" for task in track.tasks):
            return  # by a person's own act, which the status comment tells
    kind = SAYS.get(track.state)
    if kind is not None:
        said = [b for b in await story.said(track.issue, kind) if _of(b, track)]
        assert said, f"{track.id} is {track.state} and nobody was told"


def _of(body: str, track: Track) -> bool:
    marker = parse_marker(body)
    return marker is not None and marker.track == track.id
