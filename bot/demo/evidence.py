"""Opens what a run left behind: the forge's database and repositories, and the bot's own folder, all of it only read."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bot.demo.source import run_git
from bot.errors import GitError, UserError

Row = sqlite3.Row


@dataclass(frozen=True, slots=True)
class Evidence:
    """One run's folder; `app` is the bot's App on the forge, `repo` its one repository."""

    out: Path
    forge: sqlite3.Connection
    bot: sqlite3.Connection | None
    app: Row
    repo: Row

    @property
    def git_dir(self) -> Path:
        return self.out / "forge" / "repos" / str(self.repo["owner"]) / f"{self.repo['name']}.git"

    @property
    def requests(self) -> Path:
        return self.out / "forge" / "requests.jsonl"

    def all(self, sql: str, *args: str | int) -> list[Row]:
        """Ask the forge's database."""
        return self.forge.execute(sql, args).fetchall()

    def of_bot(self, sql: str, *args: str | int) -> list[Row]:
        """Ask the bot's database; nothing where it has none, or not this table."""
        if self.bot is None:
            return []
        try:
            return self.bot.execute(sql, args).fetchall()
        except sqlite3.OperationalError as error:
            if "no such table" in str(error):
                return []
            raise

    def git(self, *args: str) -> str:
        """Ask the forge's repository."""
        return run_git([f"--git-dir={self.git_dir}", *args])

    def file(self, rev: str, path: str) -> str | None:
        """Read a file of the forge's repository; None where it is not there."""
        try:
            return run_git([f"--git-dir={self.git_dir}", "cat-file", "blob", f"{rev}:{path}"])
        except GitError:
            return None


@contextmanager
def open_evidence(out: Path) -> Iterator[Evidence]:
    """Open a run's folder; UserError where no run ever got as far as having an App."""
    forge_file, bot_file = out / "forge" / "forge.sqlite", out / "bot" / "gitwright.sqlite"
    if not forge_file.exists():
        raise UserError(f"{out} holds no demo run.")
    with closing(_connect(forge_file)) as forge:
        app = forge.execute("SELECT * FROM apps ORDER BY created_at DESC, id DESC").fetchone()
        for candidate in forge.execute("SELECT * FROM apps"):
            if forge.execute("SELECT 1 FROM installations WHERE app_id = ?", (candidate["id"],)).fetchone():
                app = candidate
        repo = forge.execute(
            "SELECT repos.*, users.login AS owner FROM repos JOIN users ON users.id = owner_id ORDER BY repos.id"
        ).fetchone()
        if app is None or repo is None:
            raise UserError(f"{out}: the run ended before there was a repository and an App.")
        if not bot_file.exists():
            yield Evidence(out, forge, None, app, repo)
            return
        with closing(_connect(bot_file)) as bot:
            yield Evidence(out, forge, bot, app, repo)


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path)
    connection.row_factory = sqlite3.Row
    connection.execute("PRAGMA query_only = ON")
    return connection
