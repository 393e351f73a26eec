"""The forge's SQLite database: its schema and the four calls through which everybody reads and writes it."""

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

Row = sqlite3.Row
Value = str | int | float | bytes | None

SCHEMA = """
CREATE TABLE IF NOT EXISTS users (
    id INTEGER PRIMARY KEY, login TEXT NOT NULL UNIQUE COLLATE NOCASE, type TEXT NOT NULL DEFAULT 'User',
    name TEXT, email TEXT, site_admin INTEGER NOT NULL DEFAULT 0, created_at TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS tokens (
    id INTEGER PRIMARY KEY, token_hash TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, user_id INTEGER NOT NULL,
    app_id INTEGER, installation_id INTEGER, permissions TEXT NOT NULL DEFAULT '{}', repository_ids TEXT,
    expires_at TEXT, revoked_at TEXT, created_at TEXT NOT NULL, last_used_at TEXT);
CREATE TABLE IF NOT EXISTS apps (
    id INTEGER PRIMARY KEY, slug TEXT NOT NULL UNIQUE, name TEXT NOT NULL, owner_id INTEGER NOT NULL,
    description TEXT, external_url TEXT NOT NULL DEFAULT '', client_id TEXT NOT NULL, client_secret TEXT NOT NULL,
    webhook_secret TEXT, webhook_url TEXT, webhook_active INTEGER NOT NULL DEFAULT 1,
    webhook_content_type TEXT NOT NULL DEFAULT 'json', public_key TEXT NOT NULL, permissions TEXT NOT NULL,
    events TEXT NOT NULL, setup_url TEXT, bot_user_id INTEGER NOT NULL, created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS app_manifests (
    code TEXT PRIMARY KEY, manifest TEXT NOT NULL, user_id INTEGER NOT NULL, created_at TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS installations (
    id INTEGER PRIMARY KEY, app_id INTEGER NOT NULL, account_id INTEGER NOT NULL,
    repository_selection TEXT NOT NULL, permissions TEXT NOT NULL, events TEXT NOT NULL, suspended_at TEXT,
    created_at TEXT NOT NULL, updated_at TEXT NOT NULL, UNIQUE (app_id, account_id));
CREATE TABLE IF NOT EXISTS installation_repos (
    installation_id INTEGER NOT NULL, repo_id INTEGER NOT NULL, PRIMARY KEY (installation_id, repo_id));
CREATE TABLE IF NOT EXISTS repos (
    id INTEGER PRIMARY KEY, owner_id INTEGER NOT NULL, name TEXT NOT NULL COLLATE NOCASE,
    private INTEGER NOT NULL DEFAULT 0, default_branch TEXT NOT NULL DEFAULT 'main', description TEXT,
    homepage TEXT, archived INTEGER NOT NULL DEFAULT 0, has_issues INTEGER NOT NULL DEFAULT 1,
    allow_merge_commit INTEGER NOT NULL DEFAULT 1, allow_squash_merge INTEGER NOT NULL DEFAULT 1,
    allow_rebase_merge INTEGER NOT NULL DEFAULT 1, delete_branch_on_merge INTEGER NOT NULL DEFAULT 0,
    ci_command TEXT, last_number INTEGER NOT NULL DEFAULT 0, created_at TEXT NOT NULL, pushed_at TEXT,
    updated_at TEXT NOT NULL, UNIQUE (owner_id, name));
-- Names that repositories had before.
CREATE TABLE IF NOT EXISTS repo_names (
    owner_id INTEGER NOT NULL, name TEXT NOT NULL COLLATE NOCASE, repo_id INTEGER NOT NULL,
    PRIMARY KEY (owner_id, name));
CREATE TABLE IF NOT EXISTS collaborators (
    repo_id INTEGER NOT NULL, user_id INTEGER NOT NULL, role TEXT NOT NULL, PRIMARY KEY (repo_id, user_id));
CREATE TABLE IF NOT EXISTS issues (
    id INTEGER PRIMARY KEY, repo_id INTEGER NOT NULL, number INTEGER NOT NULL, title TEXT NOT NULL, body TEXT,
    state TEXT NOT NULL DEFAULT 'open', state_reason TEXT, user_id INTEGER NOT NULL, app_id INTEGER,
    locked INTEGER NOT NULL DEFAULT 0, lock_reason TEXT, created_at TEXT NOT NULL, updated_at TEXT NOT NULL,
    closed_at TEXT, closed_by INTEGER, is_pull INTEGER NOT NULL DEFAULT 0, UNIQUE (repo_id, number));
CREATE INDEX IF NOT EXISTS issues_by_state ON issues (repo_id, is_pull, state, number);
CREATE TABLE IF NOT EXISTS pulls (
    issue_id INTEGER PRIMARY KEY, repo_id INTEGER NOT NULL, head_ref TEXT NOT NULL, head_sha TEXT NOT NULL,
    head_repo_id INTEGER NOT NULL, base_ref TEXT NOT NULL, base_sha TEXT NOT NULL, draft INTEGER NOT NULL DEFAULT 0,
    maintainer_can_modify INTEGER NOT NULL DEFAULT 0, merged_at TEXT, merged_by INTEGER, merge_commit_sha TEXT);
CREATE INDEX IF NOT EXISTS pulls_by_head ON pulls (repo_id, head_ref);
CREATE INDEX IF NOT EXISTS pulls_by_base ON pulls (repo_id, base_ref);
CREATE TABLE IF NOT EXISTS assignees (
    issue_id INTEGER NOT NULL, user_id INTEGER NOT NULL, PRIMARY KEY (issue_id, user_id));
CREATE TABLE IF NOT EXISTS labels (
    id INTEGER PRIMARY KEY, repo_id INTEGER NOT NULL, name TEXT NOT NULL COLLATE NOCASE, color TEXT NOT NULL,
    description TEXT, is_default INTEGER NOT NULL DEFAULT 0, UNIQUE (repo_id, name));
CREATE TABLE IF NOT EXISTS issue_labels (
    issue_id INTEGER NOT NULL, label_id INTEGER NOT NULL, PRIMARY KEY (issue_id, label_id));
CREATE TABLE IF NOT EXISTS comments (
    id INTEGER PRIMARY KEY, issue_id INTEGER NOT NULL, user_id INTEGER NOT NULL, body TEXT NOT NULL,
    created_at TEXT NOT NULL, updated_at TEXT NOT NULL, app_id INTEGER, minimized TEXT);
CREATE INDEX IF NOT EXISTS comments_by_issue ON comments (issue_id);
CREATE TABLE IF NOT EXISTS reactions (
    id INTEGER PRIMARY KEY, subject_type TEXT NOT NULL, subject_id INTEGER NOT NULL, user_id INTEGER NOT NULL,
    content TEXT NOT NULL, created_at TEXT NOT NULL, UNIQUE (subject_type, subject_id, user_id, content));
CREATE TABLE IF NOT EXISTS reviews (
    id INTEGER PRIMARY KEY, issue_id INTEGER NOT NULL, user_id INTEGER NOT NULL, state TEXT NOT NULL,
    body TEXT NOT NULL DEFAULT '', commit_id TEXT NOT NULL, submitted_at TEXT);
CREATE INDEX IF NOT EXISTS reviews_by_issue ON reviews (issue_id);
CREATE TABLE IF NOT EXISTS review_comments (
    id INTEGER PRIMARY KEY, review_id INTEGER NOT NULL, path TEXT NOT NULL, line INTEGER, body TEXT NOT NULL,
    created_at TEXT NOT NULL);
-- Numbers of issues that were deleted or moved to another repository.
CREATE TABLE IF NOT EXISTS gone_issues (
    repo_id INTEGER NOT NULL, number INTEGER NOT NULL, how TEXT NOT NULL, PRIMARY KEY (repo_id, number));
CREATE TABLE IF NOT EXISTS moved_issues (
    repo_id INTEGER NOT NULL, number INTEGER NOT NULL, to_repo_id INTEGER NOT NULL, to_number INTEGER NOT NULL,
    PRIMARY KEY (repo_id, number));
CREATE TABLE IF NOT EXISTS check_suites (
    id INTEGER PRIMARY KEY, repo_id INTEGER NOT NULL, app_id INTEGER NOT NULL, head_branch TEXT,
    head_sha TEXT NOT NULL, before TEXT, status TEXT NOT NULL DEFAULT 'queued', conclusion TEXT,
    created_at TEXT NOT NULL, updated_at TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS suites_by_sha ON check_suites (repo_id, head_sha);
CREATE TABLE IF NOT EXISTS check_runs (
    id INTEGER PRIMARY KEY, suite_id INTEGER NOT NULL, repo_id INTEGER NOT NULL, app_id INTEGER NOT NULL,
    name TEXT NOT NULL, head_sha TEXT NOT NULL, status TEXT NOT NULL, conclusion TEXT, external_id TEXT,
    details_url TEXT, output TEXT NOT NULL DEFAULT '{}', actions TEXT NOT NULL DEFAULT '[]', started_at TEXT,
    completed_at TEXT);
CREATE INDEX IF NOT EXISTS runs_by_sha ON check_runs (repo_id, head_sha);
CREATE TABLE IF NOT EXISTS statuses (
    id INTEGER PRIMARY KEY, repo_id INTEGER NOT NULL, sha TEXT NOT NULL, state TEXT NOT NULL, context TEXT NOT NULL,
    description TEXT, target_url TEXT, creator_id INTEGER NOT NULL, created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS statuses_by_sha ON statuses (repo_id, sha);
CREATE TABLE IF NOT EXISTS rulesets (
    id INTEGER PRIMARY KEY, repo_id INTEGER NOT NULL, name TEXT NOT NULL, target TEXT NOT NULL,
    enforcement TEXT NOT NULL, bypass_actors TEXT NOT NULL, conditions TEXT NOT NULL, rules TEXT NOT NULL,
    created_at TEXT NOT NULL, updated_at TEXT NOT NULL);
-- The commits that the forge signed itself, of all repositories.
CREATE TABLE IF NOT EXISTS signed_commits (
    sha TEXT PRIMARY KEY, signature TEXT NOT NULL, payload TEXT NOT NULL, verified_at TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS hooks (
    id INTEGER PRIMARY KEY, repo_id INTEGER NOT NULL, url TEXT NOT NULL, secret TEXT, content_type TEXT NOT NULL,
    events TEXT NOT NULL, active INTEGER NOT NULL DEFAULT 1, created_at TEXT NOT NULL, updated_at TEXT NOT NULL);
-- What each branch and tag held when its last move was announced.
CREATE TABLE IF NOT EXISTS heads (
    repo_id INTEGER NOT NULL, ref TEXT NOT NULL, sha TEXT NOT NULL, PRIMARY KEY (repo_id, ref));
"""


class Store:
    """One SQLite connection, used by the event loop and by worker threads in turn; calls are short and block.

    Never `await` inside `tx()`: the lock belongs to the thread.
    """

    def __init__(self, path: Path) -> None:
        self._lock = threading.RLock()
        self._depth = 0
        self._committed: list[Callable[[], None]] = []
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._connection.row_factory = sqlite3.Row
        for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "busy_timeout=5000"):
            self._connection.execute(f"PRAGMA {pragma}")
        self.script(SCHEMA)

    def script(self, sql: str) -> None:
        """Runs statements that create tables; for the schema of other modules."""
        with self._lock:
            self._connection.executescript(sql)

    def one(self, sql: str, *args: Value) -> Row | None:
        """The first row, or None."""
        with self._lock:
            row: Row | None = self._connection.execute(sql, args).fetchone()
            return row

    def all(self, sql: str, *args: Value) -> list[Row]:
        """Every row."""
        with self._lock:
            return self._connection.execute(sql, args).fetchall()

    def run(self, sql: str, *args: Value) -> int:
        """Executes one statement and returns the id of the row it inserted last (0 if none)."""
        with self._lock:
            return self._connection.execute(sql, args).lastrowid or 0

    def count(self, sql: str, *args: Value) -> int:
        """The first column of the first row as a number."""
        row = self.one(sql, *args)
        return int(row[0]) if row is not None else 0

    def get(self, sql: str, *args: Value) -> Row:
        """The first row of a query that must have one; KeyError otherwise."""
        row = self.one(sql, *args)
        if row is None:
            raise KeyError(f"no row for {sql} {args}")
        return row

    @contextmanager
    def tx(self) -> Iterator[None]:
        """A transaction; nested uses join the outer one, an exception rolls all of it back."""
        with self._lock:
            if self._depth:
                yield
                return
            self._connection.execute("BEGIN IMMEDIATE")
            self._depth = 1
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                self._connection.execute("ROLLBACK")
                self._committed.clear()
                raise
            finally:
                self._depth = 0
            done, self._committed = self._committed, []
        for call in done:
            call()

    def after_commit(self, call: Callable[[], None]) -> None:
        """Calls back once the running transaction is committed (at once outside of one), in the thread that did."""
        with self._lock:
            if self._depth:
                self._committed.append(call)
                return
        call()

    def close(self) -> None:
        with self._lock:
            self._connection.close()
