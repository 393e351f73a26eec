"""Owns where local mode keeps its state, with which settings it runs, and the bot that is built for one clone."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bot import files, log
from bot.core.actions import ProposeBacklog
from bot.core.config import RepoConfig
from bot.core.track import TRACKS, Track
from bot.core.values import Identity, Repo
from bot.engine.lock import FileLock
from bot.errors import UserError
from bot.forges.local import LocalForge, Records
from bot.forges.local.forge import AUTHOR
from bot.git.mirror import GitMirror
from bot.git.worktrees import WorktreeManager
from bot.jobs.backlog import ProposeBacklogJob
from bot.local.clone import Clone
from bot.ports import GitAccess
from bot.settings import MODEL_ROLES, Settings, load_settings
from bot.wiring import Bot, Local, build

REPO_ID = 1  # one clone for each data folder
SCRIPTED = "scripted"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What one call works on: `store` names its database, `folder` holds PLAN.md, BACKLOG.yaml and the specs."""

    clone: Clone
    store: str
    folder: str
    onto: str  # what stands for the default branch: a commit, or a branch of the clone
    script: Path | None = None
    merging: bool = False


@dataclass(frozen=True, slots=True)
class Room:
    """A bot for a clone, built and not started, so that its jobs can still be replaced."""

    wanted: Wanted
    bot: Bot
    forge: LocalForge
    mirror: GitMirror
    repo: Repo
    proposing: ProposeBacklogJob  # the bot's own, whatever stands in its place

    async def fetch(self, *shas: str) -> None:
        """Bring the mirror up to date, and commits into it that no branch leads to."""
        access = GitAccess(self.wanted.clone.url, "")
        await self.mirror.fetch(access)
        for sha in shas:
            if await self.mirror.resolve(sha) is None:
                await self.mirror.fetch_commit(access, sha)

    @property
    def author(self) -> Identity:
        """Who commits what the host writes."""
        return AUTHOR

    async def config(self) -> tuple[RepoConfig, tuple[str, ...]]:
        """Read the repository's settings at what stands for the default branch."""
        return await self.proposing.repositories.config(self.repo)

    async def track(self, name: str) -> Track | None:
        """Read a track as it is now."""
        stored = await self.bot.store.load(f"{REPO_ID}/{name}")
        return TRACKS.validate_python(stored.state) if stored else None


@asynccontextmanager
async def room(wanted: Wanted) -> AsyncIterator[Room]:
    """Build the bot; it is stopped in order at the end, whether it was started or not."""
    settings = settings_for(wanted)
    files.ensure_dir(settings.data_dir / "stores")
    log_file = settings.data_dir / "gitwright.log"
    # Before anything is built: a second process must not sweep away what the first one works with.
    with _alone(wanted, settings.data_dir), log_file.open("a", encoding="utf-8") as stream:
        log.set_up(secrets=settings.secrets(), stream=stream, json=True)
        repo = Repo(REPO_ID, "local", wanted.clone.root.name, wanted.onto, private=True)
        records = Records(settings.data_dir / "stores" / f"{wanted.store}.json")
        made: list[LocalForge] = []

        def forge(worktrees: WorktreeManager) -> LocalForge:
            common = wanted.clone.common_dir
            made.append(LocalForge(common, records, worktrees.mirror, repo, merging=wanted.merging))
            return made[-1]

        local = Local(
            forge, lambda config: adjusted(config, wanted.folder), _shown(log_file, wanted.clone.root)
        )
        bot = await build(settings, local=local)
        try:
            await (
                bot.worktrees.sweep()
            )  # locks of a git that was killed: `local.lock` says that none works here
            mirror = await bot.worktrees.mirror(repo)
            proposing = bot.jobs[ProposeBacklog]
            assert isinstance(proposing, ProposeBacklogJob)
            yield Room(wanted, bot, made[0], mirror, repo, proposing)
        finally:
            await bot.stop()


@contextmanager
def _alone(wanted: Wanted, folder: Path) -> Iterator[None]:
    file = folder / "local.lock"
    lock = FileLock(file)
    try:
        lock.take()
    except UserError:
        holder = file.read_text(encoding="ascii", errors="replace").strip()
        raise UserError(
            f"Another command (process {holder}) works in `{wanted.clone.root}`. Wait for its end or stop it, then run "
            "the same command again."
        ) from None
    try:
        yield
    finally:
        lock.release()


def _shown(path: Path, root: Path) -> str:
    """Write a path as people would from the clone's folder."""
    return f"`{path.relative_to(root) if path.is_relative_to(root) else path}`"


def adjusted(config: RepoConfig, folder: str) -> RepoConfig:
    """Keep the records where the person keeps the files; nobody else's repository is pushed to."""
    return config.model_copy(
        update={"tasks_dir": folder, "push": "direct", "close_issue": False, "draft": False}
    )


def settings_for(wanted: Wanted) -> Settings:
    """Read the operator's settings; a server's folder and database are never shared with it."""
    given: dict[str, Any] = {"database_url": None}
    if wanted.script is not None:
        given["script"] = wanted.script
    found = load_settings(**given)
    if found.script is not None:
        given |= {} if found.agent else {"agent": SCRIPTED}
        given |= {} if found.models else {"models": dict.fromkeys(MODEL_ROLES, (SCRIPTED,))}
    own = wanted.clone.common_dir / "gitwright"
    if "data_dir" in found.model_fields_set:
        name = hashlib.sha256(str(wanted.clone.common_dir).encode()).hexdigest()[:16]
        own = found.data_dir.absolute() / "local" / name
    given |= {"data_dir": own, "database_url": f"sqlite:///{own / 'stores' / wanted.store}.sqlite"}
    return load_settings(**given)


def folder_of(clone: Clone, path: Path) -> str:
    """Name the folder of the clone that a file lies in; UserError where it is not below one."""
    file = path.absolute()
    parent = file.parent.resolve()
    root = clone.root.resolve()
    if not parent.is_relative_to(root) or parent == root or ".git" in parent.relative_to(root).parts:
        raise UserError(
            f"`{path}` must lie in a folder of the clone `{clone.root}`, such as tasks/: branches carry it at that place."
        )
    folder = parent.relative_to(root).as_posix()
    try:
        return RepoConfig.model_validate({"tasks_dir": folder}).tasks_dir
    except ValueError as error:
        raise UserError(
            f"The folder `{folder}` is not usable: letters, digits, `.`, `_` and `-` only."
        ) from error
