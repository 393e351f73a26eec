"""Boxes: what is visible and writable inside, what is not, and that nothing of them lives on."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from bot import living
from bot.ports import SandboxPolicy
from bot.sandbox import BwrapSandbox, programs
from tests.sandbox.conftest import Shell, timed_out

_REPO = Path(__file__).parents[2]


async def test_work_and_home_are_written_and_kept(shell: Shell, policy: SandboxPolicy) -> None:
    done = await shell("pwd; echo $HOME; echo 1 >a; echo 2 >~/b; echo $GIVEN; exit 3")
    assert (done.code, done.output) == (3, "/workspace\n/home/agent\nyes\n")
    assert (policy.work / "a").read_text() == "1\n"
    assert (policy.home / "b").read_text() == "2\n"


async def test_nothing_else_can_be_written(shell: Shell, policy: SandboxPolicy, tmp_path: Path) -> None:
    (tmp_path / "shown").mkdir()
    (tmp_path / "pointer").write_text("gitdir: /scratch.git\n")
    script = """
        for path in / /usr /etc /root /home /proc/sys/kernel /shown; do
            ( : >"$path/canary" ) 2>/dev/null && echo "$path"
        done
        ( : >"$1/canary" ) 2>/dev/null && echo host
        ( echo x >.git ) 2>/dev/null || mv .git x 2>/dev/null || rm -f .git 2>/dev/null && echo pointer
        ( echo x >/proc/sys/kernel/core_pattern ) 2>/dev/null && echo kernel
        ( echo x >/etc/passwd ) 2>/dev/null && echo passwd
        cat .git
    """
    shown = {tmp_path / "shown": "/shown"}
    done = await shell(script, str(tmp_path), readable=shown, pointer_git=tmp_path / "pointer")
    assert done.output == "gitdir: /scratch.git\n"
    assert (tmp_path / "pointer").read_text() == "gitdir: /scratch.git\n"
    assert not (tmp_path / "canary").exists()


async def test_no_command_speaks_for_process_1_or_a_minder_only_for_its_own_tree(shell: Shell) -> None:
    script = """
        for process in /proc/[0-9]*; do
            for number in 0 1 2; do
                ( : >>"$process/fd/$number" ) 2>/dev/null && echo "${process#/proc/} is open"
            done
        done | sort -u
        echo "and this is $$, below $PPID, of which $(readlink /proc/$PPID/exe || echo nothing) is known"
    """
    *open_, last = (await shell(script)).output.splitlines()
    own, minder = int(last.split()[3].rstrip(",")), int(last.split()[5].rstrip(","))
    assert last.endswith("of which nothing is known")
    found = {int(line.split()[0]) for line in open_}
    assert own in found  # which shows that this is how one does it
    assert not found & {1, minder}


async def test_what_the_host_holds_cannot_be_seen(
    shell: Shell, policy: SandboxPolicy, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("s3cret")
    secret.chmod(0o644)
    script = """
        ls /etc/shadow /etc/ssh /var /sys /boot 2>/dev/null
        find /run -type f
        cat "$1" 2>/dev/null
        ls -d /proc/[0-9]* | wc -l
        grep -E 'CapEff|NoNewPrivs' /proc/self/status
        unshare -U true 2>/dev/null && echo nested
        true
    """
    done = await shell(script, str(secret))
    *ours, count, effective, none, gains, no = done.output.split()
    assert set(ours) == set(programs.compiled())
    assert int(count) <= 6
    assert [effective, none, gains, no] == ["CapEff:", "0000000000000000", "NoNewPrivs:", "1"]


async def test_process_one_knows_no_variable_of_the_host(
    sandbox: BwrapSandbox, policy: SandboxPolicy
) -> None:
    os.environ["GITWRIGHT_TEST_SECRET"] = "s3cret"
    script = "for p in /proc/[0-9]*; do tr '\\0' '\\n' <$p/environ; done 2>/dev/null; cat /proc/1/environ"
    try:
        async with sandbox.open(policy) as box:
            done = await box.run(["sh", "-c", script], timeout=60)
            (first,) = [pid for pid in living.tree(os.getpid(), "no mark", set()) if _is_first(pid)]
            given = (Path("/proc") / str(first) / "environ").read_bytes().split(b"\0")
    finally:
        del os.environ["GITWRIGHT_TEST_SECRET"]
    assert {each.partition(b"=")[0] for each in given if each} == {
        b"PATH",
        b"HOME",
        b"LANG",
        b"TMPDIR",
        b"PWD",
    }
    *lines, last = done.output.splitlines()
    assert "Permission denied" in last
    names = {line.partition("=")[0] for line in lines}
    assert names == {"PATH", "HOME", "TMPDIR", "LANG", "GIVEN"}


def _is_first(pid: int) -> bool:
    try:
        status = (Path("/proc") / str(pid) / "status").read_text()
    except OSError:
        return False  # it has just ended
    return next(line for line in status.splitlines() if line.startswith("NSpid:")).split()[2:] == ["1"]


_CONNECT = """
import socket, sys
for family, address in [
    (socket.AF_INET, ("127.0.0.1", int(sys.argv[1]))), (socket.AF_INET, ("192.0.2.1", 80)),
    (socket.AF_INET, ("169.254.169.254", 80)), (socket.AF_INET6, ("::1", int(sys.argv[1]))),
]:
    try:
        socket.create_connection(address, 2).close(); print("connected", address)
    except OSError: pass
for family, kind, protocol in [(40, 1, 0), (16, 3, 9), (16, 3, 15), (17, 3, 0), (38, 5, 0), (15, 3, 2)]:
    try:
        socket.socket(family, kind, protocol).close(); print("made", family)
    except OSError: pass
own = socket.create_server(("127.0.0.1", 0))
socket.create_connection(own.getsockname(), 2).close()
socket.getaddrinfo("localhost", 80)
assert "lo" in [name for _, name in socket.if_nameindex()]
print("done")
"""


async def test_there_is_no_way_out_and_loopback_works_inside(shell: Shell) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
        done = await shell('exec python -c "$1" "$2"', _CONNECT, port, path=_own_path())
        listener.settimeout(0.1)
        with pytest.raises(TimeoutError):
            listener.accept()
    assert done.output == "done\n"


def _own_path() -> str:
    return f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin"


async def test_the_callers_interpreter_works_at_its_own_place(shell: Shell, policy: SandboxPolicy) -> None:
    (policy.work / "test_x.py").write_text("import ssl, sqlite3, ctypes\n\ndef test_x():\n    assert 1\n")
    script = (
        "python -c 'import sys; print(sys.executable)'; python -m pytest -q -p no:cacheprovider 2>/dev/null"
    )
    done = await shell(script, path=_own_path())
    assert done.code == 0, done.output
    assert done.output.startswith(f"{sys.executable}\n")
    assert "1 passed" in done.output


async def test_a_home_shows_its_programs_and_no_secret(shell: Shell, policy: SandboxPolicy) -> None:
    home = Path.home()
    done = await shell(
        f"ls -A {home} 2>/dev/null; touch {home}/x 2>/dev/null && echo written; true", path=_own_path()
    )
    shown = set(done.output.split())
    assert not shown & {"x", "written", ".ssh", ".bash_history", ".gitconfig", ".netrc", ".config", ".npmrc"}
    assert len(shown) <= 2, shown


async def test_a_time_out_kills_everything_inside(sandbox: BwrapSandbox, policy: SandboxPolicy) -> None:
    script = "sleep 161 & (setsid sleep 162 &); setsid setsid sleep 163 & echo started; sleep 164"
    async with sandbox.open(policy) as box:
        done = await timed_out(box, script, "started", 0.5)
        # The shell may live long enough to say that its child was killed.
        assert (done.code, done.output.partition("\n")[0]) == (None, "started")
        assert done.seconds < 60  # who is in there sleeps for longer
        assert living.working_in(policy.work) == []
        assert await box.close() == []


async def test_what_a_command_leaves_running_ends_with_it(
    sandbox: BwrapSandbox, policy: SandboxPolicy
) -> None:
    async with sandbox.open(policy) as box:
        done = await box.run(["sh", "-c", "(setsid sleep 61 >/dev/null 2>&1 &); echo done"], timeout=60)
        assert (done.code, done.output) == (0, "done\n")
        assert living.working_in(policy.work) == []


async def test_cancelling_kills_everything_inside(sandbox: BwrapSandbox, policy: SandboxPolicy) -> None:
    async with sandbox.open(policy) as box:
        task = asyncio.create_task(box.run(["sh", "-c", "echo >ready; sleep 300"], timeout=300))
        deadline = time.monotonic() + 60
        while not (policy.work / "ready").exists():
            assert time.monotonic() < deadline
            await asyncio.sleep(0.02)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert living.working_in(policy.work) == []


_HOST = """\
import asyncio, pathlib, sys
from bot.ports import SandboxPolicy
from bot.sandbox import BwrapSandbox, programs
async def main():
    folder = pathlib.Path(sys.argv[1])
    async with BwrapSandbox().open(SandboxPolicy(work=folder / "work", home=folder / "home")) as box:
        await box.run(["sh", "-c", "setsid sleep 300 & echo >ready; sleep 300"], timeout=300)
asyncio.run(main())
"""


async def test_a_box_dies_with_a_host_that_is_killed(
    sandbox: BwrapSandbox, policy: SandboxPolicy, tmp_path: Path
) -> None:
    environment = {**os.environ, "PYTHONPATH": str(_REPO)}
    host = subprocess.Popen([sys.executable, "-c", _HOST, str(tmp_path)], env=environment)
    try:
        deadline = time.monotonic() + 60
        while not (policy.work / "ready").exists():
            assert time.monotonic() < deadline
            await asyncio.sleep(0.02)
        assert living.working_in(policy.work) != []
    finally:
        host.send_signal(signal.SIGKILL)
        host.wait(60)
    deadline = time.monotonic() + 60
    while living.working_in(policy.work):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)


async def test_processes_memory_files_and_temporary_space_are_bounded(shell: Shell) -> None:
    forks = await shell("for n in $(seq 40); do sleep 9 & done; echo all", processes=20)
    assert "all" not in forks.output
    hungry = "python -c 'x = bytearray(400 << 20); print(len(x))'"
    assert "MemoryError" in (await shell(hungry, path=_own_path(), memory_bytes=300 << 20)).output
    big = "head -c 1100M /dev/zero >/tmp/big; test $(stat -c %s /tmp/big) -le 1073741824 && echo bounded"
    assert (await shell(big)).output.endswith("bounded\n")
    assert "unlimited" not in (await shell("ulimit -n; ulimit -c; ulimit -f")).output


async def test_output_is_cut_and_lines_are_handed_on_as_they_come(
    sandbox: BwrapSandbox, policy: SandboxPolicy
) -> None:
    lines: list[str] = []

    async def keep(line: str) -> None:
        lines.append(line)

    async with sandbox.open(policy) as box:
        done = await box.run(["sh", "-c", "echo out; echo err >&2; echo out"], timeout=60, on_line=keep)
        assert done.output == "out\nerr\nout\n"
        assert lines == ["out", "err", "out"]
        cut = await box.run(["sh", "-c", "yes | head -c 5000000; echo END"], timeout=60, cap=100)
    assert len(cut.output) == 100
    assert cut.output.endswith("END\n")


async def test_a_command_that_is_missing_is_told(sandbox: BwrapSandbox, policy: SandboxPolicy) -> None:
    async with sandbox.open(policy) as box:
        done = await box.run(["no-such-program"], timeout=60)
    assert done.code == 127
    assert "no-such-program" in done.output


async def test_boxes_at_once_do_not_see_each_other(
    sandbox: BwrapSandbox, policy: SandboxPolicy, tmp_path: Path
) -> None:
    async def one(name: str) -> str:
        for part in ("work", "home"):
            (tmp_path / name / part).mkdir(parents=True)
        mine = replace(policy, work=tmp_path / name / "work", home=tmp_path / name / "home")
        async with sandbox.open(mine) as box:
            return (await box.run(["sh", "-c", "sleep 0.3; ls /proc | grep -c '^[0-9]'"], timeout=60)).output

    counts = await asyncio.gather(*(one(f"b{n}") for n in range(4)))
    assert all(int(count) <= 6 for count in counts), counts


async def test_a_frozen_work_folder_cannot_be_changed(shell: Shell, policy: SandboxPolicy) -> None:
    (policy.work / "a").write_text("1\n")
    done = await shell("cat a; ( echo 2 >a ) 2>/dev/null || echo refused; echo 3 >~/b", frozen=True)
    assert (done.code, done.output) == (0, "1\nrefused\n")
    assert (policy.work / "a").read_text() == "1\n"
