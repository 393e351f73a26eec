"""Owns running tests once more as an ordinary user, where the bot's own tests run as root."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

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


only_root = pytest.mark.skipif(os.geteuid() != 0, reason="does not apply: this is an ordinary user already")


@contextmanager
def _folder() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="gitwright-ordinary-"))
    os.chown(made, _UID, _UID)
    try:
        yield made
    finally:
        shutil.rmtree(made)


def _private(wanted: Path) -> Path | None:
    """Give the outermost folder above that others may not enter."""
    return next((f for f in reversed(wanted.parents) if not f.stat().st_mode & 0o001), None)


@contextmanager
def ordinary_user() -> Iterator[tuple[Path, list[str], dict[str, str]]]:
    """Lend another user id: a folder of its own, the start of a command line that becomes it, and its environment."""
    opened: list[str] = []
    for wanted in {Path(sys.base_prefix), Path(sys.prefix), _REPO}:
        if (private := _private(wanted)) is not None:
            opened += [str(private), str(wanted)]
    with _folder() as folder:
        space = ["unshare", "--mount", "--propagation", "private", "sh", "-c", _OPEN, "open", *opened, "--"]
        user = ["setpriv", "--reuid", str(_UID), "--regid", str(_UID), "--clear-groups"]
        environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
        yield folder, [*space, *user], environment


def run_as_ordinary_user(args: Sequence[str], timeout: float) -> None:
    """Run pytest with these arguments under another user id; it must pass, and leave nothing out that is missing."""
    with ordinary_user() as (folder, start, environment):
        pytest_ = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--basetemp={folder}/t"]
        done = subprocess.run(
            [*start, *pytest_, *args],
            cwd=_REPO,
            env={**environment, "GITWRIGHT_REQUIRE": os.environ.get("GITWRIGHT_REQUIRE", "")},
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
    assert "skipped" not in done.stdout.splitlines()[-1] or "does not apply" in done.stdout
