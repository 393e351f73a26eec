"""Owns the way from somebody's clone to the forge: the clone is only read."""

from __future__ import annotations

import base64
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from bot.errors import GitError, UserError

_TIMEOUT = 300.0
_SOMEBODY = {
    "GIT_AUTHOR_NAME": "Gitwright demo",
    "GIT_AUTHOR_EMAIL": "demo@users.noreply.github.com",
    "GIT_COMMITTER_NAME": "Gitwright demo",
    "GIT_COMMITTER_EMAIL": "demo@users.noreply.github.com",
}


def run_git(args: Sequence[str], *, env: Mapping[str, str] | None = None, cwd: Path | None = None) -> str:
    """Give what `git_output` gives as one text without the space around it."""
    return git_output(args, env=env, cwd=cwd).decode(errors="replace").strip()


def git_output(
    args: Sequence[str], *, env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> bytes:
    """Run git without the machine's configuration and prompts; GitError carries the end of what it said."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    clean |= {
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_SYSTEM": os.devnull,
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_OPTIONAL_LOCKS": "0",
        **(env or {}),
    }
    # The clone may belong to somebody else; nothing in it is run.
    argv = [
        "git",
        "-c",
        "safe.directory=*",
        "-c",
        "core.fsmonitor=false",
        "-c",
        "core.hooksPath=/dev/null",
        *args,
    ]
    try:
        done = subprocess.run(argv, env=clean, cwd=cwd, capture_output=True, check=False, timeout=_TIMEOUT)
    except subprocess.TimeoutExpired as error:
        raise GitError(f"git {args[0]}: no end within {_TIMEOUT:.0f} s") from error
    if done.returncode:
        raise GitError(f"git {args[0]}: {done.stderr.decode(errors='replace').strip()[-500:]}")
    return done.stdout


def login(token: str) -> dict[str, str]:
    """Give the environment that signs git in, out of sight of `ps`."""
    basic = base64.b64encode(f"x-access-token:{token}".encode()).decode()
    return {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "http.extraHeader",
        "GIT_CONFIG_VALUE_0": f"Authorization: Basic {basic}",
    }


def is_plain(folder: Path) -> bool:
    """Whether a folder holds plain files, and is neither a clone nor a bare repository."""
    return folder.is_dir() and not any((folder / inside).exists() for inside in (".git", "HEAD"))


def borrow(clone: Path, base: str, room: Path) -> str:
    """Make a bare repository in `room` that borrows the clone's objects; gives the sha of `base`. Writes nothing there."""
    try:
        sha = run_git(["-C", str(clone), "rev-parse", "--verify", "--end-of-options", f"{base}^{{commit}}"])
        objects = run_git(["-C", str(clone), "rev-parse", "--path-format=absolute", "--git-path", "objects"])
        shallow = run_git(["-C", str(clone), "rev-parse", "--is-shallow-repository"]) == "true"
    except GitError as error:
        raise UserError(f"{clone} has no revision {base}: {error}") from error
    run_git(["init", "--quiet", "--bare", str(room)])
    (room / "objects" / "info" / "alternates").write_text(f"{objects}\n")
    if shallow:
        # What lies before the cut is missing, so nothing could be pushed: the tree starts a history of its own.
        message = f"Start from {sha} of a shallow clone"
        sha = run_git([f"--git-dir={room}", "commit-tree", f"{sha}^{{tree}}", "-m", message], env=_SOMEBODY)
    return sha


def plant(files: Path, room: Path) -> str:
    """Make a bare repository in `room` of plain files, with one commit; gives its sha."""
    tree = room.with_name(f"{room.name}-files")
    shutil.copytree(files, tree, ignore=shutil.ignore_patterns("__pycache__", ".pytest_cache"))
    git_dir = [f"--git-dir={room}", f"--work-tree={tree}"]
    run_git(["init", "--quiet", "--bare", str(room)])
    run_git([*git_dir, "add", "--all", "."], cwd=tree)
    run_git([*git_dir, "commit", "--quiet", "-m", "Start"], env=_SOMEBODY, cwd=tree)
    shutil.rmtree(tree)
    return run_git([*git_dir, "rev-parse", "HEAD"])


def push(room: Path, sha: str, url: str, token: str, branch: str) -> None:
    """Push one commit to a branch."""
    run_git([f"--git-dir={room}", "push", "--quiet", url, f"{sha}:refs/heads/{branch}"], env=login(token))


def commit_patch(room: Path, url: str, token: str, branch: str, patch: Path, who: str) -> str:
    """Commit a patch on top of the forge's branch as a person would, and push it; gives the new sha."""
    place = room.with_name(f"{room.name}-{patch.stem}")
    shutil.rmtree(place, ignore_errors=True)
    person = {
        "GIT_AUTHOR_NAME": who,
        "GIT_AUTHOR_EMAIL": f"{who}@users.noreply.github.com",
        "GIT_COMMITTER_NAME": who,
        "GIT_COMMITTER_EMAIL": f"{who}@users.noreply.github.com",
    }
    run_git(["clone", "--quiet", "--branch", branch, url, str(place)], env=login(token))
    run_git(["apply", "--3way", "--index", str(patch)], cwd=place)
    run_git(["commit", "--quiet", "-m", f"Apply {patch.stem}"], cwd=place, env=person)
    run_git(["push", "--quiet", "origin", f"HEAD:{branch}"], cwd=place, env=login(token))
    sha = run_git(["rev-parse", "HEAD"], cwd=place)
    shutil.rmtree(place)
    return sha
