"""Owns what earlier work of a repository teaches the next: lessons read, learned and written in pull requests."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from bot.core.evidence import Evidence
from bot.core.lessons import LESSONS_PATH, Lesson, Lessons, learn, parse_lessons, render_lessons, used
from bot.core.track import TRACKS, TaskTrack, Track
from bot.engine.store import Store
from bot.ports import Mirror


@dataclass(frozen=True, slots=True)
class Learned:
    """A repository's lessons as a pull request would leave them; `run` counts the repository's runs."""

    lessons: Lessons
    run: int
    new: tuple[Lesson, ...] = ()
    sources: tuple[str, ...] = ()  # ids of the evidence that was learned from
    writable: bool = True  # whether the pull request may hold the file

    def files(self, told: Collection[str] = ()) -> dict[str, bytes | None]:
        """Give the file as it is to be committed; nothing where nothing was learned and no lesson was told."""
        if not self.writable or not (self.sources or told):
            return {}
        return {LESSONS_PATH: render_lessons(used(self.lessons, told, self.run)).encode()}


@dataclass(frozen=True, slots=True)
class Learning:
    """Turns what is known of failed attempts into lessons, each attempt once."""

    store: Store

    async def read(self, mirror: Mirror, base: str) -> Learned:
        """Read the lessons at a commit, and learn nothing."""
        raw = await mirror.read(base, LESSONS_PATH)
        lessons = parse_lessons(raw.decode(errors="replace") if raw is not None else "")
        return Learned(lessons, lessons.run, writable=False)

    async def learn(self, track: Track, mirror: Mirror, base: str) -> Learned:
        """Add what the repository's tracks showed since somebody last learned from them."""
        found = await self.read(mirror, base)
        tracks = await self._tracks(track)
        if [other for other in tracks if other.key != track.key and await self._writes(other)]:
            return found  # two open pull requests that change one file would meet in a conflict
        lessons, sources = found.lessons, []
        known = {source for lesson in lessons.lessons for source in lesson.evidence}
        for other in tracks:
            for task, evidence in _evidence(other):
                source = f"{other.id}/{task.id}-a{evidence.attempt}"
                id_ = f"{other.key}:learned:{task.id}-a{evidence.attempt}"
                if source in known or await self._taken(id_, track, tracks):
                    continue
                lessons = learn(lessons, evidence, source=source, scope=task.scope, run=found.run)
                sources.append(id_)
        before = {lesson.id for lesson in found.lessons.lessons}
        new = tuple(lesson for lesson in lessons.lessons if lesson.id not in before)
        return Learned(lessons, found.run, new, tuple(sources))

    async def note(self, track: Track, learned: Learned) -> None:
        """Remember what the track's pull request is made from, so that a line that people delete stays away."""
        for id_ in learned.sources:
            await self.store.put_id(id_, track.key)
        if learned.writable:
            await self.store.put_id(f"{track.key}:lessons", "written")

    async def _tracks(self, track: Track) -> list[Track]:
        prefix = f"{track.repo.id}/"
        stored = [each for each in await self.store.all_tracks() if each.key.startswith(prefix)]
        return sorted(
            (TRACKS.validate_python(each.state) for each in stored),
            key=lambda each: (each.started_at, each.id),
        )

    async def _writes(self, track: Track) -> bool:
        """Say whether an open pull request of the track changes the file."""
        opens = (track.backlog_pull is not None and track.merged_sha is None) or track.record_pull is not None
        return opens and not track.ended and await self.store.get_id(f"{track.key}:lessons") is not None

    async def _taken(self, id_: str, track: Track, tracks: list[Track]) -> bool:
        """Say whether another track learned this already, and its backlog was merged."""
        taker = await self.store.get_id(id_)
        if taker is None or taker == track.key:
            return False
        found = next((each for each in tracks if each.key == taker), None)
        return found is None or found.merged_sha is not None


def _evidence(track: Track) -> list[tuple[TaskTrack, Evidence]]:
    return [(task, evidence) for task in track.tasks for evidence in task.evidence]
