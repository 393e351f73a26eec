"""Owns the ways to the host's files."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from tests.escape.trying import (
    MOUNTS,
    PROBES,
    F,
    Missing,
    Probe,
    made,
    opens,
    probe,
    reads,
)


def _file(name: str, *, root: bool = False) -> None:
    PROBES[f"read {name}"] = Probe(MOUNTS, lambda: reads(F["files"][name]), root)


for each in (
    *("host key", "netrc", "gh login", "database", "credentials", "mirror config", "another task's work"),
    *("another task's home", "another task's scratch.git", "another session", "another layer", "bot source"),
    *("host /tmp", "host /dev/shm"),
):
    _file(each)


@probe(MOUNTS, root=True)
def read_shadow() -> object:
    return opens("/etc/shadow")


@probe(MOUNTS)
def list_home() -> object:
    return os.listdir(F["home"])


@probe(MOUNTS)
def write_home() -> object:
    return made(f"{F['home']}/.bash_login")


@probe(MOUNTS)
def write_data() -> object:
    return _stays(F["data"])  # a box may have a folder of that name, above what it is shown


@probe("mounts: / and /usr read-only, /etc not shown", root=True)
def write_system() -> object:
    for folder in ("/", "/usr", "/usr/bin", "/etc", "/usr/local/bin"):
        with suppress(OSError):
            return made(f"{folder}/gitwright-escape-{os.getpid()}")
    return False


@probe("mount namespace: /tmp and /dev/shm are the box's own")
def write_that_stays() -> object:
    return _stays("/tmp", "/dev/shm")


def _stays(*folders: str) -> str:
    """Write, and have the host look whether that is there."""
    paths = [f"{folder}/{F['mark']}" for folder in folders]
    for path in paths:
        Path(path).touch()
    return f"look {':'.join(paths)}"


@probe(MOUNTS)
def hard_link_out() -> object:
    link = Path("escape-link")
    link.hardlink_to(F["files"]["host key"])
    link.unlink()
    return True


@probe("mounts: pointer read-only")
def write_git_pointer() -> object:
    if not F["pointer"]:
        raise Missing("no pointer in this box")
    for flags in (os.O_WRONLY, os.O_RDWR):
        with suppress(OSError):
            return opens(F["pointer"], flags)
    with suppress(OSError):
        os.rename(F["pointer"], f"{F['pointer']}.old")
        os.rename(f"{F['pointer']}.old", F["pointer"])
        return True
    return False


@probe("mounts: objects read-only")
def write_mirror_objects() -> object:
    return made(f"{F['objects']}/planted")
