"""Owns what agents will ever see of an issue: its words when somebody asked, and comments of people who may write.

Edits between that moment and our reading it change nothing: the delivery that asked carries title and body, and of the
comments only those count that were written, and last edited, before it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from bot.core import commands as grammar
from bot.core.events import IssueText
from bot.core.hidden_text import INVISIBLE, strip_hidden, strip_invisible
from bot.core.ids import parse_marker
from bot.core.plan_text import frozen_sha256
from bot.core.roles import allows
from bot.core.track import Frozen
from bot.core.values import Actor, Comment, Issue, Repo
from bot.handler import Reads
from handlers.commands import COMMANDS

MAX_FROZEN = 60_000  # characters of each text; issues and comments hold at most 65,536
MOST_ASKED = 50  # people whose role is asked; each is a request


@dataclass(frozen=True, slots=True)
class Heard:
    """The comments that count, and how many of each kind do not."""

    comments: tuple[Comment, ...] = ()
    strangers: int = 0  # by people who may not write
    late: int = 0  # written or edited after somebody asked
    unasked: int = 0  # by people who were too many to ask


async def read_frozen(
    repo: Repo, number: int, asker: Actor, reads: Reads, text: IssueText | None = None
) -> Frozen | None:
    """Freeze the issue as `text` has it, or as it is now where nobody knows what it said; None for a pull request.

    Who asked counts like everybody else: where a track is taken up again that was long ago.
    """
    issue, comments = await reads.forge.conversation(repo, number)
    if issue.is_pull:
        return None
    heard = await _heard(repo, comments, asker.login, reads, text.at if text else "")
    return replace(freeze(issue, heard, asker.login, text), by_id=asker.id)


async def _heard(repo: Repo, said: list[Comment], asker: str, reads: Reads, until: str) -> Heard:
    own = await reads.forge.bot_ids(repo)
    # In token mode the bot shares a person's account: there its marker tells its texts from theirs.
    words = [c for c in said if not (c.author.id in own and parse_marker(c.body) is not None)]
    words = [c for c in words if not c.author.is_bot and not _is_command(c)]
    early = [c for c in words if not until or max(c.created_at, c.updated_at) <= until]
    # Where there are too many to ask, strangers must not push out those who are more likely to be heard.
    likely = [c for c in reversed(early) if c.insider or c.author.login == asker]
    lately = list(dict.fromkeys(c.author.login for c in (*likely, *reversed(early))))
    may = {login: allows(await reads.forge.permission(repo, login), "write") for login in lately[:MOST_ASKED]}
    return Heard(
        tuple(c for c in early if may.get(c.author.login)),
        strangers=sum(may.get(c.author.login) is False for c in early),
        late=len(words) - len(early),
        unasked=sum(c.author.login not in may for c in early),
    )


def _is_command(comment: Comment) -> bool:
    found = grammar.parse(comment.body, tuple(command.name for command in COMMANDS))
    if not isinstance(found, grammar.Invocation):
        return False
    return not strip_hidden(found.text)[0].strip()  # words after it are about the work


def freeze(issue: Issue, heard: Heard, by: str, text: IssueText | None = None) -> Frozen:
    """Freeze what agents will see: title, body and the comments that count, hidden text removed."""
    title, body = (text.title, text.body) if text else (issue.title, issue.body)
    (title, body), hidden = visible(title, body)
    shown = [strip_hidden(comment.body[:MAX_FROZEN]) for comment in heard.comments]
    comments = tuple(text for text, _ in shown)
    return Frozen(
        title=title,
        body=body,
        comments=comments,
        sha256=frozen_sha256(title, body, comments),
        by=by,
        hidden=tuple(dict.fromkeys((*hidden, *(kind for _, found in shown for kind in found)))),
        strangers=heard.strangers,
        late=heard.late,
        unasked=heard.unasked,
        guessed=text is None,
        labels=issue.labels,
        closed=issue.state != "open",
        edited=visible(issue.title, issue.body)[0] != (title, body),
    )


def visible(title: str, body: str) -> tuple[tuple[str, str], tuple[str, ...]]:
    """Give an issue as people see it, and the kinds of hidden text that were in it; a title is no Markdown."""
    title, suspicious = strip_invisible(title[:MAX_FROZEN])
    body, found = strip_hidden(body[:MAX_FROZEN])
    return (title, body), tuple(dict.fromkeys(((INVISIBLE,) if suspicious else ()) + found))
