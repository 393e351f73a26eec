"""The forge's bare repositories: where they lie, what configures git there, and who may move refs."""

import os
import shutil
import threading
from pathlib import Path

from forge.bare import EMPTY_TREE, ZERO, Bare, Change, GitError, Person, TreeEntry
from forge.store import Row

__all__ = ["EMPTY_TREE", "ZERO", "Bare", "Change", "Git", "GitError", "Person", "TreeEntry"]

# Read by every git of the forge instead of the machine's configuration. Old histories hold commits that a strict
# fsck refuses, and GitHub takes them; nobody pushes to `refs/pull/`.
CONFIG = """\
[core]
\thooksPath = /dev/null
\tlogAllRefUpdates = false
[gc]
\tauto = 0
[init]
\tdefaultBranch = main
[http]
\treceivepack = true
[receive]
\tautogc = false
\tfsckObjects = true
\thideRefs = refs/pull
\tdenyDeleteCurrent = true
[receive "fsck"]
\tzeroPaddedFilemode = warn
\tmissingSpaceBeforeDate = warn
\tbadTimezone = warn
\tmissingEmail = warn
[uploadpack]
\tallowFilter = true
\tallowAnySHA1InWant = true
[safe]
\tdirectory = *
[user]
\tname = GitHub
\temail = noreply@github.com
"""


class Git:
    """The bare repositories under `DATA/repos/<owner>/<name>.git`."""

    def __init__(self, data: Path) -> None:
        self.root = data.absolute() / "repos"
        self.root.mkdir(parents=True, exist_ok=True)
        home = data.absolute() / "home"
        home.mkdir(exist_ok=True)
        config = data.absolute() / "gitconfig"
        config.write_text(CONFIG)
        self.env = {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(home),
            "LC_ALL": "C",
            "TZ": "UTC",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": str(config),
            "GIT_TERMINAL_PROMPT": "0",
        }
        self._locks: dict[int, threading.Lock] = {}
        self._guard = threading.Lock()
        self._bares: dict[int, Bare] = {}

    def path(self, repo: Row) -> Path:
        """Where a repository lies."""
        return self.root / str(repo["owner_login"]) / f"{repo['name']}.git"

    def of(self, repo: Row) -> "Bare":
        """The bare repository of a row."""
        with self._guard:
            bare, path = self._bares.get(repo["id"]), self.path(repo)
            if bare is None or bare.path != path:
                bare = self._bares[repo["id"]] = Bare(path, self.env)
            return bare

    def lock(self, repo: Row) -> threading.Lock:
        """Held by whoever moves refs of a repository, until the move is announced."""
        with self._guard:
            return self._locks.setdefault(repo["id"], threading.Lock())

    def create(self, repo: Row) -> "Bare":
        """An empty bare repository for a new row."""
        bare = self.of(repo)
        bare.path.parent.mkdir(parents=True, exist_ok=True)
        bare.run(
            "init",
            "--quiet",
            "--bare",
            "--template=",
            f"--initial-branch={repo['default_branch']}",
            str(bare.path),
        )
        return bare

    def remove(self, repo: Row) -> None:
        """Deletes a repository's folder."""
        shutil.rmtree(self.path(repo), ignore_errors=True)
