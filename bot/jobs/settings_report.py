"""Owns telling people what is wrong with a settings file: in a check of its pull request, and in the one issue to mend it."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bot.core import config, settings_report
from bot.core.config import ConfigProblem
from bot.core.repo_actions import CheckSettings, ReportSettings
from bot.core.settings_report import ISSUE_MARKER, ISSUE_TITLE
from bot.core.values import Issue, Repo, Role
from bot.engine.store import Store
from bot.errors import LockedError, NotFoundError
from bot.ports import Forge

NONE = "none"  # stands for the issue's number where it was looked for and there is none
CLOSED = " closed"  # behind the number of an issue that need not be looked at while nothing is pushed


@dataclass(frozen=True, slots=True)
class CheckSettingsJob:
    """Judges the file as a pull request's head has it, if the pull request changes it; it is only read."""

    forge: Forge
    commands: Mapping[str, Role]  # whose roles the file may set, with the least that each needs

    async def __call__(self, action: CheckSettings) -> None:
        again = action.pull is None
        if action.pull is not None and config.PATH not in await self.forge.pull_paths(
            action.repo, action.pull
        ):
            return
        text = await self.forge.read_file(action.repo, action.sha, config.PATH)
        report = settings_report.judge(text, self.commands)
        await self.forge.set_check(action.repo, action.sha, report, again=again)


@dataclass(frozen=True, slots=True)
class ReportSettingsJob:
    """Opens, edits, opens again or closes the issue, as the file on the default branch is now."""

    store: Store
    forge: Forge

    async def __call__(self, action: ReportSettings) -> None:
        repo = await self.forge.repo(action.repo)
        text = await self.forge.read_file(repo, repo.default_branch, config.PATH)
        _, problems = config.parse(text or "")
        known = await self.store.get_id(_key(repo))
        issue = await self._issue(repo, broken=bool(problems))
        if problems and action.unasked and _put_away(issue, known):
            await self.store.put_id(_key(repo), f"{issue.number}{CLOSED}" if issue else NONE)
        elif problems:
            number = await self._ask(repo, issue, problems)
            await self.store.put_id(_key(repo), str(number))
        elif issue is not None:
            if issue.state == "open":
                await self._close(repo, issue)
            await self.store.put_id(_key(repo), f"{issue.number}{CLOSED}")

    async def _ask(self, repo: Repo, issue: Issue | None, problems: Sequence[ConfigProblem]) -> int:
        """Have an open issue name what is to be mended; give its number."""
        last = settings_report.round_of(issue.body) if issue else 0
        open_now = issue is not None and issue.state == "open"
        body = settings_report.issue_body(problems, repo.default_branch, last if open_now else last + 1)
        if issue is None:
            return await self.forge.create_issue(repo, ISSUE_TITLE, body)
        if not open_now or issue.body.strip() != body.strip():
            await self.forge.reopen_issue(repo, issue.number, body)
        return issue.number

    async def _issue(self, repo: Repo, *, broken: bool) -> Issue | None:
        """Find the issue; it is looked for on the forge before one is opened, and once in the life of a database."""
        known = await self.store.get_id(_key(repo))
        if known is not None and known != NONE:
            try:
                issue = await self.forge.issue(repo, int(known.removesuffix(CLOSED)))
            except NotFoundError:  # somebody deleted it, or moved it to another repository
                known = None
            else:
                if settings_report.is_ours(issue, await self.forge.bot_ids(repo)):
                    return issue
                known = None  # it has become somebody else's words
        if known == NONE and not broken:
            return None
        found = await self.forge.find_issue(repo, ISSUE_MARKER)
        if found is not None or not broken:  # one that is still to be opened is no issue that people deleted
            await self.store.put_id(_key(repo), str(found.number) if found else NONE)
        return found

    async def _close(self, repo: Repo, issue: Issue) -> None:
        said = settings_report.mended(repo.default_branch, settings_report.round_of(issue.body))
        # Where the conversation is locked the issue is closed without a word.
        with contextlib.suppress(LockedError):
            await self.forge.create_comment(repo, issue.number, said)
        await self.forge.close_issue(repo, issue.number)


def _put_away(issue: Issue | None, known: str | None) -> bool:
    """Tell whether people closed the issue, or deleted one that there was."""
    return known is not None if issue is None else issue.state != "open"


async def to_be_looked_at(store: Store, repo: Repo, *, in_use: bool) -> bool:
    """Tell whether the issue may be open; of a repository in use also where nobody has looked for it yet."""
    known = await store.get_id(_key(repo))
    return in_use if known is None else known != NONE and not known.endswith(CLOSED)


def _key(repo: Repo) -> str:
    return f"{repo.id}:settings-issue"
