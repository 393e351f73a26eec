"""Owns ticked boxes in the bot's own texts: each is a command of whoever ticked it, and is written anew afterwards.

The delivery says which boxes changed and by whom, so nobody's tick is taken for somebody else's, and a comment that the
bot rewrites meanwhile loses none. The bot itself never writes a ticked box, so its own edits are never read as ticks.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from bot.core import boxes, life
from bot.core.actions import Action, Decision, SyncPlan, SyncStatus, Timer
from bot.core.boxes import Box
from bot.core.commands import Invocation
from bot.core.events import BoxesTicked
from bot.core.ids import Marker, keyed
from bot.core.sanitize import code
from bot.core.track import Track
from bot.handler import Asked, Handler, TrackReads
from handlers import calling
from handlers.boxes import kind_of
from handlers.calling import Given

LATE = (
    "Nothing was done for it: the box was ticked before, or what it asked has changed since. It is written anew as it stands "
    "now; tick it again if you still mean it."
)


@dataclass(frozen=True, slots=True)
class Facts:
    """The boxes that a person changed in a text of ours, each with what was read for it."""

    ticked: tuple[tuple[Box, Given], ...] = ()
    late: tuple[Box, ...] = ()  # ticked on a page that was not up to date: somebody was acted for already
    answered: tuple[Box, ...] = ()  # ticked before the database was lost, and acted on then
    unticked: tuple[Box, ...] = ()


async def gather(track: Track | None, event: BoxesTicked, reads: TrackReads) -> Facts:
    """Ask what whoever ticked may do; a tick that was acted on, or one in a text that is not ours, costs nothing."""
    if track is None or track.id != event.track:
        return Facts()
    if event.author.id not in await reads.forge.bot_ids(event.repo):
        return Facts()
    ticked, late, answered = [], [], []
    for box in _known(event.ticked):
        kind = kind_of(box)
        assert kind is not None  # it is known
        asked = _asked(event, box)
        if not boxes.fresh(track, box):
            # Told again to a track that was taken up from its comment, or asked by nobody who is heard.
            if not track.heard_until and await _heard(asked, reads):
                late.append(box)
        elif track.heard_until and await _answered(track, asked, reads):
            answered.append(box)
        elif (given := await calling.read_call(track, asked, kind.command, reads)) is not None:
            ticked.append((box, given))
    return Facts(tuple(ticked), tuple(late), tuple(answered), tuple(_known(event.unticked)))


async def _heard(asked: Asked, reads: TrackReads) -> bool:
    config, _ = await reads.config(asked.repo)
    return await calling.hears(asked, config, reads)


async def _answered(track: Track, asked: Asked, reads: TrackReads) -> bool:
    """Look whether a tick was answered before the database was lost: its answer says so."""
    answer = keyed(Marker("answer", track.id), asked.key)
    return await reads.forge.find_comment(asked.repo, asked.number, answer) is not None


def _known(marks: tuple[str, ...]) -> list[Box]:
    return [box for box in map(boxes.parse, marks) if box is not None and kind_of(box) is not None]


def decide(track: Track | None, event: BoxesTicked, facts: Facts, now: datetime) -> Decision:
    """Call the command of each box in turn, and show the boxes as they are then."""
    if track is None:
        return life.nothing(track)
    actions: list[Action] = []
    timers: list[Timer] = []
    for box, given in facts.ticked:
        if not boxes.fresh(track, box):
            continue  # told twice
        call = Invocation(box.kind, (box.about,) if box.about else (), box.about)
        decision = calling.called(boxes.spent(track, box), _asked(event, box), call, given, now).decision
        assert decision.track is not None  # a command never forgets a track that there is
        track = decision.track
        actions += decision.actions
        timers += decision.timers
    for box in facts.late:
        actions += calling.answered(track, _asked(event, box, "late"), LATE).actions
    for box in (*facts.late, *facts.answered):
        track = boxes.spent(track, boxes.offered(track, box.kind, box.about))  # so that it is written anew
    for box in facts.unticked:
        kind = kind_of(box)
        if kind is not None and kind.undone and not boxes.fresh(track, box):
            actions += calling.answered(track, _asked(event, box, "unbox"), kind.undone).actions
    if facts.ticked or facts.late or facts.answered:
        actions += [SyncStatus(), SyncPlan()]
    return Decision(track=track, actions=_each_once(actions), timers=tuple(timers))


def _each_once(actions: list[Action]) -> tuple[Action, ...]:
    return tuple(action for place, action in enumerate(actions) if action not in actions[:place])


def _asked(event: BoxesTicked, box: Box, how: str = "box") -> Asked:
    did = "unticked" if how == "unbox" else "ticked"
    return Asked(
        repo=event.repo,
        number=event.number,
        is_pull=False,
        actor=event.actor,
        key=f"{how}-{event.comment}-{box.kind}-{box.about}-{box.turn}",
        intro=f"{code(event.actor.login)} {did} the box {code(box.name)}. ",
    )


HANDLER = Handler(
    event=BoxesTicked,
    github="issue_comment",
    actions=("edited",),
    permissions={"issues": "write"},
    keys=lambda event: (f"issue:{event.number}",),
    sees_hold=True,
    gather=gather,
    decide=decide,
)
