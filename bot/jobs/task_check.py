"""Owns writing the check `gitwright/task`: once for each head where nothing goes wrong, and again only when it says something else."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from hashlib import sha256

import structlog
from pydantic import TypeAdapter

from bot.core import task_check
from bot.core.actions import ReportTask
from bot.core.track import TaskTrack, Track
from bot.core.values import Report, Usage
from bot.engine.firsts import is_first
from bot.engine.store import Store
from bot.errors import BotError, NotFoundError, RetryableError
from bot.ports import Forge

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Written:
    """What the check said last: on which commit, in which run of it, and whether it was left in progress there."""

    sha: str
    run: int  # 0: none yet, or a commit status
    digest: str  # of what it says; "": begun, and nobody knows whether it was written
    open: bool

    @property
    def known(self) -> int | None:
        """Give the run, 0 where there is none; None where the forge has to be asked."""
        return self.run if self.digest else None


_WRITTEN: TypeAdapter[Written] = TypeAdapter(Written)


@dataclass(frozen=True, slots=True)
class TaskChecks:
    """Makes the checks of a track's pull requests say what its state is now; one that cannot be written stops nothing."""

    store: Store
    forge: Forge

    async def __call__(self, track: Track, action: ReportTask) -> None:
        """Write what has changed, or one task's check once more; RetryableError where the forge has no time now."""
        asked = track.task(action.task)
        if asked is not None:
            await self._sync(track, asked, again=True)
        elif track.issue:
            await self._all(track)

    async def _all(self, track: Track) -> None:
        for task in track.tasks:
            try:
                await self._sync(track, task, again=False)
            except RetryableError:
                raise
            except BotError as error:  # without the permission, or of a commit that is gone
                _log.warning("task_check_not_written", track=track.key, task=task.id, error=str(error))

    async def _sync(self, track: Track, task: TaskTrack, *, again: bool) -> None:
        key = f"{track.key}:{task.id}:check"
        text = await self.store.get_id(key)
        last = _WRITTEN.validate_json(text) if text else None
        report = task_check.report(track, task, await self._status(track))
        if last is not None and last.open and (report is None or last.sha != task.head_sha):
            run = await self._write(track, last.sha, task_check.over(task, last.sha), last.known)
            last = replace(last, run=run, open=False)
            await self._remember(key, last)
        if report is None or task.head_sha is None:
            return
        digest = _digest(track, task)
        if last is not None and (last.sha, last.digest) == (task.head_sha, digest) and not again:
            return
        if last is None or last.sha != task.head_sha:
            open_ = report.conclusion is None
            first = await is_first(self.store, track, f"check {task.id} {task.head_sha}")
            # Noted before it is made: after a kill in between one that was left in progress is known.
            await self._remember(key, Written(task.head_sha, 0, "", open_))
            known = 0 if first else None
        else:
            known = last.known
        run = await self._write(track, task.head_sha, report, known, again=again)
        await self._remember(key, Written(task.head_sha, run, digest, report.conclusion is None))

    async def _write(
        self, track: Track, sha: str, report: Report, known: int | None, *, again: bool = False
    ) -> int:
        """Write the run that is known; where nobody knows, or it is gone, the forge is asked for it."""
        try:
            return await self.forge.set_check(track.repo, sha, report, known=known, again=again)
        except NotFoundError:
            if not known:
                raise
            return await self.forge.set_check(track.repo, sha, report, again=again)

    async def _remember(self, key: str, written: Written) -> None:
        await self.store.put_id(key, json.dumps(asdict(written)))

    async def _status(self, track: Track) -> str:
        """Give the address of the status comment, or of the issue where that is not there yet."""
        page = self.forge.page(track.repo)
        comment = await self.store.get_id(f"{track.key}:status")
        anchor = f"#issuecomment-{comment}" if comment else ""
        return f"{page}/issues/{track.issue}{anchor}" if page else ""


def _digest(track: Track, task: TaskTrack) -> str:
    """Tell one text from another; what a run cost, and where the status comment is, are worth no call of their own."""
    report = task_check.report(track, replace(task, usage=Usage()), "")
    return sha256(repr(report).encode()).hexdigest()
