"""Owns changes of a backlog under review that people asked for by command: a task's status, or what a note says."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass

from bot.core import backlog as files
from bot.core.actions import EditBacklog, ReviseBacklog
from bot.core.backlog import Backlog
from bot.core.backlog_revise import Revision, revise
from bot.core.config import RepoConfig
from bot.core.events import BacklogEdited, BacklogRevised
from bot.core.messages import problem_lines
from bot.core.sanitize import escape, plain
from bot.core.track import Track
from bot.core.values import Usage
from bot.jobs.rewriting import Branch, Rewriter, Written, path_of
from bot.jobs.spending import OverBudgetError, Spending
from bot.models.meter import MeteredRefiner
from bot.ports import BacklogRefiner, Mirror, Refined


@dataclass(frozen=True, slots=True)
class EditBacklogJob:
    """Writes a task's status into the file under review; a line that says so already is left."""

    branch: Branch

    async def __call__(self, track: Track, action: EditBacklog) -> BacklogEdited:
        mirror, tip, text = await self.branch.read(track)
        new = files.set_status(text, action.task, action.status)
        edited = BacklogEdited(key=action.key, changed=(action.task,))
        if new == text:
            return edited
        message = f"Set {action.task} to {action.status}\n\nAsked for by a command on #{track.issue}."
        sha = await self.branch.commit(track, mirror, tip, {path_of(track): new.encode()}, message)
        await self.branch.push(track, mirror, sha, tip)
        return edited


@dataclass(frozen=True, slots=True)
class ReviseBacklogJob:
    """Has the backlog model work a person's note in, and commits exactly what that changes."""

    rewriter: Rewriter
    refiner: Callable[[RepoConfig], BacklogRefiner | None]
    spending: Spending

    async def __call__(self, track: Track, action: ReviseBacklog) -> BacklogRevised:
        remembered = await self.rewriter.remembered(track, action.key)
        if remembered is not None:
            return await self._publish(track, action, remembered)
        mirror, tip, text = await self.rewriter.branch.read(track)
        current = files.load(text).backlog
        if current is None:
            return self._nothing(
                action, tip, "The file cannot be read, so nothing can be worked in; its check says why."
            )
        refiner = self.refiner(track.config)
        if refiner is None:
            return self._nothing(
                action, tip, "There is no backlog model here to work a note in: edit the file itself."
            )
        refined = await self._ask(track, action, refiner, current)
        if refined.backlog is None:
            why = f"The backlog model gave nothing usable: {escape(refined.problem).rstrip('.')}. Edit the file itself, or say it otherwise."
            return self._nothing(action, tip, why, refined.usage)
        before = await self.rewriter.before(track, mirror) or text
        revision = revise(before, text, refined.backlog)
        return await self._write(track, action, mirror, tip, revision, refined.usage)

    async def _write(
        self, track: Track, action: ReviseBacklog, mirror: Mirror, tip: str, revision: Revision, usage: Usage
    ) -> BacklogRevised:
        if not revision.tasks:
            return self._nothing(
                action, tip, "Your note changes nothing in the file." + _kept(revision), usage
            )
        draft = await self.rewriter.derived(track, mirror, tip, revision)
        loaded = files.load(draft.text)
        if loaded.backlog is None:
            why = f"With your note worked in, the file could not be read, so nothing was changed:\n\n{problem_lines(loaded.errors)}"
            return self._nothing(action, tip, why, usage)
        subject = f"Revise {', '.join(revision.tasks)} as {plain(action.by)} asked"[:72]
        message = f"{subject}\n\n{plain(action.note)[:2000]}"
        told = Written(text=_told(revision, track.backlog_pull), changed=revision.tasks, usage=usage)
        written = await self.rewriter.write(track, mirror, tip, action.key, message, draft, told)
        return await self._publish(track, action, written)

    async def _publish(self, track: Track, action: ReviseBacklog, written: Written) -> BacklogRevised:
        head = await self.rewriter.publish(track, action.key, written)
        return BacklogRevised(
            head_sha=head,
            key=action.key,
            text=written.text,
            changed=written.changed,
            usage=written.usage,
        )

    async def _ask(
        self, track: Track, action: ReviseBacklog, refiner: BacklogRefiner, current: Backlog
    ) -> Refined:
        counter = f"{track.key}:revisions"
        asked = json.loads(await self.rewriter.store.get_id(counter) or "[]")
        if action.key not in asked:
            await self.rewriter.store.put_id(counter, json.dumps([*asked, action.key]))
            asked.append(action.key)
        number = asked.index(action.key) + 1
        try:
            id_ = f"revise:{action.key}"
            choice = await self.spending.choose(track, "backlog", waits=id_)
            async with self.spending.run(track, "backlog", choice.models, id_) as spent:
                counted = refiner.metered(spent) if isinstance(refiner, MeteredRefiner) else refiner
                refined = await counted.revise(
                    current, action.note, number, track.plan.minority if track.plan else ()
                )
                spent.usage = refined.usage
        except OverBudgetError as error:
            return Refined(None, Usage(), str(error))
        return Refined(refined.backlog, spent.total, refined.problem)

    def _nothing(
        self, action: ReviseBacklog, tip: str, text: str, usage: Usage | None = None
    ) -> BacklogRevised:
        return BacklogRevised(head_sha=tip, key=action.key, text=text, usage=usage or Usage())


def _told(revision: Revision, pull: int | None) -> str:
    lines = [
        f"- `{task}`: {', '.join(_WORDS.get(name, name) for name in names)}"
        for task, names in revision.changed.items()
    ]
    lines += [f"- `{task}` is new" for task in revision.added]
    lines += [f"- `{task}` is dropped" for task in revision.dropped]
    where = f"#{pull}" if pull else "the file"
    return f"Your note was worked into {where}:\n\n" + "\n".join(lines) + _kept(revision)


def _kept(revision: Revision) -> str:
    kept = [
        f"- `{task}`: {', '.join(_WORDS.get(n, n) for n in names)}" for task, names in revision.kept.items()
    ]
    return (
        "\n\nKept as people wrote it, though your note would change it:\n\n" + "\n".join(kept) if kept else ""
    )


_WORDS = {"depends_on": "dependencies", "paths": "scope"}
