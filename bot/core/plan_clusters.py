"""Owns clusters: the proposed tasks that are one task, and what they say together."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from bot.core import similarity
from bot.core.plans import Estimate, Kind, PlannedTask, PlanProposal, Priority, ProposedTask, Source

# On a tie the earlier value is taken: it costs more, but is not wrong by being too small.
SAFER_KINDS: tuple[Kind, ...] = ("complex", "simple", "documentation")
SAFER_PRIORITIES: tuple[Priority, ...] = ("critical", "high", "medium", "low")
SAFER_ESTIMATES: tuple[Estimate, ...] = ("L", "M", "S")

T = TypeVar("T", bound=str)


@dataclass(frozen=True, slots=True)
class Member:
    """One proposed task: which proposal it is of, where in it, and the task with clean paths."""

    side: int
    place: int
    agent: str
    task: ProposedTask

    @property
    def digest(self) -> str:
        """Identify the task's content, whoever proposed it."""
        content = self.task.model_dump_json(exclude={"local_id", "depends_on"})
        return hashlib.sha256(content.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Cluster:
    """Tasks that are one; `medoid` is the member whose texts stand for all."""

    members: tuple[Member, ...]
    medoid: Member
    digest: str

    @property
    def agents(self) -> tuple[str, ...]:
        return tuple(sorted({member.agent for member in self.members}))

    @property
    def sides(self) -> frozenset[int]:
        return frozenset(member.side for member in self.members)

    @property
    def order(self) -> tuple[str, list[tuple[str, str, int]]]:
        """Sort clusters by content, so that nothing depends on who answered first."""
        return (self.digest, sorted((m.agent, m.task.local_id, m.place) for m in self.members))


def clean_path(path: str) -> str:
    """Write a path as git does: forward slashes, no leading `./`, nothing doubled."""
    path = path.strip().replace("\\", "/")
    parts = [part for part in path.split("/") if part not in ("", ".")]
    return ("/" if path.startswith("/") else "") + "/".join(parts)


def members_of(side: int, proposal: PlanProposal) -> list[Member]:
    """Give a proposal's tasks with clean paths, in its order."""
    found = []
    for place, task in enumerate(proposal.tasks):
        paths = tuple(dict.fromkeys(path for path in map(clean_path, task.files) if path))
        found.append(Member(side, place, proposal.agent_id, task.model_copy(update={"files": paths})))
    return found


def document(task: ProposedTask) -> similarity.Document:
    """Give what is compared of a task; the title counts twice."""
    text = "\n".join((task.title, task.title, task.description, " ".join(task.symbols)))
    return similarity.Document(text, frozenset(task.files))


def cluster(members: Sequence[Member], vectors: similarity.Vectors) -> Cluster:
    """Make a cluster; its medoid is the member most like the others, ties by content."""
    documents = [document(member.task) for member in members]
    means = [sum(similarity.similarity(mine, other, vectors) for other in documents) for mine in documents]
    medoid = min(
        zip(members, means, strict=True), key=lambda pair: (-round(pair[1], 9), pair[0].digest, pair[0].side)
    )[0]
    return Cluster(tuple(sorted(members, key=lambda m: (m.agent, m.side))), medoid, medoid.digest)


def keys_of(groups: Sequence[Cluster], order: Sequence[int]) -> dict[int, str]:
    """Name each cluster after its title; a repeated name gets a number."""
    keys: dict[int, str] = {}
    for index in order:
        title = unicodedata.normalize("NFKD", groups[index].medoid.task.title)
        plain = title.encode("ascii", "ignore").decode().lower()
        slug = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:40].strip("-") or "task"
        key, number = slug, 1
        while key in keys.values():
            number += 1
            key = f"{slug}-{number}"
        keys[index] = key
    return keys


def planned(group: Cluster, key: str, needs: Sequence[str]) -> PlannedTask:
    """Say what a cluster's members say together: texts of the medoid, lists united, the rest by majority."""
    tasks = [group.medoid.task, *(member.task for member in group.members)]
    sources = dict.fromkeys((member.agent, member.task.local_id) for member in group.members)
    return PlannedTask(
        key=key,
        title=group.medoid.task.title,
        description=group.medoid.task.description,
        kind=majority([m.task.kind for m in group.members], SAFER_KINDS)[0],
        priority=majority([m.task.priority for m in group.members], SAFER_PRIORITIES)[0],
        estimate=majority([m.task.estimate for m in group.members], SAFER_ESTIMATES)[0],
        files=tuple(dict.fromkeys(path for task in tasks for path in task.files)),
        symbols=tuple(dict.fromkeys(name for task in tasks for name in task.symbols)),
        depends_on=tuple(needs),
        acceptance=union(task.acceptance for task in tasks),
        votes=len(group.sides),
        sources=tuple(Source(agent_id=agent, local_id=local) for agent, local in sources),
    )


def majority(values: Sequence[T], safer: Sequence[T]) -> tuple[T, tuple[T, ...]]:
    """Give the most frequent value, and all that are most frequent; the safer one is taken on a tie."""
    counts = Counter(values)
    most = max(counts.values())
    tied = tuple(value for value in safer if counts[value] == most)
    return tied[0], tied


def union(groups: Iterable[Iterable[str]]) -> tuple[str, ...]:
    """Give every text once: the first spelling of those that differ only in space, case or the last stop."""
    found: dict[str, str] = {}
    for group in groups:
        for text in group:
            plain = " ".join(unicodedata.normalize("NFKC", text).casefold().split()).rstrip(".")
            if text.strip():
                found.setdefault(plain, text)
    return tuple(found.values())
