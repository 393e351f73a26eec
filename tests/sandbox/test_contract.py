"""What every back end promises of its boxes, and that each wall is one: without it the same does succeed."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from bot import living
from bot.errors import SandboxError
from bot.ports import Box, Outlet, Sandbox, SandboxPolicy
from bot.sandbox import ContainerSandbox, NoSandbox
from bot.sockets import nearby
from tests.sandbox.conftest import timed_out
from tests.support.containers import containers
from tests.support.walls import walls

# The first one makes an image of this machine's programs.
_LONG = (pytest.mark.long, pytest.mark.timeout(400))
WALLED = ["bwrap", *(pytest.param(name, marks=_LONG) for name in ("podman", "gvisor"))]
QUICK = 60.0  # seconds; gVisor and busy machines take their time


async def _back_end(name: str) -> Sandbox:
    if name == "bwrap":
        return await walls()
    if name == "none":
        return NoSandbox(allowed=True)
    return ContainerSandbox(await asyncio.to_thread(containers, "runsc" if name == "gvisor" else None))


@pytest.fixture(params=[*WALLED, "none"])
async def boxes(request: pytest.FixtureRequest) -> Sandbox:
    return await _back_end(request.param)


@pytest.fixture(params=WALLED)
async def walled(request: pytest.FixtureRequest) -> Sandbox:
    return await _back_end(request.param)


@pytest.fixture
def open_() -> Sandbox:
    """The same without walls, which shows that a wall was one."""
    return NoSandbox(allowed=True)


async def _say(sandbox: Sandbox, policy: SandboxPolicy, script: str, *args: str) -> str:
    async with sandbox.open(policy) as box:
        return (await box.run(["sh", "-c", script, "sh", *args], timeout=QUICK)).output.strip()


# --- what commands get ---------------------------------------------------------------------------


async def test_a_command_has_its_folders_environment_and_input(boxes: Sandbox, policy: SandboxPolicy) -> None:
    (policy.work / "given.txt").write_text("from outside\n")
    script = 'cat given.txt; cat; pwd; echo "$HOME|$GIVEN|$MORE"; echo made >made.txt; echo mine >"$HOME/mine"; echo no >&2; exit 7'
    async with boxes.open(policy) as box:
        done = await box.run(["sh", "-c", script], env={"MORE": "a b=c"}, stdin=b"typed\n", timeout=QUICK)
        assert done.code == 7
        assert done.output.splitlines() == [
            "from outside",
            "typed",
            str(box.work),
            f"{box.home}|yes|a b=c",
            "no",
        ]
        assert (await box.run(["no-such-program"], timeout=QUICK)).code == 127
    assert (policy.work / "made.txt").read_text() == "made\n"
    assert (policy.home / "mine").read_text() == "mine\n"


async def test_many_commands_run_beside_each_other(boxes: Sandbox, policy: SandboxPolicy) -> None:
    meet = 'n=$1; echo x >"here-$n"; set -- here-*; while [ $# -lt 8 ]; do sleep 0.1; set -- here-*; done; echo "$n"'
    async with boxes.open(policy) as box:
        commands = [box.run(["sh", "-c", meet, "sh", str(n)], timeout=QUICK) for n in range(8)]
        said = [done.output for done in await asyncio.gather(*commands)]
    assert said == [f"{n}\n" for n in range(8)]


async def test_one_that_is_started_can_be_talked_to(boxes: Sandbox, policy: SandboxPolicy) -> None:
    script = 'while read -r line; do echo "got $line $MORE"; done; exit 3'
    async with boxes.open(policy) as box, box.start(["sh", "-c", script], env={"MORE": "x"}) as talk:
        for word in (b"one", b"two"):
            await talk.say(word + b"\n")
            assert await asyncio.wait_for(talk.read(100), QUICK) == b"got " + word + b" x\n"


async def test_only_the_end_of_much_output_is_kept(boxes: Sandbox, policy: SandboxPolicy) -> None:
    async with boxes.open(policy) as box:
        done = await box.run(
            ["sh", "-c", "head -c 3000000 /dev/zero | tr '\\0' x; echo END"], timeout=QUICK, cap=1000
        )
    assert done.output == "x" * 996 + "END\n"


@asynccontextmanager
async def _echo(folder: Path) -> AsyncIterator[Outlet]:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"heard " + await reader.readline())
        await writer.drain()
        writer.close()

    path = folder / f"{secrets.token_hex(4)}.sock"
    with nearby(path) as name:
        server = await asyncio.start_unix_server(answer, name)
    path.chmod(0o666)
    async with server:
        yield Outlet(path, 18080)


_DIAL = """\
import socket, sys
host, port = sys.argv[1].split(":")
with socket.create_connection((host, int(port)), 60) as made:
    made.sendall(b"hello\\n")
    print(made.makefile().readline().strip())
"""


async def test_an_outlet_is_a_port_of_its_own_loopback(
    boxes: Sandbox, policy: SandboxPolicy, tmp_path: Path
) -> None:
    async with _echo(tmp_path) as outlet, boxes.open(replace(policy, outlets=(outlet,))) as box:
        done = await box.run(["python3", "-c", _DIAL, box.address(outlet)], timeout=QUICK)
    assert done.output.splitlines() == ["heard hello"]


# --- how it ends ---------------------------------------------------------------------------------


def _alive(mark: str) -> list[str]:
    """List the processes of this machine whose command line holds a mark; of gVisor's none are seen."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and int(folder.name) != os.getpid():
            try:
                if mark.encode() in (folder / "cmdline").read_bytes():
                    found.append(folder.name)
            except OSError:
                continue
    return found


def _daemon(mark: str) -> str:
    return f"(setsid sh -c 'exec sleep {mark}' >/dev/null 2>&1 </dev/null &); sleep 0.1; "


async def test_a_time_out_kills_the_whole_tree(boxes: Sandbox, policy: SandboxPolicy) -> None:
    mark = f"7{secrets.randbelow(10**8):08}"
    async with boxes.open(policy) as box:
        done = await timed_out(box, f"{_daemon(mark)} echo begun; exec sleep {mark}", "begun", 2)
        assert (done.code, done.output) == (None, "begun\n")
        assert _alive(mark) == []
        assert (await box.run(["echo", "goes on"], timeout=QUICK)).output == "goes on\n"


async def test_nothing_outlives_the_box(boxes: Sandbox, policy: SandboxPolicy) -> None:
    mark = f"8{secrets.randbelow(10**8):08}"
    async with boxes.open(policy) as box, box.start(["sh", "-c", f"{_daemon(mark)} exec sleep {mark}"]):
        await asyncio.sleep(0.5)
    assert _alive(mark) == []
    assert living.working_in(policy.work) == []


async def test_a_box_that_is_left_by_an_error_is_gone_too(walled: Sandbox, policy: SandboxPolicy) -> None:
    mark = f"9{secrets.randbelow(10**8):08}"
    with pytest.raises(ZeroDivisionError):
        async with walled.open(policy) as box, box.start(["sleep", mark]):
            raise ZeroDivisionError
    assert _alive(mark) == []


async def test_a_closed_box_takes_no_commands(walled: Sandbox, policy: SandboxPolicy) -> None:
    kept: list[Box] = []
    async with walled.open(policy) as box:
        kept.append(box)
    with pytest.raises(SandboxError):
        await kept[0].run(["true"], timeout=QUICK)


# --- walls ---------------------------------------------------------------------------------------


async def test_work_that_is_frozen_cannot_be_written(
    walled: Sandbox, open_: Sandbox, policy: SandboxPolicy
) -> None:
    frozen, script = replace(policy, frozen=True), "echo x 2>/dev/null >new; [ -e new ] && echo written"
    assert await _say(walled, frozen, script) == ""
    assert await _say(open_, frozen, script) == "written"


async def test_git_s_pointer_cannot_be_moved(
    walled: Sandbox, open_: Sandbox, policy: SandboxPolicy, tmp_path: Path
) -> None:
    (tmp_path / "pointer").write_text("gitdir: /scratch.git\n")
    (policy.work / ".git").write_text("gitdir: elsewhere\n")
    pointed = replace(policy, pointer_git=tmp_path / "pointer")
    script = "cat .git; echo bad 2>/dev/null >.git; rm -f .git 2>/dev/null; mv .git old 2>/dev/null; [ -e .git ] || echo moved"
    assert await _say(walled, pointed, script) == "gitdir: /scratch.git"
    assert (tmp_path / "pointer").read_text() == "gitdir: /scratch.git\n"
    assert (await _say(open_, policy, script)).endswith("moved")


async def test_the_machine_is_neither_read_nor_written(
    walled: Sandbox, open_: Sandbox, policy: SandboxPolicy, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("planted")
    here = tmp_path / "here"
    script = 'cat "$1" 2>/dev/null; echo x 2>/dev/null >"$2"; [ -e "$2" ] && echo wrote'
    assert await _say(walled, policy, script, str(secret), str(here)) == ""
    assert (await _say(open_, policy, script, str(secret), str(here))).endswith("wrote")
    root = "touch /x 2>/dev/null && echo wrote; touch /usr/x 2>/dev/null && echo wrote; id -u"
    assert "wrote" not in (said := await _say(walled, policy, root))
    assert said.splitlines()[-1] != "0"


async def test_the_environment_of_the_bot_is_not_there(
    walled: Sandbox, open_: Sandbox, policy: SandboxPolicy
) -> None:
    token = f"planted-{secrets.token_hex(8)}"
    os.environ["GITWRIGHT_PLANTED"] = token
    try:
        child = await asyncio.create_subprocess_exec("sleep", "600")  # bears it, as the bot itself may
        try:
            script = "cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' '\\n' | grep -c \"^GITWRIGHT_PLANTED=$1\""
            assert await _say(walled, policy, script, token) == "0"
            assert int(await _say(open_, policy, script, token)) > 0
        finally:
            child.kill()
            await child.wait()
    finally:
        del os.environ["GITWRIGHT_PLANTED"]


async def test_nobody_can_be_reached(walled: Sandbox, open_: Sandbox, policy: SandboxPolicy) -> None:
    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"reached\n")
        writer.close()

    dial = "import socket,sys; print(socket.create_connection(('127.0.0.1', int(sys.argv[1])), 30).makefile().readline().strip())"
    script = f'python3 -c "{dial}" "$1" 2>/dev/null'
    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = str(server.sockets[0].getsockname()[1])
        assert await _say(walled, policy, script, port) == ""
        assert await _say(open_, policy, script, port) == "reached"


async def test_processes_are_bounded(walled: Sandbox, open_: Sandbox, policy: SandboxPolicy) -> None:
    few = replace(policy, processes=24)
    script = "for n in $(seq 60); do sleep 5 & done 2>/dev/null; echo all 60"
    try:
        said = await _say(walled, few, script)
    except SandboxError:  # gVisor's kernel may end as a whole, which is a bound too
        said = "all 60" if "runsc" not in walled.name else ""
    assert "all 60" not in said
    assert "all 60" in await _say(open_, few, script)


async def test_memory_is_bounded(walled: Sandbox, open_: Sandbox, policy: SandboxPolicy) -> None:
    little = replace(policy, memory_bytes=128 << 20)
    hog = "x = bytearray(400 << 20); x[::4096] = b'x' * len(x[::4096]); print('had it')"
    for sandbox, wanted in ((walled, False), (open_, True)):
        async with sandbox.open(little) as box:
            try:
                said = (await box.run(["python3", "-c", hog], timeout=QUICK)).output
            except SandboxError:  # gVisor ends as a whole
                said = ""
        assert ("had it" in said) is wanted


@pytest.mark.parametrize(("folder", "mebibytes"), [("/dev/shm", 64), ("/tmp", 1024)])
async def test_folders_in_memory_can_be_written_and_are_bounded(
    walled: Sandbox, policy: SandboxPolicy, folder: str, mebibytes: int
) -> None:
    look = "import os, sys; s = os.statvfs(sys.argv[1]); print(s.f_blocks * s.f_frsize >> 20)"
    said = await _say(walled, policy, f'touch "$1/x" && python3 -c "{look}" "$1"', folder)
    assert said == str(mebibytes)
