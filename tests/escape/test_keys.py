"""Of the folders that hold a host's certificates a box shows these, and not the private keys beside them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.ordinary import only_root, ordinary_user

ROOT = Path(__file__).parents[2]
FOLDERS = {
    "/etc/ssl": ("private/host.key", "host.key", "certs/host.pem"),
    "/etc/pki": ("tls/private/host.key", "host.key", "tls/certs/host.pem"),
}
# Everybody may read what it lays there, in a mount namespace of its own: only the box itself is to keep somebody out.
PLANT = """\
set -e
while [ "$1" != -- ]; do
    mount -t tmpfs -o mode=0755 tmpfs "$1"; folder=$1; shift
    for name in $NAMES; do
        mkdir -p "$(dirname "$folder/$name")"; echo PRIVATE >"$folder/$name"
    done
done
shift
exec "$@"
"""
DRIVE = """\
import asyncio, json, os, sys
from pathlib import Path
from bot.ports import SandboxPolicy
from bot.sandbox import BwrapSandbox, probe

async def main(folder, names):
    found = await probe()
    if not isinstance(found.sandbox, BwrapSandbox):
        return {"missing": found.problems}
    for each in ("work", "home"):
        (folder / each).mkdir()
    policy = SandboxPolicy(work=folder / "work", home=folder / "home")
    async with found.sandbox.open(policy) as box:
        inside = {name: (await box.run(["cat", name], timeout=30)).code == 0 for name in names}
        everything = (await box.run(["sh", "-c", "find /etc -name '*.key'"], timeout=30)).output
    without = {name: "PRIVATE" in Path(name).read_text() for name in names}
    return {"inside": inside, "without": without, "everything": everything, "user": os.geteuid()}

print(json.dumps(asyncio.run(main(Path(sys.argv[1]), sys.argv[2:]))))
"""


@only_root
@pytest.mark.parametrize("user", ["root", "ordinary"])
def test_a_box_shows_certificates_and_not_the_keys_beside_them(user: str, tmp_path: Path) -> None:
    there = [folder for folder in FOLDERS if os.path.isdir(folder)]
    assert there, "no certificates on this machine"
    names = {folder: [f"{folder}/{name}" for name in FOLDERS[folder]] for folder in there}
    every = " ".join(sorted({name for folder in there for name in FOLDERS[folder]}))
    place = ["unshare", "--mount", "--propagation", "private", "sh", "-c", PLANT, "plant", *there, "--"]
    drive = [sys.executable, "-c", DRIVE]
    with ordinary_user() as (folder, start, environment):
        if user == "root":
            folder, start = tmp_path, []
        done = subprocess.run(
            [*place, *start, *drive, str(folder), *(name for each in names.values() for name in each)],
            cwd=ROOT,
            env={**environment, "NAMES": every},
            capture_output=True,
            text=True,
            timeout=110,
            check=False,
        )
    assert done.returncode == 0, done.stderr[-3000:]
    seen = json.loads(done.stdout.splitlines()[-1])
    if "missing" in seen:
        pytest.skip(f"bubblewrap does not work here: {seen['missing']}")
    assert (seen["user"] == 0) == (user == "root")
    assert set(seen["without"].values()) == {True}
    for private, beside, public in names.values():
        assert [seen["inside"][name] for name in (private, beside, public)] == [False, False, True]
    assert seen["everything"] == ""
