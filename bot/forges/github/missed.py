"""Owns commands that nobody heard: comments that bear one and no answer of ours, told as a webhook would have."""

from __future__ import annotations

from typing import Any

from bot.core import commands
from bot.core.values import Issue, Repo
from bot.forges.github.views import UserView, View
from bot.ports import JsonDict, UnheardComment


class SaidView(View):
    """A comment anywhere in a repository; its addresses say where."""

    id: int
    body: str | None = None
    user: UserView | None = None
    created_at: str = ""
    updated_at: str = ""
    issue_url: str = ""
    html_url: str = ""
    reactions: dict[str, Any] = {}

    @property
    def number(self) -> int | None:
        last = self.issue_url.rpartition("/")[2]
        return int(last) if last.isdigit() else None

    @property
    def is_pull(self) -> bool:
        return "/pull/" in self.html_url

    @property
    def reacted(self) -> bool:
        """Tell whether anybody set a reaction that might be our acknowledgement."""
        return any(self.reactions.get(name, 1) for name in ("eyes", "rocket", "confused"))

    @property
    def may_command(self) -> bool:
        """Tell whether it looks like a command as it was first written: an edit makes none."""
        return self.created_at == self.updated_at and commands.parse(self.body or "", ()) is not None


def as_delivery(said: SaidView, issue: Issue, repo: Repo) -> UnheardComment:
    """Tell of a comment as `issue_comment.created` does, as far as that is read here."""
    author = said.user or UserView(id=0, login="ghost")
    user = {"id": author.id, "login": author.login, "type": author.type}
    about: JsonDict = {
        "number": issue.number
    }  # its words of then are not known; those of now would pass for them
    about["updated_at"] = said.created_at
    if said.is_pull:
        about["pull_request"] = {}
    payload: JsonDict = {
        "action": "created",
        "issue": about,
        "comment": {
            "id": said.id,
            "body": said.body or "",
            "user": user,
            "created_at": said.created_at,
        },
        "repository": {
            "id": repo.id,
            "name": repo.name,
            "owner": {"login": repo.owner},
            "private": repo.private,
            "default_branch": repo.default_branch,
        },
        "sender": user,
    }
    if repo.installation is not None:
        payload["installation"] = {"id": repo.installation}
    return UnheardComment(guid=f"unheard-comment-{said.id}", event="issue_comment", payload=payload)
