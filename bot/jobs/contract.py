"""Owns what a run is given of its task: the words that people merged, a context that fits its base, and its spec."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from bot.core import backlog as backlog_file
from bot.core.backlog import BacklogTask
from bot.core.drift_axes import Axes, before_dispatch
from bot.core.lessons import LESSONS_PATH, for_task, parse_lessons
from bot.core.packet import ContextCompressor
from bot.core.packet_verify import ContextVerifier, Finding
from bot.core.sanitize import inline
from bot.core.specs import SpecRepository
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
class Contract:
    """A task as people merged it, ready to be handed out."""

    text: str  # of the backlog file at the base
    task: BacklogTask
    spec_path: str
    improved: str | None = None  # the spec's next version, where earlier attempts taught something
    guidance: tuple[str, ...] = ()  # what the spec adds to the contract
    contradiction: str = ""
    drift: tuple[str, ...] = ()  # what has changed since the plan, for people


@dataclass(frozen=True, slots=True)
class Contracts:
    """Reads tasks from the backlog on the default branch."""

    compressor: ContextCompressor = field(default_factory=ContextCompressor)
    verifier: ContextVerifier = field(default_factory=ContextVerifier)
    specs: SpecRepository = field(default_factory=SpecRepository)

    async def read(self, track: Track, task: TaskTrack, mirror: Mirror, base: str) -> Contract:
        """Read the task as people merged it, and check it and its context against the base of this attempt."""
        raw = await mirror.read(base, f"{track.folder}/BACKLOG.yaml")
        text = raw.decode(errors="replace") if raw else ""
        loaded = await asyncio.to_thread(backlog_file.load, text)
        if loaded.backlog is None:
            raise RetryableError("the backlog on the default branch cannot be read")
        written = next((t for t in loaded.backlog.tasks if t.id == task.id), None)
        axes = await self._axes(track, task, mirror, base, loaded.backlog.base_sha, written)
        if written is None or axes.verdict == "hold":
            raise Stop("contract", "; ".join(axes.reasons) or f"`{task.id}` is not in the backlog any more")
        verified = await self._verified(track, written, mirror, base, anew=axes.verdict == "refresh")
        path = f"{track.folder}/specs/{task.id}.md"
        improved, guidance, contradiction = await self._spec(track, task, mirror, base, path, verified)
        return Contract(
            text=text,
            task=verified,
            spec_path=path,
            improved=improved,
            guidance=guidance,
            contradiction=contradiction,
            drift=axes.reasons,
        )

    async def _axes(
        self,
        track: Track,
        task: TaskTrack,
        mirror: Mirror,
        base: str,
        planned: str,
        written: BacklogTask | None,
    ) -> Axes:
        """See what has moved since the plan: the contract, and the files of the scope."""
        then = await mirror.files(planned) if await mirror.resolve(planned) else []
        return before_dispatch(
            frozen_issue="",
            issue_now=None,  # an edited issue is told when the edit is announced; it never holds
            contract_then=task.as_written(written.test if written else None),
            contract_now=written,
            blobs_then={file.path: file.sha for file in then},
            blobs_now={file.path: file.sha for file in await mirror.files(base)},
        )

    async def _spec(
        self, track: Track, task: TaskTrack, mirror: Mirror, base: str, path: str, written: BacklogTask
    ) -> tuple[str | None, tuple[str, ...], str]:
        """Improve the spec from what earlier attempts showed; it only ever grows."""
        raw = await mirror.read(base, path)
        spec = (
            self.specs.parse(raw.decode(errors="replace"))
            if raw
            else self.specs.first(written, issue=track.issue or None)
        )
        for evidence in task.evidence:
            spec = self.specs.improve(spec, evidence, written)
        improved = self.specs.render(spec) if task.evidence else None
        return improved, self.specs.guidance(spec), self.specs.contradiction(spec) or ""

    async def _verified(
        self, track: Track, written: BacklogTask, mirror: Mirror, base: str, *, anew: bool
    ) -> BacklogTask:
        """Check the context against this base; a stale one is cut anew, unless a person wrote it."""
        documents = await read_texts(mirror, base)
        files = [file.path for file in await mirror.files(base)]
        findings = self._unfit(written, files, documents)
        if (findings or anew) and not backlog_file.edited_by_person(written):
            lessons = await _lessons(mirror, base, written)
            context = await asyncio.to_thread(compress, self.compressor, track, written, documents, lessons)
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


async def _lessons(mirror: Mirror, base: str, written: BacklogTask) -> tuple[str, ...]:
    """Give the rules that people merged and that fit a task."""
    raw = await mirror.read(base, LESSONS_PATH)
    known = parse_lessons(raw.decode(errors="replace") if raw is not None else "")
    return tuple(lesson.rule for lesson in for_task(known, scope=written.scope.paths))
