"""The judge of repositories: `git fsck` over every bare repository of a forge."""

import subprocess
from pathlib import Path

_TIMEOUT_S = 120


def fsck_all(data_dir: Path) -> int:
    """Run `git fsck --full --strict` on each `repos/<owner>/<name>.git`; returns how many there were.

    AssertionError names the first repository that is damaged, with what git says. Dangling objects are no
    damage: a rejected push leaves them.
    """
    repositories = sorted((data_dir / "repos").glob("*/*.git"))
    for repository in repositories:
        command = [
            "git",
            "-C",
            str(repository),
            "fsck",
            "--full",
            "--strict",
            "--no-dangling",
            "--no-progress",
        ]
        found = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
        assert found.returncode == 0, (
            f"{repository.parent.name}/{repository.name} is damaged:\n{found.stdout}{found.stderr}"
        )
    return len(repositories)
