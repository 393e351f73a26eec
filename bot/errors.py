"""Owns the few error classes that ask for different reactions."""

from __future__ import annotations


class BotError(Exception):
    """Anything Gitwright raises on purpose."""


class UserError(BotError):
    """A person can mend this: the text says what, where, and what to do, and is shown as it is."""


class RetryableError(BotError):
    """Trying again later can help; `after` is the number of seconds to wait, None for the default back-off."""

    def __init__(self, message: str, after: float | None = None) -> None:
        super().__init__(message)
        self.after = after


class LimitedError(RetryableError):
    """The forge's rate limit is used up, or what is left of it is kept for what people wait for."""


class ParkedError(RetryableError):
    """A model's provider has no more for now, or does not answer: the work waits for it, and people read so."""


class UnreachableError(RetryableError):
    """The App may not look at a repository for now, as its installation is suspended or gone; `why` says so in words."""

    def __init__(self, message: str, why: str, after: float) -> None:
        super().__init__(message, after)
        self.why = why


class ForgeError(BotError):
    """The forge refused a request and repeating it as it is will not help."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class NotFoundError(ForgeError):
    """The thing does not exist, or this token may not see it."""

    def __init__(self, message: str, status: int = 404) -> None:
        super().__init__(message, status)


class ArchivedError(ForgeError):
    """The repository was archived: nothing can be written there until it is unarchived."""


class LockedError(ForgeError):
    """The conversation is locked, and the bot may not speak there."""


class GitError(BotError):
    """A git command failed; carries the command's name and the end of what it said."""


class StaleRefError(GitError):
    """A branch is not where it was expected to be, so nothing was written."""


class PushRefusedError(GitError):
    """The forge refused a push by a rule, so trying again as it is will not help; `said` are its own words, by line."""

    def __init__(self, branch: str, rule: str, remedy: str, said: tuple[str, ...], *, unsigned: bool) -> None:
        super().__init__(f"the push to `{branch}` was refused by {rule}. {remedy}")
        self.rule, self.remedy, self.said, self.unsigned = rule, remedy, said, unsigned


class SandboxError(BotError):
    """The sandbox cannot be had at the required level, or could not be started."""


class NoRoomError(SandboxError):
    """A box was not opened, since the disk that it would write to has hardly any room."""


class OutOfRoomError(BotError):
    """What ran in a box wrote until the disk was nearly full, and was ended: its own failure, and not the sandbox's."""


class AgentError(BotError):
    """An agent ended without usable work; `reason` is one word for decisions.

    crash, stall, garbage (no usable answer), no_change, drift (stopped by a rule), budget (its run's money is used up),
    auth (no key or a refused one), quota (no more of the provider for now), down (the provider does not answer).
    `after`: seconds until the provider takes calls again, None where it did not say.
    """

    def __init__(self, reason: str, message: str, after: float | None = None) -> None:
        super().__init__(message)
        self.reason, self.after = reason, after
