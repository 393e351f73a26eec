"""Owns planning: three agents propose in parallel, their proposals are merged without a model."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog

from bot.agents.sessions import Sessions
from bot.core.actions import MakePlan
from bot.core.config import RepoConfig
from bot.core.events import PlanFailed, PlanMade
from bot.core.packet import rank_files
from bot.core.planning import MergedPlan, PlanProposal, structured_merge
from bot.core.track import Track
from bot.core.values import Usage
from bot.errors import AgentError
from bot.jobs.repository import Repositories
from bot.ports import Mirror, PlanBrief, Planner, Proposed, Worktree, Worktrees

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
    slots: asyncio.Semaphore
    merge: Callable[..., MergedPlan] = structured_merge

    async def __call__(self, track: Track, action: MakePlan) -> PlanMade | PlanFailed:
        mirror = await self.repositories.fresh(track.repo, 60.0)
        base = action.base_sha
        files = tuple(file.path for file in await mirror.files(base))
        ranked = await self._ranked(track, mirror, base)
        id_ = f"{track.key.replace('/', '-')}-plan"
        worktree = await self.worktrees.create(mirror, id_, base)
        try:
            outcomes = await self._all(track, worktree, base, ranked)
        finally:
            left = await self.worktrees.cleanup(id_)
            if left:
                _log.error("worktree_left_behind", worktree=id_, left=left)
        good = [outcome for outcome in outcomes if isinstance(outcome, Proposed)]
        failures = tuple(outcome for outcome in outcomes if isinstance(outcome, str))
        usage = sum((outcome.usage for outcome in good), Usage())
        proposals = [_based(outcome.proposal, base) for outcome in good]
        if not any(proposal.tasks for proposal in proposals):
            said = tuple(f"{p.agent_id} proposed no task" for p in proposals)
            return PlanFailed(failures=(*failures, *said), usage=usage)
        merged = self.merge(proposals, planners=len(outcomes), files=files)
        return PlanMade(plan=merged, usage=usage, failures=failures)

    async def _ranked(self, track: Track, mirror: Mirror, base: str) -> tuple[str, ...]:
        """Rank the files that the issue is likely about."""
        documents = await read_texts(mirror, base)
        query = "\n".join([track.frozen.title, track.frozen.body, *track.frozen.comments])
        ranked = await asyncio.to_thread(rank_files, query, documents)
        return tuple(path for path, _ in ranked[:RANKED])

    async def _all(
        self, track: Track, worktree: Worktree, base: str, ranked: tuple[str, ...]
    ) -> list[Proposed | str]:
        """Run all planners; once most are back, one that hangs gets a bounded grace."""
        limit = track.config.limits.plan_minutes * 60.0
        began = asyncio.get_running_loop().time()
        tasks = {
            agent_id: asyncio.create_task(self._one(track, worktree, base, ranked, agent_id, planner, limit))
            for agent_id, planner in self.planners(track.config)
        }
        try:
            pending = set(tasks.values())
            while pending:
                _, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
                good = sum(t.done() and isinstance(t.result(), Proposed) for t in tasks.values())
                if pending and good * 2 > len(tasks):
                    took = asyncio.get_running_loop().time() - began
                    await asyncio.wait(pending, timeout=max(MIN_GRACE, took * STRAGGLER_GRACE))
                    break
        finally:
            # A cancelled planner ends its session before it is gone, so wait for all of them.
            for task in tasks.values():
                task.cancel()
            await asyncio.gather(*tasks.values(), return_exceptions=True)
        return [
            f"{agent_id}: gave no answer in time" if task.cancelled() else task.result()
            for agent_id, task in tasks.items()
        ]

    async def _one(
        self,
        track: Track,
        worktree: Worktree,
        base: str,
        ranked: tuple[str, ...],
        agent_id: str,
        planner: Planner,
        limit: float,
    ) -> Proposed | str:
        async with self.slots, self.sessions.open("planner", track.key) as session:
            brief = PlanBrief(
                agent_id=agent_id,
                title=track.frozen.title,
                body=track.frozen.body,
                comments=track.frozen.comments,
                base_sha=base,
                ranked_files=ranked,
                worktree=worktree.path,
                session=session.id,
                state_dir=session.dir,
            )
            try:
                return await asyncio.wait_for(planner.propose(brief), limit)
            except AgentError as error:
                return f"{agent_id}: {error}"
            except TimeoutError:
                return f"{agent_id}: gave no answer in {track.config.limits.plan_minutes:g} minutes"


def _based(proposal: PlanProposal, base: str) -> PlanProposal:
    return proposal if proposal.base_sha else proposal.model_copy(update={"base_sha": base})


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
