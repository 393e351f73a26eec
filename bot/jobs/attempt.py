"""Owns one run of a coding agent: a worktree, an agent in a sandbox, a commit by the host, and what can be said of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

import structlog

from bot import prompts
from bot.agents.sessions import Sessions
from bot.core import dependencies, ecosystems
from bot.core.actions import RunTask
from bot.core.config import RepoConfig
from bot.core.dependencies import SetUp
from bot.core.drift import ContextDriftDetector, Step
from bot.core.messages_pulls import commit_message
from bot.core.rebasing import Situation
from bot.core.sanitize import code, fence, redact
from bot.core.track import TaskTrack, Track
from bot.core.values import Repo, Usage
from bot.engine.store import Store
from bot.errors import BotError, UserError
from bot.gateway.egress import EgressProxy
from bot.jobs.contract import Contract, Contracts, Stop
from bot.jobs.dependencies import Commit, Ready
from bot.jobs.employ import Assignment, Employer
from bot.jobs.ground import Ground, ground, others, recorded, tip_of
from bot.jobs.judge import Judge, Made, Seen
from bot.jobs.manners import Manners
from bot.jobs.refused_hosts import RefusedHosts
from bot.jobs.spending import OverBudgetError, Spending
from bot.jobs.verify import Verifier
from bot.jobs.verify import policy as sandbox_policy
from bot.ports import (
    Clock,
    Coder,
    DisposeProof,
    Mirror,
    RunError,
    Sandbox,
    SandboxPolicy,
    WorkReport,
    Worktree,
    Worktrees,
)

_log = structlog.get_logger(__name__)


# Lends the way to the hosts that a repository lists; its socket lies in the folder given.
Outward = Callable[[Path, Sequence[str]], AbstractAsyncContextManager[EgressProxy]]


@dataclass(frozen=True, slots=True)
class _Work:
    """A run under way: what its steps share."""

    track: Track
    task: TaskTrack
    mirror: Mirror
    ground: Ground
    contract: Contract
    manners: Manners
    id: str
    ready: Ready | None = None  # the dependencies
    ways: list[EgressProxy] = field(default_factory=list)  # out of its boxes
    sessions: list[str] = field(default_factory=list)  # of agents, that were opened for it


@dataclass(frozen=True, slots=True)
class Attempts:
    """Runs coding agents on tasks; nothing here is seen by anybody else yet."""

    store: Store
    worktrees: Worktrees
    sandbox: Sandbox
    verifier: Verifier
    sessions: Sessions
    coders: Mapping[str, Coder]
    manners: Callable[[Repo, Mirror, str], Awaitable[Manners]]
    clock: Clock
    spending: Spending
    judge: Judge
    outward: Outward | None = None  # None: agents go nowhere
    contracts: Contracts = field(default_factory=Contracts)
    detector: Callable[..., ContextDriftDetector] = ContextDriftDetector

    async def make(self, track: Track, task: TaskTrack, action: RunTask, mirror: Mirror) -> Made:
        """Run the agent once; Stop where it came to nothing, a Made with a situation where its work is not fit."""
        manners = await self.manners(track.repo, mirror, await tip_of(mirror, track))
        stand = await ground(mirror, track, action.mode, action.head, manners.bot, self.clock.now())
        contract = await self.contracts.read(track, task, mirror, stand.base)
        work = _Work(track, task, mirror, stand, contract, manners, f"{track.slug}-{task.id}")
        made = _contradicted(work) if contract.contradiction else await self._made(work, action)
        seen = made.situation
        return replace(made, situation=replace(seen, people=stand.people)) if seen else made

    async def _made(self, work: _Work, action: RunTask) -> Made:
        stand, contract = work.ground, work.contract
        coder = self.coder(work.track.config)
        work = replace(work, ready=await self._ready(work))
        worktree = await self.worktrees.create(work.mirror, work.id, stand.start)
        hosts = RefusedHosts(self.store, work.track, work.task)
        trace: tuple[Step, ...] = ()
        try:
            report, route = await self._employed(work, action, worktree, coder)
            trace = report.trace
            sha, changed = await self._ingest(work, worktree, report)
        except OverBudgetError as error:
            return _unfit(work, Situation(where="before_push", budget_spent=True), str(error).rstrip("."))
        except RunError as error:
            return _drifted(work, error)
        finally:
            await self._clean(work)
            await _kept(hosts, work)
        sha = await self._seated(work, sha)
        made = Made(
            sha=sha,
            tip=stand.tip,
            base=stand.base,
            said=redact(report.said),
            usage=report.usage,
            acceptance=contract.task.acceptance,
            agent=coder.name,
            route=route,
            refused=await hosts.all(),
            drift=(*contract.drift, *map(redact, report.remarks)),
        )
        seen = Seen(work.mirror, contract.task, trace, changed, stand.conflicts)
        return await self.judge.judged(work.track, work.task, made, seen)

    async def left(self, track: Track, task: TaskTrack, action: RunTask, mirror: Mirror) -> Made | None:
        """Take up what a lost run had pushed already, judged like any other work; None where it pushed nothing."""
        head = await mirror.resolve(task.branch) if action.mode == "fresh" else None
        if head is None:
            return None
        tip = await tip_of(mirror, track)
        base = await mirror.merge_base(tip, head)
        bot = (await self.manners(track.repo, mirror, tip)).bot
        if base in {None, head} or await others(mirror, str(base), head, bot):
            return None  # somebody else's
        contract = await self.contracts.read(track, task, mirror, str(base))
        agent = self.coder(track.config).name
        made = Made(sha=head, tip=tip, base=str(base), acceptance=contract.task.acceptance, agent=agent)
        made = replace(made, refused=await RefusedHosts(self.store, track, task).all())
        return await self.judge.judged(track, task, made, Seen(mirror, contract.task, (), (), ()))

    # --- the agent ---------------------------------------------------------------------------------

    def coder(self, config: RepoConfig) -> Coder:
        """Give the agent of the settings; Stop names those that are known."""
        name = config.agent if isinstance(config.agent, str) else "custom"
        if name not in self.coders:
            raise Stop("agent", f"there is no agent `{name}`; known are {', '.join(sorted(self.coders))}")
        return self.coders[name]

    async def _ready(self, work: _Work) -> Ready | None:
        """Have the dependencies before an agent sees anything; Stop where they cannot be had."""
        stand, config = work.ground, work.track.config
        commit = Commit(work.mirror, stand.start, stand.base, config.tasks_dir)
        torn = bool(dependencies.changed(stand.conflicts))
        ready = await self.verifier.dependencies.for_work(commit, config, work.task.scope, torn=torn)
        if ready is not None and ready.made.wrong:
            raise _not_set_up(ready.made)
        return ready

    async def _laid(self, work: _Work, worktree: Worktree, home: Path) -> Mapping[str, str]:
        """Put the dependencies into the worktree and the agent's home; gives the environment in which they are found."""
        if work.ready is None:
            return {}
        lending = self.verifier.dependencies
        made = await lending.lay(work.ready, work.mirror, worktree, home)
        if made.wrong:
            raise _not_set_up(made)
        return lending.environment(work.ready, worktree, home)

    async def _employed(
        self, work: _Work, action: RunTask, worktree: Worktree, coder: Coder
    ) -> tuple[WorkReport, tuple[str, ...]]:
        """Have an agent work in the worktree."""

        hosts, stack = work.track.config.egress, AsyncExitStack()

        async def policy(home: Path) -> SandboxPolicy:
            more = await self._laid(work, worktree, home)
            shown = sandbox_policy(worktree, work.mirror, self.verifier.dependencies.path)
            shown = replace(shown, home=home, env={**shown.env, **more})
            # Without walls there is nothing to lead through.
            if self.outward is None or not hosts or self.sandbox.level == "none":
                return shown
            way = await stack.enter_async_context(self.outward(home.parent, hosts))
            work.ways.append(way)
            return way.shown(shown)

        files = await work.mirror.files(work.ground.base)
        given = Assignment(
            track=work.track,
            task=work.task,
            run=action.run,
            prompt=_prompt(work),
            goal="\n".join((work.task.title, *work.contract.task.acceptance, work.contract.task.context)),
            worktree=worktree.path,
            files=tuple(file.path for file in files),
            laid=work.ready.places if work.ready else (),
            policy=policy,
            sessions=work.sessions,
        )
        employer = Employer(self.store, self.sandbox, self.sessions, self.spending, self.detector)
        async with stack:
            return await employer.work(coder, given)

    async def _ingest(
        self, work: _Work, worktree: Worktree, report: WorkReport
    ) -> tuple[str, tuple[str, ...]]:
        bot, style = work.manners.bot, work.manners.style
        message = commit_message(work.track, work.task, bot, style)
        try:
            ingested = await worktree.ingest(message, bot, self.clock.now(), _records(work))
        except UserError as error:
            raise Stop("refused", str(error), usage=report.usage) from error
        if ingested.sha is None:
            raise Stop("no_change", "the agent ended without changing anything", usage=report.usage)
        return ingested.sha, ingested.changed

    async def _seated(self, work: _Work, sha: str) -> str:
        """Give work on a merge the parents that it is to have."""
        stand = work.ground
        if not stand.parents:
            return sha
        tree = await work.mirror.write_tree(sha, {})
        bot, style = work.manners.bot, work.manners.style
        message = commit_message(work.track, work.task, bot, style, ", conflicts resolved")
        sha = await work.mirror.commit_tree(tree, stand.parents, message, bot, self.clock.now())
        await work.mirror.anchor(f"tasks/{work.id}", sha)
        return sha

    async def _clean(self, work: _Work) -> None:
        """Remove the worktree, and add to the proof of the sessions that worked in it whether it is gone."""
        left = tuple(await self.worktrees.cleanup(work.id))
        if left:
            _log.error("worktree_left_behind", worktree=work.id, left=left)
        gone = () if left else (f"worktree: {work.id}, its folder and what worked in it",)
        if work.sessions:
            await self.sessions.proved(
                work.sessions, DisposeProof(gone, leftovers=tuple(f"worktree: {each}" for each in left))
            )


async def _kept(hosts: RefusedHosts, work: _Work) -> None:
    """Keep which hosts the run was refused; how it ended counts for more than that."""
    try:
        await hosts.add([host for way in work.ways for host in way.refused])
    except BotError as error:
        _log.warning("refused_hosts_not_kept", worktree=work.id, error=str(error))


def _records(work: _Work) -> dict[str, bytes | None]:
    """Give what the host writes into the commit: the status lines that it records, and the spec where it is improved."""
    text = recorded(work.track, work.task.id, work.contract.text)
    records: dict[str, bytes | None] = {f"{work.track.folder}/BACKLOG.yaml": text.encode()}
    if work.contract.improved is not None:
        records[work.contract.spec_path] = work.contract.improved.encode()
    return records


def _prompt(work: _Work) -> str:
    notes = [*work.contract.guidance, *([work.task.feedback] if work.task.feedback else [])]
    return prompts.worker(
        title=work.task.title,
        context=work.contract.task.context,
        scope=work.task.scope,
        acceptance=work.contract.task.acceptance,
        test=work.contract.task.test,
        notes=notes,
    )


def _not_set_up(made: SetUp) -> Stop:
    text = f"the repository could not be set up: {made.wrong}"
    closed = ecosystems.advice(made.refused)
    return Stop("setup", f"{text}; {closed}" if closed else text, fence(made.output))


def _drifted(work: _Work, error: RunError) -> Made:
    """Hand a run that a stop rule ended to RebaseEngine; what lay in its folder is gone with it."""
    seen = Situation(where="before_push", drifted=error.rule or "DRIFT")
    return _unfit(work, seen, f"its agent was stopped: {error}", error.usage)


def _contradicted(work: _Work) -> Made:
    """Ask a person before an agent is paid for what cannot be done."""
    seen = Situation(where="before_push", contradiction=work.contract.contradiction)
    made = _unfit(work, seen, "no agent was started")
    file, spec = code(f"{work.track.folder}/BACKLOG.yaml"), code(work.contract.spec_path)
    branch = code(work.track.repo.default_branch)
    return replace(
        made,
        details=f"What the task asks for stands in {file} and {spec} on {branch}: change it there first.",
    )


def _unfit(work: _Work, seen: Situation, text: str, usage: Usage | None = None) -> Made:
    """Hand a run that made nothing to RebaseEngine."""
    stand = work.ground
    spent = usage or Usage()
    return Made(sha=stand.start, tip=stand.tip, base=stand.base, usage=spent, situation=seen, text=text)
