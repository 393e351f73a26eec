"""Owns a throw-away PostgreSQL server for tests: started on demand, one for the session, stopped by its process id."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import psycopg
import pytest

MISSING = "PostgreSQL (initdb and pg_ctl) is not installed, so nothing was tested against it"
_PLACES = ("/usr/local/bin", "/usr/local/pgsql/bin", "/opt/homebrew/bin", "/usr/local/opt/postgresql/bin")
_SECONDS = 100


@dataclass(slots=True)
class PostgresServer:
    """A running server, reachable through a socket in its own folder only."""

    socket_dir: Path
    _names: Iterator[int] = field(default_factory=count)

    def fresh_database(self, template: str = "template0") -> str:
        """Create an empty database, or a copy of `template`, and give its URL."""
        name = f"test_{os.getpid()}_{next(self._names)}"
        with psycopg.connect(self.dsn("postgres"), autocommit=True) as conn:
            deadline = time.monotonic() + _SECONDS
            while True:
                try:
                    conn.execute(f"create database {name} template {template}")
                except psycopg.errors.ObjectInUse:  # whoever closed the template last has yet to leave it
                    assert time.monotonic() < deadline
                else:
                    return f"postgresql://postgres@/{name}?host={self.socket_dir}"

    def dsn(self, database: str) -> str:
        return f"host={self.socket_dir} user=postgres dbname={database}"


@contextmanager
def running_postgres() -> Iterator[PostgresServer]:
    """Start a server in a folder of its own; skips the test where there is no PostgreSQL."""
    binaries = _binaries()
    if binaries is None:
        pytest.skip(MISSING)
    # A short path: the name of a socket holds about 100 characters.
    folder = Path(tempfile.mkdtemp(prefix="gwpg", dir="/tmp"))
    data = folder / "data"
    owner = _owner(folder)
    try:
        _run(
            [
                str(binaries / "initdb"),
                "-D",
                str(data),
                "-U",
                "postgres",
                "-A",
                "trust",
                "-E",
                "UTF8",
                "-N",
            ],
            owner,
        )
        options = (
            f"-k {folder} -c listen_addresses= -c fsync=off -c max_connections=200 -c shared_buffers=32MB"
        )
        log = str(folder / "log")
        _run([str(binaries / "pg_ctl"), "-D", str(data), "-l", log, "-w", "-o", options, "start"], owner)
        try:
            yield PostgresServer(folder)
        finally:
            _run([str(binaries / "pg_ctl"), "-D", str(data), "-w", "-m", "immediate", "stop"], owner)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """One server for all tests of the session."""
    with running_postgres() as server:
        yield server


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> str:
    """An empty database of its own."""
    return postgres_server.fresh_database()


def _binaries() -> Path | None:
    """Find the folder that holds both programs, the newest version first."""
    on_path = [Path(found).parent for found in (shutil.which("initdb"),) if found]
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: -float(path.parent.name))
    for folder in [*on_path, *debian, *map(Path, _PLACES)]:
        if (folder / "initdb").exists() and (folder / "pg_ctl").exists():
            return folder
    return None


def _owner(folder: Path) -> pwd.struct_passwd | None:
    """Give the user to run as instead of root, whom PostgreSQL refuses, and hand the folder over; None: as we are."""
    if os.geteuid() != 0:
        return None
    user = next((found for found in ("postgres", "nobody") if _exists(found)), None)
    if user is None:
        pytest.skip("PostgreSQL refuses to run as root, and there is no user `postgres` or `nobody` here")
    entry = pwd.getpwnam(user)
    os.chown(folder, entry.pw_uid, entry.pw_gid)
    return entry


def _exists(user: str) -> bool:
    try:
        pwd.getpwnam(user)
    except KeyError:
        return False
    return True


def _run(argv: list[str], owner: pwd.struct_passwd | None) -> None:
    done = subprocess.run(
        argv,
        cwd="/",
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
        user=owner and owner.pw_uid,
        group=owner and owner.pw_gid,
        extra_groups=[] if owner else None,
    )
    if done.returncode != 0:
        raise AssertionError(f"{argv} ended with {done.returncode}: {done.stdout}{done.stderr}")


DatabaseMaker = Callable[[], str]
