"""Owns looking at a track while the engine works on it: what is new in its history, and whether all is at rest."""

from __future__ import annotations

import re
from collections.abc import Mapping

from bot.core import config
from bot.core.track import Happening, Track
from bot.local.place import REPO_ID, Room
from bot.local.progress import Display

LOOK = 0.1  # seconds between looks
_NUMBER = re.compile(r"#([0-9]+)\b")
_SILENT = ("checks of ", "every task is merged or dropped")  # the words of a forge alone
# What the history says in a forge's words, and what it is here.
_WORDS = (
    (re.compile(r"^the backlog of (.*) was merged$"), r"the backlog of \1 was given"),
    (re.compile(r"^opened (#[0-9]+) for (.*)$"), r"\2 is green: \1"),
    (re.compile(r"^updated (#[0-9]+) for (.*)$"), r"\2 is green again: \1"),
)
_MERGED = re.compile(r"^#([0-9]+) was merged$")


class Watch:
    """Follows one track and tells what happens to it, each thing once."""

    def __init__(self, room: Room, track: str, display: Display) -> None:
        self.key = f"{REPO_ID}/{track}"
        self._track = track
        self._room = room
        self._display = display
        self._last: Happening | None = None
        self._told: set[str] = set()

    async def load(self) -> Track | None:
        """Read the track as it is now."""
        return await self._room.track(self._track)

    async def skip(self) -> None:
        """Take what has happened so far as told."""
        track = await self.load()
        self._last = track.history[-1] if track and track.history else None

    def tell(self, track: Track) -> None:
        """Tell what is new."""
        entries = list(track.history)
        if self._last in entries:
            entries = entries[entries.index(self._last) + 1 :]
        branches = {pull.number: pull.branch for pull in self._room.forge.records.pulls}
        merging = self._room.wanted.merging
        for entry in entries:
            # Without --merge a finished branch only counts as merged for what waits for it.
            silent = entry.what == "blocked" or entry.what.startswith(_SILENT)  # the report says why
            if not silent and (merging or not _MERGED.match(entry.what)):
                self._display.tell(said(entry, branches))
            self._last = entry

    async def tell_settings(self) -> None:
        """Tell what is wrong with the repository's settings, in every call: they count for nothing then."""
        _, problems = await self._room.config()
        for problem in problems:
            self._display.tell(f"{config.PATH}: {problem}")
        if problems:
            self._display.tell(f"{config.PATH} counts as absent until that is mended and committed")
        file = self._room.wanted.clone.root / config.PATH
        here = file.read_bytes() if file.is_file() else None
        start = self._room.repo.default_branch
        head = await self._room.mirror.resolve(start)
        there = await self._room.mirror.read(head, config.PATH) if head else None
        if _lines(here) != _lines(there):
            self._display.tell(
                f"{config.PATH} counts as it is committed at {start[:40]}; your file is another"
            )

    async def tell_waits(self) -> None:
        """Tell why something is tried again, once for each try."""
        for row in await self._room.bot.store.open_actions(self.key):
            if row.error and f"{row.id} {row.try_}" not in self._told:
                self._told.add(f"{row.id} {row.try_}")
                self._display.tell(f"{row.kind.replace('_', ' ')} is tried again: {row.error}")

    async def at_rest(self) -> bool:
        """Say whether nothing is under way or queued; timers do not count."""
        counts = await self._room.bot.store.counts()
        return not any(counts[name] for name in ("events", "actions", "submitted"))


def _lines(text: bytes | None) -> list[bytes] | None:
    """Tell contents apart, but not by the line endings that a checkout may change."""
    return None if text is None else text.splitlines()


def said(entry: Happening, branches: Mapping[int, str]) -> str:
    """Put an entry of the history into one line, branches instead of numbers of pull requests."""
    what = entry.what
    for pattern, words in _WORDS:
        what = pattern.sub(words, what)
    why = "" if _MERGED.match(entry.what) else entry.why
    line = f"{what} ({why})" if why else what
    return _NUMBER.sub(lambda found: branches.get(int(found[1]), found[0]), " ".join(line.split()))
