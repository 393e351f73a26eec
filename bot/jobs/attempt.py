"""Owns one run of a coding agent: a worktree, an agent in a sandbox, a commit by the host, and what can be said of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta

import structlog

from bot import prompts
from bot.agents.sessions import Sessions
from bot.core.actions import RunTask
from bot.core.config import RepoConfig
from bot.core.drift import ContextDriftDetector, Step
from bot.core.messages_pulls import commit_message
from bot.core.rebasing import Situation
from bot.core.routing import Choice
from bot.core.sanitize import code, redact
from bot.core.track import TaskTrack, Track
from bot.core.values import Repo, Usage
from bot.engine.store import Store
from bot.errors import UserError
from bot.git.glance import Glance
from bot.jobs.contract import Contract, Contracts, Stop
from bot.jobs.ground import Ground, ground, others, recorded, tip_of
from bot.jobs.judge import Judge, Made, Seen
from bot.jobs.manners import Manners
from bot.jobs.notes import Notes
from bot.jobs.spending import OverBudgetError, Spending, Spent
from bot.jobs.verify import Verifier
from bot.jobs.verify import policy as sandbox_policy
from bot.ports import Clock, Coder, Mirror, RunError, Sandbox, WorkOrder, WorkReport, Worktree, Worktrees

_log = structlog.get_logger(__name__)

_FAILED = frozenset({"fix_forward", "regenerate"})  # decisions about work that was wrong


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
        worktree = await self.worktrees.create(work.mirror, work.id, stand.start)
        trace: tuple[Step, ...] = ()
        try:
            report, route = await self._paid(work, action, worktree, coder)
            trace = report.trace
            sha, changed = await self._ingest(work, worktree, report)
        except OverBudgetError as error:
            return _unfit(work, Situation(where="before_push", budget_spent=True), str(error).rstrip("."))
        except RunError as error:
            return _drifted(work, error)
        finally:
            await self._clean(work.id)
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
            drift=contract.drift,
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
        return await self.judge.judged(track, task, made, Seen(mirror, contract.task, (), (), ()))

    # --- the agent ---------------------------------------------------------------------------------

    def coder(self, config: RepoConfig) -> Coder:
        """Give the agent of the settings; Stop names those that are known."""
        name = config.agent if isinstance(config.agent, str) else "custom"
        if name not in self.coders:
            raise Stop("agent", f"there is no agent `{name}`; known are {', '.join(sorted(self.coders))}")
        return self.coders[name]

    async def _paid(
        self, work: _Work, action: RunTask, worktree: Worktree, coder: Coder
    ) -> tuple[WorkReport, tuple[str, ...]]:
        """Run the agent with money reserved for it; gives what it cost by the ledger's reckoning, and why this model."""
        track, task = work.track, work.task
        files = [file.path for file in await work.mirror.files(work.ground.base)]
        spent: Spent | None = None
        try:
            # What failed with the cheaper model is not given to it again; a conflict or the base is no such failure.
            promoted = not _FAILED.isdisjoint(task.decisions)
            choice = await self.spending.route_task(track, task, files, promoted=promoted)
            run = self.spending.run(
                track,
                choice.role,
                choice.models[:1],
                f"{task.id}-a{task.attempt}-r{action.run}",
                longest=timedelta(minutes=track.config.limits.task_minutes),
            )
            async with run as spent:
                report = await self._agent(work, action, worktree, coder, choice, spent.usd)
                spent.usage = report.usage
            return replace(report, usage=spent.total), choice.reasons
        except RunError as error:
            usage = spent.total if spent else error.usage
            if error.reason == "drift":
                raise RunError("drift", str(error), usage, error.trace, error.rule) from error
            raise Stop(error.reason, str(error), usage=usage) from error

    async def _agent(
        self,
        work: _Work,
        action: RunTask,
        worktree: Worktree,
        coder: Coder,
        choice: Choice,
        usd: float | None,
    ) -> WorkReport:
        track, task = work.track, work.task
        glance = Glance(worktree.path)
        notes, told = Notes(self.store, track, task), 0

        async def note() -> str | None:
            nonlocal told
            given = await notes.for_run()
            if len(given) <= told:
                return None
            key, words = given[told]
            told += 1
            await notes.heard(key)
            return words

        async with self.sessions.open("coder", track.key, task.id) as session:
            order = WorkOrder(
                track=track.id,
                task=task.id,
                title=task.title,
                prompt=_prompt(work),
                scope=task.scope,
                run=action.run,
                worktree=worktree.path,
                session=session.id,
                state_dir=session.dir,
                timeout=track.config.limits.task_minutes * 60.0,
                model=next(iter(choice.models), ""),
                usd=usd,
                command=() if isinstance(track.config.agent, str) else track.config.agent.command,
                notes=note,
                observe=self.detector(task.scope, task_class=task.kind, tree=await glance()).observe,
                tree=glance,
            )
            shown = replace(sandbox_policy(worktree, work.mirror, self.verifier.path), home=session.home)
            async with self.sandbox.open(shown) as box:
                return await coder.work(order, box)

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
        return await work.mirror.commit_tree(tree, stand.parents, message, bot, self.clock.now())

    async def _clean(self, id_: str) -> None:
        left = await self.worktrees.cleanup(id_)
        if left:
            _log.error("worktree_left_behind", worktree=id_, left=left)


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
