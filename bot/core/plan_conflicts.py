"""Owns what planners disagree about: order, fields, scope, possible duplicates, an outdated base."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import combinations

from bot.core import ordering, similarity
from bot.core.plan_clusters import (
    SAFER_ESTIMATES,
    SAFER_KINDS,
    SAFER_PRIORITIES,
    Cluster,
    document,
    majority,
)
from bot.core.plans import Conflict, PlanProposal

Edge = ordering.Edge
Keys = Mapping[int, str]


def needs(groups: Sequence[Cluster], keys: Keys) -> tuple[set[Edge], list[Conflict]]:
    """Find what each cluster needs first: what at least half of the planners that have both say, without a cycle."""
    where = {(m.side, m.place): index for index, group in enumerate(groups) for m in group.members}
    said: dict[Edge, set[int]] = {}
    notes: list[Conflict] = []
    for index, group in enumerate(groups):
        for member in group.members:
            names = _local_names(groups, member.side)
            for local in dict.fromkeys(member.task.depends_on):
                if local not in names or local == member.task.local_id:
                    notes.append(_dangling(keys[index], member.agent, local))
                    continue
                edge = (index, where[member.side, names[local]])
                said.setdefault(edge, set()).add(member.side)
    support: dict[Edge, int] = {}
    for (task, need), sides in sorted(said.items()):
        if 2 * len(sides) >= len(groups[task].sides & groups[need].sides):
            support[task, need] = len(sides)
        else:
            notes.append(_order_conflict(groups, keys, (task, need), said, "most planners do not say so"))
    kept, dropped = ordering.break_cycles(len(groups), support)
    notes += [
        _order_conflict(groups, keys, edge, said, "together with other dependencies that is a cycle")
        for edge in dropped
    ]
    return kept, list(dict.fromkeys(notes))


def _local_names(groups: Sequence[Cluster], side: int) -> dict[str, int]:
    """Map a proposal's local ids to places; of a repeated id the first counts."""
    members = sorted(
        (m for group in groups for m in group.members if m.side == side), key=lambda m: m.place, reverse=True
    )
    return {member.task.local_id: member.place for member in members}


def _dangling(key: str, agent: str, local: str) -> Conflict:
    evidence = f"depends on `{local}`, which is not another task of the same proposal; left out"
    return Conflict(kind="ORDER", tasks=(key,), agents=(agent,), evidence=evidence)


def _order_conflict(
    groups: Sequence[Cluster], keys: Keys, edge: Edge, said: Mapping[Edge, set[int]], reason: str
) -> Conflict:
    task, need = edge
    agents = tuple(sorted({m.agent for m in groups[task].members if m.side in said[edge]}))
    evidence = f"`{keys[task]}` was said to need `{keys[need]}`; left out, because {reason}"
    return Conflict(kind="ORDER", tasks=(keys[task], keys[need]), agents=agents, evidence=evidence)


def fields(groups: Sequence[Cluster], order: Sequence[int], keys: Keys) -> Iterator[Conflict]:
    """Tell where votes for kind, priority or estimate are tied."""
    for index in order:
        group = groups[index]
        tasks = [member.task for member in group.members]
        ties: list[tuple[str, tuple[str, ...]]] = [
            ("kind", majority([task.kind for task in tasks], SAFER_KINDS)[1]),
            ("priority", majority([task.priority for task in tasks], SAFER_PRIORITIES)[1]),
            ("estimate", majority([task.estimate for task in tasks], SAFER_ESTIMATES)[1]),
        ]
        for name, tied in ties:
            if len(tied) > 1:
                evidence = f"{name}: {' or '.join(tied)}; taken: {tied[0]}"
                yield Conflict(kind="FIELD", tasks=(keys[index],), agents=group.agents, evidence=evidence)


def scopes(
    groups: Sequence[Cluster], main: Sequence[int], edges: Collection[Edge], keys: Keys
) -> Iterator[Conflict]:
    """Tell which main tasks touch the same files though neither waits for the other."""
    reach = ordering.descendants(len(groups), edges)
    paths = {index: {path for m in groups[index].members for path in m.task.files} for index in main}
    for a, b in combinations(main, 2):
        common = sorted(paths[a] & paths[b])
        if common and not reach[a] >> b & 1 and not reach[b] >> a & 1:
            agents = tuple(sorted({*groups[a].agents, *groups[b].agents}))
            evidence = "both change " + ", ".join(f"`{path}`" for path in common)
            yield Conflict(kind="SCOPE", tasks=(keys[a], keys[b]), agents=agents, evidence=evidence)


def duplicates(
    groups: Sequence[Cluster], order: Sequence[int], keys: Keys, vectors: similarity.Vectors
) -> Iterator[Conflict]:
    """Tell which tasks of different planners are alike, but not enough to be merged."""
    documents = [document(group.medoid.task) for group in groups]
    for a, b in combinations(order, 2):
        if groups[a].sides & groups[b].sides:
            continue  # a planner that has both holds them to be different
        score = similarity.similarity(documents[a], documents[b], vectors)
        if score >= similarity.T_REVIEW:
            agents = tuple(sorted({*groups[a].agents, *groups[b].agents}))
            evidence = f"alike by {score:.2f}, kept apart"
            yield Conflict(
                kind="POSSIBLE_DUPLICATE", tasks=(keys[a], keys[b]), agents=agents, evidence=evidence
            )


def base_of(proposals: Sequence[PlanProposal]) -> str:
    """Give the commit that most proposals were made for; ties by the least."""
    counts = Counter(proposal.base_sha for proposal in proposals if proposal.base_sha)
    return min(counts, key=lambda sha: (-counts[sha], sha)) if counts else ""


def stale(proposals: Sequence[PlanProposal]) -> Iterator[Conflict]:
    """Tell which proposals were made for another commit than most."""
    base = base_of(proposals)
    for agent, sha in sorted({(p.agent_id, p.base_sha) for p in proposals if p.base_sha not in ("", base)}):
        evidence = f"planned at `{sha}`, the others at `{base}`"
        yield Conflict(kind="STALE", agents=(agent,), evidence=evidence)
