"""Owns what every attack needs: a seeded remote, a second tenant, servers, a sandbox; and the table at the end."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bot.sandbox import BwrapSandbox
from tests.git.attacks.field import Naive, Ours, _git
from tests.git.server import GitServer
from tests.support.walls import walls

_FILES = {
    "f.txt": "".join(f"line {n}\n" for n in range(40)),
    "docs/a.md": "docs\n",
    ".gitattributes": "*.dat filter=lfs diff=lfs merge=lfs -text\n*.crlf text eol=crlf\n*.id ident\n*.exp export-subst\n",
}


@pytest.fixture(scope="session")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make `seed` with `main` and one commit more on `next`, `r.git` to be served, and `other.git` of somebody else."""
    root = tmp_path_factory.mktemp("attacked")
    seed = _repository(root / "seed", _FILES)
    text = (seed / "f.txt").read_text()
    _do(seed, "branch", "next")
    _do(seed, "checkout", "-q", "next")
    (seed / "f.txt").write_text(text.replace("line 35\n", "line 35 upstream\n"))
    _do(seed, "commit", "-qam", "upstream")
    _do(seed, "checkout", "-q", "main")
    other = _repository(root / "tenant", {"private.txt": "OTHER TENANT\n"})
    (root / "served").mkdir()
    _do(root, "clone", "-q", "--bare", str(seed), "served/r.git")
    _do(root, "clone", "-q", "--bare", str(other), "served/other.git")
    _do(root / "served/r.git", "config", "http.receivepack", "true")
    return root


def _repository(path: Path, content: dict[str, str]) -> Path:
    for name, text in content.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_text(text)
    _do(path, "init", "-q", "-b", "main")
    _do(path, "add", "-A")
    _do(path, "commit", "-qm", "base")
    return path


def _do(cwd: Path, *args: str) -> str:
    done = _git("-C", str(cwd), *args)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture(scope="session")
def sinks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GitServer]:
    running = GitServer(tmp_path_factory.mktemp("nothing"))
    yield running
    running.close()


@pytest.fixture
def sink(sinks: GitServer) -> GitServer:
    sinks.seen.clear()
    return sinks


@pytest.fixture
def naive(tmp_path: Path, seeded: Path, sink: GitServer) -> Iterator[Naive]:
    yield from _field(Naive, tmp_path / "naive", seeded, sink)


@pytest.fixture
def ours(tmp_path: Path, seeded: Path, sink: GitServer) -> Iterator[Ours]:
    tmp_path.chmod(0o755)  # nothing but the box itself is to keep an agent from what is here
    yield from _field(Ours, tmp_path / "ours", seeded, sink)


def _field(kind: type[Any], folder: Path, seeded: Path, sink: GitServer) -> Iterator[Any]:
    shutil.copytree(seeded / "served", folder / "served", symlinks=True)
    server = GitServer(folder / "served")
    yield kind(folder, server, sink, _do(seeded / "seed", "rev-parse", "next"))
    server.close()


@pytest.fixture(scope="session")
def sandbox() -> BwrapSandbox:
    return asyncio.run(walls())  # once: its canaries cost as much as an attack


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print what each attack did; the rows come with the reports, from whatever process they ran in."""
    reports = [report for name in ("passed", "failed") for report in terminalreporter.stats.get(name, ())]
    rows = sorted(value for report in reports for key, value in report.user_properties if key == "attack")
    if rows:
        terminalreporter.section("attacks on the host's git")
        for row in ("| case | attack | naive | ours | how ours ended |", "|---|---|---|---|---|", *rows):
            terminalreporter.line(row)
        version = subprocess.run(["git", "--version"], capture_output=True, text=True, check=True, timeout=60)
        terminalreporter.line(version.stdout.strip())
