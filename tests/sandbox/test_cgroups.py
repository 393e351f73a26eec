"""Limits on whole boxes: found by trying, held by what a box does, removed with it, and swept after a killed bot."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bot.errors import SandboxError
from bot.ports import SandboxPolicy
from bot.sandbox import BwrapSandbox, cgroups
from bot.sandbox.cgroups import Groups

# Each of the parts is less than what one process may have.
_HOG = """
for n in 1 2 3 4 5 6; do (head -c 30000000 /dev/zero | tail -c 30000000 | { sleep 0.5; wc -c; } ) & done 2>/dev/null
wait
"""


@pytest.fixture
def groups() -> Groups:
    found = cgroups.find()
    if found is None:
        pytest.skip("control groups cannot be made here")
    return found


def _own(groups: Groups) -> list[Path]:
    pattern = f"gitwright-{os.getpid()}.*"
    return [group for folder in groups.folders.values() for group in folder.glob(pattern)]


@pytest.mark.usefixtures("sandbox")
async def test_a_box_cannot_take_more_memory_than_it_has(groups: Groups, policy: SandboxPolicy) -> None:
    small = replace(policy, memory_bytes=64 << 20)
    async with BwrapSandbox().open(small) as box:
        free = await box.run(["sh", "-c", _HOG], timeout=60)
    assert free.output.split().count("30000000") == 6
    async with BwrapSandbox().bounded(groups).open(small) as box:
        held = await box.run(["sh", "-c", _HOG], timeout=60)
        assert held.output.split().count("0") > 0
        assert (await box.run(["echo", "alive"], timeout=60)).output == "alive\n"


@pytest.mark.usefixtures("sandbox")
async def test_its_group_is_there_while_it_lives_and_gone_after_it(
    groups: Groups, policy: SandboxPolicy
) -> None:
    async with BwrapSandbox().bounded(groups).open(policy) as box:
        made = _own(groups)
        assert {group.parent for group in made} == set(groups.folders.values())
        running = "(setsid sleep 61 &); cat /proc/self/cgroup; sleep 0.1"
        await box.run(["sh", "-c", running], timeout=60)
        for group in made:
            assert len((group / "cgroup.procs").read_text().split()) >= 2
            assert str(os.getpid()) not in (group / "cgroup.procs").read_text().split()
            if (group / "pids.max").exists():
                assert int((group / "pids.max").read_text()) == policy.processes + 64
    assert _own(groups) == []


@pytest.mark.usefixtures("sandbox")
@pytest.mark.parametrize("seconds", [(0,), (0.002,), (0.02, 0.001), (None, 0, 0)])
async def test_no_group_is_left_by_one_who_is_cancelled_as_it_opens_or_closes(
    groups: Groups, policy: SandboxPolicy, seconds: tuple[float | None, ...]
) -> None:
    """None: when the box is open."""
    before, opened = asyncio.all_tasks(), asyncio.Event()

    async def use() -> None:
        async with BwrapSandbox().bounded(groups).open(policy):
            opened.set()
            await asyncio.sleep(60)

    user = asyncio.create_task(use())
    for wait in seconds:
        if wait is None:
            await opened.wait()
        else:
            await asyncio.sleep(wait)
        user.cancel()
    with pytest.raises(asyncio.CancelledError):
        async with asyncio.timeout(60):
            await user
    await asyncio.sleep(0.05)  # a thread that goes on would make one now
    assert _own(groups) == []
    assert asyncio.all_tasks() - before - {user} == set()


async def test_who_is_left_in_a_group_ends_with_it(groups: Groups) -> None:
    group = groups.make(64 << 20, 20)
    left = subprocess.Popen([*group.start, "sleep", "62"])
    try:
        while str(left.pid) not in (group.folders[-1] / "cgroup.procs").read_text().split():
            assert left.poll() is None
        group.close()
        assert left.wait(60) == -9
    finally:
        left.kill()
    assert _own(groups) == []


_KILLED = """
import os, signal
from bot.sandbox import cgroups
made = cgroups.find().make(64 << 20, 20)
print(*(folder for folder in made.folders if folder.is_dir()), sep="\\n", flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_groups_of_a_killed_bot_are_swept_and_those_of_living_ones_stay(groups: Groups) -> None:
    mine = groups.make(64 << 20, 20)
    try:
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
        bot = subprocess.run(
            [sys.executable, "-c", _KILLED], env=environment, stdout=subprocess.PIPE, timeout=60, check=False
        )
        assert bot.returncode == -9
        # Another bot of this machine may sweep them before we do.
        left = [Path(line) for line in bot.stdout.decode().splitlines()]
        assert len(left) == len(groups.folders)
        assert cgroups.find() is not None
        assert [group for group in left if group.exists()] == []
        assert all(folder.exists() for folder in mine.folders)
    finally:
        mine.close()


def _machine(root: Path, cgroup: str, mounts: str) -> Path:
    (root / "cgroup").write_text(cgroup)
    (root / "mountinfo").write_text(mounts)
    return root


def test_a_machine_that_lets_nobody_make_groups_has_none(tmp_path: Path) -> None:
    mount = "30 23 0:26 / {} {} - cgroup2 cgroup2 rw"
    for options, folder in (("ro", tmp_path), ("rw", tmp_path / "missing")):
        where = _machine(tmp_path, "0::/x\n", mount.format(folder, options) + "\n")
        assert all(way.systemd for way in cgroups._ways(where))
    assert all(way.systemd for way in cgroups._ways(tmp_path / "no-proc"))


def _group(folder: Path, *, divided: bool = False, member: int | None = None) -> Path:
    """Lay out what the kernel shows of a group of version 2."""
    folder.mkdir(parents=True)
    for name, text in {
        "cgroup.procs": f"{os.getpid() if member is None else member}\n",
        "cgroup.controllers": "cpu memory pids",
        "cgroup.subtree_control": "cpu memory pids" if divided else "",
        "cgroup.events": "",
    }.items():
        (folder / name).write_text(text)
    return folder


def _folders(root: Path, own: str) -> list[Path]:
    """Give where groups of version 2 would be made by a bot in `own`."""
    where = _machine(root, f"0::{own}\n", f"30 23 0:26 / {root} rw - cgroup2 cgroup2 rw\n")
    return [way.folders[""] for way in cgroups._ways(where) if not way.systemd]


def test_a_delegated_group_is_divided_and_keeps_its_own_processes_in_a_leaf(tmp_path: Path) -> None:
    own = _group(tmp_path / "unit")
    assert _folders(tmp_path, "/unit") == [own]
    assert (own / cgroups._LEAF / "cgroup.procs").read_text().split() == [str(os.getpid())]
    assert (own / "cgroup.subtree_control").read_text().split() == ["+cpu", "+memory", "+pids"]


def test_who_is_in_the_leaf_already_divides_what_it_is_the_leaf_of(tmp_path: Path) -> None:
    own = _group(tmp_path / "unit", divided=True)
    _group(own / cgroups._LEAF)
    assert _folders(tmp_path, f"/unit/{cgroups._LEAF}") == [own]


@pytest.fixture
def somebody() -> Iterator[int]:
    """Give a process of another user."""
    if os.geteuid() != 0:
        yield 1
        return
    with subprocess.Popen(["sleep", "300"], user=65531) as started:
        yield started.pid
        started.kill()


@pytest.mark.parametrize("other", [True, False])
def test_nobody_climbs_out_of_its_own_group(tmp_path: Path, somebody: int, other: bool) -> None:
    """Not where that one cannot be divided, as another user's process is in it or a controller is missing."""
    above = _group(tmp_path / "slice", divided=True)
    own = _group(above / "unit", member=somebody if other else None)
    if not other:
        (own / "cgroup.controllers").write_text("cpu pids")
    assert _folders(tmp_path, "/slice/unit") == []
    assert not (above / cgroups._LEAF).exists()


@pytest.mark.parametrize("scope", ["session-3.scope", "vte-spawn-1.scope", "init.scope"])
def test_a_scope_is_divided_only_where_it_was_delegated(tmp_path: Path, scope: str) -> None:
    """In others there is the shell of the one who started the bot."""
    own = _group(tmp_path / scope)
    assert _folders(tmp_path, f"/{scope}") == []
    assert (own / "cgroup.procs").read_text().split() == [str(os.getpid())]
    below = _group(own / "below")
    assert _folders(tmp_path, f"/{scope}/below") == []
    try:
        os.setxattr(own, "user.delegate", b"1")
    except OSError:
        return  # older kernels' tmpfs has no such attributes
    assert _folders(tmp_path, f"/{scope}") == [own]
    assert _folders(tmp_path, f"/{scope}/below") == [below]


def test_a_group_that_cannot_be_removed_is_said(tmp_path: Path) -> None:
    (tmp_path / "group").mkdir()
    (tmp_path / "group" / "file").touch()
    with pytest.raises(SandboxError, match="cannot be removed"):
        cgroups.Group((tmp_path / "group",), ()).close()
