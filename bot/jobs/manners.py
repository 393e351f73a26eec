"""Owns how a repository wants to be spoken to: whom commits name, how they are worded, what a pull request must show."""

from __future__ import annotations

from dataclasses import dataclass

from bot.core import codeowners, commit_style, pull_template
from bot.core.attribution import FORMER
from bot.core.commit_style import PLAIN, Style
from bot.core.track import Track
from bot.core.values import Identity, Repo
from bot.jobs.judge import Made
from bot.ports import Forge, Mirror


@dataclass(frozen=True, slots=True)
class Manners:
    """What the bot's commits in a repository have in common."""

    bot: Identity
    style: Style = PLAIN


@dataclass(frozen=True, slots=True)
class Reader:
    """Finds out a repository's manners; its default branch says, and nobody's branch."""

    forge: Forge

    async def __call__(self, repo: Repo, mirror: Mirror, tip: str) -> Manners:
        """Read whom commits are by, and how people word theirs up to `tip`; the bot's own do not count."""
        bot = await self.forge.author(repo)
        seen = await mirror.subjects(tip, 2 * commit_style.LOOKED_AT)
        theirs = [subject for email, subject in seen if email not in {bot.email, FORMER}]
        return Manners(bot, commit_style.detect(theirs))


async def owners(track: Track, mirror: Mirror, made: Made) -> tuple[str, dict[str, tuple[str, ...]]]:
    """Give where the owners of files are written down, and those whom the changed files need; "" where nowhere."""
    place = codeowners.place([file.path for file in await mirror.files(made.tip)])
    if place is None:
        return "", {}
    raw = await mirror.read(made.tip, place, codeowners.LONGEST)
    folder = f"{track.config.tasks_dir}/"
    changed = [
        path for path, _, _ in await mirror.diff_stat(made.base, made.sha) if not path.startswith(folder)
    ]
    rules = codeowners.parse(raw.decode(errors="replace") if raw else "")
    return place, dict(codeowners.needed(rules, changed))


async def template(mirror: Mirror, tip: str) -> str:
    """Give what is shown of the repository's pull-request template; "" where it has none."""
    place = pull_template.choose([file.path for file in await mirror.files(tip)])
    raw = await mirror.read(tip, place, pull_template.LONGEST) if place else None
    return pull_template.shown(raw.decode(errors="replace")) if raw else ""
