"""Containers: the command line of a policy, words for what is missing, and what a killed bot leaves behind."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from inline_snapshot import snapshot

from bot import process
from bot.errors import SandboxError
from bot.ports import Outlet, SandboxPolicy
from bot.sandbox import Containers, ContainerSandbox, container_line
from bot.sandbox.container import ContainerBox
from bot.sandbox.container_line import OWNER
from bot.sandbox.probe import choose, probe
from tests.support.containers import containers

POLICY = SandboxPolicy(
    work=Path("/data/a, b/work"),
    home=Path("/data/home"),
    pointer_git=Path("/data/pointer"),
    writable={Path("/data/scratch.git"): "/scratch.git"},
    readable={Path("/data/objects"): "/mirror/objects"},
    outlets=(Outlet(Path("/data/model.sock"), 18080),),
    frozen=True,
    memory_bytes=1 << 30,
    processes=77,
)
BUSY = 60.0  # seconds


async def test_a_container_that_stays_is_said_each_time_that_its_box_is_closed(tmp_path: Path) -> None:
    program = tmp_path / "docker"
    program.write_text('#!/bin/sh\ncase $1 in ps) [ ! -e "$0.gone" ] && echo 0123456789ab ;; esac\nexit 0\n')
    program.chmod(0o755)
    box = ContainerBox(replace(POLICY, outlets=()), Containers(str(program), "image"))
    box._child = await process.spawn(["cat"], env=process.inherited("PATH"), cwd=tmp_path)
    assert await box.close() == await box.close() == [0]

    (tmp_path / "docker.gone").touch()
    box = ContainerBox(replace(POLICY, outlets=()), Containers(str(program), "image"))
    assert await box.close() == []  # it was never started
    box._child = await process.spawn(["cat"], env=process.inherited("PATH"), cwd=tmp_path)
    assert await box.close() == await box.close() == []


def _shown(made: Containers) -> str:
    """Give the command line, an option a line, without what differs from machine to machine."""
    line = container_line.command(POLICY, made, "gitwright-x", owner="1-2")
    text = "\n".join(line)
    text = re.sub(r"(?m)^[0-9a-f]{200,}$", "FILTER", text)
    text = re.sub(r"source=\S*/bot/sandbox/", "source=", text)
    text = re.sub(r"(?m)^(nofile|fsize|core|data|nproc)=.*$", r"\1=N", text)
    return (
        re.sub(r"(?m)^(\d+:\d+)$", "UID", text).replace("\n--", "\t--").replace("\n", " ").replace("\t", "\n")
    )


@pytest.mark.skipif(os.geteuid() != 0, reason="does not apply: snapshots are of root's command lines")
def test_podman_s_command_line() -> None:
    assert _shown(Containers("/usr/bin/podman", "box", "runc")) == snapshot("""\
/usr/bin/podman
--runtime runc run
--interactive
--rm
--pull=never
--init=false
--name gitwright-x
--label gitwright.owner=1-2
--log-driver none
--hostname sandbox
--network none
--cap-drop ALL
--security-opt no-new-privileges
--read-only
--user UID
--read-only-tmpfs=false
--no-hosts
--pids-limit 77
--memory 1073741824
--memory-swap 1073741824
--tmpfs /tmp:rw,exec,nosuid,nodev,mode=1777,size=1073741824,notmpcopyup
--shm-size 67108864
--ulimit nofile=N
--ulimit fsize=N
--ulimit core=N
--ulimit data=N
--ulimit nproc=N
--mount type=bind,source=/data/scratch.git,target=/scratch.git
--mount type=bind,"source=/data/a, b/work",target=/workspace,readonly
--mount type=bind,source=/data/objects,target=/mirror/objects,readonly
--mount type=bind,source=/data/home,target=/home/agent
--mount type=bind,source=/data/pointer,target=/workspace/.git,readonly
--mount type=bind,source=inside/__main__.py,target=/run/gitwright/__main__.py,readonly
--mount type=bind,source=confine.py,target=/run/gitwright/confine.py,readonly
--mount type=bind,source=/data/model.sock,target=/run/gitwright/outlets/18080
--mount type=bind,source=inside/__init__.py,readonly
--mount type=bind,source=inside/bridge.py,readonly
--mount type=bind,source=inside/doors.py,readonly
--mount type=bind,source=inside/first.py,readonly
--mount type=bind,source=inside/frames.py,readonly
--mount type=bind,source=inside/kernel.py,readonly
--mount type=bind,source=inside/minder.py,readonly
--mount type=bind,source=inside/pipes.py,readonly
--mount type=bind,source=inside/trees.py,readonly
--env PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
--env HOME=/home/agent
--env TMPDIR=/tmp
--env LANG=C.UTF-8
--workdir /
--entrypoint python3 box -I -S /run/gitwright/confine.py FILTER /run/gitwright/__main__.py 32768 /workspace 18080=/run/gitwright/outlets/18080\
""")


@pytest.mark.skipif(os.geteuid() != 0, reason="does not apply: snapshots are of root's command lines")
def test_what_is_different_for_docker_and_for_gvisor() -> None:
    def options(made: Containers) -> set[str]:
        return set(_shown(made).split("\n"))

    podman, docker = options(Containers("podman", "box")), options(Containers("docker", "box"))
    assert sorted(podman - docker) == snapshot(
        [
            "--no-hosts",
            "--read-only-tmpfs=false",
            "--tmpfs /tmp:rw,exec,nosuid,nodev,mode=1777,size=1073741824,notmpcopyup",
            "podman run",
        ]
    )
    assert sorted(docker - podman) == snapshot(
        ["--tmpfs /tmp:rw,exec,nosuid,nodev,mode=1777,size=1073741824", "docker run"]
    )
    assert sorted(options(Containers("docker", "box", "runsc")) - docker) == snapshot(
        [
            "--entrypoint python3 box -I -S /run/gitwright/confine.py FILTER /run/gitwright/__main__.py 77 /workspace 18080=/run/gitwright/outlets/18080",
            "--memory 1207959552",
            "--memory-swap 1207959552",
            "--pids-limit 564",
            "--runtime runsc",
        ]
    )
    assert sorted(options(Containers("podman", "box", "runsc")) - podman) == snapshot(
        [
            "--entrypoint python3 box -I -S /run/gitwright/confine.py FILTER /run/gitwright/__main__.py 77 /workspace 18080=/run/gitwright/outlets/18080",
            "--memory 1207959552",
            "--memory-swap 1207959552",
            "--pids-limit 564",
            "--runtime runsc",
            "--runtime-flag fsgofer-host-uds run",
            "--runtime-flag network=none",
            "podman",
        ]
    )


def test_no_command_line_opens_a_wall() -> None:
    for made in (
        Containers("docker", "box"),
        Containers("podman", "box"),
        Containers("podman", "box", "runsc"),
    ):
        line = container_line.command(POLICY, made, "gitwright-x", owner="1-2")
        text = " ".join(line)
        assert not re.search(
            r"privileged(?!\S)|docker\.sock|podman\.sock|--cap-add|--device|--(pid|ipc|uts|network)[= ]host",
            text,
        )
        for wall in (
            "--network none",
            "--cap-drop ALL",
            "no-new-privileges",
            "--read-only",
            "--pull=never",
            "--init=false",
            "--pids-limit",
        ):
            assert wall in text


@pytest.mark.long
@pytest.mark.timeout(400)
async def test_a_missing_program_and_a_missing_image_are_told_with_the_fix(policy: SandboxPolicy) -> None:
    with pytest.raises(SandboxError, match=r"(?s)Missing: the program `no-such-podman`.*Fix: Install it"):
        await choose("medium", Containers("no-such-podman", "box"))
    made = await asyncio.to_thread(containers)
    absent = replace(made, image="localhost/no-such-image:1")
    with pytest.raises(SandboxError, match=r"podman pull localhost/no-such-image:1`"):
        async with ContainerSandbox(absent).open(policy):
            raise AssertionError("it started")
    assert (await probe(absent)).level == "none"


@pytest.mark.long
@pytest.mark.timeout(400)
async def test_a_container_whose_canaries_hold_is_strong() -> None:
    found = await probe(await asyncio.to_thread(containers))
    assert (found.level, found.problems) == ("strong", ())


def test_words_of_docker_are_understood() -> None:
    docker = Containers("docker", "box")
    for said in (
        "Unable to find image 'box:latest' locally",
        "docker: Error response from daemon: No such image: box:latest",
        "Error: box: image not known",
    ):
        assert "Run `docker pull box`" in container_line.reason(said, docker)
    assert "has no python3" in container_line.reason(
        'exec: "python3": executable file not found in $PATH', docker
    )


def _listed(made: Containers, pid: int) -> set[str]:
    """Name the containers of one bot: those of others on this machine come and go meanwhile."""
    line = [made.program, "ps", "--all", "--filter", f"label={OWNER}", "--format", "json"]
    said = json.loads(subprocess.run(line, capture_output=True, timeout=60, check=True).stdout)
    return {each["Id"] for each in said if each["Labels"][OWNER].startswith(f"{pid}-")}


_BOT = """\
import asyncio, sys
from pathlib import Path
from bot.ports import SandboxPolicy
from bot.sandbox import Containers, ContainerSandbox

async def main(program, image, runtime, folder):
    policy = SandboxPolicy(work=Path(folder, "work"), home=Path(folder, "home"))
    async with ContainerSandbox(Containers(program, image, runtime or None)).open(policy) as box:
        async with box.start(["sh", "-c", "echo up; exec sleep 600"]) as talk:
            print((await talk.read(10)).decode(), flush=True)
            await asyncio.sleep(600)

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.mark.long
@pytest.mark.timeout(400)
async def test_the_containers_of_a_killed_bot_end_and_are_swept(policy: SandboxPolicy) -> None:
    made = await asyncio.to_thread(containers)
    sandbox = ContainerSandbox(made)
    async with sandbox.open(policy):
        mine = _listed(made, os.getpid())
        line = [
            sys.executable,
            "-c",
            _BOT,
            made.program,
            made.image,
            made.runtime or "",
            str(policy.work.parent),
        ]
        bot = await asyncio.create_subprocess_exec(*line, stdout=asyncio.subprocess.PIPE)
        assert bot.stdout is not None
        assert await asyncio.wait_for(bot.stdout.readline(), BUSY) == b"up\n"
        theirs = _listed(made, bot.pid)
        assert (len(mine), len(theirs)) == (1, 1)
        bot.send_signal(signal.SIGKILL)
        await bot.wait()
        assert await _ended(made, next(iter(theirs))), "its processes outlive the bot"
        await sandbox.sweep()
        left = _listed(made, os.getpid()), _listed(made, bot.pid)
        assert left == (mine, set()), "the living one was swept, or the dead one was not"
    assert _listed(made, os.getpid()) == set()


async def _ended(made: Containers, container: str) -> bool:
    """Wait until a container does not run any more; it may be listed all the same."""
    line = [made.program, "ps", "--quiet", "--filter", f"id={container}"]
    deadline = time.monotonic() + BUSY
    while time.monotonic() < deadline:
        done = await asyncio.to_thread(subprocess.run, line, capture_output=True, timeout=60, check=True)
        if not done.stdout.strip():
            return True
        await asyncio.sleep(0.2)
    return False


async def test_a_program_that_is_no_container_program_is_no_sandbox(
    tmp_path: Path, policy: SandboxPolicy
) -> None:
    fake = tmp_path / "podman"
    fake.write_text("#!/bin/sh\necho nonsense; exit 0\n")
    fake.chmod(0o755)
    assert shutil.which(str(fake))
    found = await probe(Containers(str(fake), "box"))
    assert found.level == "none"
    assert found.problems
