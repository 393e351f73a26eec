"""The one object that routes get: the data folder, the database, the repositories and the parts that react."""

import importlib
from pathlib import Path
from typing import Any, Protocol

from forge.auth import Actor
from forge.clock import Clock
from forge.errors import JsonDict
from forge.faults import Faults
from forge.git import Git
from forge.store import Row, Store

REPO = "SELECT repos.*, users.login AS owner_login FROM repos JOIN users ON users.id = repos.owner_id"


class EventsPart(Protocol):
    """What the REST side expects of `forge.events.Events(forge)`."""

    def emit(self, name: str, action: str | None, repo: Row | None, sender: Row, **objects: Any) -> None:
        """Stores the deliveries of one event; called inside the transaction of the write that it announces."""

    async def start(self) -> None: ...

    async def stop(self) -> None: ...


class CIPart(Protocol):
    """What the REST side expects of `forge.ci.CI(forge)`."""

    def pushed(self, repo: Row, branch: str, before: str, sha: str, sender: Row) -> None:
        """A branch (no tag, no deletion) now has a new head; called inside the transaction that records it."""

    async def start(self) -> None: ...

    async def stop(self) -> None: ...


class Forge:
    """State of one forge; `url` is its address without a slash at the end."""

    def __init__(self, data: Path, url: str, clock: Clock | None = None) -> None:
        data.mkdir(parents=True, exist_ok=True)
        self.data = data
        self.url = url.rstrip("/")
        self.clock = clock or Clock()
        self.db = Store(data / "forge.sqlite")
        self.git = Git(data)
        self.events: EventsPart = _part("forge.events", "Events", self)
        self.ci: CIPart = _part("forge.ci", "CI", self)
        self.faults = Faults(self)

    def now(self) -> str:
        """The current moment as every answer spells it."""
        return self.clock.text()

    def repo(self, owner: str, name: str) -> Row | None:
        """A repository with its `owner_login`; names match in any case."""
        return self.db.one(f"{REPO} WHERE users.login = ? AND repos.name = ?", owner, name)

    def repo_by_id(self, repo_id: int) -> Row:
        """A repository that exists, with its `owner_login`."""
        return self.db.get(f"{REPO} WHERE repos.id = ?", repo_id)

    def user(self, login: str) -> Row | None:
        """A user by login, in any case."""
        return self.db.one("SELECT * FROM users WHERE login = ?", login)

    def user_by_id(self, user_id: int) -> Row:
        """A user that exists."""
        return self.db.get("SELECT * FROM users WHERE id = ?", user_id)

    def app_by_id(self, app_id: int) -> Row:
        """An App that exists."""
        return self.db.get("SELECT * FROM apps WHERE id = ?", app_id)

    def next_number(self, repo_id: int) -> int:
        """The next number of an issue or pull request; call it inside a transaction."""
        self.db.run("UPDATE repos SET last_number = last_number + 1 WHERE id = ?", repo_id)
        return self.db.count("SELECT last_number FROM repos WHERE id = ?", repo_id)

    def pushed(self, repo: Row, ref: str, before: str, after: str, actor: Actor) -> None:
        """Records and announces that a ref moved; called with the repository's lock held."""
        importlib.import_module("forge.pushing").pushed(self, repo, ref, before, after, actor)

    async def start(self) -> None:
        """Starts what works in the background."""
        await self.events.start()
        await self.ci.start()

    async def stop(self) -> None:
        """Stops what works in the background and closes the database."""
        await self.ci.stop()
        await self.events.stop()
        self.db.close()


class _Absent:
    """Stands in for a part that is not installed yet."""

    def __init__(self, forge: Forge) -> None:
        del forge

    def emit(
        self, name: str, action: str | None, repo: Row | None, sender: Row, **objects: JsonDict
    ) -> None: ...

    def pushed(self, repo: Row, branch: str, before: str, sha: str, sender: Row) -> None: ...

    async def start(self) -> None: ...

    async def stop(self) -> None: ...


def _part(module: str, name: str, forge: Forge) -> Any:
    try:
        return getattr(importlib.import_module(module), name)(forge)
    except ModuleNotFoundError:
        return _Absent(forge)
