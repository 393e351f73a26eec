"""The process wrapper: what a child inherits and says, and that nothing of it is left."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bot import living, process
from bot.process import ProcessError, Tail
from tests.support.descriptors import few_descriptors

_ENV = {"PATH": os.environ["PATH"]}
# Leaves group and session, and its parent ends at once: only its environment tells where it came from.
_DAEMON = """\
import os, sys, time
noted, note = os.pipe()
if os.fork():
    os.read(noted, 1)  # whoever left is soon killed, and is to have told who it is before
    os._exit(0)
os.setsid()
if os.fork():
    os._exit(0)
open(sys.argv[1], "w").write(str(os.getpid()))
os.write(note, b".")
time.sleep(60)
"""


async def test_streams_are_separate_and_the_code_is_told() -> None:
    done = await process.run(["sh", "-c", "cat; echo err >&2; exit 3"], env=_ENV, timeout=60, stdin=b"in\n")
    assert (done.code, done.stdout, done.stderr, done.truncated) == (3, b"in\n", b"err\n", False)


async def test_a_child_inherits_nothing_that_was_not_given() -> None:
    os.environ["GITWRIGHT_TEST_SECRET"] = "s3cret"
    try:
        done = await process.run(["env"], env={**_ENV, "GIVEN": "1"}, timeout=60)
        assert process.inherited("GITWRIGHT_TEST_SECRET", "NO_SUCH") == {"GITWRIGHT_TEST_SECRET": "s3cret"}
    finally:
        del os.environ["GITWRIGHT_TEST_SECRET"]
    names = {line.partition("=")[0] for line in done.stdout.decode().splitlines()}
    assert names == {"PATH", "GIVEN", "GITWRIGHT_CHILD"}


async def test_a_program_that_is_missing_is_an_error_with_its_name() -> None:
    with pytest.raises(ProcessError, match="no-such-program"):
        await process.run(["no-such-program"], env=_ENV, timeout=60)


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
        timeout=60,
        on_line=keep,
    )
    assert lines == ["a", "b\ufffdc", "d"]


async def test_an_error_of_the_listener_is_raised_and_the_child_is_gone(tmp_path: Path) -> None:
    async def refuse(line: str) -> None:
        raise ValueError(line)

    with pytest.raises(ValueError, match="x"):
        await process.run(
            ["sh", "-c", "echo x; sleep 0.2"], env=_ENV, timeout=60, cwd=tmp_path, on_line=refuse
        )
    assert living.working_in(tmp_path) == []


async def test_a_time_out_kills_the_whole_tree(tmp_path: Path) -> None:
    script = "sleep 61 & (setsid sleep 62 &) ; setsid setsid sleep 63 & sleep 64"
    done = await process.run(["sh", "-c", script], env=_ENV, timeout=0.3, cwd=tmp_path)
    assert done.code is None
    assert done.seconds < 30
    assert living.working_in(tmp_path) == []


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="does not apply: needs /proc")
async def test_a_daemon_that_left_group_and_session_is_found(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    done = await process.run([sys.executable, "-c", _DAEMON, str(note)], env=_ENV, timeout=60, cwd=tmp_path)
    assert done.code == 0
    assert int(note.read_text())
    assert living.working_in(tmp_path) == []


async def test_a_sweep_also_finds_what_holds_no_stream(tmp_path: Path) -> None:
    script = "setsid sleep 61 </dev/null >/dev/null 2>&1 &"
    await process.run(["sh", "-c", script], env=_ENV, timeout=60, cwd=tmp_path, sweep=True)
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


async def test_cancelling_while_it_starts_kills_the_tree(tmp_path: Path) -> None:
    """asyncio by itself would kill the leader alone, whose children are there already where the loop stood still."""
    for turns in range(12):
        task = asyncio.create_task(
            process.run(["sh", "-c", "sleep 61 & sleep 62"], env=_ENV, timeout=60, cwd=tmp_path)
        )
        for _ in range(turns):
            await asyncio.sleep(0)
        time.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert living.working_in(tmp_path) == [], turns


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="does not apply: needs /proc")
async def test_cancelling_at_any_moment_leaks_no_descriptor_and_no_child(tmp_path: Path) -> None:
    await process.run(["true"], env=_ENV, timeout=60)
    before = len(list(Path("/proc/self/fd").iterdir()))
    for turns in range(25):
        task = asyncio.create_task(process.run(["sleep", "300"], env=_ENV, timeout=60, cwd=tmp_path))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    await _until(lambda: living.working_in(tmp_path) == [])
    # Fewer where something of another test was closed meanwhile.
    await _until(lambda: len(list(Path("/proc/self/fd").iterdir())) <= before)


async def test_cancelling_as_a_child_ends_is_not_lost() -> None:
    for turns in range(8):
        child = await process.spawn(["sleep", "61"], env=_ENV)
        task = asyncio.create_task(child.wait(60))
        await asyncio.sleep(0.01)
        os.kill(child.pid, signal.SIGKILL)
        while child.returncode is None:
            await asyncio.sleep(0)
        for _ in range(turns):
            await asyncio.sleep(0)
        ended, cancelled = task.done(), task.cancel()
        await asyncio.wait([task], timeout=60)
        assert task.cancelled() or ended, f"swallowed after {turns} turns ({cancelled=})"
        await child.stop()


async def test_without_descriptors_no_child_starts_and_that_is_told_as_any_other_reason() -> None:
    await process.run(["true"], env=_ENV, timeout=60)
    told = []
    for free in range(12):
        with few_descriptors(free):
            try:
                child = await process.spawn(["true"], env=_ENV)
            except ProcessError as error:
                told.append(str(error))
                continue
        await child.stop()
    assert len(told) > 6
    assert set(told) == {"`true` could not be started: Too many open files"}


async def test_a_long_lived_child_is_spoken_with_and_stopped(tmp_path: Path) -> None:
    child = await process.spawn(["cat"], env=_ENV, cwd=tmp_path)
    await child.feed(b"hello\n", close=False)
    assert await asyncio.wait_for(child.stdout.readline(), 60) == b"hello\n"
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
    assert time.monotonic() - started < 30
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


async def _until(true: object, seconds: float = 60) -> None:
    assert callable(true)
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="does not apply: needs /proc")
async def test_who_cannot_look_is_told_so_and_never_that_nobody_lives(tmp_path: Path) -> None:
    script = "setsid sleep 61 & echo begun; sleep 62"
    child = await process.spawn(["sh", "-c", script], env=_ENV, cwd=tmp_path)
    try:
        assert await child.stdout.read(100) == b"begun\n"
        namespace = str(Path("/proc/self/ns/pid").readlink())
        with few_descriptors(0):
            for look in (
                lambda: living.tree(child.pid, "no mark", set()),
                lambda: living.of_run("no run", set()),
                lambda: living.started(child.pid),
                lambda: living.in_pid_namespace(namespace),
                lambda: living.working_in(tmp_path),
            ):
                with pytest.raises(living.UnseenError, match="Too many open files"):
                    look()
            killing = asyncio.create_task(child.kill())
            await asyncio.sleep(0.1)
        assert await killing == []
        assert living.working_in(tmp_path) == []
    finally:
        await child.stop()


async def test_whoever_looks_for_processes_stops_nobody_else(tmp_path: Path) -> None:
    """The look is a thread's: it goes on only when one is free, and meanwhile all else does."""
    loop, free = asyncio.get_running_loop(), threading.Event()
    child = await process.spawn(["sleep", "61"], env=_ENV, cwd=tmp_path)
    with ThreadPoolExecutor(1) as one:
        loop.set_default_executor(one)
        try:
            waiting = loop.run_in_executor(None, free.wait, 100)
            killing = asyncio.create_task(child.kill())
            await asyncio.sleep(0.2)
            assert not killing.done()
        finally:
            free.set()
        await waiting
        assert await killing == []
        await child.stop()
    loop.set_default_executor(ThreadPoolExecutor(2))


@pytest.mark.parametrize("moment", ["while it runs", "while it is killed"])
async def test_cancelling_twice_leaves_no_process_and_no_task(tmp_path: Path, moment: str) -> None:
    before = asyncio.all_tasks()
    script = "setsid sleep 61 & echo begun; sleep 62"
    begun = asyncio.Event()

    async def hear(_: str) -> None:
        begun.set()

    running = process.run(["sh", "-c", script], env=_ENV, timeout=60, cwd=tmp_path, on_line=hear)
    task = asyncio.create_task(running)
    await begun.wait()
    task.cancel()
    if moment == "while it is killed":
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert living.working_in(tmp_path) == []
    await _until(lambda: asyncio.all_tasks() - before - {task} == set())
