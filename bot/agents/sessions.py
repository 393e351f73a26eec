"""Owns the life of agent sessions: a private folder each, recorded when opened, deleted with proof at any end."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Literal, Protocol

import structlog

from bot import files, living, points
from bot.ports import DisposeProof, JsonDict

_HISTORY = 32 << 20  # bytes of a session
SessionKind = Literal["planner", "coder"]
_log = structlog.get_logger(__name__)


def agent_home(state_dir: Path) -> Path:
    """Name the part of a session's folder that is the agent's HOME; the rest is the host's alone."""
    return state_dir / "home"


def append_history(state_dir: Path, entry: JsonDict) -> None:
    """Append one line to the session's history, which only the host can read; what a flood would add is left out."""
    path = state_dir / "history.jsonl"
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    with os.fdopen(handle, "a", encoding="utf-8") as file:
        if os.fstat(handle).st_size < _HISTORY:
            file.write(json.dumps(entry, ensure_ascii=False) + "\n")


class OpenSession(Protocol):
    """A session that the log knows as opened and not yet as deleted."""

    @property
    def id(self) -> str: ...

    @property
    def facts(self) -> JsonDict: ...

    @property
    def proof(self) -> JsonDict | None: ...


class SessionLog(Protocol):
    """Remembers sessions across restarts."""

    async def session_opened(
        self, id_: str, kind: SessionKind, track: str, task: str | None, facts: JsonDict
    ) -> None: ...

    async def session_deleted(self, id_: str, proof: JsonDict) -> None: ...

    async def session_proved(self, id_: str, proof: JsonDict) -> None: ...

    async def open_sessions(self) -> Sequence[OpenSession]: ...


@dataclass(slots=True)
class Session:
    """One agent's private state; `proof` is filled when it ended."""

    id: str
    kind: SessionKind
    dir: Path
    proof: DisposeProof | None = None
    parts: DisposeProof = field(default_factory=DisposeProof)  # of what ended before its folder

    @property
    def home(self) -> Path:
        return agent_home(self.dir)

    def ended(self, part: DisposeProof) -> None:
        """Add to the proof what ended before the folder: the agent's own session, its box, its token."""
        self.parts += part


def prove_deleted(folder: Path) -> DisposeProof:
    """Read back whether a session's folder is really gone: the path, its parent's listing, processes working in it."""
    leftovers = []
    if os.path.lexists(folder):
        leftovers.append(f"state: {folder} exists")
        leftovers += sorted(f"state: {path}" for path in islice(folder.rglob("*"), 20))
    elif folder.parent.is_dir() and folder in folder.parent.iterdir():
        leftovers.append(f"state: {folder.parent} lists {folder.name}")
    leftovers += [f"processes: {each}" for each in living.workers(folder)]
    return DisposeProof(
        (f"state: {folder} and the listing of {folder.parent}", f"processes: in {folder}"),
        leftovers=tuple(leftovers),
    )


@dataclass(slots=True)
class Sessions:
    """Opens and ends sessions below one folder, which belongs to one bot; `sweep` mends what a kill left."""

    root: Path
    log: SessionLog
    prove: Callable[[Path], DisposeProof] = prove_deleted
    delete: Callable[[Path], object] = files.remove
    new_id: Callable[[], str] = lambda: secrets.token_hex(8)
    hand_over: Callable[[Path], None] = lambda _: (
        None
    )  # gives the agent's HOME to the user that sandboxes run as
    _live: set[str] = field(default_factory=set)

    @asynccontextmanager
    async def open(self, kind: SessionKind, track: str, task: str | None = None) -> AsyncIterator[Session]:
        """Lend a session with a folder of its own; at any end it is deleted, and `session.proof` says how that went."""
        owner = self._owner()
        session = Session(f"{kind}-{self.new_id()}", kind, Path())
        session.dir = self.root / session.id
        self._live.add(session.id)
        try:
            # Recorded first: a folder that nobody knows of would be worse than a record without a folder.
            await self.log.session_opened(
                session.id, kind, track, task, {"dir": str(session.dir), "owner": owner}
            )
            session.home.mkdir(parents=True)
            self.hand_over(session.home)
            # A sandbox that drops its user must be able to pass through, not to look around.
            session.dir.chmod(0o711)
            yield session
        finally:
            await _to_the_end(self._end(session))

    async def sweep(self) -> list[DisposeProof]:
        """Delete every session that a killed process left here; gives one proof for each."""
        owner = self._owner()
        known = {
            session.id: session.proof or {}
            for session in await self.log.open_sessions()
            if session.facts.get("owner") == owner
        }
        folders = {path.name for path in self.root.iterdir() if path.name != _OWNER}
        proofs = []
        for id_ in sorted((known.keys() | folders) - self._live):
            proof = await asyncio.to_thread(self._delete, self.root / id_)
            proofs.append(proof)
            if proof.holds and id_ in known:
                await self.log.session_deleted(id_, _stored(_earlier(known[id_], id_) + proof))
        return proofs

    async def proved(self, ids: Sequence[str], more: DisposeProof) -> None:
        """Add to the proof of sessions that are deleted: what they worked in ends after them."""
        for id_ in ids:
            await self.log.session_proved(id_, _stored(more))

    async def _end(self, session: Session) -> None:
        session.proof = session.parts + await asyncio.to_thread(self._delete, session.dir)
        points.reached("session-deleted")
        if session.proof.holds:
            await self.log.session_deleted(session.id, _stored(session.proof))
        else:
            # It stays open in the log, so the next sweep tries again and reports name what is left.
            await self.log.session_proved(session.id, _stored(session.proof))
            _log.error("session_left_behind", session=session.id, leftovers=session.proof.leftovers)
        self._live.discard(session.id)

    def _delete(self, folder: Path) -> DisposeProof:
        self.delete(folder)
        return self.prove(folder)

    def _owner(self) -> str:
        """Give the id of this folder: a database may serve several machines, each with folders of its own."""
        self.root.mkdir(parents=True, exist_ok=True)
        self.root.chmod(0o711)
        path = self.root / _OWNER
        if not path.exists():
            path.write_text(secrets.token_hex(16), encoding="ascii")
        return path.read_text(encoding="ascii")


def _stored(proof: DisposeProof) -> JsonDict:
    return {name: list(each) for name, each in asdict(proof).items()}


def _earlier(seen: JsonDict, id_: str) -> DisposeProof:
    """Give what was seen when a session ended: what was left beside its folder nobody can look at any more."""
    beside = [each for each in seen.get("leftovers", ()) if id_ not in each]
    checked = [each for each in seen.get("checked", ()) if id_ not in each]
    return DisposeProof(tuple(checked), (*seen.get("unproved", ()), *beside))


_OWNER = ".owner"


async def _to_the_end(work: Coroutine[None, None, None]) -> None:
    """Finish an ending although the caller is being cancelled; the cancellation goes on afterwards."""
    task = asyncio.create_task(work)
    cancelled = False
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            if task.cancelled():
                raise
            cancelled = True
    task.result()
    if cancelled:
        raise asyncio.CancelledError
