"""Owns planning: three agents propose in parallel, their proposals are merged without a model."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

import structlog

from bot.agents.sessions import Session, Sessions
from bot.core.actions import MakePlan
from bot.core.config import RepoConfig
from bot.core.events import PlanFailed, PlanMade
from bot.core.packet import rank_files
from bot.core.planning import MergedPlan, PlanProposal, structured_merge
from bot.core.track import Track
from bot.core.values import Usage
from bot.engine.pool import WorkerPool
from bot.errors import BotError, RetryableError
from bot.jobs.repository import Repositories
from bot.jobs.spending import OverBudgetError, Spending, Spent
from bot.models.meter import MeteredPlanner
from bot.ports import Mirror, PlanBrief, Planner, Worktree, Worktrees

_log = structlog.get_logger(__name__)

RANKED = 12  # files shown to planners
MAX_SOURCE = 200_000  # bytes of a file that retrieval reads
MAX_FILES = 5_000
MAX_SOURCES = 48 << 20  # bytes of all files together: they are in memory at once
STRAGGLER_GRACE = 3.0  # times what the slowest other took; a majority does not wait for one that hangs
MIN_GRACE = 20.0  # seconds


@dataclass(frozen=True, slots=True)
class PlanJob:
    """Runs the planning agents on the frozen text and merges what they return."""

    repositories: Repositories
    worktrees: Worktrees
    sessions: Sessions
    planners: Callable[[RepoConfig], Sequence[tuple[str, Planner]]]
    pool: WorkerPool
    spending: Spending
    merge: Callable[..., MergedPlan] = structured_merge

    async def __call__(self, track: Track, action: MakePlan) -> PlanMade | PlanFailed:
        try:
            choice = await self.spending.choose(track, "planning", waits=f"plan:{action.base_sha}")
        except OverBudgetError as error:
            return PlanFailed(failures=(str(error),))
        mirror = await self.repositories.fresh(track.repo, 60.0)
        base = action.base_sha
        files = tuple(file.path for file in await mirror.files(base))
        ranked = await self._ranked(track, mirror, base)
        id_ = f"{track.key.replace('/', '-')}-plan"
        worktree = await self.worktrees.create(mirror, id_, base)
        places = asyncio.Semaphore(track.config.limits.planners)
        try:
            outcomes = await self._all(_Round(track, worktree, base, ranked, choice.models, places))
        finally:
            left = await self.worktrees.cleanup(id_)
            if left:
                _log.error("worktree_left_behind", worktree=id_, left=left)
        return self._merged(outcomes, base, files)

    def _merged(
        self, outcomes: Sequence[_Outcome], base: str, files: tuple[str, ...]
    ) -> PlanMade | PlanFailed:
        good = [outcome.proposal for outcome in outcomes if outcome.proposal is not None]
        # All planners out of money say the same; once is enough.
        failures = tuple(dict.fromkeys(outcome.failure for outcome in outcomes if outcome.failure))
        usage = sum((outcome.usage for outcome in outcomes), Usage())
        if (wait := waited_for([outcome.later for outcome in outcomes])) is not None:
            raise wait
        proposals = [_based(proposal, base) for proposal in good]
        if not any(proposal.tasks for proposal in proposals):
            return PlanFailed(failures=(*failures, *map(_without_tasks, proposals)), usage=usage)
        merged = self.merge(proposals, planners=len(outcomes), files=files)
        return PlanMade(plan=merged, usage=usage, failures=failures)

    async def _ranked(self, track: Track, mirror: Mirror, base: str) -> tuple[str, ...]:
        """Rank the files that the issue is likely about."""
        documents = await read_texts(mirror, base)
        query = "\n".join([track.frozen.title, track.frozen.body, *track.frozen.comments])
        ranked = await asyncio.to_thread(rank_files, query, documents)
        return tuple(path for path, _ in ranked[:RANKED])

    async def _all(self, begun: _Round) -> list[_Outcome]:
        """Run all planners; once most are back, one that hangs gets a bounded grace."""
        began = asyncio.get_running_loop().time()
        planners = dict(self.planners(begun.track.config))
        outcomes = {agent_id: _Outcome() for agent_id in planners}
        tasks = {
            agent_id: asyncio.create_task(
                self._one(begun, agent_id, planner, len(planners), outcomes[agent_id])
            )
            for agent_id, planner in planners.items()
        }
        try:
            pending = set(tasks.values())
            while pending:
                _, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
                good = sum(outcome.proposal is not None for outcome in outcomes.values())
                if pending and good * 2 > len(tasks):
                    took = asyncio.get_running_loop().time() - began
                    await asyncio.wait(pending, timeout=max(MIN_GRACE, took * STRAGGLER_GRACE))
                    break
        finally:
            # A cancelled planner ends its session before it is gone, so wait for all of them.
            for task in tasks.values():
                task.cancel()
            await asyncio.gather(*tasks.values(), return_exceptions=True)
        for agent_id, task in tasks.items():
            if task.cancelled():
                outcomes[agent_id].failure = f"{agent_id}: gave no answer in time"
            elif (error := task.exception()) is not None:
                _log.error("planner_crashed", planner=agent_id, exc_info=error)
                outcomes[
                    agent_id
                ].failure = f"{agent_id}: internal error ({type(error).__name__}); see the bot's log"
        return list(outcomes.values())

    async def _one(
        self, begun: _Round, agent_id: str, planner: Planner, among: int, outcome: _Outcome
    ) -> None:
        """Run one planner with money of its own, and note what came of it, whatever that is."""
        track, limit = begun.track, begun.track.config.limits.plan_minutes * 60.0
        spent: Spent | None = None
        try:
            async with (
                begun.places,
                self.pool.lend("planners", f"{track.key} {agent_id}", 2 * limit),
                self.spending.run(
                    track,
                    "planning",
                    begun.models,
                    f"plan:{begun.base}:{agent_id}",
                    longest=timedelta(seconds=limit),
                    among=among,
                ) as spent,
                self.sessions.open("planner", track.key) as session,
            ):
                counted = planner.metered(spent) if isinstance(planner, MeteredPlanner) else planner
                async with asyncio.timeout(limit):
                    proposed = await counted.propose(begun.brief(agent_id, session, spent))
                spent.usage = proposed.usage
            outcome.proposal = proposed.proposal
        except OverBudgetError as error:
            outcome.failure = str(error)
        except RetryableError as error:
            outcome.later, outcome.failure = error, f"{agent_id}: {error}"
        except BotError as error:  # of an agent, its box, its configuration
            outcome.failure = f"{agent_id}: {error}"
        except TimeoutError:
            outcome.failure = f"{agent_id}: gave no answer in {track.config.limits.plan_minutes:g} minutes"
        finally:
            outcome.usage = spent.total if spent else Usage()


def waited_for(later: Sequence[RetryableError | None]) -> RetryableError | None:
    """Give what a round waits for, the shortest: only where each planner waits, since the others would cost money again."""
    waits = [each for each in later if each is not None]
    whole = waits and len(waits) == len(later)
    return min(waits, key=lambda each: each.after or 0.0) if whole else None


@dataclass(frozen=True, slots=True)
class _Round:
    """What all planners of a round are given."""

    track: Track
    worktree: Worktree
    base: str
    ranked: tuple[str, ...]
    models: tuple[str, ...]
    places: asyncio.Semaphore  # of this round, beside those of the process

    def brief(self, agent_id: str, session: Session, spent: Spent) -> PlanBrief:
        frozen = self.track.frozen
        return PlanBrief(
            agent_id=agent_id,
            title=frozen.title,
            body=frozen.body,
            comments=frozen.comments,
            base_sha=self.base,
            ranked_files=self.ranked,
            worktree=self.worktree.path,
            session=session.id,
            state_dir=session.dir,
            models=self.models,
            usd=spent.usd,
            tokens=spent.tokens,
            disposed=session.ended,
            bill=spent,
        )


@dataclass(slots=True)
class _Outcome:
    """What came of one planner, filled while it runs: even one that is stopped has cost something."""

    proposal: PlanProposal | None = None
    usage: Usage = field(default_factory=Usage)
    failure: str = ""
    later: RetryableError | None = None


def _based(proposal: PlanProposal, base: str) -> PlanProposal:
    return proposal if proposal.base_sha else proposal.model_copy(update={"base_sha": base})


def _without_tasks(proposal: PlanProposal) -> str:
    questions = " ".join(proposal.questions)
    asked = f", but asks (answer in a comment on the issue first): {questions}" if questions else ""
    return f"{proposal.agent_id} proposed no task{asked}"


async def read_texts(mirror: Mirror, sha: str) -> dict[str, str]:
    """Read the text files of a commit that retrieval may rank; large and binary ones are left out."""
    files = [f for f in await mirror.files(sha) if f.size <= MAX_SOURCE and f.mode.startswith("100")]
    chosen, total = [], 0
    for file in files[:MAX_FILES]:
        total += file.size
        if total > MAX_SOURCES:
            break
        chosen.append(file.path)
    raw = await mirror.read_many(sha, chosen, MAX_SOURCE)
    return {path: data.decode(errors="replace") for path, data in raw.items() if b"\0" not in data[:8000]}
