"""Owns the record that no task's pull request carries: lines of dropped tasks, or the removal of the track's folder."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from bot.core import backlog as files
from bot.core import messages_pulls
from bot.core.actions import ProposeRecord
from bot.core.attribution import attributed
from bot.core.events import RecordProposed
from bot.core.track import Track
from bot.errors import RetryableError, StaleRefError
from bot.jobs.learning import Learning
from bot.jobs.publish import Publisher
from bot.jobs.repository import Repositories
from bot.ports import Forge, Mirror

NOTHING = RecordProposed(pull=0)


@dataclass(frozen=True, slots=True)
class ProposeRecordJob:
    """Opens the record's pull request; where nothing is left to record, or people closed it before, there is none."""

    repositories: Repositories
    forge: Forge
    learning: Learning

    async def __call__(self, track: Track, _action: ProposeRecord) -> RecordProposed:
        branch = f"{track.config.branch_prefix}/{track.id}/record"
        known = await self.forge.find_pull(track.repo, branch)
        if known is not None:
            return RecordProposed(pull=known.number) if known.state == "open" else NOTHING
        mirror = await self.repositories.fresh(track.repo)
        base = await mirror.resolve(track.repo.default_branch)
        if base is None:
            raise RetryableError(f"the branch {track.repo.default_branch} cannot be found")
        changed, words = await self._changes(track, mirror, base)
        if not changed:
            return NOTHING
        learned = await self.learning.learn(track, mirror, base)
        lessons = learned.files()
        if lessons:
            await self.learning.note(track, learned)
        when = datetime.fromisoformat(track.started_at.replace("Z", "+00:00"))
        bot = await self.forge.author(track.repo)
        message = attributed(f"{words}\n\nPart of #{track.issue}", track, bot)
        sha = await mirror.commit_files(base, {**changed, **lessons}, message, bot, when)
        await mirror.anchor(f"record/{track.id}", sha)
        await self._push(track, mirror, sha, branch)
        pull = await self.forge.open_pull(
            track.repo,
            head=branch,
            base=track.repo.default_branch,
            title=words,
            body=messages_pulls.record_pull(track, learned.new),
        )
        return RecordProposed(pull=pull.number)

    async def _changes(self, track: Track, mirror: Mirror, base: str) -> tuple[dict[str, bytes | None], str]:
        if not track.config.keep_records:
            inside = [
                file.path for file in await mirror.files(base) if file.path.startswith(f"{track.folder}/")
            ]
            return dict.fromkeys(inside), f"Remove the records of {track.id}"
        path = f"{track.folder}/BACKLOG.yaml"
        raw = await mirror.read(base, path)
        text = raw.decode(errors="replace") if raw is not None else ""
        loaded = files.load(text).backlog
        lines = {task.id: task.status for task in loaded.tasks} if loaded else {}
        dropped = [t.id for t in track.tasks if t.skipped and lines.get(t.id) == "todo"]
        new = text
        for task in dropped:
            new = files.set_status(new, task, "dropped")
        return ({path: new.encode()} if dropped else {}), f"Record that {', '.join(dropped)} was dropped"

    async def _push(self, track: Track, mirror: Mirror, sha: str, branch: str) -> None:
        try:
            await Publisher(self.forge).push(track.repo, mirror, sha, branch, None)
        except StaleRefError:
            # Pushed before a kill, on an older base perhaps: what it records is the same.
            if await self.forge.branch_sha(track.repo, branch) is None:
                raise RetryableError("the record's branch moved while it was pushed") from None
