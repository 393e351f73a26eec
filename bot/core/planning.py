"""Owns plans: typed proposals of planning agents and `structured_merge`, their merge without a model.

structured_merge(proposals, *, planners, files=()) -> MergedPlan: the same bytes for every order of proposals.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from bot.core import ordering, plan_conflicts, similarity
from bot.core.plan_clusters import Cluster, cluster, document, keys_of, members_of, planned, union
from bot.core.plans import (
    Conflict,
    ConflictKind,
    Estimate,
    Kind,
    MergedPlan,
    PlannedTask,
    PlanProposal,
    Priority,
    ProposedTask,
    Source,
)

__all__ = [
    "Conflict",
    "ConflictKind",
    "Estimate",
    "Kind",
    "MergedPlan",
    "PlanProposal",
    "PlannedTask",
    "Priority",
    "ProposedTask",
    "Source",
    "structured_merge",
]


def structured_merge(
    proposals: Sequence[PlanProposal], *, planners: int, files: Collection[str] = ()
) -> MergedPlan:
    """Merge proposals into one plan; `files` are the paths at the base, they tell rare words from common ones.

    The order of the proposals does not matter, the order of tasks within each is that planner's opinion.
    """
    everyone = sorted(proposals, key=lambda p: (p.agent_id, p.model_dump_json()))
    sides = [proposal for proposal in everyone if proposal.tasks]
    members = [members_of(index, proposal) for index, proposal in enumerate(sides)]
    documents = [[document(member.task) for member in side] for side in members]
    summaries = [proposal.summary for proposal in sides]
    vectors = similarity.Vectors([*(d.text for side in documents for d in side), *summaries], files)
    groups = sorted(
        (
            cluster([members[side][place] for side, place in group], vectors)
            for group in similarity.clusters(documents, vectors)
        ),
        key=lambda group: group.order,
    )
    merged = _assemble(groups, sides, planners, vectors)
    return merged.model_copy(
        update={
            "risks": union(proposal.risks for proposal in everyone),
            "questions": union(proposal.questions for proposal in everyone),
        }
    )


def _assemble(
    groups: Sequence[Cluster], sides: Sequence[PlanProposal], planners: int, vectors: similarity.Vectors
) -> MergedPlan:
    keys = keys_of(groups, range(len(groups)))
    edges, notes = plan_conflicts.needs(groups, keys)
    order = ordering.arrange(len(groups), edges, _rankings(groups, len(sides)))
    tasks = {
        index: planned(groups[index], keys[index], [keys[need] for need in order if (index, need) in edges])
        for index in order
    }
    main = _main(groups, edges, len(sides))
    in_main = [index for index in order if index in main]
    return MergedPlan(
        base_sha=plan_conflicts.base_of(sides),
        planners=planners,
        proposals=len(sides),
        summary=_medoid_summary([proposal.summary for proposal in sides], vectors),
        tasks=tuple(tasks[index] for index in in_main),
        minority=tuple(tasks[index] for index in order if index not in main),
        conflicts=(
            *plan_conflicts.stale(sides),
            *notes,
            *plan_conflicts.fields(groups, order, keys),
            *plan_conflicts.scopes(groups, in_main, edges, keys),
            *plan_conflicts.duplicates(groups, order, keys, vectors),
        ),
    )


def _rankings(groups: Sequence[Cluster], sides: int) -> list[list[int]]:
    """Give each planner's order of the clusters that it has."""
    places: list[list[tuple[int, int]]] = [[] for _ in range(sides)]
    for index, group in enumerate(groups):
        for member in group.members:
            places[member.side].append((member.place, index))
    return [[index for _, index in sorted(side)] for side in places]


def _main(groups: Sequence[Cluster], edges: Collection[ordering.Edge], proposals: int) -> set[int]:
    """Choose what will be done: two votes, or needed by such a task; with one proposal everything."""
    chosen = {index for index, group in enumerate(groups) if proposals < 2 or len(group.sides) > 1}
    reach = ordering.descendants(len(groups), edges)
    needed = {need for index in chosen for need in range(len(groups)) if reach[index] >> need & 1}
    return chosen | needed


def _medoid_summary(summaries: Sequence[str], vectors: similarity.Vectors) -> str:
    """Take the summary most like the others, never a mixture."""
    given = sorted(summary for summary in summaries if summary.strip())
    means = {mine: sum(vectors.cosine(mine, other) for other in given) for mine in given}
    return min(given, key=lambda summary: (-round(means[summary], 9), summary), default="")
