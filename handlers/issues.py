"""Owns what a label on an issue begins."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from bot.core import life, life_issue, life_planning, unboxed
from bot.core.actions import Decision
from bot.core.config import RepoConfig
from bot.core.events import IssueLabeled
from bot.core.ids import track_id
from bot.core.roles import allows
from bot.core.sanitize import code
from bot.core.track import Frozen, Track
from bot.core.values import Role
from bot.handler import Asked, Handler, Reads
from handlers.calling import BOTS, command_of, hears, needed_role
from handlers.freezing import read_frozen


@dataclass(frozen=True, slots=True)
class Facts:
    config: RepoConfig
    config_problems: tuple[str, ...]
    role: Role
    frozen: Frozen | None
    needed: Role = "write"
    unboxed: str = ""  # why nothing is started for this person, where there is no sandbox
    heard: bool = True  # False for a bot that the settings do not name


async def gather(track: Track | None, event: IssueLabeled, reads: Reads) -> Facts:
    """Read who labelled, and the text as it is now; nothing is read for a label that is not ours."""
    config, problems = await reads.config(event.repo)
    if event.label != config.labels.trigger or not _may_begin(track):
        return Facts(config, (), "none", None)
    needed = needed_role(command_of("plan"), config)
    asked = Asked(repo=event.repo, number=event.issue, is_pull=False, actor=event.actor, key="label")
    if not await hears(asked, config, reads):
        return Facts(config, problems, "none", None, needed, heard=False)
    role = await reads.forge.permission(event.repo, event.actor.login)
    if not allows(role, needed):
        return Facts(config, problems, role, None, needed)
    if reads.unboxed and (why := unboxed.refusal(event.repo, role)):
        return Facts(config, problems, role, None, needed, why)
    frozen = await read_frozen(event.repo, event.issue, event.actor, reads, event.text)
    return Facts(config, problems, role, frozen, needed)


def decide(track: Track | None, event: IssueLabeled, facts: Facts, now: datetime) -> Decision:
    """Begin a track for the trigger label, if its labeller may write; answer where one is under way."""
    if event.label != facts.config.labels.trigger:
        return life.nothing(track)
    if track is not None and (event.round > track.round or not _may_begin(track)):
        return _on_known(track, event, now)
    id_ = track.id if track else track_id(event.issue, event.round)
    if not facts.heard or not allows(facts.role, facts.needed):
        text = f"{code(event.actor.login)} may not start work here: {_refusal(event, facts)}"
        return life.answer(
            track, event.repo, event.issue, id_, f"label-{event.actor.id}-{life.moment(now)}", text
        )
    if facts.unboxed:
        return life.answer(
            track, event.repo, event.issue, id_, f"unboxed-{event.actor.id}-{life.moment(now)}", facts.unboxed
        )
    if facts.frozen is None:
        return life.nothing(track)
    why = f"{event.actor.login} set the label {event.label}"
    begun = life_planning.begin(
        event.repo, event.issue, event.round, id_, facts.frozen, facts.config, now, why
    )
    if track is not None:
        begun = life_planning.begun_again(track, begun)
    return life_planning.with_broken_settings(begun, facts.config_problems, now)


def _refusal(event: IssueLabeled, facts: Facts) -> str:
    """Say why somebody may not, and what would help."""
    if not facts.heard:
        return f"{BOTS}; its id is {event.actor.id}."
    may = "who may write" if facts.needed == "write" else f"with the role `{facts.needed}`"
    return (
        f"setting {code(event.label)} needs the role `{facts.needed}`, theirs is `{facts.role}`. "
        f"Somebody {may} can remove the label and set it again."
    )


def _on_known(track: Track, event: IssueLabeled, now: datetime) -> Decision:
    if event.round > track.round:
        return life_issue.superseded(track, event.round, now)  # only one that was cancelled is left to end
    return life.nothing(track) if track.ended else life_issue.label_set_again(track, event, now)


def _may_begin(track: Track | None) -> bool:
    """A track that came to no backlog can be begun again by setting the label again."""
    return track is None or (track.state == "blocked" and track.backlog_pull is None)


HANDLER = Handler(
    event=IssueLabeled,
    github="issues",
    actions=("labeled",),
    permissions={"issues": "write", "contents": "read"},
    keys=lambda event: (f"issue:{event.issue}",),
    opens=lambda event: event.issue,
    sees_hold=True,
    gather=gather,
    decide=decide,
)
