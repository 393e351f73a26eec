"""Owns a project that others wrote, for a test: two releases of cachetools as their archives on the package index.

Kept in the user's cache, with the wheels of its test runner; nothing of it is in this repository.
`python -m tests.demo.cachetools` gets it.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tarfile
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

from bot.demo.source import run_git
from tests.support.index import Index

BEFORE, AFTER = "7.0.2", "7.0.3"  # the second mends what its issue 387 is about
_HASHES = {
    BEFORE: "7e7f09a4ca8b791d8bb4864afc71e9c17e607a28e6839ca1a644253c97dbeae0",
    AFTER: "8c246313b95849964e54a909c03b327a87ab0428b068fac10da7b105ca275ef6",
}
ISSUE = """\
# Looking at a class that uses cachedmethod warns

`create_autospec` of a class whose methods are decorated with `cachedmethod` gives warnings, though nothing that is deprecated
was asked for.
"""
TEST = "PYTHONPATH=src python -m pytest -q -p no:cacheprovider tests"
_SETTINGS = "# Its tests need a runner.\nsetup: pip install -q pytest\n"
_WHO = {
    f"GIT_{role}_{part}": "upstream@localhost"
    for role in ("AUTHOR", "COMMITTER")
    for part in ("NAME", "EMAIL")
}
_SECONDS = 300


def folder() -> Path:
    """The folder of exactly these archives."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    wanted = f"{sorted(_HASHES.items())} {version('pytest')}"
    return base / "gitwright" / f"cachetools-{hashlib.sha256(wanted.encode()).hexdigest()[:12]}"


def missing() -> str | None:
    """Why it cannot be used here, None if it can."""
    if not (folder() / "complete").exists():
        return "cachetools is not there; `python -m tests.demo.cachetools` gets it"
    return None


def get() -> None:
    """Download it from the package index that pip uses; nothing happens if it is there."""
    place = folder()
    if (place / "complete").exists():
        return
    place.mkdir(parents=True, exist_ok=True)
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--dest", str(place)]
    for release, digest in _HASHES.items():
        pinned = place / f"{release}.txt"
        pinned.write_text(f"cachetools=={release} --hash=sha256:{digest}\n", encoding="utf-8")
        argv = [*pip, "--no-deps", "--no-binary", "cachetools", "--require-hashes", "-r", str(pinned)]
        subprocess.run(argv, check=True, timeout=_SECONDS)
    argv = [*pip, "--only-binary", ":all:", f"pytest=={version('pytest')}"]
    subprocess.run(argv, check=True, timeout=_SECONDS)
    (place / "complete").touch()


def clone(place: Path) -> tuple[str, str]:
    """Make a repository of the two releases, the second on top of the first; gives their commits."""
    run_git(["init", "--quiet", "-b", "main", str(place)])
    shas = []
    for release in (BEFORE, AFTER):
        for name, data in _files(release).items():
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            (place / name).write_bytes(data)
        (place / ".github").mkdir(exist_ok=True)
        (place / ".github" / "gitwright.yml").write_text(_SETTINGS, encoding="utf-8")
        run_git(["add", "--all"], cwd=place)
        run_git(["commit", "--quiet", "-m", f"Release {release}"], cwd=place, env=_WHO)
        shas.append(run_git(["rev-parse", "HEAD"], cwd=place))
    return shas[0], shas[1]


def _files(release: str) -> Mapping[str, bytes]:
    """Read an archive but for what packing it added."""
    found = {}
    with tarfile.open(folder() / f"cachetools-{release}.tar.gz") as archive:
        for member in archive.getmembers():
            _, _, name = member.name.partition("/")
            made = name in {"PKG-INFO", "setup.cfg"} or ".egg-info" in name
            if member.isfile() and not made and ".." not in Path(name).parts:
                opened = archive.extractfile(member)
                assert opened is not None
                found[name] = opened.read()
    return found


def offer(index: Index) -> None:
    """Offer its test runner on an index."""
    for wheel in folder().glob("*.whl"):
        index.add_file(wheel.name.partition("-")[0], wheel.name, wheel.read_bytes())


if __name__ == "__main__":
    get()
