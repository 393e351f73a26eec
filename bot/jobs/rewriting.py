"""Owns surgical commits on the branch of a backlog under review: what people wrote stays, and a repeat makes the same one."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace

from pydantic import TypeAdapter

from bot.core import backlog as files
from bot.core.attribution import attributed
from bot.core.backlog import BacklogTask
from bot.core.backlog_edit import raw, set_field
from bot.core.backlog_revise import Revision
from bot.core.packet import ContextCompressor
from bot.core.specs import SpecRepository
from bot.core.track import Track
from bot.core.values import Usage
from bot.engine.store import Store
from bot.errors import BotError, RetryableError, StaleRefError
from bot.jobs.backlog import compress
from bot.jobs.plan import read_texts
from bot.jobs.publish import Publisher, published
from bot.jobs.repository import Repositories
from bot.ports import Clock, Forge, Mirror


@dataclass(frozen=True, slots=True)
class Branch:
    """The backlog's branch: what its file says now, and how one commit is put on top."""

    repositories: Repositories
    forge: Forge
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
        bot = await self.forge.author(track.repo)
        return await mirror.commit_files(tip, changed, attributed(message, track, bot), bot, self.clock.now())

    async def push(self, track: Track, mirror: Mirror, sha: str, tip: str) -> str:
        """Publish it and give its sha, another one where the forge signs it.

        RetryableError where somebody was faster: it is made again on what they wrote.
        """
        try:
            return await Publisher(self.forge).push(track.repo, mirror, sha, track.backlog_branch, tip)
        except StaleRefError as error:
            raise RetryableError("the backlog's branch moved meanwhile") from error


def path_of(track: Track) -> str:
    return f"{track.folder}/BACKLOG.yaml"


@dataclass(frozen=True, slots=True)
class Draft:
    """A revision ready to be committed: the file, the file as it would be without people, and every file that changes."""

    text: str
    before: str
    changed: dict[str, bytes | None]


@dataclass(frozen=True, slots=True)
class Written:
    """A change worked into the file: the commit and what it stands on, what is told of it, and what it cost."""

    text: str
    changed: tuple[str, ...]
    sha: str = ""
    tip: str = ""
    ours: str = ""  # what the file would say without people
    usage: Usage = field(default_factory=Usage)
    names: tuple[tuple[str, str], ...] = ()  # M-1 and the id that it has in the file


WRITTEN: TypeAdapter[Written] = TypeAdapter(Written)


@dataclass(frozen=True, slots=True)
class Rewriter:
    """Writes revisions of the file with what is derived from them, once for each name that they are known by."""

    store: Store
    branch: Branch
    compressor: ContextCompressor = field(default_factory=ContextCompressor)
    specs: SpecRepository = field(default_factory=SpecRepository)

    async def remembered(self, track: Track, name: str) -> Written | None:
        """Give what was made before a kill: after the push, or between commit and push."""
        found = await self.store.get_id(_key(track, name))
        return WRITTEN.validate_json(found) if found else None

    async def derived(self, track: Track, mirror: Mirror, tip: str, revision: Revision) -> Draft:
        """Cut contexts anew and write specs anew where a task changed and no person wrote them."""
        backlog = files.load(revision.text).backlog
        if backlog is None:
            return Draft(revision.text, revision.before, {})
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
        return Draft(text, before, changed)

    async def write(
        self,
        track: Track,
        mirror: Mirror,
        tip: str,
        name: str,
        message: str,
        draft: Draft,
        told: Written,
    ) -> Written:
        """Make the commit and remember it, with what is told of it; nothing is published."""
        branch = self.branch
        sha = await branch.commit(track, mirror, tip, draft.changed, message)
        bare = {**draft.changed, path_of(track): draft.before.encode()}
        ours = await branch.commit(track, mirror, tip, bare, message.partition("\n")[0])
        written = replace(told, sha=sha, tip=tip, ours=ours)
        await mirror.anchor(f"revised/{track.id}/{name}", sha)
        await self.store.put_id(_key(track, name), WRITTEN.dump_json(written).decode())
        return written

    async def publish(self, track: Track, name: str, written: Written) -> str:
        """Push what was written, once, and give the commit that the forge has of it.

        RetryableError where people wrote meanwhile: it is made again on their words.
        """
        now = await self.branch.forge.branch_sha(track.repo, track.backlog_branch)
        mirror = await self.branch.repositories.fresh(track.repo)
        if now == written.tip:
            there = await self.branch.push(track, mirror, written.sha, written.tip)
        else:
            there = await published(mirror, written.sha, written.tip, now) if now else ""
        if not there:
            await self.store.put_id(_key(track, name), "")
            raise RetryableError("the backlog's branch moved meanwhile")
        # What the file would say without people: the next change is worked in where they have not written.
        await mirror.anchor(f"backlog/{track.id}", written.ours)
        return there

    async def before(self, track: Track, mirror: Mirror) -> str | None:
        """Read the file as the bot wrote it; None where that is not known any more."""
        sha = await mirror.resolve(f"refs/gitwright/backlog/{track.id}")
        found = await mirror.read(sha, path_of(track)) if sha else None
        return found.decode(errors="replace") if found is not None else None

    async def _unedited(self, track: Track, mirror: Mirror, tip: str, path: str) -> bool:
        sha = await mirror.resolve(f"refs/gitwright/backlog/{track.id}")
        return sha is not None and await mirror.read(sha, path) == await mirror.read(tip, path)


def _with_context(text: str, task: BacklogTask, context: str) -> str:
    if raw(text, task.id, "context") is None:
        return text
    text = set_field(text, task.id, "context", context)
    return set_field(text, task.id, "context_sha256", files.context_sha256(context))


def _key(track: Track, name: str) -> str:
    return f"{track.key}:revised:{name}"
