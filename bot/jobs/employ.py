"""Owns the employment of a coding agent for one run: money, a session, and the models of its route, one after the other."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

from bot.agents.sessions import Sessions
from bot.core.drift import ContextDriftDetector
from bot.core.routing import Choice
from bot.core.sanitize import code
from bot.core.track import TaskTrack, Track
from bot.core.values import Usage
from bot.engine.store import Store
from bot.errors import ParkedError
from bot.git.glance import glancing
from bot.jobs.contract import Stop
from bot.jobs.notes import Notes
from bot.jobs.spending import Spending, Spent, run_id
from bot.ports import Coder, RunError, Sandbox, SandboxPolicy, WorkOrder, WorkReport

_FAILED = frozenset({"fix_forward", "regenerate"})  # decisions about work that was wrong
_AWAY = frozenset({"quota", "down"})  # of the provider: another model, or later
_NO_CHANGE = "the agent ended without changing anything"


@dataclass(frozen=True, slots=True)
class Assignment:
    """What an agent is employed for."""

    track: Track
    task: TaskTrack
    run: int
    prompt: str
    goal: str  # of the prompt, the words that say what is wanted
    worktree: Path
    files: tuple[str, ...]  # of the base
    policy: Callable[[Path], Awaitable[SandboxPolicy]]  # of a session with this HOME, its dependencies laid
    sessions: list[str] = field(default_factory=list)  # those that were opened for it
    laid: tuple[str, ...] = ()  # where its dependencies come to lie in the worktree


@dataclass(frozen=True, slots=True)
class Employer:
    """Has an agent work, and says what it cost."""

    store: Store
    sandbox: Sandbox
    sessions: Sessions
    spending: Spending
    detector: Callable[..., ContextDriftDetector]

    async def work(self, coder: Coder, given: Assignment) -> tuple[WorkReport, tuple[str, ...]]:
        """Run the agent with money reserved for it; gives what it cost by the ledger's reckoning, and why this model.

        RunError drift where a rule stopped it, ParkedError where its providers are away, else Stop.
        """
        track, task = given.track, given.task
        spent: Spent | None = None
        try:
            # What failed with the cheaper model is not given to it again; a conflict or the base is no such failure.
            promoted = not _FAILED.isdisjoint(task.decisions)
            choice = await self.spending.route_task(track, task, given.files, promoted=promoted)
            run = self.spending.run(
                track,
                choice.role,
                choice.models,
                run_id(task, given.run),
                longest=timedelta(minutes=track.config.limits.task_minutes),
            )
            async with run as spent:
                report, notes = await self._in_turn(coder, given, choice, spent)
            return replace(report, usage=spent.total), (*choice.reasons, *notes)
        except RunError as error:
            usage = spent.total if spent else error.usage
            if error.reason == "drift":
                raise RunError("drift", str(error), usage, error.trace, error.rule) from error
            text = _NO_CHANGE if error.reason == "no_change" else str(error)
            raise Stop(error.reason, text, _remedy(error, task), usage) from error

    async def _in_turn(
        self, coder: Coder, given: Assignment, choice: Choice, spent: Spent
    ) -> tuple[WorkReport, tuple[str, ...]]:
        """Try the models of the route as long as their providers are away and nothing has been changed."""
        models = list(choice.models) or [""]
        spent.add(models[0], Usage())  # whatever happens until an agent begins costs nothing
        notes: list[str] = []
        back: list[datetime] = []
        looking = glancing(self.sandbox, given.worktree, given.worktree.parent / "glance", given.laid)
        async with looking as glance:
            while True:
                model, before = models.pop(0), await glance()
                try:
                    return await self._with(model, coder, given, spent, glance), tuple(notes)
                except RunError as error:
                    if error.reason not in _AWAY:
                        raise
                    back.append(await self.spending.away(model, error))
                    if not models or await glance() != before:
                        after = (min(back) - spent.now()).total_seconds()
                        raise ParkedError(str(error), max(after, 1.0)) from error
                    notes.append(f"{model}: {error.reason}, so {models[0]} was asked instead")

    async def _with(
        self,
        model: str,
        coder: Coder,
        given: Assignment,
        spent: Spent,
        glance: Callable[[], Awaitable[str]],
    ) -> WorkReport:
        track, task = given.track, given.task
        config = track.config
        async with self.sessions.open("coder", track.key, task.id) as session:
            given.sessions.append(session.id)
            order = WorkOrder(
                track=track.id,
                task=task.id,
                title=task.title,
                prompt=given.prompt,
                scope=task.scope,
                run=given.run,
                policy=await given.policy(session.home),
                session=session.id,
                state_dir=session.dir,
                timeout=config.limits.task_minutes * 60.0,
                model=model,
                usd=spent.left,
                tokens=spent.tokens_left,
                command=() if isinstance(config.agent, str) else config.agent.command,
                notes=_Told(Notes(self.store, track, task)),
                judge=lambda tree: self._detector(given, tree).observe,
                tree=glance,
                disposed=session.ended,
                spent=lambda used: spent.add(model, used),
            )
            spent.begin(model)
            return await coder.work(order, self.sandbox)

    def _detector(self, given: Assignment, tree: str) -> ContextDriftDetector:
        task = given.task
        return self.detector(task.scope, task_class=task.kind, tree=tree, goal=given.goal)


class _Told:
    """Gives a run's notes one by one."""

    def __init__(self, notes: Notes) -> None:
        self._notes = notes
        self._told = 0

    async def __call__(self) -> str | None:
        given = await self._notes.for_run()
        if len(given) <= self._told:
            return None
        key, words = given[self._told]
        self._told += 1
        await self._notes.heard(key)
        return words


def _remedy(error: RunError, task: TaskTrack) -> str:
    """Say what an operator has to do, where only they can."""
    if error.reason != "auth":
        return ""
    again = code(f"/agent retry {task.id}")
    return f"Whoever operates this bot has to give it a key that its provider takes. Then {again} goes on."
