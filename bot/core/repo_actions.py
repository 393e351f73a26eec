"""Owns what the bot can do about a repository as such, beside any track, as data: performing one twice is harmless."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Discriminator, TypeAdapter

from bot.core.ids import Place
from bot.core.values import Repo


@dataclass(frozen=True, slots=True, kw_only=True)
class ProposeSettings:
    """Offer a commented settings file in a pull request, once in the life of a repository."""

    repo: Repo
    place: int  # among the repositories that were added together, from 1
    kind: Literal["propose_settings"] = "propose_settings"


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckSettings:
    """Say in the check `gitwright/config` whether the settings file of a pull request is valid, if it changes it."""

    repo: Repo
    pull: int | None  # None: the check is there and is asked for again, so the file is changed
    sha: str
    kind: Literal["check_settings"] = "check_settings"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportSettings:
    """Have one open issue name what is wrong with the default branch's settings file; none where nothing is.

    `unasked`: nobody did anything; what people closed or deleted is then left so.
    """

    repo: Repo
    unasked: bool = False
    kind: Literal["report_settings"] = "report_settings"


@dataclass(frozen=True, slots=True, kw_only=True)
class ForgetRepository:
    """Delete the mirror of a repository that is no more."""

    repo: Repo
    kind: Literal["forget_repository"] = "forget_repository"


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerCommand:
    """Say once on a pull request of no track where commands work, and show 😕 on the one that was given there."""

    repo: Repo
    number: int
    place: Place
    comment: int
    body: str  # marked as the answer to this comment
    kind: Literal["answer_command"] = "answer_command"


RepoAction = ProposeSettings | CheckSettings | ReportSettings | ForgetRepository | AnswerCommand

REPO_ACTIONS: TypeAdapter[RepoAction] = TypeAdapter(Annotated[RepoAction, Discriminator("kind")])
