"""Owns the ways through the kernel: its settings, devices, mounts, namespaces, calls that few need, and rights."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import pty
import resource
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

from tests.escape.trying import (
    CALLS,
    LIBC,
    NEWIPC,
    NEWNET,
    NEWNS,
    NEWPID,
    NEWUSER,
    NEWUTS,
    F,
    Missing,
    call,
    opens,
    own,
    probe,
    there,
)

SYSCTL = "user namespace, /proc/sys read-only"


@probe(SYSCTL, root=True)
def write_core_pattern() -> object:
    return opens("/proc/sys/kernel/core_pattern", os.O_WRONLY)


@probe(SYSCTL, root=True)
def write_any_kernel_sysctl() -> object:
    for folder in ("kernel", "vm", "fs", "user"):
        for path in Path("/proc/sys", folder).rglob("*"):
            with suppress(OSError):
                if path.is_file() and opens(path, os.O_WRONLY):
                    return True
    return False


@probe("user namespace, masked by bubblewrap", root=True)
def sysrq_trigger() -> object:
    return there("/proc/sysrq-trigger") and opens("/proc/sysrq-trigger", os.O_WRONLY)


@probe("user namespace: no capability", root=True)
def kernel_memory() -> object:
    return there("/proc/kcore") and opens("/proc/kcore")


@probe("mount namespace: no /sys")
def look_into_sys() -> object:
    return os.listdir("/sys/kernel")


@probe("mount namespace: no /sys", root=True)
def write_sys() -> object:
    for path in Path("/sys/kernel").rglob("*"):
        with suppress(OSError):
            if path.is_file() and opens(path, os.O_WRONLY):
                return True
    return False


@probe("mount namespace: no /sys")
def look_at_control_groups() -> object:
    return os.listdir("/sys/fs/cgroup")


@probe("mount namespace: no devices but the harmless ones", root=True)
def devices() -> object:
    names = "mem kmsg port kvm fuse net/tun vda sda nvme0n1 loop-control mapper/control uinput vhost-vsock"
    for name in names.split():
        with suppress(OSError):
            return opens(f"/dev/{name}")
    return False


@probe("user namespace: no capability", root=True)
def mknod() -> object:
    os.mknod("escape-node", 0o20600, os.makedev(1, 5))
    os.unlink("escape-node")
    return True


def _mount() -> None:
    if LIBC.mount(b"none", b"/tmp", b"tmpfs", 0, None):
        raise OSError(ctypes.get_errno(), "mount")


@probe(CALLS)
def mount() -> object:
    own(NEWNS)
    _mount()
    return True


@probe(CALLS)
def umount() -> object:
    own(NEWNS)
    with suppress(OSError):
        _mount()
    for place in (b"/tmp", b"/proc/sys", b"/workspace/.git"):
        if LIBC.umount2(place, 2) == 0:
            return True
        if not F["inside"]:
            break
    return False


@probe(CALLS)
def mount_by_descriptors() -> object:
    own(NEWNS)
    return call(430, 430, b"tmpfs", 0) >= 0  # fsopen


@probe(CALLS)
def pivot_root() -> object:
    own(NEWNS)
    with suppress(OSError):
        _mount()
    os.chdir("/tmp")
    return call(155, 41, b".", b".") == 0


@probe("user namespace: no capability")
def chroot() -> object:
    own(NEWNS)
    os.chroot("/tmp")
    return True


@probe(f"{CALLS}, no further user namespaces")
def unshare() -> object:
    for space in (0, NEWNS, NEWPID, NEWNET, NEWIPC, NEWUTS):
        with suppress(OSError):
            return call(272, 97, NEWUSER | space) == 0
    return False


@probe(f"{CALLS}, no further user namespaces")
def clone_namespaces() -> object:
    child = call(56, 220, NEWUSER | NEWNS | signal.SIGCHLD, 0, 0, 0, 0)
    if child == 0:
        os._exit(0)
    return True


@probe(CALLS)
def setns() -> object:
    own(NEWUTS)
    return call(308, 268, os.open("/proc/self/ns/uts", os.O_RDONLY), NEWUTS) == 0


@probe(CALLS, root=True)
def file_handles() -> object:
    room = (ctypes.c_uint * 34)(128)
    if LIBC.name_to_handle_at(-100, b"/usr", room, ctypes.byref(ctypes.c_int()), 0):
        raise OSError(ctypes.get_errno(), "name_to_handle_at")
    return call(304, 265, os.open("/usr", os.O_RDONLY), room, os.O_RDONLY) >= 0


@probe(CALLS)
def keyrings() -> object:
    return call(248, 217, b"user", b"escape", b"x", 1, -2) >= 0  # into the process's own


@probe(CALLS, root=True)
def bpf() -> object:
    attributes = (ctypes.c_uint * 32)(2, 4, 4, 1)  # an array of one
    return call(321, 280, 0, attributes, 128) >= 0


@probe(CALLS)
def io_uring() -> object:
    return call(425, 425, 1, (ctypes.c_char * 120)()) >= 0


@probe(CALLS)
def perf_events() -> object:
    # Software event, of this process, without the kernel's part; the bits exclude kernel and hypervisor.
    attributes = (ctypes.c_uint * 32)(1, 112, 0, 0, 0, 0, 0, 0, 0, 0, 0x61)
    return call(298, 241, attributes, 0, -1, -1, 0) >= 0


@probe(CALLS)
def userfaultfd() -> object:
    return call(323, 282, 1) >= 0  # for faults of programs only


@probe(CALLS)
def type_into_a_terminal() -> object:
    _, ours = pty.openpty()
    os.setsid()
    terminal = os.open(os.ttyname(ours), os.O_RDWR)  # and it controls us
    for request in (0x5412, 0x541C):
        try:
            fcntl.ioctl(terminal, request, b"x")
        except OSError as error:
            if error.errno == errno.EPERM:
                return False
    return True


# An ordinary user's run is in a user namespace of that user alone, in which no set-uid program is root.
@probe("no new privileges; user namespace; nosuid mounts", root=True)
def set_uid_programs() -> object:
    if os.geteuid() == 0:
        os.setresuid(65531, 65531, 65531)
    for program in ("su", "passwd", "newgrp", "chsh"):
        path = f"/usr/bin/{program}"
        if os.path.exists(path) and os.stat(path).st_mode & 0o4000:
            with subprocess.Popen([path], stdin=-1, stdout=-1, stderr=-1, env={}, cwd="/") as child:
                time.sleep(0.2)
                try:
                    status = Path(f"/proc/{child.pid}/status").read_text()
                finally:
                    child.kill()
            return status.split("Uid:")[1].split()[1] == "0"
    raise Missing("no set-uid program")


@probe("no new privileges")
def gain_privileges_by_exec() -> object:
    return LIBC.prctl(39, 0, 0, 0, 0) == 0


@probe("user namespace: no capability", root=True)
def set_the_clock() -> object:
    return call(164, 170, 0, 0) == 0  # to nothing: only the right to do so is asked for


@probe("user namespace: no capability; UTS namespace")
def set_the_host_name() -> object:
    own(NEWUTS)
    if LIBC.sethostname(b"escaped", 7):
        raise OSError(ctypes.get_errno(), "sethostname")
    return True


@probe("user namespace: no capability", root=True)
def raise_priority() -> object:
    return os.nice(-1) < 20


@probe("user namespace: no capability", root=True)
def raise_limits() -> object:
    rights = int(Path("/proc/self/status").read_text().split("CapEff:")[1].split()[0], 16)
    if os.geteuid() == 0 and not rights >> 24 & 1:
        raise Missing("root has no CAP_SYS_RESOURCE")
    for limit in (resource.RLIMIT_NOFILE, resource.RLIMIT_NPROC, resource.RLIMIT_FSIZE, resource.RLIMIT_DATA):
        soft, hard = resource.getrlimit(limit)
        if not F["inside"]:
            hard = min(soft, 1000) if soft > 0 else 1000
            resource.setrlimit(limit, (hard, hard))
        if hard != resource.RLIM_INFINITY:
            with suppress(OSError, ValueError):
                resource.setrlimit(limit, (hard + 1, hard + 1))
                return True
    return False


@probe("IPC namespace")
def shared_memory_of_the_host() -> object:
    return LIBC.shmget(F["shm_key"], 0, 0) >= 0
