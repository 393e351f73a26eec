"""The demo on a machine with a sandbox and on one without: what it tells its person, and that its bot runs either way."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bot.sandbox import probe
from tests.support.walls import walls

WARNING = "WARNING: no sandbox holds here, so agents and tests run without one, with your rights"
_SECONDS = 240.0

pytestmark = [pytest.mark.timeout(480), pytest.mark.xdist_group("demo")]


# What stands at bubblewrap's place, by shell: nothing that runs, and one that leaves the network open.
BROKEN = {
    "it cannot run": "mount --bind /dev/null $at",
    "a wall is missing": """\
mount -t tmpfs none /mnt && cp $at /mnt/real && cat >/mnt/bwrap <<"END" && chmod 755 /mnt /mnt/* && mount --bind /mnt/bwrap $at
#!/bin/sh
for each; do shift; [ "$each" = --unshare-net ] || set -- "$@" "$each"; done
exec /mnt/real "$@"
END
""",
}


def without_walls(how: str) -> list[str]:
    """Give what a command is started with to find such a bubblewrap, in a mount namespace of its own."""
    at = shutil.which("bwrap", path="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
    if at is None or asyncio.run(probe()).level == "none":
        return []  # it is such a machine
    unshare = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--map-root-user", "--mount"]
    return [*unshare, "sh", "-c", f'set -e; at={at}\n{BROKEN[how]}\nexec "$@"', "sh"]


def begun(out: Path, before: list[str]) -> tuple[str, str]:
    """Run a demo until its bot has been asked; gives what it said until then, and the level that its bot was asked for."""
    log = out.with_suffix(".log")
    command = [*before, sys.executable, "-m", "bot", "demo", "--out", str(out)]
    with log.open("wb") as errors, subprocess.Popen(command, stdout=errors, stderr=errors) as child:
        try:
            end = time.monotonic() + _SECONDS
            while (
                "labels issue #1" not in log.read_text() and child.poll() is None and time.monotonic() < end
            ):
                time.sleep(0.1)
            said = log.read_text()
        finally:
            child.send_signal(signal.SIGTERM)
            child.wait(120)
    assert "labels issue #1" in said, said
    settings = (out / "settings.env").read_text()
    [level] = [
        line.partition("=")[2] for line in settings.splitlines() if line.startswith("GITWRIGHT_SANDBOX=")
    ]
    return said, level


@pytest.mark.long
async def test_with_a_sandbox_the_demo_asks_for_it_and_warns_of_nothing(tmp_path: Path) -> None:
    await walls()
    said, level = await asyncio.to_thread(begun, tmp_path / "out", [])
    assert (level, "WARNING" in said) == ("medium", False)


@pytest.mark.parametrize("how", ["it cannot run", pytest.param("a wall is missing", marks=pytest.mark.long)])
def test_without_one_the_demo_says_so_with_the_reason_and_goes_on(tmp_path: Path, how: str) -> None:
    said, level = begun(tmp_path / "out", without_walls(how))
    assert (level, WARNING in said) == ("none", True), said
    assert "bwrap (medium): " in said
