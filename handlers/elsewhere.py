"""Owns commands on pull requests of no track: a person's own, a fork's, the offer of settings. They are told where commands work."""

from __future__ import annotations

from dataclasses import dataclass

from bot.core import messages, onboarding
from bot.core.commands import Invocation
from bot.core.config import RepoConfig
from bot.core.events import CommentCreated, LineCommented
from bot.core.ids import Place, said_key, track_of_branch
from bot.core.repo_actions import AnswerCommand, RepoAction
from bot.core.roles import allows
from bot.core.values import Pull
from bot.handler import Reads, RepoHandler
from handlers import hearing

Said = CommentCreated | LineCommented


@dataclass(frozen=True, slots=True)
class Facts:
    pull: Pull | None = None  # None: nobody is to be answered
    own: frozenset[int] = frozenset()  # the user ids of the bot


def concerns(event: Said) -> bool:
    """Leave out what only looks like a command, and bots: two that answer each other never end."""
    on_pull = isinstance(event, LineCommented) or event.is_pull
    return on_pull and not event.author.is_bot and isinstance(hearing.find(event.body), Invocation)


async def gather(event: Said, reads: Reads) -> Facts:
    """Ask for the role first, and whether it was answered before: strangers cost one call."""
    place, repo = _place(event), event.repo
    if not allows(await reads.forge.permission(repo, event.author.login), "triage"):
        return Facts()
    if await reads.forge.reacted(repo, event.comment, place):
        return Facts()
    if place == "comment" and await reads.forge.comment(repo, event.comment) is None:
        return Facts()
    return Facts(await reads.forge.pull(repo, event.number), await reads.forge.bot_ids(repo))


def decide(event: Said, facts: Facts) -> tuple[RepoAction, ...]:
    """Say where commands work, once for each that was given."""
    found = hearing.find(event.body)
    if facts.pull is None or not isinstance(found, Invocation):
        return ()
    ours = facts.pull.author.id in facts.own
    if ours and track_of_branch(facts.pull.head_branch):
        return ()  # opened this moment, its track knows it in the next: the sweep for unheard commands comes back to it
    offer = ours and facts.pull.head_branch == onboarding.branch(RepoConfig().branch_prefix)
    place = _place(event)
    body = messages.answer(None, said_key(place, event.comment), _where(found, offer=offer))
    return (
        AnswerCommand(repo=event.repo, number=event.number, place=place, comment=event.comment, body=body),
    )


def _place(event: Said) -> Place:
    return "line" if isinstance(event, LineCommented) else "comment"


def _where(found: Invocation, *, offer: bool) -> str:
    this = "only offers a settings file" if offer else "is none that Gitwright opened for an issue"
    return (
        f"`/agent {found.name}` is not followed here: this pull request {this}. Commands work on an issue and on the "
        "pull requests that are opened for it: write `/agent plan` on an issue to begin, or `/agent help` there to see "
        "every command."
    )


def _on(event: type[Said], webhook: str) -> RepoHandler[Said, Facts]:
    return RepoHandler(
        event=event,
        webhooks=(webhook,),
        permissions={"issues": "write", "pull_requests": "write"},
        concerns=concerns,
        only_without_track=True,
        gather=gather,
        decide=decide,
    )


REPO_HANDLERS = (
    _on(CommentCreated, "issue_comment.created"),
    _on(LineCommented, "pull_request_review_comment.created"),
)
