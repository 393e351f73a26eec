"""Owns the command line that makes a container of a policy, and the words for why it does not start. Pure but for paths.

command(policy, containers, name, owner) -> argv; reason(said, containers) -> text.
"""

from __future__ import annotations

import os
import re
import resource
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bot.ports import SandboxPolicy
from bot.process import sandbox_uid
from bot.sandbox import launch, programs, seccomp

WORK, HOME = "/workspace", "/home/agent"
OWNER = "gitwright.owner"  # label: id and start time of the bot's process
BASE_ENV = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": HOME,
    "TMPDIR": "/tmp",  # noqa: S108 - inside the box
    "LANG": "C.UTF-8",
}
_OURS = programs.FOLDER
_HERE = Path(__file__).parent
_TMP_BYTES = 1 << 30
_SHM_BYTES = 64 << 20
# What gVisor's kernel itself may need, and how many tasks of the host a process in it takes: a `make -j8` as many as a thousand.
_KERNEL_THREADS, _KERNEL_BYTES, _KERNEL_TASKS = 256, 128 << 20, 4
_EVERYBODY = (
    1 << 15
)  # processes of a user on a whole machine; podman may have lowered its own limit to as little
_SELINUX = Path("/sys/fs/selinux/enforce")


@dataclass(frozen=True, slots=True)
class Containers:
    """Which program makes them, out of which image, with which runtime; None: the program's usual one."""

    program: str
    image: str
    runtime: str | None = None

    @property
    def name(self) -> str:
        return Path(self.program).name

    @property
    def podman(self) -> bool:
        return "podman" in self.name

    @property
    def own_users(self) -> bool:
        """Whether each container has user ids, and counts, of its own: rootless podman's."""
        return self.podman and os.geteuid() != 0

    @property
    def gvisor(self) -> bool:
        """Whether containers get a kernel of their own, whose threads and memory count beside theirs."""
        return "runsc" in (self.runtime or "")

    @property
    def removal(self) -> tuple[str, ...]:
        """What to call to have a container killed and removed at once."""
        return ("rm", "--force", *(("--time", "0") if self.podman else ()))

    @staticmethod
    def of(program: str | None, image: str, runtime: str | None) -> Containers | None:
        """Take over the operator's settings; None where boxes are to be bubblewrap's."""
        return Containers(program, image, runtime) if program else None


def command(policy: SandboxPolicy, containers: Containers, name: str, *, owner: str) -> list[str]:
    """Give the command line that starts a container whose process 1 is `inside/first.py`, and talks to it."""
    filter_ = seccomp.program()
    # Without user ids of its own all boxes of the machine would count together.
    processes = policy.processes if containers.own_users or containers.gvisor else _EVERYBODY
    start = [
        *("-I", "-S", f"{_OURS}/confine.py", filter_.hex() if filter_ else "-"),
        *programs.first(processes, WORK, {o.port: _outlet(o.port) for o in policy.outlets})[2:],
    ]
    return [
        *_program(containers),
        # Where the daemon is told to, it would start another process 1 before ours.
        *("run", "--interactive", "--rm", "--pull=never", "--init=false"),
        *("--name", name, "--label", f"{OWNER}={owner}"),
        *("--log-driver", "none", "--hostname", "sandbox", "--network", "none"),
        *_walls(containers),
        *_bounds(policy, containers),
        *_folders(policy),
        *(part for key, value in BASE_ENV.items() for part in ("--env", f"{key}={value}")),
        *("--workdir", "/", "--entrypoint", "python3", containers.image),
        *start,
    ]


def _program(containers: Containers) -> Iterator[str]:
    """Give the program with its runtime, which podman wants to hear of before its subcommand, and docker after it."""
    yield containers.program
    if containers.podman and containers.runtime:
        yield from ("--runtime", containers.runtime)
        if containers.gvisor:
            # Its own network stack needs none of the host's; a unix socket that is shown may be connected to.
            yield from ("--runtime-flag", "network=none", "--runtime-flag", "fsgofer-host-uds")


def _walls(containers: Containers) -> Iterator[str]:
    uid = sandbox_uid()
    user = f"{uid}:{uid}" if uid is not None else f"{os.getuid()}:{os.getgid()}"
    yield from ("--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--read-only", "--user", user)
    if _SELINUX.exists():
        yield from ("--security-opt", "label=disable")  # it would hide the folders that are shown
    if containers.podman:
        yield from ("--read-only-tmpfs=false", "--no-hosts")
    elif containers.runtime:
        yield from ("--runtime", containers.runtime)
    if containers.own_users:
        yield from ("--userns", "keep-id")


def _bounds(policy: SandboxPolicy, containers: Containers) -> Iterator[str]:
    copy = ",notmpcopyup" if containers.podman else ""
    tasks, memory = policy.processes, 0
    if containers.gvisor:
        tasks, memory = _KERNEL_TASKS * tasks + _KERNEL_THREADS, _KERNEL_BYTES
    bytes_ = str(policy.memory_bytes + memory)
    yield from ("--pids-limit", str(tasks), "--memory", bytes_, "--memory-swap", bytes_)
    yield from ("--tmpfs", f"/tmp:rw,exec,nosuid,nodev,mode=1777,size={_TMP_BYTES}{copy}")  # noqa: S108 - inside the box
    yield from ("--shm-size", str(_SHM_BYTES))
    limits = {
        **launch.bounds(policy.memory_bytes),
        "nproc": launch.at_most(resource.RLIMIT_NPROC, _EVERYBODY),
    }
    for kind, most in limits.items():
        yield from ("--ulimit", f"{kind}={most}:{most}")


def _folders(policy: SandboxPolicy) -> Iterator[str]:
    """Bind what the policy shows, outer folders first, so that what lies deeper is seen in them."""
    shown = [(file, inside, True) for file, inside in programs.shown().items()]
    shown.append((_HERE / "confine.py", f"{_OURS}/confine.py", True))
    shown += [(outlet.socket, _outlet(outlet.port), False) for outlet in policy.outlets]
    shown += [(source, target, True) for source, target in policy.readable.items()]
    shown += [(source, target, False) for source, target in policy.writable.items()]
    shown += [(policy.home, HOME, False), (policy.work, WORK, policy.frozen)]
    if policy.pointer_git is not None:
        shown.append((policy.pointer_git, f"{WORK}/.git", True))
    for source, target, readonly in sorted(shown, key=lambda each: len(Path(each[1]).parts)):
        place = f'"source={source}"' if "," in str(source) else f"source={source}"
        yield from ("--mount", f"type=bind,{place},target={target}" + (",readonly" if readonly else ""))


def _outlet(port: int) -> str:
    return f"{_OURS}/outlets/{port}"


def reason(said: str, containers: Containers) -> str:
    """Say why a container did not start, and what to do where that is known."""
    name = containers.name
    if re.search(
        r"image not known|No such image|Unable to find image|does not exist locally|not found locally", said
    ):
        return (
            f"There is no image `{containers.image}` here, which GITWRIGHT_CONTAINER_IMAGE names, and none is fetched "
            f"without being asked for. Run `{name} pull {containers.image}`, or build one with python3 and git in it."
        )
    if re.search(r"python3.*(not found|no such file)|(not found|no such file).*python3", said, re.IGNORECASE):
        return (
            f"The image `{containers.image}`, which GITWRIGHT_CONTAINER_IMAGE names, has no python3: {said}"
        )
    return said
