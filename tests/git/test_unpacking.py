"""What a small pack becomes is bounded as well: the host's git takes it in with little memory, or not at all."""

from __future__ import annotations

import asyncio
import hashlib
import json
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import pytest

from bot.git import GitMirror

_MEGABYTE = 1 << 20
_BLOB, _TREE = 3, 2
# In a process of its own, so that nobody else's children count.
_UNPACK = """\
import asyncio, json, resource, sys
from pathlib import Path
from bot.errors import GitError
from bot.git import GitMirror

async def main(folder):
    mirror = GitMirror(folder / "7.git")
    await mirror.prepare()
    try:
        await mirror.unpack((folder / "pack").read_bytes())
        return "taken in"
    except GitError as error:
        return str(error)

said = asyncio.run(main(Path(sys.argv[1])))
print(json.dumps([said, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss >> 10]))
"""


def _pack(kind: int, size: int, written: int) -> bytes:
    """Make a pack of one object that says it has `size` bytes, zeros all of them."""
    rest, head, first = size >> 4, bytearray(), (kind << 4) | (size & 15)
    while rest:
        head.append(first | 0x80)
        rest, first = rest >> 7, rest & 0x7F
    head.append(first)
    pack = b"PACK" + struct.pack(">II", 2, 1) + bytes(head) + zlib.compress(bytes(written), 1)
    return pack + hashlib.sha1(pack).digest()


def _unpacked(folder: Path, pack: bytes) -> tuple[str, int]:
    """Give what was said, and the MiB that it took at most."""
    (folder / "pack").write_bytes(pack)
    command = [sys.executable, "-c", _UNPACK, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    said, peak = json.loads(done.stdout)
    return said, peak


def test_a_large_file_goes_through_little_memory(tmp_path: Path) -> None:
    said, peak = _unpacked(tmp_path, _pack(_BLOB, 128 * _MEGABYTE, 128 * _MEGABYTE))
    assert said == "taken in"
    assert peak < 100


@pytest.mark.skipif(
    sys.platform != "linux", reason="does not apply: this kernel bounds no memory of a process"
)
def test_what_would_need_too_much_is_refused(tmp_path: Path) -> None:
    said, peak = _unpacked(tmp_path, _pack(_TREE, 700 * _MEGABYTE, _MEGABYTE))
    assert "ut of memory" in said
    assert peak < 600


def test_what_people_work_with_fits(tmp_path: Path) -> None:
    said, _ = _unpacked(tmp_path, _pack(_BLOB, 5 * _MEGABYTE, 5 * _MEGABYTE))
    assert said == "taken in"


def _git(place: Path, *args: str, stdin: bytes = b"") -> bytes:
    command = [
        "git",
        "--git-dir",
        str(place),
        "-c",
        "core.bigFileThreshold=1m",
        "-c",
        "core.compression=0",
        *args,
    ]
    done = subprocess.run(command, input=stdin, capture_output=True, timeout=100, check=True)
    return done.stdout.strip()


@pytest.mark.long
def test_a_mirror_with_a_large_pack_takes_work_in(tmp_path: Path) -> None:
    mirror, other = tmp_path / "7.git", tmp_path / "other.git"
    asyncio.run(GitMirror(mirror).prepare())
    subprocess.run(["git", "init", "-q", "--bare", str(other)], check=True, timeout=60)
    (other / "objects/info/alternates").write_text(f"{mirror / 'objects'}\n")
    with (tmp_path / "large").open("wb") as file:
        file.truncate(700 * _MEGABYTE)
    large = _git(mirror, "hash-object", "-w", str(tmp_path / "large")).decode()  # git streams it into a pack
    (pack,) = mirror.glob("objects/pack/*.pack")
    assert pack.stat().st_size > 600 * _MEGABYTE
    before = _git(mirror, "mktree", stdin=f"100644 blob {large}\tlarge\n".encode()).decode()
    small = _git(other, "hash-object", "-w", "--stdin", stdin=b"small\n").decode()
    entries = f"100644 blob {large}\tlarge\n100644 blob {small}\tsmall\n"
    after = _git(other, "mktree", stdin=entries.encode()).decode()
    thin = _git(other, "pack-objects", "-q", "--revs", "--stdout", stdin=f"{after}\n^{before}\n".encode())
    assert len(thin) < 1_000
    said, _ = _unpacked(tmp_path, thin)
    assert said == "taken in"
