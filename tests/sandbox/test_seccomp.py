"""The filter of system calls: what is refused inside is there without it, and programs of every day still work."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bot.errors import SandboxError
from bot.sandbox import seccomp
from tests.sandbox.conftest import Shell

_PATH = f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin"
# Each call with arguments that do nothing; a kernel that has it answers with another error than ENOSYS, or with none.
_CALLS = """
import ctypes, errno, platform, sys
libc = ctypes.CDLL(None, use_errno=True)
column = ["x86_64", "aarch64"].index(platform.machine())
table = {
    "add_key": (248, 217), "keyctl": (250, 219), "bpf": (321, 280), "perf_event_open": (298, 241),
    "userfaultfd": (323, 282), "io_uring_setup": (425, 425), "mount": (165, 40), "umount2": (166, 39),
    "fsopen": (430, 430), "open_tree": (428, 428), "setns": (308, 268), "open_by_handle_at": (304, 265),
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "kcmp": (312, 272),
    "pidfd_getfd": (438, 438), "clone3": (435, 435), "fanotify_init": (300, 262), "reboot": (169, 142),
}
for name, numbers in table.items():
    libc.syscall(numbers[column], -1, 0, 0, 0, 0, 0)
    if ctypes.get_errno() != errno.ENOSYS: print(name)
    ctypes.set_errno(0)
"""
_SPACES = """
import ctypes, os, platform
libc = ctypes.CDLL(None, use_errno=True)
clone = {"x86_64": 56, "aarch64": 220}[platform.machine()]
for flag in (0x10000000, 0x20000, 0x40000000, 0x20000000):
    pid = os.fork()
    if pid == 0:
        child = libc.syscall(clone, 0x10000000 | flag | 17, 0, 0, 0, 0)
        os._exit(0 if child >= 0 else 1)
    if os.waitpid(pid, 0)[1] == 0: print("cloned", hex(flag))
    pid = os.fork()
    if pid == 0: os._exit(0 if libc.unshare(0x10000000 | flag) == 0 else 1)
    if os.waitpid(pid, 0)[1] == 0: print("unshared", hex(flag))
"""
# The type goes into a pseudo terminal that is ours: TIOCSTI may be switched off, TIOCLINUX knows no such terminal.
_TERMINAL = """
import errno, fcntl, os, pty
_, tty = pty.openpty()
for number in (0x5412, 0x541C):
    try: fcntl.ioctl(tty, number, b"x"); print("typed")
    except OSError as error:
        if error.errno != errno.EPERM: print(errno.errorcode[error.errno])
"""
_FAMILIES = """
import socket
for family, kind, protocol in [(40, 1, 0), (16, 3, 9), (16, 3, 15), (16, 3, 16), (17, 3, 0), (38, 5, 0), (15, 3, 2)]:
    try: socket.socket(family, kind, protocol).close(); print("made", family, protocol)
    except OSError: pass
"""
_USUAL = """
import socket, subprocess, threading, multiprocessing, asyncio
own = socket.create_server(("localhost", 0))
socket.create_connection(own.getsockname(), 2).close()
socket.getaddrinfo("localhost", 80, socket.AF_UNSPEC, socket.SOCK_STREAM, 0, socket.AI_ADDRCONFIG)
assert "lo" in [name for _, name in socket.if_nameindex()]
thread = threading.Thread(target=print, args=("thread",)); thread.start(); thread.join()
print(subprocess.run(["echo", "child"], capture_output=True, text=True).stdout.strip())
assert multiprocessing.Pool(2).map(abs, [-1]) == [1]
asyncio.run(asyncio.sleep(0))
print("done")
"""


def _outside(code: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    return set(done.stdout.splitlines())


async def _inside(shell: Shell, code: str) -> str:
    done = await shell('exec python -c "$1"', code, path=_PATH)
    assert done.code == 0, done.output
    return done.output


async def test_kernel_machinery_does_not_exist_inside(shell: Shell) -> None:
    assert await _inside(shell, _CALLS) == ""
    assert {"keyctl", "bpf", "mount", "ptrace", "process_vm_readv", "open_by_handle_at"} <= _outside(_CALLS)


async def test_no_further_namespaces_are_made_inside(shell: Shell) -> None:
    assert await _inside(shell, _SPACES) == ""
    assert _outside(_SPACES) != set()


async def test_nobody_types_into_a_terminal(shell: Shell) -> None:
    assert await _inside(shell, _TERMINAL) == ""
    assert _outside(_TERMINAL) != set()


async def test_only_the_usual_families_of_sockets_are_there(shell: Shell) -> None:
    assert await _inside(shell, _FAMILIES) == ""
    assert {"made 16 9", "made 16 15"} & _outside(_FAMILIES)


async def test_programs_of_every_day_work(shell: Shell) -> None:
    assert (await _inside(shell, _USUAL)).split() == ["thread", "child", "done"]
    done = await shell(
        "git init -q x && cd x && git -c user.name=a -c user.email=b commit -q --allow-empty -m x"
    )
    assert (done.code, done.output) == (0, "")


@pytest.mark.skipif(shutil.which("node") is None, reason="does not apply: there is no Node here")
async def test_node_lists_its_interfaces_and_serves(shell: Shell) -> None:
    code = "console.log(Object.keys(require('os').networkInterfaces()));require('http').createServer().listen(0).close()"
    done = await shell('exec node -e "$1"', code, path=os.environ["PATH"])
    assert (done.code, done.output) == (0, "[ 'lo' ]\n")


def test_every_known_machine_has_a_filter_that_a_jump_does_not_leave() -> None:
    for machine in seccomp._MACHINES.values():
        code = seccomp._compile(machine)
        lines = [code[at : at + 8] for at in range(0, len(code), 8)]
        for at, line in enumerate(lines):
            if line[0] in {0x15, 0x35, 0x45}:
                assert at + 1 + max(line[2], line[3]) < len(lines)
        assert lines[-1][:2] == b"\x06\x00"


def test_a_machine_whose_calls_are_not_known_is_no_machine_without_a_filter() -> None:
    with pytest.raises(SandboxError, match="riscv64"):
        seccomp.program("riscv64")
