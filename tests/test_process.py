"""The process wrapper: what a child inherits and says, and that nothing of it is left."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bot import living, process
from bot.process import ProcessError, Tail

_ENV = {"PATH": os.environ["PATH"]}
# Leaves group and session, and its parent ends at once: only its environment tells where it came from.
_DAEMON = """\
import os, sys, time
if os.fork():
    os._exit(0)
os.setsid()
if os.fork():
    os._exit(0)
open(sys.argv[1], "w").write(str(os.getpid()))
time.sleep(60)
"""


async def test_streams_are_separate_and_the_code_is_told() -> None:
    done = await process.run(["sh", "-c", "cat; echo err >&2; exit 3"], env=_ENV, timeout=10, stdin=b"in\n")
    assert (done.code, done.stdout, done.stderr, done.truncated) == (3, b"in\n", b"err\n", False)


async def test_a_child_inherits_nothing_that_was_not_given() -> None:
    os.environ["GITWRIGHT_TEST_SECRET"] = "s3cret"
    try:
        done = await process.run(["env"], env={**_ENV, "GIVEN": "1"}, timeout=10)
        assert process.inherited("GITWRIGHT_TEST_SECRET", "NO_SUCH") == {"GITWRIGHT_TEST_SECRET": "s3cret"}
    finally:
        del os.environ["GITWRIGHT_TEST_SECRET"]
    names = {line.partition("=")[0] for line in done.stdout.decode().splitlines()}
    assert names == {"PATH", "GIVEN", "GITWRIGHT_CHILD"}


async def test_a_program_that_is_missing_is_an_error_with_its_name() -> None:
    with pytest.raises(ProcessError, match="no-such-program"):
        await process.run(["no-such-program"], env=_ENV, timeout=10)


async def test_endless_output_is_drained_and_cut_to_its_end() -> None:
    script = "head -c 30000000 /dev/zero | tr '\\0' x; echo END"
    done = await process.run(["sh", "-c", script], env=_ENV, timeout=60, cap=1000)
    assert done.truncated
    assert len(done.stdout) == 1000
    assert done.stdout.endswith(b"xEND\n")


async def test_a_large_input_meets_a_large_output() -> None:
    data = os.urandom(1 << 20) * 4
    done = await process.run(["cat"], env=_ENV, timeout=60, stdin=data, cap=len(data))
    assert done.stdout == data
    ignored = await process.run(["true"], env=_ENV, timeout=60, stdin=data)
    assert ignored.code == 0


async def test_every_line_is_handed_on() -> None:
    lines: list[str] = []

    async def keep(line: str) -> None:
        lines.append(line)

    await process.run(
        ["sh", "-c", "echo a; printf 'b\\377'; sleep 0.1; echo c; printf d"],
        env=_ENV,
        timeout=10,
        on_line=keep,
    )
    assert lines == ["a", "b\ufffdc", "d"]


async def test_an_error_of_the_listener_is_raised_and_the_child_is_gone(tmp_path: Path) -> None:
    async def refuse(line: str) -> None:
        raise ValueError(line)

    with pytest.raises(ValueError, match="x"):
        await process.run(
            ["sh", "-c", "echo x; sleep 0.2"], env=_ENV, timeout=10, cwd=tmp_path, on_line=refuse
        )
    assert living.working_in(tmp_path) == []


async def test_a_time_out_kills_the_whole_tree(tmp_path: Path) -> None:
    script = "sleep 61 & (setsid sleep 62 &) ; setsid setsid sleep 63 & sleep 64"
    done = await process.run(["sh", "-c", script], env=_ENV, timeout=0.3, cwd=tmp_path)
    assert done.code is None
    assert done.seconds < 5
    assert living.working_in(tmp_path) == []


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="does not apply: needs /proc")
async def test_a_daemon_that_left_group_and_session_is_found(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    done = await process.run([sys.executable, "-c", _DAEMON, str(note)], env=_ENV, timeout=10, cwd=tmp_path)
    assert done.code == 0
    await _until(lambda: note.exists() and note.read_text() != "")
    assert living.working_in(tmp_path) == []


async def test_a_sweep_also_finds_what_holds_no_stream(tmp_path: Path) -> None:
    script = "setsid sleep 61 </dev/null >/dev/null 2>&1 &"
    await process.run(["sh", "-c", script], env=_ENV, timeout=10, cwd=tmp_path, sweep=True)
    assert living.working_in(tmp_path) == []


async def test_cancelling_kills_the_tree(tmp_path: Path) -> None:
    task = asyncio.create_task(
        process.run(["sh", "-c", "sleep 61 & sleep 62"], env=_ENV, timeout=60, cwd=tmp_path)
    )
    await _until(lambda: len(living.working_in(tmp_path)) >= 2)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert living.working_in(tmp_path) == []


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="does not apply: needs /proc")
async def test_cancelling_at_any_moment_leaks_no_descriptor_and_no_child(tmp_path: Path) -> None:
    await process.run(["true"], env=_ENV, timeout=10)
    before = len(list(Path("/proc/self/fd").iterdir()))
    for turns in range(25):
        task = asyncio.create_task(process.run(["sleep", "61"], env=_ENV, timeout=60, cwd=tmp_path))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    await asyncio.sleep(0.1)
    assert living.working_in(tmp_path) == []
    assert len(list(Path("/proc/self/fd").iterdir())) == before


async def test_a_long_lived_child_is_spoken_with_and_stopped(tmp_path: Path) -> None:
    child = await process.spawn(["cat"], env=_ENV, cwd=tmp_path)
    await child.feed(b"hello\n", close=False)
    assert await asyncio.wait_for(child.stdout.readline(), 10) == b"hello\n"
    assert child.returncode is None
    assert await child.stop() == []
    assert child.returncode == -9
    assert living.working_in(tmp_path) == []


@pytest.mark.skipif(not Path("/proc/self/ns/pid").exists(), reason="does not apply: needs /proc")
def test_the_proofs_of_death_do_see_the_living(tmp_path: Path) -> None:
    assert os.getpid() in living.in_pid_namespace(str(Path("/proc/self/ns/pid").readlink()))
    assert living.in_pid_namespace("pid:[1]") == []
    assert os.getpid() in living.working_in(Path.cwd())
    assert living.working_in(tmp_path) == []


async def test_waiting_gives_up_after_its_time() -> None:
    child = await process.spawn(["sleep", "60"], env=_ENV)
    started = time.monotonic()
    assert await child.wait(0.2) is None
    assert time.monotonic() - started < 5
    assert await child.stop() == []


@example(chunks=[b"", b"x"], cap=1)
@given(st.lists(st.binary(max_size=20), max_size=20), st.integers(1, 30))
def test_a_tail_is_the_end_of_all_that_came(chunks: list[bytes], cap: int) -> None:
    tail = Tail(cap)
    for chunk in chunks:
        tail.add(chunk)
    everything = b"".join(chunks)
    assert tail.bytes() == everything[-cap:]
    assert tail.truncated == (len(everything) > cap)


async def _until(true: object, seconds: float = 10) -> None:
    assert callable(true)
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)
