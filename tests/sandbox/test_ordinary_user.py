"""The same promises where the bot is an ordinary user: its tests run once more under such a user id."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from bot.sandbox import BwrapSandbox

_REPO = Path(__file__).parents[2]
_UID = 65531
# In a mount namespace of its own, shows private folders that the interpreter lives in at their own places.
_OPEN = """\
set -e
stage=/mnt
mount -t tmpfs -o mode=0755 tmpfs $stage
n=0
while [ "$1" != -- ]; do
    private=$1; wanted=$2; shift 2
    mkdir "$stage/$n"; mount --bind "$wanted" "$stage/$n"
    mount -t tmpfs -o mode=0755 tmpfs "$private"
    mkdir -p "$wanted"; mount --bind "$stage/$n" "$wanted"
    n=$((n+1))
done
shift
exec "$@"
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="gitwright-ordinary-"))
    os.chown(made, _UID, _UID)
    yield made
    shutil.rmtree(made)


def _private(wanted: Path) -> Path | None:
    """Give the outermost folder above that others may not enter."""
    return next((f for f in reversed(wanted.parents) if not f.stat().st_mode & 0o001), None)


@pytest.mark.skipif(os.geteuid() != 0, reason="does not apply: this is an ordinary user already")
@pytest.mark.parametrize("which", ["not long", pytest.param("long", marks=pytest.mark.long)])
def test_boxes_and_worktrees_hold_for_an_ordinary_user(
    folder: Path, sandbox: BwrapSandbox, which: str
) -> None:
    opened: list[str] = []
    for wanted in {Path(sys.base_prefix), Path(sys.prefix), _REPO}:
        if (private := _private(wanted)) is not None:
            opened += [str(private), str(wanted)]
    pytest_ = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        f"--basetemp={folder}/t",
        "tests/sandbox/test_bwrap.py",
        "tests/sandbox/test_dialog.py",
        "tests/agents/test_contract.py",
        "tests/agents/test_acp.py",
        "tests/sandbox/test_sudden_death.py",
        "tests/git",
        "-m",
        which,
        "-k",
        "written or seen or way_out or interpreter or time_out or works_for_the_agent or in_its_box or proves or outlives "
        "or lives_on or is_done_and_told or reached_out or found_inside",
    ]
    user = ["setpriv", "--reuid", str(_UID), "--regid", str(_UID), "--clear-groups"]
    command = [
        "unshare",
        "--mount",
        "--propagation",
        "private",
        "sh",
        "-c",
        _OPEN,
        "open",
        *opened,
        "--",
        *user,
        *pytest_,
    ]
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "PYTHONDONTWRITEBYTECODE": "1",
        "GITWRIGHT_REQUIRE": os.environ.get("GITWRIGHT_REQUIRE", ""),
    }
    done = subprocess.run(
        command, cwd=_REPO, env=environment, capture_output=True, text=True, timeout=110, check=False
    )
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
    assert "skipped" not in done.stdout.splitlines()[-1] or "does not apply" in done.stdout
