"""Owns making checks: side by side, each within its time, and the whole within its own; what fails is a finding."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from bot.core.values import Repo
from bot.doctor.check import AnyCheck, Check, Finding, RepoCheck, Result
from bot.doctor.world import NotLookedAtError, World
from bot.errors import BotError, ForgeError, NotFoundError, UnreachableError, UserError

MOST_REPOSITORIES = 10
MOST_SECONDS = 120.0  # for all of it; what is not known by then is said to be unknown
AT_ONCE = 16  # checks


@dataclass(frozen=True, slots=True)
class Examined:
    """What was found, in the order of the table; `notes` are about the examination itself."""

    results: tuple[Result, ...]
    notes: tuple[str, ...] = ()

    @property
    def good(self) -> bool:
        """Tell whether nothing is failed or unknown; a warning is for people to weigh."""
        return all(each.finding.level in {"ok", "warning"} for each in self.results)


async def examine(
    world: World, checks: Sequence[AnyCheck], *, fix: bool = False, seconds: float = MOST_SECONDS
) -> Examined:
    """Make the checks, those of repositories for each one; with `fix` what is safe is done, and looked at again."""
    slots = asyncio.Semaphore(AT_ONCE)
    deadline = asyncio.get_running_loop().time() + seconds

    async def one(check: AnyCheck, repo: Repo | None) -> Result:
        name = repo.slug if repo else None
        try:
            async with asyncio.timeout_at(deadline), slots:
                return await _made(check, world, repo, fix)
        except TimeoutError:
            text = f"The examination ended after {seconds:g} s."
            return Result(check.name, name, Finding("unknown", text, "Examine one repository with --repo."))

    once = [check for check in checks if isinstance(check, Check)]
    every = [check for check in checks if isinstance(check, RepoCheck)]
    own = asyncio.ensure_future(asyncio.gather(*(one(check, None) for check in once)))
    repos, results, notes = await _repositories(world)
    theirs = await asyncio.gather(*(one(check, repo) for repo in repos for check in every))
    return Examined((*await own, *results, *theirs), notes)


async def _made(check: AnyCheck, world: World, repo: Repo | None, fix: bool) -> Result:
    found = await _looked(check, world, repo)
    if not fix or check.mend is None or found.level in {"ok", "unknown"}:
        return Result(check.name, repo.slug if repo else None, found)
    try:
        async with asyncio.timeout(check.patience):
            if isinstance(check, RepoCheck):
                assert repo is not None
                done = tuple(await check.mend(world, repo))
            else:
                done = tuple(await check.mend(world))
    except (BotError, OSError, TimeoutError) as error:
        text = f"{found.text} It could not be mended: {str(error) or 'no answer'}."
        return Result(
            check.name, repo.slug if repo else None, Finding(found.level, text, found.step, found.details)
        )
    world.forget()
    return Result(check.name, repo.slug if repo else None, await _looked(check, world, repo), done)


async def _looked(check: AnyCheck, world: World, repo: Repo | None) -> Finding:
    try:
        async with asyncio.timeout(check.patience):
            if isinstance(check, RepoCheck):
                assert repo is not None
                return await check.look(world, repo)
            return await check.look(world)
    except NotLookedAtError as error:
        return Finding("unknown", str(error), error.step)
    except UserError as error:  # its text says what to do
        return Finding("failed", _sentence(error), "Mend that, then look again.")
    except TimeoutError:
        text = f"No answer within {check.patience:g} s."
        return Finding("unknown", text, "Look again; if it stays so, see the other findings.")
    except (BotError, OSError) as error:
        text = f"It could not be looked at: {_sentence(error)}"
        return Finding("unknown", text, "Look again; see the other findings.")


def _sentence(error: Exception) -> str:
    return f"{str(error).rstrip('.') or type(error).__name__}."


async def _repositories(world: World) -> tuple[list[Repo], list[Result], tuple[str, ...]]:
    """Find the repositories to look at: those asked for, else those that the App is installed on."""
    try:
        async with asyncio.timeout(30):
            if world.named:
                return *await _asked_for(world), ()
            if not world.app_mode():
                note = "Repositories are looked at where you name them, with --repo: a person's token does not tell which are meant."
                return [], [], (note,)
            return await _installed(world)
    except (BotError, TimeoutError) as error:
        if not world.named:
            return [], [], (f"No repository was looked at: {str(error) or 'no answer within 30 s'}",)
        step = error.step if isinstance(error, NotLookedAtError) else "Do what `forge.identity` says."
        unknown = Finding("unknown", str(error) or "No answer within 30 s.", step)
        return [], [Result("repository.found", name, unknown) for name in world.named], ()


async def _asked_for(world: World) -> tuple[list[Repo], list[Result]]:
    forge = await world.reached()
    repos, results = [], []
    for name in world.named:
        owner, _, short = name.partition("/")
        try:
            repos.append(await forge.find(owner, short))
        except NotFoundError:
            text = "The bot cannot see this repository."
            step = "Compare the name, and install the App on it."
            if not world.app_mode():
                step = "Compare the name, and give the token's user the role `write` there."
            results.append(Result("repository.found", name, Finding("failed", text, step)))
        except (ForgeError, UnreachableError) as error:
            text = f"The forge does not let the bot look at this repository: {error}."
            step = "Do what `app.installations` says." if world.app_mode() else "Give the token access to it."
            results.append(Result("repository.found", name, Finding("failed", text, step)))
    return repos, results


async def _installed(world: World) -> tuple[list[Repo], list[Result], tuple[str, ...]]:
    forge = await world.reached()
    found: list[Repo] = []
    for installation in await world.installations():
        if not installation.suspended and len(found) <= MOST_REPOSITORIES:
            found += await forge.repositories(installation.id, MOST_REPOSITORIES + 1 - len(found))
    if len(found) <= MOST_REPOSITORIES:
        return found, [], ()
    note = f"The first {MOST_REPOSITORIES} repositories were looked at; name others with --repo."
    return found[:MOST_REPOSITORIES], [], (note,)
