"""Owns what a label on an issue begins."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from bot.core import commands as grammar
from bot.core import life, life_issue, life_planning
from bot.core.actions import Decision
from bot.core.config import RepoConfig
from bot.core.events import IssueLabeled
from bot.core.ids import parse_marker, track_id
from bot.core.plan_text import frozen_sha256
from bot.core.roles import allows
from bot.core.sanitize import code, inline, strip_hidden
from bot.core.track import Frozen, Track
from bot.core.values import Actor, Comment, Issue, Repo, Role
from bot.handler import Handler, Reads
from handlers.commands import COMMANDS

MAX_FROZEN = 60_000  # characters of each text; issues and comments hold at most 65,536


@dataclass(frozen=True, slots=True)
class Facts:
    config: RepoConfig
    config_problems: tuple[str, ...]
    role: Role
    frozen: Frozen | None


async def gather(track: Track | None, event: IssueLabeled, reads: Reads) -> Facts:
    """Read who labelled, and the text as it is now; nothing is read for a label that is not ours."""
    config, problems = await reads.config(event.repo)
    if event.label != config.labels.trigger or not _may_begin(track):
        return Facts(config, (), "none", None)
    role = await reads.forge.permission(event.repo, event.actor.login)
    if not allows(role, "write"):
        return Facts(config, problems, role, None)
    return Facts(config, problems, role, await read_frozen(event.repo, event.issue, event.actor, reads))


async def read_frozen(repo: Repo, number: int, asker: Actor, reads: Reads) -> Frozen | None:
    """Freeze the issue as it is now, with the comments of people who may write; None for a pull request.

    `asker` may write; that was asked before.
    """
    issue = await reads.forge.issue(repo, number)
    if issue.is_pull:
        return None
    own = await reads.forge.bot_ids(repo)
    roles: dict[str, Role] = {asker.login: "write"}
    comments = []
    for comment in await reads.forge.comments(repo, number):
        # In token mode the bot shares a person's account: there its marker tells its texts from theirs.
        ours = comment.author.id in own and parse_marker(comment.body) is not None
        if ours or comment.author.is_bot:
            continue
        login = comment.author.login
        if login not in roles:
            roles[login] = await reads.forge.permission(repo, login)
        if allows(roles[login], "write") and not _is_command(comment):
            comments.append(comment)
    return freeze(issue, tuple(comments), asker.login)


def _is_command(comment: Comment) -> bool:
    found = grammar.parse(comment.body, tuple(command.name for command in COMMANDS))
    return isinstance(found, grammar.Invocation) and not found.text  # words after it are about the work


def decide(track: Track | None, event: IssueLabeled, facts: Facts, now: datetime) -> Decision:
    """Begin a track for the trigger label, if its labeller may write; answer where one is under way."""
    if event.label != facts.config.labels.trigger:
        return life.nothing(track)
    if track is not None and (event.round > track.round or not _may_begin(track)):
        return _on_known(track, event, now)
    id_ = track.id if track else track_id(event.issue, event.round)
    if not allows(facts.role, "write"):
        text = (
            f"{code(event.actor.login)} may not start work here: setting {code(event.label)} needs the role `write`, "
            f"theirs is `{facts.role}`. Somebody who may write can remove the label and set it again."
        )
        return life.answer(
            track, event.repo, event.issue, id_, f"label-{event.actor.id}-{life.moment(now)}", text
        )
    if facts.frozen is None:
        return life.nothing(track)
    why = f"{event.actor.login} set the label {event.label}"
    decision = life_planning.begin(
        event.repo, event.issue, event.round, id_, facts.frozen, facts.config, now, why
    )
    if facts.config_problems:
        lines = "\n".join(f"- {inline(problem)}" for problem in facts.config_problems)
        text = (
            "`.github/gitwright.yml` has mistakes, so it counts as absent: the defaults hold for all settings until "
            f"they are mended.\n\n{lines}"
        )
        said = life.answer(None, event.repo, event.issue, id_, f"config-{life.moment(now)}", text)
        return Decision(track=decision.track, actions=(*decision.actions, *said.actions))
    return decision


def _on_known(track: Track, event: IssueLabeled, now: datetime) -> Decision:
    if event.round > track.round:
        return life_issue.superseded(track, event.round, now)  # only one that was cancelled is left to end
    return life.nothing(track) if track.ended else life_issue.label_set_again(track, event, now)


def _may_begin(track: Track | None) -> bool:
    """A track that came to no backlog can be begun again by setting the label again."""
    return track is None or (track.state == "blocked" and track.backlog_pull is None)


def freeze(issue: Issue, comments: tuple[Comment, ...], by: str) -> Frozen:
    """Freeze what agents will see: title, body and the comments of people who may write, hidden text removed."""
    texts = [issue.title, issue.body, *(c.body for c in comments)]
    cleaned = [strip_hidden(text[:MAX_FROZEN]) for text in texts]
    title, body, *rest = [text for text, _ in cleaned]
    return Frozen(
        title=title,
        body=body,
        comments=tuple(rest),
        sha256=frozen_sha256(title, body, rest),
        by=by,
        hidden_removed=any(found for _, found in cleaned),
        labels=issue.labels,
        closed=issue.state != "open",
    )


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
