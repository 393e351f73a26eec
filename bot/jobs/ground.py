"""Owns what a branch stands on, and what the host writes there: the base, both sides merged, the lines it records."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from bot.core import backlog as backlog_file
from bot.core.attribution import is_ours
from bot.core.track import RunMode, Track
from bot.core.values import Identity
from bot.errors import RetryableError
from bot.ports import Mirror


@dataclass(frozen=True, slots=True)
class Ground:
    """Where a run begins: `start` is checked out, `base` is what its changes are counted from."""

    tip: str  # head of the default branch
    base: str  # newest commit of the default branch that the work contains when it is done
    start: str
    parents: tuple[str, ...] = ()  # of the commit to be made, where it is not `start` alone
    conflicts: tuple[str, ...] = ()
    people: bool = False  # whether the branch so far holds commits that the bot did not make


async def ground(
    mirror: Mirror, track: Track, mode: RunMode, head: str, author: Identity, when: datetime
) -> Ground:
    """Find what a run stands on; RetryableError where the default branch cannot be found."""
    tip = await tip_of(mirror, track)
    if mode == "fresh" or not head:
        return Ground(tip, tip, tip)
    people = bool(await others(mirror, tip, head, author))
    if mode != "conflict":
        return Ground(tip, await mirror.merge_base(tip, head) or tip, head, people=people)
    tree, conflicts = await merged(mirror, track, tip, head)
    start = await mirror.commit_tree(tree, (tip,), "Both sides, conflicts marked", author, when)
    # A person's commits stay in the history; the bot's own are squashed.
    return Ground(tip, tip, start, (head, tip) if people else (tip,), conflicts, people)


async def tip_of(mirror: Mirror, track: Track) -> str:
    """Give the head of the default branch."""
    tip = await mirror.resolve(track.repo.default_branch)
    if tip is None:
        raise RetryableError(f"the branch {track.repo.default_branch} cannot be found")
    return tip


async def merged(mirror: Mirror, track: Track, tip: str, head: str) -> tuple[str, tuple[str, ...]]:
    """Merge a branch with the default branch's head, without what the host writes: that is the tip's, always."""
    tree, conflicts = await mirror.merge_tree(tip, head)
    folder = f"{track.config.tasks_dir}/"
    ours = [path for path in conflicts if path.startswith(folder)]
    if ours:
        tips = await mirror.read_many(tip, ours)
        tree = await mirror.write_tree(tree, {path: tips.get(path) for path in ours})
    return tree, tuple(path for path in conflicts if path not in ours)


async def clashes(mirror: Mirror, base: str, head: str, other: str, tasks_dir: str) -> list[str]:
    """Name the files in which two branches conflict and that `head` changed since `base`; the host's files never do."""
    _, paths = await mirror.merge_tree(head, other)
    if not paths:
        return []
    own = {path for path, _, _ in await mirror.diff_stat(base, head)}
    return [path for path in paths if path in own and not path.startswith(f"{tasks_dir}/")]


async def others(mirror: Mirror, tip: str, head: str, author: Identity) -> list[str]:
    """List the commits of a branch that the bot did not make."""
    return [commit.sha for commit in await mirror.commits(tip, head) if not is_ours(commit, author)]


def recorded(track: Track, task_id: str, text: str) -> str:
    """Give the backlog with the lines that a task's branch records: its own, and those of dropped tasks."""
    loaded = backlog_file.load(text).backlog
    lines = {task.id: task.status for task in loaded.tasks} if loaded else {}
    text = backlog_file.set_status(text, task_id, "done")
    for task in track.tasks:
        if task.state == "dropped" and lines.get(task.id) == "todo":
            text = backlog_file.set_status(text, task.id, "dropped")
    return text


def marked(texts: Sequence[bytes]) -> bool:
    """Tell whether conflict markers are left in any of these files."""
    return any(b"\n<<<<<<< " in b"\n" + text and b"\n>>>>>>> " in b"\n" + text for text in texts)
