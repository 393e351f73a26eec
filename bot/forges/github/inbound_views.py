"""Owns what most deliveries carry: who did something, to which issue, in which repository."""

from __future__ import annotations

from bot.core.events import IssueText
from bot.core.values import Actor, Repo
from bot.forges.github.views import LabelView, UserView, View, actor


class Account(View):
    login: str | None = None
    name: str | None = None


class Repository(View):
    id: int
    name: str
    owner: Account
    private: bool = True
    default_branch: str = "main"
    archived: bool = False
    fork: bool = False


class Id(View):
    id: int


class IssueShown(View):
    number: int
    title: str | None = None
    body: str | None = None
    updated_at: str = ""
    pull_request: dict[str, object] | None = None
    labels: tuple[LabelView, ...] | None = None

    def names(self, *more: str) -> tuple[str, ...] | None:
        """Give the names of its labels and `more`; None where the delivery does not tell."""
        return None if self.labels is None else (*(label.name for label in self.labels), *more)

    def text(self, at: str) -> IssueText | None:
        """Give what the issue said at that time; None for a pull request, or where the delivery does not tell."""
        if self.pull_request is not None or self.title is None:
            return None
        return IssueText(title=self.title, body=self.body or "", at=at)


class Payload(View):
    action: str | None = None
    repository: Repository | None = None
    sender: UserView | None = None
    installation: Id | None = None

    def repo(self) -> Repo | None:
        found = self.repository
        if found is None:
            return None
        owner = found.owner.login or found.owner.name or ""
        installation = self.installation.id if self.installation else None
        return Repo(
            found.id,
            owner,
            found.name,
            found.default_branch,
            found.private,
            installation,
            found.archived,
            found.fork,
        )

    def actor(self) -> Actor:
        return actor(self.sender)
