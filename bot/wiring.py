"""Owns putting the parts together: the only place that builds adapters and hands them over."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import structlog

from bot import brokered, files
from bot import sandbox as sandboxes
from bot.agents.script import Script, load_script
from bot.agents.sessions import Sessions
from bot.broker.client import Broker
from bot.core.actions import Action
from bot.core.config import RepoConfig
from bot.core.events import ForgeEvent, InstallationChanged, Pushed, RepositoriesAdded
from bot.dispatch import Dispatcher
from bot.engine.dbos_engine import DbosEngine
from bot.engine.ledger import Ledger
from bot.engine.lock import FileLock
from bot.engine.runner import Runner
from bot.engine.store import Delivery, Store
from bot.forges import FORGES
from bot.forges.github.inbound import parse
from bot.git.worktrees import WorktreeManager
from bot.jobs.housekeeping import Housekeeper
from bot.jobs.layers import Layers
from bot.jobs.queues import SERIAL, queue_of, queues, stuck_after
from bot.jobs.reconcile import Reconciler
from bot.jobs.repository import Repositories
from bot.jobs.restore import Recall
from bot.jobs.table import Parts, repo_table, table, tool_path
from bot.perform import Job, Performer
from bot.ports import Clock, Forge, JsonDict, Sandbox
from bot.readiness import Readiness
from bot.settings import Settings
from handlers import HANDLERS, REPO_HANDLERS, AnyHandler
from handlers.boxes import offered
from handlers.commands import COMMANDS, valid_now

_log = structlog.get_logger(__name__)

GRACE = 5.0  # seconds for running jobs at a shutdown; interrupting them and revoking tokens come after


class SystemClock:
    """The time of the machine."""

    def now(self) -> datetime:
        return datetime.now(UTC)


@dataclass(slots=True)
class Bot:
    """The running bot: what the web application and the command line need of it."""

    settings: Settings
    clock: Clock
    store: Store
    forge: Forge
    runner: Runner
    worktrees: WorktreeManager
    sessions: Sessions
    sandbox: Sandbox
    jobs: dict[type[Action], Job]
    performer: Performer
    reconciler: Reconciler
    housekeeper: Housekeeper
    handlers: list[AnyHandler]
    readiness: Readiness
    _lock: FileLock
    closing: asyncio.Event = field(default_factory=asyncio.Event)  # tells agents that this process ends
    _sweeping: tuple[asyncio.Task[None], ...] = ()
    patience: float = GRACE + 3.0  # seconds for jobs and sweeps to end before tokens are revoked in any case

    async def start(self, lock: FileLock | None = None) -> None:
        """Remove what a killed process left, then take up the work; UserError where another one works in this folder.

        `lock` is the folder's, where whoever starts the bot holds it already.
        """
        self._lock = lock or self._lock
        self._lock.take()
        for proof in await self.sessions.sweep():
            if not proof.holds:
                _log.error("session_left_behind", leftovers=proof.leftovers)
        removed = [*await self.worktrees.cleanup_all(), *await self.worktrees.sweep()]
        if removed:
            _log.info("leftovers_removed", names=removed)
        if self.settings.database.startswith("sqlite"):
            # Nobody else works on this file, so what is reserved belongs to runs of a process that is dead.
            await Ledger(self.store.database, self.clock).give_up_all()
        await self.runner.start()
        sweeps = {"reconciler": self.reconciler.run, "housekeeper": self.housekeeper.run}
        if self.settings.poll_deliveries:
            sweeps["polls"] = self.reconciler.run_polls
        self._sweeping = tuple(asyncio.create_task(sweep(), name=name) for name, sweep in sweeps.items())
        _log.info("started", sandbox=self.sandbox.level, mode=self.settings.mode)

    async def stop(self) -> None:
        """Stop within seconds: jobs reach a checkpoint or are interrupted, tokens are revoked, files closed.

        No step is left out because an earlier one failed; of several failures each names the one before it.
        """
        self.closing.set()
        halting = asyncio.create_task(self._halt(), name="halt")
        try:
            await asyncio.wait({halting}, timeout=self.patience)
        finally:
            try:
                # Also where a database that gives no answer holds up the rest until the process is ended.
                await self.forge.aclose()
            finally:
                try:
                    await halting
                finally:
                    try:
                        await self.store.close()
                    finally:
                        self._lock.release()
        _log.info("stopped")

    async def _halt(self) -> None:
        for sweeping in self._sweeping:
            sweeping.cancel()
        await asyncio.gather(*self._sweeping, return_exceptions=True)
        await self.runner.stop(GRACE)


@dataclass(frozen=True, slots=True)
class Local:
    """What is different where the bot works for a clone on this machine: the forge, and settings that follow from it.

    `log` is what people are told to look into after an internal error.
    """

    forge: Callable[[WorktreeManager], Forge]
    adjust: Callable[[RepoConfig], RepoConfig]
    log: str = "the log"


async def build(
    settings: Settings,
    clock: Clock | None = None,
    local: Local | None = None,
    broker: Broker | None = None,
) -> Bot:
    """Build the bot from its settings; nothing runs before `start`.

    `broker` is closed with the bot; without one the forge is asked by one in this process.
    """
    clock = clock or SystemClock()
    settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    script = load_script(settings.script) if settings.script else None
    containers = sandboxes.Containers.of(
        settings.container, settings.container_image, settings.container_runtime
    )
    path = tool_path(settings, os.environ.get("PATH", os.defpath))
    box = await sandboxes.choose(settings.sandbox, containers, hidden=settings.hidden, path=path)
    store = await Store.open(settings.database, clock)
    try:
        return _assembled(settings, clock, local, script, box, store, broker)
    except BaseException:
        await store.close()
        raise


def folder_lock(settings: Settings) -> FileLock:
    """Give the lock that keeps a second bot out of DATA_DIR."""
    return FileLock(settings.data_dir / "bot.lock")


def _parts(
    settings: Settings,
    clock: Clock,
    local: Local | None,
    script: Script | None,
    box: Sandbox,
    store: Store,
    broker: Broker | None,
) -> Parts:
    """Make what jobs are made of."""
    worktrees = WorktreeManager(settings.data_dir, box)
    forge = local.forge(worktrees) if local else _github(settings, clock, broker)
    sessions = Sessions(
        settings.data_dir / "sessions", store, hand_over=lambda home: files.give(home, worktrees.owner)
    )
    adjust = local.adjust if local else lambda config: config
    # Whoever sits at the machine may do on it what they like.
    unboxed = settings.unboxed and local is None
    repositories = Repositories(
        forge, worktrees, lambda config: adjust(overridden(config, settings)), unboxed
    )
    layers = Layers(settings.data_dir.resolve() / "layers", int(settings.layers_gib * (1 << 30)))
    return Parts(settings, script, clock, store, forge, repositories, worktrees, sessions, box, layers)


def _assembled(
    settings: Settings,
    clock: Clock,
    local: Local | None,
    script: Script | None,
    box: Sandbox,
    store: Store,
    broker: Broker | None,
) -> Bot:
    parts = _parts(settings, clock, local, script, box, store, broker)
    forge, repositories, worktrees = parts.forge, parts.repositories, parts.worktrees
    jobs = table(parts, lambda: bot.runner.engine)
    repo_jobs = repo_table(parts, {command.name: command.least for command in COMMANDS})
    log = local.log if local else "the log"
    boxes = offered if local is None else lambda _: ()  # a person's own files show nothing that can be ticked
    gap = _edit_gap(settings)
    performer = Performer(store, forge, jobs, valid_now, clock, log, repo_jobs, boxes, edit_gap=gap)

    async def perform(args: JsonDict) -> None:
        await bot.performer.run(args)  # the one that the bot has then: it can be replaced before the start

    recall = Recall(store, forge, repositories)
    handlers = list(HANDLERS)
    runner = _runner(settings, clock, store, repositories, perform, recall, handlers)
    reconciler = Reconciler(store, forge, clock, recall.sweep)
    housekeeper = Housekeeper(store, worktrees, clock, timedelta(days=settings.keep_days), parts.layers)
    bot = Bot(
        settings,
        clock,
        store,
        forge,
        runner,
        worktrees,
        parts.sessions,
        box,
        jobs,
        performer,
        reconciler,
        housekeeper,
        handlers,
        Readiness(store, forge, broker),
        folder_lock(settings),
        parts.closing,
    )
    return bot


def _edit_gap(settings: Settings) -> float:
    """Give the seconds that news wait for more where nobody has to act on them."""
    return 10 * settings.write_gap if settings.edit_gap is None else settings.edit_gap


def _github(settings: Settings, clock: Clock, broker: Broker | None) -> Forge:
    return FORGES["github"](
        settings.github_api_url,
        git_url=settings.github_git_url,
        broker=broker or brokered.inside(settings, clock),
        api_version=settings.github_api_version,
        write_gap=settings.write_gap,
        api_limit=settings.api_calls,
        # The machine's own time needs no telling; one that can be set is what waits are measured by.
        clock=None if isinstance(clock, SystemClock) else clock,
        graphql=settings.graphql,
    )


def overridden(config: RepoConfig, settings: Settings) -> RepoConfig:
    """Let the operator's settings win over the repository's file."""
    changes: dict[str, object] = {}
    if settings.test:
        changes["test"] = settings.test
    if settings.agent:
        changes["agent"] = settings.agent
    return config.model_copy(update=changes)


def _runner(
    settings: Settings,
    clock: Clock,
    store: Store,
    repositories: Repositories,
    perform: Callable[[JsonDict], Awaitable[None]],
    recall: Recall,
    handlers: Sequence[AnyHandler],
) -> Runner:
    """Connect events to handlers, decisions to actions, and both to the engine."""
    app_id = int(settings.app_id) if settings.app_id and settings.app_id.isdigit() else None

    def read(delivery: Delivery) -> ForgeEvent | RepositoriesAdded | InstallationChanged | None:
        event = parse(delivery.event, delivery.body, app_id)
        if isinstance(event, Pushed):
            repositories.moved(event.repo.id)
        if isinstance(event, InstallationChanged):
            repositories.forge.forget_tokens(
                event.installation
            )  # they may do what was granted when they were minted
        return event

    dispatcher = Dispatcher(
        store, repositories, handlers, read, clock, recall, REPO_HANDLERS, patience=_edit_gap(settings)
    )
    engine = DbosEngine(
        _engine_url(settings),
        {"track": dispatcher.drain, "action": perform},
        queues(settings),
        clock,
        serial=SERIAL,
    )
    # PostgreSQL is polled because other machines write to it; one process with one SQLite file wakes itself.
    poll = 1.0 if settings.database.startswith("sqlite") else 0.2
    return Runner(
        store,
        engine,
        dispatcher.route,
        clock,
        queue_of=queue_of,
        timeout_of=stuck_after,
        poll=poll,
    )


def _engine_url(settings: Settings) -> str:
    # DBOS keeps its rows apart from ours, so that they may be lost.
    if settings.database.startswith("sqlite"):
        return f"sqlite:///{settings.data_dir.absolute() / 'engine.sqlite'}"
    return settings.database
