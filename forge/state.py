"""The one object that routes get: the data folder, the database, the repositories and the parts that react."""

import asyncio
from pathlib import Path

from forge import pushing
from forge.auth import Actor
from forge.ci import CI
from forge.clock import Clock
from forge.events import Events
from forge.faults import Faults
from forge.git import Git
from forge.store import Row, Store

REPO = "SELECT repos.*, users.login AS owner_login FROM repos JOIN users ON users.id = repos.owner_id"


class Forge:
    """State of one forge; `url` is its address without a slash at the end."""

    def __init__(self, data: Path, url: str, clock: Clock | None = None) -> None:
        data.mkdir(parents=True, exist_ok=True)
        self.data = data
        self.url = url.rstrip("/")
        self.clock = clock or Clock()
        self.db = Store(data / "forge.sqlite")
        self.git = Git(data)
        self.events = Events(self)
        self.ci = CI(self)
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

    def tip(self, repo: Row, branch: str) -> str | None:
        """The head of a branch as it was last announced; no git needed."""
        row = self.db.one(
            "SELECT sha FROM heads WHERE repo_id = ? AND ref = ?", repo["id"], f"refs/heads/{branch}"
        )
        return None if row is None else str(row["sha"])

    def pushed(self, repo: Row, ref: str, before: str, after: str, actor: Actor) -> None:
        """Records and announces that a ref moved; called with the repository's lock held."""
        pushing.pushed(self, repo, ref, before, after, actor)

    async def start(self) -> None:
        """Starts what works in the background, and announces what a killed forge had moved but not announced."""
        await self.events.start()
        await self.ci.start()
        await asyncio.to_thread(pushing.catch_up, self)

    async def stop(self) -> None:
        """Stops what works in the background and closes the database."""
        await self.ci.stop()
        await self.events.stop()
        self.db.close()
