"""Owns what a machine says about why a sandbox does not hold on it: files and programs, looked at and not judged."""

from __future__ import annotations

import os
import shutil
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_SYSCTLS = Path("/proc/sys")
_CONTAINER_FILES = {"docker": Path("/.dockerenv"), "podman": Path("/run/.containerenv")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What was seen; None: there is no such file or program here."""

    platform: str = "linux"  # as sys.platform has it
    distribution: tuple[str, ...] = ()  # ID and ID_LIKE of /etc/os-release
    bwrap: str | None = None  # where the program is
    userns_clone: int | None = None  # kernel.unprivileged_userns_clone, of Debian's kernels
    max_user_namespaces: int | None = None
    apparmor_userns: int | None = None  # kernel.apparmor_restrict_unprivileged_userns, of Ubuntu's kernels
    container: str | None = None  # docker, podman, or kubernetes: what the bot itself runs in
    systemd: bool = False  # a service manager started the bot
    back_end: str = "bwrap"  # what was asked for: bwrap, or the name of a container program
    problems: tuple[str, ...] = ()  # what the canaries or the back end said


def gather(problems: tuple[str, ...] = (), back_end: str = "bwrap") -> Evidence:
    """Look at this machine."""
    return Evidence(
        platform=sys.platform,
        distribution=_distribution(),
        bwrap=shutil.which("bwrap"),
        userns_clone=_number("kernel/unprivileged_userns_clone"),
        max_user_namespaces=_number("user/max_user_namespaces"),
        apparmor_userns=_number("kernel/apparmor_restrict_unprivileged_userns"),
        container=_container(),
        systemd="INVOCATION_ID" in os.environ,
        back_end=back_end,
        problems=problems,
    )


def _number(name: str) -> int | None:
    with suppress(OSError, ValueError):
        return int((_SYSCTLS / name).read_text("ascii"))
    return None


def _container() -> str | None:
    if "KUBERNETES_SERVICE_HOST" in os.environ:
        return "kubernetes"
    return next((name for name, file in _CONTAINER_FILES.items() if file.exists()), None)


def _distribution() -> tuple[str, ...]:
    found: list[str] = []
    with suppress(OSError):
        for line in Path("/etc/os-release").read_text("utf-8", "replace").splitlines():
            key, _, value = line.partition("=")
            if key in {"ID", "ID_LIKE"}:
                found += value.strip("\"'").split()
    return tuple(found)
