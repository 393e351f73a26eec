"""What agents leave that is odd and no attack on a naive host: it is taken in byte for byte, or refused in words, and always removed."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from bot.sandbox import BwrapSandbox
from tests.git.attacks.field import Ours


async def _end(ours: Ours, sandbox: BwrapSandbox, script: str) -> str:
    await ours.build(sandbox)
    await ours.attack(script)
    assert ours.written, ours.said
    await ours.cycle()
    assert await ours.manager.cleanup("T-1") == []
    assert not ours.tree.folder.exists()
    return ours.outcome


NAMES = (
    ":(exclude)f.txt",
    "-rf",
    "--help",
    "*.txt",
    "a b",
    '"q"',
    "'s'",
    "$HOME",
    "é",
    "#x",
    "!y",
    "@{u}",
    "HEAD",
    "tab;ls",
)


async def test_names_that_mean_something_elsewhere_are_names(ours: Ours, sandbox: BwrapSandbox) -> None:
    script = "".join(
        f"printf x >'./{name}'\n" if "'" not in name else "printf x >\"./'s'\"\n" for name in NAMES
    )
    assert await _end(ours, sandbox, script) == "done"
    assert all(ours.arrived(name) for name in NAMES)
    assert "line 3 agent" in ours.on_remote(ours.branch(), "f.txt")


async def test_bytes_are_converted_as_the_commits_own_attributes_say_and_no_others(
    ours: Ours, sandbox: BwrapSandbox
) -> None:
    script = """
printf 'a\\r\\nb\\r\\n' >n.crlf; printf 'a\\r\\nb\\r\\n' >n.raw
printf '$Id: somebody $' >n.id; printf '$Id: somebody $' >n.txt
printf '$Format:%%H$' >n.exp; printf 'x\\r\\n' >n.dat
git config core.autocrlf true; git config core.eol crlf; printf '* text\\n' >/scratch.git/info/attributes
"""
    assert await _end(ours, sandbox, script) == "done"
    blobs = {
        name: await ours.mirror.read(ours.sha, name)
        for name in ("n.crlf", "n.raw", "n.id", "n.txt", "n.exp", "n.dat")
    }
    assert blobs == {
        "n.crlf": b"a\nb\n",
        "n.raw": b"a\r\nb\r\n",
        "n.id": b"$Id$",
        "n.txt": b"$Id: somebody $",
        "n.exp": b"$Format:%H$",
        "n.dat": b"x\r\n",
    }


@pytest.mark.long
@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("printf x >'a\nb'", "control characters"),
        ("printf x >'a\\b'", "a backslash"),
        ("mkdir 'sub'; printf x >'sub/.git '", "passes for one"),
        ("mkdir -p 'sub/.git.'; printf x >'sub/.git./config'", "passes for one"),
        ("mkdir -p 'sub/GIT~1'; printf x >'sub/GIT~1/config'", "passes for one"),
        ("mkdir -p sub; printf x >'sub/gi7eba~1'", "passes for one"),
        ("mkdir -p sub; printf x >'sub/.git::$INDEX_ALLOCATION'", "passes for one"),
        ("mkdir -p sub; printf x >'sub/.\uff27it'", "passes for one"),
        ("printf x >shut; chmod 0 shut", "lets nobody read it"),
        ("mkdir shut; printf x >shut/x; chmod 0 shut", "cannot be read"),
        ("python3 -c \"import socket; socket.socket(socket.AF_UNIX).bind('sock')\"", "neither a file"),
        (
            "for n in $(seq 60); do truncate -s 4M big$n; done",
            "bytes together, more than the 20971520 allowed",
        ),
        ("ln -s /etc/passwd docs/p", "a symlink that leaves"),
        ("ln -s .git/config c", "a symlink that leaves"),
        ("ln -s self/../../.. self", "a symlink that leaves"),
        ("chmod 4755 docs/a.md", "becomes a program"),
        ("rm -rf docs; printf x >docs; chmod 2755 docs", "done"),
    ],
)
async def test_what_is_odd_is_refused_in_words(
    ours: Ours, sandbox: BwrapSandbox, script: str, said: str
) -> None:
    assert said in await _end(ours, sandbox, script)


@pytest.mark.parametrize(
    "script", ["mknod dev c 1 3", "mknod disk b 8 0", "chown 0 f.txt", "mount -t tmpfs x docs"]
)
async def test_what_needs_rights_is_not_done_at_all(ours: Ours, sandbox: BwrapSandbox, script: str) -> None:
    await ours.build(sandbox)
    await ours.attack(script)
    assert not ours.written
    await ours.cycle()
    assert ours.outcome == "done"


_DEEP = """
import os
for n in range(400):
    os.mkdir("d" * 200)
    os.chdir("d" * 200)
open("x", "w").close()
"""


@pytest.mark.long
async def test_folders_deeper_than_any_path_are_refused_and_removed(
    ours: Ours, sandbox: BwrapSandbox
) -> None:
    assert "its path is longer than 3000 bytes" in await _end(ours, sandbox, f"python3 -c '{_DEEP}'")


@pytest.mark.long
async def test_too_many_files_are_refused_and_removed(ours: Ours, sandbox: BwrapSandbox) -> None:
    script = "mkdir many; cd many; seq 200001 | xargs touch"
    assert "more than 200000 files" in await _end(ours, sandbox, script)


async def test_nothing_of_the_host_stands_in_the_boxes_that_meet_agents_files(
    ours: Ours, sandbox: BwrapSandbox, tmp_path: Path
) -> None:
    await ours.build(sandbox)
    home, work = tmp_path / "h", tmp_path / "w"
    for folder in (home, work):
        folder.mkdir()
    script = "cat $0 2>/dev/null; env; tr '\\0' '\\n' </proc/1/environ; (exec 3<>/dev/tcp/127.0.0.1/$1) 2>/dev/null && echo reached"
    argv = ["bash", "-c", script, str(ours.host / "host-secret.txt"), str(ours.server.port)]
    async with ours.manager.zone.open(work, home, shown=(ours.tree.path,)) as box:
        said = await box.run(argv, timeout=60)
        wrote = await box.run(["sh", "-c", 'printf x >"$0/f.txt"', str(ours.tree.path)], timeout=60)
    assert said.code in (0, 1), said
    assert not [word for word in ("hostsecret", "reached", "GITWRIGHT", "_KEY") if word in said.output]
    assert wrote.code != 0
    plain = await ours_plainly(argv)
    assert "hostsecret" in plain
    assert "reached" in plain


async def ours_plainly(argv: list[str]) -> str:
    """Do the same without a box."""
    child = await asyncio.create_subprocess_exec(*argv, stdout=asyncio.subprocess.PIPE)
    out, _ = await asyncio.wait_for(child.communicate(), 60)
    return out.decode()
