"""Owns changes of a backlog under review that people asked for by command: surgical commits on its branch."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field

from pydantic import TypeAdapter

from bot.core import backlog as files
from bot.core.actions import EditBacklog, ReviseBacklog
from bot.core.backlog import Backlog, BacklogTask
from bot.core.backlog_edit import raw, set_field
from bot.core.backlog_revise import Revision, revise
from bot.core.config import RepoConfig
from bot.core.events import BacklogEdited, BacklogRevised
from bot.core.messages import problem_lines
from bot.core.packet import ContextCompressor
from bot.core.sanitize import escape, plain
from bot.core.specs import SpecRepository
from bot.core.track import Track
from bot.core.values import Identity, Usage
from bot.engine.store import Store
from bot.errors import BotError, RetryableError, StaleRefError
from bot.jobs.backlog import compress
from bot.jobs.plan import read_texts
from bot.jobs.repository import Repositories
from bot.jobs.spending import OverBudgetError, Spending
from bot.models.meter import MeteredRefiner
from bot.ports import BacklogRefiner, Clock, Forge, Mirror, Refined


@dataclass(frozen=True, slots=True)
class Branch:
    """The backlog's branch: what its file says now, and how one commit is put on top."""

    repositories: Repositories
    forge: Forge
    author: Identity
    clock: Clock

    async def read(self, track: Track) -> tuple[Mirror, str, str]:
        """Give the mirror, the branch's tip and the file there; BotError where one of them is gone."""
        tip = await self.forge.branch_sha(track.repo, track.backlog_branch)
        if tip is None:
            raise BotError(f"the branch `{track.backlog_branch}` is gone")
        mirror = await self.repositories.fresh(track.repo)
        found = await mirror.read(tip, path_of(track))
        if found is None:
            raise BotError(f"`{path_of(track)}` is not on the branch `{track.backlog_branch}`")
        return mirror, tip, found.decode(errors="replace")

    async def commit(
        self, track: Track, mirror: Mirror, tip: str, changed: dict[str, bytes | None], message: str
    ) -> str:
        """Make the commit; nothing is published."""
        return await mirror.commit_files(tip, changed, message, self.author, self.clock.now())

    async def push(self, track: Track, mirror: Mirror, sha: str, tip: str) -> None:
        """Publish it; RetryableError where somebody was faster: it is made again on what they wrote."""
        try:
            async with self.forge.git_access(track.repo, write=True) as access:
                await mirror.push(access, sha, track.backlog_branch, tip)
        except StaleRefError as error:
            raise RetryableError("the backlog's branch moved meanwhile") from error


def path_of(track: Track) -> str:
    return f"{track.folder}/BACKLOG.yaml"


@dataclass(frozen=True, slots=True)
class EditBacklogJob:
    """Writes a task's status into the file under review; a line that says so already is left."""

    branch: Branch

    async def __call__(self, track: Track, action: EditBacklog) -> BacklogEdited:
        mirror, tip, text = await self.branch.read(track)
        new = files.set_status(text, action.task, action.status)
        edited = BacklogEdited(comment=action.comment, changed=(action.task,))
        if new == text:
            return edited
        message = f"Set {action.task} to {action.status}\n\nAsked for by a command on #{track.issue}."
        sha = await self.branch.commit(track, mirror, tip, {path_of(track): new.encode()}, message)
        await self.branch.push(track, mirror, sha, tip)
        return edited


@dataclass(frozen=True, slots=True)
class Written:
    """A note worked into the file: the commit and what it stands on, what is told of it, and what it cost."""

    sha: str
    tip: str
    ours: str  # what the file would say without people
    text: str
    changed: tuple[str, ...]
    usage: Usage = field(default_factory=Usage)


WRITTEN: TypeAdapter[Written] = TypeAdapter(Written)


@dataclass(frozen=True, slots=True)
class ReviseBacklogJob:
    """Has the backlog model work a person's note in, and commits exactly what that changes."""

    store: Store
    branch: Branch
    refiner: Callable[[RepoConfig], BacklogRefiner | None]
    spending: Spending
    compressor: ContextCompressor = field(default_factory=ContextCompressor)
    specs: SpecRepository = field(default_factory=SpecRepository)

    async def __call__(self, track: Track, action: ReviseBacklog) -> BacklogRevised:
        remembered = await self.store.get_id(_key(track, action))
        if remembered:  # killed after the push, or between commit and push
            return await self._publish(track, action, WRITTEN.validate_json(remembered))
        mirror, tip, text = await self.branch.read(track)
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
        before = await self._before(track, mirror) or text
        revision = revise(before, text, refined.backlog)
        return await self._write(track, action, mirror, tip, revision, refined.usage)

    async def _write(
        self, track: Track, action: ReviseBacklog, mirror: Mirror, tip: str, revision: Revision, usage: Usage
    ) -> BacklogRevised:
        if not revision.tasks:
            return self._nothing(
                action, tip, "Your note changes nothing in the file." + _kept(revision), usage
            )
        revision, changed = await self._derived(track, mirror, tip, revision)
        loaded = files.load(revision.text)
        if loaded.backlog is None:
            why = f"With your note worked in, the file could not be read, so nothing was changed:\n\n{problem_lines(loaded.errors)}"
            return self._nothing(action, tip, why, usage)
        subject = f"Revise {', '.join(revision.tasks)} as {plain(action.by)} asked"
        sha = await self.branch.commit(
            track, mirror, tip, changed, f"{subject[:72]}\n\n{plain(action.note)[:2000]}"
        )
        ours = await self.branch.commit(
            track, mirror, tip, {**changed, path_of(track): revision.before.encode()}, subject
        )
        text = _told(revision, track.backlog_pull)
        written = Written(sha, tip, ours, text, revision.tasks, usage)
        await mirror.anchor(f"revised/{track.id}/{action.comment}", sha)
        await self.store.put_id(_key(track, action), WRITTEN.dump_json(written).decode())
        return await self._publish(track, action, written)

    async def _publish(self, track: Track, action: ReviseBacklog, written: Written) -> BacklogRevised:
        """Push what was written, once; RetryableError where people wrote meanwhile: it is made again on their words."""
        now = await self.branch.forge.branch_sha(track.repo, track.backlog_branch)
        mirror = await self.branch.repositories.fresh(track.repo)
        if now == written.tip:
            await self.branch.push(track, mirror, written.sha, written.tip)
        elif (
            now is None
            or await mirror.resolve(now) is None
            or await mirror.merge_base(written.sha, now) != written.sha
        ):
            await self.store.put_id(_key(track, action), "")
            raise RetryableError("the backlog's branch moved meanwhile")
        # What the file would say without people: the next note is worked in where they have not written.
        await mirror.anchor(f"backlog/{track.id}", written.ours)
        return BacklogRevised(
            head_sha=written.sha,
            comment=action.comment,
            text=written.text,
            changed=written.changed,
            usage=written.usage,
        )

    async def _before(self, track: Track, mirror: Mirror) -> str | None:
        """Read the file as the bot wrote it; None where that is not known any more."""
        sha = await mirror.resolve(f"refs/gitwright/backlog/{track.id}")
        found = await mirror.read(sha, path_of(track)) if sha else None
        return found.decode(errors="replace") if found is not None else None

    async def _ask(
        self, track: Track, action: ReviseBacklog, refiner: BacklogRefiner, current: Backlog
    ) -> Refined:
        counter = f"{track.key}:revisions"
        asked = json.loads(await self.store.get_id(counter) or "[]")
        if action.comment not in asked:
            await self.store.put_id(counter, json.dumps([*asked, action.comment]))
            asked.append(action.comment)
        number = asked.index(action.comment) + 1
        try:
            choice = await self.spending.choose(track, "backlog")
            id_ = f"revise:{action.comment}"
            async with self.spending.run(track, "backlog", choice.models, id_) as spent:
                counted = refiner.metered(spent) if isinstance(refiner, MeteredRefiner) else refiner
                refined = await counted.revise(
                    current, action.note, number, track.plan.minority if track.plan else ()
                )
                spent.usage = refined.usage
        except OverBudgetError as error:
            return Refined(None, Usage(), str(error))
        return Refined(refined.backlog, spent.total, refined.problem)

    async def _derived(
        self, track: Track, mirror: Mirror, tip: str, revision: Revision
    ) -> tuple[Revision, dict[str, bytes | None]]:
        """Cut contexts anew and write specs anew where a task changed and no person wrote them."""
        backlog = files.load(revision.text).backlog
        if backlog is None:
            return revision, {}
        text, before = revision.text, revision.before
        changed: dict[str, bytes | None] = {}
        documents = await read_texts(mirror, track.base_sha)
        for task in backlog.tasks:
            if task.id not in (*revision.changed, *revision.added):
                continue
            if not files.edited_by_person(task):
                context = await asyncio.to_thread(compress, self.compressor, track, task, documents)
                text, before = (_with_context(each, task, context) for each in (text, before))
            spec = f"{track.folder}/specs/{task.id}.md"
            if task.id in revision.added or await self._unedited(track, mirror, tip, spec):
                changed[spec] = self.specs.render(self.specs.first(task, issue=track.issue)).encode()
        changed[path_of(track)] = text.encode()
        made = Revision(text, before, revision.changed, revision.kept, revision.added, revision.dropped)
        return made, changed

    async def _unedited(self, track: Track, mirror: Mirror, tip: str, path: str) -> bool:
        sha = await mirror.resolve(f"refs/gitwright/backlog/{track.id}")
        return sha is not None and await mirror.read(sha, path) == await mirror.read(tip, path)

    def _nothing(
        self, action: ReviseBacklog, tip: str, text: str, usage: Usage | None = None
    ) -> BacklogRevised:
        return BacklogRevised(head_sha=tip, comment=action.comment, text=text, usage=usage or Usage())


def _with_context(text: str, task: BacklogTask, context: str) -> str:
    if raw(text, task.id, "context") is None:
        return text
    text = set_field(text, task.id, "context", context)
    return set_field(text, task.id, "context_sha256", files.context_sha256(context))


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


def _key(track: Track, action: ReviseBacklog) -> str:
    return f"{track.key}:revised:{action.comment}"
