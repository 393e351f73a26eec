"""Owns what a run is given of its task: the words that people merged, and a context that fits its base."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from bot.core import backlog as backlog_file
from bot.core.backlog import BacklogTask
from bot.core.packet import ContextCompressor
from bot.core.packet_verify import ContextVerifier, Finding
from bot.core.sanitize import inline
from bot.core.track import TaskTrack, Track
from bot.core.values import Usage
from bot.errors import RetryableError
from bot.jobs.backlog import compress
from bot.jobs.plan import read_texts
from bot.ports import Mirror


class Stop(Exception):  # noqa: N818 - no error: a run's named end
    """A run that ends without a pull request, for a reason that people read."""

    def __init__(self, reason: str, text: str, details: str = "", usage: Usage | None = None) -> None:
        super().__init__(text)
        self.reason, self.text, self.details, self.usage = reason, text, details, usage or Usage()


@dataclass(frozen=True, slots=True)
class Contracts:
    """Reads tasks from the backlog on the default branch."""

    compressor: ContextCompressor = field(default_factory=ContextCompressor)
    verifier: ContextVerifier = field(default_factory=ContextVerifier)

    async def read(self, track: Track, task: TaskTrack, mirror: Mirror, base: str) -> tuple[str, BacklogTask]:
        """Read the task as people merged it, and verify its context against the base of this attempt."""
        raw = await mirror.read(base, f"{track.folder}/BACKLOG.yaml")
        loaded = await asyncio.to_thread(backlog_file.load, raw.decode(errors="replace") if raw else "")
        written = next((t for t in loaded.backlog.tasks if t.id == task.id), None) if loaded.backlog else None
        if loaded.backlog is None:
            raise RetryableError("the backlog on the default branch cannot be read")
        if raw is None or written is None:
            raise Stop("contract", f"`{task.id}` is not in the backlog on the default branch")
        return raw.decode(errors="replace"), await self._verified(track, written, mirror, base)

    async def _verified(self, track: Track, written: BacklogTask, mirror: Mirror, base: str) -> BacklogTask:
        """Check the context against this base; a stale one is cut anew, unless a person wrote it."""
        documents = await read_texts(mirror, base)
        files = [file.path for file in await mirror.files(base)]
        findings = self._unfit(written, files, documents)
        if findings and not backlog_file.edited_by_person(written):
            context = await asyncio.to_thread(compress, self.compressor, track, written, documents)
            written = written.model_copy(update={"context": context})
            findings = self._unfit(written, files, documents)
        if findings:
            lines = "\n".join(f"- `{f.code}` line {f.line}: {inline(f.hint)}" for f in findings)
            raise Stop("context", "its context cannot be given to an agent", lines)
        return written

    def _unfit(self, written: BacklogTask, files: list[str], texts: dict[str, str]) -> list[Finding]:
        found = self.verifier.verify(
            written.context,
            base_files=files,
            texts=texts,
            acceptance=written.acceptance,
            scope=written.scope.paths,
        )
        return [finding for finding in found if finding.severity == "block"]
