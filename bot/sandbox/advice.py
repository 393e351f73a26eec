"""Owns the words for a machine on which no sandbox of the required level holds: what is missing, and the fix for it.

advise(required, level, evidence) -> Advice(missing, fix); refusal(required, level, evidence) -> one message.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from bot.sandbox.evidence import Evidence

_INSTALL = {
    "debian": "apt-get install bubblewrap",
    "fedora": "dnf install bubblewrap",
    "rhel": "dnf install bubblewrap",
    "arch": "pacman -S bubblewrap",
    "alpine": "apk add bubblewrap",
    "suse": "zypper install bubblewrap",
}
_CONTAINERS = (
    "Set GITWRIGHT_CONTAINER=podman (or docker) and GITWRIGHT_CONTAINER_IMAGE: boxes are containers then"
)
APPARMOR_PROFILE = """\
abi <abi/4.0>,
include <tunables/global>
profile bwrap /usr/bin/bwrap flags=(unconfined) {
  userns,
  include if exists <local/bwrap>
}
"""
LIES_BELOW = "lies below"  # with which a back end says that what is to be hidden would be seen
OPT_OUT = (
    "To go on without isolation all the same, on a machine that holds nothing else, set `GITWRIGHT_SANDBOX=none`: agents "
    "and tests run with the bot's own rights then, for private repositories and their maintainers only."
)


@dataclass(frozen=True, slots=True)
class Advice:
    """What is missing and what to do about it on this machine, a sentence or more each."""

    missing: str
    fix: str


def refusal(required: str, level: str, seen: Evidence) -> str:
    """Give the one message with which a server does not start."""
    found = advise(required, level, seen)
    said = f"\nIt said: {'; '.join(seen.problems)}" if seen.problems else ""
    return (
        f"No sandbox of level `{required}` holds on this machine (found: `{level}`), so nothing is started: agents and "
        f"tests would run with the rights of the bot itself.\nMissing: {found.missing}\nFix: {found.fix}\n{OPT_OUT}{said}"
    )


def advise(required: str, level: str, seen: Evidence) -> Advice:
    """Recognize the cause by what was seen; the likeliest first."""
    if level != "none":
        return _stronger(required, level, seen)
    if seen.back_end != "bwrap":
        return _container(seen)
    return next(filter(None, (cause(seen) for cause in _CAUSES)))


def _stronger(required: str, level: str, seen: Evidence) -> Advice:
    unit = " (`Delegate=yes` in the unit of a service)" if seen.systemd else ""
    return Advice(
        f"limits for whole boxes: `{level}` is reached without them, `{required}` is not.",
        f"Give the bot a control group that it may divide{unit}, or run boxes as containers. {_CONTAINERS}. "
        f"Or require less: GITWRIGHT_SANDBOX={level}.",
    )


def _container(seen: Evidence) -> Advice:
    said = "; ".join(seen.problems)
    name = seen.back_end
    if re.search(r"GITWRIGHT_CONTAINER_IMAGE|pull", said):
        return Advice(f"the image that boxes are made of: {said}", "Do what it says, and start again.")
    if re.search(r"no program|not found|No such file", said):
        return Advice(
            f"the program `{name}`, which GITWRIGHT_CONTAINER names.", "Install it, or mend the setting."
        )
    if re.search(r"daemon|permission denied.*sock|connect:", said, re.IGNORECASE):
        return Advice(
            f"the daemon of `{name}` does not answer this user.",
            "Start it, and let the bot's user use it (which makes that user as good as root: rootless podman needs neither).",
        )
    if "unbounded-" in said or re.search(r"cgroup", said, re.IGNORECASE):
        return Advice(
            f"limits on containers: `{name}` cannot set them for this user.",
            "Rootless containers are bounded with cgroups v2 and a delegated control group (`loginctl enable-linger`, "
            "`Delegate=yes`), or run the bot as root.",
        )
    return Advice(f"a container of `{name}` that holds.", "Mend what it says below, and start again.")


def _exposed(seen: Evidence) -> Advice | None:
    for said in seen.problems:
        if found := re.search(rf"(`[^`]+`) {LIES_BELOW} (`[^`]+`)", said):
            return Advice(
                f"a place that no box shows: {found[1]} lies below {found[2]}, with programs that boxes need.",
                "Move it (GITWRIGHT_DATA_DIR, or the setting that names the file), or take the folder from the PATH.",
            )
    return None


def _macos(seen: Evidence) -> Advice | None:
    if seen.platform.startswith("linux"):
        return None
    name = "macOS" if seen.platform == "darwin" else seen.platform
    return Advice(
        f"bubblewrap, which needs Linux; this is {name}.", f"{_CONTAINERS}. Docker Desktop or podman will do."
    )


def _absent(seen: Evidence) -> Advice | None:
    if seen.bwrap is not None and not _said(seen, r"failed to execute|could not be started"):
        return None
    command = next((_INSTALL[name] for name in seen.distribution if name in _INSTALL), None)
    how = f"`{command}`" if command else "Install bubblewrap 0.8 or later"
    return Advice("bubblewrap (`bwrap`).", f"{how}. Or: {_CONTAINERS[0].lower()}{_CONTAINERS[1:]}.")


def _old(seen: Evidence) -> Advice | None:
    if not _said(seen, r"Unknown option --"):
        return None
    return Advice("bubblewrap 0.8 or later: this one lacks an option.", "Install a newer bubblewrap.")


def _sysctl(seen: Evidence) -> Advice | None:
    for name, value, right in (
        ("kernel.unprivileged_userns_clone", seen.userns_clone, 1),
        ("user.max_user_namespaces", seen.max_user_namespaces, 15000),
    ):
        if value == 0:
            return Advice(
                f"user namespaces: `{name}` is 0.",
                f"`sysctl -w {name}={right}`, and the same line in `/etc/sysctl.d/60-gitwright.conf` to keep it.",
            )
    return None


def _inside_container(seen: Evidence) -> Advice | None:
    if seen.container is None or not _is_about_namespaces(seen):
        return None
    options = "`--security-opt seccomp=unconfined --security-opt apparmor=unconfined --security-opt systempaths=unconfined`"
    if seen.container == "podman":
        options = "`--security-opt seccomp=unconfined --security-opt unmask=ALL`"
    elif seen.container == "kubernetes":
        options = (
            "a pod with `seccompProfile: {type: Unconfined}`, `procMount: Unmasked` and `hostUsers: false`"
        )
    return Advice(
        f"user namespaces: the bot runs in a container, and the default seccomp profile of {seen.container} forbids them.",
        f"Start its container with {options}; its boxes get a filter of their own.",
    )


def _apparmor(seen: Evidence) -> Advice | None:
    if seen.apparmor_userns != 1 or not _is_about_namespaces(seen):
        return None
    return Advice(
        "user namespaces: AppArmor keeps them from programs without a profile (Ubuntu 23.10 and later).",
        f"Write this to `/etc/apparmor.d/bwrap` and run `apparmor_parser -r /etc/apparmor.d/bwrap`:\n\n{APPARMOR_PROFILE}",
    )


def _service(seen: Evidence) -> Advice | None:
    if not seen.systemd or not _is_about_namespaces(seen):
        return None
    return Advice(
        "user namespaces: the service that runs the bot may not make them.",
        "Take `RestrictNamespaces=`, `PrivateUsers=`, `ProtectKernelTunables=` and `SystemCallFilter=` out of its unit.",
    )


def _forbidden(seen: Evidence) -> Advice | None:
    if not _is_about_namespaces(seen):
        return None
    return Advice(
        "user namespaces: this user may not make them.",
        "Allow them (`sysctl user.max_user_namespaces kernel.unprivileged_userns_clone` tell), and start the bot outside of "
        "containers and services that forbid them.",
    )


def _other(seen: Evidence) -> Advice | None:
    walls = [word for each in seen.problems if (word := each.rpartition(": ")[2]) in WALLS]
    if walls:
        named = "; ".join(WALLS[word] for word in walls)
        return Advice(
            f"a wall: inside a box, {named}.", "Report this with the output of `gitwright doctor --json`."
        )
    return Advice("a box that starts.", f"Mend what bubblewrap says below. Or: {_CONTAINERS}.")


WALLS = {  # as bot.sandbox.canary names them
    "writes-system": "programs of the machine can be changed",
    "writes-root": "the root folder can be written",
    "writes-host": "files of the machine can be written",
    "writes-kernel": "settings of the kernel can be changed",
    "cannot-work": "the work folder cannot be written",
    "reads-host": "files of the machine can be read",
    "unbounded-temporary-space": "folders in memory are not bounded",
    "sees-processes": "processes of the machine are seen",
    "reads-data": "DATA_DIR can be read",
    "reads-environments": "environments of other processes can be read",
    "reads-arguments": "arguments of other processes can be read",
    "leaks-environment": "the environment of its first process holds more than it should",
    "has-capabilities": "commands have capabilities",
    "gains-privileges": "commands can gain privileges",
    "is-root": "commands are root outside",
    "network": "there is a network",
    "sockets": "there are sockets that lead past the network's wall",
    "unbounded-processes": "processes are not bounded",
    "unbounded-memory": "memory is not bounded as a whole",
}
_CAUSES: Iterable[Callable[[Evidence], Advice | None]] = (
    _exposed,
    _macos,
    _absent,
    _old,
    _sysctl,
    _inside_container,
    _apparmor,
    _service,
    _forbidden,
    _other,
)


def _is_about_namespaces(seen: Evidence) -> bool:
    return _said(
        seen,
        r"[Nn]o permissions to creat|[Cc]reating new namespace|setting up uid map|Failed to make|Can't mount proc|loopback|"
        r"unshare failed|Operation not permitted",
    )


def _said(seen: Evidence, pattern: str) -> bool:
    return any(re.search(pattern, each) for each in seen.problems)
